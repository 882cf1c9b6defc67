"""More kinds of statements: what an order or an index decides, what changes arrays, control flow,
complex numbers and bfloat16."""

from __future__ import annotations

import functools

import numpy as np

from lucid.compiler.ir.types import from_numpy
from lucid.compiler.ops import REGISTRY

from .maker import ANY, DTYPES, Maker

# {0} and {1} are values, or a value and one of its axes.
_COMPLEX = (
    "{0} + {1}", "{0} - {1}", "{1} - {0}", "{0} * {1}", "{0} * {1}", "-{0}", "L.abs({0})", "L.conj({0})",
    "L.real({0})", "L.imag({0})", "{0}.sum(axis=-1)", "{0} @ {1}", "{0} == {1}",
)  # fmt: skip
_BRAIN = (
    "{0} + {1}", "{0} - {1}", "{0} * {1}", "L.maximum({0}, {1})", "L.minimum({1}, {0})", "-{0}", "abs({0})",
    "{0}.astype('float32')", "{0} < {1}", "{0}.max(axis=0)",
)  # fmt: skip
_MOVED = (
    "L.diff({0}, axis={1})", "L.pad({0}, 2)", "L.tril({0})", "L.triu({0}, 1)",
    "L.stack(({0}, {0}), axis={1})",
)  # fmt: skip
_TOLD = (
    "{0}.any(axis={1})", "{0}.all(axis={1})", "L.count_nonzero({0}, axis={1})", "L.nan_to_num({0})",
)  # fmt: skip
_RULED = (
    "{0} - -{1}", "{0} + -{1}", "-(-{0})", "abs(-{0})", "abs(abs({0}))", "{0} * 1", "1 * {0}", "{0} * 0",
    "{0} + 0", "{0} - 0", "0 - {0}", "L.where({0} < {1}, {1}, {1})", "L.where({0} < {0}, {0}, {1})",
    "L.maximum({0}, {0})", "L.minimum({1}, {1} + 0)",
    "L.stack(({0}, {0}), axis=0).max(axis=0)", "{0}[None].sum(axis=0)",
    "{0}[None, :].max(axis=0)", "L.stack(({0}, {0}), axis=0).min(axis=0)",
)  # fmt: skip
_ROUNDED = ("{0}.var(axis={1})", "{0}.prod(axis={1})", "L.outer({0}, {0})")


