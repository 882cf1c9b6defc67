"""PTX text to data. What is unknown (a directive, an instruction, a modifier, a register) is an error with
its line.
"""

from __future__ import annotations

import functools
import re
from collections import ChainMap

from . import forms, ptx
from .lexer import Cursor

SPECIALS = frozenset(f"{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz")
_WIDER = {"u16": "u32", "u32": "u64", "s16": "s32", "s32": "s64"}
_VECTOR = {"": 1, "v2": 2, "v4": 4}
_LINKAGE = (".visible", ".extern", ".weak", ".common")
Raw = list[str]  # the tokens of an operand, before its instruction is known
_NUMBER = re.compile(r"-?\d")


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
        about = dict.fromkeys((".version", ".target"), "")
        entries: dict[str, ptx.Entry] = {}
        while self.token.kind != "end":
            word = self.token
            if word.text in _LINKAGE:
                self.next()
            elif word.text in about:
                about[word.text] = self.rest_of_line()[1]
            elif word.text == ".address_size":
                if self.rest_of_line()[1] != "64":
                    raise self.error("form", "addresses must have 64 bits", word.line)
            elif word.text == ".file":
                self.rest_of_line()
            elif word.text == ".section":  # debug information
                while self.next().text != "}":
                    pass
            elif word.text in (".global", ".shared"):
                self.globals |= {v.name: v for v in self.variables(self.next().text[1:])}
            elif word.text == ".entry":
                entry = self.entry()
                entries[entry.name] = entry
            elif word.text in (".func", ".alias"):
                raise self.error("form", f"`{word.text}`: functions are not simulated; inline them")
            else:
                raise self.error("form", f"unknown directive `{word.text}`")
        if not all(about.values()):
            raise self.error("syntax", "a module begins with .version and .target")
        version, target = about.values()
        return ptx.Module(version, target, tuple(self.globals.values()), entries, self.lines)

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
        if not kind:
            raise self.error("syntax", f"a {what} needs a type")
        return align, kind

    def variables(self, space: str) -> list[ptx.Variable]:
        align, kind = self.attributes("variable")
        element = ptx.DTYPES[kind].itemsize

        def one() -> ptx.Variable:
            name, count = self.next().text, 1
            while self.accept("["):
                count *= 0 if self.token.text == "]" else self.integer()
                self.expect("]")
            init = self.initial(kind, count * element) if self.accept("=") else None
            return ptx.Variable(space, name, max(align, element), count * element, init)

        found = self.several(one)
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
                x, y, z = (*self.several(self.integer), 1, 1)[:3]
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
        self.registers: list[ptx.Reg] = []
        self.scopes = ChainMap[str, ptx.Reg]()
        self.variables: list[ptx.Variable] = []
        self.code: list[ptx.Instruction] = []
        self.labels: dict[str, int] = {}
        self.spaces = {v.name: v.space for v in parser.globals.values()} | dict.fromkeys(parameters, "param")
        self.loc: ptx.Loc | None = None
        self.line = 0  # of the statement

    def error(self, message: str) -> ptx.PtxError:
        return self.parser.error("form", message, self.line)

    def parse(self) -> None:
        p = self.parser
        depth = 1
        while depth:
            token = p.token
            if token.kind == "end":
                raise p.error("syntax", "the text ends within an entry")
            if p.accept("{"):
                self.scopes, depth = self.scopes.new_child(), depth + 1
            elif p.accept("}"):
                self.scopes, depth = self.scopes.parents, depth - 1
            elif token.text == ".reg":
                self.declare_registers()
            elif token.text in (".shared", ".local"):
                found = p.variables(p.next().text[1:])
                self.variables += found
                self.spaces |= {v.name: v.space for v in found}
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
        for i in self.code:
            for name in i.targets:
                if name not in self.labels:
                    raise p.error("form", f"label `{name}` is missing", i.line)

    def declare_registers(self) -> None:
        p = self.parser
        p.next()
        kind = p.next().text[1:]
        if kind not in ptx.DTYPES or kind in ("u8", "s8", "b8"):
            raise p.error("form", f"registers of type .{kind} are not simulated")

        def one() -> None:
            name = p.next().text
            names = [name]
            if p.accept("<"):
                names = [f"{name}{n}" for n in range(p.integer())]
                p.expect(">")
            for n in names:
                self.scopes[n] = ptx.Reg(len(self.registers), kind, n)
                self.registers.append(self.scopes[n])

        p.several(one)
        p.expect(";")

    # instructions

    def statement(self) -> None:
        p = self.parser
        guard: ptx.Reg | ptx.Not | None = None
        self.line = p.token.line
        if p.accept("@"):
            negated = p.accept("!")
            name = p.next().text
            register = self.scopes.get(name)
            if register is None or register.type != "pred":
                raise self.error(f"`{name}` is no predicate")
            guard = ptx.Not(register) if negated else register
        token = p.next()
        self.line = token.line
        if token.kind != "word" or token.text.startswith((".", "%")):
            raise self.error(f"unknown statement `{token.text}`")
        opcode, *words = token.text.split(".")
        if opcode == "call":
            raise self.error("functions are not simulated; inline them")
        operands: list[Raw] = []
        while not p.accept(";"):
            operands.append(self.operand())
            if p.token.text != ";":
                p.expect(",")
        self.code.append(self.instruction(token.text, opcode, words, operands, guard))

    def operand(self) -> Raw:
        """Up to the comma behind it."""
        p, found = self.parser, list[str]()
        ends: tuple[str, ...] = (",", ";")
        while p.token.text not in ends:
            if p.token.text in ("", "}") and "{" not in found:
                raise p.error("syntax", f"unexpected `{p.token.text}`")
            found.append(p.next().text)
            if found[0] in ("{", "[") and found[-1] in ("}", "]"):
                break
            ends = () if found[0] == "{" else ends
        return found

    def instruction(
        self, text: str, opcode: str, words: list[str], raws: list[Raw], guard: ptx.Reg | ptx.Not | None
    ) -> ptx.Instruction:
        candidates = forms.find(opcode, words)
        if not candidates:
            raise self.parser.error(*forms.refusal(opcode, words), self.line)
        fitting = [found for found in candidates if len(found[0].dests + found[0].sources) == len(raws)]
        if not fitting:
            raise self.error(f"`{text}` with {len(raws)} operands is unknown")
        form, modifiers = fitting[0]
        count = len(form.dests)
        dests, sources = (
            tuple(self.typed(*pair, modifiers, result) for pair in zip(specs, some, strict=True))
            for specs, some, result in ((form.dests, raws[:count], True), (form.sources, raws[count:], False))
        )
        return ptx.Instruction(text, form, modifiers, guard, dests, sources, self.line, self.loc)

    def typed(self, spec: str, raw: Raw, modifiers: dict[str, str], result: bool) -> ptx.Typed:
        """An operand as the form wants it."""
        kind, lanes = spec.strip("~*+"), _VECTOR[modifiers.get("vec", "")]
        if kind == "mem":
            return ptx.Typed("mem", (self.address(raw),))
        if kind == "label":
            return ptx.Typed("label", (ptx.Label(raw[0]),))
        if kind == "2T":
            kind = _WIDER[modifiers["T"]]
        elif kind in ("T", "U"):
            kind = modifiers[kind]
        if raw[0] != "{":
            if lanes > 1 and "*" in spec:
                raise self.error("a vector in braces is missing")
            return ptx.Typed(kind, (self.value("".join(raw), kind, "~" in spec, result),))
        names = "".join(raw[1:-1]).split(",")
        size = ptx.DTYPES[kind].itemsize
        if "*" in spec:
            if len(names) != lanes:
                raise self.error(f"{len(names)} values in braces")
        elif "+" in spec and size in (4, 8) and len(names) in ((2,), (2, 4))[size == 8]:
            kind = f"b{size * 8 // len(names)}"
        else:
            raise self.error("a vector does not belong here")
        items = tuple(self.value(name, kind, "~" in spec, result) for name in names)
        return ptx.Typed(kind, items, vector=True)

    def value(self, text: str, kind: str, wider: bool, result: bool) -> ptx.Operand:
        if _NUMBER.match(text):
            if result:
                raise self.error(f"`{text}` cannot be written")
            return self.parser.constant(text, kind, self.line)
        if text.startswith("["):
            raise self.error(f"operand `{text}` does not fit .{kind}")
        name = text.removeprefix("!")
        register = self.scopes.get(name)
        if register is not None:
            have, want = ptx.DTYPES[register.type].itemsize, ptx.DTYPES[kind].itemsize
            if (register.type == "pred") != (kind == "pred") or (have < want if wider else have != want):
                raise self.error(f"`{name}` is .{register.type}, and the instruction takes .{kind}")
            if name == text:
                return register
            if kind != "pred" or result:
                raise self.error("only predicates that are read can be negated")
            return ptx.Not(register)
        if name == "_" and result:
            return ptx.Sink()
        if name.startswith("%"):
            if name[1:] not in SPECIALS:
                raise self.error(f"unknown register `{name}`")
            if ptx.DTYPES[kind].itemsize != 4 or kind == "f32":
                raise self.error(f"`{name}` has 32 bits")
            return ptx.Special(name[1:])
        symbol = self.symbol(name)
        if kind not in ("b64", "u64", "s64"):
            raise self.error(f"the address of `{name}` has 64 bits")
        return symbol

    def symbol(self, name: str) -> ptx.Symbol:
        if name not in self.spaces:
            raise self.error(f"`{name}` is not declared")
        return ptx.Symbol(name, self.spaces[name])

    def address(self, raw: Raw) -> ptx.Address:
        """`[base]`, `[base+4]`, `[base+-4]`, `[16]`."""
        if raw[0] != "[":
            raise self.error(f"`{''.join(raw)}` is no address in brackets")
        if _NUMBER.match(raw[1]):
            return ptx.Address(None, int(raw[1].removesuffix("U"), 0))
        name, rest = raw[1], "".join(raw[2:-1]).replace("+-", "-")
        offset = sum(int(n.replace("U", ""), 0) for n in re.findall(r"[-+][^-+]*", rest))
        register = self.scopes.get(name)
        if register is None:
            return ptx.Address(self.symbol(name), offset)
        if ptx.DTYPES[register.type].itemsize < 4 or register.type in ("f32", "f64"):
            raise self.error(f"`{name}` is no address")
        return ptx.Address(register, offset)
