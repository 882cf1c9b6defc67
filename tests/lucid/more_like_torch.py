"""More programs that are the same in PyTorch and in lucid, see `like_torch.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import like_torch
from .like_torch import Program, add, numbers, optimised, scheduled, with_gradients

BEFORE = set(like_torch.PROGRAMS)

# --- optimisers and schedules ----------------------------------------------------------------------

MORE: list[tuple[str, dict[str, Any]]] = [
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "maximize": True, "betas": (0.5, 0.6)}),
    ("SGD", {"lr": 0.001, "maximize": True}),
    ("Rprop", {"lr": 0.05}),
    ("Rprop", {"lr": 0.05, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.2)}),
    ("ASGD", {"lr": 0.05, "t0": 3, "lambd": 0.1, "weight_decay": 0.1}),
]
for number, (name, options) in enumerate(MORE):
    add(f"optim {name}, more {number}", optimised(name, **options))


def minimised(**options: Any) -> Program:
    """By LBFGS: all losses that the closure computes."""

    def program(t: Any) -> Any:
        w, b = (t.nn.Parameter(t.tensor(numbers(k, 3))) for k in (1, 2))
        opt = t.optim.LBFGS([w, b], **options)
        losses: list[float] = []

        def closure() -> Any:
            opt.zero_grad()
            loss = ((w - 1) ** 4).sum() + ((b - w * w) ** 2).sum()
            loss.backward()
            losses.append(loss.item())
            return loss

        for _ in range(2):
            opt.step(closure)
        return [losses, w.detach(), b.detach()]

    return program


add("optim LBFGS", minimised(lr=0.1, max_iter=4, history_size=2))
add("optim LBFGS with a search", minimised(line_search_fn="strong_wolfe", max_iter=6))


def momenta(make: Callable[[Any, Any], Any]) -> Program:
    def program(t: Any) -> Any:
        found = []
        for name, options in (("SGD", {"momentum": 0.5}), ("Adam", {})):
            opt = getattr(t.optim, name)([t.nn.Parameter(t.tensor(numbers(1, 3)))], lr=0.1, **options)
            schedule, group = make(t.optim.lr_scheduler, opt), opt.param_groups[0]
            for _ in range(9):
                found.append([group["lr"], group["momentum"] if name == "SGD" else group["betas"][0]])
                opt.step()
                schedule.step()
        return found

    return program


add("schedule OneCycleLR of momenta", momenta(lambda s, o: s.OneCycleLR(o, 1.0, total_steps=10)))
add(
    "schedule OneCycleLR of momenta, three phases",
    momenta(lambda s, o: s.OneCycleLR(o, 1.0, 10, three_phase=True, base_momentum=0.3, max_momentum=0.6)),
)
add("schedule CyclicLR of momenta", momenta(lambda s, o: s.CyclicLR(o, 0.1, 1.0, 2, mode="triangular2")))
add(
    "schedule CyclicLR by a function",
    scheduled(lambda s, o: s.CyclicLR(o, 0.1, 1.0, 2, scale_fn=lambda k: 0.8**k, cycle_momentum=False)),
)

# --- images at places --------------------------------------------------------------------------------


def sampled(mode: str, padding: str, corners: bool) -> Program:
    def f(t: Any, x: Any, theta: Any) -> Any:
        functional = t.nn.functional
        grid = functional.affine_grid(theta, (2, 3, 4, 3), align_corners=corners) * 1.4
        return functional.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)

    given = numbers(1, 2, 3, 5, 4), numbers(2, 2, 2, 3)
    if mode == "nearest":  # the places have no gradient
        return lambda t: f(t, *map(t.tensor, given))
    return with_gradients(f, *given)


for mode, padding, corners in (
    ("bilinear", "zeros", False), ("bilinear", "border", True), ("bilinear", "reflection", False),
    ("nearest", "reflection", True),
):  # fmt: skip
    add(f"grid_sample {mode} {padding} {corners}", sampled(mode, padding, corners))

add("norm kept", lambda t: t.tensor(numbers(1, 3, 4)).norm(dim=1, keepdim=True))

NAMES = set(like_torch.PROGRAMS) - BEFORE

if __name__ == "__main__":
    like_torch.write()
