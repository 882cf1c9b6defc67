"""Records of words that the native call path reads (`language.py`), and what it knows of Python's objects.

`call.py` writes the tables of them, `call_text.py` and its neighbours are the code that reads them. A word
has 8 bytes: a number, or the address of an object or of another table.
"""

from __future__ import annotations

from .records import record

SPEC = record(
    "nargs keywords:many[i64] n_keywords checks:CHECK n_checks inputs:INPUT n_inputs outputs:OUTPUT"
    " n_outputs temps:TEMP n_temps temp_bytes temp_args:ptr program:ptr launches scratch n_buffers large"
    " threads made:OBJECT n_made answer:VALUE n_answer stores:STORE n_stores gifts:GIFT n_gifts changes"
    " left:many[i64] verdict opens:OPEN n_opens n_values env:ENV"
)
# Words that are the same for every spec.
ENV = record(
    "array_type:ptr new_array:ptr make_array:ptr pool:POOL threshold run:ptr none:Object"
    " steps:many[i64] float_type:ptr int_type:ptr text_type:ptr"
)
POOL = record("state:ptr most there")  # `pool.CELL`
# Where something starts: argument `which`, or the object at that address. Other rows begin with it.
_PLACE = "is_object which|object:Object"
PLACE = record(_PLACE)
# An input: `chain` leads to its array. `max_refs`: how often the array may be held if it is
# overwritten, else 0, and `owner` the type of the base of our own arrays of this size; `exclusive`:
# what the chain leads through is held by nothing else. `strides`: what the array has; 0: it is row-major.
# `number`: how the Python number that is argument `argument` is converted, and takes the place of what is
# in the array; 0: it does not.
_INPUT = (
    f"{_PLACE} chain:LINK n_chain descr:Object nd dims:many[i64] buffer nbytes max_refs owner:ptr exclusive"
    " strides:many[i64] number argument"
)
INPUT = record(_INPUT)
FLOAT_DOUBLE, FLOAT_SINGLE, INT_DOUBLE, INT_SINGLE = 1, 2, 3, 4
LINK = record("type:ptr offset")
# An output: kind NEW is NumPy's memory, LARGE is ours, ALIAS is the array of input `source`, GIVEN the
# caller's. `kept`: a list of objects made earlier, or 0; object number `object` is one that nobody
# else holds any more, and its slot `slot` has the array of this output; `weak` is the slot of its weak
# references. `owner`: the type of the base of the array, if that is ours, else 0.
OUTPUT = record(
    "kind buffer descr:Object nd dims:many[i64] args:ptr source kept:Object object slot weak owner:ptr"
)
NEW, LARGE, ALIAS, GIVEN = 0, 1, 2, 3
KEPT = 2  # objects in such a list
KEPT_BYTES = 1 << 20  # the largest array that such an object may have
# An array of the caller's for output `output`, as an input; or None there, if `output` is negative.
GIFT = record(f"{_INPUT} output")
# An argument that is a container of `kind` TUPLE, LIST or DICT (`containers.py`).
OPEN = record("argument type:ptr kind size keys:many[Object]")
TEMP = record("buffer offset")
# A value: an object, the array of an output, one of the objects made, an argument.
VALUE = record("kind number|constant:Object")
CONSTANT, ARRAY, EARLIER, ARGUMENT = 0, 1, 2, 3
# The answer is built by a stack machine: values are pushed; a container takes `number` of them, as does a
# call of what stands before them.
TUPLE, LIST, DICT, CALLED = 4, 5, 6, 7
# An object to make, and its slots.
OBJECT = record("type:ptr fields:FIELD n_fields kept:Object")
FIELD = record("offset kind number")
# A slot to assign after the run: `offset` bytes into the target, or, if `hop` is not negative, into
# the object that it holds there.
STORE = record(f"{_PLACE} hop offset kind number")
# A fact that must hold, about what is at a place.
CHECK = record(f"{_PLACE} kind key|name:Object want:Object|objects:many[Object]|words:many[i64]")
IS, OF_TYPE, SLOT, DISTINCT, ITEM, PAIRS, ITEMS, ATTRIBUTE, CALL, CONTEXT, VARIABLE = range(11)

# Words of CPython's and NumPy's objects. `call.py` looks at live objects before it relies on them.
TYPE, SIZE_OF, LIST_ITEMS, CELL = 1, 2, 3, 2
TUPLE_ITEMS = tuple.__basicsize__ // 8  # 3; from Python 3.14 on a hash stands before them
DATA, ND, DIMS, STRIDES, BASE, DESCR, FLAGS = 2, 3, 4, 5, 6, 7, 8
ALIGNED = 0x100
READABLE = 0x101  # C_CONTIGUOUS | ALIGNED
OWNED = 0x4
WRITEABLE = 0x400
PLAIN = READABLE | WRITEABLE
FLOAT_VALUE = float.__basicsize__ // 8 - 1
WEAK = 9  # of an array: its weak references
DTYPE = 3  # of a plain dtype: all that it is, its byte order included
STACK_BYTES = 16 << 10  # pointers up to this size live on the stack
TEMP_BYTES = 32 << 10  # and temporaries: an array of them would take 2 microseconds

# Any object, with the words of all types that are known.
_OBJECT = {
    "refs": (0, "half"), "type": (TYPE, "ptr"), "size": (SIZE_OF, "i64"),
    "items": (LIST_ITEMS, "many[Object]"),
    "data": (DATA, "ptr"), "begin": (DATA, "i64"), "nd": (ND, "half"), "dims": (DIMS, "many[i64]"),
    "strides": (STRIDES, "many[i64]"), "base": (BASE, "Object"), "descr": (DESCR, "Object"),
    "flags": (FLAGS, "half"), "weak": (WEAK, "ptr"), "dtype": (DTYPE, "i64"),
}  # fmt: skip
RECORDS = {
    "SPEC": SPEC, "ENV": ENV, "POOL": POOL, "INPUT": INPUT, "LINK": LINK, "OUTPUT": OUTPUT, "TEMP": TEMP,
    "VALUE": VALUE, "PLACE": PLACE, "OBJECT": OBJECT, "FIELD": FIELD, "STORE": STORE, "CHECK": CHECK,
    "GIFT": GIFT, "OPEN": OPEN, "Object": _OBJECT,
}  # fmt: skip
NUMBERS = {name: value for name, value in globals().items() if isinstance(value, int)}
