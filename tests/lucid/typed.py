"""What a type checker says of programs: each `# error: CODE` is expected, and nothing else. Never run."""

from __future__ import annotations

from typing import assert_type

import lucid
from lucid import Tensor
from lucid.nn import HuberLoss
from lucid.nn.functional import l1_loss


def loss(x: Tensor, y: Tensor, scale: float = 1.0) -> Tensor:
    return l1_loss(x, y) * scale


@lucid.compile
def step(x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    return loss(x, y), 1


@lucid.compile(threads=1)
def serial(x: Tensor) -> Tensor:
    return x


x, y = lucid.ones(3), lucid.zeros(3, device="cpu")
assert_type(step(x, y), tuple[Tensor, int])
assert_type(serial(x), Tensor)
assert_type(step(x, y, out=None), tuple[Tensor, int])
step("not", "tensors", at_all=True)  # error: call-overload
step(x)  # error: call-overload
serial(x, x)  # error: call-overload
step.ir("nonsense")  # error: arg-type

both = lucid.value_and_grad(loss)
assert_type(both(x, y, scale=2.0)[0], Tensor)
both(x, y, scale="wide")  # error: arg-type
lucid.grad(loss)(x)  # error: call-arg
assert_type(lucid.compile(lucid.value_and_grad(loss))(x, y)[0], Tensor)

l1_loss(x, y, reduction="avg")  # error: arg-type
HuberLoss(reduction="avg")  # error: arg-type
assert_type(l1_loss(x, y, reduction=None), Tensor)

assert_type(lucid.add(x, 1.0), Tensor)
assert_type(lucid.exp(1), Tensor)
assert_type(lucid.sum(x, dim=0, keepdim=True), Tensor)
assert_type(lucid.reshape(x, (3, 1)), Tensor)
lucid.sum(x, axes=0)  # error: call-arg
lucid.exp()  # error: call-arg
lucid.exp(x, x)  # error: call-arg
lucid.ones(3, device=0)  # error: arg-type
lucid.no_such_function(x)  # error: attr-defined
assert_type(x.clone().flatten().unsqueeze(0), Tensor)
x.backward(create_graph="yes")  # error: arg-type
