"""Names of the inputs and outputs of a graph, as who wrote the function knows them:

    x    batch.image.0    model.0.weight    model.0.weight.grad    opt.state.mean.0    random.state

An argument has its own, what is found elsewhere the path to it, in the form that texts of graphs have
(`.image` in place of `['image']`). Each is there once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lucid.compiler.text.lexer import is_name

from .guards import Guards, Place
from .recording import Source, Update, Write
from .results import Made, Owner
from .tensor import Tensor

_SUBSCRIPT = r"\[['\"]?([^'\"\[\]]*)['\"]?\]"
_WORDS = r"^(argument|global|nonlocal) (?=[^\W\d])"


@functools.lru_cache(maxsize=4096)
def plain(words: str) -> str:
    """Where something is, in words, as a name: `argument batch['x'][0]` is `batch.x.0`."""
    name = re.sub(_SUBSCRIPT, r".\1", re.sub(_WORDS, "", words)).replace(" ", ".")
    return name if is_name(name) else words


def names(
    sources: Sequence[Source],
    guards: Guards,
    called: Mapping[int, str],
    arrays: Sequence[str],
    numbers: Sequence[str],
    places: Sequence[Place],
    widths: Sequence[int],
    results: object,
    updates: Sequence[Update],
    writes: Sequence[Write],
    outputs: int,
    judged: bool,
) -> tuple[list[str], tuple[str, ...]]:
    """Of the inputs of a recorded graph, and of its outputs; for who looks at it, so long after the trace.
    `called`: of things by their ids, where no place holds them; `arrays`: of array arguments, in words;
    `numbers`: of those on the tape, before those in `places`."""
    owners = [*(s.array if s.owner is None else s.owner for s in sources), *(u.owner for u in updates)]
    wanted = {id(x) for x in owners if x is not None and not isinstance(x, int)}  # ints are of `arrays`
    found = {**called, **guards.names(wanted)} if wanted else called
    on_tape = [*numbers, *(p.where for p, width in zip(places, widths, strict=True) for _ in range(width))]

    def of_owner(owner: Owner, grad: bool) -> str:
        if isinstance(owner, int):
            words = arrays[owner]
        elif isinstance(owner, Tensor):
            words = found.get(id(owner), "tensor")
        else:
            words = owner.where if isinstance(owner, Place) else f"{owner.place.where}[{owner.index}]"
        return plain(words) + (".grad" if grad else "")

    def of_source(source: Source) -> str:
        if source.owner is not None:
            return of_owner(source.owner, source.grad)
        if source.array is not None:
            return plain(found.get(id(source.array), "array"))
        return plain(on_tape[source.number]) if source.number < len(on_tape) else "number"

    told = [*name_results(results)]
    told += [(u.value, of_owner(u.owner, u.grad)) for u in updates if isinstance(u.value, Made)]
    told += [x for w in writes if w.made for x in name_results(w.content, plain(w.place.where))]
    return apart(map(of_source, sources)), name_outputs(outputs, told, judged)


def apart(names: Iterable[str]) -> list[str]:
    """The same names, each once: `x`, `x.2`."""
    taken: dict[str, None] = {}
    for base in names:
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}.{count}" if is_name(base) else f"{base} {count}"
        taken[name] = None
    return [*taken]


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
    first: dict[int, str] = {}
    for made, name in found:
        if made.output >= 0:
            first.setdefault(made.output, name)
    several = dict(zip(first, apart(first.values()), strict=True))
    return (*(several.get(k, f"output {k}") for k in range(count)), *["index check"] * judged)
