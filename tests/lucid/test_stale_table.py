"""What a function reads, and how that changes: whatever a call gives is what the function would give then, or
the first call raises and names the line."""

from __future__ import annotations

import builtins
import contextlib
import datetime
import decimal
import gc
import glob
import importlib
import inspect
import io
import locale
import math
import operator
import os
import queue
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import types
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.runtime import call
from tests.lucid import few_globals

X = np.ones(2, np.float32)
OWN = sys.modules[__name__]
F = Callable[[Any], Any]
Case = tuple[F, Callable[[], object]]
FOLLOWS: list[Callable[[], Case]] = []
G1 = 1.0
PARENT = Path(tempfile.gettempdir())


def follows(case: Callable[[], Case]) -> Callable[[], Case]:
    FOLLOWS.append(case)
    return case


@pytest.fixture(params=["native", "python"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(call, "available", lambda: False)
        monkeypatch.setattr(call, "missing", lambda: call.ASKED)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """What cases change in modules is put back."""
    modules = [OWN, few_globals, os, math, sys, builtins]
    before = [(m, dict(vars(m))) for m in modules]
    folder, context, errors = os.getcwd(), decimal.getcontext().copy(), np.geterr()
    yield
    for module, scope in before:
        for name in set(vars(module)) - set(scope):
            delattr(module, name)
        for name, value in scope.items():
            if vars(module).get(name) is not value:
                setattr(module, name, value)
    os.chdir(folder)
    decimal.setcontext(context)
    np.seterr(**errors)


def module(**scope: Any) -> Any:
    made = ModuleType("made")
    vars(made).update(scope)
    return made


# --- what is not there -----------------------------------------------------------------------------


@follows
def class_that_lacks_it() -> Case:
    class A:
        pass

    return lambda x: x + getattr(A, "k", 0), lambda: setattr(A, "k", 2)


@follows
def class_that_lacks_a_computed_name() -> Case:
    class A:
        pass

    return lambda x: x + getattr(A, "k" + str(1), 0), lambda: setattr(A, "k1", 2)


@follows
def base_class_that_lacks_it() -> Case:
    class A:
        pass

    class B(A):
        pass

    return lambda x: x + getattr(B(), "k", 0), lambda: setattr(A, "k", 2)


@follows
def instance_that_lacks_it() -> Case:
    b = SimpleNamespace()
    return lambda x: x + getattr(b, "k", 0), lambda: setattr(b, "k", 2)


@follows
def instance_with_slots_that_lacks_it() -> Case:
    class A:
        __slots__ = ("k",)

    a: Any = A()
    return lambda x: x + getattr(a, "k", 0), lambda: setattr(a, "k", 2)


@follows
def class_of_an_instance_that_lacks_it() -> Case:
    class A:
        pass

    a = A()
    return lambda x: x + getattr(a, "k", 0), lambda: setattr(A, "k", 2)


@follows
def hasattr_of_a_class() -> Case:
    class A:
        pass

    return lambda x: x + hasattr(A, "k"), lambda: setattr(A, "k", 2)


@follows
def hasattr_of_a_module() -> Case:
    m = module()
    return lambda x: x + hasattr(m, "yy"), lambda: setattr(m, "yy", 2)


@follows
def getattr_of_a_module() -> Case:
    m = module()
    return lambda x: x + getattr(m, "yy", 0), lambda: setattr(m, "yy", 2)


@follows
def getattr_of_a_computed_name() -> Case:
    m = module()
    return lambda x: x + getattr(m, "y" + str(1), 0), lambda: setattr(m, "y1", 2)


def _caught(read: Callable[[], Any], errors: Any = AttributeError) -> Any:
    try:
        return read()
    except errors:
        return 0


@follows
def attribute_error_of_a_class() -> Case:
    class A:
        k: float

    return lambda x: x + _caught(lambda: A.k), lambda: setattr(A, "k", 2)


@follows
def attribute_error_of_an_instance() -> Case:
    class A:
        k: float

    a = A()
    return lambda x: x + _caught(lambda: a.k), lambda: setattr(a, "k", 2)


@follows
def attribute_error_of_the_class_of_an_instance() -> Case:
    class A:
        k: float

    a = A()
    return lambda x: x + _caught(lambda: a.k), lambda: setattr(A, "k", 2)


@follows
def attribute_error_of_a_module() -> Case:
    m = module()
    return lambda x: x + _caught(lambda: m.yy), lambda: setattr(m, "yy", 2)


@follows
def attribute_error_of_the_standard_library() -> Case:
    return lambda x: x + _caught(lambda: os.bar), lambda: setattr(os, "bar", 2)  # type: ignore[attr-defined]


@follows
def attribute_error_caught_as_something_else() -> Case:
    class A:
        k: float

    kinds = (ValueError, Exception)
    return lambda x: x + _caught(lambda: A.k, kinds), lambda: setattr(A, "k", 2)


@follows
def bare_except() -> Case:
    class A:
        k: float

    def f(x: Any) -> Any:
        try:
            return x + A.k
        except:  # noqa: E722
            return x

    return f, lambda: setattr(A, "k", 2)


@follows
def suppressed() -> Case:
    class A:
        k: float

    def f(x: Any) -> Any:
        with contextlib.suppress(AttributeError):
            x = x + A.k
        return x

    return f, lambda: setattr(A, "k", 2)


@follows
def dunder_getattr() -> Case:
    class A:
        def __getattr__(self, name: str) -> float:
            return 1.0

    a = A()
    return lambda x: x + a.k, lambda: setattr(a, "k", 2.0)


@follows
def dunder_getattr_of_a_class() -> Case:
    class A:
        def __getattr__(self, name: str) -> float:
            return 1.0

    a = A()
    return lambda x: x + a.k, lambda: setattr(A, "k", 2.0)


@follows
def dunder_getattr_of_a_module() -> Case:
    m = module(__getattr__=lambda name: 1.0)
    return lambda x: x + m.k, lambda: setattr(m, "k", 2.0)


@follows
def builtin_that_becomes_a_global() -> Case:
    return lambda x: x + len([1]), lambda: setattr(OWN, "len", lambda a: 7)


@follows
def name_that_is_added_to_builtins() -> Case:
    setattr(builtins, "Q", 2.0)  # noqa: B010
    return lambda x: x + Q, lambda: setattr(builtins, "Q", 5.0)  # type: ignore[name-defined]  # noqa: F821


@follows
def name_that_is_nowhere() -> Case:
    return lambda x: x + _caught(lambda: Q, NameError), lambda: setattr(builtins, "Q", 5.0)  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Point:
    a: float = 1.0


@follows
def getattr_by_another_name() -> Case:
    class A:
        pass

    get = getattr
    return lambda x: x + get(A, "k", 0), lambda: setattr(A, "k", 2)


@follows
def pattern_with_names() -> Case:
    def f(x: Any) -> Any:
        match p:
            case Point(a=1.0):
                return x + 1
        return x

    p: Any = Point()
    return f, lambda: setattr(p, "a", 5.0)


@follows
def pattern_with_places() -> Case:
    def f(x: Any) -> Any:
        match p:
            case Point(n):
                return x + n
        return x

    p: Any = Point()
    return f, lambda: setattr(p, "a", 5.0)


@follows
def pattern_of_what_is_not_there() -> Case:
    def f(x: Any) -> Any:
        match p:
            case SimpleNamespace(k=2):
                return x + 1
        return x

    p = SimpleNamespace()
    return f, lambda: setattr(p, "k", 2)


@follows
def fields_of_a_dataclass() -> Case:
    p = Point()
    return lambda x: x + asdict(p)["a"], lambda: setattr(p, "a", 5.0)


# --- namespaces ------------------------------------------------------------------------------------


@follows
def globals_by_name() -> Case:
    return few_globals.by_name, lambda: setattr(few_globals, "G1", 5.0)


@follows
def globals_by_a_computed_name() -> Case:
    return few_globals.by_a_computed_name, lambda: setattr(few_globals, "G1", 5.0)


@follows
def in_globals() -> Case:
    return few_globals.inside, lambda: setattr(few_globals, "NEW", 5.0)


@follows
def evaluated() -> Case:
    return few_globals.evaluated, lambda: setattr(few_globals, "G1", 5.0)


@follows
def globals_of_a_function() -> Case:
    return few_globals.of_a_function, lambda: setattr(few_globals, "G1", 5.0)


@follows
def vars_of_a_module() -> Case:
    m = module(k=1.0)
    return lambda x: x + vars(m)["k"], lambda: setattr(m, "k", 5.0)


@follows
def dict_of_a_module() -> Case:
    m = module()
    return lambda x: x + m.__dict__.get("k", 0), lambda: setattr(m, "k", 5.0)


@follows
def dict_of_a_class() -> Case:
    class A:
        k = 1.0

    return lambda x: x + A.__dict__["k"], lambda: setattr(A, "k", 5.0)


@follows
def vars_of_an_instance() -> Case:
    b = SimpleNamespace(k=1.0)
    return lambda x: x + vars(b)["k"], lambda: setattr(b, "k", 5.0)


@follows
def names_of_a_class() -> Case:
    class A:
        pass

    return lambda x: x + len(dir(A)), lambda: setattr(A, "k", 5.0)


@follows
def modules_by_name() -> Case:
    return lambda x: x + sys.modules["tests.lucid.test_stale_table"].G1, lambda: setattr(OWN, "G1", 5.0)


@follows
def modules_by_a_name_in_a_global() -> Case:
    return lambda x: x + sys.modules[__name__].G1, lambda: setattr(OWN, "G1", 5.0)


@follows
def modules_by_import() -> Case:
    return lambda x: x + importlib.import_module(__name__).G1, lambda: setattr(OWN, "G1", 5.0)


@follows
def module_by_a_statement() -> Case:
    def f(x: Any) -> Any:
        from tests.lucid import test_stale_table

        return x + test_stale_table.G1

    return f, lambda: setattr(OWN, "G1", 5.0)


def _dict_case(view: Callable[[dict[str, float]], Any], use: Callable[[Any], Any]) -> Case:
    d = {"a": 1.0}
    v = view(d)
    return lambda x: x + use(v), lambda: d.update(a=5.0, b=2.0)


@follows
def values_of_a_dict() -> Case:
    return _dict_case(lambda d: d.values(), sum)


@follows
def items_of_a_dict() -> Case:
    return _dict_case(lambda d: d.items(), lambda v: sum(b for _, b in v))


@follows
def keys_of_a_dict() -> Case:
    return _dict_case(lambda d: d.keys(), len)


@follows
def proxy_of_a_dict() -> Case:
    return _dict_case(MappingProxyType, lambda v: v["a"])


@follows
def values_of_a_proxy() -> Case:
    return _dict_case(lambda d: MappingProxyType(d).values(), sum)


@follows
def method_of_a_dict() -> Case:
    return _dict_case(lambda d: d.get, lambda v: v("a"))


@follows
def slot_of_a_dict() -> Case:
    return _dict_case(lambda d: d.__getitem__, lambda v: v("a"))


@follows
def method_of_a_list() -> Case:
    items = [1.0]
    count = items.count
    return lambda x: x + count(1.0), lambda: items.append(1.0)


@follows
def attribute_in_a_format() -> Case:
    b = SimpleNamespace(k=1.0)
    return lambda x: x + float(f"{b.k:.1f}"), lambda: setattr(b, "k", 5.0)


@follows
def attribute_by_a_getter() -> Case:
    b, get = SimpleNamespace(k=1.0), operator.attrgetter("k")
    return lambda x: x + get(b), lambda: setattr(b, "k", 5.0)


@follows
def text_in_memory() -> Case:
    text = io.StringIO("1")
    return lambda x: x + float(text.getvalue()), lambda: text.write("5")


@follows
def bytes_in_memory() -> Case:
    text = io.BytesIO(b"1")
    return lambda x: x + float(text.getvalue()), lambda: text.write(b"5")


# --- attributes of modules, and kinds of objects -----------------------------------------------------


@follows
def attribute_set_on_a_standard_module() -> Case:
    os.bar = 1.0  # type: ignore[attr-defined]
    return lambda x: x + os.bar, lambda: setattr(os, "bar", 5.0)  # type: ignore[attr-defined]


@follows
def arguments_of_the_program() -> Case:
    return lambda x: x + len(sys.argv), lambda: setattr(sys, "argv", [*sys.argv, "more"])


@follows
def arguments_of_the_program_in_place() -> Case:
    sys.argv = [*sys.argv]
    return lambda x: x + len(sys.argv), lambda: sys.argv.append("more")


@follows
def constant_that_is_patched() -> Case:
    return lambda x: x + math.pi, lambda: setattr(math, "pi", 3.0)


@follows
def switches_of_the_interpreter() -> Case:
    flags = SimpleNamespace(optimize=sys.flags.optimize + 1)
    return lambda x: x + sys.flags.optimize, lambda: setattr(sys, "flags", flags)


@follows
def function_of_the_users_in_a_standard_module() -> Case:
    os.bar = lambda: G1  # type: ignore[attr-defined]
    return lambda x: x + os.bar(), lambda: setattr(OWN, "G1", 5.0)  # type: ignore[attr-defined]


@follows
def filters_of_warnings() -> Case:
    warnings.filters = list(warnings.filters)
    return lambda x: x + len(warnings.filters), lambda: warnings.filters.append(warnings.filters[0])


@follows
def class_of_an_instance() -> Case:
    class A:
        k = 1.0

    class B:
        k = 5.0

    a = A()
    return lambda x: x + a.k, lambda: setattr(a, "__class__", B)


@follows
def class_of_an_instance_with_methods() -> Case:
    class A:
        def k(self) -> float:
            return 1.0

    class B:
        def k(self) -> float:
            return 5.0

    a = A()
    return lambda x: x + a.k(), lambda: setattr(a, "__class__", B)


@follows
def event() -> Case:
    e = threading.Event()
    return lambda x: x + e.is_set(), e.set


@follows
def length_of_a_queue() -> Case:
    q: queue.Queue[float] = queue.Queue()
    return lambda x: x + q.qsize(), lambda: q.put(1.0)


@follows
def items_of_a_queue() -> Case:
    q: queue.Queue[float] = queue.Queue()
    for k in range(20):
        q.put(k)

    def f(x: Any) -> Any:
        if isinstance(x, lucid.Tensor) and compiling:
            return x + q.get_nowait()
        return x + q.queue[0]

    compiling: list[int] = []
    return f, q.get


@follows
def semaphore() -> Case:
    s = threading.Semaphore(5)
    return lambda x: x + s._value, s.acquire


@follows
def local_of_a_thread() -> Case:
    held = threading.local()
    held.k = 1.0
    return lambda x: x + held.k, lambda: setattr(held, "k", 5.0)


# --- the state of the process ------------------------------------------------------------------------


@follows
def flags_of_an_array() -> Case:
    a = np.ones(2)
    return lambda x: x + a.flags.writeable, lambda: a.setflags(write=False)


@follows
def flags_of_an_array_that_is_an_input() -> Case:
    a = np.ones(2, np.float32)
    return lambda x: x * a + a.flags.writeable, lambda: a.setflags(write=False)


@follows
def strides_of_an_array() -> Case:
    a = np.zeros((3, 3))

    def change() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            a.strides = (8, 24)

    return lambda x: x + a.strides[0], change


@follows
def how_numpy_handles_errors() -> Case:
    np.seterr(divide="warn")
    return lambda x: x + len(np.geterr()["divide"]), lambda: np.seterr(divide="ignore")


@follows
def precision_of_decimals() -> Case:
    def change() -> None:
        decimal.getcontext().prec = 2

    return lambda x: x + float(decimal.Decimal(1) / decimal.Decimal(3)), change


@follows
def context_of_decimals() -> Case:
    def change() -> None:
        decimal.getcontext().prec = 2

    return lambda x: x + decimal.getcontext().prec, change


@follows
def decimals_in_a_closure() -> Case:
    one, three = decimal.Decimal(1), decimal.Decimal(3)

    def change() -> None:
        decimal.getcontext().prec = 2

    return lambda x: x + float(one / three), change


@pytest.mark.parametrize("case", FOLLOWS, ids=lambda case: case.__name__)
@pytest.mark.usefixtures("path")
def test_what_a_call_gives_is_what_the_function_would_give(case: Callable[[], Case]) -> None:
    check(*case())


def check(f: F, change: Callable[[], object]) -> None:
    """Calls give what `f` gives, before the change and after it."""

    def now() -> list[float]:
        return f(lucid.Tensor(X)).numpy().tolist()  # type: ignore[no-any-return]

    compiled = lucid.compile(f)
    before = now()
    for _ in range(4):
        assert compiled(X).tolist() == before
    assert compiled.traces == 1, compiled.explain()
    change()
    after = now()
    assert after != before, "the case changes nothing"
    for _ in range(4):
        assert compiled(X).tolist() == after


@pytest.mark.usefixtures("path")
def test_each_thread_reads_its_own_local() -> None:
    held = threading.local()
    results: list[float] = []

    @lucid.compile
    def f(x: Any) -> Any:
        return x + held.k

    def run(k: float) -> None:
        held.k = k
        results.extend(f(X).tolist()[0] for _ in range(4))

    for k in (1.0, 5.0):
        thread = threading.Thread(target=run, args=(k,))
        thread.start()
        thread.join()
    assert results == [2.0] * 4 + [6.0] * 4


# --- what raises ---------------------------------------------------------------------------------------

SIMPLE: queue.SimpleQueue[float] = queue.SimpleQueue()
BASE = sqlite3.connect(":memory:", check_same_thread=False)
HERE = Path(__file__)
STATE = "reads the state of the process, or of another"
RAISES: list[tuple[F, str]] = [
    (lambda x: x + len(os.getcwd()), STATE),
    (lambda x: x + len(str(Path.cwd())), STATE),
    (lambda x: x + len(os.path.abspath("a")), STATE),
    (lambda x: x + os.path.exists("/nowhere"), STATE),
    (lambda x: x + os.path.getsize(__file__), STATE),
    (lambda x: x + os.path.isdir("/nowhere"), STATE),
    (lambda x: x + len(os.listdir(PARENT)), STATE),
    (lambda x: x + len(list(os.scandir(PARENT))), STATE),
    (lambda x: x + len(list(os.walk(PARENT / "nowhere"))), STATE),
    (lambda x: x + len(glob.glob(f"{PARENT}/*.nowhere")), STATE),
    (lambda x: x + HERE.exists(), STATE),
    (lambda x: x + HERE.stat().st_size, STATE),
    (lambda x: x + len(list(PARENT.iterdir())), STATE),
    (lambda x: x + len(HERE.read_bytes()), "reads a file"),
    (lambda x: x + shutil.disk_usage("/").free, STATE),
    (lambda x: x + os.getpid(), STATE),
    (lambda x: x + os.getloadavg()[0], STATE),
    (lambda x: x + len(gc.get_referrers(SIMPLE)), STATE),
    (lambda x: x + threading.stack_size(), STATE),
    (lambda x: x + threading.get_ident() % 2, STATE),
    (lambda x: x + len(locale.localeconv()), STATE),
    (lambda x: x + len(os.path.expanduser("~")), "reads the environment"),
    (lambda x: x + SIMPLE.qsize(), STATE),
    (lambda x: x + BASE.execute("select 1").fetchone()[0], STATE),
    (lambda x: x + len(subprocess.run(["true"], check=True).args), STATE),
    (lambda x: x + len(socket.gethostname()), STATE),
    (lambda x: x + float(input()), "reads a file"),
    (lambda x: x + datetime.datetime.now().microsecond, "reads a clock"),
    (lambda x: x + datetime.date.today().day, "reads a clock"),
    (lambda x: x + time.monotonic(), "reads a clock"),
    (lambda x: x + np.random.default_rng().random(), "draws random numbers"),
    (lambda x: x + np.random.Generator(np.random.PCG64()).random(), "draws random numbers"),
    (lambda x: x + random.Random().random(), "draws random numbers"),
    (lambda x: x + random.SystemRandom().random(), "draws random numbers"),
    (lambda x: x + uuid.uuid1().int % 3, "."),
    (lambda x: x + uuid.uuid4().int % 3, "draws random numbers"),
]


@pytest.mark.parametrize(("f", "what"), RAISES)
@pytest.mark.usefixtures("path")
def test_what_no_call_would_read_again_raises(f: F, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n"))
    line = inspect.getsourcelines(f)[1]
    with pytest.raises(lucid.TraceError, match=rf":{line}: .*{what}"):
        lucid.compile(f)(X)


# --- what serves one call ------------------------------------------------------------------------------


def _drawn_by_torch(x: Any) -> Any:
    return x + sys.modules["torch"].rand(1).item()


def _shuffled(x: Any) -> Any:
    return x + float(sys.modules["sklearn.utils"].shuffle(np.arange(1000.0))[0])


def _time_of_pandas(x: Any) -> Any:
    now = sys.modules["pandas"].Timestamp.now()
    return x + float(now.microsecond)


def _time_by_name(x: Any) -> Any:
    return x + float(np.datetime64("now").astype(int) % 1000)


def _state_of_numpy(x: Any) -> Any:
    return x + np.random.RandomState().rand()


@pytest.mark.parametrize(
    ("f", "library"),
    [
        (_state_of_numpy, "numpy"),
        (_drawn_by_torch, "torch"),
        (_shuffled, "sklearn.utils"),
        (_time_of_pandas, "pandas"),
        (_time_by_name, ""),
    ],
)
@pytest.mark.usefixtures("path")
def test_what_is_not_known_for_sure_serves_one_call(f: F, library: str) -> None:
    if library:
        pytest.importorskip(library)
    compiled = lucid.compile(f)
    with pytest.warns(UserWarning, match="each call traces it again"):
        compiled(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = {tuple(compiled(X).tolist()) for _ in range(8)}
    assert compiled.traces == 9
    assert len(values) > 1 or not library  # that clock has seconds


# --- what is left alone ----------------------------------------------------------------------------------

logger = __import__("logging").getLogger(__name__)


def _logs(x: Any) -> Any:
    logger.info("traced %s", 1)
    logger.warning("traced")
    print("traced")
    warnings.warn("traced", stacklevel=2)
    return x * 2


def _writes(x: Any) -> Any:
    with tempfile.TemporaryFile("w") if False else contextlib.nullcontext(io.StringIO()) as out:
        out.write("1")
        return x * 2 * float(out.getvalue())


def _seeded(x: Any) -> Any:
    return x * 2 + (np.random.default_rng(0).random() - np.random.default_rng(0).random())


def _seeded_by_python(x: Any) -> Any:
    return x * 2 + (random.Random(0).random() - random.Random(0).random())


def _paths(x: Any) -> Any:
    return x * (2 if os.path.join("a", "b").endswith("b") and (HERE / "a").name == "a" else 3)


def _tables(x: Any) -> Any:
    pd = pytest.importorskip("pandas")
    return x * float(pd.Series([2.0]).mean()) + pd.DataFrame({"a": [1.0]}).shape[1] - 1


def _computed(x: Any) -> Any:
    text = str(decimal.Decimal("2") + datetime.timedelta(0).days)
    return x * float(text) * math.cos(0) * len(types.__name__) / 5


def _dates(x: Any) -> Any:
    day = datetime.datetime.strptime("2020-01-02", "%Y-%m-%d")
    return x * day.day * len(day.date().isoformat()) / len(day.strftime("%Y-%m-%d"))


def _acts(x: Any) -> Any:
    os.makedirs(PARENT, exist_ok=True)
    PARENT.mkdir(exist_ok=True)
    return x * 2


def _locks(x: Any) -> Any:
    with threading.Lock():
        return x * 2


def _errors(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return x * float(np.float64(2.0) / np.linspace(1, 2, 2)[0])


@pytest.mark.filterwarnings("ignore:traced")
@pytest.mark.parametrize(
    "f",
    [_logs, _writes, _seeded, _seeded_by_python, _paths, _tables, _computed, _locks, _errors, _dates, _acts],
)
@pytest.mark.usefixtures("path")
def test_ordinary_code_is_traced_once(f: F) -> None:
    compiled = lucid.compile(f)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(X).numpy(), 2)
    assert compiled.traces == 1, compiled.explain()
