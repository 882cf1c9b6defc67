"""Optimisers against the formulas in NumPy, lazy and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, engine, nn, optim
from lucid.compiler.ir.graph import Node
from lucid.errors import TraceError

Array = np.ndarray[Any, Any]
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
LAZY_AND_COMPILED = pytest.mark.parametrize("wrap", [lambda f: f, lucid.compile], ids=["lazy", "compiled"])


def sgd(
    lr: float = 1e-3,
    momentum: float = 0,
    dampening: float = 0,
    weight_decay: float = 0,
    nesterov: bool = False,
) -> Generator[Any, Any, None]:
    p, g = yield
    velocity = None
    while True:
        g = g + weight_decay * p
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            g = g + momentum * velocity if nesterov else velocity
        p, g = yield p - lr * g


def adam(
    lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
    decoupled: bool = False,
) -> Generator[Any, Any, None]:  # fmt: skip
    p, g = yield
    m, v, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        t += 1
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        hat = m / (1 - betas[0] ** t)
        p, g = yield p - lr * hat / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


CASES: list[tuple[Any, Any, dict[str, Any]]] = [
    (optim.SGD, sgd, {"lr": 0.1}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    (optim.SGD, sgd, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.SGD, sgd, {"lr": 0.05, "weight_decay": 0.2}),
    (optim.Adam, adam, {"lr": 0.1}),
    (optim.Adam, adam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.AdamW, lambda **o: adam(decoupled=True, **o), {"lr": 0.05, "weight_decay": 0.1}),
    (optim.AdamW, lambda **o: adam(decoupled=True, **o), {"lr": 0.05, "weight_decay": 0}),
]


def ids(case: Any) -> str | None:
    return getattr(case, "__name__", None) if not isinstance(case, dict) else ",".join(case)


@LAZY_AND_COMPILED
@pytest.mark.parametrize(("cls", "formula", "options"), CASES, ids=ids)
def test_formulas(cls: Any, formula: Any, options: dict[str, Any], wrap: Wrap) -> None:
    """25 steps on a quartic bowl, in float64."""
    start = np.array([[1.0, -2.0, 0.5]])
    p = nn.Parameter(start)
    opt = cls([p], **options)

    @wrap
    def step() -> Tensor:
        opt.zero_grad()
        loss = (p**4).sum() / 4 + (p * p).sum() / 2
        loss.backward()
        opt.step()
        return loss

    rule = formula(**options)
    next(rule)
    q = start
    for _ in range(25):
        loss = step()
        np.testing.assert_allclose(loss.item(), (q**4).sum() / 4 + (q * q).sum() / 2, rtol=1e-10)
        q = rule.send((q, q**3 + q))
        np.testing.assert_allclose(p, q, rtol=1e-10)


@LAZY_AND_COMPILED
def test_learning_rate_can_be_changed(wrap: Wrap) -> None:
    p = nn.Parameter(np.zeros(2))
    opt = optim.SGD([p], lr=0.1)

    @wrap
    def step() -> None:
        opt.zero_grad()
        p.sum().backward()
        opt.step()

    step()
    opt.lr = 0.5
    assert opt.lr == 0.5
    step()
    opt.lr = Tensor(0.25)
    step()
    opt.lr *= 2
    step()
    np.testing.assert_allclose(p, -(0.1 + 0.5 + 0.25 + 0.5))
    for bad in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="lr must be"):
            opt.lr = bad


def test_a_schedule_inside_of_a_compiled_step() -> None:
    p = nn.Parameter(np.zeros(2))
    opt = optim.SGD([p], lr=1.0)

    @lucid.compile
    def step() -> None:
        opt.zero_grad()
        p.sum().backward()
        opt.step()
        opt.lr = opt.lr * 0.5

    for _ in range(4):
        step()
    np.testing.assert_allclose(p, -(1 + 0.5 + 0.25 + 0.125))
    assert opt.lr == 1 / 16
    assert step.traces == 1


@LAZY_AND_COMPILED
def test_parameters_without_gradient_stay(wrap: Wrap) -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    opt = optim.Adam([p, q], lr=0.1)

    @wrap
    def step(both: bool) -> None:
        opt.zero_grad()
        ((p * q).sum() if both else p.sum()).backward()
        opt.step()

    step(False)
    assert q.item() == 1 and p.item() != 1
    assert opt.state["steps"][0].item() == 1
    assert opt.state["steps"][1].item() == 0
    step(True)
    assert q.item() == pytest.approx(0.9)  # its first step


@pytest.mark.parametrize(("cls", "formula", "options"), CASES, ids=ids)
def test_state_dict(cls: Any, formula: Any, options: dict[str, Any]) -> None:
    def make() -> tuple[nn.Parameter, optim.Optimizer, Callable[[], None]]:
        p = nn.Parameter([1.0, -2.0])
        opt = cls([p], **options)

        def step() -> None:
            opt.zero_grad()
            (p**4).sum().backward()
            opt.step()

        return p, opt, step

    p, opt, step = make()
    for _ in range(3):
        step()
    saved, values = opt.state_dict(), np.array(p)
    q, other, step2 = make()
    q._assign(p._node)
    other.load_state_dict(saved)
    step()
    step2()
    np.testing.assert_array_equal(p, q)
    assert not np.array_equal(p, values)
    assert repr(opt).startswith(cls.__name__)


def test_a_wrong_state_dict_changes_nothing() -> None:
    p = nn.Parameter([1.0, 2.0])
    opt = optim.SGD([p], lr=0.1, momentum=0.9)
    saved = opt.state_dict()
    with pytest.raises(KeyError, match="expected the keys"):
        opt.load_state_dict({"state": saved["state"]})
    with pytest.raises(ValueError, match="expected groups of"):
        opt.load_state_dict({**saved, "param_groups": [{"params": [0], "lr": 5.0}]})
    with pytest.raises(KeyError, match="velocity"):
        opt.load_state_dict({**saved, "state": {}})
    with pytest.raises(ValueError, match="velocity has shapes"):
        opt.load_state_dict({**saved, "state": {"velocity": [np.zeros(3)]}})
    assert opt.lr == 0.1


def test_arguments() -> None:
    p = nn.Parameter([1.0])
    with pytest.raises(ValueError, match="no parameters"):
        optim.SGD([])
    with pytest.raises(TypeError, match="expected leaf tensors"):
        optim.SGD([p * 2])
    with pytest.raises(TypeError, match="expected leaf tensors, got dict"):
        optim.SGD([p, {"params": [p]}])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a group has .betas.; expected params and of lr, momentum"):
        optim.SGD([{"params": [p], "betas": 1}])
    with pytest.raises(TypeError, match='a group is a dict with "params", not Parameter'):
        optim.SGD([{"params": [p]}, p])  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="SGD has no 'beta'; expected one of params, lr, momentum"):
        optim.SGD([p]).param_groups[0]["beta"] = 1
    with pytest.raises(ValueError, match="listed twice"):
        optim.SGD([p, p])
    with pytest.raises(ValueError, match="lr must be"):
        optim.SGD([p], lr=-1)
    with pytest.raises(ValueError, match="nesterov"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(ValueError, match="betas"):
        optim.Adam([p], betas=(1.0, 0.9))
    late = optim.SGD([p])
    late.momentum = 0.9
    p.sum().backward()
    with pytest.raises(RuntimeError, match="switched on later"):
        late.step()


def test_the_loss_is_computed_with_the_step() -> None:
    p = nn.Parameter([1.0, 2.0])
    opt = optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    loss.backward()
    opt.step()
    assert loss._node.data is not None
    assert loss.item() == 5


def test_float16_parameters() -> None:
    p = nn.Parameter(np.array([1.0], np.float16))
    opt = optim.Adam([p], lr=0.5)
    (p * p).sum().backward()
    opt.step()
    assert p.dtype == np.float16
    assert p.item() == pytest.approx(0.5, abs=1e-3)


def test_a_lazy_step_builds_few_nodes_and_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count, since it stands for the time: about 3 µs for each node."""
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    opt = optim.Adam(net.parameters())
    x, y = Tensor(np.ones((5, 8), np.float32)), Tensor(np.ones((5, 1), np.float32))
    criterion = nn.HuberLoss()
    made = 0
    plain = Node.__init__

    def counted(self: Node, *args: Any) -> None:
        nonlocal made
        made += 1
        plain(self, *args)

    counts = []
    for _ in range(4):
        before = len(engine._plans)
        with monkeypatch.context() as patch:
            patch.setattr(Node, "__init__", counted)
            made = 0
            opt.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            opt.step()
        counts.append((made, len(engine._plans) - before))
    assert counts[1:] == [counts[1]] * 3
    # 182 and four reshapes: a layer of one output is a matrix times a vector
    assert counts[1][0] <= 186 and counts[1][1] == 0


