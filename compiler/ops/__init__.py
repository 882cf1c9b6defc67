"""The op registry: every fact about an op stands in its one record here.

Elementwise ops take operands of one shape and one dtype (the front end promotes and broadcasts,
with nodes of their own); so a graph says what really happens. Gradients are written in graph ops
and can be differentiated again. `compiled equals evaluate` bit for bit where `exact`, else within
`ulp` units in the last place (reductions and contractions: within the bound that
`docs/architecture.md` states).
"""

from __future__ import annotations

from .complex import COMPLEX, IM, RE, side_by_side
from .complex_functions import hypot
from .contract import CONTRACT, parse_spec
from .elementwise import (
    ABS,
    ADD,
    AND,
    CAST,
    CEIL,
    COPYSIGN,
    DIV,
    EQ,
    FLOOR,
    FLOORDIV,
    FMOD,
    GE,
    GT,
    LE,
    LT,
    MAX,
    MIN,
    MOD,
    MUL,
    NATURAL,
    NE,
    NEG,
    NOT,
    OR,
    PLACE,
    POW,
    RINT,
    SHL,
    SHR,
    SIGN,
    SQRT,
    STOP,
    SUB,
    TRUNC,
    WHERE,
    XOR,
)
from .functions import (
    ARCCOS,
    ARCCOSH,
    ARCSIN,
    ARCSINH,
    ARCTAN,
    ARCTAN2,
    ARCTANH,
    CBRT,
    COS,
    COSH,
    DIGAMMA,
    ERF,
    ERFC,
    ERFINV,
    EXP,
    EXP2,
    EXP_TERM,
    EXPM1,
    LGAMMA,
    LOG,
    LOG1P,
    LOG2,
    LOG10,
    SIGMOID,
    SIN,
    SINH,
    TAN,
    TANH,
    TRIGAMMA,
)
from .index import GATHER, IOTA, SCATTER_ADD, SCATTER_MAX, SCATTER_MIN, SCATTERS
from .joined import decided, joined
from .leaves import CONST, INPUT, SCALAR, const, fill, once, shared_constants, zeros_like
from .random import RANDOM_BITS
from .record import (
    REGISTRY,
    Array,
    Attrs,
    By,
    Guard,
    Ix,
    Named,
    Op,
    Sample,
    Subscript,
    Sum,
    View,
    Vjp,
    each,
    register,
)
from .reduce import AMAX, AMIN, ARGMAX, ARGMIN, PROD, SUM, any_, kept_dims, sum_
from .scan import CUMMAX, CUMMIN, CUMPROD, CUMSUM, attained
from .sort import ARGSORT, ARGTOP, SORT, order, ordered, sorted_from
from .squares import squares_in
from .view import BROADCAST, PAD, RESHAPE, SLICE, TRANSPOSE, flip, narrow, pad_axis, reshape
from .window import CONVOLVE, WINDOW

__all__ = [
    "Array", "Attrs", "By", "Guard", "Ix", "Named", "Op", "REGISTRY", "Sample", "Subscript", "Sum", "View",
    "Vjp", "each", "register",
    "INPUT", "CONST", "SCALAR", "shared_constants", "once", "const", "fill", "zeros_like",
    "ADD", "SUB", "MUL", "DIV", "FLOORDIV", "MOD", "POW", "MAX", "MIN", "NEG", "ABS", "SIGN", "SQRT",
    "FLOOR", "CEIL", "TRUNC", "RINT", "FMOD", "COPYSIGN", "AND", "OR", "XOR", "NOT", "SHL", "SHR", "EQ", "NE",
    "LT", "LE", "GT", "GE", "WHERE", "CAST", "STOP", "PLACE", "NATURAL",
    "ARCCOS", "ARCCOSH", "ARCSIN", "ARCSINH", "ARCTAN", "ARCTAN2", "ARCTANH", "CBRT", "COS", "COSH",
    "DIGAMMA", "ERF", "ERFC", "ERFINV", "EXP", "EXP2", "EXPM1", "EXP_TERM", "LGAMMA", "LOG", "LOG10", "LOG1P",
    "LOG2", "SIGMOID", "SIN", "SINH", "TAN", "TANH", "TRIGAMMA",
    "RESHAPE", "TRANSPOSE", "BROADCAST", "SLICE", "PAD", "reshape", "narrow", "flip", "pad_axis", "joined",
    "decided",
    "kept_dims", "SUM", "PROD", "AMAX", "AMIN", "ARGMAX", "ARGMIN", "sum_", "any_",
    "ARGSORT", "ARGTOP", "SORT", "order", "ordered", "sorted_from",
    "CUMMAX", "CUMMIN", "CUMPROD", "CUMSUM", "attained", "GATHER", "IOTA", "SCATTERS",
    "SCATTER_ADD", "SCATTER_MAX", "SCATTER_MIN", "SCATTER_MUL",
    "COMPLEX", "RE", "IM", "hypot", "side_by_side",
    "RANDOM_BITS", "WINDOW", "CONVOLVE", "parse_spec", "CONTRACT", "squares_in",
]  # fmt: skip
