"""Loops to LLVM text for NVIDIA GPUs: a vector is a warp.

Its 32 lanes are threads, so a vector is one register of each, a scalar the same in all; a mask is a
predicate, `hi` a shuffle, working memory the warp's part of shared memory. Each warp of the grid has a block;
or each team, which is a block of threads. A scalar is stored by the first lane. What comes after the
blocks is done by the warp that is the last to have done one: it counts them, in the module's memory.

    %v: f32x32 = load x[%i]         =>    %p = getelementptr float, ptr addrspace(1) %x.lane, i64 %i
                                          %v = load float, ptr addrspace(1) %p

A longer vector is several registers of each thread, whose lanes are neighbours: what is done with it is
written once for each of them, and what is `aligned` moves them at once.

    %v: f32x64 = load x[%i] aligned =>    %q = load <2 x float>, ptr addrspace(1) %p, align 8
    %w: f32x64 = neg %v                   %v/0 = extractelement ...;  %v/1 = ...
                                          %w/0 = fneg float %v/0;  %w/1 = ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

from ..ir import loop as lp
from ..ir.data import replace
from ..ir.layout import Slot
from ..ir.types import DType, b1, i64
from ..llvm import remainder
from ..llvm.emitter import ARRANGED, literal
from ..llvm.lines import Lines
from .lanes import EVERY, LONG, Lanes, apart, neighbours, parts
from .launch import ALIGNED, entry, is_after, room
from .multiples import multiple, of_result
from .order import Access, accesses, clash, far
from .target import TRIPLE, WARP

_FENCE = 'fence syncscope("device") acq_rel'
ASKED = f"@asked = external addrspace(3) global [0 x i8], align {ALIGNED}"


def groups(func: lp.Func) -> int:
    """Of lanes: the turns of the parallel loop."""
    (loop,) = (s for s in func.body if isinstance(s, lp.For) and s.kind == "parallel")
    return literal(loop.hi)


def tables(body: Iterable[lp.Stmt]) -> dict[tuple[lp.Operand, ...], None]:
    """The tables that statements look up."""
    found: dict[tuple[lp.Operand, ...], None] = {}
    for stmt in body:
        if isinstance(stmt, lp.For):
            found |= tables(stmt.body)
        elif isinstance(stmt, lp.Let) and stmt.op == "table":
            found[stmt.args[1:]] = None
    return found


class PtxEmitter(Lanes):
    def __init__(self, marks: Lines | None, held: int) -> None:
        super().__init__(marks)
        self.least = held
        self.shared: list[str] = []
        self.tables: dict[tuple[lp.Operand, ...], lp.Value] = {}

    # -- functions

    def func(self, func: lp.Func, after: Sequence[lp.Func] = ()) -> None:
        """`after`: what comes after its blocks; the results of lanes, if there are many, and what
        finishes."""
        self.entry = entry(func, after)
        self.finish = after[-1] if after else None
        self.lanes = after[0] if len(after) > 1 else None
        self.names, self.pointers, self.block = {}, {}, "entry"
        self.parts, self.part = parts([s for each in (func, *after) for s in each.body]), 0
        self.first: dict[tuple[str, int], str] = {}  # pointers, a lane's first element further, of so many
        self.roots: dict[str, str] = {}  # what windows are on
        self.spaces: dict[str, int] = {}
        self.pending: frozenset[Access] = frozenset()
        self.multiples: dict[str, int] = {}
        self.common = {s.name for s in func.body if isinstance(s, lp.Alloc) and s.shared}
        self.turn: str | None = None
        self.prefix, self.warps = self.entry.name, self.entry.warps  # of working memory
        given = ", ".join(self.parameter(slot) for slot in func.slots)
        threads = f'"nvvm.reqntid"="{self.entry.threads}"'
        if self.least:
            threads += f' "nvvm.minctasm"="{self.least // func.team}"'
        if self.marks is not None:
            self.mark = self.marks.enter(func)
            threads += self.marks.function
        self.lines += [f"define ptx_kernel void @{self.entry.name}({given}) nounwind {threads} {{", "entry:"]
        tid, block = map(self.register, ("tid", "ctaid"))
        self.lane32 = self.let(f"and i32 {tid}, {WARP - 1}")
        self.lane = self.let(f"zext i32 {self.lane32} to i64")
        self.warp = self.let(f"lshr i32 {tid}, {WARP.bit_length() - 1}")
        self.team = func.team
        first = self.let(f"mul i32 {block}, {self.entry.each}")
        begin = self.let(f"add i32 {first}, {self.warp}") if self.entry.each == self.entry.warps else first
        self.names["begin"] = self.let(f"zext i32 {begin} to i64")
        self.names["thread"] = self.let(f"zext i32 {self.warp} to i64") if func.team > 1 else "0"
        for slot in func.slots:
            if slot.kind == "array":
                self.point(slot.name, f"%slot.{slot.name}", slot.dtype, 1)
            else:
                text = f"%slot.{slot.name}"
                self.names[slot.name] = text if slot.dtype is not b1 else self.let(f"icmp ne i8 {text}, 0")
        self.names["end"] = self.names["blocks"]
        known = dict(self.names)
        for stmt in func.body:
            if isinstance(stmt, lp.For) and stmt.kind == "parallel":
                self.only_at_work(self.ref(stmt.hi))
        self.asked = "0"  # bytes from where on the next array lies that the launch asks for
        if self.entry.asked and self.entry.each > 1:  # each warp has its own
            sizes = [self.bytes_of(self.ref(lp.Value(name, i64)), size) for name, size in self.entry.asked]
            total = functools.reduce(lambda x, y: self.let(f"add i64 {x}, {y}"), sizes)
            self.asked = self.let(f"mul i64 {self.let(f'zext i32 {self.warp} to i64')}, {total}")
        outside = self.mark
        self.statements(func)
        self.mark = outside
        self.put("br label %out")
        if self.finish is not None:
            self.lines.append("finish:")
            self.names, self.block = known, "finish"
            self.more(self.finish)
            self.put("br label %out")
        self.lines += ["out:", "  ret void", "}"]

    def statements(self, func: lp.Func) -> None:
        for stmt in func.body:
            if isinstance(stmt, lp.Alloc):
                self.alloc(stmt)
        self.tables = {}
        self.one_by_one(func.body)

    def one_by_one(self, body: Sequence[lp.Stmt]) -> None:
        """Outside of loops. What a statement looks up is there from just before it on, not in all the
        others."""
        for stmt in body:
            if not isinstance(stmt, lp.For) or stmt.kind != "parallel":
                for elements in tables((stmt,)):
                    if elements not in self.tables:
                        self.tables[elements] = self.table(elements)
            self.stmt(stmt)

    def only_at_work(self, end: str) -> None:
        """A warp without a block leaves: what it would read may be overwritten. Where there is no block, the
        first one finishes."""
        works = self.let(f"icmp slt i64 {self.names['begin']}, {end}")
        self.label("idle", f"br i1 {works}, label %work, label %idle")
        leaves = "br label %out"
        if self.finish is not None:
            none, first = (self.let(f"icmp eq i64 {self.names[n]}, 0") for n in ("blocks", "begin"))
            alone = self.let(f"and i1 {none}, {first}")
            if self.team > 1:
                alone = self.let(f"and i1 {alone}, {self.let(f'icmp eq i32 {self.warp}, 0')}")
            leaves = f"br i1 {alone}, label %finish, label %out"
        self.label("work", leaves)

    # -- after the blocks

    def done(self, block: str) -> None:
        """The block has been done: the last warp to come here goes on."""
        self.count += 1
        rest = f"rest{self.count}"
        if self.team > 1:
            self.barrier()
            first = self.let(f"icmp eq i32 {self.warp}, 0")
            self.label(f"first{self.count}", f"br i1 {first}, label %first{self.count}, label %{rest}")
        names, blocks = dict(self.names), self.names["blocks"]
        counters, most = f"@{self.entry.name}.arrived", 0
        if self.lanes is not None:
            number, most = self.count, groups(self.lanes)
            many = self.let(f"icmp sgt i64 {blocks}, {self.lanes.beyond}")
            self.label(f"many{number}", f"br i1 {many}, label %many{number}, label %few{number}")
            group = self.let(f"and i64 {block}, {most - 1}")
            others = self.let(f"sub i64 {self.let(f'sub i64 {blocks}, 1')}, {group}")
            others = self.let(f"lshr i64 {others}, {most.bit_length() - 1}")
            at = self.let(f"getelementptr i32, ptr addrspace(1) {counters}, i64 {group}")
            last = self.arrive(at, others)
            self.label(f"lane{number}", f"br i1 {last}, label %lane{number}, label %{rest}")
            self.more(self.lanes, group)
            self.label(f"few{number}", f"br label %few{number}")
            blocks = self.let(f"select i1 {many}, i64 {most}, i64 {blocks}")
        at = self.let(f"getelementptr i32, ptr addrspace(1) {counters}, i64 {most}")
        last = self.arrive(at, self.let(f"sub i64 {blocks}, 1"))
        self.label(rest, f"br i1 {last}, label %finish, label %{rest}")
        self.names = names
        text = f"{counters} = internal addrspace(1) global [{most + 1} x i32] zeroinitializer"
        self.shared += [text] if text not in self.shared else []

    def arrive(self, counter: str, others: str) -> str:
        """Whether so many others have come before. What they have stored is seen then; the counter is 0
        again. (LLVM drops the order of such an atomic, but not that of fences.)"""
        self.meet()
        few = self.let(f"trunc i64 {others} to i32")
        first = self.let(f"icmp eq i32 {self.lane32}, 0")

        def count() -> str:
            self.put(_FENCE)
            change = f'{counter}, i32 {few} syncscope("device") monotonic'
            old = self.let(f"atomicrmw uinc_wrap ptr addrspace(1) {change}")
            self.put(_FENCE)
            return old

        before = self.move("idx", self.where(first, count, "i32"), "0")
        self.meet()
        return self.let(f"icmp eq i32 {before}, {few}")

    def more(self, func: lp.Func, turn: str = "0") -> None:
        """The statements of another function of the kernel, for one warp; of its parallel loop this turn."""
        kept = self.team, self.common, self.prefix, self.warps, self.pending, self.tables
        self.team, self.common, self.warps, self.pending = 1, set[str](), 1, frozenset[Access]()
        self.prefix = f"{self.entry.name}.{func.name.rpartition('.')[2]}"
        self.names["thread"], self.turn = "0", turn
        if self.marks is not None:
            self.marks.include(func)
        outside = self.mark
        self.statements(func)
        self.mark, self.turn = outside, None
        self.team, self.common, self.prefix, self.warps, self.pending, self.tables = kept

    def parameter(self, slot: Slot) -> str:
        if slot.kind == "array":
            return f"ptr addrspace(1) %slot.{slot.name}"
        if slot.kind not in ("int", "scalar"):
            raise ValueError(f"a slot of kind `{slot.kind}`")
        return f"{slot.dtype.llvm} %slot.{slot.name}"

    def register(self, name: str) -> str:
        return self.call(f"llvm.nvvm.read.ptx.sreg.{name}.x", "i32", [])

    def point(self, name: str, text: str, dtype: DType, space: int, root: str = "") -> None:
        """`name` is known from here on as what lies at `text`."""
        self.pointers[name], self.spaces[name], self.roots[name] = (text, dtype), space, root or name
        for many in self.parts:
            lane = self.away(many)
            self.first[name, many] = self.let(
                f"getelementptr {dtype.llvm}, {self.address(name)} {text}, i64 {lane}"
            )

    def address(self, array: str) -> str:
        return f"ptr addrspace({self.spaces[array]})"

    def alloc(self, stmt: lp.Alloc) -> None:
        """Working memory of the warp, or of all warps of the team."""
        if isinstance(stmt.count, lp.Value):
            self.point(stmt.name, self.ask(stmt, self.ref(stmt.count)), stmt.dtype, 3)
            return
        name, size = f"@{self.prefix}.{stmt.name}", room(stmt)
        kind = f"[{size if stmt.shared else self.warps * size} x i8]"
        self.shared.append(f"{name} = internal addrspace(3) global {kind} undef, align {ALIGNED}")
        if not stmt.shared and self.warps > 1:
            at = self.let(f"mul i32 {self.warp}, {size}")
            name = self.let(f"getelementptr i8, ptr addrspace(3) {name}, i32 {at}")
        self.point(stmt.name, name, stmt.dtype, 3)

    def ask(self, stmt: lp.Alloc, count: str) -> str:
        """The next part of what the launch asks for."""
        if ASKED not in self.shared:
            self.shared.append(ASKED)
        at = self.let(f"getelementptr i8, ptr addrspace(3) @asked, i64 {self.asked}")
        self.asked = self.let(f"add i64 {self.asked}, {self.bytes_of(count, stmt.dtype.size)}")
        return at

    def bytes_of(self, count: str, size: int) -> str:
        """So many elements, up to where the next array begins."""
        more = self.let(f"add i64 {self.let(f'mul i64 {count}, {size}')}, {ALIGNED - 1}")
        return self.let(f"and i64 {more}, {-ALIGNED}")

    # -- statements

    def stmt(self, stmt: lp.Stmt) -> None:
        many = neighbours(stmt)
        if many > 1 and isinstance(stmt, lp.Let) and stmt.op in ARRANGED:
            if stmt.op not in LONG:
                raise ValueError(f"`{stmt.op}` of vectors that are longer than a warp")
            many = stmt.result.lanes // WARP or 1
        if isinstance(stmt, lp.Load) and stmt.aligned:
            self.load_at_once(stmt, many)
        elif isinstance(stmt, lp.Store) and stmt.aligned:
            self.store_at_once(stmt, many)
        else:
            for self.part in range(many):
                super().stmt(stmt)
            self.part = 0
        if isinstance(stmt, lp.Let) and stmt.result.dtype is i64:
            self.multiples[stmt.result.name] = of_result(stmt, self.multiples)

    def other(self, stmt: lp.Stmt) -> None:
        if isinstance(stmt, lp.Alloc):
            if stmt.name not in self.pointers:
                raise ValueError(f"`{stmt.name}` is allocated inside of a loop")
        elif isinstance(stmt, lp.Barrier):
            self.barrier()
        elif isinstance(stmt, lp.Aligned):
            self.names[stmt.result.name] = self.aligned(stmt)
        elif not isinstance(stmt, lp.Prefetch):
            raise TypeError(f"{stmt!r} is not a statement")

    def barrier(self) -> None:
        """Of all threads of the block: those of a warp meet, too."""
        if self.team == 1:
            self.meet()
            return
        self.call("llvm.nvvm.barrier.cta.sync.aligned.all", "void", [("i32", "0")])
        self.pending = frozenset()

    def window(self, stmt: lp.Window) -> None:
        if stmt.choice is not None:
            raise ValueError(f"`{stmt.name}`: a window on one of two arrays")
        text = self.pointer(stmt.array, self.ref(stmt.index))
        self.point(stmt.name, text, stmt.dtype, self.spaces[stmt.array], self.roots[stmt.array])

    def loop(self, stmt: lp.For) -> None:
        stmt = replace(
            stmt,
            carried=apart(stmt.carried),
            inits=apart(stmt.inits),
            yields=apart(stmt.yields),
            results=apart(stmt.results),
        )
        if stmt.kind == "parallel":  # one turn: the grid has a warp, or a team, for each
            self.names[stmt.var.name] = self.names["begin"] if self.turn is None else self.turn
            self.one_by_one(stmt.body)
            if self.turn is None and self.finish is not None:
                self.done(self.names["begin"])
            return
        inside = accesses(stmt.body, self.roots, self.spaces, self.common)
        self.pending = far(self.pending)
        if clash(self.pending, inside):
            self.meet()
        before, self.pending = self.pending, inside  # of the turn before
        super().loop(stmt)
        self.pending = far(before | inside)

    def access(self, stmt: lp.Load | lp.Store) -> None:
        """The lanes wait for each other where one may need what another one has done."""
        new = accesses((stmt,), self.roots, self.spaces, self.common)
        if clash(self.pending, new):
            self.meet()
        self.pending |= new

    def meet(self) -> None:
        self.call("llvm.nvvm.bar.warp.sync", "void", [EVERY])
        self.pending = frozenset()

    # -- instructions

    def remainder(self, x: lp.Operand, y: lp.Operand) -> str:
        return remainder.by_turns(self, x, y)

    # -- memory

    def place(self, array: str, index: lp.Operand, stride: lp.Operand | None, lanes: int) -> str:
        """Where a lane's element is."""
        at = self.ref(index)
        dtype, kind, many = self.pointers[array][1], self.address(array), max(1, lanes // WARP)
        if lanes > 1 and index.lanes == 1 and stride is None:
            at = at if not self.part else self.let(f"add i64 {at}, {self.part}")
            return self.let(f"getelementptr {dtype.llvm}, {kind} {self.first[array, many]}, i64 {at}")
        if lanes > 1 and index.lanes == 1 and stride is not None:
            lane = self.away(many)
            lane = lane if not self.part else self.let(f"add i64 {lane}, {self.part}")
            away = self.let(f"mul i64 {lane}, {self.ref(stride)}")
            at = self.let(f"add i64 {at}, {away}")
        return self.pointer(array, at)

    def away(self, many: int) -> str:
        """How far the first element of a thread is from that of the first one, where each has so many."""
        return self.lane if many == 1 else self.let(f"mul i64 {self.lane}, {many}")

    def under(
        self, lanes: int, mask: lp.Operand | None, code: Callable[[], str | None], kind: str = ""
    ) -> str:
        """`code()` where the mask holds, and 0 elsewhere; of a short vector, in the lanes that it has."""
        test = None if mask is None else self.ref(mask)
        if 1 < lanes < WARP:
            few = self.let(f"icmp ult i32 {self.lane32}, {lanes}")
            test = few if test is None else self.let(f"and i1 {few}, {test}")
        return self.where(test, code, kind)

    def where(self, test: str | None, code: Callable[[], str | None], kind: str) -> str:
        if test is None:
            return code() or ""
        self.count += 1
        yes, done, before = f"yes{self.count}", f"done{self.count}", self.block
        self.label(yes, f"br i1 {test}, label %{yes}, label %{done}")
        got = code()
        self.label(done, f"br label %{done}")
        if not kind:
            return ""
        zero = "zeroinitializer"
        return self.let(f"phi {kind} [ {got}, %{yes} ], [ {zero}, %{before} ]")

    def load(self, stmt: lp.Load) -> str:
        self.access(stmt)
        dtype, lanes = stmt.result.dtype, stmt.result.lanes
        kind, at = dtype.llvm, self.place(stmt.array, stmt.index, stmt.stride, lanes)
        align = dtype.size
        if stmt.index.lanes > 1 and self.roots[stmt.array] == stmt.array and self.spaces[stmt.array] == 3:
            align = min(ALIGNED, align * multiple(stmt.index, self.multiples))
        read = f"load {kind}, {self.address(stmt.array)} {at}, align {align}"
        return self.from_memory(self.under(lanes, stmt.mask, lambda: self.let(read), kind), dtype, lanes)

    def store(self, stmt: lp.Store) -> None:
        self.access(stmt)
        dtype, lanes = stmt.value.dtype, stmt.value.lanes
        text, at = self.ref(stmt.value), self.place(stmt.array, stmt.index, stmt.stride, lanes)
        if dtype is b1:
            text = self.let(f"zext i1 {text} to i8")
        write = f"store {dtype.llvm} {text}, {self.address(stmt.array)} {at}, align {dtype.size}"
        if lanes > 1:
            self.under(lanes, stmt.mask, lambda: self.put(write))
            return
        first = self.let(f"icmp eq i32 {self.lane32}, 0")
        test = first if stmt.mask is None else self.let(f"and i1 {first}, {self.ref(stmt.mask)}")
        self.where(test, lambda: self.put(write), "")

    # -- several elements of a thread at once

    def load_at_once(self, stmt: lp.Load, many: int) -> None:
        self.access(stmt)
        dtype, result = stmt.result.dtype, stmt.result
        at, kind = self.place(stmt.array, stmt.index, None, result.lanes), f"<{many} x {dtype.llvm}>"
        read = f"load {kind}, {self.address(stmt.array)} {at}, align {min(lp.BOUNDARY, many * dtype.size)}"
        whole = self.under(WARP, self.common_mask(stmt.mask, many), lambda: self.let(read), kind)
        for self.part in range(many):
            text = self.let(f"extractelement {kind} {whole}, i32 {self.part}")
            self.known(result, self.from_memory(text, dtype, 1))
        self.part = 0

    def store_at_once(self, stmt: lp.Store, many: int) -> None:
        self.access(stmt)
        dtype, at = stmt.value.dtype, self.place(stmt.array, stmt.index, None, stmt.value.lanes)
        kind, whole = f"<{many} x {dtype.llvm}>", "poison"
        for part, text in enumerate(self.each(stmt.value, many)):
            text = self.let(f"zext i1 {text} to i8") if dtype is b1 else text
            whole = self.let(f"insertelement {kind} {whole}, {dtype.llvm} {text}, i32 {part}")
        size = min(lp.BOUNDARY, many * dtype.size)
        write = f"store {kind} {whole}, {self.address(stmt.array)} {at}, align {size}"
        self.under(WARP, self.common_mask(stmt.mask, many), lambda: self.put(write))

    def common_mask(self, mask: lp.Operand | None, many: int) -> lp.Operand | None:
        """Of all elements of a thread."""
        if mask is not None and len(set(self.each(mask, many))) > 1:
            raise ValueError("what is moved at once has several masks")
        return mask


def emit(funcs: Sequence[lp.Func], marks: Lines | None = None, held: int = 0) -> str:
    """LLVM text that defines `funcs`: a kernel, and what comes after its blocks. `marks` as for CPUs; `held`:
    warps that a processor shall hold at least, if there is a need to say so."""
    emitter = PtxEmitter(marks, held)
    after = [func for func in funcs if is_after(func)]
    for func in funcs:
        if not is_after(func) or len(after) == len(funcs):
            emitter.func(func, after if not is_after(func) else ())
    parts = [
        f'target triple = "{TRIPLE}"',
        "",
        *emitter.shared,
        *emitter.lines,
        "",
        *emitter.declared.values(),
        *(marks.tail() if marks is not None else ()),
    ]
    return "\n".join(parts) + "\n"