def test_counts_part_where_a_parameter_is_left_out() -> None:
    first, second = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0, 2.0])
    opt = optim.Adam([first, second], lr=0.1)
    for k in range(4):
        opt.zero_grad()
        ((first * first).sum() + ((second * second).sum() if k else 0)).backward()
        opt.step()
    assert [t.item() for t in opt.state["steps"]] == [4, 3]
    expected = [np.array(p.numpy()) for p in (first, second)]
    for k, steps in enumerate((4, 3)):
        alone = nn.Parameter([1.0, 2.0])
        opt = optim.Adam([alone], lr=0.1)
        for _ in range(steps):
            opt.zero_grad()
            (alone * alone).sum().backward()
            opt.step()
        np.testing.assert_array_equal(alone.numpy(), expected[k])


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_with_a_closure(compiled: bool) -> None:
    """As PyTorch's: it computes loss and gradients, under no_grad too, and the loss comes back."""
    w = nn.Parameter([1.0, 2.0])
    opt = optim.SGD([w], lr=0.5)

    def closure() -> Any:
        opt.zero_grad()
        loss = (w * w).sum() / 2
        loss.backward()
        return loss

    def plain() -> Any:
        with lucid.no_grad():
            return opt.step(closure)

    step: Any = lucid.compile(plain) if compiled else plain
    for k in range(3):
        assert step().item() == 2.5 / 4**k
        np.testing.assert_array_equal(w.numpy(), [0.5 ** (k + 1), 0.5**k])


