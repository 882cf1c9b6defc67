"""NumPy evaluation of the loop level, one instruction at a time, with its exact semantics.

What has no meaning in compiled code (a division of integers by zero, a shift by the width, an
access outside of an array) raises here. So does nothing else: floats follow IEEE, silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..ir import loop as lp
from ..ir.rounding import Number, convert
from ..ir.types import DType, b1, from_numpy
from ..text.loop import statement_text
from .exact import fma
from .team import ALL, Race, Thread, Watch, run_team

Array = np.ndarray[Any, Any]
_Memory = tuple[Array, int]  # a flat array, and its element that a pointer points to


# --- instructions --------------------------------------------------------------------------------


def _scale(x: Array, k: Array) -> Array:
    whole = np.where(np.isnan(k), 0, k).astype(np.int32)
    return np.asarray(np.where(np.isnan(k), x * k, np.ldexp(x, whole)))


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    _check_divisor(a, b)
    q, r = np.floor_divide(a, b), np.remainder(a, b)
    return np.asarray(q + ((r != 0) & ((a < 0) != (b < 0))))  # floor, back to truncation


def _rem(a: Array, b: Array) -> Array:
    if a.dtype.kind != "f":
        _check_divisor(a, b)
    return np.asarray(np.fmod(a, b))


def _check_divisor(a: Array, b: Array) -> None:
    if np.any(b == 0):
        raise ZeroDivisionError("division of integers by zero")
    if a.dtype.kind == "i" and np.any((b == -1) & (a == np.iinfo(a.dtype).min)):
        raise OverflowError("division of the smallest integer by -1")


def _shift(apply: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def run(a: Array, amount: Array) -> Array:
        if np.any((amount < 0) | (amount >= a.dtype.itemsize * 8)):
            raise OverflowError("shift by the width of the number or more")
        return apply(a, amount)

    return run


def _extreme(better: np.ufunc) -> Callable[[Array, Array], Array]:
    def run(x: Array, y: Array) -> Array:
        return np.asarray(np.where(better(x, y) | np.isnan(x), x, y))

    return run


_EVALUATE: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": _divide, "rem": _rem,
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "fma": fma, "scale": _scale,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint,
    "sign": np.sign,
    "min": _extreme(np.less), "max": _extreme(np.greater),
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
    "shl": _shift(np.left_shift), "shr": _shift(np.right_shift),
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "select": np.where,
}  # fmt: skip


def evaluate_instruction(op: str, args: tuple[Array, ...], dtype: DType, lanes: int) -> Array:
    """One instruction of `loop.INSTRUCTIONS` on whole lanes.

    `args` are arrays of shape (lanes,) of one dtype (`select`: bool first; `splat`: one lane;
    `lo`, `hi`: twice the lanes). Returns shape (lanes,) in `dtype`. Integers wrap. Raises
    ZeroDivisionError or OverflowError where the instruction has no result, KeyError for no
    instruction."""
    with np.errstate(all="ignore"):
        match op:
            case "cast":
                return args[0] != 0 if dtype is b1 else convert(args[0], dtype)
            case "bitcast":
                return np.ascontiguousarray(args[0]).view(dtype.np)
            case "splat":
                return np.tile(args[0], lanes)
            case "iota":
                return np.arange(lanes).astype(dtype.np)
            case "lo":
                return args[0][:lanes]
            case "hi":
                return args[0][lanes:]
            case "any":
                return np.asarray(np.any(args[0], keepdims=True))
            case "count":
                return np.asarray([np.count_nonzero(args[0])], dtype.np)
            case "compress":
                kept = args[0][args[1]]
                return np.concatenate([kept, np.zeros(lanes - len(kept), dtype.np)])
            case "table":
                return np.asarray(np.concatenate(args[1:])[args[0] % lp.TABLE])
            case "pack_lo" | "pack_hi":
                n = int(args[2][0])
                part = slice(n) if op == "pack_lo" else slice(n, None)
                return np.concatenate([x.reshape(-1, 2 * n)[:, part].ravel() for x in args[:2]])
            case "shuffle":
                return np.asarray(args[0][np.arange(lanes) ^ int(args[1][0])])
            case "spread" | "collect":
                x, y, d, k = args
                taken = [lp.lane_of(op, n, lanes, int(d[0]), int(k[0])) for n in range(lanes)]
                return np.array([x[n] if m is None else y[m] for n, m in enumerate(taken)], dtype.np)
        return np.asarray(_EVALUATE[op](*args)).astype(dtype.np, copy=False)


def interpret_let(let: lp.Let, others: Mapping[str, lp.Let]) -> Array:
    """The result of an instruction whose operands are literals, or results of `others`."""
    values = {a.name: interpret_let(others[a.name], others) for a in let.args if isinstance(a, lp.Value)}
    args = tuple(_value(a, values) for a in let.args)
    return evaluate_instruction(let.op, args, let.result.dtype, let.result.lanes)


def run_instructions(
    write: Callable[..., tuple[lp.Operand, ...]], *operands: tuple[Array, ...]
) -> tuple[Array, ...]:
    """What the instructions that write(builder, *operands) makes give for arrays, element by element."""
    b, values = lp.Builder(), dict[str, Array]()
    names: list[tuple[lp.Value, ...]] = []
    for group in operands:
        names.append(tuple(b.fresh(from_numpy(a.dtype)) for a in group))
        values |= {name.name: a for name, a in zip(names[-1], group, strict=True)}
    results = write(b, *names)
    for _ in _run(b.done(), values, {}, None):
        raise TypeError("a barrier is no instruction")
    return tuple(_value(r, values) for r in results)


# --- functions -----------------------------------------------------------------------------------


def interpret_func(
    func: lp.Func,
    memory: Mapping[str, Array | tuple[Array, int]],
    slots: Mapping[str, Number],
    begin: int = 0,
    end: int = 0,
) -> None:
    """Run `func` over begin..end, writing to `memory`, as compiled code would.

    `memory`: a flat array for each array slot, of its dtype, or such an array and the number of its
    element that the slot points to; `slots`: a number for each other slot.
    Raises ValueError if one is missing or has another dtype; IndexError for an access outside of an
    array (of a lane that is not masked); ZeroDivisionError and OverflowError as
    `evaluate_instruction`; Race where threads of a team touch an element that one of them writes, without a
    barrier between them. Each names the statement and the user's line. RuntimeError where threads come to
    different barriers; ValueError where two lanes store to one element. Working memory starts as garbage
    (NaN for floats)."""
    arrays: dict[str, _Memory] = {}
    values: dict[str, Array] = {"begin": np.asarray([begin], np.int64), "end": np.asarray([end], np.int64)}
    for slot in func.slots:
        given = memory if slot.kind == "array" else slots
        if slot.name not in given:
            raise ValueError(f"{func.name}: no value for the slot `{slot.name}`")
        if slot.kind != "array":
            values[slot.name] = convert(np.asarray([slots[slot.name]]), slot.dtype)
            continue
        held = memory[slot.name]
        array, base = held if isinstance(held, tuple) else (held, 0)
        if array.ndim != 1 or array.dtype != slot.dtype.np:
            raise ValueError(f"{func.name}: `{slot.name}` must be a flat array of {slot.dtype.numpy}")
        arrays[slot.name] = array, base
    for stmt in func.body:
        if isinstance(stmt, lp.Alloc) and stmt.shared:
            count = stmt.count if isinstance(stmt.count, int) else _whole(stmt.count, values)
            arrays[stmt.name] = _garbage(count, stmt.dtype), 0
    if func.team == 1:
        for _ in _run(func.body, values | {"thread": np.zeros(1, np.int64)}, arrays, None):
            pass  # nobody to wait for
        return
    shared = {stmt.name for stmt in func.body if isinstance(stmt, lp.Alloc)}
    watch = Watch(*([a for name, (a, _) in arrays.items() if (name in shared) is of] for of in (False, True)))
    own = ({**values, "thread": np.asarray([n], np.int64)} for n in range(func.team))
    run_team([_run(func.body, each, dict(arrays), watch) for each in own], watch)


def _garbage(count: int, dtype: DType) -> Array:
    raw = np.full(count * dtype.size, 0xFF if dtype.kind == "f" else 0x5A, np.uint8)
    return raw % 2 == 0 if dtype is b1 else raw.view(dtype.np)


def _value(operand: lp.Operand, values: Mapping[str, Array]) -> Array:
    if isinstance(operand, lp.Imm):
        return np.repeat(convert(np.asarray([operand.value]), operand.dtype), operand.lanes)
    return values[operand.name]


def _whole(operand: lp.Operand, values: Mapping[str, Array]) -> int:
    return int(_value(operand, values)[0])


def _run(
    body: tuple[lp.Stmt, ...], values: dict[str, Array], arrays: dict[str, _Memory], watch: Watch | None
) -> Thread:
    """From barrier to barrier."""
    for stmt in body:
        match stmt:
            case lp.Let(result, op, operands):
                args = tuple(_value(a, values) for a in operands)
                try:
                    found = evaluate_instruction(op, args, result.dtype, result.lanes)
                except ArithmeticError as error:
                    raise type(error)(f"{error}{_where(stmt)}") from None
                values[result.name] = found
            case lp.Load():
                array, _ = arrays[stmt.array]
                places, active = _places(stmt, stmt.result.lanes, arrays, values)
                _watched(watch, stmt, array, places, active)
                loaded = np.zeros(stmt.result.lanes, array.dtype)
                loaded[active] = array[places[active]]
                values[stmt.result.name] = loaded
            case lp.Store():
                array, _ = arrays[stmt.array]
                places, active = _places(stmt, stmt.value.lanes, arrays, values)
                _watched(watch, stmt, array, places, active)
                if stmt.index.lanes > 1 and len(np.unique(places[active])) < active.sum():
                    raise ValueError(f"two lanes store to one element{_where(stmt)}")
                array[places[active]] = _value(stmt.value, values)[active]
            case lp.Prefetch():
                pass
            case lp.Window(name, _, source, start, choice, other, at):
                if choice is not None and not _whole(choice, values):
                    source, start = other, at
                array, base = arrays[source]
                arrays[name] = array, base + _whole(start, values)
            case lp.Aligned(result, name, size):
                array, base = arrays[name]
                values[result.name] = np.array([base * array.itemsize % size == 0], np.int64)
            case lp.Alloc(name, dtype, count, shared):
                if not shared:
                    assert isinstance(count, int)
                    arrays[name] = _garbage(count, dtype), 0
            case lp.Barrier():
                yield stmt
            case lp.For():
                yield from _loop(stmt, values, arrays, watch)
            case _:
                raise TypeError(f"{stmt!r} is not a statement")


def _watched(
    watch: Watch | None, stmt: lp.Load | lp.Store, array: Array, places: Array, active: Array
) -> None:
    if watch is None:
        return
    write, lanes = isinstance(stmt, lp.Store), np.flatnonzero(active)
    if not write and len(active) == 1:
        lanes = lanes + ALL
    if race := watch.note(array, places[active], lanes, write):
        raise Race(f"{race} of `{stmt.array}`{_where(stmt)}")


def _loop(stmt: lp.For, values: dict[str, Array], arrays: dict[str, _Memory], watch: Watch | None) -> Thread:
    step = _whole(stmt.step, values)
    if step <= 0:
        raise ValueError(f"the step of a loop must be positive, not {step}{_where(stmt)}")
    if stmt.kind == "once" and _whole(stmt.hi, values) > 1:
        raise ValueError(f"{_whole(stmt.hi, values)} turns of what runs once{_where(stmt)}")
    state = [_value(v, values) for v in stmt.inits]
    for at in range(_whole(stmt.lo, values), _whole(stmt.hi, values), step):
        values[stmt.var.name] = np.asarray([at], np.int64)
        values.update(zip((c.name for c in stmt.carried), state, strict=True))
        yield from _run(stmt.body, values, arrays, watch)
        state = [_value(v, values) for v in stmt.yields]
    values.update(zip((r.name for r in stmt.results), state, strict=True))


def _places(
    stmt: lp.Load | lp.Store, lanes: int, arrays: Mapping[str, _Memory], values: Mapping[str, Array]
) -> tuple[Array, Array]:
    """The element of each lane, and which lanes are active."""
    step = 1 if stmt.stride is None else _whole(stmt.stride, values)
    array, base = arrays[stmt.array]
    size = len(array)
    active = np.ones(lanes, bool) if stmt.mask is None else _value(stmt.mask, values)
    index = _value(stmt.index, values)
    if len(index) > 1:  # one for each lane
        every = [base + int(at) for at in index]
    else:  # Python's integers do not wrap
        every = [base + int(index[0]) + lane * step for lane in range(lanes)]
    places = np.zeros(lanes, np.int64)
    if stmt.aligned and every[0] * array.itemsize % lp.BOUNDARY:
        raise ValueError(f"element {every[0]} of `{stmt.array}` is not aligned{_where(stmt)}")
    if 0 <= min(every) <= max(every) < size:
        return np.array(every, np.int64), active
    for lane in np.flatnonzero(active):
        place = every[lane]
        if not 0 <= place < size:
            raise IndexError(f"element {place} of `{stmt.array}`, which has {size}{_where(stmt)}")
        places[lane] = place
    return places, active


def _where(stmt: lp.Stmt) -> str:
    loc = stmt.loc if isinstance(stmt, lp.Let | lp.Load | lp.Store) else None
    return f"\n  in: {statement_text(stmt)}{'' if loc is None else f'  ({loc})'}"
