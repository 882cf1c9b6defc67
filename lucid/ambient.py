"""What calculations depend on without naming it: the context of decimals, how NumPy handles errors, how an
array lies in memory; and the settings that functions without arguments answer, how many threads there are
and whether gradients are on. Each is a fact wherever code can reach what it belongs to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .contents import content
from .watching import home, own_name

_SETTINGS = {
    "geterr", "geterrcall", "getbufsize", "get_printoptions", "array2string", "array_repr", "array_str",
}  # fmt: skip
_LAYOUT = {"flags", "strides", "base", "ctypes", "__array_interface__"}
# Functions that tell a setting, or what there is just now, by their modules. What they answer is a fact.
_ANSWERS = {
    "calendar": {"firstweekday"},
    "csv": {"field_size_limit"},
    "gc": {"get_debug", "get_freeze_count", "get_threshold", "isenabled"},
    "lucid": {"get_num_threads", "is_grad_enabled"},
    "multiprocessing": {"active_children", "current_process", "get_start_method", "parent_process"},
    "numpy.random": {"get_state"},
    "random": {"getstate"},
    "sys": {"get_int_max_str_digits", "getprofile", "getrecursionlimit", "getswitchinterval", "gettrace"},
    "tempfile": {"gettempdir", "gettempprefix"},
    "threading": {"active_count", "enumerate", "getprofile", "gettrace", "main_thread"},
    "torch": {
        "are_deterministic_algorithms_enabled", "get_default_dtype", "get_float32_matmul_precision",
        "get_num_interop_threads", "get_num_threads", "initial_seed", "is_autocast_enabled",
        "is_deterministic_algorithms_warn_only_enabled", "is_grad_enabled", "is_inference_mode_enabled",
    },
}  # fmt: skip
_ANSWERED = frozenset().union(*_ANSWERS.values())
_LEVELS = {"getEffectiveLevel", "isEnabledFor", "level", "disabled"}
_OPTIONS = {"get_option", "options"}
OF_LUCID = frozenset(_ANSWERS["lucid"])  # whose other functions are no facts

Fact = tuple[Any, Callable[[Any], Any]]


def facts(value: Any, names: frozenset[str]) -> Iterator[Fact]:
    """What code that knows these names may read beside `value`: of which owner (None: of the process), and
    how."""
    if isinstance(value, np.ndarray):
        if names & _LAYOUT:
            yield value, _layout
        return
    root, own = home(value), own_name(value)
    if root == "decimal":
        yield None, _decimals
    elif root == "numpy" and (names & _SETTINGS or own in _SETTINGS):
        yield None, _settings
    elif root == "thread" and "locked" in names and hasattr(value, "locked"):
        yield value, _locked
    elif root == "logging" and names & _LEVELS and hasattr(value, "getEffectiveLevel"):
        yield value, _level
    elif root == "pandas" and names & _OPTIONS:
        yield None, _options
    if own in _ANSWERED and callable(value):
        for module, functions in _ANSWERS.items():
            if own in functions and getattr(sys.modules.get(module), own, None) == value:
                yield value, answer


def _decimals(_: Any) -> Any:
    import decimal

    c = decimal.getcontext()
    traps = tuple([c.traps[signal] for signal in sorted(c.traps, key=repr)])
    return c.prec, c.rounding, c.Emin, c.Emax, c.capitals, c.clamp, traps


def _settings(_: Any) -> Any:
    return np.geterr(), np.geterrcall(), np.getbufsize(), np.get_printoptions()


def _layout(array: np.ndarray[Any, Any]) -> Any:
    return array.flags.num, array.strides, id(array.base), array.ctypes.data


def _locked(lock: Any) -> bool:
    return not isinstance(lock, type) and bool(lock.locked())


def _level(logger: Any) -> Any:
    if isinstance(logger, type):
        return None
    return logger.getEffectiveLevel(), logger.disabled, logger.manager.disable


def _options(_: Any) -> str:
    return repr(getattr(sys.modules.get("pandas._config.config"), "_global_config", None))


def answer(function: Callable[[], Any]) -> Any:
    """What it says now; arrays as their contents."""
    found = function()
    if isinstance(found, tuple):
        return tuple([content(part) if isinstance(part, np.ndarray) else part for part in found])
    return found
