"""What the native call path takes (`language.py`): the arrays of its arguments, whether they overlap,
numbers, and arrays that outputs may be written to."""

from __future__ import annotations

TEXT = '''
def PyLong_AsLongLongAndOverflow(number: Object, beyond: ptr) -> i64: ...

def array_of(start: Object, rule: INPUT, array_type: ptr) -> Object:
    """The array that the input `rule` finds at `start`, if it is what the plan needs; else null."""
    object = start
    link = rule.chain
    k = 0
    while True:
        type = object.type
        if type == array_type:
            break
        if k >= rule.n_chain or type != link.type:
            return null
        # where the chain starts is known to many; what is on the way, perhaps to nobody else
        if k > 0 and rule.exclusive != 0 and object.refs != 1:
            return null
        object: Object = load(ptr(object) + link.offset, ptr)
        if object == null:
            return null
        k += 1
        link = link + 1
    nd = rule.nd
    strides = rule.strides
    needed = READABLE if strides == null else ALIGNED
    # arrays that were pickled or swapped have dtypes that are equal, but other objects
    if object.descr.dtype != rule.descr.dtype or object.nd != nd or object.flags & needed != needed:
        return null
    if not equal(object.dims, rule.dims, nd):
        return null
    if strides != null and not equal(object.strides, strides, nd):
        return null
    return object

def apart(inputs: INPUT, arrays: many[Object], n, begin, size, array: Object) -> i1:
    """Whether the bytes from `begin` on lie outside of all inputs but `array` itself."""
    end = begin + size
    for k in range(n):
        other = arrays[k]
        if other != array and end > other.begin and other.begin + inputs[k].nbytes > begin:
            return False
    return True

def may_overwrite(inputs: INPUT, arrays: many[Object], n, row: INPUT, array: Object) -> i1:
    """Whether the array of input `row` may be overwritten: writeable, held by nobody else, and apart from the
    other inputs."""
    if array.flags & WRITEABLE == 0 or array.refs > row.max_refs:
        return False
    # its own memory, which nobody else can see; or that of an array of the same kind, or of one of our
    # blocks, which nobody else holds
    holder = array
    while True:
        base = holder.base
        if base == null:
            return holder.flags & OWNED != 0
        if base.refs != 1:
            return False
        type = base.type
        if type == row.owner:
            return apart(inputs, arrays, n, array.begin, row.nbytes, array)
        if type != array.type:
            return False
        holder = base

def number(object: Object, conversion, word: ptr, env: ENV) -> i1:
    """The Python number `object`, of the type that `conversion` takes, at `word`. False if it is of another
    type, or has more than 64 bits."""
    beyond = room(i32, 1)
    if conversion <= FLOAT_SINGLE:
        if object.type != env.float_type:
            return False
        value = load(many[i64](object) + FLOAT_VALUE, double)
    else:
        if object.type != env.int_type:
            return False
        store(beyond, i32(0))
        whole = PyLong_AsLongLongAndOverflow(object, beyond)
        if load(beyond, i32) != 0:
            return False
        value = double(whole)
    if conversion == FLOAT_DOUBLE or conversion == INT_DOUBLE:
        store(word, value)
    else:
        store(word, float(value))
    return True

def gather(spec: SPEC, args: many[Object], arrays: many[Object], buffers: many[ptr], words: many[i64]) -> i1:
    """The arrays of all inputs, and where their data lies: of numbers, in `words`. False if one is not what
    the plan needs."""
    inputs = spec.inputs
    n = spec.n_inputs
    env = spec.env
    array_type = env.array_type
    for i in range(n):
        row = inputs[i]
        array = array_of(start(row, args), row, array_type)
        if array == null:
            return False
        arrays[i] = array
        data = array.data
        if row.number != 0:
            data = address(words[i])
            if not number(args[row.argument], row.number, data, env):
                return False
        buffers[row.buffer] = data
    for v in range(n):
        row = inputs[v]
        if row.max_refs != 0 and not may_overwrite(inputs, arrays, n, row, arrays[v]):
            return False
    return True

def gifts(
    spec: SPEC, args: many[Object], arrays: many[Object], outs: many[Object], buffers: many[ptr]
) -> i1:
    """The caller's arrays for outputs: references in `outs`, where they must be those that are there already.
    False if one is not what the plan needs, or shares memory with an input or with another."""
    rows = spec.gifts
    env = spec.env
    for g in range(spec.n_gifts):
        row = rows[g]
        object = start(row, args)
        if row.output < 0:
            if object != env.none:
                return False
            continue
        array = array_of(object, row, env.array_type)
        if array == null or array.flags & WRITEABLE == 0:
            return False
        begin = array.begin
        if not apart(spec.inputs, arrays, spec.n_inputs, begin, row.nbytes, null):
            return False
        end = begin + row.nbytes
        for o in range(g):
            other = rows[o]
            if other.output >= 0:
                there = outs[other.output].begin
                if end > there and there + other.nbytes > begin:
                    return False
        known = outs[row.output]
        if known == null:
            Py_IncRef(array)
        elif known != array:
            return False
        outs[row.output] = array
        buffers[row.buffer] = array.data
    return True
'''
