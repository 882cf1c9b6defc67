"""docs/errors.md: every kind of error, made from the classes and from programs that raise them.

pytest tests/lucid/test_error_page.py --update-golden      writes the page anew
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.report

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
HEAD = """\
# Errors

What lucid raises, and when. This page is made from the classes and from the programs below, by
`pytest tests/lucid/test_error_page.py --update-golden`; the messages are what they print.

A message is at most ten lines, most are one: the user's line, what happened, what was expected, what to
try. The traceback ends at that line, also in notebooks: frames of lucid are left out;
`LUCID_TRACEBACK=full` shows them. An error that names no line of the user's is a fault of lucid's, and keeps
all of its frames: please report it, with what `lucid info` prints. Nothing has changed where one is raised:
no tensor, gradient or number is half-way between two steps.

Each program begins with three lines: `import os`, `import numpy as np`, `import lucid`.
"""
BUILTINS = {
    "TypeError": "An argument, an operand or a dtype of a kind that is not taken.",
    "ValueError": "Shapes that do not fit, and numbers or names out of what is allowed.",
    "IndexError": "An index or an axis that is not there. Indices that only a running program knows are "
    "looked at before anything is kept.",
    "OverflowError": "An integer that its dtype cannot hold.",
    "FloatingPointError": "With `LUCID_NAN=1` (or `inf`): a NaN was made. See [stories.md](stories.md).",
    "RuntimeError": "A call at the wrong time: a gradient of what depends on nothing, a text of what was "
    "never compiled.",
}
# By class: the program that raises it; or where a test does, which needs more than a program.
RAISED = {
    "builtins.TypeError": 'lucid.tensor([1.0, 2.0]) & 1',
    "builtins.ValueError": "lucid.ones(3) + lucid.ones(4)",
    "builtins.IndexError": "lucid.compile(lambda x, i: x[i])(np.ones(3), np.array([7]))",
    "builtins.OverflowError": "lucid.tensor([1]) + 2**70",
    "builtins.FloatingPointError": 'os.environ["LUCID_NAN"] = "1"\n'
    "lucid.compile(lambda x: x.log())(np.array([-1.0, 1.0]))",
    "builtins.RuntimeError": "lucid.ones(3).sum().backward()",
    "lucid.errors.TraceError": "@lucid.compile\ndef f(x):\n    if x.sum() > 0:\n        return x\n"
    "    return -x\n\n\nf(np.ones(3))",
    "lucid.errors.ContractError": "lucid.compile(lambda x: x.cumsum().sum(), max_kernels=1)(np.ones(3))",
    "lucid.texts.TextError": "from lucid.texts import parse\n\n"
    'parse("kernel f(x: f32[n]) -> (o: f32[n])\\n  o[i] = x[i]\\n", "f.lucid")',
    "lucid.compiler.text.lexer.IRSyntaxError": "from lucid.compiler.text.kernel_parse import parse_kernel\n\n"
    'parse_kernel("kernel f(x: f32[n]) -> (o: f32[n])\\n  o[i] ? x[i]")',
    "lucid.compiler.verify.error.VerifyError": "from lucid.compiler.text.kernel_parse import parse_kernel\n"
    "from lucid.compiler.verify.kernel import verify_kernel\n\n"
    'text = """kernel f(x: f32[n]) -> (o: f32[n])\n  for i in n\n    stage\n      t = x[i] * x[i]\n"""\n'
    "verify_kernel(parse_kernel(text))",
    "lucid.testing.checking.CheckError": "def f(x):\n"
    "    return x * 2.0 if isinstance(x, lucid.Tensor) else x * 3.0\n\n\nlucid.testing.check(f, np.ones(3))",
    "lucid.testing.gradients.GradcheckError": "x = lucid.tensor(np.array([1.0, 2.0]), requires_grad=True)\n"
    "lucid.testing.gradcheck(lambda x: (x * x.detach()).sum(), (x,))",
    "lucid.testing.fuzzing.FuzzError": "tests/lucid/test_testing.py",
    "lucid.testing.capsule.CapsuleError": 'lucid.replay("empty.json")',
    "lucid.compiler.check.MiscompileError": "tests/compiler/test_check.py",
    "lucid.compiler.gpu.simulator.ptx.PtxError": "tests/gpu/test_simulator_memory.py",
    "lucid.runtime.cuda.errors.CudaError": "tests/gpu/test_cuda_errors.py",
}  # fmt: skip
# They do not come to users.
INNER = {
    "lucid/native.py": "_CannotError", "lucid/cli/table.py": "CommandError", "runtime/elf.py": "Unsupported",
    "runtime/counters.py": "Unavailable", "compiler/interpret/team.py": "Race",
    "lucid/testing/traced.py": "UnfitError", "lucid/errors.py": "_NoAttribute",
}  # fmt: skip
BEGIN = "import os\nimport numpy as np\nimport lucid\n"


def cls(name: str) -> type[Exception]:
    module, _, short = name.rpartition(".")
    found = getattr(import_module(module), short)
    assert isinstance(found, type) and issubclass(found, Exception)
    return found


def raised(code: str) -> Exception:
    """What the program raises."""
    with pytest.raises(Exception) as caught:  # of each its own kind
        exec(compile(BEGIN + code, "example.py", "exec"), {"__name__": "__main__"})
    return caught.value


def section(name: str) -> str:
    kind, code = cls(name), RAISED[name]
    public = kind.__name__ if kind.__module__ in ("builtins", "lucid.errors") else name
    what = BUILTINS.get(kind.__name__) or " ".join((inspect.getdoc(kind) or "").split())
    base = "" if kind.__module__ == "builtins" else f" ({kind.__mro__[1].__name__})"
    title = f"## {public}{base}\n\n{what}\n"
    if code.endswith(".py"):
        return f"{title}\nRaised in `{code}`.\n"
    error = raised(code)
    assert type(error) is kind, error
    return f"{title}\n```python\n{code}\n```\n\n```text\n{kind.__name__}: {error}\n```\n"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUCID_NAN", "")
        patch.chdir(tmp_path_factory.mktemp("errors"))
        Path("empty.json").write_text("")
        return "\n".join([HEAD, *map(section, RAISED)])


def test_the_page_is_true(page: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page, encoding="utf-8", newline="\n")
    assert page == PAGE.read_text(encoding="utf-8"), "run pytest --update-golden, and read what has changed"


def test_messages_have_at_most_ten_lines(page: str) -> None:
    for text in re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL):
        assert len(text.splitlines()) <= 10


@pytest.mark.parametrize("name", [name for name, code in RAISED.items() if code.endswith(".py")])
def test_the_others_are_raised_in_tests(name: str) -> None:
    short = name.rpartition(".")[2]
    assert re.search(rf"raises\(\s*(\w+\.)*{short}", (ROOT / RAISED[name]).read_text()), name


def test_every_class_of_errors_is_there() -> None:
    known = {name.rpartition(".")[2] for name in RAISED} | set(INNER.values())
    for folder in ("lucid", "compiler", "runtime"):
        for file in (ROOT / folder).rglob("*.py"):
            found = re.findall(
                r"^class (\w+)\((?:\w+\.)*\w*(?:Error|Exception)\)", file.read_text(), re.MULTILINE
            )
            assert set(found) <= known, f"{file}: {found}"
