"""Names of kernels for those who look inside: of the module, the functions that the user's lines call, and
whether it is their gradient, a mask for that, or what an optimiser does with it.

    model2_linear_relu     layer2_relu_grad     layer2_relu_mask_grad     layer2_linear_grad_adam     adam_add

What changes a weight is named after it, where a number alone would tell it from others: `norm1_bias_adamw`.
Of a long path there is what tells it from the others of the program: `layers3_output_linear`. The code that
runs has a name of its ops alone, since its text is a key: these are given when somebody looks.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain, count, takewhile, zip_longest

from .. import ops
from ..ir.data import replace
from ..ir.graph import Loc, Node
from ..ir.layout import can_be_defined
from ..ir.program import Call, Program
from ..ir.types import b1
from ..text.kernel import usable

OPS = 3  # words of the ops, at most
WIDTH = 24  # characters of the module's path, beyond which it has only what tells it from others

Path = tuple[str, ...]  # of a module, part by part; or as words


def named(program: Program) -> Program:
    """The program, each kernel under a name that no other has and that does not change from run to run."""
    learnt: dict[Node, Path] = {}
    told = [_told(call, learnt) for call in program.calls]
    bases = _bases(told)
    often = Counter(bases)
    for k, (call, (path, work)) in enumerate(zip(program.calls, told, strict=True)):
        if often[bases[k]] > 1:
            told[k] = _weight(call, path) or path, work
    found: list[Call] = []
    taken: set[str] = set()
    for call, base in zip(program.calls, _bases(told), strict=True):
        found.append(replace(call, kernel=replace(call.kernel, name=fresh(base, taken))))
    return Program(program.graph, tuple(found))


def fresh(base: str, taken: set[str]) -> str:
    """`base`, with a number where it is taken; then it is."""
    numbered = (f"{base.rstrip('_')}_{n}" for n in count(2))
    name = next(name for name in chain((base,), numbered) if name not in taken)
    taken.add(name)
    return name


def _bases(told: list[tuple[Path, list[str]]]) -> list[str]:
    short = _apart({_words(path) for path, _ in told})
    found = []
    for path, work in told:
        words = short[_words(path)]
        found.append(_usable("_".join(words + [word for word in work if words[-1:] != [word]])))
    return found


def _weight(call: Call, path: Path) -> Path:
    """The weight of the module at `path` that a kernel changes: what it reads of one has the type of what it
    computes backward, or for an optimiser (whose own states have numbers). Of several what their paths begin
    with, () if there is none."""
    locs = [node.loc for node in call.writes]
    forward = any(loc is None or (not loc.backward and _path(loc)[:1] == path[:1]) for loc in locs)
    types = {node.type for node in call.writes}
    names = [tuple(n.attrs["name"].split(".")) for n in call.reads if n.op is ops.INPUT and n.type in types]
    return () if forward else _common([path[:1] + name[1:] for name in names if not name[-1].isdigit()])


def _usable(name: str) -> str:
    return name if usable(name) and can_be_defined(name) else f"{name}_"


def _told(call: Call, learnt: dict[Node, Path]) -> tuple[Path, list[str]]:
    """The path of the module that a kernel works for, and what it does there. `learnt`: the modules of
    gradients, and of what is made of them, as far as calls have been told."""
    locs = _related([node.loc for node in call.writes if node.loc is not None])
    path = _common([_path(loc) for loc in locs])
    if locs and all(loc.backward for loc in locs):
        learnt |= {n: _path(n.loc) if n.loc and n.loc.backward else path for n in call.writes}
        grads = ["grad"] * min(loc.backward.count(" of ") + 1 for loc in locs)
        if all(map(_is_mask, call.writes)):
            return path, [*(_called(call, locs)[:OPS] or _of(locs)), "mask", *grads]
        return path, [*_of(locs), *grads]
    gradients = [place for place in _places(call) if place.backward]
    paths = [_path(loc) for loc in gradients] or [learnt[n] for n in call.reads if n in learnt]
    if path and (others := [p for p in paths if p and p[0] != path[0]]):  # what an optimiser does for modules
        path, own = _common(others), path
        learnt |= dict.fromkeys(call.writes, path)
        return path, [*([*_of(gradients), "grad"] if gradients else []), *_words(own)]
    if called := _called(call, locs):
        return path, called[:OPS]
    return path, call.kernel.name.strip("_").split("_")[:OPS] if path else [call.kernel.name]


def _is_mask(node: Node) -> bool:
    """Whether it only says where something is so: bools, or one of two constants for each element."""
    node = _without_views(node)
    if node.op is ops.WHERE:
        return all(_without_views(n).op is ops.CONST for n in node.inputs[1:])
    return node.type.dtype is b1


def _without_views(node: Node) -> Node:
    while node.op.kind == "view" or node.op is ops.CAST:
        node = node.inputs[0]
    return node


def _of(locs: list[Loc]) -> list[str]:
    """What the gradients at `locs` are of."""
    return list(dict.fromkeys(loc.backward.split(" of ")[-1] for loc in locs))[:OPS]


def _places(call: Call) -> list[Loc]:
    """Where the statements of a kernel come from."""
    every = [s.loc for stage in call.kernel.stages + call.kernel.final for s in stage.body]
    return [place for loc in every if loc is not None for place in loc.every]


def _called(call: Call, locs: list[Loc]) -> list[str]:
    """The functions whose work is done, in order, as far as lines call some: of the part of the program that
    `locs` are of."""
    roots = {loc.module.partition(".")[0] for loc in locs}
    found = [place.called for place in _places(call) if place.module.partition(".")[0] in roots]
    return list(dict.fromkeys(filter(None, found)))


def _related(locs: list[Loc]) -> list[Loc]:
    """Where a kernel serves several parts of a program: those of the first that has a name."""
    roots = [loc.module.partition(".")[0] for loc in locs]
    root = next((r for r in roots if r), "")
    return [loc for loc, r in zip(locs, roots, strict=True) if r == root]


def _path(loc: Loc) -> Path:
    return tuple(loc.module.split(".")) if loc.module else ()


def _common(paths: list[Path]) -> Path:
    """What all begin with."""
    return tuple(p[0] for p in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


def _words(path: Path) -> Path:
    """`model.2.linear` as `model2`, `linear`."""
    words: list[str] = []
    for part in path:
        plain = re.sub(r"\W", "_", part, flags=re.ASCII).lower().strip("_")
        if plain.isdigit() and words:
            words[-1] += f"_{plain}" if words[-1][-1].isdigit() else plain  # 1.12 is not 11.2
        elif plain:
            words.append(plain if not plain[0].isdigit() else f"m{plain}")
    return tuple(words)


def _apart(paths: set[Path]) -> dict[Path, list[str]]:
    """For each path the words that tell it from all others: its last one, each where it parts from another
    one that ends alike, and before the last as many as there is room for. What all are part of says nothing.

        encoder layers3 attention output, encoder layers2 attention output    ->    layers3 output, ...
    """
    alike: dict[str, list[Path]] = {}
    for path in filter(None, paths):
        alike.setdefault(path[-1], []).append(path)
    roots = {path[0] for path in paths if len(path) > 1}
    found: dict[Path, list[str]] = {(): []}
    for path in filter(None, paths):
        kept = {len(path) - 1}
        for other in alike[path[-1]]:
            parts = (k for k, (a, b) in enumerate(zip_longest(path, other)) if a != b)
            kept |= {k for k in (next(parts, len(path)),) if k < len(path)}
        for k in range(len(path) - 2, -1 if len(roots) > 1 else 0, -1):
            if len("_".join(path[i] for i in sorted(kept | {k}))) > WIDTH:
                break
            kept.add(k)
        found[path] = [path[k] for k in sorted(kept)]
    return found
