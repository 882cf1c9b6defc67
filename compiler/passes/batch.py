"""One program for all examples of a batch, graph to graph: what was written for one example is written again
for all of them, with one more axis in front of what depends on the example.

    %x: f32[3]                                    %X: f32[8, 3]
    %1: f32[3] = mul %x, %w                       %2: f32[8, 3] = broadcast %w
                                                  %3: f32[8, 3] = mul %X, %2
    %4: f32[] = sum %1 {axes = (0,)}              %5: f32[8] = sum %3 {axes = (1,)}

How a call of an op is written for all examples stands in its record (`Op.batch`). What does not depend on
the example stays as it is, and is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Node, at, toposort
from ..ops.batch import batched


class _Computed:
    """All nodes that have a value: nothing of an example is in them, so what they are made of is not
    looked at."""

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and node.data is not None


def in_batch(outputs: Sequence[Node], examples: Mapping[Node, Node], size: int) -> list[Node | None]:
    """What `outputs` are for `size` examples, along their first axis; None for what is the same for all.
    `examples`: what stands for all of them, in the same way, for each node that stands for one."""
    new = dict(examples)
    for node in toposort(outputs, _Computed()):
        mapped = tuple([n in new for n in node.inputs])
        if True in mapped and node not in new:
            with at(node.loc):
                inputs = tuple([new.get(n, n) for n in node.inputs])
                new[node] = batched(node.op, inputs, mapped, size, node.attrs)
    return [new.get(n) for n in outputs]
