"""LLVM's code for NVIDIA's devices, in the simulator, against LLVM's code for this CPU, line by line.

Nothing of this is lucid's but the simulator: so it is checked against a CPU, through a compiler of others.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import pairwise

import llvmlite.binding as llvm
import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Memory, Module, launch, parse

from .rounding import Array, assert_same, samples, special

COUNT = 256
FLOATS = {"half": "f16", "float": "f32", "double": "f64"}
INTS = ("i8", "i16", "i32", "i64")
ARCHES = {"sm_75": "+ptx63", "sm_90": "+ptx80", "sm_120": "+ptx87"}

Case = tuple[str, str, tuple[str, ...]]  # the line, the type of its result %r, the types of %a, %b, %c


def _call(name: str, result: str, *types: str, end: str = "") -> Case:
    args = ", ".join(f"{kind} %{letter}" for kind, letter in zip(types, "abc", strict=False))
    return f"%r = call {result} @llvm.{name}({args}{end})", result, types


def _cases() -> list[Case]:
    found: list[Case] = []
    for kind, short in FLOATS.items():
        found += [(f"%r = {op} {kind} %a, %b", kind, (kind, kind)) for op in ("fadd", "fsub", "fmul", "fdiv")]
        found.append((f"%r = fneg {kind} %a", kind, (kind,)))
        found += [
            _call(f"{f}.{short}", kind, kind) for f in ("sqrt", "fabs", "floor", "ceil", "trunc", "rint")
        ]
        found.append(_call(f"copysign.{short}", kind, kind, kind))
        if kind != "half":  # that of halves is a call into a library on this side
            found.append(_call(f"fma.{short}", kind, kind, kind, kind))
        for cmp in ("oeq", "one", "olt", "oge", "ord", "uno", "ueq", "une", "ult", "uge"):
            found.append((f"%q = fcmp {cmp} {kind} %a, %b\n%r = zext i1 %q to i8", "i8", (kind, kind)))
        for whole in INTS:
            found += [_call(f"{f}.sat.{whole}.{short}", whole, kind) for f in ("fptosi", "fptoui")]
            if kind != "half" or whole in ("i8", "i16"):  # larger ones are rounded twice on CPUs
                found += [(f"%r = {op} {whole} %a to {kind}", kind, (whole,)) for op in ("sitofp", "uitofp")]
    found += [
        ("%r = fptrunc double %a to float", "float", ("double",)),
        ("%r = fptrunc float %a to half", "half", ("float",)),
    ]
    found += [
        ("%r = fpext half %a to float", "float", ("half",)),
        ("%r = fpext float %a to double", "double", ("float",)),
    ]
    for kind in INTS:
        found += [
            (f"%r = {op} {kind} %a, %b", kind, (kind, kind)) for op in ("add", "sub", "mul", "and", "xor")
        ]
        amount = f"%s = and {kind} %b, {int(kind[1:]) - 1}\n"
        found += [(f"{amount}%r = {op} {kind} %a, %s", kind, (kind, kind)) for op in ("shl", "lshr", "ashr")]
        for op in ("sdiv", "udiv", "srem", "urem"):  # by odd numbers but -1, so that all is defined
            odd = (
                f"%o = or {kind} %b, 1\n%z = icmp eq {kind} %o, -1\n%s = select i1 %z, {kind} 3, {kind} %o\n"
            )
            found.append((f"{odd}%r = {op} {kind} %a, %s", kind, (kind, kind)))
        found += [_call(f"{f}.{kind}", kind, kind, kind) for f in ("smax", "umin", "usub.sat")]
        found += [_call(f"{f}.{kind}", kind, kind, kind, kind) for f in ("fshl", "fshr")]
        found.append(_call(f"abs.{kind}", kind, kind, end=", i1 false"))
        found += [
            (f"%q = icmp {c} {kind} %a, %b\n%r = zext i1 %q to i8", "i8", (kind, kind))
            for c in ("slt", "uge")
        ]
    for small, large in pairwise(INTS):
        found += [(f"%r = {op} {small} %a to {large}", large, (small,)) for op in ("sext", "zext")]
        found.append((f"%r = trunc {large} %a to {small}", small, (large,)))
    wide = "%x = sext i64 %a to i128\n%y = sext i64 %b to i128\n%z = mul i128 %x, %y\n%w = lshr i128 %z, 64\n"
    found.append((wide + "%r = trunc i128 %w to i64", "i64", ("i64", "i64")))
    arms = [f"l{n}" for n in range(3)]  # of more, a table is made
    places = " ".join(f"i32 {n}, label %{arm}" for n, arm in enumerate(arms))
    joined = ", ".join(f"[{n * n + 77 * (n % 3)}, %{arm}]" for n, arm in enumerate(arms))
    jumps = "\n".join(f"{arm}: br label %d" for arm in arms)
    choice = f"%m = urem i32 %a, 8\nswitch i32 %m, label %d [{places}]\n{jumps}\n"
    found.append((f"{choice}d: %r = phi i32 [9, %body], {joined}", "i32", ("i32",)))
    return found


CASES = _cases()


def _declarations() -> str:
    found = set()
    for line, _, types in CASES:
        if "@llvm." in line:
            result, _, rest = line.split("call ")[1].partition(" ")
            flag = ", i1" if "i1 false" in rest else ""
            found.add(f"declare {result} {rest.split('(')[0]}({', '.join(types)}{flag})")
    return "\n".join(sorted(found))


def _functions(device: bool) -> str:
    """A function for each case, over arrays: a loop here, a thread for each element there."""
    pointer = "ptr addrspace(1)" if device else "ptr"
    text = [_declarations()]
    for n, (line, result, types) in enumerate(CASES):
        parameters = ", ".join(f"{pointer} %p{letter}" for letter in "abc"[: len(types)])
        loads = "\n".join(
            f"%q{x} = getelementptr {kind}, {pointer} %p{x}, i64 %i\n%{x} = load {kind}, {pointer} %q{x}"
            for kind, x in zip(types, "abc", strict=False)
        )
        where = f"%qo = getelementptr {result}, {pointer} %po, i64 %i"
        core = f"{loads}\n{line}\n{where}\nstore {result} %r, {pointer} %qo"
        if device:
            start = "%t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n%i = zext i32 %t to i64"
            text.append(
                f"define ptx_kernel void @f{n}({parameters}, {pointer} %po) {{\n"
                f"body:\n{start}\n{core}\nret void\n}}"
            )
            continue
        turn = f"%n = add i64 %i, 1\n%more = icmp ult i64 %n, {COUNT}\nbr i1 %more, label %body, label %end"
        text.append(
            f"define void @f{n}({parameters}, ptr %po) {{\nstart: br label %body\n"
            f"body:\n%i = phi i64 [0, %start], [%n, %last]\n{core}\nbr label %last\n"
            f"last:\n{turn}\nend: ret void\n}}"
        )
    if device:
        text.append("declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()")
    return "\n".join(text)


@cache
def here() -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"\n{_functions(device=False)}')
    # With AVX512-FP16, LLVM 22's fptosi.sat.i16.f16 gives -32768 for NaN, where its own manual says 0.
    features = f"{llvm.get_host_cpu_features().flatten()},-avx512fp16"
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=1)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


@cache
def device(arch: str) -> Module:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(f'target triple = "nvptx64-nvidia-cuda"\n{_functions(device=True)}')
    target = llvm.Target.from_triple("nvptx64-nvidia-cuda")
    machine = target.create_target_machine(cpu=arch, features=ARCHES[arch], opt=3)
    return parse(machine.emit_assembly(module))


@cache
def values(kind: str, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if kind in FLOATS:
        short = FLOATS[kind]
        own = np.array(special(short), samples(short, 1, 0).dtype)
        return rng.choice(
            np.concatenate([own, samples(short, 60, 1), samples(short, 60, 2, spread=6)]), COUNT
        )
    bits = int(kind[1:])
    edges = [0, 1, 2, 3, bits - 1, bits, (1 << bits) - 1, (1 << bits) - 2, 1 << bits - 1, (1 << bits - 1) - 1]
    edges += [
        int(rng.integers(0, 1 << 62)) * 4 % (1 << bits) >> int(rng.integers(0, bits)) for _ in range(60)
    ]
    return np.array([edges[n] for n in rng.integers(0, len(edges), COUNT)], f"u{bits // 8}")


@pytest.mark.parametrize("arch", ARCHES)
def test_both_machines_agree(arch: str) -> None:
    module = device(arch)
    for n, (line, result, types) in enumerate(CASES):
        inputs = [values(kind, seed) for seed, kind in enumerate(types)]
        expected = np.empty(COUNT, values(result, 0).dtype)
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(types) + 1))(
            here().get_function_address(f"f{n}")
        )
        function(*(a.ctypes.data for a in inputs), expected.ctypes.data)
        memory = Memory()
        args = [memory.upload(a, writable=False) for a in inputs]
        out = memory.allocate(expected.nbytes)
        launch(module, f"f{n}", 1, COUNT, [*args, out], memory)
        got = memory.download(out, COUNT, expected.dtype)
        if result in FLOATS:
            assert_same(got, expected, FLOATS[result], *inputs)
        else:
            np.testing.assert_array_equal(got, expected, err_msg=line)
