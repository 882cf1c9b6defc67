"""Kernel level: what runs together. Data only; one screen of grammar.

    kernel NAME(params) -> (outputs)
      for i in n, ...                 outer axes, shared by every stage
        stage j in d, ...             inner axes of this stage (may be none); `j in d long`: beyond a block
          t = expr                    Let
          o[i, j] = expr              Store
          r = sum(expr)               Reduce "row": over the inner axes, one value per outer point
          g[j] += expr                Reduce "all": over the outer axes too; known in `finally`
          v, p = argmax(expr, at(j))  Reduce with two results
          o(e, at(j)) += expr         Scatter: at subscripts that are values
          o[i, j] = scan j sum(expr)  Scan: over the inner axis, up to each point
          o[i, j] = sort j (expr)     Sort: which elements along the inner axis, in order
          o[i, j] = sort j falling (expr) first k      ... in descending order, k of them
          o[i, j] = sort j values (expr)      ... the elements themselves
          o[i, j] = sort j values (expr) runs k       ... each k of them by themselves
          o[i, j] = sort j values (expr) merges k     ... each k of which are in order
      finally                         once, after the block results are combined
        stage j in d
          ...

Meaning: for every point of the outer axes, in any order, run the stages in order; each stage runs
its body at every point of its inner axes. Extents are symbols, so that one kernel serves all sizes.
Array strides are not part of a kernel, but for one fact: whether the last dimension has stride 1
(`f32[n, d]`), a known small one (`f32[n, d:2]`, `f32[n, d:-1]`), or any (`f32[n, d:]`). Numeric semantics
of `Call` are those of the op registry. Reductions follow the order in `docs/architecture.md`. A kernel's
canonical text is its cache key; `loc` is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from .data import data, field
from .graph import Loc
from .rounding import literal
from .types import DType, b1, i64

Extent = str | int
# Inner extents up to this are part of the code: a row is then a few registers, with no loop.
SMALL = 64
# Last strides that are part of the code: pairs, colours, rows that run backwards are read by whole vectors.
STEPS = (-1, 2, 3, 4)


@data
class Axis:
    """`long`: known to be longer than a block of a reduction (`order.py`), so that rows along it are summed
    block by block. The blocks of others are never looked for: it must be there where that is so."""

    name: str
    extent: Extent
    long: bool = False


@data
class Array:
    """A parameter or output in memory. `dims` from the outermost; `unit`: last stride is 1; `step`: the last
    stride where it is another one of STEPS, 0 if it may be any."""

    name: str
    dtype: DType
    dims: tuple[Extent, ...]
    unit: bool = True
    step: int = 0


@data
class Scalar:
    """An operand passed by value."""

    name: str
    dtype: DType


# --- expressions: trees; a value used twice is a Let ---------------------------------------------


@data
class Const:
    """A literal. It compares by its text, so that -0.0 is not 0.0 and NaN is itself."""

    value: float | int | bool = field(compare=False)
    dtype: DType
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", literal(self.value, self.dtype))


@data
class Ref:
    """A Let, a row Reduce, a Scalar, or (in `finally`) an accumulator without kept axes."""

    name: str
    dtype: DType


@data
class At:
    """Where an axis is: 0, 1, 2, ... as i64."""

    axis: str


@data
class Size:
    """The value of a symbol, as i64."""

    symbol: str


@data
class Within:
    """True where lo <= axis < hi; `lo` and `hi` are symbols."""

    axis: str
    lo: str
    hi: str


@data
class Index:
    """One subscript: `axis`, or `axis - shift` where `shift` is the `lo` of a guarding Within."""

    axis: str
    shift: str | None = None


@data
class Load:
    """An element of an array, or 0 where a guard does not hold (then nothing is read)."""

    array: str
    index: tuple[Index, ...]
    dtype: DType
    guards: tuple[Within, ...] = ()


@data
class Pick:
    """An element of an array at subscripts that are values (i64); 0 where one is outside of its dimension
    (then nothing is read)."""

    array: str
    index: tuple[Expr, ...]
    dtype: DType


@data
class Call:
    """An elementwise op of the registry; `dtype` is the result's; `loc`: the user's line, if it is known and
    may be another than the statement's. Its hash is kept: every pass looks trees up, and would walk them each
    time."""

    op: str
    args: tuple[Expr, ...]
    dtype: DType
    loc: Loc | None = field(default=None, compare=False)
    known: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", hash((self.op, self.args, self.dtype)))

    def __hash__(self) -> int:
        return self.known


Expr = Const | Ref | Load | Pick | Call | At | Size | Within

# --- statements ----------------------------------------------------------------------------------


@data
class Let:
    name: str
    expr: Expr
    loc: Loc | None = field(default=None, compare=False)


@data
class Store:
    array: str
    index: tuple[Index, ...]
    expr: Expr
    loc: Loc | None = field(default=None, compare=False)


@data
class Reduce:
    """`op` is a fold of `ops/folds.py`, with a name and a dtype for each of its states.

    "row": over all inner axes of the stage. "all": over the outer axes and those inner axes that are not in
    `keep`.
    """

    names: tuple[str, ...]
    op: str
    args: tuple[Expr, ...]
    dtypes: tuple[DType, ...]
    scope: str
    keep: tuple[str, ...] = ()
    loc: Loc | None = field(default=None, compare=False)

    @property
    def results(self) -> tuple[tuple[str, DType], ...]:
        return tuple(zip(self.names, self.dtypes, strict=True))

    @property
    def of_row(self) -> bool:
        """Whether there is a value for each row, not one for all. ValueError for an unknown scope."""
        if self.scope not in ("row", "all"):
            raise ValueError(f"`{self.scope}` is not a scope (row, all)")
        return self.scope == "row"


@data
class Scatter:
    """array[index] = what the fold `op` makes of that and expr, in row-major order of the stage's axes; the
    array begins as the fold does. What has a subscript outside of its dimension is left out. The only effect
    of its kernel, which has no outer axes."""

    array: str
    index: tuple[Expr, ...]
    expr: Expr
    op: str = "sum"
    loc: Loc | None = field(default=None, compare=False)


@data
class Scan:
    """array[index] = what `op` makes of expr at all points along the axis `over`, up to this one, in order.
    The only effect of its kernel, whose stage has no other axis."""

    array: str
    index: tuple[Index, ...]
    op: str
    over: str
    expr: Expr
    loc: Loc | None = field(default=None, compare=False)


@data
class Sort:
    """array[index] = which elements of expr along the axis `over`, in ascending order (i64): equal ones as
    they stand, NaN last. `falling`: in descending order, NaN first. Otherwise as a scan. `first`: so many,
    and the array has as many along `over`; at least 1, and at most as many as there are. `values`: the
    elements themselves, all of them; -0 before 0, and one NaN for another. `run`: of values, each so many are
    sorted by themselves, and the rest behind them; or, if it `merges`, are known to be in order."""

    array: str
    index: tuple[Index, ...]
    over: str
    expr: Expr
    falling: bool = False
    first: Extent | None = None
    values: bool = False
    run: Extent | None = None
    merges: bool = False
    loc: Loc | None = field(default=None, compare=False)


Stmt = Let | Store | Reduce | Scatter | Scan | Sort


@data
class Stage:
    axes: tuple[Axis, ...]
    body: tuple[Stmt, ...]


@data
class Kernel:
    name: str
    params: tuple[Array | Scalar, ...]
    outputs: tuple[Array, ...]
    outer: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    final: tuple[Stage, ...] = ()


# --- questions every pass asks -------------------------------------------------------------------


def arrays(kernel: Kernel) -> dict[str, Array]:
    found = {p.name: p for p in kernel.params if isinstance(p, Array)}
    found.update({o.name: o for o in kernel.outputs})
    return found


def scalars(kernel: Kernel) -> dict[str, Scalar]:
    return {p.name: p for p in kernel.params if isinstance(p, Scalar)}


def alone(kernel: Kernel) -> Scatter | Scan | Sort | None:
    """The statement that is the only effect of its kernel, if there is one of that kind."""
    return next(
        (s for stage in kernel.stages for s in stage.body if isinstance(s, Scatter | Scan | Sort)), None
    )


def operands(stmt: Stmt) -> tuple[Expr, ...]:
    if isinstance(stmt, Scatter):
        return *stmt.index, stmt.expr
    return stmt.args if isinstance(stmt, Reduce) else (stmt.expr,)


def walk(expr: Expr) -> list[Expr]:
    """`expr` and everything below it, operands first."""
    below = parts(expr)
    return [e for part in below for e in walk(part)] + [expr] if below else [expr]


def parts(expr: Expr) -> tuple[Expr, ...]:
    """The operands of `expr` itself."""
    return expr.args if isinstance(expr, Call) else expr.index if isinstance(expr, Pick) else ()


def expressions(stage: Stage) -> list[Expr]:
    """Every expression of a stage, operands first."""
    return [e for stmt in stage.body for operand in operands(stmt) for e in walk(operand)]


def symbols(kernel: Kernel) -> tuple[str, ...]:
    """Every integer operand: extents first, then bounds and sizes, in order of first appearance."""
    stages = kernel.stages + kernel.final
    found: list[Extent | None] = [a.extent for a in (*kernel.outer, *(a for s in stages for a in s.axes))]
    found += [extent for array in arrays(kernel).values() for extent in array.dims]
    for stmt in (stmt for stage in stages for stmt in stage.body):
        if isinstance(stmt, Sort):
            found.append(stmt.run)
        for expr in (e for operand in operands(stmt) for e in walk(operand)):
            if isinstance(expr, Size):
                found.append(expr.symbol)
            guards = expr.guards if isinstance(expr, Load) else (expr,) if isinstance(expr, Within) else ()
            found += [bound for guard in guards for bound in (guard.lo, guard.hi)]
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))


def sizes(kernel: Kernel, shapes: Mapping[str, tuple[int, ...]], given: Mapping[str, int]) -> dict[str, int]:
    """All symbols of a kernel: `given`, and what the `shapes` of its array parameters say. ValueError where
    these differ, and where nothing says one."""
    found = dict(given)
    for param in kernel.params:
        if not isinstance(param, Array):
            continue
        shape = shapes[param.name]
        if len(shape) != len(param.dims):
            raise ValueError(f"`{param.name}` has {len(param.dims)} dimensions, not {len(shape)}")
        for extent, n in zip(param.dims, shape, strict=True):
            known = found.setdefault(extent, n) if isinstance(extent, str) else extent
            if known != n:
                raise ValueError(f"a dimension of `{param.name}` is {extent} = {known}, not {n}")
    missing = [symbol for symbol in symbols(kernel) if symbol not in found]
    if missing:
        raise ValueError(f"nothing says what the size `{missing[0]}` is")
    return found


def expr_dtype(expr: Expr) -> DType:
    if isinstance(expr, Within):
        return b1
    return i64 if isinstance(expr, At | Size) else expr.dtype


def counts(expr: Expr) -> bool:
    """`i32(at(j))`, counted in that dtype: whole numbers wrap."""
    cast = isinstance(expr, Call) and expr.op == "cast" and expr.dtype.kind in "iu"
    return cast and isinstance(parts(expr)[0], At)


def ascending(kernel: Kernel, stage: Stage) -> list[Reduce]:
    """The reductions of a stage over one axis whose last argument is where that axis is."""
    found = []
    for reduce in (s for s in stage.body if isinstance(s, Reduce)):
        axes = stage.axes if reduce.of_row else (*kernel.outer, *stage.axes)
        over = [At(a.name) for a in axes if a.name not in reduce.keep]
        last = reduce.args[-1]
        if [*(parts(last) if counts(last) else (last,))] == over:
            found.append(reduce)
    return found


def positional(expr: Expr) -> bool:
    """Whether it asks where an axis is beyond plain subscripts."""
    return isinstance(expr, At | Pick | Within) or (isinstance(expr, Load) and bool(expr.guards))
