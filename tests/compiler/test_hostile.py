"""Kernels as random texts, bound to numbers that nobody should bind them to: the plan is refused by name,
or it runs between guard pages and gives what the interpreter gives."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.layout import slots
from lucid.compiler.ir.program import Call, Operand, Program
from lucid.compiler.ir.types import DTYPES, DType, f32, f64
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.passes.plan import make_plan
from lucid.compiler.passes.prove import MOST
from lucid.compiler.pipeline import compile_kernel
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.guarded import Array, Guarded

from .random_kernels import random_kernel

HUGE = (MOST + 1, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 70)


def memory(size: int, dtype: DType, written: bool) -> Node:
    """A flat buffer: an input, or a node that the kernel computes."""
    if not written:
        return ops.INPUT(name="x", dtype=dtype, shape=(size,))
    return ops.BROADCAST(ops.CONST(value=0, dtype=dtype), shape=(size,))


def bind(
    kernel: k.Kernel,
    arrays: dict[str, Operand],
    symbols: dict[str, int],
    values: dict[str, float] | None = None,
) -> Program:
    outputs = tuple(arrays[o.name].node for o in kernel.outputs)
    written = {o.name for o in kernel.outputs}
    inputs = tuple(arrays[name].node for name in k.arrays(kernel) if name not in written)
    scalars = {"s": 2.0} if values is None else values
    return Program(Graph("hostile", inputs, outputs), (Call(kernel, arrays, symbols, scalars, ()),))


def strides_of(shape: list[int]) -> tuple[int, ...]:
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))


def attack(rng: random.Random, kernel: k.Kernel, symbols: dict[str, int]) -> Program:
    """The kernel on buffers that fit, but for at most three changes of numbers."""
    symbols = dict(symbols)
    changes = rng.choice((0, 1, 1, 1, 2, 3))
    if symbols and rng.random() < 0.5:
        for name in rng.sample(list(symbols), min(changes, len(symbols))):
            near = symbols[name]
            value = rng.choice((near - 1, near + 1, 2 * near, near // 2, rng.randint(0, 70), -1, -7))
            huge = rng.choice(HUGE)
            symbols[name] = value if rng.random() < 0.85 else rng.choice((huge, -huge))
    kept = symbols if rng.random() < 0.5 else dict(symbols, **{n: abs(v) % 99 for n, v in symbols.items()})
    bound = {}
    odd = set(rng.sample(list(k.arrays(kernel)), min(len(k.arrays(kernel)), rng.choice((0, 0, 1, 1, 2)))))
    for name, array in k.arrays(kernel).items():
        shape = [kept[x] if isinstance(x, str) else x for x in array.dims]
        shape = [min(max(0, n), 999) for n in shape]
        size, offset, strides = prod(shape), 0, list(strides_of(shape))
        if not array.unit:
            apart = array.step if array.step > 0 else 2
            size, strides = apart * size, [apart * s for s in strides]
            if array.step < 0 and strides:
                strides[-1] = array.step
                offset = max(0, shape[-1] - 1)
        dtype = array.dtype
        if name in odd:
            form = rng.choice(
                ("reverse", "broadcast", "step", "offset", "size", "empty", "dtype", "window", "turn")
            )
            at = rng.randrange(len(shape)) if shape else -1
            if form == "reverse" and shape:
                offset, strides[at] = max(0, shape[at] - 1) * strides[at], -strides[at]
            elif form == "broadcast" and shape:
                strides[at] = 0
            elif form == "step" and shape:
                strides[at] = rng.choice((-1, 0, 1, 2, strides[at] + 1, strides[at] - 1, *HUGE))
            elif form == "turn" and shape:
                turned = strides_of(shape[::-1])[::-1]
                strides = list(turned if array.unit else (2 * s for s in turned))
            elif form == "offset":
                offset = rng.choice((-1, 1, size, -size, *HUGE))
            elif form == "size":
                size = max(0, size + rng.choice((-1, 1, -16, 64)))
            elif form == "empty":
                size = 0
            elif form == "dtype":
                dtype = rng.choice(list(DTYPES.values()))
            elif form == "window":
                offset, size = 3, size + 5
        if size > 1 << 20:  # tests have little memory
            size = 0
        bound[name] = Operand(
            memory(size, dtype, name in {o.name for o in kernel.outputs}), offset, tuple(strides)
        )
    return bind(kernel, bound, symbols)


def view(flat: Array, call: Call, array: k.Array) -> Array:
    operand = call.arrays[array.name]
    shape = [call.symbols[x] if isinstance(x, str) else x for x in array.dims]
    if 0 in shape:
        return np.zeros(shape, flat.dtype)
    steps = tuple(0 if n == 1 else s * flat.itemsize for s, n in zip(operand.strides, shape, strict=True))
    return np.lib.stride_tricks.as_strided(flat[operand.offset :], shape, steps)


def survives(program: Program, front: bool) -> bool:
    """Whether the plan is accepted; then it is run, and compared."""
    (call,) = program.calls
    kernel = call.kernel
    schedule, code = compile_kernel(kernel, host())
    try:
        plan = make_plan(program, [code], [schedule])
    except VerifyError:
        return False
    written = {o.name for o in kernel.outputs}
    held = {name: Guarded(op.node.shape, op.node.type.dtype.np, front) for name, op in call.arrays.items()}
    rng = np.random.default_rng(0)
    for name in held.keys() - written:
        held[name].array[...] = rng.integers(-3, 4, held[name].array.shape)
    table = k.arrays(kernel)
    views = {name: view(held[name].array, call, table[name]) for name in table}
    inputs = [held[name].array for name in table if name not in written]
    before = [x.tobytes() for x in inputs]
    want = interpret_kernel(
        kernel, {n: v for n, v in views.items() if n not in written}, dict(call.scalars), dict(call.symbols)
    )
    Executable(arrange(plan))(inputs, [held[o.name].array for o in kernel.outputs])
    told = f"{print_kernel(kernel)}\n{call.symbols}\n{call.arrays}"
    assert all(g.intact() for g in held.values()), told
    assert before == [x.tobytes() for x in inputs], told
    for name, value in want.items():
        found = view(held[name].array, call, table[name])
        same = np.array_equal(found, value, equal_nan=value.dtype.kind == "f")
        assert same, f"{told}\n{name}: {found}\nis not {value}"
    return True


def bindings(seed: int, count: int) -> Iterator[Program]:
    kernel, _, symbols, _ = random_kernel(seed)
    verify_kernel(kernel)
    rng = random.Random(seed)
    for _ in range(count):
        yield attack(rng, kernel, symbols)


@pytest.mark.parametrize("part", range(4))
def test_texts_bound_to_hostile_numbers(part: int) -> None:
    seeds = range(5000 + 10 * part, 5010 + 10 * part)  # whose code other tests run, too
    found = [survives(p, n % 2 == 0) for seed in seeds for n, p in enumerate(bindings(seed, 50))]
    assert 100 < sum(found) < len(found) - 100


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(100))
def test_many_texts_bound_to_hostile_numbers(part: int) -> None:
    for seed in range(20 * part, 20 * part + 20):
        for n, program in enumerate(bindings(seed, 50)):
            survives(program, n % 2 == 0)


def given(
    text: str, buffers: Mapping[str, tuple[int, int, tuple[int, ...]]]
) -> tuple[k.Kernel, dict[str, Operand]]:
    """A kernel, and what it is called with: elements, offset, strides of each array."""
    kernel = parse_kernel(text)
    verify_kernel(kernel)
    written = {o.name for o in kernel.outputs}
    arrays = {
        name: Operand(memory(size, k.arrays(kernel)[name].dtype, name in written), offset, strides)
        for name, (size, offset, strides) in buffers.items()
    }
    return kernel, arrays


def accepted(text: str, symbols: dict[str, int], **buffers: tuple[int, int, tuple[int, ...]]) -> None:
    """VerifyError unless the kernel may run on these: elements, offset, strides."""
    kernel, arrays = given(text, buffers)
    assert survives_or_raises(bind(kernel, arrays, symbols))


def survives_or_raises(program: Program) -> bool:
    (call,) = program.calls
    schedule, code = compile_kernel(call.kernel, host())
    make_plan(program, [code], [schedule])
    return survives(program, True) and survives(program, False)


WINDOW = """
    kernel t(x: f32[d]) -> (o: f32[n])
      for i in n
        stage:  o[i] = x[i - lo | lo <= i < hi]
    """


def test_a_guarded_load_reads_beyond_its_dimension() -> None:
    def bound(n: int, lo: int, hi: int, d: int) -> None:
        symbols = {"n": n, "lo": lo, "hi": hi, "d": d}
        accepted(WINDOW, symbols, x=(d, 0, (1,)), o=(n, 0, (1,)))

    bound(40, 3, 12, 9)
    bound(40, 12, 3, 0)
    bound(40, -5, 4, 9)
    bound(40, 38, 99, 2)  # what is read counts, not what is promised
    with pytest.raises(VerifyError, match=r"i - `lo` runs from 0 to 9, but .* of `x` is `d` = 9"):
        bound(40, 3, 13, 9)
    with pytest.raises(VerifyError, match=r"i - `lo` runs from 5 to 9, but .* of `x` is `d` = 9"):
        bound(40, -5, 5, 9)
    with pytest.raises(VerifyError, match=r"`hi` = 4611686018427387904 is beyond"):
        bound(40, 3, 1 << 62, 9)


COPY = """
    kernel t(x: f32[n, d]) -> (o: f32[n, d])
      for i in n
        stage j in d:  o[i, j] = x[i, j]
    """


def test_unit_arrays_are_bound_with_other_strides() -> None:
    symbols = {"n": 5, "d": 40}
    accepted(COPY, symbols, x=(200, 0, (40, 1)), o=(200, 0, (40, 1)))
    accepted(COPY, symbols, x=(200, 160, (-40, 1)), o=(200, 0, (40, 1)))
    for stride, offset in ((-1, 39), (2, 0), (0, 0)):
        with pytest.raises(VerifyError, match=rf"of `x` must lie .* `d` = 40 goes in steps of {stride}"):
            accepted(COPY, symbols, x=(400, offset, (40, stride)), o=(200, 0, (40, 1)))


def test_a_buffer_without_elements_is_read() -> None:
    accepted(COPY, {"n": 0, "d": 40}, x=(0, 0, (40, 1)), o=(0, 0, (40, 1)))
    with pytest.raises(VerifyError, match=r"`x` is elements 0 to 199 of f32\[0\] \(`n` = 5 in steps of 40"):
        accepted(COPY, {"n": 5, "d": 40}, x=(0, 0, (40, 1)), o=(200, 0, (40, 1)))


def test_an_array_leaves_its_buffer() -> None:
    for size, offset, strides in (
        (199, 0, (40, 1)),
        (200, 1, (40, 1)),
        (200, 0, (-40, 1)),
        (200, -1, (40, 1)),
    ):
        with pytest.raises(VerifyError, match=r"`x` is elements .* of f32"):
            accepted(COPY, {"n": 5, "d": 40}, x=(size, offset, strides), o=(200, 0, (40, 1)))


def test_an_output_overlaps_itself() -> None:
    symbols = {"n": 5, "d": 40}
    for strides in ((0, 1), (39, 1), (1, 1)):
        with pytest.raises(VerifyError, match=r"the output `o` overlaps itself \(`n` = 5 in steps of"):
            accepted(COPY, symbols, x=(200, 0, (40, 1)), o=(200, 0, strides))
    with pytest.raises(
        VerifyError, match=r"the output `o` is f32\[201\], but \[`n` = 5, `d` = 40\] is written"
    ):
        accepted(COPY, symbols, x=(200, 0, (40, 1)), o=(201, 0, (40, 1)))


def test_an_extent_does_not_come_back() -> None:
    text = COPY.replace("o: f32[n, d]", "o: f32[n]").replace("o[i, j] = x[i, j]", "r = sum(x[i, j])\n")
    text += "        stage:  o[i] = r\n"
    for d, n, message in (
        (1 << 62, 5, "`d` = 4611686018427387904 is beyond"),
        (1 << 55, 5, "`d` = 36028797018963968 cannot be an extent"),
        (-1, 5, "`d` = -1 cannot be an extent"),
        (MOST, MOST, "a stage has more than .* points"),
    ):
        with pytest.raises(VerifyError, match=message):
            accepted(text, {"n": n, "d": d}, x=(1, 0, (0, 1 if d < 0 else 0)), o=(5, 0, (1,)))
    with pytest.raises(VerifyError, match=r"`x\.s0` = 1180591620717411303424 takes more than 64 bits"):
        accepted(COPY, {"n": 1, "d": 40}, x=(40, 0, (1 << 70, 1)), o=(40, 0, (40, 1)))


def test_calls_of_a_program_disturb_each_other() -> None:
    """An output over an input, over another call's output; what nobody has written is read."""
    kernel = parse_kernel("kernel t(x: f32[n]) -> (o: f32[n])\n  for i in n\n    stage:  o[i] = x[i]\n")
    schedule, code = compile_kernel(kernel, host())
    x, a, other = memory(7, f32, False), memory(7, f32, True), memory(7, f64, True)
    b = ops.NEG(x)

    def plan(*calls: tuple[Node, Node], outputs: tuple[Node, ...] = (a,)) -> None:
        made = [
            Call(kernel, {"x": Operand(r, 0, (1,)), "o": Operand(w, 0, (1,))}, {"n": 7}, {}, ())
            for r, w in calls
        ]
        make_plan(Program(Graph("g", (x,), outputs), tuple(made)), [code] * len(made), [schedule] * len(made))

    plan((x, a))
    plan((x, b), (b, a))
    for calls, message in (
        (((x, x),), "`o` is written where memory is read"),
        (((x, a), (x, a)), "`o` is written where memory is read or written elsewhere"),
        (((x, a), (a, a)), "`o` is written where memory is read or written elsewhere"),
        (((b, a),), "`x` is read before it is written"),
        (((x, b),), "an output is never written"),
        (((other, a),), "`x` is f32, but bound to f64"),
    ):
        with pytest.raises(VerifyError, match=message):
            plan(*calls)


