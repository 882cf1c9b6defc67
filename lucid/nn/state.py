"""State of modules as dicts: what `state_dict` gives and `load_state_dict` takes over, with hooks around both
and what modules keep beside tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine import leaf
from ..errors import here
from ..names import on_device
from ..promote import dtype_of
from ..residence import device_named
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

EXTRA = "_extra_state"


class Loaded(NamedTuple):
    """What `load_state_dict` did not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _modules(module: Module, prefix: str) -> list[tuple[str, Module]]:
    """All of them, with what their keys begin with."""
    return [(f"{prefix}{path}." if path else prefix, m) for path, m in module.named_modules()]


def _entries(module: Module, prefix: str) -> Iterator[tuple[str, Module, str]]:
    """The keys of all state, the module that has it, and its name there."""
    for path, m in _modules(module, prefix):
        for name, _ in m._kept():
            yield path + name, m, name
        if _has(m, "get_extra_state"):
            yield path + EXTRA, m, EXTRA


def _has(module: Module, name: str) -> bool:
    """Whether its class says more than `Module`."""
    from .module import Module

    return getattr(type(module), name) is not getattr(Module, name)


def state_of(module: Module, prefix: str, keep_vars: bool) -> dict[str, Any]:
    modules = _modules(module, prefix)
    for path, m in modules:
        for hook in m._hooks_at("state_dict_pre"):
            hook(m, path, keep_vars)
    state: dict[str, Any] = {}
    for key, m, name in _entries(module, prefix):
        if name == EXTRA:
            state[key] = m.get_extra_state()
        else:
            value = dict(m._kept())[name]
            state[key] = value if keep_vars else value.detach()
    for path, m in reversed(modules):  # parents after their children
        for hook in m._hooks_at("state_dict_post"):
            hook(m, state, path, {})
    return state


def load(module: Module, state: Mapping[str, Any], strict: bool) -> Loaded:
    given, modules = dict(state), _modules(module, "")
    missing, unexpected, told = list[str](), list[str](), list[str]()
    for path, m in modules:
        for hook in m._hooks_at("load_state_dict_pre"):
            hook(m, given, path, {}, strict, missing, unexpected, told)
    own = {key: dict(m._kept())[name] for key, m, name in _entries(module, "") if name != EXTRA}
    extra = {path + EXTRA: m for path, m in modules if _has(m, "set_extra_state")}
    loaded = Loaded(
        missing + [k for k in (*own, *extra) if k not in given],
        unexpected + [k for k in given if k not in own and k not in extra],
    )
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name in own:
        if name in given:
            found = _matching(given[name], own[name])
            if isinstance(found, str):
                told.append(f"{name} {found}")
            else:
                arrays[name] = found
    after = [(m, hook) for _, m in reversed(modules) for hook in m._hooks_at("load_state_dict_post")]
    # Hooks that come after may answer for keys.
    _refuse(module, "nothing is loaded", told if after else [*_of_keys(loaded, strict), *told])
    for name, array in arrays.items():
        own[name]._assign(on_device(leaf(array), device_named(own[name].device)))
    for key, m in extra.items():
        if key in given:
            m.set_extra_state(given[key])
    for m, hook in after:
        if hook(m, loaded) is not None:
            kind = "load_state_dict_post"
            raise TypeError(here(f"register_{kind}_hook: a hook changes the keys in place, and returns None"))
    _refuse(module, "all that fits is loaded, but", _of_keys(loaded, strict))
    return loaded


def _of_keys(loaded: Loaded, strict: bool) -> list[str]:
    """What is wrong with the keys."""
    if not strict:
        return []
    wrong = [f"unexpected keys: {', '.join(loaded.unexpected_keys)}"] * bool(loaded.unexpected_keys)
    wrong += [f"missing keys: {', '.join(loaded.missing_keys)}"] * bool(loaded.missing_keys)
    return wrong + ["strict=False takes what fits"] * bool(wrong)


def _refuse(module: Module, what: str, wrong: list[str]) -> None:
    if wrong:
        listed = "".join(f"\n  {one}" for one in wrong)
        raise RuntimeError(here(f"load_state_dict of {type(module).__name__}: {what}:{listed}"))


def _matching(value: Any, own: Tensor) -> np.ndarray[Any, Any] | str:
    """The array for a parameter or buffer; or what is wrong with it."""
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.shape != own.shape:
        return f"has shape {array.shape}, expected {own.shape}"
    try:
        given = dtype_of(array.dtype)
    except TypeError as error:
        return f"is {array.dtype}: {error}"
    if given.is_inexact != own._node.type.dtype.is_inexact or (given.is_complex and not own.is_complex()):
        return f"is {array.dtype}, expected {own.dtype}"
    return np.array(array, dtype=own.dtype, order="C", copy=True)
