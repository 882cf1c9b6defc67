"""Legality of kernels."""

from __future__ import annotations

from typing import NoReturn

from ..ir import kernel as k
from ..ir.layout import OWN, can_be_defined
from ..ir.types import DTYPES, DType, TensorType, i64
from ..ops import REGISTRY
from ..ops.folds import FOLDS
from ..text.kernel import statement_text, usable
from ..text.lexer import MAX_DEPTH, fit
from .error import VerifyError

# Names that the compiled function's own operands have.
_TAKEN = frozenset(("begin", "end", *OWN))
Extents = dict[str, k.Extent]  # of axes


def verify_kernel(kernel: k.Kernel) -> None:
    """Raises VerifyError unless, in short:

    - every name is plain, is defined once in the kernel, and is used only where it is known: a let
      in its stage, a row reduction in later stages, a total (scope "all") in `finally`; an axis
      has one extent;
    - every expression obeys its op's type rule, literals fit their dtype, trees are at most
      MAX_DEPTH deep;
    - every subscript is an axis in scope whose extent is the dimension's, or is shifted by the
      `lo` of a guard;
    - every output is stored once, at each point of all axes of one stage, and never loaded;
    - reductions: `dot` has two arguments, others one; the accumulator has the dtype of the
      arguments or a wider one of the same kind; `keep` names inner axes; `finally` holds none."""
    _Check(kernel).run()


