"""Settings that functions tell, members of enumerations, modules: whatever a call gives is what the function
would give then."""

from __future__ import annotations

import calendar
import enum
import functools
import gc
import logging
import math
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid

from .test_stale_table import Case, check

FOLLOWS: list[Callable[[], Case]] = []
RESTORE: list[Callable[[], object]] = []


def follows(case: Callable[[], Case]) -> Callable[[], Case]:
    FOLLOWS.append(case)
    return case


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    while RESTORE:
        RESTORE.pop()()


def _setting(get: Callable[[], Any], put: Callable[[Any], object], value: Any) -> Case:
    """A number that a function tells and another one changes; it is put back after the test."""
    RESTORE.append(functools.partial(put, get()))
    return lambda x: x + get(), lambda: put(value)


@follows
def number_of_threads() -> Case:
    lucid.set_num_threads(2)
    RESTORE.append(lambda: lucid.set_num_threads(2))
    return lambda x: x + lucid.get_num_threads(), lambda: lucid.set_num_threads(1)


@follows
def number_of_threads_of_torch() -> Case:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(2)
    return lambda x: x + torch.get_num_threads(), lambda: torch.set_num_threads(1)


def _one_thread_more() -> Callable[[], object]:
    """Starts one that ends after the test."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    RESTORE.extend((thread.join, stop.set))
    return thread.start


@follows
def threads_that_run() -> Case:
    return lambda x: x + len(threading.enumerate()), _one_thread_more()


@follows
def count_of_threads_that_run() -> Case:
    return lambda x: x + threading.active_count(), _one_thread_more()


@follows
def name_of_the_first_thread() -> Case:
    thread = threading.main_thread()
    RESTORE.append(functools.partial(setattr, thread, "name", thread.name))
    return lambda x: x + len(threading.main_thread().name), lambda: setattr(thread, "name", "another name")


@follows
def lock_that_is_taken() -> Case:
    lock = threading.Lock()
    return lambda x: x + lock.locked(), lock.acquire


@follows
def limit_of_recursion() -> Case:
    return _setting(sys.getrecursionlimit, sys.setrecursionlimit, sys.getrecursionlimit() + 1)


@follows
def interval_of_threads() -> Case:
    return _setting(sys.getswitchinterval, sys.setswitchinterval, 0.25)


@follows
def garbage_that_is_collected() -> Case:
    RESTORE.append(gc.enable)
    return lambda x: x + gc.isenabled(), gc.disable


@follows
def threshold_of_garbage() -> Case:
    before = gc.get_threshold()
    RESTORE.append(lambda: gc.set_threshold(*before))
    return lambda x: x + gc.get_threshold()[0], lambda: gc.set_threshold(before[0] + 1)


@follows
def first_day_of_the_week() -> Case:
    return _setting(calendar.firstweekday, calendar.setfirstweekday, 3)


@follows
def folder_for_temporary_files() -> Case:
    RESTORE.append(functools.partial(setattr, tempfile, "tempdir", tempfile.gettempdir()))
    return lambda x: x + len(tempfile.gettempdir()), lambda: setattr(tempfile, "tempdir", "/a/longer/name")


@follows
def level_of_a_logger() -> Case:
    log, root = logging.getLogger("of the table"), logging.getLogger()
    RESTORE.append(functools.partial(root.setLevel, root.level))
    return lambda x: x + log.getEffectiveLevel(), lambda: root.setLevel(3)


@follows
def whether_a_logger_tells() -> Case:
    log = logging.getLogger("of the table")
    RESTORE.append(lambda: logging.disable(logging.NOTSET))
    return lambda x: x + log.isEnabledFor(logging.ERROR), lambda: logging.disable(logging.ERROR)


@follows
def state_of_a_generator_that_is_read() -> Case:
    return lambda x: x + random.getstate()[1][-1], random.random


@follows
def state_of_numpys_generator_that_is_read() -> Case:
    numbers: Any = np.random
    return lambda x: x + int(numbers.get_state()[2]), lambda: numbers.rand()


@follows
def text_of_an_array() -> Case:
    before = np.get_printoptions()["precision"]
    RESTORE.append(lambda: np.set_printoptions(precision=before))
    text = np.array2string
    return lambda x: x + len(text(np.ones(2) / 3)), lambda: np.set_printoptions(precision=3)


@follows
def option_of_pandas() -> Case:
    pd = pytest.importorskip("pandas")
    name = "display.max_rows"
    RESTORE.append(lambda: pd.reset_option(name))
    return lambda x: x + pd.get_option(name), lambda: pd.set_option(name, 7)


@follows
def module_that_is_imported_later() -> Case:
    RESTORE.append(lambda: sys.modules.pop("imported_later", None))
    return lambda x: x + ("imported_later" in sys.modules), lambda: sys.modules.update(imported_later=math)


def _enum() -> Any:
    class E(enum.Enum):
        A = 1.0
        B = 2.0

    return E


@follows
def value_of_a_member() -> Case:
    member = _enum().B
    return lambda x: x + member.value, lambda: setattr(member, "_value_", 7.0)


@follows
def member_by_its_name() -> Case:
    kinds = _enum()
    return lambda x: x + kinds["B"].value, lambda: setattr(kinds.B, "_value_", 7.0)


@follows
def members_in_order() -> Case:
    kinds = _enum()
    return lambda x: x + sum(k.value for k in kinds), lambda: setattr(kinds.B, "_value_", 7.0)


@follows
def inside_of_a_member() -> Case:
    class E(enum.Enum):
        A = [1.0]  # noqa: RUF012

    return lambda x: x + sum(E.A.value), lambda: E.A.value.append(5.0)


@pytest.mark.parametrize("case", FOLLOWS, ids=lambda case: case.__name__)
def test_what_a_call_gives_follows_settings(case: Callable[[], Case]) -> None:
    check(*case())
