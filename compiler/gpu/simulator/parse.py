"""PTX text to data. What is unknown (a directive, an instruction, a modifier, a register) is an error with
its line.
"""

from __future__ import annotations

import functools
import re

from lucid.compiler.ir.data import data, replace

from . import forms, ptx
from .lexer import Cursor

SPECIALS = frozenset(f"{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz")
_WIDER = {"u16": "u32", "u32": "u64", "s16": "s32", "s32": "s64"}
_VECTOR = {"": 1, "v2": 2, "v4": 4}
_LINKAGE = (".visible", ".extern", ".weak", ".common")


@data(frozen=False, eq=False)
class Raw:
    """An operand before its instruction is known."""

    kind: str  # word, number, not, address, vector
    text: str = ""
    items: tuple[Raw, ...] = ()
    offset: int = 0


@functools.lru_cache(maxsize=64)
def parse(text: str) -> ptx.Module:
    """The module of a text. The latest are kept: kernels are launched more often than they change.

    Raises PtxError: for what is not PTX, what the simulator does not know, and what is approximate.
    """
    return _Parser(text).module()


_OF_PARAMETERS = (".param", ".ptr", ".global", ".shared", ".local", ".space")


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        # they may be named after the code
        self.files = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"([^"\n]*)"', text, re.MULTILINE))
        self.globals: dict[str, ptx.Variable] = {}

    def module(self) -> ptx.Module:
        version = target = ""
        entries: dict[str, ptx.Entry] = {}
        while self.token.kind != "end":
            word = self.token
            if word.text in _LINKAGE:
                self.next()
            elif word.text == ".version":
                version = self.rest_of_line()[1]
            elif word.text == ".target":
                target = self.rest_of_line()[1]
            elif word.text == ".address_size":
                if self.rest_of_line()[1] != "64":
                    raise self.error("form", "addresses must have 64 bits", word.line)
            elif word.text == ".file":
                self.rest_of_line()
            elif word.text == ".section":
                self.skip_section()
            elif word.text in (".global", ".shared"):
                for variable in self.variables(self.next().text[1:]):
                    self.globals[variable.name] = variable
            elif word.text == ".entry":
                entry = self.entry()
                entries[entry.name] = entry
            elif word.text in (".func", ".alias"):
                raise self.error("form", f"`{word.text}`: functions are not simulated; inline them")
            else:
                raise self.error("form", f"unknown directive `{word.text}`")
        if not version or not target:
            raise self.error("syntax", "a module begins with .version and .target")
        return ptx.Module(version, target, tuple(self.globals.values()), entries, self.lines)

    def skip_section(self) -> None:
        """Debug information."""
        while not self.accept("{"):
            self.next()
        while not self.accept("}"):
            self.next()

    def attributes(self, what: str, also: tuple[str, ...] = ()) -> tuple[int, str]:
        """Alignment, if one is given, and type, of those that begin with a dot. `also`: others that pass."""
        align, kind = 0, ""
        while self.token.text.startswith("."):
            word = self.next().text
            if word == ".align":
                align = self.integer()
            elif word[1:] in ptx.DTYPES and word != ".pred":
                kind = word[1:]
            elif word not in also:
                raise self.error("form", f"unknown attribute `{word}` of a {what}")
            # behind `.ptr` comes what is known of what it points to, not of the parameter
            if word == ".ptr":
                while self.token.text in (".global", ".shared", ".local"):
                    self.next()
                if self.accept(".align"):
                    self.integer()
        return align, kind

    def variables(self, space: str) -> list[ptx.Variable]:
        (align, kind), found = self.attributes("variable"), list[ptx.Variable]()
        if not kind:
            raise self.error("syntax", "a variable needs a type")
        element = ptx.DTYPES[kind].itemsize
        while True:
            name, count = self.next().text, 1
            while self.accept("["):
                count *= 0 if self.token.text == "]" else self.integer()
                self.expect("]")
            init = self.initial(kind, count * element) if self.accept("=") else None
            found.append(ptx.Variable(space, name, max(align, element), count * element, init))
            if not self.accept(","):
                break
        self.expect(";")
        return found

    def initial(self, kind: str, size: int) -> bytes:
        values, depth = b"", 0
        while True:
            if self.accept("{"):
                depth += 1
            elif self.accept("}"):
                depth -= 1
            elif not self.accept(","):
                values += self.literal(kind)
            if depth == 0:
                return values.ljust(size, b"\0")

    def literal(self, kind: str) -> bytes:
        negative, token = self.accept("-"), self.next()
        if token.kind != "number":
            raise self.error("form", f"`{token.text}` as a value of a variable is not simulated", token.line)
        constant = self.constant(("-" if negative else "") + token.text, kind, token.line)
        return constant.bits.to_bytes(ptx.DTYPES[kind].itemsize, "little")

    def entry(self) -> ptx.Entry:
        line = self.next().line
        name = self.next().text
        parameters = self.parameters() if self.accept("(") else ()
        threads: tuple[int, int, int] | None = None
        most: int | None = None
        while not self.accept("{"):
            word = self.next()
            if word.text in (".reqntid", ".maxntid"):
                sizes = [self.integer()]
                while self.accept(","):
                    sizes.append(self.integer())
                x, y, z = (*sizes, 1, 1)[:3]
                if word.text == ".reqntid":
                    threads = x, y, z
                else:
                    most = x * y * z
            elif word.text in (".minnctapersm", ".maxnreg", ".maxnctapersm"):
                self.integer()
            elif word.text == ".pragma":
                self.next()
                self.accept(";")
            else:
                raise self.error("form", f"unknown directive `{word.text}`", word.line)
        body = _Body(self, {p.name for p in parameters})
        body.parse()
        return ptx.Entry(
            name, parameters, tuple(body.variables), tuple(body.registers), tuple(body.code), body.labels,
            threads, most, line,
        )  # fmt: skip

    def parameters(self) -> tuple[ptx.Parameter, ...]:
        found: list[ptx.Parameter] = []
        end = 0
        while not self.accept(")"):
            align, kind = self.attributes("parameter", _OF_PARAMETERS)
            if not kind:
                raise self.error("syntax", "a parameter needs a type")
            size, array = ptx.DTYPES[kind].itemsize, False
            align = max(align, size)
            name = self.next().text
            if self.accept("["):
                size, array = size * self.integer(), True
                self.expect("]")
            end = -(-end // align) * align
            found.append(ptx.Parameter(name, kind, end, size, array))
            end += size
            self.accept(",")
        return tuple(found)


class _Body:
    """The statements of an entry."""

    def __init__(self, parser: _Parser, parameters: set[str]) -> None:
        self.parser = parser
        self.parameters = parameters
        self.registers: list[ptx.Reg] = []
        self.scopes: list[dict[str, ptx.Reg]] = [{}]
        self.variables: list[ptx.Variable] = []
        self.code: list[ptx.Instruction] = []
        self.labels: dict[str, int] = {}
        self.spaces = {v.name: v.space for v in parser.globals.values()}
        self.loc: ptx.Loc | None = None

    def parse(self) -> None:
        p = self.parser
        while self.scopes:
            token = p.token
            if token.kind == "end":
                raise p.error("syntax", "the text ends within an entry")
            if p.accept("{"):
                self.scopes.append({})
            elif p.accept("}"):
                self.scopes.pop()
            elif token.text == ".reg":
                self.declare_registers()
            elif token.text in (".shared", ".local"):
                for variable in p.variables(p.next().text[1:]):
                    self.variables.append(variable)
                    self.spaces[variable.name] = variable.space
            elif token.text == ".loc":
                words = p.rest_of_line()
                self.loc = ptx.Loc(p.files.get(words[1], f"file {words[1]}"), int(words[2]))
            elif token.text == ".pragma":
                p.next()
                p.next()
                p.expect(";")
            elif token.text == ".param":
                raise p.error("form", "parameters of calls: functions are not simulated; inline them")
            elif token.kind == "word" and p.tokens[p.at + 1].text == ":":
                if token.text in self.labels:
                    raise p.error("syntax", f"label `{token.text}` stands twice")
                self.labels[token.text] = len(self.code)
                p.next()
                p.next()
            else:
                self.statement()
        self.code = [self.linked(i) for i in self.code]

    def declare_registers(self) -> None:
        p = self.parser
        p.next()
        kind = p.next().text[1:]
        if kind not in ptx.DTYPES or kind in ("u8", "s8", "b8"):
            raise p.error("form", f"registers of type .{kind} are not simulated")
        while True:
            name = p.next().text
            if p.accept("<"):
                names = [f"{name}{n}" for n in range(p.integer())]
                p.expect(">")
            else:
                names = [name]
            for n in names:
                register = ptx.Reg(len(self.registers), kind, n)
                self.registers.append(register)
                self.scopes[-1][n] = register
            if not p.accept(","):
                break
        p.expect(";")

    def register(self, name: str) -> ptx.Reg | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    # instructions

    def statement(self) -> None:
        p = self.parser
        guard: ptx.Reg | ptx.Not | None = None
        line = p.token.line
        if p.accept("@"):
            negated = p.accept("!")
            name = p.next().text
            register = self.register(name)
            if register is None or register.type != "pred":
                raise p.error("form", f"`{name}` is no predicate", line)
            guard = ptx.Not(register) if negated else register
        token = p.next()
        if token.kind != "word" or token.text.startswith((".", "%")):
            raise p.error("form", f"unknown statement `{token.text}`", token.line)
        opcode, *words = token.text.split(".")
        if opcode == "call":
            raise p.error("form", "functions are not simulated; inline them", token.line)
        raws: list[Raw] = []
        while not p.accept(";"):
            raws.append(self.operand())
            if p.token.text != ";":
                p.expect(",")
        self.code.append(self.instruction(token.text, opcode, words, raws, guard, token.line))

    def operand(self) -> Raw:
        p = self.parser
        token = p.next()
        if token.text == "{":
            items = [self.operand()]
            while p.accept(","):
                items.append(self.operand())
            p.expect("}")
            return Raw("vector", "{…}", tuple(items))
        if token.text == "[":
            base = p.next()
            if base.kind == "number":
                address = Raw("address", "", (), int(base.text.removesuffix("U"), 0))
            else:
                address = Raw("address", base.text)
            while p.token.text in ("+", "-"):
                address.offset += p.integer() if p.token.text == "-" else (p.next(), p.integer())[1]
            p.expect("]")
            return address
        if token.text == "!":
            return Raw("not", p.next().text)
        if token.text == "-":
            return Raw("number", "-" + p.next().text)
        if token.kind == "number":
            return Raw("number", token.text)
        if token.kind == "word":
            return Raw("word", token.text)
        raise p.error("syntax", f"unexpected `{token.text}`", token.line)

    def instruction(
        self,
        text: str,
        opcode: str,
        words: list[str],
        raws: list[Raw],
        guard: ptx.Reg | ptx.Not | None,
        line: int,
    ) -> ptx.Instruction:
        p = self.parser
        candidates = forms.find(opcode, words)
        if not candidates:
            raise p.error(*forms.refusal(opcode, words), line)
        fitting = [found for found in candidates if len(found[0].dests + found[0].sources) == len(raws)]
        if not fitting:
            raise p.error("form", f"`{text}` with {len(raws)} operands is unknown", line)
        form, modifiers = fitting[0]
        count = len(form.dests)
        dests, sources = (
            tuple(self.typed(*pair, modifiers, line, result) for pair in zip(specs, some, strict=True))
            for specs, some, result in ((form.dests, raws[:count], True), (form.sources, raws[count:], False))
        )
        return ptx.Instruction(text, form, modifiers, guard, dests, sources, line, self.loc)

    def typed(self, spec: str, raw: Raw, modifiers: dict[str, str], line: int, result: bool) -> ptx.Typed:
        """An operand as the form wants it."""
        p = self.parser
        kind = spec.strip("~*+")
        if kind == "mem":
            return ptx.Typed("mem", (self.address(raw, line),))
        if kind == "label":
            return ptx.Typed("label", (ptx.Label(raw.text),))
        if kind == "2T":
            kind = _WIDER[modifiers["T"]]
        elif kind in ("T", "U"):
            kind = modifiers[kind]
        if raw.kind != "vector":
            if _VECTOR[modifiers.get("vec", "")] > 1 and "*" in spec:
                raise p.error("form", "a vector in braces is missing", line)
            return ptx.Typed(kind, (self.value(raw, kind, "~" in spec, line, result),))
        size = ptx.DTYPES[kind].itemsize
        if "*" in spec:
            if len(raw.items) != _VECTOR[modifiers.get("vec", "")]:
                raise p.error("form", f"{len(raw.items)} values in braces", line)
            part = kind
        elif "+" in spec and size in (4, 8) and len(raw.items) in ((2,), (2, 4))[size == 8]:
            part = f"b{size * 8 // len(raw.items)}"
        else:
            raise p.error("form", "a vector does not belong here", line)
        items = tuple(self.value(item, part, "~" in spec, line, result) for item in raw.items)
        return ptx.Typed(part, items, vector=True)

    def value(self, raw: Raw, kind: str, wider: bool, line: int, result: bool) -> ptx.Operand:
        p = self.parser
        if raw.kind == "number":
            if result:
                raise p.error("form", f"`{raw.text}` cannot be written", line)
            return p.constant(raw.text, kind, line)
        if raw.kind not in ("word", "not"):
            raise p.error("form", f"operand `{raw.text}` does not fit .{kind}", line)
        register = self.register(raw.text)
        if register is not None:
            self.check_width(register, kind, wider, line)
            if raw.kind == "not":
                if kind != "pred" or result:
                    raise p.error("form", "only predicates that are read can be negated", line)
                return ptx.Not(register)
            return register
        if raw.text == "_" and result:
            return ptx.Sink()
        if raw.text.startswith("%"):
            if raw.text[1:] not in SPECIALS:
                raise p.error("form", f"unknown register `{raw.text}`", line)
            if ptx.DTYPES[kind].itemsize != 4 or kind == "f32":
                raise p.error("form", f"`{raw.text}` has 32 bits", line)
            return ptx.Special(raw.text[1:])
        if raw.text in self.parameters or raw.text in self.spaces:
            if kind not in ("b64", "u64", "s64"):
                raise p.error("form", f"the address of `{raw.text}` has 64 bits", line)
            return ptx.Symbol(raw.text, self.space_of(raw.text))
        raise p.error("form", f"`{raw.text}` is not declared", line)

    def check_width(self, register: ptx.Reg, kind: str, wider: bool, line: int) -> None:
        have, want = ptx.DTYPES[register.type].itemsize, ptx.DTYPES[kind].itemsize
        if (register.type == "pred") != (kind == "pred") or (have < want if wider else have != want):
            message = f"`{register.name}` is .{register.type}, and the instruction takes .{kind}"
            raise self.parser.error("form", message, line)

    def space_of(self, name: str) -> str:
        return "param" if name in self.parameters else self.spaces[name]

    def address(self, raw: Raw, line: int) -> ptx.Address:
        if raw.kind != "address":
            raise self.parser.error("form", f"`{raw.text}` is no address in brackets", line)
        if not raw.text:
            return ptx.Address(None, raw.offset)
        register = self.register(raw.text)
        if register is not None:
            if ptx.DTYPES[register.type].itemsize < 4 or register.type in ("f32", "f64"):
                raise self.parser.error("form", f"`{raw.text}` is no address", line)
            return ptx.Address(register, raw.offset)
        if raw.text in self.parameters or raw.text in self.spaces:
            return ptx.Address(ptx.Symbol(raw.text, self.space_of(raw.text)), raw.offset)
        raise self.parser.error("form", f"`{raw.text}` is not declared", line)

    def linked(self, i: ptx.Instruction) -> ptx.Instruction:
        """With the labels that a branch may go to."""
        names = [operand.items[0].name for operand in i.sources if isinstance(operand.items[0], ptx.Label)]
        for name in names:
            if name not in self.labels:
                raise self.parser.error("form", f"label `{name}` is missing", i.line)
        return replace(i, targets=tuple(names))