NAMED = """
    kernel {0}({1}: f32[{2}], {3}: f32) -> ({4}: f32[{2}])
      for {5} in {2}
        stage
          {6} = mod({1}[{5}], {3})
          {7} = sum({6})
        stage:  {4}[{5}] = {7}
    """
NAMES = ("t", "x", "n", "s", "o", "i", "c", "r")


@pytest.mark.parametrize("name", ["stream", "block", "begin", "part", "v0"])
def test_a_name_that_every_kernel_has_is_taken_twice(name: str) -> None:
    """In every place it is refused, or the kernel works."""
    works = []
    for place in range(len(NAMES)):
        names = [*NAMES]
        names[place] = name
        kernel = parse_kernel(NAMED.format(*names))
        try:
            verify_kernel(kernel)
        except VerifyError as error:
            assert f"`{name}`" in str(error)
            continue
        slot_names = [slot.name for slot in slots(kernel)]
        assert len(slot_names) == len(set(slot_names))
        arrays = {names[1]: memory(9, f32, False), names[4]: memory(9, f32, True)}
        bound = {key: Operand(node, 0, (1,)) for key, node in arrays.items()}
        program = bind(kernel, bound, {names[2]: 9}, {names[3]: 2.0})
        assert survives(program, True)
        works.append(place)
    taken = name in ("stream", "block", "begin")
    assert set(works) <= {0, 5} if taken else works == list(range(len(NAMES)))


