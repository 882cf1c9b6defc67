"""The checks of the native call path (`language.py`): does what a spec relies on still hold?

Objects are compared by identity: the spec keeps those it knows alive, so none can take the address
of another. What has become an equal but other object counts as a change; Python then looks closer.
"""

from __future__ import annotations

TEXT = '''
def PyDict_GetItemWithError(dict: Object, key: Object) -> Object: ...
def PyDict_Next(dict: Object, position: ptr, key: ptr, value: ptr) -> i32: ...
def PyDict_Size(dict: Object) -> i64: ...
def PyObject_GetAttr(object: Object, name: Object) -> Object: ...
def PyObject_CallNoArgs(function: Object) -> Object: ...
def PyContextVar_Get(variable: Object, default: Object, found: ptr) -> i32: ...
def PyErr_Clear(): ...

def start(row: PLACE, args: many[Object]) -> Object:
    """Where a row starts: argument `which`, or the object at that address."""
    if row.is_object != 0:
        return row.object
    return args[row.which]

def equal(a: many[i64], b: many[i64], n) -> i1:
    """Whether `n` words at `a` and at `b` are the same."""
    for k in range(n):
        if a[k] != b[k]:
            return False
    return True

def distinct(words: many[i64], n, args: many[i64]) -> i1:
    """Whether `n` arguments are objects of their own, and none is in a table (`checks.distinct`)."""
    mask = words[0]
    numbers = words + 1
    places = numbers + n
    table = places + n
    found = 0
    while found < n:
        object = args[numbers[found]]
        place = object >> 4 & mask
        while table[place] != 0 and table[place] != object:
            place = place + 1 & mask
        if table[place] == object:
            break
        table[place] = object
        places[found] = place
        found += 1
    for k in range(found):
        table[places[k]] = 0
    return found == n

def check(checks: CHECK, n, args: many[Object]) -> i1:
    found = room(Object, 1)
    position = room(i64, 1)
    pair = room(i64, 2)
    for k in range(n):
        row = checks[k]
        object = start(row, args)
        ok = True
        match row.kind:
            case IS:
                ok = object == row.want
            case OF_TYPE:
                ok = object.type == row.want
            case SLOT:
                # `key` bytes into the object
                ok = load(ptr(object) + row.key, ptr) == row.want
            case DISTINCT:
                ok = distinct(row.words, row.key, args)
            case ITEM:
                # the dict has this value, or none
                value = PyDict_GetItemWithError(object, row.name)
                if value == null:
                    PyErr_Clear()
                ok = value == row.want
            case PAIRS:
                # the dict has the `key` pairs, in this order, and no others
                if PyDict_Size(object) != row.key:
                    return False
                expected = row.words
                position[0] = 0
                while PyDict_Next(object, position, pair, pair + 1) != 0:
                    if not equal(pair, expected, 2):
                        return False
                    expected = expected + 2
            case ITEMS:
                # the list has the `key` items
                if object.size != row.key:
                    return False
                ok = equal(object.items, row.words, row.key)
            case ATTRIBUTE | CALL:
                if row.kind == CALL:
                    new = PyObject_CallNoArgs(object)
                else:
                    new = PyObject_GetAttr(object, row.name)
                if new == null:
                    PyErr_Clear()
                    return False
                ok = new == row.want
                Py_DecRef(new)
            case VARIABLE:
                # the context variable has this value, or none
                found[0] = null
                if PyContextVar_Get(object, null, found) != 0:
                    PyErr_Clear()
                    return False
                ok = found[0] == row.want
                Py_DecRef(found[0])
            case CONTEXT:
                # the variable holds a tuple of the `key` items
                found[0] = null
                PyContextVar_Get(object, null, found)
                tuple = found[0]
                if tuple == null:
                    PyErr_Clear()
                    return False
                ok = tuple.size == row.key
                if ok:
                    ok = equal(many[i64](tuple) + TUPLE_ITEMS, row.words, row.key)
                Py_DecRef(tuple)
        if not ok:
            return False
    return True
'''
