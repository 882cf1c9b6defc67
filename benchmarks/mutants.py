"""Random mutants of the passes: which of them the fuzzer and the nearest tests kill.

    python -m benchmarks.mutants --count 20 --programs 300 --seed 0

Each is one change of one expression in compiler/passes: a comparison turned round or made strict, an int one
more or less, `and` for `or`, a `not` dropped, two arguments or operands swapped. In a copy of the tree the
fuzzer runs, and if that finds nothing the tests. What both survive is printed with its line, to be looked at:
it may change nothing that is promised (a choice among kernels), or be a hole.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = {
    "autodiff": ["tests/lucid/test_grad.py"],
    "pairs": ["tests/compiler/test_pairs.py"],
    "plan": ["tests/compiler/test_plan.py"],
    "prove": ["tests/compiler/test_plan.py"],
    "arrange": ["tests/compiler/test_plan.py"],
    "template": ["tests/compiler/test_template.py"],
    "rewrite": ["tests/compiler/test_proofs.py"],
    "simplify": ["tests/compiler/test_proofs.py"],
}
SECONDS = 1000.0  # beyond which a mutant is killed by the time that it takes
OTHERS = ["tests/lucid/test_kernels.py", "tests/compiler/test_cases.py"]
FLIPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


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


class _Replace(ast.NodeTransformer):
    def __init__(self, at: tuple[int, int, int, int], kind: type[ast.AST], new: ast.expr) -> None:
        self.at, self.kind, self.new = at, kind, new

    def visit(self, node: ast.AST) -> ast.AST:
        if type(node) is self.kind and _place(node) == self.at:
            return self.new
        return self.generic_visit(node)


def _place(node: ast.AST) -> tuple[int, int, int, int]:
    return tuple(getattr(node, name, -1) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))  # type: ignore[return-value]


def sites(source: str) -> list[tuple[ast.AST, ast.expr]]:
    """Every expression that runs, with each thing that it may become: none of annotations and assertions."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += [node] if isinstance(node, ast.Assert | ast.Raise | ast.JoinedStr) else []
        skipped |= {id(n) for part in parts if isinstance(part, ast.AST) for n in ast.walk(part)}
    return [(n, new) for n in ast.walk(tree) if id(n) not in skipped for new in mutations(n)]


def mutant(source: str, node: ast.AST, new: ast.expr) -> str:
    tree = _Replace(_place(node), type(node), new).visit(ast.parse(source))
    return ast.unparse(ast.fix_missing_locations(tree))


def judged(tree: Path, name: str, programs: int, seed: int) -> str:
    """Who kills the mutant in a copy of the tree, and how: by the fuzzer, by the tests, or nobody."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "PYTHONPATH": str(tree), "LUCID_CACHE_DIR": cache, "LUCID_VERIFY": "1"}
        fuzz = ["-m", "benchmarks.faults", "--hunt", str(programs), "--seed", str(seed)]
        tests = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS.get(name, OTHERS)]
        for command, who in ((fuzz, "fuzzer"), (tests, "tests")):
            try:
                run = subprocess.run(
                    [sys.executable, *command],
                    cwd=tree,
                    env=env,
                    capture_output=True,
                    text=True,
                    timeout=SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"{who}, by time"
            if run.returncode or '"kind"' in run.stdout:
                return who
    return "nobody"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--programs", type=int, default=300, help="of the fuzzer, for each")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    killed = 0
    with tempfile.TemporaryDirectory() as folder:  # a copy, which nobody edits meanwhile
        tree = Path(folder) / "tree"
        skip = shutil.ignore_patterns(".git", "__pycache__", ".test-cache", "results", "*.pyc", "shared")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=skip)
        every = [
            (path, *site)
            for path in sorted((tree / "compiler/passes").glob("*.py"))
            for site in sites(path.read_text())
        ]
        print(
            f"{len(every)} mutants of compiler/passes, of which {given.count} are tried (seed {given.seed})\n"
        )
        print("| where | before | after | killed by |\n|---|---|---|---|", flush=True)
        for path, node, new in rng.sample(every, given.count):
            source = path.read_text()
            path.write_text(mutant(source, node, new))
            who = judged(tree, path.stem, given.programs, given.seed)
            path.write_text(source)
            killed += who != "nobody"
            before, after = (ast.unparse(n).replace("|", "\\|") for n in (node, new))
            print(
                f"| `{path.name}:{getattr(node, 'lineno', 0)}` | `{before}` | `{after}` | {who} |", flush=True
            )
    print(f"\n{killed} of {given.count} killed.")


if __name__ == "__main__":
    main()