def test_gradients_set_to_zeros() -> None:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.1)
    for forget in (opt.zero_grad, net.zero_grad):
        net(np.ones((3, 2), "f")).sum().backward()
        forget(set_to_none=False)
        (zeros,) = [g.tolist() for p in [net.weight] if (g := p.grad) is not None]
        assert zeros == [[0, 0]]
        forget()
        forget(set_to_none=False)
        assert [p.grad for p in net.parameters()] == [None, None]


def test_schedules_leave_a_compiled_step_as_it_is() -> None:
    """Rates are its inputs: it is traced once, though the rate is another one at each step."""
    w, b = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))
    groups = [{"params": [w], "weight_decay": 0.1}, {"params": [b], "lr": 0.2}]
    opt = optim.AdamW(groups, lr=0.1, weight_decay=0.0)
    schedule = optim.lr_scheduler.CosineAnnealingLR(opt, 10)

    @lucid.compile
    def step() -> Tensor:
        opt.zero_grad()
        loss = ((w * w) + (b - 2) ** 2).sum()
        loss.backward()
        opt.step()
        return loss

    rates = set()
    for _ in range(6):
        step()
        schedule.step()
        rates.add(tuple(schedule.get_last_lr()))
    assert step.traces == 1 and len(rates) == 6
    with pytest.raises(ValueError, match=r"lr differs between groups: ask param_groups\[k\]\['lr'\]"):
        _ = opt.lr
    opt.lr = 0.5
    assert [group["lr"] for group in opt.param_groups] == [0.5, 0.5]


