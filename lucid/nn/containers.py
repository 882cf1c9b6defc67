"""Containers beside `ModuleList` and `Sequential`, and a module that makes axes of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..creation import given as asarray
from ..errors import bounds, here, public
from ..tensor import Tensor
from .module import Module, Parameter


@bounds
class ModuleDict(Module):
    """Modules by name, whose parameters are those of who has it. They are attributes of these names."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    @public
    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Some more, or others in the place of those of the same names."""
        for name, module in dict(modules).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(here(f"ModuleDict: {module!r} is no Module; expected nn.ReLU() and the like"))
        if not isinstance(name, str) or (hasattr(self, name) and name not in self):
            raise KeyError(here(f"ModuleDict: {name!r} is taken or no name"))
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        if name not in self:
            raise KeyError(here(f"ModuleDict: no {name!r}; there are {', '.join(self) or 'none'}"))
        found: Module = getattr(self, name)
        return found

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def pop(self, name: str) -> Module:
        """The module of this name, taken out."""
        found = self[name]
        delattr(self, name)
        return found

    def keys(self) -> list[str]:
        return [name for name, value in vars(self).items() if isinstance(value, Module)]

    def values(self) -> list[Module]:
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, Module]]:
        return [(name, self[name]) for name in self]

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(str(name)), Module)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


def _parameter(kind: str, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Tensor):
        return Parameter(value)
    raise TypeError(here(f"{kind}: expected parameters or tensors, not {type(value).__name__}"))


@bounds
class ParameterList(Module):
    """Parameters in a list; tensors become parameters. They are attributes "0", "1", ..."""

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Tensor) -> Self:
        """One more at the end."""
        setattr(self, str(len(self)), _parameter("ParameterList", value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Some more at the end."""
        for value in values:
            self.append(value)
        return self

    def _list(self) -> list[Parameter]:
        return [value for value in vars(self).values() if isinstance(value, Parameter)]

    def __getitem__(self, index: int) -> Parameter:
        return self._list()[index]

    def __setitem__(self, index: int, value: Tensor) -> None:
        at = range(len(self))[index]
        setattr(self, str(at), _parameter("ParameterList", value))

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._list())

    def __len__(self) -> int:
        return len(self._list())


@bounds
class ParameterDict(Module):
    """Parameters by name; tensors become parameters. They are attributes of these names."""

    def __init__(self, values: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.update(values or {})

    def update(self, values: Mapping[str, Tensor]) -> None:
        """Some more, or others in the place of those of the same names."""
        for name, value in dict(values).items():
            self[name] = value

    def __setitem__(self, name: str, value: Tensor) -> None:
        if not isinstance(name, str) or (hasattr(self, name) and name not in self):
            raise KeyError(here(f"ParameterDict: {name!r} is taken or no name"))
        setattr(self, name, _parameter("ParameterDict", value))

    def __getitem__(self, name: str) -> Parameter:
        if name not in self:
            raise KeyError(here(f"ParameterDict: no {name!r}; there are {', '.join(self) or 'none'}"))
        found: Parameter = getattr(self, name)
        return found

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def keys(self) -> list[str]:
        return [name for name, value in vars(self).items() if isinstance(value, Parameter)]

    def values(self) -> list[Parameter]:
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, Parameter]]:
        return [(name, self[name]) for name in self]

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(str(name)), Parameter)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


@bounds
class Unflatten(Module):
    """One axis as several, of sizes `unflattened_size`."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Any) -> Tensor:
        return asarray(x).unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
