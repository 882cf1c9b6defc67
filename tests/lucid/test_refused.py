"""Every public function, class and method, called as it cannot be: what Python prints of it has at most ten
lines, and ends in the user's line. `pytest -m sweep` tries each argument with values of wrong types."""

from __future__ import annotations

import inspect
import linecache
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import array_api, fft, linalg, nn, optim, random, special, testing
from lucid.nn import functional, init, utils
from lucid.optim import lr_scheduler

SOURCE = """\
def call(f, args, kwargs):
    return f(*args, **kwargs)
def double(x):
    return x * 2.0
"""
MODULES = (
    lucid, nn, optim, random, linalg, fft, special, testing, array_api, functional, init, utils, lr_scheduler,
)  # fmt: skip
# Results, which users are given; what changes the process; and what runs until a fault is found.
APART = {
    "Checked", "Fuzzed", "Replay", "Report", "Node", "fuzz", "manual_seed", "seed", "set_num_threads", "show",
}  # fmt: skip
# What modules without `__all__` have of others.
OTHERS = {"apply", "as_shape", "dropped", "warn_user", "whole"}


class Odd:
    """Of no use to anybody."""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A user's file, which was run."""
    file = tmp_path_factory.mktemp("user") / "user.py"
    file.write_text(SOURCE)
    linecache.clearcache()
    scope: dict[str, Any] = {"__file__": str(file)}
    exec(compile(SOURCE, str(file), "exec"), scope)
    return scope


def _functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    for name in getattr(module, "__all__", dir(module)):
        f = getattr(module, name)
        where = getattr(f, "__module__", None) or ""
        if name.startswith("_") or name in APART or isinstance(f, ModuleType) or not callable(f):
            continue
        if not where.startswith("lucid") or (isinstance(f, type) and issubclass(f, BaseException)):
            continue
        if module is functional and (
            not where.startswith("lucid.nn") or name.startswith("checked") or name in OTHERS
        ):
            continue
        yield f


def _methods(thing: Any) -> Iterator[Callable[..., Any]]:
    for name in dir(thing):
        static = inspect.getattr_static(type(thing), name, None)
        if not name.startswith("_") and name not in APART and not isinstance(static, property):
            method = getattr(thing, name)
            if callable(method) and not isinstance(method, type):
                yield method


def _objects(user: dict[str, Any]) -> list[Any]:
    """One of each class whose methods users call."""
    x = lucid.tensor([1.0, 2.0, 3.0])
    compiled = lucid.compile(user["double"])
    compiled(np.ones(3, "float32"))
    step = optim.SGD([nn.Parameter([1.0])], lr=0.1)
    return [
        x, x.at[0], compiled, compiled.explain(), compiled.profile(np.ones(3, "float32")),
        nn.Linear(2, 2), nn.Sequential(nn.ReLU()), nn.ModuleDict({"a": nn.ReLU()}),
        nn.ModuleList([nn.ReLU()]), nn.Parameter([1.0]), random.Generator(0), step,
        optim.Adam([nn.Parameter([1.0])]),
        lr_scheduler.StepLR(step, 2),
    ]  # fmt: skip


