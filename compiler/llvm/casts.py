"""Conversions between dtypes, as LLVM text: the same bits on every target."""

from __future__ import annotations

from ..ir.loop import Imm, Operand, Value
from ..ir.types import DType, b1, bf16, f16, i32, i64
from .writer import Writer


class Casts(Writer):
    def cast(self, x: Operand, result: Value) -> str:
        source, target = x.dtype, result.dtype
        kind = self.type_of(result)
        if target is b1:
            zero = self.ref(Imm(0, source, x.lanes))
            return self.let(f"{'fcmp une' if source.is_float else 'icmp ne'} {self.typed(x)}, {zero}")
        if source.wide is not None:
            return self.widened(x)
        if target.wide is not None:
            return self.narrowed(x, target)
        if source.is_float and target.is_float:
            code = "fpext" if target.bits > source.bits else "fptrunc"
            return self.let(f"{code} {self.typed(x)} to {kind}")
        if target.is_float:
            code = "sitofp" if source.kind == "i" else "uitofp"
            return self.let(f"{code} {self.typed(x)} to {kind}")
        if source.is_float:
            return self.float_to_int(x, result)
        bits = 1 if source is b1 else source.bits
        if target.bits == bits:
            return self.ref(x)
        if target.bits < bits:
            return self.let(f"trunc {self.typed(x)} to {kind}")
        return self.let(f"{'sext' if source.kind == 'i' else 'zext'} {self.typed(x)} to {kind}")

    def widened(self, x: Operand) -> str:
        """A format of 16 bits in float32. bfloat16 is the first half of it."""
        floats, ints = self.vector("float", x.lanes), self.vector("i32", x.lanes)
        if x.dtype is f16:
            half = self.vector("half", x.lanes)
            return self.let(f"fpext {half} {self.let(f'bitcast {self.typed(x)} to {half}')} to {floats}")
        if x.dtype is not bf16:
            raise TypeError(f"{x.dtype} is no format of 16 bits")
        low = self.let(f"zext {self.typed(x)} to {ints}")
        whole = self.let(f"shl {ints} {low}, {self.ref(Imm(16, i32, x.lanes))}")
        return self.let(f"bitcast {ints} {whole} to {floats}")

    def narrowed(self, x: Operand, dtype: DType) -> str:
        """float32 rounded to nearest even. To bfloat16 by integers: few machines have an instruction, that
        takes denormals for 0, and in its place LLVM calls a function. NaN keeps its first bits."""
        if dtype is f16:
            half = self.vector("half", x.lanes)
            text = self.let(f"fptrunc {self.typed(x)} to {half}")
            return self.let(f"bitcast {half} {text} to {self.vector('i16', x.lanes)}")
        if dtype is not bf16:
            raise TypeError(f"{dtype} is no format of 16 bits")
        ints = self.vector("i32", x.lanes)

        def literal(value: int) -> str:
            return self.ref(Imm(value, i32, x.lanes))

        bits = self.let(f"bitcast {self.typed(x)} to {ints}")
        odd = self.let(f"and {ints} {self.let(f'lshr {ints} {bits}, {literal(16)}')}, {literal(1)}")
        near = self.let(f"add {ints} {self.let(f'add {ints} {bits}, {literal(0x7FFF)}')}, {odd}")
        quiet = self.let(f"or {ints} {bits}, {literal(0x400000)}")
        nan = self.let(f"fcmp uno {self.typed(x)}, {self.ref(x)}")
        chosen = self.let(f"select {self.vector('i1', x.lanes)} {nan}, {ints} {quiet}, {ints} {near}")
        high = self.let(f"lshr {ints} {chosen}, {literal(16)}")
        return self.let(f"trunc {ints} {high} to {self.vector('i16', x.lanes)}")

    def float_to_int(self, source: Operand, result: Value) -> str:
        """NumPy's on this family of machines: truncation through a signed integer of 32 bits (64
        for u32, i64, u64); what does not fit there, NaN included, becomes its most negative value."""
        x: Operand = source
        target = result.dtype
        wide = i64 if target.bits == 64 or target.name == "u32" else i32
        bound = float(1 << (wide.bits - 1))
        floats, ints = self.type_of(x), self.vector(wide.llvm, x.lanes)
        value = self.ref(x)
        top, bottom = Imm(bound, x.dtype, x.lanes), Imm(-bound, x.dtype, x.lanes)
        above = self.let(f"fcmp oge {floats} {value}, {self.ref(bottom)}")
        below = self.let(f"fcmp olt {floats} {value}, {self.ref(top)}")
        fits = self.let(f"and {self.vector('i1', x.lanes)} {above}, {below}")
        raw = self.let(f"fptosi {floats} {value} to {ints}")
        lowest = Imm(-(1 << (wide.bits - 1)), wide, x.lanes)
        done = self.let(
            f"select {self.vector('i1', x.lanes)} {fits}, {ints} {raw}, {ints} {self.ref(lowest)}"
        )
        if target.name == "u64":
            big = self.let(f"fcmp oge {floats} {value}, {self.ref(top)}")
            limit = Imm(2.0 * bound, x.dtype, x.lanes)
            low = self.let(f"fcmp olt {floats} {value}, {self.ref(limit)}")
            high = self.let(f"and {self.vector('i1', x.lanes)} {big}, {low}")
            unsigned = self.let(f"fptoui {floats} {value} to {ints}")
            done = self.let(f"select {self.vector('i1', x.lanes)} {high}, {ints} {unsigned}, {ints} {done}")
        if target.bits < wide.bits:
            return self.let(f"trunc {ints} {done} to {self.type_of(result)}")
        return done
