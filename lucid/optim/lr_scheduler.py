"""Schedules: learning rates by the number of steps, under PyTorch's names and with its formulas.

A schedule sets the rate of each group of its optimiser when it is made, and after each `step()`. A compiled
training step that is called between them is not traced anew: rates are its inputs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ..errors import bounds, here
from .optimizer import Group, Optimizer, checked

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR",
    "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR",
    "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip


@bounds
class LRScheduler:
    """`last_epoch`: how many steps were made. `base_lrs`: the rates that the groups had at first. A group
    that the optimiser is given later begins with the rate that it has then."""

    _listed: ClassVar[str] = ""  # what the user gives for each group, of which a later one has none

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        given: Any = optimizer
        if not isinstance(given, Optimizer):
            kind = type(given).__name__
            raise TypeError(here(f"{type(self).__name__}: expected an Optimizer, not {kind}"))
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.base_lrs = _initial(optimizer)
        self._last_lr = list(self.base_lrs)
        self.step()

    def step(self) -> None:
        """The rates of the next epoch, or whatever a step is to stand for."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def get_lr(self) -> list[float]:
        """The rates after so many steps, one for each group."""
        return [
            self._rate(base, group, k)
            for k, (base, group) in enumerate(zip(self._bases(), self.optimizer.param_groups, strict=True))
        ]

    def _bases(self) -> list[float]:
        """The first rates, with those of groups that came since. ValueError where these are not enough."""
        known, now = len(self.base_lrs), len(self.optimizer.param_groups)
        if known < now:
            if self._listed:
                told = f"{known} groups have a {self._listed}, and the optimiser has {now} by now"
                raise ValueError(here(f"{type(self).__name__}: {told}; make it after add_param_group"))
            self.base_lrs = [*self.base_lrs, *_initial(self.optimizer)[known:]]
        return self.base_lrs

    def _rate(self, base: float, group: Group, k: int) -> float:
        """The rate of group number `k`, by the one that it has and the one that it had at first."""
        raise NotImplementedError(here(f"{type(self).__name__} has no get_lr method"))

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group.lr = rate
        self._last_lr = [float(rate) for rate in rates]

    def get_last_lr(self) -> list[float]:
        """The rates as they were set last."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """All numbers of the schedule; not the optimiser, and no functions."""
        return {name: value for name, value in vars(self).items() if _plain(value)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. KeyError for other names."""
        own = self.state_dict()
        if set(state) != set(own):
            raise KeyError(here(f"load_state_dict: expected the keys {sorted(own)}, got {sorted(state)}"))
        vars(self).update(state)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


@bounds
class LambdaLR(LRScheduler):
    """The first rate times `lr_lambda(epoch)`, a function or one for each group."""

    _listed = "lr_lambda"

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self.lr_lambdas = _each(optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        return base * float(self.lr_lambdas[k](self.last_epoch))


@bounds
class MultiplicativeLR(LambdaLR):
    """The rate times `lr_lambda(epoch)`, at each step but the first."""

    def _rate(self, base: float, group: Group, k: int) -> float:
        now = float(group.lr)
        return now * float(self.lr_lambdas[k](self.last_epoch)) if self.last_epoch > 0 else now


@bounds
class StepLR(LRScheduler):
    """Times `gamma` after every `step_size` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = _positive("step_size", step_size), checked("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return float(group.lr) * (self.gamma if due else 1)


@bounds
class MultiStepLR(LRScheduler):
    """Times `gamma` after so many steps as `milestones` say."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), checked("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        return float(group.lr) * self.gamma ** self.milestones.count(self.last_epoch)


@bounds
class ConstantLR(LRScheduler):
    """The first rate times `factor`, for `total_iters` steps."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor, self.total_iters = checked("factor", factor), total_iters
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        if self.last_epoch == 0:
            return float(group.lr) * self.factor
        return float(group.lr) / (self.factor if self.last_epoch == self.total_iters else 1)


@bounds
class LinearLR(LRScheduler):
    """The first rate times a factor from `start_factor` to `end_factor`, in `total_iters` equal steps."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0,
        total_iters: int = 5, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                here(f"LinearLR: factors up to 1 are expected, not {start_factor}, {end_factor}")
            )
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        share = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share

    def _rate(self, base: float, group: Group, k: int) -> float:
        if self.last_epoch == 0:
            return float(group.lr) * self.start_factor
        return float(group.lr) * self._factor(self.last_epoch) / self._factor(self.last_epoch - 1)


