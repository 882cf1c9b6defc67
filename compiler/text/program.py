"""Text of several kernels, or of several loops, and of what binds them to a program.

    kernel a(x: f32[n]) -> (o: f32[n]) ...
    kernel b(x: f32[n], s: f32) -> (o: f32[]) ...
    program f(%x: f32[4], %1 "learning rate": f32[]) -> (%3: f32[], %2: f32[2, 2]) {
      %2: f32[4] = a(x=%x, n=4)
      %3: f32[] = b(x=%2, n=4, s=0.5)
    }

- A step says what each parameter, size and slot is: `x=%2 from 3 by (2, 1)` is the memory of `%2` from
  element 3 on, in these strides; neither is said of what lies row-major from the start. What it defines are
  the outputs of its kernel, in order; `%2: f32[2, 4] by (1, 2) = ...` is written so.
- Loops define nothing: memory is a step of its own, `%4: f32[4] = memory`. `over 2`: blocks 0 and 1.
- `%5: f64[3] = library %2: f64[3, 3] function="linalg.svd" ...` is one result of a call of a library, as in a
  graph; what it takes has the type that it sees.
- A result has the type that callers get: as many bytes, row-major.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir.binding import Binding, Input, Library, Memory, Result, Step, View, Whole
from ..ir.kernel import Array, Const, Kernel, symbols
from ..ir.loop import Func
from ..ir.types import DType, TensorType, i64
from .graph import attr_text, input_text, parse_attr, parse_type
from .kernel import kernel_lines
from .kernel_parse import read_kernel
from .lexer import Cursor, Line, Token, format_number, joined, quoted
from .loop import func_lines, read_func


def operands_of(callee: Kernel | Func) -> dict[str, DType | None]:
    """What a step says of it, in order."""
    if isinstance(callee, Func):
        return {s.name: None if s.kind == "array" else s.dtype for s in callee.slots}
    params = {p.name: None if isinstance(p, Array) else p.dtype for p in callee.params}
    return params | dict.fromkeys(symbols(callee), i64)


# --- printing ------------------------------------------------------------------------------------


def print_whole(whole: Whole, locs: bool = False) -> str:
    """Its text; without `locs` equal texts are equal programs."""
    parts = [*map(kernel_lines, whole.kernels), *map(func_lines, whole.funcs)]
    if whole.binding is not None:
        parts.append(binding_lines(whole.binding))
    return "\n".join(joined(lines, locs) for lines in parts)


def binding_lines(binding: Binding) -> list[Line]:
    inputs = ", ".join(f"{input_text(i.name, i.given)}: {i.type}" for i in binding.inputs)
    names = binding.called or [name for name, _ in binding.results]
    told = zip(binding.results, names, strict=True)
    results = ", ".join(f"{input_text(name, called)}: {kind}" for (name, kind), called in told)
    lines: list[Line] = [(f"program {quoted(binding.name)}({inputs}) -> ({results}) {{", None)]
    for step in binding.steps:
        lines.append((f"  {step_text(step)}", step.loc if isinstance(step, Library) else None))
    return [*lines, ("}", None)]


def step_text(step: Step | Memory | Library) -> str:
    """One step, as in the text of its program."""
    if isinstance(step, Memory):
        return f"%{step.name}: {step.type} = memory"
    if isinstance(step, Library):
        operands = ", ".join(f"%{name}: {kind}" for name, kind in step.operands)
        attrs = (f"{key}={attr_text(value)}" for key, value in step.attrs)
        return f"%{step.name}: {step.type} = {' '.join(('library', operands, *attrs))}"
    results = ", ".join(f"%{r.view.name}: {r.type}{_place(r.view)}" for r in step.results)
    operands = ", ".join(f"{name}={_operand(value)}" for name, value in step.operands)
    over = "" if step.over is None else f" over {step.over}"
    return f"{results}{' = ' * bool(results)}{step.callee}({operands}){over}"


def _operand(value: View | Const) -> str:
    if isinstance(value, View):
        return f"%{value.name}{_place(value)}"
    return format_number(value.value, value.dtype)


def _place(view: View) -> str:
    text = f" from {view.offset}" if view.offset else ""
    return text if view.strides is None else f"{text} by {attr_text(view.strides)}"


# --- parsing -------------------------------------------------------------------------------------


def parse_whole(text: str, file: str | None = None, bound: bool = True) -> Whole:
    """Kernels, or loops, and the program that they are part of. `file`: where the text stands; statements
    then belong to the lines there. Without `bound` the program is not looked at.

    Raises IRSyntaxError, at the line and column of what is wrong. Whether the program may run is left to the
    proof of its accesses."""
    c = Cursor(text, file)
    c.skip_lines()
    kernels: dict[str, Kernel] = {}
    funcs: dict[str, Func] = {}
    while c.at("kernel", "func"):
        start, name = c.token, c.ahead()
        found = read_kernel(c) if c.at("kernel") else read_func(c)
        if found.name in kernels or found.name in funcs:
            raise c.error(f"`{found.name}` is there twice", name)
        if isinstance(found, Kernel):
            kernels[found.name] = found
        else:
            funcs[found.name] = found
        if kernels and funcs:
            raise c.error("a text is one of kernels, or one of loops", start)
        c.skip_lines()
    if not kernels and not funcs and not c.at("program"):  # of which none may be needed
        raise c.expected("`kernel`, `func`, `program` or `graph`")
    binding = None
    if c.at("program"):
        if not bound:
            return Whole(tuple(kernels.values()), tuple(funcs.values()), None)
        callees: dict[str, Kernel | Func] = {**kernels, **funcs}
        binding = _Parser(c, callees).binding()
    c.finish()
    return Whole(tuple(kernels.values()), tuple(funcs.values()), binding)


class _Parser(Cursor):
    def __init__(self, cursor: Cursor, callees: Mapping[str, Kernel | Func]) -> None:
        super().__init__(cursor)
        self.callees = callees
        self.known: dict[str, TensorType] = {}

    def binding(self) -> Binding:
        self.expect("program")
        name = self.name_or_string("the name of the program")
        inputs = self.several("(", ")", self.input)
        self.skip_lines()
        self.expect("->")
        called: list[str] = []
        results = self.several("(", ")", lambda: self.result(called))
        self.expect("{")
        self.end_line()
        steps: list[Step | Memory | Library] = []
        while not self.at("}"):
            steps.append(self.step())
            self.end_line()
        self.next()
        seen = tuple(self.as_seen(*result) for result in results)
        plain = called == [token.text for token, *_ in results]
        return Binding(name, tuple(inputs), seen, tuple(steps), () if plain else tuple(called))

    def input(self) -> Input:
        token = self.expect_kind("value", "an input (`%name: f32[4]`) or `)`")
        return Input(token.text, self.given(token), self.typed(token))

    def result(self, called: list[str]) -> tuple[Token, Token, TensorType]:
        """The value, where its type is written, and that. What users call it goes to `called`."""
        token = self.expect_kind("value", "a result (`%name: f32[4]`) or `)`")
        start = self.token
        called.append(self.given(token))
        if called[-1] in called[:-1] and start.kind == "string":
            raise self.error(f"two results are called {called[-1]!r}", start)
        self.expect(":")
        return token, self.token, parse_type(self)

    def typed(self, token: Token) -> TensorType:
        """The type of what is defined at `token`, from the colon on."""
        self.expect(":")
        return self.define(token, self.known, parse_type(self))

    def as_seen(self, token: Token, at: Token, kind: TensorType) -> tuple[str, TensorType]:
        """What is defined already, under a type that is written `at` there."""
        own = self.look_up(token, self.known)
        if own.nbytes != kind.nbytes:
            what = f"`%{token.text}` is {own}, of {own.nbytes:,} bytes"
            raise self.error(f"{what}, not of {kind.nbytes:,}", at)
        return token.text, kind

    def seen(self, token: Token) -> tuple[str, TensorType]:
        self.expect(":")
        return self.as_seen(token, self.token, parse_type(self))

    def step(self) -> Step | Memory | Library:
        made: list[tuple[Token, TensorType, View]] = []
        before = dict(self.known)  # what a step defines it cannot read
        if self.token.kind == "value":
            made = self.items(self.one)
            self.expect("=")
        after, self.known = self.known, before
        found = self.made(made)
        self.known = after
        return found

    def one(self) -> tuple[Token, TensorType, View]:
        """One value that a step defines."""
        token = self.expect_kind("value", "a value (`%name: f32[4]`)")
        return token, self.typed(token), self.place(token.text)

    def made(self, made: list[tuple[Token, TensorType, View]]) -> Step | Memory | Library:
        """From behind the `=` on."""
        token = self.name("a kernel, loops, `memory` or `library`")
        if token.text in ("memory", "library") and token.text not in self.callees:
            if len(made) != 1 or made[0][2] != View(made[0][0].text):
                raise self.error(f"{token.text} defines one value, row-major", token)
            (name, kind, _), *_ = made
            return Memory(name.text, kind) if token.text == "memory" else self.library(name.text, kind)
        callee = self.callees.get(token.text)
        if callee is None:
            known = ", ".join(self.callees) or "none"
            raise self.error(f"there is no `{token.text}` above; expected one of: {known}", token)
        needed = operands_of(callee)
        operands: dict[str, View | Const] = {}
        self.expect("(")
        while not self.at(")"):
            name = self.name("an operand (`name=...`) or `)`")
            if name.text not in needed or name.text in operands:
                why = "is given twice" if name.text in operands else f"is not one of: {', '.join(needed)}"
                raise self.error(f"`{name.text}` {why}", name)
            self.expect("=")
            operands[name.text] = self.operand(needed[name.text])
            if not self.accept(","):
                break
        missing = [name for name in needed if name not in operands]
        if missing:
            raise self.error(f"`{token.text}` needs {', '.join(missing)}, too")
        self.expect(")")
        over = self.natural("a number of blocks") if self.accept("over") else None
        outputs = callee.outputs if isinstance(callee, Kernel) else ()
        if len(made) != len(outputs):
            raise self.error(f"`{token.text}` defines {len(outputs)} values, not {len(made)}", token)
        if (over is None) != isinstance(callee, Kernel):
            raise self.error("`over` says how many blocks of loops run; kernels know" if over is not None
                          else "expected `over` and a number of blocks")  # fmt: skip
        results = tuple(Result(kind, view) for _, kind, view in made)
        return Step(token.text, results, tuple(operands.items()), over)

    def library(self, name: str, kind: TensorType) -> Library:
        operands = self.items(lambda: self.seen(self.value())) if self.token.kind == "value" else []
        attrs: dict[str, Any] = {}
        while self.token.kind == "name":
            key = self.next()
            if key.text in attrs:
                raise self.error(f"`{key.text}` is given twice", key)
            self.expect("=")
            attrs[key.text] = parse_attr(self)
        return Library(name, kind, tuple(operands), tuple(attrs.items()), self.loc(self.token))

    def operand(self, dtype: DType | None) -> View | Const:
        token = self.token
        if dtype is None:
            name = self.expect_kind("value", "an array (`%name`)")
            self.look_up(name, self.known)
            return self.place(name.text)
        if not self.at_number():
            raise self.expected(f"a number ({dtype})")
        return Const(self.fitted(self.number(), dtype, token), dtype)

    def place(self, name: str) -> View:
        """How `name` lies, from behind it on."""
        offset = self.natural("an element") if self.accept("from") else 0
        if not self.accept("by"):
            return View(name, offset)
        strides = self.several("(", ")", lambda: (-1 if self.accept("-") else 1) * self.natural("a stride"))
        return View(name, offset, tuple(strides))
