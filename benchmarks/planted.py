"""Faults, one a record, that somebody might make in lucid: what `python -m benchmarks.faults` plants, one at
a time, for the fuzzer to find. `old` stands once in the file, and becomes `new`."""

from __future__ import annotations

from typing import NamedTuple


class Planted(NamedTuple):
    """`programs`: the budget within which the fuzzer must find it. `needs`: a pattern of the text of programs
    that can come to it (that text ends in "smooth" where gradients are asked for), if that is sure. `by`: a
    file of tests that finds it, in place of the fuzzer."""

    name: str
    layer: str
    file: str
    old: str
    new: str
    programs: int = 1500
    needs: str = ""
    by: str = ""


FAULTS = (
    # --- the user's side
    Planted(
        "a number of Python's is not part of what a recording is kept under", "tracing", "lucid/compiled.py",
        "facts = [None if k in opened else exact(v) for k, v in enumerate(asked.numbers)]",
        "facts = [None for _ in asked.numbers]",
        needs=r"\bk\d",
    ),
    Planted(
        "`x.at[i].set(v)`: of several values for one element the first wins", "front end", "lucid/updates.py",
        "winner = ops.SCATTER_MAX(number", "winner = ops.SCATTER_MIN(number",
        needs=r"\bat\(|copied\(",
    ),
    Planted(
        "`x.at[i].add(v)` forgets x", "front end", "lucid/updates.py",
        "return cast(ops.ADD(cast(x, wide), total), x.type.dtype)", "return cast(total, x.type.dtype)",
        needs=r"\.add\(",
    ),
    Planted(
        "compiled draws leave the counter of random numbers as it was", "front end", "lucid/generator.py",
        "*operands), state + Tensor(step)", "*operands), state + Tensor(0 * step)",
        needs=r"smooth$",
    ),
    Planted(
        "a slice begins one element late", "front end", "lucid/shapes.py",
        "start, step = (start, step) if count else (0, 1)",
        "start, step = (min(start + 1, n - 1), step) if count and step == 1 and stop < n else (start, step)",
    ),
    Planted(
        "an array by columns is read as if its axes stood the other way", "front end", "lucid/recording.py",
        "            return array.transpose(source.order)",
        "            return array.transpose(source.order[::-1])",
    ),
    # --- gradients
    Planted(
        "a tie of `maximum` gives the cotangent to both", "gradients", "compiler/ops/elementwise.py",
        "half = WHERE(EQ(a, b), MUL(const(0.5, ct), ct), ct)", "half = ct",
        needs=r"smooth$",
    ),
    Planted(
        "ties of an extreme over axes get it all, each", "gradients", "compiler/ops/reduce.py",
        "share = DIV(ct, SUM(CAST(hit, dtype=ct.type.dtype), axes=axes))", "share = ct",
        needs=r"smooth$",
    ),
    Planted(
        "the other factor of a product's gradient", "gradients", "compiler/ops/elementwise.py",
        "MUL(ct, a) if needs[1] else None", "MUL(ct, b) if needs[1] else None",
        needs=r"smooth$",
    ),
    Planted(
        "the gradient of x / y by y is not negated", "gradients", "compiler/ops/elementwise.py",
        "return da, NEG(MUL(da, node)) if needs[1] else None",
        "return da, MUL(da, node) if needs[1] else None",
        needs=r"smooth$",
    ),
    Planted(
        "a missing un-broadcast", "gradients", "compiler/ops/view.py",
        "if d < lead or (source[d - lead] == 1 and n != 1))", "if d < lead)",
        needs=r"smooth$",
    ),
    Planted(
        "the gradient of a slice begins one element late", "gradients", "compiler/ops/view.py",
        "start, step = start + (count - 1) * step, -step", "start, step = start + count * step, -step",
        needs=r"smooth$",
    ),
    Planted(
        "the gradient of a padding begins at the padding", "gradients", "compiler/ops/view.py",
        '(SLICE(ct, starts=n.attrs["lo"]', '(SLICE(ct, starts=n.attrs["hi"]',
        needs=r"smooth$",
    ),
    Planted(
        "what several readers give back is not added", "gradients", "compiler/passes/autodiff.py",
        "self.found.setdefault(source, []).append(part)",
        "self.found[source] = [part]",
        needs=r"smooth$",
    ),
    Planted(
        "the gradient of a gather takes the last of equal places", "gradients", "compiler/ops/index.py",
        "return SCATTER_ADD(x, *indices, shape=shape, axes=axes)",
        "return SCATTER_MAX(x, *indices, shape=shape, axes=axes)",
        needs=r"smooth$",
    ),
    # --- rules
    Planted(
        "x - (-y) becomes x - y", "simplify", "compiler/passes/simplify.py",
        'lambda e: ops.ADD(e["x"], e["y"])', 'lambda e: ops.SUB(e["x"], e["y"])',
    ),
    Planted(
        "a reduction of which one axis is a unit is a reshape", "simplify", "compiler/passes/simplify.py",
        'units = all(x.shape[a] == 1 for a in node.attrs["axes"])',
        'units = any(x.shape[a] == 1 for a in node.attrs["axes"])',
    ),
    Planted(
        "of two outputs that are equal one is lost", "simplify", "compiler/pipeline.py",
        "else outputs.setdefault(node, len(outputs)))",
        "else outputs.setdefault(node, max(0, len(outputs) - 1)))",
    ),
    Planted(
        "an output that is a reshape of an input is another input", "simplify", "compiler/pipeline.py",
        "inputs = {node: -1 - j for j, node in enumerate(graph.inputs)}",
        "inputs = {node: -1 - j // 2 for j, node in enumerate(graph.inputs)}",
    ),
    # --- fusion
    Planted(
        "a small inner extent becomes part of the text, and is one less", "fusion",
        "compiler/passes/draft_kernel.py", "self.symbol_of[axis] = taken(self.size[axis])",
        "self.symbol_of[axis] = max(1, taken(self.size[axis]) - 1)",
    ),
    # --- plans
    Planted(
        "a temporary is overwritten before it is read for the last time", "plan", "compiler/passes/plan.py",
        "not in busy and last_use[o.node] == at]", "not in busy]",
    ),
    Planted(
        "an output overwrites what is read at other subscripts", "plan", "compiler/passes/plan.py",
        "if not same or any(n > number or i != index or g for n, i, g in loads):", "if not same:",
    ),
    Planted(
        "an input is overwritten that later kernels read", "plan", "compiler/passes/plan.py",
        "safe = writer >= 0 and all(n <= writer for n in reads) and source not in graph.outputs",
        "safe = writer >= 0",
    ),
    Planted(
        "a kernel that reads runs beside the one that writes", "plan", "compiler/passes/plan.py",
        "before = {writer[node] for node, _ in nodes if node in writer}", "before = set[int]()",
    ),
    Planted(
        "the last block of a flat kernel is lost", "plan", "compiler/passes/plan.py",
        "return schedule.block, -(-points // schedule.block)",
        "return schedule.block, max(1, points // schedule.block)",
    ),
    Planted(
        "memory is free while its last reader runs", "plan", "compiler/passes/arrange.py",
        "self.ends[0][0] < first:", "self.ends[0][0] <= first:",
    ),
    # --- templates
    Planted(
        "no facts are noted of sizes: a template serves those that it must not", "templates",
        "compiler/passes/template.py", "    facts.recording = True\n",
        "    facts.recording = False\n",
    ),
    Planted(
        "a literal is no part of a template's key", "templates", "compiler/passes/template.py",
        'parts.append((repr(attrs["value"]), attrs["dtype"].name))', 'parts.append(attrs["dtype"].name)',
    ),
    Planted(
        "all numbers of a template are the first", "templates", "compiler/passes/template.py",
        "scalar_bytes(scalars[number], dtype)", "scalar_bytes(scalars[0], dtype)",
    ),
    Planted(
        "a size in a plan is evaluated without its offset", "templates", "compiler/ir/size.py",
        "        total = offset\n", "        total = 0\n",
    ),
    # --- loops
    Planted(
        "the mask of a tail has one lane more", "loops", "compiler/cpu/values.py",
        "return iota < b.widen(narrow, width)", "return iota <= b.widen(narrow, width)",
    ),
    Planted(
        "a guard of a padded read is left out", "loops", "compiler/cpu/values.py",
        "guard = self.both(guard, self.within(g))", "pass",
        needs=r"pad|concat|roll|at\(|smooth$",
    ),
    Planted(
        "lanes beyond the end are added to a sum", "loops", "compiler/cpu/lower.py",
        "mask = None if stmt.keep else self.mask", "mask = None",
    ),
    Planted(
        "lanes are joined in another order in narrower registers", "loops", "compiler/cpu/values.py",
        "vectors = [self.merge(op, vectors[n], vectors[n + half]) for n in range(half)]",
        "vectors = [self.merge(op, vectors[2 * n], vectors[2 * n + 1]) for n in range(half)]",
    ),
    Planted(
        "a scan across memory begins with the second row twice", "loops", "compiler/cpu/lower_scan.py",
        "((ZERO, x.minimum(ONE, self.extent), True), (ONE, self.extent, False))",
        "((ZERO, x.minimum(ONE, self.extent), True), (ZERO, self.extent, False))",
        needs=r"cumsum|cumprod|smooth$",
    ),
    Planted(
        "a scatter forgets the last row of a block", "loops", "compiler/cpu/lower_scatter.py",
        "self.hi = x.minimum(end, rows)", "self.hi = x.minimum(end, rows - 1)",
        needs=r"\bat\(|copied\(|smooth$",
    ),
    Planted(
        "parts of the depth of a product overlap", "loops", "compiler/cpu/lower_product.py",
        "count = x.minimum(self.depth - part.var, self.part)",
        "count = x.minimum(self.depth - part.var, self.part - 1)",
        needs=r"@",
    ),
    # --- one element
    Planted(
        "`where` takes the other branch", "elements", "compiler/ops/elementwise.py",
        'dec.instruction("select"), "biuf",',
        'lambda b, args, dtype: dec.instruction("select")(b, (args[0], args[2], args[1]), dtype), "biuf",',
    ),
    Planted(
        "`maximum` drops NaN", "elements", "compiler/ops/decompose.py",
        'maximum = _extreme("gt")',
        'maximum = lambda b, *args: b.op("select", b.op("gt", *args), *args)',
    ),
    Planted(
        "argmax takes the last of equal values", "elements", "compiler/ops/folds.py",
        "before = q < p", "before = q > p",
        needs=r"argmax|argmin",
    ),
    Planted(
        "an fma with the wrong sign in exp", "elements", "compiler/ops/exponential.py",
        'return b.op("fma", k, -form.ln2, x), k', 'return b.op("fma", k, form.ln2, x), k',
    ),
    # --- native code and the runtime
    Planted(
        "code for one CPU serves another one", "caches", "compiler/pipeline.py",
        "    key = (text, target.key, *users)\n", '    key = (text, "", *users)\n',
    ),
    Planted(
        "a thread's range ends one block early", "pool", "runtime/region.py",
        "high = blocks * (r + 1) // count\n", "high = blocks * (r + 1) // count - 1\n",
    ),
    Planted(
        "what a native call relies on is not compared", "runtime", "runtime/check_text.py",
        "ok = object == row.want", "ok = object == object",
        needs=r"\bk\d",
    ),
    # --- what took other programs
    Planted(
        "|-x| becomes |x| of unsigned integers, too", "simplify", "compiler/passes/simplify.py",
        'return None if env["x"].type.dtype.kind == "u" else ops.ABS(env["x"])', 'return ops.ABS(env["x"])',
        needs=r"(?s)uint.*abs\(-",
        programs=6000,
    ),
    Planted(
        "float64 is rounded to float16 twice", "elements", "compiler/ops/decompose.py",
        'return b.op("bitcast", b.op("select", inexact, odd, bits), dtype=f32)', "return near",
        needs=r"(?s)float64.*float16",
    ),
    Planted(
        "a shift by more than the width", "elements", "compiler/ops/decompose.py",
        "inside = amount <= last", "inside = amount < last",
        needs=r"<<|>>",
    ),
    Planted(
        "a maximum over axes begins at 0", "elements", "compiler/ops/folds.py",
        'Fold("max", (State(0, "biuf", _LEAST, _LEAST),)',
        'Fold("max", (State(0, "biuf", _nothing, _LEAST),)',
    ),
    Planted(
        "a step of a product is rounded twice", "elements", "compiler/ops/folds.py",
        'return (b.op("fma", *args, *acc),)', 'return (b.op("add", b.op("mul", *args), *acc),)',
        needs=r"@",
    ),
    Planted(
        "outputs that overlap inputs are written at once", "runtime", "runtime/execute.py",
        "            if k >= 0 and given[k] and (reached > low or following < high):\n                "
        "found.add(k)\n",
        "",
    ),
)  # fmt: skip