@pytest.mark.parametrize(
    "name", ["malloc", "free", "fmod", "fmodf", "memcpy", "__extendhfsf2", "llvm.exp", "a.b"]
)
def test_a_kernel_named_as_what_it_calls_calls_itself(name: str) -> None:
    with pytest.raises(VerifyError, match=f"`{name}` cannot be a name"):
        verify_kernel(parse_kernel(NAMED.format(name, *NAMES[1:])))


SAME = "kernel t(x: f32[n]) -> (o: f32[n])\n  for i in n\n    stage:  o[i] = x[i]\n"
ADDED = (
    "kernel t(i: i64[m], w: f32[m, d]) -> (o: f32[n, d])\n"
    "  stage r in m, j in d:  o(i[r], at(j)) += w[r, j]\n"
)
FIRST = (
    "kernel t(x: f32[m, n]) -> (o: i64[m, k])\n"
    "  for i in m\n    stage j in n:  o[i, j] = sort j falling (x[i, j]) first k\n"
)
LONG = (
    "kernel t(x: f32[m, n]) -> (o: f32[m])\n"
    "  for i in m\n    stage j in n long:  t = sum(x[i, j])\n    stage:  o[i] = t\n"
)
STEPS = SAME.replace("x: f32[n]", "x: f32[n:2]")
SCALED = SAME.replace("x: f32[n]", "x: f32[n], s: f32").replace("= x[i]", "= x[i] * s")
FLAT: Any = {"x": (8, 0, (1,)), "o": (8, 0, (1,))}

