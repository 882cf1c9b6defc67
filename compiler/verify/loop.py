"""Legality of functions of the loop level."""

from __future__ import annotations

import functools
from typing import NoReturn

from ..ir import loop as lp
from ..ir.layout import can_be_defined
from ..ir.types import DTYPES, DType, b1, i32, i64, u32, u64
from ..text.lexer import MAX_DEPTH, fit, is_name
from ..text.loop import KINDS, MAX_LANES, implied, statement_text, type_text
from .error import VerifyError
from .team import lonely

_MAX_ALLOC = 1 << 31  # elements of one alloc
MAX_TEAM = 32  # threads

_fit = functools.lru_cache(maxsize=4096, typed=True)(fit)


def verify_func(func: lp.Func) -> None:
    """Raises VerifyError unless, in short:

    - every value is defined once, and used, with its own type, only after that in its block or
      below;
    - every instruction has its number of operands, of one dtype that it takes and of the result's
      lanes; formats for memory alone are moved, and converted from and to the one they are computed in;
    - arrays are slots, or allocs or windows above; an element's dtype is the array's; indices and strides are
      i64 scalars;
    - masks are b1 of as many lanes as the value; literals fit their dtype;
    - a team has 1 to 32 threads, memory of a size that a slot tells is shared, and a loop around a barrier
      has bounds that are the same for all threads;
    - loops have a known kind, a positive step if that is a literal, and equal types of inits,
      carried values, yields and results; a parallel loop stands outermost and carries nothing; what
      runs once begins at 0."""
    _Check(func).run()


def _converts(source: DType, target: DType) -> bool:
    """A format for memory alone is made of the one in which it is computed, and widened to that."""
    return source.wide in (None, target) and target.wide in (None, source)


def _gives(stmt: lp.Let) -> bool:
    """Whether an instruction that states its type may have it."""
    op, args, dtype, lanes = stmt.op, stmt.args, stmt.result.dtype, stmt.result.lanes
    told = zip(args, implied(op, args, (dtype, lanes)), strict=True)
    if any(want not in (None, (arg.dtype, arg.lanes)) for arg, want in told):
        return False
    placed = zip(args, lp.INSTRUCTIONS[op].operands, strict=True)
    literals = [arg if isinstance(arg, lp.Imm) else None for arg, letter in placed if letter in "nt"]
    match op:
        case "iota":
            return dtype.kind in "iuf" and dtype.wide is None
        case "pack_lo" | "pack_hi" | "spread" | "collect" | "shuffle":
            numbers = [int(n.value) for n in literals if n is not None and (n.dtype, n.lanes) == (i32, 1)]
            if len(numbers) < len(literals):
                return False
            if op == "shuffle":
                return 0 <= numbers[0] < lanes and not lanes & (lanes - 1)
            # pairs of n lanes fill a vector
            return numbers[0] > 0 and (len(numbers) > 1 or lanes % (2 * numbers[0]) == 0)
        case "any" | "count":
            return args[0].dtype is b1 and (dtype, lanes) == (b1 if op == "any" else i64, 1)
        case "compress":
            return lanes > 1
        case "table":
            counted = {32: u32, 64: u64}.get(dtype.bits)
            return (args[0].dtype, args[0].lanes) == (counted, lanes) and None not in literals
        case "cast":
            return args[0].lanes == lanes and _converts(args[0].dtype, dtype)
        case "bitcast":
            return (args[0].dtype.bits, args[0].lanes) == (dtype.bits, lanes) and dtype is not b1
    return True


