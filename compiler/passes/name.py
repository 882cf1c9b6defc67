"""Names of kernels for those who look inside: of the module, the functions that the user's lines call, and
whether it is their gradient.

    model2_linear_relu      layer2_relu_grad      cross_entropy      adam_sub      adam_sub_2

The code that runs has a name of its ops alone, since its text is a key: these are given when somebody looks.
"""

from __future__ import annotations

import re
from itertools import takewhile

from ..ir.data import replace
from ..ir.graph import Loc
from ..ir.layout import can_be_defined
from ..ir.program import Call, Program
from ..text.kernel import usable

OPS = 3  # words of the ops, at most
WIDTH = 24  # characters of the module's path, at most, unless its last part is longer


def named(program: Program) -> Program:
    """The program, each kernel under a name that no other has and that does not change from run to run."""
    found: list[Call] = []
    taken: set[str] = set()
    for call in program.calls:
        base = name = _name(call)
        count = 1
        while name in taken:
            count += 1
            name = f"{base.rstrip('_')}_{count}"
        taken.add(name)
        found.append(replace(call, kernel=replace(call.kernel, name=name)))
    return Program(program.graph, tuple(found))


def _name(call: Call) -> str:
    locs = _related([node.loc for node in call.writes if node.loc is not None])
    words = _module(locs)
    of = [loc.backward.split(" of ") for loc in locs]
    if locs and all(parts != [""] for parts in of):
        words += [part for part in dict.fromkeys(parts[-1] for parts in of) if words[-1:] != [part]][:OPS]
        words += ["grad"] * min(map(len, of))
    elif called := _called(call, locs):
        words += [word for word in called if words[-1:] != [word]][:OPS]
    else:
        words += call.kernel.name.strip("_").split("_")[:OPS] if words else [call.kernel.name]
    name = "_".join(words)
    return name if usable(name) and can_be_defined(name) else f"{name}_"


def _called(call: Call, locs: list[Loc]) -> list[str]:
    """The functions whose work is done, in order, as far as lines call some: of the part of the program that
    `locs` are of."""
    kernel, roots = call.kernel, {loc.module.partition(".")[0] for loc in locs}
    every = [s.loc for stage in kernel.stages + kernel.final for s in stage.body]
    places = [place for loc in every if loc is not None for place in loc.every]
    found = [place.called for place in places if place.module.partition(".")[0] in roots]
    return list(dict.fromkeys(filter(None, found)))


def _related(locs: list[Loc]) -> list[Loc]:
    """Where a kernel serves several parts of a program: those of the first that has a name."""
    roots = [loc.module.partition(".")[0] for loc in locs]
    root = next((r for r in roots if r), "")
    return [loc for loc, r in zip(locs, roots, strict=True) if r == root]


def _module(locs: list[Loc]) -> list[str]:
    """The path that all have in common, as words: `model.2.linear` as `model2`, `linear`; of a long one the
    last."""
    paths = [loc.module.split(".") for loc in locs]
    common = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))]
    words: list[str] = []
    for part in common:
        plain = re.sub(r"\W", "_", part, flags=re.ASCII).lower().strip("_")
        if plain.isdigit() and words:
            words[-1] += plain
        elif plain:
            words.append(plain if not plain[0].isdigit() else f"m{plain}")
    if len(words) > 1 and words[0] == common[0].lower():  # what all is part of says nothing
        del words[0]
    while len(words) > 1 and len("_".join(words)) > WIDTH:
        del words[0]
    return words