# What no program shows, or few: the tests that it is found by.
TESTED = (
    Planted(
        "x + 0 becomes x: -0 stays", "simplify", "compiler/passes/simplify.py",
        '    (("div", "x", 1), "x"),', '    (("add", "x", 0), "x"), (("div", "x", 1), "x"),',
        by="tests/compiler/test_proofs.py",
    ),
    Planted(
        "x * 0 becomes 0: NaN is dropped", "simplify", "compiler/passes/simplify.py",
        '    (("div", "x", 1), "x"),',
        '    (("mul", "x", 0), lambda e: ops.zeros_like(e["x"])), (("div", "x", 1), "x"),',
        by="tests/compiler/test_proofs.py",
    ),
    Planted(
        "lanes that went round are not put back", "loops", "compiler/cpu/lower.py",
        "            self.turn_back(lo, hi)", "            pass",
        by="tests/compiler/test_rows.py",
    ),
    Planted(
        "inputs that lie elsewhere than in rows are read as they lie", "runtime", "runtime/execute.py",
        '    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])', "    return array",
        by="tests/runtime/test_execute.py",
    ),
    Planted(
        "what needs a whole total joins the kernel of the total", "fusion", "compiler/passes/legal.py",
        "            return None  # a full reduction is known only after the last block",
        "            pass",
        by="tests/compiler/test_golden.py",
    ),
    Planted(
        "a gap in memory is taken that is too small", "plan", "compiler/passes/arrange.py",
        "if end - begin >= need:", "if end - begin >= need - ALIGN:",
        by="tests/compiler/test_plan.py",
    ),
    Planted(
        "the first lane is not joined with the others", "loops", "compiler/cpu/lower_finish.py",
        'with b.loop(count, blocks, 1, "serial") as later:',
        'with b.loop(count + 1, blocks, 1, "serial") as later:',
        needs=r"sum|max|min|mean|smooth$",
        by="tests/lucid/test_reductions.py",
    ),
    Planted(
        "the low part of ln 2 is lost in exp", "elements", "compiler/ops/table_exp.py",
        'r = b.op("fma", k, -st.form_of(x).ln2_rest, r)\n    return Power', "return Power",
        by="tests/compiler/test_transcendental.py",
    ),
    Planted(
        "lengths that were equal need not be", "templates", "compiler/passes/template.py",
        "self._literal(sizes) != self._literals or self._each(sizes) != self._owner(sizes):",
        "self._literal(sizes) != self._literals:",
        by="tests/compiler/test_template.py",
    ),
    Planted(
        "the axes of an array that is indexed are those of the result", "fusion", "compiler/passes/draft.py",
        "along = runs == n or (0 <= runs < n and not whole)", "along = runs >= 0",
        by="tests/lucid/test_elements.py",
    ),
    Planted(
        "the caller does not wait for the workers", "pool", "runtime/region.py",
        '"acquire") < joined:', '"acquire") < 0:',
        by="tests/runtime/test_interleavings.py",
    ),
    Planted(
        "the workers are let go before the job is written", "pool", "runtime/region.py",
        "    state.run = run\n", '    swap(address(state.gate), 1, "seq_cst")\n    state.run = run\n',
        by="tests/runtime/test_interleavings.py",
    ),
)  # fmt: skip
