"""Tables of words that the native call path reads, and what it knows of Python's objects.

`call.py` writes the tables, `call_text.py` and `check_text.py` are the code that reads them. A word
has 8 bytes: a number, or the address of an object or of another table.
"""

from __future__ import annotations

import re

from . import words

# Words of a spec.
SPEC = (
    "nargs", "keywords", "n_keywords", "checks", "n_checks", "inputs", "n_inputs", "outputs", "n_outputs",
    "temps", "n_temps", "temp_bytes", "temp_args", "program", "launches", "scratch", "n_buffers", "large",
    "threads", "made", "n_made", "answer", "n_answer", "stores", "n_stores", "gifts", "n_gifts", "changes",
    "verdict", "env",
)  # fmt: skip
# Words that are the same for every spec.
ENV = (
    "array_type",
    "new_array",
    "make_array",
    "pool",
    "threshold",
    "run",
    "list_type",
    "none",
    "steps",
    "float_type",
    "int_type",
)
# Where something starts: argument `which`, or the object at that address. Other rows begin with it.
PLACE = ("is_object", "which")
# An input: `chain` leads to its array. `max_refs`: how often the array may be held if it is
# overwritten, else 0, and `owner` the type of the base of our own arrays of this size; `exclusive`:
# what the chain leads through is held by nothing else. `strides`: what the array has; 0: it is row-major.
# `number`: how the Python number that is argument `argument` is converted, and takes the place of what is
# in the array; 0: it does not.
INPUT = ("is_object", "which", "chain", "n_chain", "descr", "nd", "dims", "buffer", "nbytes",
         "max_refs", "owner", "exclusive", "strides", "number",
         "argument")  # fmt: skip
FLOAT_DOUBLE, FLOAT_SINGLE, INT_DOUBLE, INT_SINGLE = 1, 2, 3, 4
LINK = ("type", "offset")
# An output: kind NEW is NumPy's memory, LARGE is ours, ALIAS is the array of input `source`, GIVEN the
# caller's. `kept`: a list of objects made earlier, or 0; object number `object` is one that nobody
# else holds any more, and its slot `slot` has the array of this output; `weak` is the slot of its weak
# references. `owner`: the type of the base of the array, if that is ours, else 0.
OUTPUT = ("kind", "buffer", "descr", "nd", "dims", "args", "source", "kept", "object", "slot", "weak",
          "owner")  # fmt: skip
NEW, LARGE, ALIAS, GIVEN = 0, 1, 2, 3
KEPT = 2  # objects in such a list
KEPT_BYTES = 1 << 20  # the largest array that such an object may have
# An array of the caller's for output `output`: as an input, found through `n_path` containers; or
# None there, if `output` is negative.
GIFT = (*INPUT, "path", "n_path", "output")
STEP = ("type", "size", "index")
TEMP = ("buffer", "offset")
# A value: an object, the array of an output, one of the objects made, an argument.
VALUE = ("kind", "number")
CONSTANT, ARRAY, EARLIER, ARGUMENT = 0, 1, 2, 3
# The answer is built by a stack machine: values are pushed; a container takes `number` of them.
TUPLE, LIST, DICT = 4, 5, 6
# An object to make, and its slots.
OBJECT = ("type", "fields", "n_fields", "kept")
FIELD = ("offset", "kind", "number")
# A slot to assign after the run: `offset` bytes into the target, or, if `hop` is not negative, into
# the object that it holds there.
STORE = ("is_object", "which", "hop", "offset", "kind", "number")
# A fact that must hold, about what is at a place.
CHECK = ("is_object", "which", "kind", "key", "want")
IS, OF_TYPE, SLOT, DIFFERS, OUTSIDE, ITEM, PAIRS, ITEMS, ATTRIBUTE, CALL, CONTEXT, VARIABLE = range(12)

# Words of CPython's and NumPy's objects. `call.py` looks at live objects before it relies on them.
TYPE, SIZE_OF, LIST_ITEMS, CELL = 1, 2, 3, 2
TUPLE_ITEMS = tuple.__basicsize__ // 8  # 3; from Python 3.14 on a hash stands before them
LATEST = TUPLE_ITEMS + 2  # word of the tuple (specs, fallback, latest)
DATA, ND, DIMS, STRIDES, BASE, DESCR, FLAGS = 2, 3, 4, 5, 6, 7, 8
ALIGNED = 0x100
READABLE = 0x101  # C_CONTIGUOUS | ALIGNED
OWNED = 0x4
WRITEABLE = 0x400
PLAIN = READABLE | WRITEABLE
FLOAT_VALUE = float.__basicsize__ // 8 - 1
WEAK = 9  # of an array: its weak references
DTYPE = 3  # of a plain dtype: all that it is, its byte order included
STACK_BYTES = 16 << 10  # temporaries, and pointers, up to this size live on the stack

TABLES = {
    "SPEC": SPEC, "ENV": ENV, "INPUT": INPUT, "LINK": LINK, "OUTPUT": OUTPUT, "TEMP": TEMP,
    "VALUE": VALUE, "PLACE": PLACE, "OBJECT": OBJECT, "FIELD": FIELD, "STORE": STORE, "CHECK": CHECK,
    "GIFT": GIFT, "STEP": STEP,
}  # fmt: skip
NUMBERS = {name: value for name, value in globals().items() if isinstance(value, int)}


def expand(source: str) -> str:
    """LLVM text, from text with the instructions of `words.py`, names of words, and one more instruction:

    %x = row %table, %k, T    the address of row k of a table whose rows are T
    """
    source = re.sub(
        r"\b([A-Z]+)\.([a-z_]+)\b",
        lambda m: str(TABLES[m[1]].index(m[2])) if m[1] in TABLES else m[0],
        source,
    )
    source = re.sub(r"^  (%[\w.]+) = row (%[\w.]+), (%[\w.]+), ([A-Z]+)$", _row, source, flags=re.M)
    source = re.sub(r"(?<![%@.\w])([A-Z_]+)\b", lambda m: str(NUMBERS.get(m[1], m[1])), source)
    # Instruction selection without its analyses makes code that is 3 % slower, in a quarter of the
    # time: 13 instead of 50 ms for all of this text.
    return words.expand(source).replace(" nounwind {", " nounwind noinline optnone {")


def _row(found: re.Match[str]) -> str:
    name, table, number, kind = found.groups()
    size = len(TABLES[kind])
    return (
        f"  {name}.words = mul i64 {number}, {size}\n"
        f"  {name} = getelementptr i64, ptr {table}, i64 {name}.words"
    )