def test_state_of_schedules() -> None:
    def make() -> tuple[optim.Optimizer, Any]:
        opt = optim.SGD([nn.Parameter([1.0])], lr=1.0)
        first, second = optim.lr_scheduler.LinearLR(opt), optim.lr_scheduler.StepLR(opt, 2)
        return opt, optim.lr_scheduler.SequentialLR(opt, [first, second], [4])

    opt, schedule = make()
    for _ in range(6):
        schedule.step()
    other, resumed = make()
    other.load_state_dict(opt.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(4):
        schedule.step()
        resumed.step()
        assert schedule.get_last_lr() == resumed.get_last_lr()
    with pytest.raises(KeyError, match="expected the state of 2 schedules"):
        resumed.load_state_dict({"schedulers": []})
    cases: list[tuple[Callable[[Any], Any], str]] = [
        (lambda s: s.StepLR(opt, 0), "step_size must be a whole number"),
        (lambda s: s.LambdaLR(opt, [abs, abs]), "lr_lambda: expected one or 1"),
        (lambda s: s.OneCycleLR(opt, 1.0), "expected total_steps, or epochs"),
        (lambda s: s.SequentialLR(opt, [], []), "one milestone between each two"),
    ]
    for bad, message in cases:
        with pytest.raises(ValueError, match=message):
            bad(optim.lr_scheduler)
    with pytest.raises(TypeError, match="expected an Optimizer, not list"):
        optim.lr_scheduler.StepLR([1], 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"]
)
def test_squares_of_complex_parameters_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: a complex parameter; its squares are not defined"):
        getattr(optim, name)([nn.Parameter(np.array([1 + 2j]))])


def test_lbfgs_goes_on_from_what_it_left() -> None:
    def made() -> tuple[Any, Any, Any]:
        w = nn.Parameter(Tensor([3.0, -1.0]))
        opt = lucid.optim.LBFGS([w], max_iter=2, line_search_fn="strong_wolfe")

        def closure() -> Any:
            opt.zero_grad()
            loss = ((w**2 - 2) ** 2).sum()
            loss.backward()
            return loss

        return w, opt, closure

    w, opt, closure = made()
    opt.step(closure)
    v, other, again = made()
    other.load_state_dict(opt.state_dict())
    v.data = w.data
    assert opt.step(closure).item() == other.step(again).item()
    assert w.tolist() == v.tolist()
    with pytest.raises(TypeError, match="needs a closure"):
        opt.step()
    with pytest.raises(TraceError, match="compile the closure"):
        lucid.compile(lambda: opt.step(closure))()
    with pytest.raises(ValueError, match="strong_wolfe"):
        lucid.optim.LBFGS([w], line_search_fn="armijo")
    for _ in range(10):
        loss = opt.step(closure)
    assert loss.item() < 1e-10
    with pytest.raises(ValueError, match="cannot be switched on later"):
        lucid.optim.lr_scheduler.CyclicLR(lucid.optim.SGD([w], 0.1), 0.1, 1.0)
    with pytest.raises(ValueError, match="no momentum to cycle"):
        lucid.optim.lr_scheduler.CyclicLR(lucid.optim.Adagrad([w]), 0.1, 1.0)


@pytest.mark.parametrize("kind", ["Adam", "SGD", "Rprop", "ASGD"])
@LAZY_AND_COMPILED
def test_a_group_that_comes_later_is_as_one_by_itself(kind: str, wrap: Wrap) -> None:
    """Bits as of two optimisers, the second of which begins later; of float16 with its weights in float32."""
    make = {"SGD": lambda p, **o: optim.SGD(p, momentum=0.9, **o)}.get(kind, getattr(optim, kind))
    start = np.arange(1.0, 4.0)

    def run(joined: bool) -> list[Any]:
        p = lucid.tensor(start, requires_grad=True)
        q = lucid.tensor(start.astype(np.float16), requires_grad=True)
        opts = [make([p], lr=0.1)]

        @wrap
        def step() -> None:
            for opt in opts:
                opt.zero_grad()
            ((p**2).sum() + (q**2).sum()).backward()
            for opt in opts:
                opt.step()

        step()
        if joined:
            opts[0].add_param_group({"params": q, "lr": 0.25})
            assert [len(group.params) for group in opts[0].param_groups] == [1, 1]
            opts[0].load_state_dict(opts[0].state_dict())
        else:
            opts.append(make([q], lr=0.25))
            q.grad = None
        for _ in range(3):
            step()
        return [p.numpy(), q.numpy()]

    for mine, apart in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(mine, apart)


class Heavy(optim.Optimizer):
    """As PyTorch's users write one."""

    def __init__(self, params: Any, lr: float = 0.1, momentum: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @lucid.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["steps"], state["velocity"] = 0, lucid.zeros_like(p)
                state["steps"] += 1
                state["velocity"].mul_(group["momentum"]).add_(p.grad)
                p.add_(state["velocity"], alpha=-group["lr"])


def test_optimisers_of_users_keep_state_by_parameter() -> None:
    def pair() -> list[Tensor]:
        return [lucid.tensor([1.0, 2.0], requires_grad=True) for _ in range(2)]

    def trained(opt: Any, steps: int) -> None:
        for _ in range(steps):
            opt.zero_grad()
            sum((p**2).sum() for p in opt.params).backward()
            opt.step()

    mine, same = pair(), pair()
    opt, right = Heavy(mine[:1]), optim.SGD(same, lr=0.1, momentum=0.5)
    opt.add_param_group({"params": mine[1], "momentum": 0.5})
    trained(opt, 3)
    trained(right, 3)
    np.testing.assert_allclose(mine[1], same[1], rtol=1e-6)
    saved = opt.state_dict()
    assert saved["state"][1]["steps"] == 3 and saved["param_groups"][0]["momentum"] == 0.5
    values = [p.numpy() for p in mine]
    trained(opt, 2)
    again = [lucid.tensor(v, requires_grad=True) for v in values]
    other = Heavy([{"params": p} for p in again])
    other.load_state_dict(saved)
    trained(other, 2)
    np.testing.assert_array_equal(again[0], mine[0])
    assert other.state[again[0]]["steps"] == 5 and saved["state"][0]["steps"] == 3
    with pytest.raises(KeyError):
        opt.state["mean"]


def test_a_compiled_step_of_an_optimiser_of_users() -> None:
    p, q = (lucid.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    opt, eager = Heavy([p]), Heavy([q])

    def step(p: Tensor, opt: Heavy) -> None:
        opt.zero_grad()
        (p**2).sum().backward()
        opt.step()

    compiled = lucid.compile(lambda: step(p, opt))  # the first call begins the state
    for k in range(5):
        opt.lr = eager.lr = 0.1 / (k + 1)
        compiled()
        step(q, eager)
    np.testing.assert_allclose(p, q, rtol=1e-6)
    assert compiled.traces == 3 and opt.state[p]["steps"] == 5


class Sharp(optim.Optimizer):
    """Sharpness-aware minimisation, as PyTorch's users write it: around another optimiser, by its groups."""

    def __init__(self, params: Any, base: Any, rho: float = 0.05, **options: Any) -> None:
        super().__init__(params, {"rho": rho, **options})
        self.base = base(self.param_groups, **options)
        self.param_groups = self.base.param_groups
        self.defaults.update(self.base.defaults)

    @lucid.no_grad()
    def first(self) -> None:
        norm = lucid.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["old"] = p.data.clone()
                p.add_(p.grad * (group["rho"] / (norm + 1e-12)))
        self.zero_grad()

    @lucid.no_grad()
    def second(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old"]
        self.base.step()
        self.zero_grad()


def test_an_optimiser_around_another() -> None:
    p, q = (lucid.tensor([3.0, 4.0], dtype=lucid.float64, requires_grad=True) for _ in range(2))
    value, velocity = np.array([3.0, 4.0]), np.zeros(2)
    opts = [Sharp([t], optim.SGD, rho=0.5, lr=0.1, momentum=0.9) for t in (p, q)]

    def step(t: Tensor, opt: Sharp) -> None:
        (t**2).sum().backward()
        opt.first()
        (t**2).sum().backward()
        opt.second()

    compiled = lucid.compile(lambda: step(p, opts[0]))
    for k in range(4):
        for opt in opts:
            opt.param_groups[0]["rho"], opt.param_groups[0]["lr"] = 0.5 / (k + 1), 0.1 / (k + 1)
        compiled()
        step(q, opts[1])
        there = value + 0.5 / (k + 1) * value / np.linalg.norm(value)
        velocity = 0.9 * velocity + 2 * there
        value = value - 0.1 / (k + 1) * velocity
    np.testing.assert_allclose(q.numpy(), value, rtol=1e-9)
    np.testing.assert_allclose(p.numpy(), value, rtol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda s, o: s.StepLR(o, 2, 0.5),
        lambda s, o: s.CosineAnnealingLR(o, 6),
        lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.5, 1), s.StepLR(o, 1, 0.5)], [2]),
        lambda s, o: s.ReduceLROnPlateau(o, patience=0),
    ],
)
def test_schedules_know_groups_that_come_later(make: Callable[[Any, Any], Any]) -> None:
    p, q = (lucid.ones(2, requires_grad=True) for _ in range(2))
    opt = optim.SGD([p], lr=0.1)
    schedule = make(optim.lr_scheduler, opt)
    told = (1.0,) if isinstance(schedule, optim.lr_scheduler.ReduceLROnPlateau) else ()
    schedule.step(*told)
    opt.add_param_group({"params": [q], "lr": 0.2})
    ratios = []
    for _ in range(4):
        before = [group.lr for group in opt.param_groups]
        schedule.step(*told)
        ratios.append([group.lr / old for group, old in zip(opt.param_groups, before, strict=True)])
    assert min(ratio for ratio, _ in ratios) < 1
    same = not isinstance(schedule, optim.lr_scheduler.SequentialLR)  # it begins anew from the first rates
    assert all(a == pytest.approx(b) for a, b in ratios) if same else ratios[-1][0] == ratios[-1][1]


def test_schedules_with_a_list_do_not_know_groups_that_come_later() -> None:
    p, q = (lucid.ones(2, requires_grad=True) for _ in range(2))
    opt = optim.SGD([p], lr=0.1)
    schedules = [
        optim.lr_scheduler.LambdaLR(opt, lambda k: 0.5**k),
        optim.lr_scheduler.OneCycleLR(opt, 0.5, 10, cycle_momentum=False),
    ]
    opt.add_param_group({"params": [q], "lr": 0.2})
    for schedule in schedules:
        with pytest.raises(ValueError, match=r"test_optim.py:\d+: .*make it after add_param_group"):
            schedule.step()


def test_groups_that_do_not_fit_change_nothing() -> None:
    p, q = (lucid.ones(2, requires_grad=True) for _ in range(2))
    opt = optim.SGD([p], lr=0.1)
    for error, group in (
        (ValueError, {"params": [p]}),
        (TypeError, {"params": [q], "rate": 1}),
        (RuntimeError, {"params": [q], "momentum": 0.9}),
    ):
        with pytest.raises(error, match=r"test_optim.py:\d+: SGD: "):
            opt.add_param_group(group)
    assert len(opt.param_groups) == len(opt.params) == 1 and not any(map(len, opt.state.values()))