@bounds
class ExponentialLR(LRScheduler):
    """Times `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = checked("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        return float(group.lr) * (self.gamma if self.last_epoch > 0 else 1)


@bounds
class PolynomialLR(LRScheduler):
    """From the first rate to 0 in `total_iters` steps, as (1 - steps / total_iters) ** power."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = _positive("total_iters", total_iters), power
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        if not 0 < self.last_epoch <= self.total_iters:
            return float(group.lr)
        left = 1 - self.last_epoch / self.total_iters
        before = 1 - (self.last_epoch - 1) / self.total_iters
        return float(group.lr * (left / before) ** self.power)


@bounds
class CosineAnnealingLR(LRScheduler):
    """From the first rate to `eta_min` along half a cosine of `T_max` steps, and back."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = _positive("T_max", T_max), checked("eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        now, least, turn = float(group.lr), self.eta_min, self.T_max
        if self.last_epoch == 0:
            return now
        if (self.last_epoch - 1 - turn) % (2 * turn) == 0:
            return now + (base - least) * (1 - math.cos(math.pi / turn)) / 2
        after = 1 + math.cos(math.pi * self.last_epoch / turn)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / turn)
        return after / before * (now - least) + least


@bounds
class CosineAnnealingWarmRestarts(LRScheduler):
    """Along half a cosine to `eta_min`, and anew from the first rate: after `T_0` steps, then after `T_mult`
    times as many as before (Loshchilov and Hutter, arXiv:1608.03983)."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0, self.T_mult = _positive("T_0", T_0), _positive("T_mult", T_mult)
        self.eta_min = checked("eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        begin, length = 0, self.T_0
        while begin + length <= self.last_epoch:
            begin, length = begin + length, length * self.T_mult
        angle = math.pi * (self.last_epoch - begin) / length
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(angle)) / 2