class _Check:
    def __init__(self, kernel: k.Kernel) -> None:
        self.kernel = kernel
        self.names: set[str] = set()  # everything that is defined
        self.extents: Extents = {}  # of every axis met so far
        self.inputs = {p.name: p for p in kernel.params if isinstance(p, k.Array)}
        self.outputs = {o.name: o for o in kernel.outputs}
        # what a Ref may name here
        self.values = {p.name: p.dtype for p in kernel.params if isinstance(p, k.Scalar)}
        self.totals: dict[str, k.Array] = {}  # kept accumulators, as arrays
        self.ends: dict[str, DType] = {}  # totals without kept axes
        self.stored: set[str] = set()
        self.axes: Extents = {}  # in scope
        self.stmt: k.Stmt | None = None

    def fail(self, message: str) -> NoReturn:
        text = "" if self.stmt is None else statement_text(self.stmt)
        loc = None if self.stmt is None else self.stmt.loc
        raise VerifyError(f"kernel {self.kernel.name}: {message}", text, loc)

    # --- declarations -----------------------------------------------------------------------------

    def run(self) -> None:
        kernel = self.kernel
        if not usable(kernel.name) or "." in kernel.name or not can_be_defined(kernel.name):
            self.fail(f"`{kernel.name}` cannot be a name")
        for param in kernel.params + kernel.outputs:
            self.define(param.name)
            if param.dtype is not DTYPES.get(param.dtype.name):
                self.fail(f"the dtype of `{param.name}` is unknown")
            if isinstance(param, k.Array):
                self.array(param)
        scalars = dict(self.values)
        for stage in kernel.stages:
            self.stage(stage, kernel.outer, last=False)
        self.values = scalars | self.ends
        self.inputs |= self.totals
        for stage in kernel.final:
            self.stage(stage, (), last=True)
        self.stmt = None
        for name in self.outputs:
            if name not in self.stored:
                self.fail(f"the output `{name}` is never stored")
        for symbol in k.symbols(kernel):
            if not usable(symbol) or "." in symbol or symbol in _TAKEN:
                self.fail(f"`{symbol}` cannot name a symbol")
            if any(symbol == p.name for p in kernel.params + kernel.outputs):
                self.fail(f"`{symbol}` names a symbol and an operand")

    def define(self, name: str) -> None:
        if not usable(name) or "." in name or name in _TAKEN:
            self.fail(f"`{name}` cannot be a name")
        if name in self.names or name in self.extents:
            self.fail(f"`{name}` is defined twice")
        self.names.add(name)

    def array(self, array: k.Array) -> None:
        for extent in array.dims:
            self.extent(extent)
        if not array.dims and not array.unit:
            self.fail(f"`{array.name}` has no dimension that could be strided")
        if array.step and (array.unit or array.step not in k.STEPS):
            self.fail(
                f"`{array.name}`: {array.step} is no stride of a kernel ({', '.join(map(str, k.STEPS))})"
            )

    def extent(self, extent: k.Extent) -> None:
        if isinstance(extent, int) and not (type(extent) is int and 0 <= extent < 1 << 63):
            self.fail(f"{extent} cannot be an extent")

    def stage(self, stage: k.Stage, outer: tuple[k.Axis, ...], last: bool) -> None:
        """One stage; `last`: of `finally`. Its row reductions are known after it, its lets not."""
        self.stmt = None
        self.axes = {}
        for axis in outer + stage.axes:
            if axis.name not in self.extents:
                self.extents[axis.name] = axis.extent
                if not usable(axis.name) or "." in axis.name or axis.name in self.names:
                    self.fail(f"`{axis.name}` cannot name an axis")
            if axis.name in self.axes:
                self.fail(f"the axis `{axis.name}` is there twice")
            if self.extents[axis.name] != axis.extent:
                self.fail(f"the axis `{axis.name}` has two extents")
            self.extent(axis.extent)
            self.axes[axis.name] = axis.extent
        known = dict(self.values)
        for stmt in stage.body:
            self.stmt = stmt
            for expr in k.operands(stmt):
                self.depth(expr)
            if isinstance(stmt, k.Let):
                self.expr(stmt.expr)
                self.define(stmt.name)
                self.values[stmt.name] = k.expr_dtype(stmt.expr)
            elif isinstance(stmt, k.Store):
                self.store(stmt, self.expr(stmt.expr))
            elif isinstance(stmt, k.Scatter):
                self.scatter(stmt)
            elif isinstance(stmt, k.Scan):
                self.scan(stmt, stage)
            elif isinstance(stmt, k.Sort):
                if stmt.first is not None:
                    self.extent(stmt.first)
                    if stmt.values:
                        self.fail("values are sorted whole")
                if stmt.run is not None:
                    self.extent(stmt.run)
                    if not stmt.values:
                        self.fail("runs are of values")
                dtype = self.expr(stmt.expr)
                self.over(stmt, stage, dtype if stmt.values else i64)
            elif last:
                self.fail("no reduction may stand in `finally`")
            elif self.reduce(stmt, stage):
                known |= dict(stmt.results)
        self.values = known

    # --- statements -------------------------------------------------------------------------------

    def store(self, stmt: k.Store | k.Scan | k.Sort, dtype: DType) -> None:
        array = self.output(stmt.array)
        if dtype != array.dtype:
            self.fail(f"a {dtype} is stored into `{array.name}`, which is {array.dtype}")
        if array.name in self.stored:
            self.fail(f"`{array.name}` is stored twice")
        self.stored.add(array.name)
        if any(ix.shift is not None for ix in stmt.index):
            self.fail("the subscripts of a store cannot be shifted")
        runs = dict(self.axes)
        if isinstance(stmt, k.Sort) and stmt.first is not None and stmt.over in runs:
            runs[stmt.over] = stmt.first  # so many points are stored
        self.subscripts(array, stmt.index, (), runs)
        used = [ix.axis for ix in stmt.index]
        missing = [axis for axis in self.axes if axis not in used and self.axes[axis] == 1]
        if sorted(used + missing) != sorted(self.axes):
            axes = ", ".join(self.axes) or "none"
            self.fail(f"a store needs each axis of its stage once as a subscript ({axes})")

    def output(self, name: str) -> k.Array:
        if name not in self.outputs:
            self.fail(f"`{name}` is not an output")
        return self.outputs[name]

    def alone(self) -> None:
        """The statement is the only effect of its kernel."""
        kernel = self.kernel
        effects = [s for stage in kernel.stages for s in stage.body if not isinstance(s, k.Let)]
        if len(effects) > 1 or kernel.final or len(kernel.stages) != 1:
            self.fail("it must be all that its kernel does")

    def over(self, stmt: k.Scan | k.Sort, stage: k.Stage, dtype: DType) -> None:
        """What goes along the only axis of the stage, and stores a `dtype` at each point."""
        self.store(stmt, dtype)
        self.alone()
        if [a.name for a in stage.axes] != [stmt.over]:
            self.fail(f"`{stmt.over}` must be the only axis of the stage")

    def scan(self, stmt: k.Scan, stage: k.Stage) -> None:
        self.over(stmt, stage, self.expr(stmt.expr))
        of = FOLDS.get(stmt.op)
        if of is None or not of.scans(k.expr_dtype(stmt.expr)):
            self.fail(f"`{stmt.op}` of {k.expr_dtype(stmt.expr)} is no scan")

    def scatter(self, stmt: k.Scatter) -> None:
        dtype, array, of = self.expr(stmt.expr), self.output(stmt.array), FOLDS.get(stmt.op)
        if of is None or dtype != array.dtype or not of.scans(dtype):
            self.fail(f"`{stmt.op}` of a {dtype} and `{array.name}`, which is {array.dtype}")
        self.places(array, stmt.index)
        self.alone()
        if self.kernel.outer:
            self.fail("who adds at places has no outer axes")
        if not array.unit:
            self.fail(f"`{array.name}` must lie element by element")
        self.stored.add(array.name)

    def reduce(self, stmt: k.Reduce, stage: k.Stage) -> bool:
        """Whether the result is one of the row."""
        of = FOLDS.get(stmt.op)
        if of is None:
            self.fail(f"`{stmt.op}` is not a reduction ({', '.join(FOLDS)})")
        if len(stmt.args) != of.arguments:
            self.fail(f"`{stmt.op}` takes {of.takes}")
        if not len(stmt.names) == len(stmt.dtypes) == len(of.states):
            self.fail(f"`{stmt.op}` has {len(of.states)} results")
        taken = of.taken(stmt.dtypes)
        for arg, wide in zip(stmt.args, taken, strict=True):
            dtype = self.expr(arg)
            if dtype.kind != wide.kind or (dtype is not wide and dtype.bits >= wide.bits):
                self.fail(f"a {dtype} cannot be accumulated in {wide}")
        for (name, dtype), state in zip(stmt.results, of.states, strict=True):
            if dtype.kind not in state.kinds:
                self.fail(f"`{stmt.op}` is not defined for {dtype}")
            if dtype is not taken[state.of]:
                self.fail(f"`{name}` is {dtype}, but its argument is taken as {taken[state.of]}")
            if of.accumulator(dtype) is not dtype:
                self.fail(f"`{stmt.op}` of {dtype} is accumulated in {of.accumulator(dtype)}")
            if name in self.outputs:
                self.fail(f"`{name}` is an output: reduce under another name, store in `finally`")
            self.define(name)
        if len(set(zip(map(k.expr_dtype, stmt.args), taken, strict=True))) > len(set(taken)):
            self.fail("the arguments differ in dtype")
        inner = {axis.name: axis.extent for axis in stage.axes}
        if stmt.scope not in ("row", "all"):
            self.fail(f"`{stmt.scope}` is not a scope (row, all)")
        if stmt.of_row:
            if stmt.keep:
                self.fail("a row reduction keeps no axis")
            return True
        if len(set(stmt.keep)) != len(stmt.keep) or not set(stmt.keep) <= set(inner):
            self.fail(f"only inner axes of the stage can be kept, each once ({', '.join(inner)})")
        if stmt.keep and stage.axes[-1].name not in stmt.keep:
            self.fail(f"`{stage.axes[-1].name}`, the last axis of the stage, must be kept, or none")
        if stmt.keep:
            dims = tuple(inner[axis] for axis in stmt.keep)
            self.totals |= {name: k.Array(name, dtype, dims) for name, dtype in stmt.results}
        else:
            self.ends |= dict(stmt.results)
        return False

    # --- expressions ------------------------------------------------------------------------------

    def depth(self, expr: k.Expr) -> None:
        """Before anything recurses over the tree."""
        level: list[k.Expr] = [expr]
        for _ in range(MAX_DEPTH):
            level = [part for e in level for part in k.parts(e)]
            if not level:
                return
        loc = None if self.stmt is None else self.stmt.loc
        message = f"an expression is deeper than {MAX_DEPTH}; name a part of it by a let"
        raise VerifyError(f"kernel {self.kernel.name}: {message}", loc=loc)

    def expr(self, expr: k.Expr) -> DType:
        if isinstance(expr, k.Const):
            try:
                fit(expr.value, expr.dtype)
            except (TypeError, ValueError) as error:
                self.fail(str(error))
        elif isinstance(expr, k.Ref):
            self.ref(expr)
        elif isinstance(expr, k.Load):
            self.load(expr)
        elif isinstance(expr, k.Pick):
            self.pick(expr)
        elif isinstance(expr, k.At | k.Within):
            self.guard(expr)
        elif isinstance(expr, k.Size):
            pass  # its name is checked with those of all symbols
        elif isinstance(expr, k.Call):
            self.call(expr)
        else:
            self.fail(f"{expr!r} is not an expression")
        return k.expr_dtype(expr)

    def ref(self, ref: k.Ref) -> None:
        if ref.name not in self.values:
            where = "is not known here" if ref.name in self.names else "is not defined"
            self.fail(f"`{ref.name}` {where}")
        if self.values[ref.name] != ref.dtype:
            self.fail(f"`{ref.name}` is {self.values[ref.name]}, not {ref.dtype}")

    def load(self, load: k.Load) -> None:
        array = self.read(load)
        for guard in load.guards:
            self.guard(guard)
        self.subscripts(array, load.index, load.guards, self.axes)

    def pick(self, pick: k.Pick) -> None:
        array = self.read(pick)
        if array.name in self.totals:
            self.fail(f"`{array.name}` is a total: its subscripts are axes")
        self.places(array, pick.index)

    def places(self, array: k.Array, index: tuple[k.Expr, ...]) -> None:
        """Subscripts by value."""
        if len(index) != len(array.dims) or not index:
            self.fail(f"`{array.name}` has {len(array.dims)} dimensions, not {len(index)}")
        if any(self.expr(ix) != i64 for ix in index):
            self.fail("a subscript by value must be i64")

    def read(self, load: k.Load | k.Pick) -> k.Array:
        """The array that is read."""
        if load.array in self.outputs:
            self.fail(f"the output `{load.array}` is loaded")
        array = self.inputs.get(load.array)
        if array is None:
            self.fail(f"`{load.array}` is not an array that is known here")
        if load.dtype != array.dtype:
            self.fail(f"`{array.name}` is {array.dtype}, not {load.dtype}")
        return array

    def guard(self, guard: k.At | k.Within) -> None:
        if guard.axis not in self.axes:
            self.fail(f"the axis `{guard.axis}` is not known here")

    def subscripts(
        self, array: k.Array, index: tuple[k.Index, ...], guards: tuple[k.Within, ...], runs: Extents
    ) -> None:
        """`runs`: how far each axis does."""
        if len(index) != len(array.dims):
            self.fail(f"`{array.name}` has {len(array.dims)} dimensions, not {len(index)}")
        for ix, extent in zip(index, array.dims, strict=True):
            if ix.axis not in self.axes:
                self.fail(f"the axis `{ix.axis}` is not known here")
            if ix.shift is not None and all((g.axis, g.lo) != (ix.axis, ix.shift) for g in guards):
                self.fail(f"no guard allows the subscript {ix.axis} - {ix.shift}")
            if ix.shift is None and runs[ix.axis] != extent:
                here = f"{ix.axis} runs to {runs[ix.axis]}"
                self.fail(f"a dimension of `{array.name}` is {extent}, but {here}")

    def call(self, call: k.Call) -> None:
        op = REGISTRY.get(call.op)
        if op is None or op.kind != "elementwise" or not set(op.attrs) <= {"dtype"}:
            self.fail(f"`{call.op}` is not an elementwise op")
        types = tuple(TensorType(self.expr(arg), ()) for arg in call.args)
        try:
            result = op.infer(types, {"dtype": call.dtype} if op.attrs else {})
        except (TypeError, ValueError) as error:
            self.fail(str(error))
        if result.dtype != call.dtype:
            self.fail(f"{call.op} gives {result.dtype}, not {call.dtype}")