class Wider(Maker):
    def scan(self) -> None:
        a = self.pick("f" if self.smooth else "iuf", least=1)
        if a:
            v = np.asarray(self.values[a])
            op = self.rng.choice(("cumsum", "cumsum", "cumprod") if self.smooth else ("cumsum",))
            exact = v.dtype.kind in "iu" or (self.whole and not self.special and v.dtype != np.float16)
            self.add(f"L.{op}({a}, axis={self.rng.randrange(v.ndim)})", a, exact=exact)

    def gather(self) -> None:
        """Rows by constant indices, some of them twice; or an array by places."""
        a = self.pick("f" if self.smooth else ANY, least=1)
        if not a or not np.shape(self.values[a])[0]:
            return
        n = np.shape(self.values[a])[0]
        rows = [self.rng.randrange(-n, n) for _ in range(self.rng.choice((1, 2, 5, 17)))]
        self.add(f"{a}[[{', '.join(map(str, rows))}]]", a)

    def place(self) -> None:
        a = self.pick("iuf", exact=True, least=1)
        if a and not self.smooth and np.size(self.values[a]):
            axis = self.rng.choice((None, *range(np.ndim(self.values[a]))))
            self.add(f"{a}.{self.rng.choice(('argmax', 'argmin'))}(axis={axis})", a)

    def ordered(self) -> None:
        a = self.pick("f" if self.smooth else "iuf", exact=not self.smooth, least=1)
        if a:
            axis = self.rng.randrange(np.ndim(self.values[a]))
            text = f"L.{self.rng.choice(('sort', 'flip'))}({a}, axis={axis})"
            # NumPy leaves zeros of both signs in their order, lucid puts -0 before 0: a quotient would tell
            self.add(f"{text} + 0" if self.special and "sort" in text else text, a)

    def joined(self) -> None:
        a = self.pick("f" if self.smooth else ANY, least=1)
        b = a and self.pick("f" if self.smooth else ANY, least=1)
        if a and b:
            axis = self.rng.randrange(np.ndim(self.values[a]))
            parts = self.rng.choice((f"{a}, {b}", f"{a}, {a}", f"{b}, {a}, {b}"))
            self.add(f"L.concatenate(({parts}), axis={axis})", a, b)

    def rolled(self) -> None:
        a = self.pick("f" if self.smooth else ANY, least=1)
        if a:
            axis, by = self.rng.randrange(np.ndim(self.values[a])), self.rng.choice((1, -1, 3, 40))
            self.add(f"L.roll({a}, {by}, axis={axis})", a)

    def function(self) -> None:
        """An elementary function of the registry that NumPy has, too."""
        a = self.pick("f")
        if not a or self.whole or np.asarray(self.values[a]).dtype == np.float16:
            return
        name, (low, high) = self.rng.choice(_functions())
        self.add(f"L.{name}({a}.clip({low}, {high}))", a, exact=False)

    def told(self) -> None:
        a = self.pick("f", exact=True)
        if a and not self.smooth:
            self.add(
                f"L.{self.rng.choice(('isnan', 'isfinite', 'signbit', 'floor', 'trunc', 'rint'))}({a})", a
            )

    # --- numbers that are not of float32 and float64 ----------------------------------------------

    def complexes(self) -> None:
        rng = self.rng
        if self.smooth:
            a = self.pick("f")
            b = a and self.partner(a, "f")
            if a and b:
                form = rng.choice(("L.real({})", "L.imag({})", "L.abs({} + 9) - 9"))
                self.add(form.format(f"({a} + 1j * {b}) * ({b} - 0.5j * {a})"), a, b, exact=False)
            return
        a = self.pick("c")
        if not a or rng.random() < 0.3:
            a = self.pick("f")
            if a and np.asarray(self.values[a]).dtype.itemsize > 2:
                form = rng.choice(("{0} + 1j * {1}", "{0}.astype('complex64')", "{0}.astype('complex128')"))
                b = self.partner(a, "f") or a
                self.add(form.format(a, b), a, b, exact=not self.special)
            return
        b = self.partner(a, "cf") or a
        text = rng.choice(_COMPLEX)
        rounded = "*" in text or "@" in text or "sum" in text
        exact = not self.special and "abs" not in text and (self.whole or not rounded)
        self.add(text.format(a, b), a, b, exact=exact)

    def brain(self) -> None:
        """bfloat16, which rounds after each op."""
        a, rng = self.pick("V"), self.rng
        if not a:
            a = self.pick("f", exact=True)
            if "bfloat16" in self.dtypes and a and np.asarray(self.values[a]).dtype == np.float32:
                self.add(f"{a}.astype('bfloat16')", a)
            return
        b = self.partner(a, "V") or a
        self.add(rng.choice(_BRAIN).format(a, b), a, b)

    # --- Python decides ---------------------------------------------------------------------------

    def known(self, kind: type) -> str:
        """A number of Python's that the program is given."""
        names = [n for n, v in self.numbers.items() if type(v) is kind]
        if names and self.rng.random() < 0.5:
            return self.rng.choice(names)
        name = f"k{len(self.numbers)}"
        self.numbers[name] = {bool: True, int: self.rng.randint(1, 4), float: 0.5}[kind]
        return name

    def control(self) -> None:
        """Branches and loops over sizes and flags."""
        rng = self.rng
        a = self.pick("f" if self.smooth else "iuf", least=1)
        if not a:
            return
        count = rng.choice((f"{self.known(int)} + 1", f"{a}.shape[0] % 4 + 1", "3"))
        form = rng.choice(("branch", "branch", "total", "rows", "stack"))
        if form == "branch":
            b = self.pick("f" if self.smooth else "biuf")
            flag, n = self.known(bool), self.known(int)
            sizes = (f"{a}.shape[-1] > 16", f"{a}.ndim == 2", f"{a}.shape[0] == {n}")
            test = rng.choice((flag, f"{n} > 2", *sizes))
            if b:
                self.add(f"{a} if {test} else {b}", a, b)
        elif form == "total":
            self.add(f"sum([{a} * i0 for i0 in range({count})])", a)
        elif form == "rows":
            self.add(f"sum([{a}[i0] * (i0 + 1) for i0 in range({count})])", a)
        else:
            axis = rng.randint(0, np.ndim(self.values[a]))
            self.add(f"L.stack([{a} - i0 for i0 in range({count})], axis={axis})", a)

    def counted(self) -> None:
        """A number of Python's meets an array."""
        a = self.pick("f")
        if a:
            number = self.known(int if self.whole or self.rng.random() < 0.4 else float)
            self.add(self.rng.choice(("{0} * {1}", "{1} - {0}", "L.maximum({0}, {1})")).format(a, number), a)

    # --- elements by places -----------------------------------------------------------------------

    def places(self, a: str) -> tuple[str, str] | None:
        """A subscript of `a` along its first axis: a slice, constants (some of them twice), or values; and
        one of as many other elements, so that what comes twice to one place differs."""
        n = np.shape(self.values[a])[0]
        if not n:
            return None
        form = self.rng.random()
        if form < 0.3:
            return (key := self._key(n)), key
        if form < 0.6:
            count = self.rng.choice((1, 3, 17))
            one, other = ([self.rng.randrange(-n, n) for _ in range(count)] for _ in range(2))
            return str(one), str(other)
        by = self.pick("iu", exact=True)
        place = f"({by}.astype('int64') + {{}}) % {a}.shape[0]"
        return (place.format(0), place.format(1)) if by else None

    def looked_up(self) -> None:
        """Rows at places that are values."""
        a = self.pick("f" if self.smooth else ANY, least=1)
        by = a and self.pick("iu", exact=True)
        if a and by:
            self.add(f"{a}[{by}.astype('int64') % {a}.shape[0]]", a, by)

    def changed(self) -> None:
        """Other values at some places, in a new array or in place."""
        a, rng = self.pick("f" if self.smooth else "iuf", least=1), self.rng
        found = self.places(a) if a else None
        if not a or not found:
            return
        key, other = found
        value = rng.choice((f"{a}[{other}] * 2", f"1 - {a}[{other}]", f"{a}[{other}]", "3"))
        dtype = np.asarray(self.values[a]).dtype
        if rng.random() < 0.4:
            self.add(f"copied({a})[{key}].{rng.choice(('put', 'put', 'stay'))}({value})", a)
        else:
            how = rng.choice(("set", "add", "max", "min"))
            exact = how != "add" or dtype.kind in "iu" or (self.whole and not self.special)
            self.add(f"at({a})[{key}].{how}({value})", a, exact=exact and dtype != np.float16)

    def along(self) -> None:
        """Elements at places of one axis, of some of what lies along the others."""
        a, rng = self.pick("f" if self.smooth else "iuf", exact=True, least=1), self.rng
        b = a and self.partner(a, "iuf", exact=True)
        if not a or not b:
            return
        axis = rng.randrange(np.ndim(self.values[a]))
        some = ", ".join(rng.choice((":", ":", ":-1", "1:", "::2")) for _ in range(np.ndim(self.values[a])))
        place = f"((({a} < {b}).astype('int64') * 5 + {rng.randrange(4)}) % {a}.shape[{axis}])[{some}]"
        if rng.random() < 0.4:
            self.add(f"gathered({a}, {axis}, {place})", a, b)
        else:
            dtype = np.asarray(self.values[a]).dtype
            exact = dtype.kind in "iu" or (self.whole and not self.special and dtype != np.float16)
            self.add(f"scattered({a}, {axis}, {place}, {a}[{some}] * 2)", a, b, exact=exact)

    # --- what rules and gradients look for --------------------------------------------------------

    def ruled(self) -> None:
        """The forms that rules of `simplify` rewrite, and forms beside them; ties."""
        kinds = {np.asarray(v).dtype.kind for v in self.values.values()} & set("f" if self.smooth else "iuf")
        for _ in range(3):
            a = self.pick(self.rng.choice(sorted(kinds))) if kinds else None  # unsigned integers are few
            b = a and self.partner(a, "f" if self.smooth else "iuf")
            if a and b:
                self.add(self.rng.choice(_RULED).format(a, b), a, b)

    # --- more functions ---------------------------------------------------------------------------

    def of_one(self) -> None:
        a, rng = self.pick("f" if self.smooth else "iuf", least=1), self.rng
        if not a:
            return
        v, axis = np.asarray(self.values[a]), rng.randrange(np.ndim(self.values[a]))
        if self.smooth:
            text = rng.choice(_MOVED + _ROUNDED)
        else:
            text = rng.choice(_MOVED + _TOLD + (() if self.whole or v.dtype.kind != "f" else _ROUNDED))
        if (text in _TOLD and a not in self.exact) or ("prod" in text and v.dtype.itemsize == 2):
            return  # NumPy's products of float16 leave its range on the way
        self.add(text.format(a, axis), a, exact=text not in _ROUNDED)

    def of_two(self) -> None:
        a = self.pick("f", exact=not self.smooth)
        b = a and self.partner(a, "f", exact=not self.smooth)
        if not a or not b or 2 in (np.asarray(self.values[n]).dtype.itemsize for n in (a, b)):
            return
        if self.smooth:
            name = self.rng.choice(("hypot", "arctan2", "logaddexp"))
            self.add(f"L.{name}({a}, abs({b}) + 1)", a, b, exact=False)
        elif not self.whole:
            name = self.rng.choice(("hypot", "arctan2", "logaddexp", "copysign", "fmax", "fmin"))
            self.add(f"L.{name}({a}, {b})", a, b, exact=name in ("copysign", "fmax", "fmin"))


def _installed() -> tuple[str, ...]:
    """bfloat16, where ml_dtypes is installed."""
    try:
        np.dtype(from_numpy("bfloat16").np)
    except ImportError:
        return ()
    return ("bfloat16",)


@functools.cache
def every_dtype() -> tuple[str, ...]:
    """Those of the inputs of programs."""
    return (*DTYPES, "int16", "uint32", "complex64", "complex128", *_installed())


@functools.cache
def _functions() -> tuple[tuple[str, tuple[float, float]], ...]:
    """Names, and within what operands they are smooth and of moderate size."""
    found = []
    for op in REGISTRY.values():
        if op.ulp and op.named is not None and len(op.samples[0].shapes) == 1:
            low, high = op.domain
            width = high - low
            names = [n for n in op.named.names if hasattr(np, n)]
            found += [(names[0], (round(low + width / 8, 3), round(high - width / 8, 3)))] if names else []
    return tuple(found)
