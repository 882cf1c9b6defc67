"""Names of the inputs and outputs of a graph, as who wrote the function knows them:

    x    batch.image.0    model.0.weight    model.0.weight.grad    opt.state.mean.0    random.state

An argument has its own, what is found elsewhere the path to it, in the form that texts of graphs have
(`.image` in place of `['image']`). Each is there once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lucid.compiler import ops
from lucid.compiler.ir.graph import forget
from lucid.compiler.text.lexer import is_name

from .guards import Guards, Place
from .recording import Source
from .results import Made, Owner
from .tensor import Tensor

_SUBSCRIPT = r"\[['\"]?([^'\"\[\]]*)['\"]?\]"
_WORDS = r"^(argument|global|nonlocal) (?=[^\W\d])"


@functools.lru_cache(maxsize=4096)
def plain(words: str) -> str:
    """Where something is, in words, as a name: `argument batch['x'][0]` is `batch.x.0`."""
    name = re.sub(_SUBSCRIPT, r".\1", re.sub(_WORDS, "", words)).replace(" ", ".")
    return name if is_name(name) else words


def name_inputs(
    sources: Sequence[Source],
    guards: Guards,
    called: Mapping[int, str],
    arrays: Sequence[str],
    numbers: Mapping[int, str],
    changed: Sequence[tuple[Owner, bool]],
) -> list[str]:
    """Give the inputs of a trace, which nothing was made of yet, their names. `called`: those of things by
    their ids, where no place holds them; `arrays`: those of array arguments, in words; `numbers`: those of
    entries of the tape. What tensors, or their gradients, that are `changed` are called, too."""
    owners = [*(s.array if s.owner is None else s.owner for s in sources), *(owner for owner, _ in changed)]
    wanted = {id(x) for x in owners if x is not None and not isinstance(x, int)}  # ints are of `arrays`
    found = {**called, **guards.names(wanted)} if wanted else called
    taken: set[str] = set()

    def words(owner: Owner) -> str:
        if isinstance(owner, int):
            return arrays[owner]
        if isinstance(owner, Tensor):
            return found.get(id(owner), "tensor")
        return owner.where if isinstance(owner, Place) else f"{owner.place.where}[{owner.index}]"

    for source in sources:
        if source.owner is not None:
            name = plain(words(source.owner)) + (".grad" if source.grad else "")
        elif source.array is not None:
            name = plain(found.get(id(source.array), "array"))
        else:
            name = plain(numbers.get(source.number, "number"))
        base, count = name, 1
        while name in taken:
            count += 1
            name = f"{base}.{count}" if is_name(base) else f"{base} {count}"
        taken.add(name)
        kind = source.node.type
        forget(source.node, ops.INPUT, {"name": name, "dtype": kind.dtype, "shape": kind.shape})
    return [plain(words(owner)) + (".grad" if grad else "") for owner, grad in changed]


def name_results(value: object, name: str = "result") -> Iterator[tuple[Made, str]]:
    """What a function returns, or leaves in a place, with names: `result.0`, `result.loss`."""
    if isinstance(value, Made):
        yield value, name
    elif isinstance(value, tuple | list | dict):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from name_results(part, f"{name}.{key}")


def name_outputs(count: int, found: Iterable[tuple[Made, str]], judged: bool) -> tuple[str, ...]:
    """What callers call the outputs of a graph: each as it is `found` first. Nothing, if there is one."""
    if count + judged < 2:
        return ()
    names: dict[int, str] = {}
    taken: set[str] = set()
    for made, name in found:
        if made.output >= 0 and made.output not in names:
            number, base = 1, name
            while name in taken:
                number += 1
                name = f"{base}.{number}"
            taken.add(name)
            names[made.output] = name
    return (*(names.get(k, f"output {k}") for k in range(count)), *["index check"] * judged)
