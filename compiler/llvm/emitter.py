"""Loops to LLVM text, in SSA form: no IR pass has to run before code generation. This is what targets share:
the walk, names, loops, arithmetic.

Arithmetic carries no fast-math flag, memory operations carry no alias or range promise that the verifier did
not check. A bool is `i1` in registers and a byte in memory. How lanes lie in registers, and memory, is the
target's: `cpu/emit.py`, `gpu/emit.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..ir.loop import Aligned, For, Imm, Let, Load, Operand, Stmt, Store, Window
from ..ir.types import DTYPES, DType, b1
from .casts import Casts
from .lines import Lines

_FLOAT = {
    "add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv",
    "eq": "fcmp oeq", "ne": "fcmp une", "lt": "fcmp olt", "le": "fcmp ole",
    "gt": "fcmp ogt", "ge": "fcmp oge",
}  # fmt: skip
_SIGNED = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "sdiv", "rem": "srem", "and": "and",
    "or": "or", "xor": "xor", "shl": "shl", "shr": "ashr",
    "eq": "icmp eq", "ne": "icmp ne", "lt": "icmp slt", "le": "icmp sle",
    "gt": "icmp sgt", "ge": "icmp sge",
}  # fmt: skip
_UNSIGNED = _SIGNED | {
    "div": "udiv", "rem": "urem", "shr": "lshr",
    "lt": "icmp ult", "le": "icmp ule", "gt": "icmp ugt", "ge": "icmp uge",
}  # fmt: skip
_BINARY = {"f": _FLOAT, "i": _SIGNED, "u": _UNSIGNED, "b": _UNSIGNED}
_INTRINSIC = {
    "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "rint": "rint", "fma": "fma",
}  # fmt: skip

# Lanes in another place, and what all lanes tell: how they lie in registers is the target's.
ARRANGED = (
    "splat", "iota", "lo", "hi", "pack_lo", "pack_hi", "spread", "collect", "shuffle", "any", "count",
    "compress", "table",
)  # fmt: skip


def literal(operand: Operand) -> int:
    assert isinstance(operand, Imm)
    return int(operand.value)


class Emitter(Casts, ABC):
    def __init__(self, marks: Lines | None = None) -> None:
        super().__init__()
        self.marks = marks
        self.pointers: dict[str, tuple[str, DType]] = {}

    # -- what is the target's

    @abstractmethod
    def load(self, stmt: Load) -> str: ...

    @abstractmethod
    def store(self, stmt: Store) -> None: ...

    @abstractmethod
    def arrange(self, stmt: Let) -> str:
        """Those of ARRANGED: lanes in another place."""

    @abstractmethod
    def remainder(self, x: Operand, y: Operand) -> str:
        """Of floats: exact, as C's fmod is."""

    @abstractmethod
    def other(self, stmt: Stmt) -> None:
        """A statement that not all targets have. TypeError for what is none."""

    def address(self, array: str) -> str:
        """The type of a pointer to an array."""
        return "ptr"

    # -- statements

    def stmt(self, stmt: Stmt) -> None:
        if self.marks is not None:
            self.mark = self.marks.of(stmt)
        if isinstance(stmt, Let):
            self.known(stmt.result, self.instruction(stmt))
        elif isinstance(stmt, Load):
            self.known(stmt.result, self.load(stmt))
        elif isinstance(stmt, Store):
            self.store(stmt)
        elif isinstance(stmt, For):
            self.loop(stmt)
        elif isinstance(stmt, Window):
            self.window(stmt)
        else:
            self.other(stmt)

    def window(self, stmt: Window) -> None:
        name = self.pointer(stmt.array, self.ref(stmt.index))
        if stmt.choice is not None:
            kind = self.address(stmt.array)
            other = self.pointer(stmt.other, self.ref(stmt.at))
            chosen = self.let(f"icmp ne i64 {self.ref(stmt.choice)}, 0")
            name = self.let(f"select i1 {chosen}, {kind} {name}, {kind} {other}", stmt.name)
        self.pointers[stmt.name] = (name, stmt.dtype)

    def aligned(self, stmt: Aligned) -> str:
        number = self.let(f"ptrtoint {self.address(stmt.array)} {self.pointers[stmt.array][0]} to i64")
        low = self.let(f"and i64 {number}, {stmt.bytes - 1}")
        return self.let(f"zext i1 {self.let(f'icmp eq i64 {low}, 0')} to i64")

    def pointer(self, array: str, index: str) -> str:
        base, dtype = self.pointers[array]
        return self.let(f"getelementptr {dtype.llvm}, {self.address(array)} {base}, i64 {index}")

    def once(self, stmt: For) -> None:
        """A branch. As a loop, LLVM would compute before it what does not depend on turns."""
        self.count += 1
        body, done, before = f"body{self.count}", f"done{self.count}", self.block
        runs = self.let(f"icmp ne i64 {self.ref(stmt.hi)}, 0")
        self.label(body, f"br i1 {runs}, label %{body}, label %{done}")
        inits = [self.ref(v) for v in stmt.inits]
        backs = self.branch(stmt)
        if self.marks is not None:
            self.mark = self.marks.of(stmt)
        found = [
            f"{self.type_of(v)} [ {back}, %{self.block} ]" for v, back in zip(stmt.yields, backs, strict=True)
        ]
        self.label(done, f"br label %{done}")
        for value, init, back in zip(stmt.results, inits, found, strict=True):
            self.names[value.name] = self.let(f"phi {back}, [ {init}, %{before} ]")

    def branch(self, stmt: For) -> list[str]:
        """What is inside; returns what it yields."""
        self.names[stmt.var.name] = "0"
        for value, init in zip(stmt.carried, stmt.inits, strict=True):
            self.names[value.name] = self.ref(init)
        for statement in stmt.body:
            self.stmt(statement)
        return [self.ref(v) for v in stmt.yields]

    def loop(self, stmt: For) -> None:
        if stmt.kind == "once":
            self.once(stmt)
        else:
            self.again(stmt)

    def again(self, stmt: For) -> None:
        self.count += 1
        head, body, done = f"head{self.count}", f"body{self.count}", f"done{self.count}"
        before = self.block
        self.label(head, f"br label %{head}")
        var, step = self.fresh("i"), self.fresh("next")
        phis = [self.fresh("c") for _ in stmt.carried]
        mark = len(self.lines)  # phis are written when the values of the back edge are known
        more = self.let(f"icmp slt i64 {var}, {self.ref(stmt.hi)}")
        self.label(body, f"br i1 {more}, label %{body}, label %{done}")
        self.names[stmt.var.name] = var
        for value, name in zip(stmt.carried, phis, strict=True):
            self.names[value.name] = name
        inits = [self.ref(v) for v in stmt.inits]
        for statement in stmt.body:
            self.stmt(statement)
        if self.marks is not None:
            self.mark = self.marks.of(stmt)
        self.put(f"{step} = add i64 {var}, {self.ref(stmt.step)}")
        latch = self.block
        first = f"{var} = phi i64 [ {self.ref(stmt.lo)}, %{before} ], [ {step}, %{latch} ]"
        lines = [f"  {first}{self.mark}"]
        for init, name, back in zip(inits, phis, stmt.yields, strict=True):
            kind, back_text = self.type_of(back), self.ref(back)
            lines.append(f"  {name} = phi {kind} [ {init}, %{before} ], [ {back_text}, %{latch} ]{self.mark}")
        self.lines[mark:mark] = lines
        self.label(done, f"br label %{head}")
        for value, name in zip(stmt.results, phis, strict=True):
            self.names[value.name] = name

    # -- instructions

    def instruction(self, stmt: Let) -> str:
        op, args, result = stmt.op, stmt.args, stmt.result
        kind = self.type_of(result)
        if op == "rem" and result.dtype.is_float:
            return self.remainder(args[0], args[1])
        if op in _BINARY["i"] or op in _FLOAT:
            code = _BINARY[args[0].dtype.kind][op]
            return self.let(f"{code} {self.typed(args[0])}, {self.ref(args[1])}")
        if op in _INTRINSIC:
            name = f"llvm.{_INTRINSIC[op]}.{self.suffix(result)}"
            return self.call(name, kind, [(self.type_of(a), self.ref(a)) for a in args])
        if op == "scale":
            return self.scale(args[0], args[1])
        if op == "sign":
            return self.sign(args[0])
        if op in ("min", "max"):
            return self.extreme("ogt" if op == "max" else "olt", *args)
        if op == "neg":
            if result.dtype.is_float:
                return self.let(f"fneg {self.typed(args[0])}")
            zero = Imm(0, result.dtype, result.lanes)
            return self.let(f"sub {kind} {self.ref(zero)}, {self.ref(args[0])}")
        if op == "not":
            ones = Imm(True if result.dtype is b1 else -1, result.dtype, result.lanes)
            return self.let(f"xor {self.typed(args[0])}, {self.ref(ones)}")
        if op == "select":
            return self.let("select " + ", ".join(self.typed(a) for a in args))
        if op == "cast":
            return self.cast(args[0], result)
        if op == "bitcast":
            return self.let(f"bitcast {self.typed(args[0])} to {kind}")
        if op in ARRANGED:
            return self.arrange(stmt)
        raise ValueError(f"`{op}` is not an instruction")

    def scale(self, x: Operand, k: Operand) -> str:
        """By two products: 2**k itself may be out of range, two powers of about half the exponent are not,
        and the first product is exact."""
        dtype, lanes, kind = x.dtype, x.lanes, self.type_of(x)
        fraction = dtype.fraction
        bias = (1 << (dtype.bits - 2 - fraction)) - 1
        ints = DTYPES[f"u{dtype.bits}"]
        integer = self.vector(ints.llvm, lanes)

        # k + 2 bias in the low bits: the exponent fields of both powers add up to it
        shifter = self.number(1.5 * 2.0**fraction + 2 * bias, dtype, lanes)
        shifted = self.let(f"fadd {kind} {self.ref(k)}, {shifter}")
        whole = self.let(f"bitcast {kind} {shifted} to {integer}")
        exponents = ((1 << (dtype.bits - 1 - fraction)) - 1) << fraction
        half = self.let(f"shl {integer} {whole}, {self.number(fraction - 1, ints, lanes)}")
        first = self.let(f"and {integer} {half}, {self.number(exponents, ints, lanes)}")
        both = self.let(f"shl {integer} {whole}, {self.number(fraction, ints, lanes)}")
        second = self.let(f"sub {integer} {both}, {first}")
        powers = [self.let(f"bitcast {integer} {n} to {kind}") for n in (first, second)]
        scaled = self.let(f"fmul {kind} {self.ref(x)}, {powers[0]}")
        return self.let(f"fmul {kind} {scaled}, {powers[1]}")

    def sign(self, x: Operand) -> str:
        """By bits."""
        dtype, lanes, kind = x.dtype, x.lanes, self.type_of(x)
        ints = DTYPES[f"i{dtype.bits}"]
        integer = self.vector(ints.llvm, lanes)

        size = self.call(f"llvm.fabs.{self.suffix(x)}", kind, [(kind, self.ref(x))])
        nonzero = self.let(f"fcmp ogt {kind} {size}, {self.number(0, dtype, lanes)}")
        raw = self.let(f"bitcast {self.typed(x)} to {integer}")
        top = self.let(f"and {integer} {raw}, {self.number(-(1 << (dtype.bits - 1)), ints, lanes)}")
        one = self.let(f"bitcast {kind} {self.number(1, dtype, lanes)} to {integer}")
        unit = self.let(f"bitcast {integer} {self.let(f'or {integer} {one}, {top}')} to {kind}")
        rest = self.let(f"fadd {kind} {self.ref(x)}, {self.number(0, dtype, lanes)}")  # NaN, and 0.0 for -0.0
        return self.let(f"select {self.vector('i1', lanes)} {nonzero}, {kind} {unit}, {kind} {rest}")

    def extreme(self, better: str, x: Operand, y: Operand) -> str:
        test = self.vector("i1", x.lanes)
        found = self.let(f"fcmp {better} {self.typed(x)}, {self.ref(y)}")
        best = self.let(f"select {test} {found}, {self.typed(x)}, {self.typed(y)}")
        return self.or_nan(x, best)

    def or_nan(self, x: Operand, best: str) -> str:
        """x where it is NaN, else `best`."""
        kind, test = self.type_of(x), self.vector("i1", x.lanes)
        nan = self.let(f"fcmp uno {self.typed(x)}, {self.ref(x)}")
        return self.let(f"select {test} {nan}, {self.typed(x)}, {kind} {best}")

    # -- memory

    def from_memory(self, text: str, dtype: DType, lanes: int) -> str:
        if dtype is not b1:
            return text
        kind = self.vector("i8", lanes)
        zero = "0" if self.held(lanes) == 1 else "zeroinitializer"
        return self.let(f"icmp ne {kind} {text}, {zero}")
