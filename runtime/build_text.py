"""What a native call makes (`language.py`): arrays for its outputs, objects around them, the answer; and
what it assigns after the run.

An object that was made for an output of at most KEPT_BYTES is kept, with its array, by the spec. When a
later call finds that nobody else holds the two, it answers with them again: making and freeing them
costs more than all the rest of a call.
"""

from __future__ import annotations

TEXT = '''
def PyTuple_New(n) -> Object: ...
def PyList_New(n) -> Object: ...
def PyDict_New() -> Object: ...
def PyDict_SetItem(dict: Object, key: Object, value: Object) -> i32: ...
def PyType_GenericAlloc(type: ptr, n) -> Object: ...

def unheld(row: OUTPUT, items: many[Object], array_type: ptr) -> Object:
    """An object of an earlier call that nobody holds any more, whose array nobody holds either; or null."""
    owner = row.owner
    for k in range(KEPT):
        object = items[k]
        if object.refs != 1:
            continue
        words = many[Object](object)
        array = words[row.slot]
        if words[row.weak] != null or array.refs != 1 or array.type != array_type:
            continue
        # somebody may have had it in hands, and have changed what it is
        flags = array.flags
        if array.weak != null or array.descr != row.descr or array.nd != row.nd or flags & PLAIN != PLAIN:
            continue
        # memory that is NumPy's, its own; or one of our blocks, held by nobody else
        base = array.base
        if owner == null:
            if base != null or flags & OWNED == 0:
                continue
        elif base == null or base.refs != 1 or base.type != owner:
            continue
        if equal(array.dims, row.dims, row.nd):
            return object
    return null

def keep(list: Object, object: Object):
    """A new object is kept for later calls, and the oldest one not any more."""
    items = list.items
    old = items[KEPT - 1]
    Py_IncRef(object)
    for k in range(KEPT - 1):
        items[KEPT - 1 - k] = items[KEPT - 2 - k]
    items[0] = object
    Py_DecRef(old)

def outputs(spec: SPEC, outs: many[Object], made: many[Object], buffers: many[ptr]) -> i1:
    """Arrays for the outputs that have none yet: references in `outs`, and in `made` the kept objects that
    come with them; null for those that overwrite an input. False with an exception set if it fails."""
    rows = spec.outputs
    env = spec.env
    array_type = env.array_type
    for o in range(spec.n_outputs):
        row = rows[o]
        if row.kind != NEW and row.kind != LARGE:
            continue
        array: Object = null
        kept = row.kept
        if kept != null:
            object = unheld(row, kept.items, array_type)
            if object != null:
                array = many[Object](object)[row.slot]
                made[row.object] = object
                Py_IncRef(object)
                Py_IncRef(array)
        if array == null:
            if row.kind == LARGE:
                array = PyObject_Vectorcall(env.make_array, row.args, 2, null)
            else:
                new_array = env.new_array
                descr = row.descr
                Py_IncRef(descr)
                array: Object = new_array(array_type, descr, i32(row.nd), row.dims, null, null, i32(0), null)
            if array == null:
                return False
        outs[o] = array
        buffers[row.buffer] = array.data
    return True

def aliases(spec: SPEC, arrays: many[Object], buffers: many[ptr]):
    """Outputs that overwrite an input go where that lies."""
    rows = spec.outputs
    for o in range(spec.n_outputs):
        row = rows[o]
        if row.kind == ALIAS:
            buffers[row.buffer] = arrays[row.source].data

def value(row: VALUE, outs: many[Object], made: many[Object], args: many[Object]) -> Object:
    """The object, not a new reference, that a row says."""
    kind = row.kind
    if kind == CONSTANT:
        return row.constant
    if kind == ARRAY:
        return outs[row.number]
    if kind == EARLIER:
        return made[row.number]
    return args[row.number]

def make(spec: SPEC, outs: many[Object], made: many[Object], args: many[Object]) -> i1:
    """The objects to make that are not there yet, in order: references in `made`. False with an exception set
    if it fails."""
    rows = spec.made
    for k in range(spec.n_made):
        if made[k] != null:
            continue
        row = rows[k]
        new = PyType_GenericAlloc(row.type, 0)
        if new == null:
            return False
        made[k] = new
        for f in range(row.n_fields):
            field = row.fields + f
            content = value(address(field.kind), outs, made, args)
            Py_IncRef(content)
            store(ptr(new) + field.offset, content)
        if row.kept != null:
            keep(row.kept, new)
    return True

def container(kind, count, parts: many[Object]) -> Object:
    """A container of these references, which it takes over; null with an exception set if it fails, and they
    stay."""
    if kind == DICT:
        dict = PyDict_New()
        if dict == null:
            return null
        for p in range(count):
            if PyDict_SetItem(dict, parts[2 * p], parts[2 * p + 1]) != 0:
                Py_DecRef(dict)
                return null
        release(parts, 2 * count)
        return dict
    if kind == CALLED:
        made = PyObject_Vectorcall(parts[0], parts + 1, count, null)
        if made != null:
            release(parts, count + 1)
        return made
    if kind == LIST:
        new = PyList_New(count)
    else:
        new = PyTuple_New(count)
    if new == null:
        return null
    items = many[Object](new) + TUPLE_ITEMS
    if kind == LIST:
        items = new.items
    for j in range(count):
        items[j] = parts[j]
    return new

def answer(
    spec: SPEC, outs: many[Object], made: many[Object], args: many[Object], stack: many[Object]
) -> Object:
    """The answer, a new reference; null with an exception set if it fails."""
    rows = spec.answer
    depth = 0
    for k in range(spec.n_answer):
        row = rows[k]
        if row.kind <= ARGUMENT:
            new = value(row, outs, made, args)
            Py_IncRef(new)
        else:
            parts = row.number
            if row.kind == DICT:
                parts = 2 * parts
            if row.kind == CALLED:
                parts += 1
            depth -= parts
            new = container(row.kind, row.number, stack + depth)
            if new == null:
                release(stack, depth + parts)
                return null
        stack[depth] = new
        depth += 1
    return stack[0]

def targets(spec: SPEC, args: many[Object], targets: many[Object]):
    """The objects whose slots are to be assigned: references in `targets`."""
    rows = spec.stores
    for k in range(spec.n_stores):
        row = rows[k]
        object = start(row, args)
        if row.hop >= 0:
            object: Object = load(ptr(object) + row.hop, ptr)
        Py_IncRef(object)
        targets[k] = object

def assign(
    spec: SPEC, outs: many[Object], made: many[Object], args: many[Object], targets: many[Object],
    olds: many[Object],
):
    """Assign what is to be assigned, then let go of what was there: that may run any code."""
    rows = spec.stores
    n = spec.n_stores
    for k in range(n):
        row = rows[k]
        content = value(address(row.kind), outs, made, args)
        Py_IncRef(content)
        slot = ptr(targets[k]) + row.offset
        olds[k] = load(slot, ptr)
        store(slot, content)
    release(olds, n)
    release(targets, n)
'''