@bounds
class OneCycleLR(LRScheduler):
    """From `max_lr` / `div_factor` to `max_lr` in the first `pct_start` of `total_steps`, then to the first
    rate / `final_div_factor` (Smith and Topin, arXiv:1708.07120). With `cycle_momentum` the momentum (of Adam
    and the like beta1) goes the other way, from `max_momentum` to `base_momentum` and back. ValueError where
    the optimiser has none."""

    _listed = "max_lr"

    def __init__(
        self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85, max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(here("OneCycleLR: expected total_steps, or epochs and steps_per_epoch"))
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                here(f"OneCycleLR: anneal_strategy must be cos or linear, not {anneal_strategy!r}")
            )
        self.total_steps = _positive("total_steps", total_steps)
        self.max_lrs = [checked("max_lr", lr) for lr in _each(optimizer, "max_lr", max_lr)]
        self.anneal_strategy = anneal_strategy
        first = [lr / div_factor for lr in self.max_lrs]
        last = [lr / final_div_factor for lr in first]
        rise = float(pct_start * self.total_steps) - 1
        self._ends, self._levels = [rise, self.total_steps - 1], [first, self.max_lrs, last]
        if three_phase:
            self._ends = [rise, 2 * rise, self.total_steps - 1]
            self._levels = [first, self.max_lrs, first, last]
        self._low, self._high = _momenta(self, optimizer, cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        if self.last_epoch >= self.total_steps:
            raise ValueError(here(f"OneCycleLR: step {self.last_epoch + 1} of {self.total_steps}"))
        begin = 0.0
        for phase, end in enumerate(self._ends):
            if self.last_epoch <= end or phase == len(self._ends) - 1:
                break
            begin = end
        share = (self.last_epoch - begin) / (end - begin)
        if self._low:
            low, high = self._low[k], self._high[k]
            momenta = [high, low, high, high]
            _set_momentum(group, self._between(momenta[phase], momenta[phase + 1], share))
        return self._between(self._levels[phase][k], self._levels[phase + 1][k], share)

    def _between(self, first: float, last: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return first + (last - first) * share
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _momenta(
    schedule: LRScheduler, optimizer: Optimizer, cycle: bool, base: Any, most: Any
) -> tuple[list[float], list[float]]:
    """The least and the greatest momentum of each group; nothing where it is to stay."""
    if not cycle:
        return [], []
    kind = type(schedule).__name__
    if not {"momentum", "betas"} & set(optimizer.hyper):
        other = type(optimizer).__name__
        raise ValueError(here(f"{kind}: {other} has no momentum to cycle; give cycle_momentum=False"))
    if any(not getattr(group, "momentum", 1) for group in optimizer.param_groups):
        told = "a momentum of 0 cannot be switched on later; give the optimiser one, or cycle_momentum=False"
        raise ValueError(here(f"{kind}: {told}"))
    names = ("base_momentum", base), ("max_momentum", most)
    low, high = ([checked(name, m) for m in _each(optimizer, name, given)] for name, given in names)
    return low, high


def _set_momentum(group: Group, value: float) -> None:
    if "momentum" in group:
        group["momentum"] = value
    else:
        group.betas = value, group.betas[1]


@bounds
class CyclicLR(LRScheduler):
    """Between `base_lr` and `max_lr` along straight lines, up in `step_size_up` steps and down in
    `step_size_down` (Smith, arXiv:1506.01186); "triangular2" halves the height at each cycle, "exp_range"
    multiplies it by `gamma` at each step; `scale_fn` is a function to multiply it by, of the cycle or, with
    `scale_mode="iterations"`, of the step. With `cycle_momentum` the momentum (of Adam and the like beta1)
    goes the other way, between `max_momentum` and `base_momentum`. ValueError where the optimiser has
    none."""

    _listed = "max_lr"

    def __init__(
        self, optimizer: Optimizer, base_lr: float | Sequence[float], max_lr: float | Sequence[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular",
        gamma: float = 1.0, scale_fn: Callable[[int], float] | None = None, scale_mode: str = "cycle",
        cycle_momentum: bool = True, base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range"):
            told = "triangular, triangular2 or exp_range"
            raise ValueError(here(f"CyclicLR: mode must be {told}, not {mode!r}"))
        if scale_mode not in ("cycle", "iterations"):
            told = "cycle or iterations"
            raise ValueError(here(f"CyclicLR: scale_mode must be {told}, not {scale_mode!r}"))
        self._scale, self.scale_mode = scale_fn, scale_mode
        self.step_size_up = _positive("step_size_up", step_size_up)
        self.step_size_down = _positive("step_size_down", step_size_down or step_size_up)
        self.mode, self.gamma = mode, checked("gamma", gamma)
        self.max_lrs = [checked("max_lr", lr) for lr in _each(optimizer, "max_lr", max_lr)]
        for group, lr in zip(optimizer.param_groups, _each(optimizer, "base_lr", base_lr), strict=True):
            group.lr = group.initial_lr = lr
        self._low, self._high = _momenta(self, optimizer, cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer, last_epoch)

    def _rate(self, base: float, group: Group, k: int) -> float:
        length = self.step_size_up + self.step_size_down
        cycle, at = divmod(self.last_epoch, length)
        up = at <= self.step_size_up
        share = at / self.step_size_up if up else (length - at) / self.step_size_down
        if self._scale is not None:
            share *= float(self._scale(cycle + 1 if self.scale_mode == "cycle" else self.last_epoch))
        elif self.mode == "triangular2":
            share /= 2.0**cycle
        elif self.mode == "exp_range":
            share *= self.gamma**self.last_epoch
        if self._low:
            _set_momentum(group, self._high[k] - (self._high[k] - self._low[k]) * share)
        return base + (self.max_lrs[k] - base) * share


@bounds
class _Several(LRScheduler):
    """What schedules made of others share: their state is that of all of these."""

    schedulers: list[LRScheduler]

    def get_lr(self) -> list[float]:
        return self.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        inner = state.get("schedulers", ())
        if len(inner) != len(self.schedulers):
            raise KeyError(here(f"load_state_dict: expected the state of {len(self.schedulers)} schedules"))
        for own, values in zip(self.schedulers, inner, strict=True):
            own.load_state_dict(values)
        vars(self).update({name: value for name, value in state.items() if name != "schedulers"})


@bounds
class SequentialLR(_Several):
    """One schedule after the other: the next one from each of the `milestones` on."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if len(milestones) != len(schedulers) - 1 or not schedulers:
            told = f"{len(schedulers)} schedules and {len(milestones)} milestones"
            raise ValueError(here(f"SequentialLR: expected one milestone between each two, not {told}"))
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        firsts = schedulers[0].base_lrs
        for group, lr in zip(optimizer.param_groups, firsts, strict=True):
            group.lr = lr
        for scheduler in schedulers:  # each had made the step of its beginning
            scheduler.last_epoch -= 1
        self.schedulers[0].step()
        self.base_lrs, self._last_lr = list(firsts), self.schedulers[0].get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        at = bisect_right(self.milestones, self.last_epoch)
        scheduler = self.schedulers[at]
        if at > 0 and self.milestones[at - 1] == self.last_epoch:
            for group, lr in zip(self.optimizer.param_groups, scheduler._bases(), strict=True):
                group.lr = lr
            scheduler.last_epoch = -1
        scheduler.step()
        self._last_lr = scheduler.get_last_lr()


@bounds
class ChainedScheduler(_Several):
    """Several schedules, each of which changes what those before have set."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers or any(s.optimizer is not schedulers[0].optimizer for s in schedulers):
            raise ValueError(here("ChainedScheduler: expected schedules of one optimiser"))
        self.schedulers, self.optimizer = list(schedulers), optimizer or schedulers[0].optimizer
        self.last_epoch, self.base_lrs = 0, list(schedulers[0].base_lrs)
        self._last_lr = [float(group.lr) for group in self.optimizer.param_groups]

    def step(self) -> None:
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()
        self._last_lr = [float(group.lr) for group in self.optimizer.param_groups]


@bounds
class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when what is given to `step` has not become better for more than `patience` steps.

    Better is lower (`mode="min"`) or higher ("max"), by a share of `threshold` of the best ("rel") or by as
    much ("abs"). After a change `cooldown` steps do not count. No rate goes below `min_lr`; a change of less
    than `eps` is left out."""

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            told = f"mode must be min or max and threshold_mode rel or abs, not {mode!r}, {threshold_mode!r}"
            raise ValueError(here(f"ReduceLROnPlateau: {told}"))
        if not 0 <= factor < 1:
            raise ValueError(here(f"ReduceLROnPlateau: factor must be below 1, not {factor}"))
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self._min_lr, self.eps = min_lr, eps
        _each(optimizer, "min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        self.optimizer, self.last_epoch = optimizer, 0
        self.base_lrs = _initial(optimizer)
        self._last_lr = [float(group.lr) for group in optimizer.param_groups]

    def step(self, metrics: Any = None) -> None:
        """`metrics`: a number, or a tensor of one, which is read."""
        if metrics is None:
            raise TypeError(here("ReduceLROnPlateau: step needs what is to become better, as step(loss)"))
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            now = [float(group.lr) for group in self.optimizer.param_groups]
            least = _each(self.optimizer, "min_lr", self._min_lr)
            lower = [max(lr * self.factor, end) for lr, end in zip(now, least, strict=True)]
            self._set([b if a - b > self.eps else a for a, b in zip(now, lower, strict=True)])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_lr(self) -> list[float]:
        return self.get_last_lr()

    def _better(self, value: float) -> bool:
        margin = self.threshold * abs(self.best) if self.threshold_mode == "rel" else self.threshold
        if math.isinf(self.best):
            return value < self.best if self.mode == "min" else value > self.best
        return value < self.best - margin if self.mode == "min" else value > self.best + margin


def _initial(optimizer: Optimizer) -> list[float]:
    """The rates that groups had when the first schedule was made for them."""
    for group in optimizer.param_groups:
        if group.initial_lr is None:
            group.initial_lr = float(group.lr)
    return [group.initial_lr for group in optimizer.param_groups]


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(here(f"{name} must be a whole number of at least 1, not {value!r}"))
    return value


def _each(optimizer: Optimizer, name: str, given: Any) -> list[Any]:
    """One for each group."""
    count = len(optimizer.param_groups)
    found = list(given) if isinstance(given, list | tuple) else [given] * count
    if len(found) != count:
        raise ValueError(here(f"{name}: expected one or {count}, one for each group, not {len(found)}"))
    return found
