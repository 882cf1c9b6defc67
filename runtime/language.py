"""The language that the runtime's native code is written in: the syntax of Python, the meaning of C.

    def total(row: ROW, n) -> i64:
        sum = 0
        for k in range(n):
            if row[k].size > 0:
                sum += row[k].size
        return sum

Types are i1, i8, i32, i64 and other integers, float, double, `ptr` (to bytes), a record, which is a pointer
to one, and many[T], a pointer to elements of 8 bytes. What says no type is i64. A record has words of 8
bytes: `p.field` is one of them, `p[k]` the record that is k further on; of many[T] `p[k]` is an element. `p +
n` counts records, elements or bytes. `half` is a field of 4 bytes, read as an i64.

Numbers compare as signed ones; they are divided and shifted to the right, and `min`, `max` and `less` (the
difference, or 0) take them, as unsigned ones. In conditions `and`
and `or` decide how to go on; `a if c else b` takes one of two values that are both computed. After `try`, all
ways out lead through `finally`. Calls of what is no function are calls of an address; what they return is
what the variable says that takes it. A function whose body is a string is that function of LLVM's, one
without a body is the system's.

    load(p, T), store(p, v)             of any type; with an order (`"acquire"`), atomic
    add_to(p, v, order), swap(p, v, order), set_if(p, old, new, order, order)
    address(p.field)                    or of p[k]
    room(T, n, align)                   on the stack of this call
    i64(x), double(x), T(p), ...        as another type
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from lucid.compiler.ir.data import data

from .records import Fields

_PRELUDE = """
def min(a, b) -> i64: "llvm.umin.i64"
def max(a, b) -> i64: "llvm.umax.i64"
def less(a, b) -> i64: "llvm.usub.sat.i64"
def copy(to: ptr, source: ptr, n, volatile: i1): "llvm.memcpy.p0.p0.i64"
def malloc(n) -> ptr: ...
def free(p: ptr): ...
"""


class Kind(NamedTuple):
    """A type: LLVM's, and of a pointer what it points at: a record, or elements."""

    llvm: str
    record: str = ""
    element: str = ""


class Value(NamedTuple):
    text: str
    kind: Kind
    phi: _Phi | None = None


@data(eq=False, frozen=False)
class _Phi:
    """What a variable is where several ways meet: written down if anything reads it."""

    name: str
    kind: Kind
    ways: list[tuple[str, Value]]
    used: bool = False


class _Signature(NamedTuple):
    symbol: str
    params: tuple[Kind, ...]
    result: Kind


_I64, _I1, _PTR, _VOID = Kind("i64"), Kind("i1"), Kind("ptr"), Kind("void")
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "udiv", ast.Mod: "urem", ast.LShift: "shl",
    ast.RShift: "lshr", ast.BitAnd: "and", ast.BitXor: "xor",
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge",
}  # fmt: skip


def compiled(
    source: str,
    exported: Sequence[str],
    records: Mapping[str, Fields],
    constants: Mapping[str, int],
    attributes: str = "nounwind",
) -> str:
    """LLVM text of the functions in `source`. ValueError, with the line of the function, for
    what the language has not."""
    functions: dict[str, _Signature] = {}
    declared: dict[str, str] = {}
    written: dict[str, str] = {}
    for part in re.split(r"^(?=def )", _PRELUDE + source, flags=re.M)[1:]:
        head = re.match(r"def (\w+)\((.*?)\)(?: -> (\S+))?:\s", part, re.S)
        if head is None:
            raise ValueError(f"no head of a function: {part[:80]}")
        pairs = (param.partition(":") for param in head[2].split(",") if param.strip())
        params = tuple(_named(kind.strip() or "i64", records) for _, _, kind in pairs)
        result, name, body = (
            _named(head[3], records) if head[3] else _VOID,
            head[1],
            part[head.end() :].strip(),
        )
        foreign = re.fullmatch(r'"([\w.]+)"|\.\.\.', body)
        symbol = foreign[1] or name if foreign else name
        functions[name] = _Signature(symbol, params, result)
        if foreign:
            declared[symbol] = f"declare {result.llvm} @{symbol}({', '.join(p.llvm for p in params)})\n"
        else:
            written[name] = part
    called: set[str] = set()
    texts = []
    for name, part in written.items():
        # one at a time: trees of all of them would set off a collection of garbage
        (node,) = ast.parse(part).body
        assert isinstance(node, ast.FunctionDef)
        function = _Function(node, functions, records, constants, called)
        linkage = "" if name in exported else "internal "
        texts.append(f"define {linkage}{function.head} {attributes} {{\nentry:\n{function.text()}}}\n")
    return "".join((*(line for symbol, line in declared.items() if symbol in called), *texts))


