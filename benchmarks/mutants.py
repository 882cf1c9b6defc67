"""Random mutants of the passes: which of them the nearest tests and the fuzzer kill.

    python -m benchmarks.mutants --count 60 --seed 1 --table mutants.md

Each is one change of one expression in compiler/passes: a comparison turned round or made strict, an int one
more or less, `and` for `or`, a `not` dropped, two arguments or operands swapped. In a copy of the tree the
tests that touch the file run, until one fails; if none does, the fuzzer. A mutant costs some 20 s of a
processor, and has its row of the table at once. What both survive is to be looked at: it may change nothing
that is promised (a choice among kernels), or be a hole.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, TextIO

ROOT = Path(__file__).resolve().parent.parent
PASSES = "compiler/passes"
SECONDS = 150  # of a processor, for a command, which takes some 30: a mutant that takes longer is killed
WAIT = 1800.0  # of a clock
COPIED = ("compiler", "runtime", "lucid", "benchmarks", "tests", "docs", "pyproject.toml")
# Beside those of COMMON: tests that touch a file and take few seconds.
TESTS = {
    "autodiff": ("tests/lucid/test_subgradients.py",),
    "chain": ("tests/compiler/test_chain.py",),
    "name": ("tests/lucid/test_names.py", "tests/lucid/test_texts.py"),
    "pairs": ("tests/compiler/test_pairs.py",),
    "plan": ("tests/compiler/test_teams.py",),
    "prove": ("tests/compiler/test_hostile.py", "tests/runtime/test_execute.py"),
    "rewrite": ("tests/compiler/test_proofs.py",),
    "simplify": ("tests/compiler/test_proofs.py",),
    "touches": ("tests/compiler/test_validate.py",),
}
COMMON = (
    "tests/compiler/test_golden.py", "tests/compiler/test_plan.py", "tests/compiler/test_template.py",
    "tests/compiler/test_chain.py", "tests/compiler/test_places.py", "tests/lucid/test_kernels.py",
    "tests/lucid/test_in_place.py", "tests/compiler/test_cases.py",
)  # fmt: skip
FLIPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Site(NamedTuple):
    """An expression of a file, and what it becomes."""

    path: str
    node: ast.expr
    new: ast.expr

    def row(self, who: str, seconds: float) -> str:
        before, after = (ast.unparse(n).replace("|", "\\|") for n in (self.node, self.new))
        where = f"{Path(self.path).name}:{self.node.lineno}"
        return f"| `{where}` | `{before}` | `{after}` | {who} | {seconds:.0f} |"


def mutations(node: ast.AST) -> list[ast.expr]:
    """What an expression may become."""
    found: list[ast.expr] = []

    def changed(**fields: object) -> None:
        new = copy.deepcopy(node)
        for name, value in fields.items():
            setattr(new, name, value)
        assert isinstance(new, ast.expr)
        found.append(new)

    if isinstance(node, ast.Compare) and type(node.ops[0]) in FLIPS:
        changed(ops=[FLIPS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        changed(value=node.value + 1)
        changed(value=node.value - 1)
    elif isinstance(node, ast.BoolOp):
        changed(op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found.append(copy.deepcopy(node.operand))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.FloorDiv | ast.Mod):
        changed(left=node.right, right=node.left)
    elif (
        isinstance(node, ast.Call)
        and len(node.args) == 2
        and not any(isinstance(a, ast.Starred) for a in node.args)
    ):
        changed(args=node.args[::-1])
    return found


def sites(path: str, source: str) -> list[Site]:
    """Every expression that runs, with each thing that it may become: none of annotations and assertions."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += [node] if isinstance(node, ast.Assert | ast.Raise | ast.JoinedStr) else []
        skipped |= {id(n) for part in parts if isinstance(part, ast.AST) for n in ast.walk(part)}
    return [
        Site(path, node, new)
        for node in ast.walk(tree)
        if id(node) not in skipped and isinstance(node, ast.expr)
        for new in mutations(node)
    ]


