"""Loops to LLVM text for NVIDIA GPUs: a vector is a warp.

Its 32 lanes are threads, so a vector is one register of each, a scalar the same in all; a mask is a
predicate, `hi` a shuffle, working memory the warp's part of shared memory. Blocks go round the warps of the
grid; a team has one, and is a block of threads. A scalar is stored by the first lane.

    %v: f32x32 = load x[%i]         =>    %p = getelementptr float, ptr addrspace(1) %x.lane, i64 %i
                                          %v = load float, ptr addrspace(1) %p
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

from ..ir.data import replace
from ..ir.layout import Slot
from ..ir.loop import Alloc, Barrier, For, Func, Let, Load, Operand, Prefetch, Stmt, Store, Value, Window
from ..ir.types import DType, b1, i64
from ..llvm.emitter import Emitter, literal
from ..llvm.lines import Lines
from ..llvm.writer import element_type
from . import remainder
from .launch import ALIGNED, entry, room
from .multiples import multiple, of_result
from .order import Access, accesses, clash, far
from .target import ARCH, HELD, LARGE, TRIPLE, WARP

_EVERY = ("i32", "-1")  # lane
ASKED = f"@asked = external addrspace(3) global [0 x i8], align {ALIGNED}"


def tables(body: Iterable[Stmt]) -> dict[tuple[Operand, ...], None]:
    """The tables that statements look up."""
    found: dict[tuple[Operand, ...], None] = {}
    for stmt in body:
        if isinstance(stmt, For):
            found |= tables(stmt.body)
        elif isinstance(stmt, Let) and stmt.op == "table":
            found[stmt.args[1:]] = None
    return found


class PtxEmitter(Emitter):
    def __init__(self, marks: Lines | None, arch: str) -> None:
        super().__init__(marks)
        self.arch = arch
        self.shared: list[str] = []
        self.tables: dict[tuple[Operand, ...], Value] = {}

    def held(self, lanes: int) -> int:
        return 1

    # -- functions

    def func(self, func: Func) -> None:
        self.entry = entry(func)
        self.names, self.pointers, self.block = {}, {}, "entry"
        self.first: dict[str, str] = {}  # pointers, a lane's own element further
        self.roots: dict[str, str] = {}  # what windows are on
        self.spaces: dict[str, int] = {}
        self.pending: frozenset[Access] = frozenset()
        self.multiples: dict[str, int] = {}
        self.common = {s.name for s in func.body if isinstance(s, Alloc) and s.shared}
        given = ", ".join(self.parameter(slot) for slot in func.slots)
        threads = f'"nvvm.reqntid"="{self.entry.threads}"'
        if func.team >= LARGE and self.arch in HELD:
            threads += f' "nvvm.minctasm"="{HELD[self.arch] // func.team}"'
        if self.marks is not None:
            self.mark = self.marks.enter(func)
            threads += self.marks.function
        self.lines += [f"define ptx_kernel void @{self.entry.name}({given}) nounwind {threads} {{", "entry:"]
        tid, block, blocks = map(self.register, ("tid", "ctaid", "nctaid"))
        self.lane32 = self.let(f"and i32 {tid}, {WARP - 1}")
        self.lane = self.let(f"zext i32 {self.lane32} to i64")
        self.warp = self.let(f"lshr i32 {tid}, {WARP.bit_length() - 1}")
        self.team = func.team
        first, every = (self.let(f"mul i32 {n}, {self.entry.each}") for n in (block, blocks))
        begin = self.let(f"add i32 {first}, {self.warp}") if self.entry.each == self.entry.warps else first
        self.names["begin"], self.names["every"] = (self.let(f"zext i32 {n} to i64") for n in (begin, every))
        self.names["thread"] = self.let(f"zext i32 {self.warp} to i64") if func.team > 1 else "0"
        for slot in func.slots:
            if slot.kind == "array":
                self.point(slot.name, f"%slot.{slot.name}", slot.dtype, 1)
            else:
                text = f"%slot.{slot.name}"
                self.names[slot.name] = text if slot.dtype is not b1 else self.let(f"icmp ne i8 {text}, 0")
        self.names["end"] = self.names["blocks"]
        for stmt in func.body:
            if isinstance(stmt, For) and stmt.kind == "parallel":
                self.only_at_work(self.ref(stmt.hi))
        self.asked = "0"  # bytes from where on the next array lies that the launch asks for
        if self.entry.asked and self.entry.each > 1:  # each warp has its own
            sizes = [self.bytes_of(self.ref(Value(name, i64)), size) for name, size in self.entry.asked]
            total = functools.reduce(lambda x, y: self.let(f"add i64 {x}, {y}"), sizes)
            self.asked = self.let(f"mul i64 {self.let(f'zext i32 {self.warp} to i64')}, {total}")
        for stmt in func.body:
            if isinstance(stmt, Alloc):
                self.alloc(stmt)
        self.tables = {elements: self.table(elements) for elements in tables(func.body)}
        outside = self.mark
        for stmt in func.body:
            self.stmt(stmt)
        self.mark = outside
        self.put("ret void")
        self.lines.append("}")

    def only_at_work(self, end: str) -> None:
        """A warp without a block leaves: what it would read may be overwritten."""
        works = self.let(f"icmp slt i64 {self.names['begin']}, {end}")
        self.put(f"br i1 {works}, label %work, label %idle")
        self.lines += ["idle:", "  ret void", "work:"]
        self.block = "work"

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
        self.first[name] = self.let(
            f"getelementptr {dtype.llvm}, {self.address(name)} {text}, i64 {self.lane}"
        )

    def address(self, array: str) -> str:
        return f"ptr addrspace({self.spaces[array]})"

    def alloc(self, stmt: Alloc) -> None:
        """Working memory of the warp, or of all warps of the team."""
        if isinstance(stmt.count, Value):
            self.point(stmt.name, self.ask(stmt, self.ref(stmt.count)), stmt.dtype, 3)
            return
        name, size = f"@{self.entry.name}.{stmt.name}", room(stmt)
        kind = f"[{size if stmt.shared else self.entry.warps * size} x i8]"
        self.shared.append(f"{name} = internal addrspace(3) global {kind} undef, align {ALIGNED}")
        if not stmt.shared:
            at = self.let(f"mul i32 {self.warp}, {size}")
            name = self.let(f"getelementptr i8, ptr addrspace(3) {name}, i32 {at}")
        self.point(stmt.name, name, stmt.dtype, 3)

    def ask(self, stmt: Alloc, count: str) -> str:
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

    def stmt(self, stmt: Stmt) -> None:
        super().stmt(stmt)
        if isinstance(stmt, Let) and stmt.result.dtype is i64:
            self.multiples[stmt.result.name] = of_result(stmt, self.multiples)

    def other(self, stmt: Stmt) -> None:
        if isinstance(stmt, Alloc):
            if stmt.name not in self.pointers:
                raise ValueError(f"`{stmt.name}` is allocated inside of a loop")
        elif isinstance(stmt, Barrier):
            self.barrier()
        elif not isinstance(stmt, Prefetch):
            raise TypeError(f"{stmt!r} is not a statement")

    def barrier(self) -> None:
        """Of all threads of the block: those of a warp meet, too."""
        if self.team == 1:
            self.meet()
            return
        self.call("llvm.nvvm.barrier.cta.sync.aligned.all", "void", [("i32", "0")])
        self.pending = frozenset()

    def window(self, stmt: Window) -> None:
        if stmt.choice is not None:
            raise ValueError(f"`{stmt.name}`: a window on one of two arrays")
        text = self.pointer(stmt.array, self.ref(stmt.index))
        self.point(stmt.name, text, stmt.dtype, self.spaces[stmt.array], self.roots[stmt.array])

    def loop(self, stmt: For) -> None:
        if stmt.kind == "parallel" and self.team > 1:  # the grid has a block for each turn
            self.names[stmt.var.name] = self.names["begin"]
            for inner in stmt.body:
                self.stmt(inner)
            return
        if stmt.kind == "parallel":
            stmt, given = replace(stmt, kind="serial", step=Value("every", stmt.var.dtype)), stmt
            if self.marks is not None:
                self.marks.same(stmt, given)
        inside = accesses(stmt.body, self.roots, self.spaces, self.common)
        self.pending = far(self.pending)
        if clash(self.pending, inside):
            self.meet()
        before, self.pending = self.pending, inside  # of the turn before
        super().loop(stmt)
        self.pending = far(before | inside)

    def access(self, stmt: Load | Store) -> None:
        """The lanes wait for each other where one may need what another one has done."""
        new = accesses((stmt,), self.roots, self.spaces, self.common)
        if clash(self.pending, new):
            self.meet()
        self.pending |= new

    def meet(self) -> None:
        self.call("llvm.nvvm.bar.warp.sync", "void", [_EVERY])
        self.pending = frozenset()

    # -- instructions

    def remainder(self, x: Operand, y: Operand) -> str:
        return remainder.emit(self, x, y)

    def arrange(self, stmt: Let) -> str:
        op, args, result = stmt.op, stmt.args, stmt.result
        if op == "iota":
            kind = element_type(result.dtype)
            if kind == "i64":
                return self.lane
            return self.lane32 if kind == "i32" else self.let(f"trunc i32 {self.lane32} to {kind}")
        x, count = args[0], args[0].lanes
        if op == "shuffle":
            return self.shuffle("bfly", x, str(literal(args[1])))
        if op == "any":
            return self.any(x)
        if op == "table":
            return self.shuffle("idx", self.tables[args[1:]], self.ref(x))
        if op == "splat":
            if count == 1:
                return self.ref(x)
            return self.shuffle("idx", x, self.let(f"and i32 {self.lane32}, {count - 1}"))
        if op in ("lo", "hi"):
            half = count // 2 if op == "hi" else 0
            if result.lanes == 1:
                return self.shuffle("idx", x, str(half))
            return self.shuffle("down", x, str(half)) if half else self.ref(x)
        if op in ("spread", "collect"):
            return self.turned(op, x, args[1], literal(args[2]), literal(args[3]))
        n, off = literal(args[2]), literal(args[2]) if op == "pack_hi" else 0
        start = self.let(f"shl i32 {self.let(f'and i32 {self.lane32}, {-n}')}, 1")
        at = self.let(f"add i32 {start}, {self.let(f'and i32 {self.lane32}, {n - 1}')}")
        at = self.let(f"add i32 {at}, {off}")
        lane = self.let(f"and i32 {at}, {count - 1}")
        first, second = self.shuffle("idx", x, lane), self.shuffle("idx", args[1], lane)
        kind = self.type_of(result)
        return self.let(
            f"select i1 {self.let(f'icmp ult i32 {at}, {count}')}, {kind} {first}, {kind} {second}"
        )

    def any(self, x: Operand) -> str:
        """By a vote; a short vector has one for the lanes that it has."""
        if x.lanes == 1:
            return self.ref(x)
        test = self.ref(x)
        if x.lanes < WARP:
            test = self.let(f"and i1 {test}, {self.let(f'icmp ult i32 {self.lane32}, {x.lanes}')}")
        return self.call("llvm.nvvm.vote.any.sync", "i1", [_EVERY, ("i1", test)])

    def table(self, elements: tuple[Operand, ...]) -> Value:
        """A register that holds in each lane the element that its number chooses: looking one up is a
        shuffle."""
        found, bit = [self.ref(e) for e in elements], 1
        kind = self.type_of(elements[0])
        while len(found) > 1:
            on = self.let(f"icmp ne i32 {self.let(f'and i32 {self.lane32}, {bit}')}, 0")
            pairs = zip(found[1::2], found[::2], strict=True)
            found = [self.let(f"select i1 {on}, {kind} {one}, {kind} {other}") for one, other in pairs]
            bit *= 2
        value = Value(self.fresh("table")[1:], elements[0].dtype, WARP)
        self.names[value.name] = found[0]
        return value

    def turned(self, op: str, x: Operand, y: Operand, d: int, k: int) -> str:
        """`spread` or `collect`: a lane of y, or x where there is none."""
        if op == "collect":
            at = self.let(f"add i32 {self.let(f'mul i32 {self.lane32}, {d}')}, {k}")
            found = self.let(f"icmp ult i32 {at}, {y.lanes}")
        else:
            away = self.let(f"add i32 {self.lane32}, {k}")
            at = self.let(f"sdiv i32 {away}, {d}")
            whole = self.let(f"icmp eq i32 {self.let(f'mul i32 {at}, {d}')}, {away}")
            found = self.let(f"and i1 {whole}, {self.let(f'icmp ult i32 {at}, {y.lanes}')}")
        value = self.shuffle("idx", y, self.let(f"and i32 {at}, {y.lanes - 1}"))
        return self.let(f"select i1 {found}, {self.type_of(y)} {value}, {self.typed(x)}")

    def shuffle(self, kind: str, value: Operand, lane: str) -> str:
        """The value of lane number `lane`, so many further ("down"), or this one's xor it ("bfly")."""
        held, bits = self.type_of(value), 1 if value.dtype is b1 else value.dtype.bits
        text, floats = self.ref(value), held in ("float", "double")
        if floats:
            text = self.let(f"bitcast {held} {text} to i{bits}")
        if bits == 64:
            high = self.let(f"lshr i64 {text}, 32")
            low, high = (self.let(f"trunc i64 {part} to i32") for part in (text, high))
            low, high = (self.let(f"zext i32 {self.move(kind, part, lane)} to i64") for part in (low, high))
            text = self.let(f"or i64 {low}, {self.let(f'shl i64 {high}, 32')}")
        else:
            text = self.move(kind, text if bits == 32 else self.let(f"zext i{bits} {text} to i32"), lane)
            text = text if bits == 32 else self.let(f"trunc i32 {text} to i{bits}")
        return self.let(f"bitcast i{bits} {text} to {held}") if floats else text

    def move(self, kind: str, text: str, lane: str) -> str:
        args = [_EVERY, ("i32", text), ("i32", lane), ("i32", str(WARP - 1))]
        return self.call(f"llvm.nvvm.shfl.sync.{kind}.i32", "i32", args)

    # -- memory

    def place(self, array: str, index: Operand, stride: Operand | None, lanes: int) -> str:
        """Where a lane's element is."""
        at = self.ref(index)
        dtype, kind = self.pointers[array][1], self.address(array)
        if lanes > 1 and index.lanes == 1 and stride is None:
            return self.let(f"getelementptr {dtype.llvm}, {kind} {self.first[array]}, i64 {at}")
        if lanes > 1 and index.lanes == 1 and stride is not None:
            away = self.let(f"mul i64 {self.lane}, {self.ref(stride)}")
            at = self.let(f"add i64 {at}, {away}")
        return self.pointer(array, at)

    def under(self, lanes: int, mask: Operand | None, code: Callable[[], str], kind: str = "") -> str:
        """`code()` where the mask holds, and 0 elsewhere; of a short vector, in the lanes that it has."""
        test = None if mask is None else self.ref(mask)
        if 1 < lanes < WARP:
            few = self.let(f"icmp ult i32 {self.lane32}, {lanes}")
            test = few if test is None else self.let(f"and i1 {few}, {test}")
        return self.where(test, code, kind)

    def where(self, test: str | None, code: Callable[[], str], kind: str) -> str:
        if test is None:
            return code()
        self.count += 1
        yes, done, before = f"yes{self.count}", f"done{self.count}", self.block
        self.put(f"br i1 {test}, label %{yes}, label %{done}")
        self.lines.append(f"{yes}:")
        got = code()
        self.put(f"br label %{done}")
        self.lines.append(f"{done}:")
        self.block = done
        if not kind:
            return ""
        zero = "0.0" if kind in ("float", "double") else "0"
        return self.let(f"phi {kind} [ {got}, %{yes} ], [ {zero}, %{before} ]")

    def load(self, stmt: Load) -> str:
        self.access(stmt)
        dtype, lanes = stmt.result.dtype, stmt.result.lanes
        kind, at = dtype.llvm, self.place(stmt.array, stmt.index, stmt.stride, lanes)
        align = dtype.size
        if stmt.index.lanes > 1 and self.roots[stmt.array] == stmt.array and self.spaces[stmt.array] == 3:
            align = min(ALIGNED, align * multiple(stmt.index, self.multiples))
        read = f"load {kind}, {self.address(stmt.array)} {at}, align {align}"
        return self.from_memory(self.under(lanes, stmt.mask, lambda: self.let(read), kind), dtype, lanes)

    def store(self, stmt: Store) -> None:
        self.access(stmt)
        dtype, lanes = stmt.value.dtype, stmt.value.lanes
        text, at = self.ref(stmt.value), self.place(stmt.array, stmt.index, stmt.stride, lanes)
        if dtype is b1:
            text = self.let(f"zext i1 {text} to i8")
        write = f"store {dtype.llvm} {text}, {self.address(stmt.array)} {at}, align {dtype.size}"

        def put() -> str:
            self.put(write)
            return ""

        if lanes > 1:
            self.under(lanes, stmt.mask, put)
            return
        first = self.let(f"icmp eq i32 {self.lane32}, 0")
        test = first if stmt.mask is None else self.let(f"and i1 {first}, {self.ref(stmt.mask)}")
        self.where(test, put, "")


def emit(funcs: Sequence[Func], marks: Lines | None = None, arch: str = ARCH) -> str:
    """LLVM text that defines `funcs`: a kernel, and what comes after its blocks. `marks` as for CPUs."""
    emitter = PtxEmitter(marks, arch)
    for func in funcs:
        emitter.func(func)
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
