"""The control flow of an entry: basic blocks in the order in which waiting threads are taken up.

Threads that diverge wait in their blocks, and of all blocks where threads wait the first in order goes on,
with all of them. In an order where a block comes after all that lead to it, and a loop is one contiguous
run of blocks, threads meet again where their paths do: at the end of an `if` both sides have arrived,
behind a loop those with the most turns. An instruction under a predicate is a branch around it.
"""

from __future__ import annotations

import functools
import operator

from lucid.compiler.ir.data import data, replace

from .ptx import Address, Entry, Instruction, Not, Operand, Reg

CONTROL = ("bra", "ret", "exit", "trap")


@data(eq=False)
class Block:
    """`code` runs from top to bottom. Then `kind`: *goto* `targets[0]`; *branch* to `targets[0]` if the
    guard holds, else to `targets[1]`; *exit*; *barrier*, then `targets[0]`.

    `needs` are the registers whose values come from outside, with the first instruction that reads each;
    `leaves` those that it writes and that are read after it.
    """

    code: tuple[Instruction, ...]
    kind: str
    end: Instruction | None
    guard: Reg | Not | None
    targets: tuple[int, ...]
    needs: tuple[tuple[int, Instruction], ...] = ()
    leaves: tuple[int, ...] = ()


def is_barrier(i: Instruction) -> bool:
    return i.form.opcode == "bar" and "warp" not in i.modifiers


def blocks(entry: Entry) -> list[Block]:
    return _with_registers(_ordered(_cut(entry)))


def _cut(entry: Entry) -> list[Block]:
    code, starts = entry.code, {0, len(entry.code), *entry.labels.values()}
    for n, i in enumerate(code):
        if i.form.opcode in CONTROL or is_barrier(i):
            starts.add(n + 1)
        if i.guard is not None and i.form.opcode != "bra":
            starts |= {n, n + 1}
    places = sorted(starts)
    numbers = {place: 2 * n for n, place in enumerate(places)}
    found = []
    for start, stop in zip(places, (*places[1:], None), strict=True):
        # two blocks for each place: the guard of its first instruction, if it has one, and the code
        if stop is None:
            found += [Block((), "goto", None, None, (numbers[start] + 1,)), Block((), "exit", None, None, ())]
            continue
        body, after = code[start:stop], numbers[stop]
        first = body[0]
        own = numbers[start] + 1
        if first.guard is not None and first.form.opcode != "bra":
            found.append(Block((), "branch", first, first.guard, (own, after)))
        else:
            found.append(Block((), "goto", None, None, (own,)))
        last = body[-1]
        goes = tuple(numbers[entry.labels[name]] for name in last.targets)
        if last.form.opcode == "bra":
            kind, goes = ("goto", goes) if last.guard is None else ("branch", (*goes, after))
        elif last.form.opcode in CONTROL:
            kind = "exit"
        else:
            kind, goes = "barrier" if is_barrier(last) else "goto", (after,)
        end = last if last.form.opcode in CONTROL or is_barrier(last) else None
        found.append(
            Block(body[:-1] if end else body, kind, end, last.guard if kind == "branch" else None, goes)
        )
    return found


def _ordered(found: list[Block]) -> list[Block]:
    """Reachable blocks, in order, without those that only go on."""

    def final(n: int) -> int:
        seen = set()
        while found[n].kind == "goto" and not found[n].code and found[n].end is None and n not in seen:
            seen.add(n)
            n = found[n].targets[0]
        return n

    edges = {n: tuple(final(t) for t in block.targets) for n, block in enumerate(found)}
    entry, reachable = final(0), set()
    waiting = [entry]
    while waiting:
        n = waiting.pop()
        if n not in reachable:
            reachable.add(n)
            waiting += edges[n]
    order = _topological(entry, reachable, edges)
    place = {n: k for k, n in enumerate(order)}
    return [
        Block(b.code, b.kind, b.end, b.guard, tuple(place[t] for t in edges[n]))
        for n in order
        for b in (found[n],)
    ]


def _topological(entry: int, nodes: set[int], edges: dict[int, tuple[int, ...]]) -> list[int]:
    """Loops (strongly connected parts) as contiguous runs, each begun by the block that is reached first."""
    order: list[int] = []
    for part in reversed(_components(entry, nodes, edges)):
        head = part[0]
        if len(part) == 1:
            order.append(head)
        else:
            inner = {n: tuple(t for t in edges[n] if t != head) for n in part}
            order += _topological(head, set(part), inner)
    return order


def _components(entry: int, nodes: set[int], edges: dict[int, tuple[int, ...]]) -> list[list[int]]:
    """Strongly connected parts that `entry` reaches, the last ones first; of each, its first visited block
    first (Tarjan).
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    parts: list[list[int]] = []
    work = [(entry, iter(edges[entry]))]
    index[entry] = low[entry] = 0
    stack.append(entry)
    on_stack.add(entry)
    while work:
        node, rest = work[-1]
        for target in rest:
            if target not in nodes:
                continue
            if target not in index:
                index[target] = low[target] = len(index)
                stack.append(target)
                on_stack.add(target)
                work.append((target, iter(edges[target])))
                break
            if target in on_stack:
                low[node] = min(low[node], index[target])
        else:
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                at = stack.index(node)
                part = stack[at:]
                del stack[at:]
                on_stack -= set(part)
                parts.append(part)
    return parts


def _register(operand: Operand) -> Reg | None:
    if isinstance(operand, Not):
        return operand.reg
    if isinstance(operand, Address):
        operand = operand.base if isinstance(operand.base, Reg) else operand
    return operand if isinstance(operand, Reg) else None


def registers(i: Instruction, results: bool) -> list[int]:
    """The registers that an instruction reads, or writes."""
    items = (operand for typed in (i.dests if results else i.sources) for operand in typed.items)
    return [r.number for r in map(_register, items) if r is not None]


def _with_registers(found: list[Block]) -> list[Block]:
    """With what each block needs and leaves, by the usual equations of live registers."""
    needs: list[dict[int, Instruction]] = []
    writes: list[int] = []
    for block in found:
        first: dict[int, Instruction] = {}
        written = 0
        for i in (*block.code, *([block.end] if block.end and block.kind != "branch" else [])):
            for r in registers(i, results=False):
                if not written >> r & 1:
                    first.setdefault(r, i)
            for r in registers(i, results=True):
                written |= 1 << r
        if block.guard is not None and block.end is not None:
            guard = _register(block.guard)
            if guard is not None and not written >> guard.number & 1:
                first.setdefault(guard.number, block.end)
        needs.append(first)
        writes.append(written)
    uses = [sum(1 << r for r in first) for first in needs]
    live, before = list(uses), list[int]()

    def after(block: Block) -> int:
        return functools.reduce(operator.or_, (live[target] for target in block.targets), 0)

    while live != before:
        before = list(live)
        for n in reversed(range(len(found))):
            live[n] = uses[n] | after(found[n]) & ~writes[n]
    result = []
    for block, first, written in zip(found, needs, writes, strict=True):
        kept = after(block) & written
        leaves = tuple(r for r in range(kept.bit_length()) if kept >> r & 1)
        result.append(replace(block, needs=tuple(first.items()), leaves=leaves))
    return result
