"""`fuzz`: a function of the user's, on arguments of other sizes, dtypes, layouts and values."""

from __future__ import annotations

import functools
import random
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.types import from_numpy

from ..arguments import is_array, rebuild
from ..errors import bounded, here
from ..tensor import Tensor
from .bits import plain
from .checking import CheckError, check, compared
from .layouts import LAYOUTS, UNPACK, laid_out, literal
from .sources import defined
from .traced import UnfitError, as_tensors, name_of, named_leaves
from .values import SPECIAL, alike, with_special

# Around what decides: no and one element, whole vectors, whole blocks.
EXTENTS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257, 1000)
MOST = 50_000  # elements of the largest argument


class FuzzError(CheckError):
    """A case that fails. `script`: a program that reproduces it; `arguments`: what the function was called
    with."""

    def __init__(self, message: str, script: str = "", arguments: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.script, self.arguments = script, arguments


@data
class Case:
    """How the arguments differ from those given: `sizes` from old extents to new ones; `floats`: the dtype
    of all floats, or ""; `layout` of all arrays; a kind of `special` values, or ""; `seed` of the values, 0
    for those given."""

    sizes: tuple[tuple[int, int], ...] = ()
    floats: str = ""
    layout: str = "rows"
    special: str = ""
    seed: int = 0

    def __str__(self) -> str:
        said = [f"{old} -> {new}" for old, new in self.sizes if old != new]
        said += [x for x in (self.floats, self.layout, self.special and f"with {self.special} values") if x]
        return ", ".join(said)


@data
class Fuzzed:
    """What `fuzz` did: how many cases agreed, how many the function itself refused, in how many seconds."""

    name: str
    cases: int
    refused: int
    seconds: float
    seed: int

    def __str__(self) -> str:
        rate = self.cases / max(self.seconds, 1e-9)
        return (
            f"{self.name}: {self.cases} cases agree ({rate:.0f} a second), {self.refused} refused by the "
            f"function itself; seed {self.seed}"
        )


@bounded
def fuzz(
    f: Callable[..., Any],
    *args: Any,
    seconds: float = 10.0,
    seed: int = 0,
    cases: int | None = None,
    reference: Callable[..., Any] | None = None,
    grad: bool = True,
) -> Fuzzed:
    """`check(f, ...)` on arguments like `args`, for so many seconds, or for so many `cases`; the same ones
    at every run.

    Varied are the extents (where two are equal, they stay equal; 1 stays 1), to sizes around vectors and
    blocks, 0 and 1 among them; the dtype of floats (float16, float32, float64); the layout of arrays
    (column-major, permuted, strided, flipped, misaligned, read-only); and values: between those of `args`,
    or with NaN, infinities, zeros of both signs, denormal and huge numbers, whole numbers, ties. Integers
    are drawn from those given, so that indices stay valid. `reference` and finite differences are compared
    for plain values only. A case for which `f` itself raises, compiled and not, is refused and counted; an
    extent that cannot change (the weights of a layer expect it) is left alone after that. A failing case is
    made smaller in what is left of `seconds`, or in a quarter of them.

    Returns a Fuzzed, whose text says how much was tried. Raises FuzzError (an AssertionError) for the
    smallest failing case that was found: the message of `check`, and a script that reproduces it (a comment
    says what is missing in it, if anything that `f` reads has no text), which is its `script`, too.
    ValueError if there is no array among `args`, and for no time or no cases.
    """
    if not any(isinstance(v, Tensor) or is_array(v) for _, v in named_leaves(args)):
        raise ValueError(here("fuzz: there is no array or tensor among the arguments to vary"))
    if not seconds > 0:
        raise ValueError(here(f"fuzz: seconds must be more than 0, not {seconds}"))
    if cases is not None and cases < 1:
        raise ValueError(here(f"fuzz: cases must be at least 1, not {cases}"))
    runner = _Runner(f, args, reference, grad)
    rng, began = random.Random(seed), time.monotonic()
    case, tried = Case(), 0
    while True:
        wrong = runner.run(case)
        if wrong is not None:
            raise runner.smallest(case, wrong, max(began + seconds, time.monotonic() + seconds / 4))
        tried += 1
        if time.monotonic() - began >= seconds or tried == cases:
            break
        case = runner.draw(rng)
    spent = time.monotonic() - began
    return Fuzzed(name_of(f), runner.agreed, runner.refused, spent, seed)


class _Runner:
    """A function, and what is known of the cases that it takes."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        reference: Callable[..., Any] | None,
        grad: bool,
    ) -> None:
        self.f, self.args, self.reference, self.grad = f, args, reference, grad
        arrays = [plain(v) for _, v in named_leaves(args) if isinstance(v, Tensor) or is_array(v)]
        self.extents = sorted({n for a in arrays for n in a.shape if n > 1})
        self.floats = sorted({a.dtype.name for a in arrays if from_numpy(a.dtype).is_float})
        self.pinned: set[int] = set()
        self.agreed = self.refused = 0

    def draw(self, rng: random.Random) -> Case:
        free = [n for n in self.extents if n not in self.pinned]
        chosen = rng.sample(free, rng.choice((1, rng.randint(1, len(free))))) if free else []
        sizes = tuple((old, rng.choice(EXTENTS)) for old in chosen)
        floats = rng.choice(("", "", "float16", "float32", "float64")) if self.floats else ""
        layout = rng.choice(LAYOUTS) if rng.random() < 0.5 else "rows"
        special = rng.choice(SPECIAL) if rng.random() < 0.4 and self.floats else ""
        return Case(sizes, floats, layout, special, rng.getrandbits(31) + 1)

    def arguments(self, case: Case) -> tuple[Any, ...]:
        """What the function is called with. ValueError where that would be too large."""
        sizes, rng = dict(case.sizes), np.random.default_rng(case.seed)

        def leaf(value: Any) -> Any:
            if not (isinstance(value, Tensor) or is_array(value)):
                return value
            given = plain(value)
            if not case.seed:
                return given
            shape = tuple(sizes.get(n, n) for n in given.shape)
            if np.prod(shape) > MOST:
                raise ValueError("too large")
            made = alike(given, shape, rng)
            if case.floats and from_numpy(made.dtype).is_float:
                with np.errstate(all="ignore"):
                    made = made.astype(case.floats)
            if case.special:
                made = with_special(made, case.special, rng)
            return laid_out(made, case.layout)

        return tuple(rebuild(v, leaf) for v in self.args)

    def run(self, case: Case) -> Exception | None:
        """What is wrong; None if nothing is, or the function itself refuses the case."""
        try:
            args = self.arguments(case)
        except ValueError:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refusal = _raised(lambda: [v.numpy() for v in _tensors(self.f(*as_tensors(args)))])
            plainly = not case.special
            found = _raised(
                lambda: compared(
                    self.f, args, self.reference if plainly else None, self.grad, np.inf, plainly
                )
            )
        if isinstance(found, UnfitError):
            raise found
        if refusal is not None:
            if type(found) is type(refusal):
                self.refused += 1
                if len(case.sizes) == 1:
                    self.pinned.add(case.sizes[0][0])
                if case == Case():
                    raise refusal
                return None
            return CheckError(f"uncompiled it raises {_said(refusal)}; compiled: {_said(found)}")
        if found is None:
            self.agreed += 1
        return found

    def smallest(self, case: Case, wrong: Exception, end: float) -> FuzzError:
        """The error for the smallest case that fails in the same way, of those tried until `end`, a time of
        `time.monotonic`. Each way to make it smaller has its turn, again and again."""
        kind, progress = type(wrong), case.seed != 0
        while progress:
            progress = False
            for ways in self._smaller(case):
                for smaller in ways(case):
                    if time.monotonic() >= end:
                        progress = False
                        break
                    found = self.run(smaller)
                    if type(found) is kind:
                        case, wrong, progress = smaller, found, True
                        break
        script = self.script(case)
        message = (
            f"{name_of(self.f)} fails for {case or 'the arguments as given'}\n{_said(wrong)}\n\n{script}"
        )
        return FuzzError(message, script, self.arguments(case))

    def _smaller(self, case: Case) -> list[Callable[[Case], Iterable[Case]]]:
        """Ways to make a case smaller: its layout, its values, its dtype, each of its extents."""
        plainer = [
            lambda c: [replace(c, layout="rows")] if c.layout != "rows" else [],
            lambda c: [replace(c, special="")] if c.special else [],
            lambda c: [replace(c, floats="")] if c.floats else [],
        ]
        return [*plainer, *(functools.partial(self._shorter, old) for old in self.extents)]

    def _shorter(self, old: int, case: Case) -> Iterable[Case]:
        sizes = {**{n: n for n in self.extents}, **dict(case.sizes)}
        new = sizes[old]
        for less in (1, 2, 3, *(n for n in (new // 4, new // 2, new - 1) if n > 3)):
            if less < new:
                yield replace(case, sizes=tuple({**sizes, old: less}.items()))

    def script(self, case: Case) -> str:
        """A program that runs the case alone."""
        names, lines = list[str](), list[str]()

        def leaf(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            names.append(f"x{len(names)}")
            made = literal(value)
            if case.layout != "rows":
                made = f"laid_out({made}, {case.layout!r})"
            lines.append(f"{names[-1]} = {made}")
            return _Name(names[-1])

        given = ", ".join(repr(rebuild(v, leaf)) for v in self.arguments(case))
        options = ["rtol=inf"] + ([] if self.grad else ["grad=False"])
        functions = {"f": self.f}
        if case.special:
            options.append("differences=False")
        elif self.reference is not None:
            functions["reference"] = self.reference
        known = {"np": np, "inf": np.inf, "nan": np.nan, "lucid": lucid, "check": check}
        known |= {"laid_out": laid_out, "unpack": None, **dict.fromkeys(names)}
        made, called = defined(functions, known)
        options += [f"reference={name}" for name in called[1:]]
        imported = "check, laid_out" if case.layout != "rows" else "check"
        text = [
            "import numpy as np", "from numpy import inf, nan", "",
            "import lucid", f"from lucid.testing import {imported}", "", "",
        ]  # fmt: skip
        if any("unpack(" in line for line in [made, *lines]):
            text += [UNPACK, ""]
        text += [made, "", "", *lines, f"print(check({called[0]}, {given}, {', '.join(options)}))", ""]
        return "\n".join(text)


class _Name:
    """Stands for an argument in the text of a script."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def _tensors(outputs: Any) -> list[Tensor]:
    return [v for _, v in named_leaves(outputs) if isinstance(v, Tensor)]


def _raised(run: Callable[[], object]) -> Exception | None:
    try:
        run()
    except Exception as error:
        return error
    return None


def _said(error: Exception | None) -> str:
    if error is None:
        return "nothing"
    return str(error) if isinstance(error, CheckError) else f"{type(error).__name__}: {error}"
