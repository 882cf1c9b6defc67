"""The native call path (`language.py`): a CPython function that checks its arguments and runs a plan.

    ptr call(ptr self, ptr args, i64 nargs, ptr kwnames)        METH_FASTCALL | METH_KEYWORDS

`self` is a tuple (specs, fallback, latest). `specs` is a list of tuples whose first item is an
int64 array, a spec (`call_layout.py`): what one signature takes, relies on, and gives. The first
spec that fits runs, and its address is left in the array `latest`; if none does, `fallback` is
called with the arguments as they came. Nothing outside is changed before the run, and all that can
fail comes before it.
"""

from __future__ import annotations

from . import build_text, check_text, containers, take_text
from .call_layout import NUMBERS, RECORDS

_TEXT = '''
def Py_IncRef(object: Object): ...
def Py_DecRef(object: Object): ...
def PyEval_SaveThread() -> ptr: ...
def PyEval_RestoreThread(saved: ptr): ...
def PyObject_Vectorcall(function: Object, args: ptr, n, names: ptr) -> Object: ...

def release(objects: many[Object], n):
    """Give back references; null is none."""
    for k in range(n):
        Py_DecRef(objects[k])

def clear(objects: many[Object], n):
    for k in range(n):
        objects[k] = null

def attempt(spec: SPEC, given: many[Object], nargs, kwnames: Object, result: many[Object]) -> i1:
    """Whether the spec fits. If so, at `result` a new reference, or null with an exception set."""
    if spec.nargs != nargs:
        return False
    n_keywords = spec.n_keywords
    if kwnames == null:
        if n_keywords != 0:
            return False
    elif kwnames.size != n_keywords or not equal(many[i64](kwnames) + TUPLE_ITEMS, spec.keywords, n_keywords):
        return False
    env = spec.env
    pool = env.pool
    threads = pool.most
    if spec.threads != 0:
        threads = min(spec.threads, threads)
    if spec.large != 0 and pool.there < threads:
        return False

    # room for pointers: on the stack, which may be small, or on the heap
    n_inputs = spec.n_inputs
    n_outs = spec.n_outputs
    n_objects = n_outs + spec.n_made
    n_stores = spec.n_stores
    n_buffers = spec.n_buffers
    n_answer = spec.n_answer
    n_values = spec.n_values
    n_room = n_inputs + n_buffers + n_objects + n_stores + n_stores + n_answer + n_inputs + n_values
    heap: ptr = null
    if n_room << 3 > STACK_BYTES:
        heap = malloc(n_room << 3)
        if heap == null:
            return False
        arrays: many[Object] = heap
    else:
        arrays: many[Object] = room(ptr, n_room)
    buffers: many[ptr] = arrays + n_inputs
    outs: many[Object] = buffers + n_buffers
    made = outs + n_outs
    changed = outs + n_objects
    olds = changed + n_stores
    values = olds + n_stores
    words: many[i64] = values + n_answer
    clear(outs, n_objects)
    built: Object = null
    holder: Object = null
    result[0] = null
    args = given
    n_given = nargs + n_keywords
    if n_values > 0:
        args: many[Object] = words + n_inputs
        copy(args, given, n_given << 3, False)
        clear(args + n_given, n_values - n_given)
    try:
        if not opened(spec, args) or not gather(spec, args, arrays, buffers, words):
            return False
        if not gifts(spec, args, arrays, outs, buffers) or not check(spec.checks, spec.n_checks, args):
            return False
        if not outputs(spec, outs, made, buffers) or not make(spec, outs, made, args):
            return True
        built = answer(spec, outs, made, args, values)
        if built == null:
            return True
        if spec.temp_bytes > TEMP_BYTES:
            holder = PyObject_Vectorcall(env.make_array, spec.temp_args, 2, null)
            if holder == null:
                return True
            base = holder.data
        else:
            base = room(i8, spec.temp_bytes, 64)
        temps = spec.temps
        for t in range(spec.n_temps):
            temp = temps[t]
            buffers[temp.buffer] = base + temp.offset

        # Checks and making objects may have run other code (a garbage collection, another thread): look
        # again. From here to the run there is none.
        if not opened(spec, args) or not gather(spec, args, arrays, buffers, words):
            return False
        # a step in Python may have read what this call changes
        pure = spec.changes == 0
        if not pure and env.steps[0] != 0:
            return False
        if not gifts(spec, args, arrays, outs, buffers):
            return False
        left = spec.left
        left[0] = left[0] - 1
        if left[0] < 0:
            return False
        aliases(spec, arrays, buffers)
        targets(spec, args, changed)
        run = env.run
        if spec.large == 0:
            run(spec.program, spec.launches, spec.scratch, buffers, null, 1, env.threshold)
        else:
            # another thread may rebind what held them while we are without the lock
            for h in range(n_inputs):
                Py_IncRef(arrays[h])
            # What changes tensors keeps the lock: nobody may see them half written, nor change them from the
            # same values at the same time.
            saved: ptr = null
            if pure:
                saved = PyEval_SaveThread()
            run(spec.program, spec.launches, spec.scratch, buffers, pool.state, threads, env.threshold)
            if pure:
                PyEval_RestoreThread(saved)
            release(arrays, n_inputs)
        verdict = spec.verdict
        if verdict >= 0 and load(outs[verdict].data, i8) != 0:
            # nothing outside has changed yet: who explains runs it again
            release(changed, n_stores)
            return False
        assign(spec, outs, made, args, changed, olds)
        result[0] = built
        built: Object = null
        return True
    finally:
        Py_DecRef(built)
        release(outs, n_objects)
        if n_values > 0:
            release(args + n_given, n_values - n_given)
        Py_DecRef(holder)
        free(heap)

def call(self: Object, args: many[Object], nargs, kwnames: Object) -> Object:
    result = room(Object, 1)
    own = many[Object](self) + TUPLE_ITEMS
    specs = own[0]
    k = 0
    # the length is read anew each time: Python code that ran meanwhile may have changed the list
    while k < specs.size:
        item = specs.items[k]
        spec = (many[Object](item) + TUPLE_ITEMS)[0].data
        Py_IncRef(item)
        fits = attempt(spec, args, nargs, kwnames, result)
        Py_DecRef(item)
        if fits:
            store(own[2].data, spec)
            return result[0]
        k += 1
    return PyObject_Vectorcall(own[1], args, nargs, kwnames)
'''

SOURCE = "".join((_TEXT, check_text.TEXT, containers.TEXT, take_text.TEXT, build_text.TEXT))


def text() -> str:
    """LLVM text of `call`."""
    from .language import compiled  # where the cache has the code, nobody writes it

    # Instruction selection without its analyses makes code that is 3 % slower, in a quarter of the
    # time: 13 instead of 50 ms for all of this text.
    return compiled(SOURCE, ("call",), RECORDS, NUMBERS, "nounwind noinline optnone")