# A kernel, its buffers (elements, offset, strides), its symbols, and what is said.
REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "an array without memory": (SAME, {"o": FLAT["o"]}, {"n": 8}, "`x` is bound to nothing"),
    "a half": (SAME, FLAT, {"n": 7.5}, "`n` = 7.5 is no whole number"),
    "strides of another rank": (SAME, FLAT | {"x": (8, 0, (1, 1))}, {"n": 8}, "1 dimensions, but 2 strides"),
    "an offset between elements": (SAME, FLAT | {"x": (8, 0.5, (1,))}, {"n": 7}, "must be whole numbers"),
    "no number": (SCALED, FLAT, {"n": 8}, "`s` is bound to nothing"),
    "sums from behind": (
        ADDED, {"i": (3, 0, (1,)), "w": (6, 0, (2, 1)), "o": (8, 6, (-2, 1))}, {"m": 3, "n": 4, "d": 2},
        "must lie in row-major order",
    ),
    "the first of fewer": (
        FIRST, {"x": (6, 0, (3, 1)), "o": (8, 0, (4, 1))}, {"m": 2, "n": 3, "k": 4},
        "keeps `k` = 4 of `n` = 3 elements",
    ),
    "a long axis that is short": (
        LONG, {"x": (6, 0, (3, 1)), "o": (2, 0, (1,))}, {"m": 2, "n": 3}, "an axis is long from 8193 points",
    ),
    "other steps": (STEPS, FLAT | {"x": (25, 0, (3,))}, {"n": 8}, "must go in steps of 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_asked_of_a_call(name: str) -> None:
    text, buffers, symbols, message = REFUSED[name]
    kernel, arrays = given(text, buffers)
    written = {o.name for o in kernel.outputs}
    schedule, code = compile_kernel(kernel, host())
    inputs = tuple(o.node for key, o in arrays.items() if key not in written)
    graph = Graph("hostile", inputs, tuple(arrays[key].node for key in written))
    with pytest.raises(VerifyError, match=message):
        make_plan(Program(graph, (Call(kernel, arrays, symbols, {}, ()),)), [code], [schedule])
