"""Loops to LLVM text for CPUs: a vector of lanes is one of LLVM's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext

from ..ir import loop as lp
from ..ir.kernel import STEPS
from ..ir.layout import Slot
from ..ir.target import Target
from ..ir.types import DTYPES, b1, f32, i8, i64
from ..llvm import remainder
from ..llvm.emitter import Emitter, literal
from ..llvm.lines import Lines
from ..llvm.writer import LETTERS, element_type
from . import aside, table

# Working memory that a function has on the stack: with what a call needs beside it, this fits 128 KiB. (What
# waits of a row, 32 KiB, is no reason to ask the heap at each call.)
STACK_BYTES = 36 << 10


def _streams(body: Sequence[lp.Stmt]) -> bool:
    return any(
        (isinstance(s, lp.Store) and s.stream) or (isinstance(s, lp.For) and _streams(s.body)) for s in body
    )


class CpuEmitter(Emitter):
    def __init__(self, avx512: int, permuted: str, marks: Lines | None) -> None:
        super().__init__(marks)
        self.permuted = permuted  # by what instructions tables are looked up
        self.pairs: dict[str, lp.Let] = {}  # two tables that are looked up at once, by the first
        self.ready: dict[str, str] = {}  # what was found of the second
        self.avx512 = avx512  # bits of vectors of which `scale` and `sign` are instructions, at most
        self.fixed: dict[str, lp.Let] = {}  # what literals alone decide: LLVM knows these, too
        self.attributes, self.branches = "", 0  # of all functions; how many were looked at
        self.asides: dict[str, tuple[str, str]] = {}  # functions of branches: name, text

    # -- functions

    def func(self, func: lp.Func, attributes: str) -> None:
        if func.team != 1:
            raise ValueError(f"func {func.name}: a team of {func.team} threads; here it is one")
        self.names, self.pointers, self.fixed = {"begin": "%begin", "end": "%end", "thread": "0"}, {}, {}
        self.block, self.attributes = "entry", attributes
        self.pairs = table.pairs(func.body) if self.permuted == "avx2" else {}
        if self.marks is not None:
            self.mark = self.marks.enter(func)
            attributes += self.marks.function
        self.lines.append(f"define void @{func.name}(ptr %slots, i64 %begin, i64 %end) {attributes} {{")
        self.lines.append("entry:")
        for number, slot in enumerate(func.slots):
            self.slot(slot, number)
        heap = self.allocate([s for s in func.body if isinstance(s, lp.Alloc)])
        outside = self.mark
        for stmt in func.body:
            self.stmt(stmt)
        self.mark = outside
        if heap is not None:
            self.call("free", "void", [("ptr", heap)])
        if _streams(func.body):
            self.put("fence seq_cst")  # streaming stores are seen by whoever sees the return
        self.put("ret void")
        self.lines.append("}")

    def slot(self, slot: Slot, number: int) -> None:
        at = self.let(f"getelementptr i64, ptr %slots, i64 {number}")
        if slot.kind == "array":
            self.pointers[slot.name] = (self.let(f"load ptr, ptr {at}, align 8", slot.name), slot.dtype)
        elif slot.kind in ("int", "scalar"):
            loaded = self.let(f"load {slot.dtype.llvm}, ptr {at}, align 8", slot.name)
            if slot.dtype is b1:
                loaded = self.let(f"icmp ne i8 {loaded}, 0")
            self.names[slot.name] = loaded
        else:
            raise ValueError(f"a slot of kind `{slot.kind}`")

    def stmt(self, stmt: lp.Stmt) -> None:
        super().stmt(stmt)
        if isinstance(stmt, lp.Let) and all(isinstance(a, lp.Imm) or a.name in self.fixed for a in stmt.args):
            self.fixed[stmt.result.name] = stmt

    def branch(self, stmt: lp.For) -> list[str]:
        given = aside.branch(stmt)
        if given is None:
            return super().branch(stmt)
        args = ", ".join([self.typed(v) for v in (*given, *stmt.inits)])
        kinds = [self.type_of(v) for v in stmt.results]
        kind = kinds[0] if len(kinds) == 1 else f"{{ {', '.join(kinds)} }}"
        name, mark = self.aside(stmt, given, kind), self.mark
        if self.marks is not None:
            self.mark = self.marks.of(stmt)
        found = self.let(f"call {kind} @{name}({args})")
        if len(kinds) > 1:
            every = [self.let(f"extractvalue {kind} {found}, {k}") for k in range(len(kinds))]
        else:
            every = [found]
        self.mark = mark
        return every

    def aside(self, stmt: lp.For, given: Sequence[lp.Value], kind: str) -> str:
        """The name of the function that a branch is."""
        self.branches += 1
        name, values = f"aside.{self.branches}", (*given, *stmt.carried)
        kept = self.lines, self.names, self.count, self.block, self.mark
        self.lines, self.count, self.block = [], 0, "entry"
        self.names = {v.name: f"%a.{k}" for k, v in enumerate(values)} | {stmt.var.name: "0"}
        with nullcontext("") if self.marks is None else self.marks.aside(stmt, name) as suffix:
            for statement in stmt.body:
                self.stmt(statement)
            result, *more = [self.typed(v) for v in stmt.yields]
            if more:
                found = "poison"
                for k, value in enumerate((result, *more)):
                    found = self.let(f"insertvalue {kind} {found}, {value}, {k}")
                result = f"{kind} {found}"
            self.put(f"ret {result}")
        body = "\n".join(self.lines)
        self.lines, self.names, self.count, self.block, self.mark = kept
        args = ", ".join([f"{self.type_of(v)} %a.{k}" for k, v in enumerate(values)])
        head = f"({args}) noinline cold {self.attributes}{suffix} {{\nentry:\n{body}\n}}"
        key = kind + re.sub(r", !dbg !\d+", "", f"{args}\n{body}")
        if key not in self.asides:
            self.asides[key] = name, f"define private {kind} @{name}{head}"
        return self.asides[key][0]

    def other(self, stmt: lp.Stmt) -> None:
        if isinstance(stmt, lp.Prefetch):
            at = self.pointer(stmt.array, self.ref(stmt.index))
            level = "2" if stmt.far else "3"  # of caches; all of them
            args = [("ptr", at), ("i32", "0"), ("i32", level), ("i32", "1")]  # read, caches, data
            self.call("llvm.prefetch.p0", "void", args)
        elif isinstance(stmt, lp.Aligned):
            self.names[stmt.result.name] = self.aligned(stmt)
        elif isinstance(stmt, lp.Alloc):
            if stmt.name not in self.pointers:
                raise ValueError(f"`{stmt.name}` is allocated inside of a loop")
        elif not isinstance(stmt, lp.Barrier):  # which is for several threads
            raise TypeError(f"{stmt!r} is not a statement")

    def allocate(self, found: Sequence[lp.Alloc]) -> str | None:
        """Working memory: up to STACK_BYTES on the stack, whatever its thread has; more from the heap, and
        where there is none, on the stack after all. Returns what is to be given back."""
        spots = [0]
        for stmt in found:
            if not isinstance(stmt.count, int):
                raise ValueError(f"`{stmt.name}`: working memory of a size that a slot tells")
            spots.append(spots[-1] + -(-stmt.count * stmt.dtype.size // 64) * 64)
        size = spots.pop()
        if size <= STACK_BYTES:
            for stmt in found:
                name = self.let(f"alloca [{stmt.count} x {stmt.dtype.llvm}], align 64", stmt.name)
                self.pointers[stmt.name] = (name, stmt.dtype)
            return None
        heap = self.call("malloc", "ptr", [("i64", str(size + 64))])
        none = self.let(f"icmp eq ptr {heap}, null")
        self.label("on.stack", f"br i1 {none}, label %on.stack, label %on.heap")
        stack = self.let(f"alloca [{size + 64} x i8], align 64")
        self.label("on.heap", "br label %on.heap")
        base = self.let(f"phi ptr [ {heap}, %entry ], [ {stack}, %on.stack ]")
        number = self.let(f"ptrtoint ptr {base} to i64")
        away = self.let(f"and i64 {self.let(f'sub i64 0, {number}')}, 63")
        for stmt, spot in zip(found, spots, strict=True):
            at = self.let(f"add i64 {away}, {spot}")
            name = self.let(f"getelementptr i8, ptr {base}, i64 {at}", stmt.name)
            self.pointers[stmt.name] = (name, stmt.dtype)
        return heap

    # -- instructions

    def remainder(self, x: lp.Operand, y: lp.Operand) -> str:
        return remainder.at_once(self, x, y)

    def arrange(self, stmt: lp.Let) -> str:
        op, args, result = stmt.op, stmt.args, stmt.result
        kind = self.type_of(result)
        if op == "splat":
            first = self.let(f"insertelement {kind} poison, {self.typed(args[0])}, i64 0")
            zeros = f"<{result.lanes} x i32> zeroinitializer"
            return self.let(f"shufflevector {kind} {first}, {kind} poison, {zeros}")
        if op == "iota":
            return self.let(f"add {kind} {self.iota(result)}, zeroinitializer")
        if op == "any":
            return self.any(args[0])
        if op == "count":
            mask = f"i{args[0].lanes}"
            bits = self.let(f"bitcast {self.typed(args[0])} to {mask}")
            return self.let(f"zext {mask} {self.call(f'llvm.ctpop.{mask}', mask, [(mask, bits)])} to i64")
        if op == "compress":
            every = [(kind, self.ref(args[0])), (self.type_of(args[1]), self.ref(args[1]))]
            name = f"llvm.experimental.vector.compress.{self.suffix(result)}"
            return self.call(name, kind, [*every, (kind, "zeroinitializer")])
        if op == "table":
            if result.name in self.ready:
                return self.ready.pop(result.name)
            if result.name in self.pairs:
                other = self.pairs[result.name]
                found, self.ready[other.result.name] = table.both(self, stmt, other)
                return found
            return table.emit(self, args[0], args[1:], result, self.permuted)
        if op in ("pack_lo", "pack_hi"):
            n = literal(args[2])
            segments = range(0, 2 * result.lanes, 2 * n)
            off = n if op == "pack_hi" else 0
            return self.shuffle(args[0], args[1], [s + off + m for s in segments for m in range(n)])
        if op == "shuffle":
            return self.shuffle(args[0], None, [n ^ literal(args[1]) for n in range(result.lanes)])
        if op in ("spread", "collect"):
            taken = [
                lp.lane_of(op, n, result.lanes, literal(args[2]), literal(args[3]))
                for n in range(result.lanes)
            ]
            return self.shuffle(
                args[0], args[1], [n if m is None else result.lanes + m for n, m in enumerate(taken)]
            )
        (v,) = args
        first_lane = 0 if op == "lo" else v.lanes // 2
        if result.lanes == 1:
            return self.let(f"extractelement {self.typed(v)}, i64 {first_lane}")
        return self.shuffle(v, None, [first_lane + n for n in range(result.lanes)])

    def any(self, x: lp.Operand) -> str:
        if x.lanes == 1:
            return self.ref(x)
        bits = self.let(f"bitcast {self.typed(x)} to i{x.lanes}")
        return self.let(f"icmp ne i{x.lanes} {bits}, 0")

    def scale(self, x: lp.Operand, k: lp.Operand) -> str:
        """One instruction, where there is one."""
        if not self.has_avx512(x):
            return super().scale(x, k)
        kind = self.type_of(x)
        args = [(kind, self.ref(k)), (kind, "zeroinitializer")]
        return self.avx512_call("scalef", x, args, self.ref(x))

    def sign(self, x: lp.Operand) -> str:
        """One instruction, which takes its answer from a table by the class of the number; or by bits."""
        # NaN (quiet, signalling) 2: itself, quiet; 0 8: 0.0; then 9 for -1.0 and 10 for 1.0: 1, -inf, inf,
        # less, more
        return self.by_class(x, self.ref(x), 0xA9A9A822) or super().sign(x)

    def or_nan(self, x: lp.Operand, best: str) -> str:
        return self.by_class(x, best, 0x11) or super().or_nan(x, best)  # NaN: x itself; else what is there

    def by_class(self, x: lp.Operand, old: str, table: int) -> str | None:
        """`old`, or what a table gives for the class of x, by one instruction; None if there is none. The
        table has four bits a class, from the lowest: quiet NaN, signalling, 0, 1, -inf, inf, less, more."""
        if not self.has_avx512(x):
            return None
        ints = DTYPES[f"i{x.dtype.bits}"]
        signed = table - (1 << 32) if table >= 1 << 31 else table
        tables = (self.vector(ints.llvm, x.lanes), self.ref(lp.Imm(signed, ints, x.lanes)))
        return self.avx512_call("fixupimm", x, [(self.type_of(x), self.ref(x)), tables, ("i32", "0")], old)

    def has_avx512(self, x: lp.Operand) -> bool:
        """Whether there are AVX-512's instructions for numbers like x."""
        bits = x.dtype.bits * x.lanes
        return (
            x.dtype.bits >= 32 and bits in (128, 256, 512) and bits <= self.avx512
        )  # LLVM splits no intrinsic

    def avx512_call(self, name: str, x: lp.Operand, args: list[tuple[str, str]], first: str) -> str:
        """One of its instructions in all lanes, on operands like x: `first`, and then `args`."""
        letter, bits = LETTERS[x.dtype], x.dtype.bits * x.lanes
        mask = ("i16" if x.lanes == 16 else "i8", "-1")
        current = [("i32", "4")] if bits == 512 else []  # rounding and exceptions of the environment
        every = [(self.type_of(x), first), *args, mask, *current]
        return self.call(f"llvm.x86.avx512.mask.{name}.p{letter}.{bits}", self.type_of(x), every)

    def shuffle(self, x: lp.Operand, y: lp.Operand | None, picks: Sequence[int]) -> str:
        """Lanes of x, numbered from 0, and of y, numbered on from there."""
        other = "poison" if y is None else self.ref(y)
        lanes = ", ".join(f"i32 {n}" for n in picks)
        return self.let(
            f"shufflevector {self.typed(x)}, {self.type_of(x)} {other}, <{len(picks)} x i32> <{lanes}>"
        )

    def iota(self, like: lp.Value) -> str:
        element = element_type(like.dtype)
        return "<" + ", ".join(f"{element} {n}" for n in range(like.lanes)) + ">"

    # -- memory
    def lane_pointers(self, array: str, index: lp.Operand, stride: lp.Operand | None, lanes: int) -> str:
        base, dtype = self.pointers[array]
        kind, at = f"<{lanes} x i64>", self.ref(index)
        if stride is not None:
            step = self.splat(self.ref(stride), lanes)
            away = self.let(f"mul {kind} {step}, {self.iota(lp.Value('', i64, lanes))}")
            at = self.let(f"add {kind} {away}, {self.splat(at, lanes)}")
        return self.let(f"getelementptr {dtype.llvm}, ptr {base}, {kind} {at}")

    def splat(self, text: str, lanes: int) -> str:
        kind = f"<{lanes} x i64>"
        first = self.let(f"insertelement {kind} poison, i64 {text}, i64 0")
        return self.let(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def load(self, stmt: lp.Load) -> str:
        dtype, lanes = stmt.result.dtype, stmt.result.lanes
        memory = lp.Value("", i8 if dtype is b1 else dtype, lanes)
        kind, index, align = self.vector(dtype.llvm, lanes), self.ref(stmt.index), str(dtype.size)
        if lanes > 1 and isinstance(stmt.stride, lp.Imm) and stmt.stride.value in STEPS:
            return self.from_memory(self.load_steps(stmt, literal(stmt.stride), memory, kind), dtype, lanes)
        if lanes > 1 and (stmt.stride is not None or stmt.index.lanes > 1):
            at = self.lane_pointers(stmt.array, stmt.index, stmt.stride, lanes)
            args = [(f"<{lanes} x ptr>", at), ("i32", align), self.mask(stmt.mask, lanes)]
            name = f"llvm.masked.gather.{self.suffix(memory)}.v{lanes}p0"
            text = self.call(name, kind, [*args, (kind, "zeroinitializer")])
        elif stmt.mask is None:
            text = self.let(f"load {kind}, ptr {self.pointer(stmt.array, index)}, align {align}")
        elif lanes > 1:
            text = self.masked(self.pointer(stmt.array, index), memory, self.ref(stmt.mask))
        else:  # a vector of one lane, so that nothing is read where the mask is false
            one = f"<1 x {dtype.llvm}>"
            args = [("ptr", self.pointer(stmt.array, index)), ("i32", align)]
            args += [self.single("i1", self.ref(stmt.mask)), (one, "zeroinitializer")]
            got = self.call(f"llvm.masked.load.v1{self.suffix(memory)}.p0", one, args)
            text = self.let(f"extractelement {one} {got}, i64 0")
        return self.from_memory(text, dtype, lanes)

    def masked(self, at: str, memory: lp.Value, mask: str) -> str:
        """A vector of memory, 0 where the mask is false."""
        dtype, lanes = memory.dtype, memory.lanes
        kind = self.vector(dtype.llvm, lanes)
        args = [("ptr", at), ("i32", str(dtype.size)), (f"<{lanes} x i1>", mask), (kind, "zeroinitializer")]
        return self.call(f"llvm.masked.load.{self.suffix(memory)}.p0", kind, args)

    def load_steps(self, stmt: lp.Load, step: int, memory: lp.Value, kind: str) -> str:
        """Lanes `step` elements apart: of vectors between the first lane and the last, none of which reads
        beyond these, as the last one ends with the last lane."""
        lanes, align, index = memory.lanes, stmt.result.dtype.size, self.ref(stmt.index)
        last = (step - 1) * (lanes - 1)  # where the last vector begins
        found = "poison"
        for start in (*range(0, last, lanes), last) if step > 0 else (1 - lanes,):
            at = self.pointer(stmt.array, self.let(f"add i64 {index}, {start}"))
            if stmt.mask is None:
                vector = self.let(f"load {kind}, ptr {at}, align {align}")
            else:  # what a lane asks for is read, and nothing else
                asks = [divmod(start + m, step) for m in range(lanes)]
                from_lanes = [n if not between and 0 <= n < lanes else lanes for n, between in asks]
                picks = ", ".join(f"i32 {n}" for n in from_lanes)
                flags = f"<{lanes} x i1>"
                given = f"{flags} {self.ref(stmt.mask)}, {flags} zeroinitializer"
                mask = self.let(f"shufflevector {given}, <{lanes} x i32> <{picks}>")
                vector = self.masked(at, memory, mask)
            places = [step * n - start for n in range(lanes)]
            order = ", ".join(f"i32 {lanes + m if 0 <= m < lanes else n}" for n, m in enumerate(places))
            found = self.let(f"shufflevector {kind} {found}, {kind} {vector}, <{lanes} x i32> <{order}>")
        return found

    def single(self, element: str, text: str) -> tuple[str, str]:
        """A vector of one lane, as an argument."""
        return f"<1 x {element}>", self.let(f"insertelement <1 x {element}> poison, {element} {text}, i64 0")

    def mask(self, mask: lp.Operand | None, lanes: int) -> tuple[str, str]:
        """A mask as an argument: its type and value."""
        return f"<{lanes} x i1>", "splat (i1 true)" if mask is None else self.ref(mask)

    def store(self, stmt: lp.Store) -> None:
        dtype, lanes = stmt.value.dtype, stmt.value.lanes
        memory = lp.Value("", i8 if dtype is b1 else dtype, lanes)
        kind, index, align = self.vector(dtype.llvm, lanes), self.ref(stmt.index), str(dtype.size)
        text = self.ref(stmt.value)
        if dtype is b1:
            text = self.let(f"zext {self.type_of(stmt.value)} {text} to {kind}")
        if lanes > 1 and (stmt.stride is not None or stmt.index.lanes > 1):
            at = self.lane_pointers(stmt.array, stmt.index, stmt.stride, lanes)
            args = [(kind, text), (f"<{lanes} x ptr>", at), ("i32", align)]
            name = f"llvm.masked.scatter.{self.suffix(memory)}.v{lanes}p0"
            self.call(name, "void", [*args, self.mask(stmt.mask, lanes)])
        elif stmt.mask is None:
            at = self.pointer(stmt.array, index)
            if stmt.stream:
                self.put(f"store {kind} {text}, ptr {at}, align {dtype.size * lanes}, !nontemporal !0")
            else:
                self.put(f"store {kind} {text}, ptr {at}, align {align}")
        elif dtype.size < 8 and dtype is not f32 and (live := self.literal_lanes(stmt.mask)) is not None:
            self.runs(stmt, text, live)
        elif lanes == 1:
            args = [self.single(kind, text), ("ptr", self.pointer(stmt.array, index)), ("i32", align)]
            args.append(self.single("i1", self.ref(stmt.mask)))
            self.call(f"llvm.masked.store.v1{self.suffix(memory)}.p0", "void", args)
        else:
            args = [(kind, text), ("ptr", self.pointer(stmt.array, index)), ("i32", align)]
            args.append(self.mask(stmt.mask, lanes))
            self.call(f"llvm.masked.store.{self.suffix(memory)}.p0", "void", args)

    def literal_lanes(self, mask: lp.Operand) -> list[bool] | None:
        """The lanes of a mask, if LLVM may know them."""
        if isinstance(mask, lp.Imm):
            return [bool(mask.value)] * mask.lanes
        if mask.name not in self.fixed:
            return None
        from ..interpret.loop import interpret_let  # few kernels need it

        return [bool(lane) for lane in interpret_let(self.fixed[mask.name], self.fixed)]

    def runs(self, stmt: lp.Store, text: str, live: Sequence[bool]) -> None:
        """Whole stores of the live lanes, powers of two at a time, in place of one under a mask that LLVM
        knows. Of such a one with a single lane it makes a scalar store, of the element as it was before
        it was narrowed (22.1): the bytes behind the array would be written, too."""
        dtype, lanes, lane = stmt.value.dtype, len(live), 0
        whole, at = self.vector(dtype.llvm, lanes), self.pointer(stmt.array, self.ref(stmt.index))
        while lane < lanes:
            size = lanes if lane == 0 else lane & -lane
            while size > 1 and not all(live[lane : lane + size]):
                size //= 2
            if live[lane]:
                kind, picks = self.vector(dtype.llvm, size), ", ".join(f"i32 {lane + n}" for n in range(size))
                shuffle = f"shufflevector {whole} {text}, {whole} poison, <{size} x i32> <{picks}>"
                part = self.let(shuffle if size > 1 else f"extractelement {whole} {text}, i64 {lane}")
                to = self.let(f"getelementptr {dtype.llvm}, ptr {at}, i64 {lane}")
                self.put(f"store {kind} {part}, ptr {to}, align {dtype.size}")
            lane += size


def emit(funcs: Sequence[lp.Func], target: Target, marks: Lines | None = None) -> str:
    """LLVM text that defines `funcs` for `target`; with `marks`, each instruction has the user's line."""
    bits = target.vector_bytes * 8
    avx512 = bits if target.has("avx512f") and target.has("avx512vl") else 0
    emitter = CpuEmitter(avx512, table.permuted(target), marks)
    attributes = f'nounwind "prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'
    for func in funcs:
        emitter.func(func, attributes)
    head = [f'target triple = "{target.triple}"', ""]
    asides = [text for _, text in emitter.asides.values()]
    ends = marks.tail() if marks is not None else ()
    tail = [*asides, "", *emitter.declared.values(), "!0 = !{i32 1}", *ends]
    return "\n".join([*head, *emitter.lines, *tail]) + "\n"
