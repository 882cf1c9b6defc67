"""Debug information of LLVM text: the user's line of each instruction, for those who look.

    %x.7 = fadd <16 x float> %x.5, %x.6, !dbg !9
    !9 = !DILocation(line: 12, column: 3, scope: !7, inlinedAt: !8)

Code that runs has none: no user's line is part of a kernel's key, and kernels of one text share their code.

A `!DILocation` is the line of the operation, inside of the user's function, called at the line of the caller,
and so on up to the kernel: debuggers show the user's calls as inlined ones. Where nodes are fused to one
statement, each operation has the line of its node; those that need no instruction (views) have none here. The
column is the number of the place, by which all that is known of it is found again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..ir.data import replace
from ..ir.graph import Loc
from ..ir.loop import Func, Stmt
from .places import places


class Lines:
    """What an emitter ends its lines in. `places[n - 1]` is the place of column n, `nodes[n]` that of node n.
    `function`: what the definition ends in. `directives`: lines alone, without calls, as an assembler for
    GPUs reads them."""

    def __init__(self, directives: bool = False) -> None:
        self.places: list[Loc] = []
        self.nodes: dict[int, Loc] = {}
        self.function = ""
        self._directives = directives
        self._of: dict[int, Loc] = {}  # statements of this function, by id
        self._kept: list[object] = []  # so that their ids stay their own
        self._marks: dict[Loc, str] = {}  # in this function
        self._known: dict[object, int] = {}
        self._texts: list[str] = []
        self._unit = self._kernel = -1

    def enter(self, func: Func) -> str:
        """The next function begins; the mark of what is for none of its statements."""
        self._of, self._kept = places(func), [func]
        self.function, self._marks = "", {}
        first = next(iter(self._of.values()), None)
        if first is None:
            return ""
        outer = first.stack[0]
        if self._unit < 0:
            kind = "DebugDirectivesOnly" if self._directives else "FullDebug"
            self._unit = self._node(
                f"distinct !DICompileUnit(language: DW_LANG_C99, file: !{self._file(outer)}, producer: "
                f'"lucid", isOptimized: true, runtimeVersion: 0, emissionKind: {kind})'
            )
        self._kernel = self._subprogram(func.name, outer)
        self.function = f" !dbg !{self._kernel}"
        return f", !dbg !{self._location(outer.line, 0, self._kernel)}"

    def include(self, func: Func) -> None:
        """The function goes on with the statements of another one."""
        self._of |= places(func)
        self._kept.append(func)

    @contextmanager
    def aside(self, stmt: Stmt, name: str) -> Iterator[str]:
        """What is written inside is a function for this statement; what its definition ends in."""
        kept, place = (self._kernel, self._marks), self._of.get(id(stmt))
        if place is not None:
            self._kernel, self._marks = self._subprogram(name, place.stack[0]), {}
        yield "" if place is None else f" !dbg !{self._kernel}"
        self._kernel, self._marks = kept

    def of(self, stmt: Stmt) -> str:
        place = self._of.get(id(stmt))
        if place is None:
            return ""
        found = self._marks.get(place)
        if found is None:
            one = replace(place, also=())
            self.places.append(one)
            node = self._place(one, len(self.places))
            self.nodes[node] = one
            found = self._marks[place] = f", !dbg !{node}"
        return found

    def _place(self, place: Loc, column: int) -> int:
        if self._directives or not place.function:
            where = f"scope: !{self._kernel}, file: !{self._file(place)}, discriminator: 0"
            scope = self._node(f"!DILexicalBlockFile({where})")
            return self._location(place.line, column, scope)
        at, scope_of, line = -1, self._kernel, place.stack[0].line
        for call in place.stack:  # the call of this function, at a line of what is around it
            at = self._location(line, 0, scope_of, at, "distinct ")
            scope_of, line = self._subprogram(call.function, call), call.line
        return self._location(line, column, scope_of, at)

    # -- nodes of metadata, each written once

    def _node(self, text: str, key: object = None) -> int:
        number = self._known.get(key or text)
        if number is None:
            self._texts.append(text)
            number = self._known[key or text] = len(self._texts)
        return number

    def _file(self, place: Loc) -> int:
        return self._node(f'!DIFile(filename: "{_quoted(place.path or place.file)}", directory: "")')

    def _subprogram(self, name: str, place: Loc) -> int:
        file = self._file(place)
        kind = self._node("!DISubroutineType(types: !{})")
        return self._node(
            f'distinct !DISubprogram(name: "{_quoted(name)}", scope: !{file}, file: !{file}, '
            f"line: {place.line}, type: !{kind}, scopeLine: {place.line}, "
            f"spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !{self._unit})",
            (name, file),
        )

    def _location(self, line: int, column: int, scope: int, at: int = -1, distinct: str = "") -> int:
        inlined = f", inlinedAt: !{at}" if at >= 0 else ""
        return self._node(f"{distinct}!DILocation(line: {line}, column: {column}, scope: !{scope}{inlined})")

    def tail(self) -> list[str]:
        """What stands at the end of the text."""
        if self._unit < 0:
            return []
        info, dwarf = (
            self._node(f'!{{i32 {merge}, !"{name} Version", i32 {version}}}')
            for merge, name, version in ((2, "Debug Info", 3), (7, "Dwarf", 4))
        )
        return [
            f"!llvm.dbg.cu = !{{!{self._unit}}}",
            f"!llvm.module.flags = !{{!{info}, !{dwarf}}}",
            *(f"!{n} = {text}" for n, text in enumerate(self._texts, 1)),
        ]


def _quoted(text: str) -> str:
    """Text inside of quotes."""
    return "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:02X}" for c in text.encode())
