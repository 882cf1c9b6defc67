"""Arguments that are tuples, lists and dicts: what is in them become arguments, too, behind the others
(`language.py`).

The native call path holds these for as long as the call takes: other code may change a container meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lucid.compiler.ir.data import data

from . import call_layout as layout


@data
class Container:
    """Argument number `argument` is of exactly this type, a dict with these keys in this order if there are
    any, and has as many elements; they are the next arguments."""

    argument: int
    type: type
    size: int
    keys: tuple[object, ...] = ()

    def row(
        self, table: Callable[[Sequence[tuple[int, ...]]], int], held: Callable[[object], int]
    ) -> tuple[int, ...]:
        """An OPEN. ValueError for other types."""
        kinds = {list: layout.LIST, dict: layout.DICT}
        if self.type not in kinds and not issubclass(self.type, tuple):
            raise ValueError(f"a {self.type.__name__} cannot be opened")
        keys = table([tuple(held(key) for key in self.keys)]) if self.type is dict else 0
        return self.argument, held(self.type), kinds.get(self.type, layout.TUPLE), self.size, keys


def opened(containers: Sequence[Container], arguments: int) -> int:
    """How many arguments there are with what is in containers. ValueError for a container that is opened
    before it is there."""
    for container in containers:
        if not 0 <= container.argument < arguments:
            raise ValueError(f"{arguments} arguments, but number {container.argument} is opened")
        arguments += container.size
    return arguments


TEXT = '''
def PyUnicode_Compare(one: Object, other: Object) -> i32: ...

def same_key(key: Object, wanted: Object, text: ptr) -> i1:
    """Whether these are one object, or equal strings."""
    if key == wanted:
        return True
    if key.type != text or wanted.type != text:
        return False
    return PyUnicode_Compare(key, wanted) == 0

def put(values: many[Object], k, value: Object) -> i1:
    """Whether element k is `value`, which is held there; one that is null becomes it."""
    if values[k] == null:
        Py_IncRef(value)
        values[k] = value
    return values[k] == value

def opened(spec: SPEC, values: many[Object]) -> i1:
    """What is in containers, held in `values` behind the arguments. False if they are not as they were when
    the function was traced, or hold something else than what stands there already."""
    at = room(i64, 1)
    key = room(Object, 1)
    value = room(Object, 1)
    end = spec.nargs + spec.n_keywords
    for n in range(spec.n_opens):
        row = spec.opens + n
        container = values[row.argument]
        size = row.size
        if container.type != row.type or container.size != size:
            return False
        if row.kind == DICT:
            at[0] = 0
            for k in range(size):
                if PyDict_Next(container, at, key, value) == 0:
                    return False
                if not same_key(key[0], row.keys[k], spec.env.text_type):
                    return False
                if not put(values, end + k, value[0]):
                    return False
        else:
            items = many[Object](container) + TUPLE_ITEMS
            if row.kind == LIST:
                items = container.items
            for k in range(size):
                if not put(values, end + k, items[k]):
                    return False
        end += size
    return True
'''
