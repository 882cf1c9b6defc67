"""Random programs, statement by statement: each is run over NumPy when it is chosen, so that it is valid."""

from __future__ import annotations

import random
import warnings
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .expression import expression
from .program import Array, Number, halves

MOST = 20_000  # elements of the largest value
LARGE = 2.0**20  # whole numbers up to here stay exact in float32
ANY = "biufcV"  # kinds of dtypes; V: bfloat16, where ml_dtypes is installed
FLOATS = ("float32", "float64")
# Just beyond half of the way from 1 to the next number of float16, and of bfloat16, in float64 and float32:
# what is rounded twice, or towards another side, comes to another one.
BESIDE = np.array([1 + 2.0**-k + 2.0**-j for k in (8, 11) for j in (40, 23)])
DTYPES = ("float32", "float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool")


def values_of(
    dtype: np.dtype[Any], shape: tuple[int, ...], traits: Set[str], draw: np.random.Generator
) -> Array:
    """An input of a program: "whole" numbers, or any; with "special" ones among the floats, or not."""
    if dtype.kind == "b":
        data: Any = draw.random(shape) < 0.5
    elif dtype.kind == "u":
        data = draw.integers(0, 9, shape)
    elif dtype.kind == "c":
        part = np.empty(0, dtype).real.dtype
        data = values_of(part, shape, traits, draw) + 1j * values_of(part, shape, traits - {"special"}, draw)
    elif "whole" in traits or dtype.kind in "iu":
        data = draw.integers(-4, 5, shape)
    else:
        data = draw.normal(size=shape)
        if "smooth" not in traits:
            data = np.where(draw.random(shape) < 0.05, draw.choice(BESIDE, shape), data)
    array = np.array(data).astype(dtype)
    if "special" in traits and array.dtype.kind == "f" and array.size:
        tiny = float(np.finfo(dtype).smallest_subnormal)
        odd = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, tiny], dtype)
        array = np.where(draw.random(shape) < 0.2, draw.choice(odd, shape), array).astype(dtype)
    return array


def in_bounds(value: Any, traits: Set[str], most: int = MOST) -> bool:
    """Whether a value of a program stays what its checks rely on: not too large (of so many elements), whole
    numbers exact in float32 (float16), derivatives of moderate size."""
    array = np.asarray(value)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if array.size > most or array.ndim > 5 or kind not in ANY or (size > 8 and kind != "c"):
        return False
    if "whole" in traits and kind in "fcV" and array.size:
        limit = 128.0 if kind == "V" else 1024.0 if size == 2 else LARGE
        array = halves(array)
        if np.max(np.abs(array), initial=0, where=np.isfinite(array)) > limit:
            return False
    return not ("smooth" in traits and array.size and not np.all(np.abs(array) < 1e3))


