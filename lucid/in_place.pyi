# Written by `python -m tests.stubs`.
# fmt: off
from collections.abc import Callable
from typing import Any, Self

METHODS: list[str]
SHAPED: dict[str, str]

def in_place(name: str, shaped: bool = ...) -> Callable[..., Any]: ...

class InPlace:
    def abs_(self) -> Self:
        """`abs`, in place."""

    def absolute_(self) -> Self:
        """`absolute`, in place."""

    def add_(self, b: Any, *, alpha: Any = ...) -> Self:
        """`add`, in place."""

    def addbmm_(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Self:
        """`addbmm`, in place."""

    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: Any = ...) -> Self:
        """`addcdiv`, in place."""

    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: Any = ...) -> Self:
        """`addcmul`, in place."""

    def addmm_(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Self:
        """`addmm`, in place."""

    def addmv_(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Self:
        """`addmv`, in place."""

    def addr_(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Self:
        """`addr`, in place."""

    def baddbmm_(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Self:
        """`baddbmm`, in place."""

    def bernoulli_(self, p: Any = ..., *, generator: Any = ...) -> Self:
        """1 with the probability `p`, else 0."""

    def bitwise_and_(self, b: Any) -> Self:
        """`bitwise_and`, in place."""

    def bitwise_left_shift_(self, b: Any) -> Self:
        """`bitwise_left_shift`, in place."""

    def bitwise_not_(self) -> Self:
        """`bitwise_not`, in place."""

    def bitwise_or_(self, b: Any) -> Self:
        """`bitwise_or`, in place."""

    def bitwise_right_shift_(self, b: Any) -> Self:
        """`bitwise_right_shift`, in place."""

    def bitwise_xor_(self, b: Any) -> Self:
        """`bitwise_xor`, in place."""

    def cauchy_(self, median: float = ..., sigma: float = ..., *, generator: Any = ...) -> Self:
        """Drawn from the Cauchy distribution."""

    def ceil_(self) -> Self:
        """`ceil`, in place."""

    def clamp_(self, min: Any = ..., max: Any = ...) -> Self:
        """`clamp`, in place."""

    def clamp_max_(self, max: Any) -> Self:
        """`clamp_max`, in place."""

    def clamp_min_(self, min: Any) -> Self:
        """`clamp_min`, in place."""

    def clip_(self, min: Any = ..., max: Any = ...) -> Self:
        """`clip`, in place."""

    def conj_physical_(self) -> Self:
        """`conj_physical`, in place."""

    def copy_(self, src: Any, non_blocking: bool = ...) -> Self:
        """The values of `src`, which broadcast, converted to this dtype and brought to this device."""

    def cumprod_(self, axis: int | None = ..., dtype: Any = ..., out: None = ..., *, dim: int | None = ...) -> Self:
        """`cumprod`, in place."""

    def cumsum_(self, axis: int | None = ..., dtype: Any = ..., out: None = ..., *, dim: int | None = ...) -> Self:
        """`cumsum`, in place."""

    def deg2rad_(self) -> Self:
        """`deg2rad`, in place."""

    def detach_(self) -> Self:
        """The same value, as a constant of differentiation from here on."""

    def div_(self, b: Any, *, rounding_mode: str | None = ...) -> Self:
        """`div`, in place."""

    def divide_(self, b: Any, *, rounding_mode: str | None = ...) -> Self:
        """`divide`, in place."""

    def eq_(self, other: Any) -> Self:
        """`eq`, in place."""

    def exponential_(self, lambd: float = ..., *, generator: Any = ...) -> Self:
        """Drawn from the exponential distribution, of the mean 1 / lambd."""

    def fill_(self, value: Any) -> Self:
        """`value` everywhere."""

    def fill_diagonal_(self, fill_value: Any, wrap: bool = ...) -> Self:
        """The value in the places of the diagonal; with `wrap` of a tall matrix again below its end."""

    def fix_(self) -> Self:
        """`fix`, in place."""

    def float_power_(self, b: Any) -> Self:
        """`float_power`, in place."""

    def floor_(self) -> Self:
        """`floor`, in place."""

    def floor_divide_(self, other: Any) -> Self:
        """`floor_divide`, in place."""

    def frac_(self) -> Self:
        """`frac`, in place."""

    def gcd_(self, b: Any) -> Self:
        """`gcd`, in place."""

    def ge_(self, other: Any) -> Self:
        """`ge`, in place."""

    def geometric_(self, p: float, *, generator: Any = ...) -> Self:
        """How many trials of the probability `p` it takes until one succeeds."""

    def greater_(self, b: Any) -> Self:
        """`greater`, in place."""

    def greater_equal_(self, b: Any) -> Self:
        """`greater_equal`, in place."""

    def gt_(self, other: Any) -> Self:
        """`gt`, in place."""

    def heaviside_(self, b: Any) -> Self:
        """`heaviside`, in place."""

    def hypot_(self, b: Any) -> Self:
        """`hypot`, in place."""

    def i0_(self) -> Self:
        """`i0`, in place."""

    def igamma_(self, x: Any) -> Self:
        """`igamma`, in place."""

    def igammac_(self, x: Any) -> Self:
        """`igammac`, in place."""

    def index_add_(self, dim: int, index: Any, source: Any, alpha: Any = ...) -> Self:
        """`index_add`, in place."""

    def index_copy_(self, dim: int, index: Any, source: Any) -> Self:
        """`index_copy`, in place."""

    def index_fill_(self, dim: int, index: Any, value: Any) -> Self:
        """`index_fill`, in place."""

    def index_put_(self, indices: Any, values: Any, accumulate: bool = ...) -> Self:
        """`index_put`, in place."""

    def index_reduce_(self, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = ...) -> Self:
        """`index_reduce`, in place."""

    def lcm_(self, b: Any) -> Self:
        """`lcm`, in place."""

    def ldexp_(self, n: Any) -> Self:
        """`ldexp`, in place."""

    def le_(self, other: Any) -> Self:
        """`le`, in place."""

    def lerp_(self, end: Any, weight: Any) -> Self:
        """`lerp`, in place."""

    def less_(self, b: Any) -> Self:
        """`less`, in place."""

    def less_equal_(self, b: Any) -> Self:
        """`less_equal`, in place."""

    def log_normal_(self, mean: float = ..., std: float = ..., *, generator: Any = ...) -> Self:
        """exp of numbers that are drawn from the normal distribution, of this mean and deviation."""

    def logical_and_(self, b: Any) -> Self:
        """`logical_and`, in place."""

    def logical_not_(self) -> Self:
        """`logical_not`, in place."""

    def logical_or_(self, b: Any) -> Self:
        """`logical_or`, in place."""

    def logical_xor_(self, b: Any) -> Self:
        """`logical_xor`, in place."""

    def logit_(self, eps: float | None = ...) -> Self:
        """`logit`, in place."""

    def lt_(self, other: Any) -> Self:
        """`lt`, in place."""

    def masked_fill_(self, mask: Any, value: Any) -> Self:
        """`masked_fill`, in place."""

    def masked_scatter_(self, mask: Any, source: Any) -> Self:
        """`masked_scatter`, in place."""

    def maximum_(self, other: Any) -> Self:
        """`maximum`, in place."""

    def minimum_(self, other: Any) -> Self:
        """`minimum`, in place."""

    def mul_(self, other: Any) -> Self:
        """`mul`, in place."""

    def multiply_(self, b: Any) -> Self:
        """`multiply`, in place."""

    def mvlgamma_(self, p: int) -> Self:
        """`mvlgamma`, in place."""

    def nan_to_num_(self, nan: float = ..., posinf: float | None = ..., neginf: float | None = ...) -> Self:
        """`nan_to_num`, in place."""

    def ne_(self, other: Any) -> Self:
        """`ne`, in place."""

    def neg_(self) -> Self:
        """`neg`, in place."""

    def negative_(self) -> Self:
        """`negative`, in place."""

    def nextafter_(self, b: Any) -> Self:
        """`nextafter`, in place."""

    def normal_(self, mean: float = ..., std: float = ..., *, generator: Any = ...) -> Self:
        """Drawn from the normal distribution."""

    def not_equal_(self, b: Any) -> Self:
        """`not_equal`, in place."""

    def polygamma_(self, n: int) -> Self:
        """`polygamma`, in place."""

    def pow_(self, other: Any) -> Self:
        """`pow`, in place."""

    def put_(self, index: Any, source: Any, accumulate: bool = ...) -> Self:
        """The elements of `source` in these places of all elements in a row; with `accumulate` added."""

    def rad2deg_(self) -> Self:
        """`rad2deg`, in place."""

    def random_(self, from_: int | None = ..., to: int | None = ..., *, generator: Any = ...) -> Self:
        """Whole numbers from `from_` (0) to `to`, which is not drawn; one number is `to`. Without one, up to
the greatest of the dtype, of floats up to where all whole numbers are."""

    def reciprocal_(self) -> Self:
        """`reciprocal`, in place."""

    def relu_(self) -> Self:
        """`relu`, in place."""

    def remainder_(self, other: Any) -> Self:
        """`remainder`, in place."""

    def renorm_(self, p: float, dim: int, maxnorm: float) -> Self:
        """`renorm`, in place."""

    def round_(self, decimals: int = ...) -> Self:
        """`round`, in place."""

    def rsqrt_(self) -> Self:
        """`rsqrt`, in place."""

    def scatter_(self, dim: int, index: Any, src: Any, *, reduce: str | None = ...) -> Self:
        """`scatter`, in place."""

    def scatter_add_(self, dim: int, index: Any, src: Any) -> Self:
        """`scatter_add`, in place."""

    def scatter_reduce_(self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = ...) -> Self:
        """`scatter_reduce`, in place."""

    def sinc_(self) -> Self:
        """`sinc`, in place."""

    def softmax_(self, axis: int | None = ..., *, dim: int | None = ..., dtype: Any = ...) -> Self:
        """`softmax`, in place."""

    def square_(self) -> Self:
        """`square`, in place."""

    def squeeze_(self, axis: Any = ..., *, dim: Any = ...) -> Self:
        """`squeeze`, in place."""

    def sub_(self, b: Any, *, alpha: Any = ...) -> Self:
        """`sub`, in place."""

    def subtract_(self, b: Any, *, alpha: Any = ...) -> Self:
        """`subtract`, in place."""

    def swapaxes_(self, axis1: int, axis2: int) -> Self:
        """`swapaxes`, in place."""

    def swapdims_(self, dim0: int, dim1: int) -> Self:
        """`swapdims`, in place."""

    def t_(self) -> Self:
        """`t`, in place."""

    def transpose_(self, axes: Any = ..., *more: Any) -> Self:
        """`swapaxes`, in place."""

    def tril_(self, k: int = ..., *, diagonal: int = ...) -> Self:
        """`tril`, in place."""

    def triu_(self, k: int = ..., *, diagonal: int = ...) -> Self:
        """`triu`, in place."""

    def true_divide_(self, b: Any, *, rounding_mode: str | None = ...) -> Self:
        """`true_divide`, in place."""

    def trunc_(self) -> Self:
        """`trunc`, in place."""

    def uniform_(self, from_: float = ..., to: float = ..., *, generator: Any = ...) -> Self:
        """Drawn evenly from `from_` to `to`, which is not drawn. ValueError where `to` is less."""

    def unsqueeze_(self, dim: int) -> Self:
        """`unsqueeze`, in place."""

    def xlogy_(self, b: Any) -> Self:
        """`xlogy`, in place."""

    def zero_(self) -> Self:
        """0 everywhere."""
