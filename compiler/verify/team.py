"""Which values may differ from thread to thread of a team, and whether all come to the same barriers."""

from __future__ import annotations

from ..ir.loop import THREAD, Aligned, Alloc, Barrier, For, Func, Imm, Let, Load, Operand, Stmt, Window


def lonely(func: Func) -> For | None:
    """A loop around a barrier, of whose turns one thread may have more than another, if there is one."""
    if func.team == 1:
        return None
    found = _Differing()
    while found.grows:
        found.grows = False
        found.walk(func.body)
    return found.loop


class _Differing:
    """A walk over statements, again and again, until it finds nothing new."""

    def __init__(self) -> None:
        self.values = {THREAD.name}
        self.arrays: set[str] = set()  # each thread has its own
        self.grows = True
        self.loop: For | None = None

    def differs(self, *operands: Operand | None) -> bool:
        return any(v is not None and not isinstance(v, Imm) and v.name in self.values for v in operands)

    def add(self, names: set[str], name: str) -> None:
        self.grows |= name not in names
        names.add(name)

    def walk(self, body: tuple[Stmt, ...]) -> bool:
        """Whether there is a barrier."""
        barrier = False
        for stmt in body:
            match stmt:
                case Let(result, _, args):
                    if self.differs(*args):
                        self.add(self.values, result.name)
                case Load(result, array, index, stride, mask):
                    if array in self.arrays or self.differs(index, stride, mask):
                        self.add(self.values, result.name)
                case Window(name, _, array, index, choice, other, at):
                    if array in self.arrays or other in self.arrays or self.differs(index, choice, at):
                        self.add(self.arrays, name)
                case Alloc(name, _, _, shared):
                    if not shared:
                        self.add(self.arrays, name)
                case Barrier():
                    barrier = True
                case For():
                    barrier |= self.turns(stmt)
                case Aligned():
                    pass
        return barrier

    def turns(self, stmt: For) -> bool:
        differ = self.differs(stmt.lo, stmt.hi, stmt.step)
        if differ:
            self.add(self.values, stmt.var.name)
        barrier = self.walk(stmt.body)
        every = zip(stmt.carried, stmt.results, stmt.inits, stmt.yields, strict=True)
        for carried, result, init, after in every:
            if differ or self.differs(init, after):
                self.add(self.values, carried.name)
                self.add(self.values, result.name)
        if differ and barrier:
            self.loop = stmt
        return barrier