def mutant(source: str, site: Site) -> str:
    """The source with the change; everything else stays where it is."""
    node, lines = site.node, source.encode().splitlines(keepends=True)
    assert node.end_lineno is not None and node.end_col_offset is not None
    head, tail = lines[node.lineno - 1][: node.col_offset], lines[node.end_lineno - 1][node.end_col_offset :]
    gap = "\n" * (node.end_lineno - node.lineno)  # inside of the parentheses
    middle = f"({ast.unparse(site.new)}{gap})".encode()
    lines[node.lineno - 1 : node.end_lineno] = [head + middle + tail]
    return b"".join(lines).decode()


def tests_of(name: str) -> tuple[str, ...]:
    """The tests for a module of that name, each once."""
    return tuple(dict.fromkeys((*COMMON, *TESTS.get(name, ()))))


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))


def judged(tree: Path, name: str, programs: int, seed: int) -> str:
    """Who kills what the tree has become, and how: the tests, the fuzzer, or nobody."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "PYTHONPATH": str(tree), "LUCID_CACHE_DIR": cache, "LUCID_VERIFY": "1"}
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # the next one may be of the same length, in the same second
        tests = ["-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests_of(name)]
        fuzz = ["-m", "benchmarks.faults", "--hunt", str(programs), "--seed", str(seed)]
        for command, who in ((tests, "tests"), (fuzz, "fuzzer")):
            try:
                run = subprocess.run(
                    [sys.executable, *command],
                    cwd=tree,
                    env=env,
                    capture_output=True,
                    text=True,
                    timeout=WAIT,
                    check=False,
                    preexec_fn=_limited,
                )
            except subprocess.TimeoutExpired:
                return f"{who}, by time"
            if run.returncode == -signal.SIGXCPU:
                return f"{who}, by time"
            if run.returncode or '"kind"' in run.stdout:
                failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                print(who, (failed or run.stdout.splitlines()[-1:])[:1], file=sys.stderr, flush=True)
                return who
    return "**nobody**"


def tried(wanted: list[Site], tree: Path, programs: int, seed: int, out: TextIO) -> int:
    """How many of the mutants are killed; a row of each goes to `out`."""
    killed = 0
    for site in wanted:
        path = tree / site.path
        source = path.read_text(encoding="utf-8")
        path.write_text(mutant(source, site), encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        who = judged(tree, path.stem, programs, seed)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        path.write_text(source, encoding="utf-8")
        killed += "nobody" not in who
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(site.row(who, spent), file=out, flush=True)
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--programs", type=int, default=300, help="of the fuzzer, for each")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of mutants")
    parser.add_argument("--first", type=int, default=0, help="go on from this one, at the end of the table")
    parser.add_argument("--table", type=Path, help="where rows go; else they are printed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # a copy, which nobody edits meanwhile
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "results")
                shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
            else:
                shutil.copy(ROOT / name, tree / name)
        every = [
            site
            for path in sorted((tree / PASSES).glob("*.py"))
            for site in sites(f"{PASSES}/{path.name}", path.read_text(encoding="utf-8"))
        ]
        for name in sorted({Path(s.path).stem for s in every}):
            missing = [t for t in tests_of(name) if not (tree / t).exists()]
            if missing:
                raise SystemExit(f"no such tests for {name}: {missing}")
        wanted = random.Random(given.seed).sample(every, given.count)
        head = f"{len(every)} mutants of {PASSES}, of which {given.count} are tried (seed {given.seed})\n"
        head += "\n| where | before | after | killed by | seconds |\n|---|---|---|---|---|"
        mode = "a" if given.first else "w"
        out = given.table.open(mode, encoding="utf-8") if given.table else sys.stdout
        if not given.first:
            print(head, file=out, flush=True)
        killed = tried(wanted[given.first :], tree, given.programs, given.seed, out)
        print(f"{killed} of {given.count - given.first} killed", file=sys.stderr)


if __name__ == "__main__":
    main()
