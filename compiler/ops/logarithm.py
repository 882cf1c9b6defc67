"""log, log2, log10, log1p, asinh, acosh and atanh, as loop instructions, by the tables of `table_log.py`.

    log1p(x) = log(1 + x)
    asinh(x) = log(|x| + sqrt(x**2 + 1))                  acosh: x + sqrt(x**2 - 1)
    atanh(x) = log((1 + |x|) / (1 - |x|)) / 2             of these three: `table_inverse.py`

The arguments of these are sums of two numbers: log(y + rest) = log(y) + rest / y.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand, Value
from ..ir.types import DType
from . import steps as st
from . import table_inverse, table_log


def add_multiple(b: Builder, k: Operand, f: Operand) -> tuple[Value, Value]:
    """k ln2 + f, with ln2 as rounded, and what rounding the sum loses."""
    ln2 = b.imm(st.F64.ln2, f)
    total = b.op("fma", k, ln2, f)
    # k ln2 - total is exact: it is about -f
    return total, b.op("add", b.op("fma", k, ln2, b.op("neg", total)), f)


def log_twice(b: Builder, y: st.Pair) -> st.Pair:
    """log(y + rest) of float64 as a sum of two, to about four bits more than it has."""
    x, rest = y
    usual = table_log.ln_twice(b, x, rest=rest)

    def slowly() -> st.Pair:
        log, less = table_log.ln_twice(b, *table_log.lifted(b, x), rest)
        return st.at_ends(b, x, log, st.F64), less

    log, less = st.where_any(b, table_log.rare(b, x), usual, slowly)
    return log, less


# --- the functions -------------------------------------------------------------------------------


def log(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The natural logarithm. -inf at 0 and -0, NaN below, inf at inf."""
    return table_log.log(b, args[0], table_log.LN)


def log2(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The logarithm to base 2, exact for powers of two. At its ends as `log`."""
    return table_log.log(b, args[0], table_log.LOG2)


def log10(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The logarithm to base 10. At its ends as `log`."""
    return table_log.log(b, args[0], table_log.LOG10)


def log1p(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """log(1 + x). -inf at -1, NaN below, inf at inf, -0 at -0."""
    (x,) = args
    one = b.imm(1.0, x)
    y, rest = st.whole_sum(b, x, one)
    counts = b.op("ne", y, one)  # else x, so that no factor is a denormal number
    sum_ = y, b.op("select", counts, rest, b.imm(0.0, x))
    return b.op("select", counts, table_log.log_of_sum(b, sum_), x)


@st.odd(*st.HALF)
def arcsinh(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The inverse of sinh. -0 at -0, inf at inf."""
    return table_inverse.arcsinh(b, args[0])


def arccosh(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The inverse of cosh. 0 at 1, NaN below, inf at inf."""
    return table_inverse.arccosh(b, args[0])


@st.odd(*st.HALF)
def arctanh(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The inverse of tanh. -0 at -0, inf at 1, NaN beyond."""
    return table_inverse.arctanh(b, args[0])