def _subjects(user: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    for module in MODULES:
        yield from _functions(module)
    for thing in _objects(user):
        yield from _methods(thing)
        if callable(thing):
            yield thing
    yield lucid.grad(user["double"])


Call = tuple[str, tuple[Any, ...], dict[str, Any]]


def _few(f: Callable[..., Any]) -> Iterator[Call]:
    yield "no argument", (), {}
    yield "forty arguments", (1,) * 40, {}
    yield "an unknown argument", (), {"unknown": 1}
    yield "objects", (Odd(),) * _places(f)[0], {}


def _many(f: Callable[..., Any]) -> Iterator[Call]:
    count, names = _places(f)
    value: Any
    for value in ("nope", 0.5, None, [Odd()]):
        yield f"{value}", (value,) * count, {}
    x = lucid.tensor([[1.0, 2.0], [3.0, 4.0]])
    for name in names:
        for value in (Odd(), 3, "nope"):
            yield f"{name}={value}", (x,) * count, {name: value}
            yield f"{name}={value}", (2,) * count, {name: value}


def _places(f: Callable[..., Any]) -> tuple[int, list[str]]:
    """How many arguments there must be, and the names of others."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return 1, []
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    must = [p for p in named if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    others = [p.name for p in named if p.default is not p.empty and p.kind is not p.POSITIONAL_ONLY]
    return max(1, len(must)), others


def _wrong(user: dict[str, Any], calls: Callable[[Any], Iterator[Call]]) -> tuple[list[str], int]:
    wrong, count = [], 0
    for f in _subjects(user):
        for what, args, kwargs in calls(f):
            count += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = _said(user, f, args, kwargs)
            if said:
                name = getattr(f, "__qualname__", f)
                wrong.append(f"{getattr(f, '__module__', '')}.{name}, {what}: {said}")
    return wrong, count


def _said(user: dict[str, Any], f: Callable[..., Any], args: Any, kwargs: Any) -> str | None:
    """What is wrong with what a call raises, if it raises."""
    try:
        user["call"](f, args, kwargs)
    except Exception as error:
        assert error.__traceback__ is not None
        whole = traceback.TracebackException(type(error), error, error.__traceback__.tb_next)
        lines = "".join(whole.format()).rstrip().split("\n")
        if len(lines) > 10 or whole.stack[-1].filename != user["__file__"]:
            return f"{len(lines)} lines, the last of {whole.stack[-1].filename}:{whole.stack[-1].lineno}"
    return None


def test_arguments_that_nothing_takes(user: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)  # what takes a path writes there
    wrong, count = _wrong(user, _few)
    assert count > 2500
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.sweep
def test_arguments_of_wrong_types(user: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, count = _wrong(user, _many)
    assert count > 10000
    assert not wrong, "\n".join(wrong[:20])


MESSAGES: list[tuple[Any, tuple[Any, ...], str]] = [
    (nn.Linear, (3,), r"Linear\(\): missing a required argument: 'out_features'; expected \(in_features,"),
    (optim.SGD([nn.Parameter([1.0])]).step, (3, 4), r"step\(\): too many positional arguments; expected "),
    (nn.ReLU(), (), r"ReLU.forward\(\): missing a required argument: 'x'; expected \(x\)"),
    (functional.threshold, ([1.0], Odd(), 0.0), "threshold: threshold must be a number, not Odd"),
    (lucid.from_dlpack, (3,), "from_dlpack: expected a tensor or an array of a library that has DLPack, not"),
    (lucid.ones(3).reshape, (Odd(),), "expected ints, or one tuple of them, not Odd"),
]


@pytest.mark.parametrize(("f", "args", "message"), MESSAGES, ids=[m for *_, m in MESSAGES])
def test_what_is_said(f: Callable[..., Any], args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=rf"test_refused.py:\d+: {message}"):
        f(*args)


def test_what_looks_inside(user: dict[str, Any], tmp_path: Path) -> None:
    compiled = lucid.compile(user["double"])
    compiled(np.ones(3))
    wrong: Any = 3  # a type checker would not let it pass
    with pytest.raises(TypeError, match=r"refused.py:\d+: explorer: profile must be what double.profile"):
        compiled.explorer(tmp_path / "page.html", profile=wrong)
    for path, call in (("/nope/x.html", compiled.explorer), ("/nope/x", lucid.replay)):
        with pytest.raises(FileNotFoundError, match=f"No such file or directory: '{path}'") as caught:
            call(path)
        assert caught.value.strerror and len(traceback.extract_tb(caught.value.__traceback__)) == 1
    restore: Any = compiled.restore
    with pytest.raises(TypeError, match=r"refused.py:\d+: restore\(\): too many positional arguments"):
        restore("nope")


TRIED = {
    "return x - sorted(x)[0]": "lucid.sort",
    "return max(x)": "x.max()",
    "return x + lucid.arange(x.sum())": "How many elements",
    "return lucid.zeros(int(x.sum()))": "How many elements",
    "return x.reshape(int(x.sum()), 1)": "Pass it as a Python int",
    "for _ in range(int(x[0])): x = x + 1": "A loop of as many steps",
}


@pytest.mark.parametrize("line", TRIED)
def test_what_to_try_for_a_value(line: str, tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text(f"import lucid\n@lucid.compile\ndef f(x):\n    {line}\n")
    scope: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), scope)
    with pytest.raises(lucid.TraceError, match=f"user.py:4: .* are not known. {re.escape(TRIED[line])}"):
        scope["f"](np.ones(3))


def test_states_of_other_shapes_beside_missing_keys() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
    told = r"missing keys: 1.weight, 1.bias\n(.*\n)*.*0.weight has shape \(4,\), expected \(3, 2\)"
    with pytest.raises(RuntimeError, match=told):
        model.load_state_dict({"0.weight": np.ones(4), "0.bias": np.ones(3)})


NAMES = (
    "lucid.relo",
    "nn.Linera",
    "nn.functional.sofmax",
    "optim.Adm",
    "array_api.summ",
    "testing.chekc",
    "f.trace",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_there(name: str, user: dict[str, Any]) -> None:
    scope = {**globals(), "f": lucid.compile(user["double"])}
    with pytest.raises(AttributeError, match="has no attribute '") as caught:
        eval(name, scope)
    error = caught.value
    assert len(traceback.extract_tb(error.__traceback__)) == 2  # this line, and that of the text
    assert re.search(r"^.*:\d+: .*; did you mean '", str(error))