def _kind(node: ast.expr, records: Mapping[str, Fields]) -> Kind:
    """The type that an annotation says."""
    return _named(_spelled(node), records)


def _spelled(node: ast.expr) -> str:
    """The name of a function or a type."""
    match node:
        case ast.Name(name):
            return name
        case ast.Subscript(ast.Name("many"), ast.Name(element)):
            return f"many[{element}]"
    raise _unknown(node)


def _named(name: str, records: Mapping[str, Fields]) -> Kind:
    if name in records:
        return Kind("ptr", record=name)
    return Kind("ptr", element=name[5:-1]) if name.startswith("many[") else Kind(name)


def _unknown(node: ast.stmt | ast.expr) -> ValueError:
    return ValueError(f"line {node.lineno}: not of this language: {ast.unparse(node)}")


def _assigned(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The variables that statements assign."""
    for node in body:
        for target in getattr(node, "targets", None) or [getattr(node, "target", None)]:
            if isinstance(target, ast.Name):
                yield target.id
        for part in (node, *getattr(node, "cases", ())):
            for field in ("body", "orelse", "finalbody"):
                yield from _assigned(getattr(part, field, ()))


class _Function:
    """One function, on the way to text: variables become values as it is read (after Braun et al., Simple and
    Efficient Construction of Static Single Assignment Form, CC 2013, with the ways known from the syntax)."""

    def __init__(
        self,
        node: ast.FunctionDef,
        functions: Mapping[str, _Signature],
        records: Mapping[str, Fields],
        constants: Mapping[str, int],
        called: set[str],
    ) -> None:
        self.functions, self.records, self.constants, self.called = functions, records, constants, called
        _, params, self.result = functions[node.name]
        self.env = {a.arg: Value(f"%{a.arg}", kind) for a, kind in zip(node.args.args, params, strict=True)}
        listed = ", ".join(f"{v.kind.llvm} {v.text}" for v in self.env.values())
        self.head = f"{self.result.llvm} @{node.name}({listed})"
        self.lines: list[str | _Phi] = []
        self.block: str | None = "entry"
        self.count = 0
        self.ways: dict[str, list[tuple[str, dict[str, Value]]]] = {}  # to a block that is not begun
        self.heads: dict[str, list[tuple[str, _Phi]]] = {}  # of loops: from which variable a phi goes on
        # where `continue` and `break` go, what a loop runs over, and how many `finally` are around it
        self.loops: list[tuple[str, str, str, int]] = []
        self.last: list[str] = []  # where `return` goes
        self.statements(node.body)
        if self.block is not None:
            self.give(None)

    def text(self) -> str:
        reached = [line for line in self.lines if isinstance(line, _Phi) and line.used]
        for phi in reached:  # grows
            for _, value in phi.ways:
                if value.phi is not None and not value.phi.used:
                    value.phi.used = True
                    reached.append(value.phi)
        text = ""
        for line in self.lines:
            if isinstance(line, str):
                text += f"{line}\n"
            elif line.used:
                ways = ", ".join(f"[ {value.text}, %{block} ]" for block, value in line.ways)
                text += f"  {line.name} = phi {line.kind.llvm} {ways}\n"
        return text

    # --- blocks ----------------------------------------------------------------------------------

    def label(self, kind: str) -> str:
        self.count += 1
        return f"{kind}.{self.count}"

    def emit(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def make(self, name: str, kind: Kind, text: str) -> Value:
        found = f"%{self.label(name)}"
        self.emit(f"{found} = {text}")
        return Value(found, kind)

    def reach(self, label: str) -> None:
        """There is a way from here to this block."""
        assert self.block is not None
        if label in self.heads:
            for name, phi in self.heads[label]:
                phi.ways.append((self.block, self.env[name]))
        else:
            self.ways.setdefault(label, []).append((self.block, dict(self.env)))

    def leave(self, text: str, *labels: str) -> None:
        """The last instruction of a block, which goes on at one of these."""
        self.emit(text)
        for label in labels:
            self.reach(label)
        self.block = None

    def jump(self, label: str) -> None:
        self.leave(f"br label %{label}", label)

    def branch(self, test: Value, yes: str, no: str) -> None:
        self.leave(f"br i1 {test.text}, label %{yes}, label %{no}", yes, no)

    def phi(self, name: str, kind: Kind, ways: list[tuple[str, Value]]) -> Value:
        phi = _Phi(f"%{self.label(name.strip())}", kind, ways)
        self.lines.append(phi)
        return Value(phi.name, kind, phi)

    def start(self, label: str) -> None:
        """Begin a block where all that leads to it has been written; nothing, if nothing does."""
        ways = self.ways.pop(label, [])
        if not ways:
            return
        self.block = label
        self.lines.append(f"{label}:")
        (_, self.env), *others = ways
        for name, first in list(self.env.items()) if others else ():
            values = [(block, env[name]) for block, env in ways if name in env]
            if len(values) < len(ways) or any(v.kind.llvm != first.kind.llvm for _, v in values):
                del self.env[name]  # not known on all ways
            elif any(v is not first for _, v in values):
                self.env[name] = self.phi(name, first.kind, values)

    def loop(self, node: ast.While | ast.For, k: str = "", ends: Sequence[Value] = ()) -> None:
        """A loop: over `k` from one value to another one, or while its condition holds."""
        names = dict.fromkeys(name for name in _assigned(node.body) if name in self.env and name != k)
        head, inside, after = self.label("loop"), self.label("do"), self.label("after")
        before = self.block
        assert before is not None
        self.emit(f"br label %{head}")
        self.lines.append(f"{head}:")
        self.block = head
        starts = {k: ends[0]} if ends else {}
        found = {
            n: self.phi(n, v.kind, [(before, v)])
            for n, v in (starts | {n: self.env[n] for n in names}).items()
        }
        self.env |= found
        # a loop over k goes on with the next one
        self.heads[head] = [(f"{n} " if n == k else n, v.phi) for n, v in found.items() if v.phi is not None]
        if ends:
            here = self.read(k)
            self.env[f"{k} "] = self.make(k, _I64, f"add i64 {here.text}, 1")
            self.branch(self.make(k, _I1, f"icmp slt i64 {here.text}, {ends[1].text}"), inside, after)
        else:
            assert isinstance(node, ast.While)
            self.condition(node.test, inside, after)
        self.loops.append((head, after, k, len(self.last)))
        self.body(inside, node.body, head)
        self.loops.pop()
        self.start(after)

    def body(self, label: str, body: Sequence[ast.stmt], after: str) -> None:
        self.start(label)
        self.statements(body)
        if self.block is not None:
            self.jump(after)

    # --- statements ------------------------------------------------------------------------------

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            if self.block is None:
                raise ValueError(f"line {node.lineno}: nothing leads here")
            self.statement(node)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign([target], value):
                self.assign(target, self.value(value))
            case ast.AnnAssign(target, annotation, ast.expr() as value):
                kind = _kind(annotation, self.records)
                self.assign(target, self.value(value, kind)._replace(kind=kind))
            case ast.AugAssign(target, op, value):
                self.assign(target, self.binary(op, target, value))
            case ast.Expr(ast.Call() as call):
                self.call(call, _VOID)
            case ast.If(test, body, orelse):
                yes, no, after = self.label("then"), self.label("else"), self.label("after")
                self.condition(test, yes, no)
                self.body(yes, body, after)
                self.body(no, orelse, after)
                self.start(after)
            case ast.Match(subject, cases):
                self.match(self.value(subject), cases)
            case ast.While(orelse=[]):
                self.loop(node)
            case ast.For(ast.Name(k), ast.Call(ast.Name("range"), [*first, end], []), _, []) if all(
                k != outer for _, _, outer, _ in self.loops
            ):
                start = self.value(first[0]) if first else Value("0", _I64)
                self.loop(node, k, (start, self.value(end)))
            case ast.Continue() | ast.Break() if self.loops and self.loops[-1][3] == len(self.last):
                head, after, *_ = self.loops[-1]
                self.jump(head if isinstance(node, ast.Continue) else after)
            case ast.Return(None):
                self.give(None)
            case ast.Return(ast.expr() as result):
                self.give(self.value(result, self.result))
            case ast.Try(body, [], [], last):
                self.last.append(self.label("finally"))
                self.statements(body)
                if self.block is not None:
                    self.give(None)
                self.start(self.last.pop())
                self.statements(last)
                self.give(None if self.result == _VOID else self.read("return "))
            case ast.Pass() | ast.Expr(ast.Constant()):
                pass
            case _:
                raise _unknown(node)

    def assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.env[target.id] = value
        else:
            place, kind = self.place(target)
            self.same(target, value.kind, kind)
            self.emit(f"store {kind.llvm} {value.text}, ptr {place.text}")

    def same(self, node: ast.expr, kind: Kind, want: Kind) -> None:
        if kind.llvm != want.llvm:
            raise ValueError(
                f"line {node.lineno}: {kind.llvm} where {want.llvm} is wanted: {ast.unparse(node)}"
            )

    def match(self, subject: Value, cases: Sequence[ast.match_case]) -> None:
        """Bare names, which read as captures, are constants."""
        after = self.label("after")
        labels = [self.label("case") for _ in cases]
        table = ""
        for label, case in zip(labels, cases, strict=True):
            options = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
            for option in options:
                name = option.name if isinstance(option, ast.MatchAs) and option.pattern is None else None
                if name is None or name not in self.constants or case.guard is not None:
                    raise ValueError(f"not a case of this language: {ast.unparse(case)}")
                table += f" i64 {self.constants[name]}, label %{label}"
        self.leave(f"switch i64 {subject.text}, label %{after} [{table} ]", after, *labels)
        for label, case in zip(labels, cases, strict=True):
            self.body(label, case.body, after)
        self.start(after)

    def give(self, value: Value | None) -> None:
        if (value is None) != (self.result == _VOID):
            raise ValueError(f"{self.head}: a result is missing, or one too many")
        if value is not None and value.kind.llvm != self.result.llvm:
            raise ValueError(f"{self.head}: {value.kind.llvm} where {self.result.llvm} is wanted")
        if self.last:
            self.env |= {} if value is None else {"return ": value}
            self.jump(self.last[-1])
        else:
            self.leave("ret void" if value is None else f"ret {self.result.llvm} {value.text}")

    # --- expressions -----------------------------------------------------------------------------

    def condition(self, node: ast.expr, yes: str, no: str) -> None:
        """Go on at one of two blocks."""
        match node:
            case ast.BoolOp(op, [*parts, last]):
                for part in parts:
                    more = self.label("test")
                    self.condition(part, *((more, no) if isinstance(op, ast.And) else (yes, more)))
                    self.start(more)
                self.condition(last, yes, no)
            case ast.UnaryOp(ast.Not(), operand):
                self.condition(operand, no, yes)
            case ast.Constant(True):
                self.jump(yes)
            case _:
                self.branch(self.value(node, _I1), yes, no)

    def read(self, name: str) -> Value:
        value = self.env[name]
        if value.phi is not None:
            value.phi.used = True
        return value

    def value(self, node: ast.expr, want: Kind | None = None) -> Value:
        """`want`: the type of a number, and of what an address returns."""
        number = _I64 if want is None or want.llvm == "ptr" else want
        match node:
            case ast.Name(name):
                if name in self.env:
                    return self.read(name)
                if name in self.constants:
                    return Value(str(self.constants[name]), number)
                if name in self.functions:
                    return Value(f"@{name}", _PTR)
                if name == "null":
                    return Value("null", _PTR)
            case ast.Constant(bool(constant)):
                return Value(str(int(constant)), _I1)
            case ast.Constant(int(constant)):
                return Value(str(constant), number)
            case ast.UnaryOp(ast.USub(), ast.Constant(int(constant))):
                return Value(str(-constant), number)
            case ast.BinOp(left, op, right):
                return self.binary(op, left, right)
            case ast.Compare(left, [op], [right]):
                a, b = self.pair(left, right)
                return self.make("is", _I1, f"icmp {_COMPARE[type(op)]} {a.kind.llvm} {a.text}, {b.text}")
            case ast.IfExp(test, left, right):
                which, (a, b) = self.value(test, _I1), self.pair(left, right)
                one = f"{a.kind.llvm} {a.text}"
                return self.make("one", a.kind, f"select i1 {which.text}, {one}, {b.kind.llvm} {b.text}")
            case ast.Attribute() | ast.Subscript():
                place, kind = self.place(node)
                if kind.llvm == "half":
                    return self.convert(self.make("half", Kind("i32"), f"load i32, ptr {place.text}"), _I64)
                if isinstance(node, ast.Subscript) and place.kind.record:
                    return place
                name = node.attr if isinstance(node, ast.Attribute) else "item"
                return self.make(name, kind, f"load {kind.llvm}, ptr {place.text}")
            case ast.Call():
                return self.call(node, want or _I64)
        raise _unknown(node)

    def pair(self, left: ast.expr, right: ast.expr) -> tuple[Value, Value]:
        """Two values of one type: a number has that of the other."""
        a = self.value(left)
        b = self.value(right, a.kind)
        if isinstance(left, ast.Constant):
            a = a._replace(kind=b.kind)
        self.same(left, a.kind, b.kind)
        return a, b

    def binary(self, op: ast.operator, left: ast.expr, right: ast.expr) -> Value:
        a = self.value(left)
        if a.kind.llvm == "ptr":
            return self.further(a, self.value(right))
        b = self.value(right, a.kind)
        how = _BINARY[type(op)]
        return self.make(how, b.kind, f"{how} {b.kind.llvm} {a.text}, {b.text}")

    def further(self, base: Value, count: Value) -> Value:
        """A pointer, so many of what it points at further on."""
        unit = "i64" if base.kind.record or base.kind.element else "i8"
        if base.kind.record:
            words = 1 + max(word for word, _ in self.records[base.kind.record].values())
            number = count.text.isdecimal()
            product = str(int(count.text) * words) if number else f"mul i64 {count.text}, {words}"
            count = Value(product, _I64) if number else self.make("words", _I64, product)
        if count.text == "0":
            return base
        return self.make("at", base.kind, f"getelementptr {unit}, ptr {base.text}, i64 {count.text}")

    def place(self, node: ast.expr) -> tuple[Value, Kind]:
        """Where a field or an element is, and its type."""
        match node:
            case ast.Attribute(value, name):
                base = self.value(value)
                if name not in self.records.get(base.kind.record, {}):
                    raise _unknown(node)
                word, spelled = self.records[base.kind.record][name]
                words = base._replace(kind=Kind("ptr", element="i64"))
                return self.further(words, Value(str(word), _I64)), _named(spelled, self.records)
            case ast.Subscript(value, index):
                at = self.further(self.value(value), self.value(index))
                return at, _named(at.kind.element, self.records)
        raise _unknown(node)

    def convert(self, value: Value, kind: Kind) -> Value:
        a, b = value.kind.llvm, kind.llvm
        if a == "ptr" or value.text.isdecimal():
            return value._replace(kind=kind)
        real = {"double": "sitofp", "float": "fptrunc"}
        how = real[b] if b in real else "zext" if int(a[1:]) < int(b[1:]) else "trunc"
        return self.make(how, kind, f"{how} {a} {value.text} to {b}")

    # --- calls -----------------------------------------------------------------------------------

    def call(self, node: ast.Call, want: Kind) -> Value:
        """Of a function, of an address, or of what is built in. `want`: what an address returns."""
        name, args = _spelled(node.func), node.args
        if node.keywords:
            raise _unknown(node)
        if name in self.env:
            return self.invoke(self.read(name).text, [self.value(a) for a in args], want)
        if name in self.functions:
            symbol, params, result = self.functions[name]
            self.called.add(symbol)
            values = [self.value(a, kind) for a, kind in zip(args, params, strict=True)]
            for value, kind in zip(values, params, strict=True):
                self.same(node, value.kind, kind)
            return self.invoke(f"@{symbol}", values, result)
        if name in ("load", "room"):
            kind = _kind(args[name == "load"], self.records)
            if name == "room":
                count, *align = (self.value(a).text for a in args[1:])
                alignment = f", align {align[0]}" if align else ""
                of = Kind("ptr", element=_spelled(args[0]) if kind.llvm in ("ptr", "i64") else "")
                return self.make("room", of, f"alloca {kind.llvm}, i64 {count}{alignment}")
            args = [args[0], *args[2:]]
        orders = [str(a.value) for a in args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        atomic, order = ("atomic ", f" {orders[0]}, align 8") if orders else ("", "")
        if name == "address":
            return self.place(args[0])[0]
        at, *values = (self.value(a) for a in args[: len(args) - len(orders)])
        listed = ", ".join(f"{v.kind.llvm} {v.text}" for v in values)
        match name:
            case "load":
                return self.make("loaded", kind, f"load {atomic}{kind.llvm}, ptr {at.text}{order}")
            case "store":
                self.emit(f"store {atomic}{listed}, ptr {at.text}{order}")
                return at
            case "add_to" | "swap":
                how = "add" if name == "add_to" else "xchg"
                return self.make("old", _I64, f"atomicrmw {how} ptr {at.text}, {listed} {orders[0]}")
            case "set_if":
                both = self.make("both", _I64, f"cmpxchg ptr {at.text}, {listed} {orders[0]} {orders[1]}")
                return self.make("did", _I1, f"extractvalue {{ i64, i1 }} {both.text}, 1")
        return self.convert(at, _named(name, self.records))

    def invoke(self, callee: str, args: Sequence[Value], result: Kind) -> Value:
        listed = ", ".join(f"{a.kind.llvm} {a.text}" for a in args)
        if result == _VOID:
            self.emit(f"call void {callee}({listed})")
            return Value("", _VOID)
        return self.make("call", result, f"call {result.llvm} {callee}({listed})")