@dataclass
class Maker:
    rng: random.Random
    whole: bool  # whole numbers only, so that sums and products are exact
    smooth: bool  # differentiable almost everywhere, away from kinks; float64
    special: bool  # NaN, infinities, signed zeros and denormals among the inputs
    extents: tuple[int, ...]
    dtypes: tuple[str, ...] = DTYPES
    often: tuple[str, ...] = FLOATS  # of two inputs in five
    values: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Array] = field(default_factory=dict)
    statements: list[tuple[str, str]] = field(default_factory=list)
    numbers: dict[str, Number] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)

    def traits(self) -> frozenset[str]:
        return frozenset(t for t in ("whole", "smooth", "special") if getattr(self, t))

    # --- inputs ----------------------------------------------------------------------------------

    def input(self) -> None:
        rng = self.rng
        dtype = "float64" if self.smooth else rng.choice(self.dtypes if rng.random() < 0.6 else self.often)
        shape = tuple(rng.choice(self.extents) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 4))))
        while np.prod(shape) > MOST:
            shape = shape[1:]
        draw = np.random.default_rng(rng.getrandbits(32))
        array = values_of(np.dtype(dtype), shape, self.traits(), draw)
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.values[name] = array
        self.exact.add(name)

    # --- choice ----------------------------------------------------------------------------------

    def pick(self, kinds: str = "biuf", exact: bool = False, least: int = 0) -> str | None:
        names = [
            n
            for n, v in self.values.items()
            if np.asarray(v).dtype.kind in kinds and np.ndim(v) >= least and (not exact or n in self.exact)
        ]
        if not names:
            return None
        fresh = [n for n in names if n not in self.used]
        pool = fresh if fresh and self.rng.random() < 0.6 else names
        return self.rng.choice(pool[-8:] if self.rng.random() < 0.5 else pool)

    def add(self, text: str, *sources: str, exact: bool = True) -> bool:
        """Append a statement if NumPy takes it, and its value is in bounds."""
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = expression(text)({"L": np, **self.numbers, **self.values})
        except (ValueError, TypeError, IndexError, OverflowError):
            return False
        if not in_bounds(value, self.traits()):
            return False
        name = f"v{len(self.statements)}"
        self.statements.append((name, text))
        self.values[name] = value
        self.used.update(sources)
        if exact and all(s in self.exact for s in sources):
            self.exact.add(name)
        return True

    # --- statements ------------------------------------------------------------------------------

    def partner(self, a: str, kinds: str, exact: bool = False) -> str | None:
        """A value that broadcasts with `a`."""
        shape = np.shape(self.values[a])
        found = []
        for n, v in self.values.items():
            if np.asarray(v).dtype.kind in kinds and (not exact or n in self.exact):
                try:
                    np.broadcast_shapes(shape, np.shape(v))
                except ValueError:
                    continue
                found.append(n)
        return self.rng.choice(found) if found else None

    def binary(self) -> None:
        a = self.pick("f" if self.smooth else "iuf")
        b = a and self.partner(a, "f" if self.smooth else "iuf")
        if not a or not b:
            return
        if self.rng.random() < 0.3:
            a, b = b, a
        op = self.rng.choice(("+", "-", "*", "+", "-", "*", "/", "//", "%", "max", "min"))
        if op in ("//", "%"):
            if self.smooth or a not in self.exact or b not in self.exact:
                return
            if (
                np.asarray(self.values[a]).dtype == np.float16
                or np.asarray(self.values[b]).dtype == np.float16
            ):
                return
        if op == "/":
            if self.whole:
                return
            if self.smooth:
                self.add(f"{a} / (L.abs({b}) + 1)", a, b)
                return
            if a not in self.exact or b not in self.exact:
                return
        text = f"L.{op}imum({a}, {b})" if op in ("max", "min") else f"{a} {op} {b}"
        self.add(text, a, b)

    def number(self) -> None:
        a = self.pick("f" if self.smooth else "iuf")
        if a:
            op = self.rng.choice("+-*")
            number = self.rng.choice(("2", "-3", "1", "0") if self.whole else ("2", "0.5", "-1.25", "3"))
            self.add(self.rng.choice((f"{a} {op} {number}", f"{number} {op} {a}")), a)

    def integer(self) -> None:
        a = self.pick("biu", exact=True)
        b = a and self.partner(a, "biu", exact=True)
        if a and b:
            op = self.rng.choice("&|^~<<>>")
            by = self.rng.choice((f"({b} & 3)", f"({b} * 8 - 1)"))  # -1, 7, 15, 31: to the width, and beyond
            plain = self.rng.random() < 0.5
            odd, inverted = (a, a) if plain else (f"({a} | 1)", f"~{a}")  # a bit at either end
            forms = {"~": f"~{a}", "<": f"{odd} << {by}", ">": f"{inverted} >> {by}"}
            text = forms.get(op, f"{a} {op} {b}")
            self.add(text, a, b)

    def unary(self) -> None:
        a = self.pick("f" if self.smooth else "iuf")
        if not a:
            return
        exact = a in self.exact
        choices = [f"-{a}", f"abs({a})", f"{a}.clip(-2, 3)", f"L.square({a})", f"L.maximum({a}, 0)"]
        if exact and not self.smooth:
            choices.append(f"L.sign({a})")
        self.add(self.rng.choice(choices), a)

    def curve(self) -> None:
        a = self.pick("f")
        if not a or self.whole or np.asarray(self.values[a]).dtype == np.float16:
            return
        text = self.rng.choice(
            (
                f"L.exp({a}.clip(-5, 3))", f"L.log(abs({a}) + 1)", f"L.tanh({a})",
                f"L.sqrt(abs({a}) + 0.5)", f"(abs({a}) + 0.5) ** 1.5", f"1 / (1 + L.exp(-{a}.clip(-9, 9)))",
            )
        )  # fmt: skip
        self.add(text, a, exact=False)

    def choose(self) -> None:
        """Comparisons of values that are exact, or a jump might fall on either side."""
        a = self.pick("biuf", exact=True)
        b = a and self.partner(a, "biuf", exact=True)
        if not a or not b:
            return
        test = f"{a} {self.rng.choice(('<', '<=', '>', '>=', '==', '!='))} {b}"
        if not self.smooth and self.rng.random() < 0.2:
            self.add(test, a, b)
            return
        c = self.pick("f" if self.smooth else ANY)
        d = c and self.partner(c, "f" if self.smooth else ANY)
        if c and d:
            self.add(f"L.where({test}, {c}, {d})", a, b, c, d)

    def cast(self) -> None:
        if self.smooth:
            return
        a = self.pick(exact=self.rng.random() < 0.5)
        if not a:
            return
        v = np.asarray(self.values[a])
        to = self.rng.choice(
            ("float32", "float64", "float16", "float16", "int32", "int64", "int8", "bool", "uint8")
        )
        if to in ("float32", "float64"):
            self.add(f"{a}.astype('{to}')", a)
        elif a in self.exact:
            if v.dtype.kind == "f" and to not in ("float16", "bool"):
                if not np.all(np.isfinite(v)):
                    return
                self.add(f"{a}.clip({0 if to == 'uint8' else -100}, 100).astype('{to}')", a)
            else:
                self.add(f"{a}.astype('{to}')", a)

    def reduce(self) -> None:
        a = self.pick("f" if self.smooth else "biuf", least=1)
        if not a:
            return
        v = np.asarray(self.values[a])
        op = self.rng.choice(("sum", "sum", "max", "min", "mean"))
        if op == "mean" and (self.whole or v.dtype.kind != "f"):
            op = "sum"
        count = self.rng.randint(1, v.ndim)
        axes = tuple(sorted(self.rng.sample(range(v.ndim), count)))
        axis: Any = None if count == v.ndim and self.rng.random() < 0.5 else axes if count > 1 else axes[0]
        if op in ("max", "min") and v.dtype == bool:
            return
        exact = op in ("max", "min") or v.dtype.kind in "biu" or (self.whole and not self.special)
        if v.dtype == np.float16 and op in ("sum", "mean"):
            exact = False
        keep = self.rng.random() < 0.4
        self.add(f"{a}.{op}(axis={axis}, keepdims={keep})", a, exact=exact)

    def product(self) -> None:
        a = self.pick("f" if self.smooth else "iuf", least=1)
        b = self.pick("f" if self.smooth else "iuf", least=1)
        if not a or not b:
            return
        va, vb = np.asarray(self.values[a]), np.asarray(self.values[b])
        half = np.float16 in (va.dtype, vb.dtype)
        exact = (va.dtype.kind in "iu" and vb.dtype.kind in "iu") or (
            self.whole and not self.special and not half
        )
        for text in (f"{a} @ {b}", f"{a} @ {b}.T", f"{a}.T @ {b}", f"{b} @ {a}", f"{a} @ {a}.T"):
            if self.add(text, a, b, exact=exact):
                return

    def view(self) -> None:
        a = self.pick("f" if self.smooth else ANY, least=1)
        if not a:
            return
        rng, shape = self.rng, np.shape(self.values[a])
        kind = rng.choice(("T", "perm", "reshape", "reshape", "slice", "slice", "slice", "none"))
        if kind == "T":
            self.add(f"{a}.T", a)
        elif kind == "perm":
            self.add(f"{a}.transpose({tuple(rng.sample(range(len(shape)), len(shape)))})", a)
        elif kind == "none":
            at = rng.randint(0, len(shape))
            keys = [":"] * len(shape)
            keys.insert(at, "None")
            self.add(f"{a}[{', '.join(keys)}]", a)
        elif kind == "reshape":
            size = int(np.prod(shape))
            first = rng.choice([d for d in range(1, min(size, 70) + 1) if size % d == 0] or [1])
            forms = ["-1", f"{first}, -1", f"-1, {first}", ", ".join(map(str, shape[::-1]))]
            if len(shape) > 1:
                forms.append(f"{shape[0]}, -1")
            if size:
                self.add(f"{a}.reshape({rng.choice(forms)})", a)
        else:
            self.add(f"{a}[{', '.join(self._key(n) for n in shape)}]", a)

    def _key(self, n: int) -> str:
        rng = self.rng
        r = rng.random()
        if r < 0.3:
            return ":"
        if r < 0.45 and n:
            return str(rng.randrange(-n, n))
        bounds = [rng.choice(("", str(rng.randint(-n - 1, n + 1)))) for _ in range(2)]
        step = rng.choice(("", "", "2", "3", "-1", "-1", "-2", "7"))
        key = f"{bounds[0]}:{bounds[1]}:{step}"
        if len(range(n)[slice(*(int(p) if p else None for p in key.split(":")))]) == 0 and rng.random() < 0.9:
            return "::-1"
        return key

    def shared(self) -> None:
        """The same expression twice."""
        if self.statements:
            name, text = self.rng.choice(self.statements)
            if name in self.exact:
                self.exact.add(f"v{len(self.statements)}")
            self.add(text, name)
