"""python -m tests.compiler.validated: what LUCID_VALIDATE proves, the table of docs/testing.md."""

from __future__ import annotations

import os
from collections import Counter

os.environ["LUCID_VALIDATE"] = "1"

from lucid.compiler.pipeline import compile_graph
from lucid.compiler.validate import Access
from lucid.runtime.host import host
from tests.machines.cases import GROUPS


def main() -> None:
    print("| of | templates | kernels | reads inside | outputs once | at run time | not proved |")
    print("|---|---|---|---|---|---|---|")
    wrong: list[Access] = []
    for name in ("samples", "fused", "batches"):
        counts, templates, kernels, group = Counter[str](), set[int](), 0, ""
        for case in GROUPS[name]():
            group = case.group
            made = compile_graph(case.graph, host())
            found = made.validation
            if found is not None and id(found) not in templates:
                templates.add(id(found))
                kernels += len(made.plan.launches)
                counts.update(a.verdict for a in found)
                wrong += [a for a in found if a.verdict == "not proved"]
        cells = [
            len(templates),
            kernels,
            *(counts[v] for v in ("inside", "once", "at run time", "not proved")),
        ]
        print(f"| {group} | " + " | ".join(f"{n:,}" for n in cells) + " |", flush=True)
    print("\n".join(map(str, wrong)))


if __name__ == "__main__":
    main()