class _Check:
    def __init__(self, func: lp.Func) -> None:
        self.func = func
        self.defined: set[str] = set()
        self.known: dict[str, lp.Value] = {}  # here: names are defined once
        self.scopes: list[list[str]] = [[]]
        self.arrays: list[dict[str, DType]] = [{}]
        self.named: set[str] = set()  # arrays
        self.stmt: lp.Stmt | None = None

    def fail(self, message: str) -> NoReturn:
        stmt = self.stmt
        text = "" if stmt is None else statement_text(stmt)
        loc = stmt.loc if isinstance(stmt, lp.Let | lp.Load | lp.Store) else None
        raise VerifyError(f"func {self.func.name}: {message}", text, loc)

    def run(self) -> None:
        func = self.func
        if not is_name(func.name) or not can_be_defined(func.name):
            self.fail(f"`{func.name}` cannot be a name")
        if not 0 < func.team <= MAX_TEAM:
            self.fail(f"a team has 1 to {MAX_TEAM} threads, not {func.team}")
        for value in (lp.BEGIN, lp.END, lp.THREAD):
            self.define(value)
        for slot in func.slots:
            if not is_name(slot.name):
                self.fail(f"`{slot.name}` cannot name a slot")
            if slot.kind not in ("array", "int", "scalar"):
                self.fail(f"the slot `{slot.name}` has no known kind")
            if slot.kind == "int" and slot.dtype is not i64:
                self.fail(f"the slot `{slot.name}` must be i64")
            if slot.kind == "array":
                self.name_array(slot.name, slot.dtype)
            else:
                self.define(lp.Value(slot.name, slot.dtype))
        self.block(func.body, 0)
        self.stmt = lonely(func)
        if self.stmt is not None:
            self.fail("a barrier in a loop whose bounds differ from thread to thread")

    def define(self, value: lp.Value) -> None:
        if value.name in self.defined:
            self.fail(f"`%{value.name}` is defined twice")
        if not is_name("v" + value.name):
            self.fail(f"`%{value.name}` cannot be a name")
        if not 0 < value.lanes <= MAX_LANES or DTYPES.get(value.dtype.name) is not value.dtype:
            self.fail(f"`%{value.name}` has no known type")
        self.defined.add(value.name)
        self.known[value.name] = value
        self.scopes[-1].append(value.name)

    def name_array(self, name: str, dtype: DType) -> None:
        if not is_name(name):
            self.fail(f"`{name}` cannot name an array")
        if name in self.named:
            self.fail(f"the array `{name}` is there twice")
        self.named.add(name)
        self.arrays[-1][name] = dtype

    # --- statements -------------------------------------------------------------------------------

    def block(self, body: tuple[lp.Stmt, ...], depth: int) -> None:
        if depth > MAX_DEPTH:
            self.fail(f"loops are nested deeper than {MAX_DEPTH}")
        for stmt in body:
            self.stmt = stmt
            match stmt:
                case lp.Let():
                    self.let(stmt)
                case lp.Load(result, array, index, stride, mask):
                    self.element(array, result.dtype, index, stride, result.lanes)
                    self.mask(mask, result.lanes)
                    self.neighbours(stmt, result.lanes)
                    self.define(result)
                case lp.Store(array, index, value, stride, mask, stream):
                    self.use(value)
                    self.element(array, value.dtype, index, stride, value.lanes)
                    self.mask(mask, value.lanes)
                    if stream and (stride is not None or index.lanes > 1):
                        self.fail("a strided store cannot stream")
                    self.neighbours(stmt, value.lanes)
                case lp.Prefetch(array, index, _):
                    if not any(array in scope for scope in self.arrays):
                        self.fail(f"the array `{array}` is not known here")
                    self.index(index, "an index")
                case lp.Aligned(result, array, size):
                    if not any(array in scope for scope in self.arrays) or result.dtype is not i64:
                        self.fail("`aligned` takes an array and gives an i64")
                    if size < 1 or size & (size - 1):
                        self.fail("bytes to be aligned to are a power of two")
                    self.define(result)
                case lp.Window(name, dtype, array, index, choice, other, at):
                    self.element(array, dtype, index, None)
                    if choice is not None:
                        self.index(choice, "a choice")
                        self.element(other, dtype, at, None)
                    self.name_array(name, dtype)
                case lp.Alloc():
                    self.alloc(stmt, depth)
                case lp.Barrier():
                    pass
                case lp.For():
                    self.loop(stmt, depth)
                case _:
                    self.fail(f"{stmt!r} is not a statement")

    def alloc(self, stmt: lp.Alloc, depth: int) -> None:
        name, dtype, count = stmt.name, stmt.dtype, stmt.count
        if isinstance(count, int):
            if not 0 < count <= _MAX_ALLOC:
                self.fail(f"an alloc of {count} elements")
        elif not stmt.shared or not any(s.name == count.name and s.kind == "int" for s in self.func.slots):
            self.fail("the size of an alloc is a number, or of shared memory a slot of integers")
        if depth:
            self.fail("an alloc stands before all loops")
        self.name_array(name, dtype)

    def let(self, stmt: lp.Let) -> None:
        op, args, result = stmt.op, stmt.args, stmt.result
        form = lp.INSTRUCTIONS.get(op)
        if form is None:
            self.fail(f"`{op}` is not an instruction")
        if len(args) != len(form.operands):
            self.fail(f"{op} has {len(form.operands)} operands, not {len(args)}")
        for arg in args:
            self.use(arg)
        same = [a for a, letter in zip(args, form.operands, strict=True) if letter not in ("b", "n", "u")]
        for arg in same:
            if (arg.dtype, arg.lanes) != (same[0].dtype, same[0].lanes):
                self.fail("the operands differ in type")
            if arg.dtype.kind not in form.kinds or (arg.dtype.wide is not None and not form.moves):
                self.fail(f"{op} is not defined for {arg.dtype}")
        if op == "select" and (args[0].dtype, args[0].lanes) != (b1, args[1].lanes):
            self.fail(f"select needs a {type_text(b1, args[1].lanes)} first")
        if op in lp.SHAPED:
            if not _gives(stmt):
                self.fail(f"{op} cannot give {type_text(result.dtype, result.lanes)} here")
        elif (result.dtype, result.lanes) != (expected := lp.result_type(op, args)):
            self.fail(f"{op} gives {type_text(*expected)} here")
        self.define(result)

    def loop(self, stmt: lp.For, depth: int) -> None:
        for bound in (stmt.lo, stmt.hi, stmt.step):
            self.index(bound, "a bound of a loop")
        if isinstance(stmt.step, lp.Imm) and stmt.step.value <= 0:
            self.fail("the step must be positive")
        if stmt.kind not in KINDS:
            self.fail(f"`{stmt.kind}` is not a kind of loop ({', '.join(KINDS)})")
        if stmt.kind == "parallel" and (depth or stmt.carried):
            self.fail("a parallel loop stands outermost and carries nothing")
        if stmt.kind == "once" and (stmt.lo, stmt.step) != (lp.Imm(0, i64), lp.Imm(1, i64)):
            self.fail("what runs once begins at 0, with a step of 1")
        if (stmt.var.dtype, stmt.var.lanes) != (i64, 1):
            self.fail(f"`%{stmt.var.name}` must be i64")
        count = len(stmt.carried)
        if not count == len(stmt.inits) == len(stmt.yields) == len(stmt.results):
            self.fail("inits, carried values, yields and results differ in number")
        for k, init in enumerate(stmt.inits):
            self.use(init)
            self.alike(init, stmt.carried[k])
            self.alike(stmt.results[k], stmt.carried[k])
        self.scopes.append([])
        self.arrays.append({})
        self.define(stmt.var)
        for value in stmt.carried:
            self.define(value)
        self.block(stmt.body, depth + 1)
        self.stmt = stmt
        for k, after in enumerate(stmt.yields):
            self.use(after)
            self.alike(after, stmt.carried[k])
        for name in self.scopes.pop():
            del self.known[name]
        self.arrays.pop()
        for value in stmt.results:
            self.define(value)

    # --- operands ---------------------------------------------------------------------------------

    def use(self, operand: lp.Operand) -> None:
        if isinstance(operand, lp.Imm):
            if operand.lanes < 1:
                self.fail("a literal has no lanes")
            try:
                _fit(operand.value, operand.dtype)
            except (TypeError, ValueError) as error:
                self.fail(str(error))
            return
        known = self.known.get(operand.name)
        if known is operand:
            return
        if known is None:
            where = "is not known here" if operand.name in self.defined else "is not defined"
            self.fail(f"`%{operand.name}` {where}")
        if known != operand:
            has, says = type_text(known.dtype, known.lanes), type_text(operand.dtype, operand.lanes)
            self.fail(f"`%{operand.name}` is {has}, not {says}")

    def alike(self, value: lp.Operand, carried: lp.Value) -> None:
        if (value.dtype, value.lanes) != (carried.dtype, carried.lanes):
            expected = type_text(carried.dtype, carried.lanes)
            self.fail(f"`%{carried.name}` is {expected}, but {type_text(value.dtype, value.lanes)}")

    def index(self, operand: lp.Operand, what: str) -> None:
        self.use(operand)
        if (operand.dtype, operand.lanes) != (i64, 1):
            self.fail(f"{what} must be i64, not {type_text(operand.dtype, operand.lanes)}")

    def element(
        self, array: str, dtype: DType, index: lp.Operand, stride: lp.Operand | None, lanes: int = 1
    ) -> None:
        """`lanes` of a load or store, which may have an index for each."""
        known = next((s[array] for s in reversed(self.arrays) if array in s), None)
        if known is None:
            self.fail(f"the array `{array}` is not known here")
        if known != dtype:
            self.fail(f"`{array}` holds {known}, not {dtype}")
        if lanes > 1 and index.lanes > 1:
            self.use(index)
            if (index.dtype, index.lanes) != (i64, lanes) or stride is not None:
                self.fail(f"the indices of {lanes} lanes are {lanes} i64, without a stride")
            return
        self.index(index, "an index")
        if stride is not None:
            self.index(stride, "a stride")

    def neighbours(self, stmt: lp.Load | lp.Store, lanes: int) -> None:
        if stmt.aligned and (lanes == 1 or stmt.stride is not None or stmt.index.lanes > 1):
            self.fail("what is aligned are lanes that are neighbours in memory")

    def mask(self, mask: lp.Operand | None, lanes: int) -> None:
        if mask is None:
            return
        self.use(mask)
        if (mask.dtype, mask.lanes) != (b1, lanes):
            has = type_text(mask.dtype, mask.lanes)
            self.fail(f"a mask must be {type_text(b1, lanes)}, not {has}")
