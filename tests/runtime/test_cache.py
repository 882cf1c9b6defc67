"""The disk cache only ever costs time: never a wrong result, never a crash."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from lucid.compiler.ir.artifact import Code
from lucid.compiler.ir.target import HASWELL
from lucid.runtime import cache, host, limits, load, memory
from lucid.runtime.cache import DiskCache

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes")
root = os.name == "posix" and os.geteuid() == 0


@pytest.fixture
def store(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache")


@pytest.fixture
def fresh(store: DiskCache, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskCache]:
    """A process that has loaded nothing, with an empty cache of its own."""
    monkeypatch.setattr(load, "disk", lambda: store)
    monkeypatch.setattr(load, "_LOADED", {})
    yield store


def entries(store: DiskCache) -> list[Path]:
    return [p for p in Path(store.folder).iterdir() if not p.name.startswith(".")]


def kernel(value: int) -> Code:
    """A kernel that adds `value` to the cell that its first slot points to."""
    text = f"""define void @add_value(ptr %slots, i64 %begin, i64 %end) nounwind {{
      %cell = load ptr, ptr %slots
      %old = load i64, ptr %cell
      %new = add i64 %old, {value}
      store i64 %new, ptr %cell
      ret void
    }}"""
    return Code(key=text, name="add_value", source=text, finish=False)


def run(code: Code) -> int:
    cell = ctypes.c_int64(0)
    slots = (ctypes.c_int64 * 1)(ctypes.addressof(cell))
    word = ctypes.c_int64
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, word, word)(load.load(code).run)(slots, 0, 1)
    return cell.value


def compiled_again(code: Code, value: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a new process would have to compile `code`; its result must be right either way."""
    monkeypatch.setattr(load, "_LOADED", {})
    before = load.compiles()
    assert run(code) == value
    return load.compiles() > before


# --- one process ---------------------------------------------------------------------------------


def test_what_was_put_is_found(store: DiskCache) -> None:
    assert store.get("a") is None
    store.put("a", b"one")
    store.put("b", b"")
    assert (store.get("a"), store.get("b"), store.get("c")) == (b"one", b"", None)
    store.put("a", b"two")
    assert store.get("a") == b"two"
    assert len(list(Path(store.folder).iterdir())) == 2


@posix
def test_modes(store: DiskCache) -> None:
    old = os.umask(0)
    try:
        store.put("a", b"one")
    finally:
        os.umask(old)
    assert Path(store.folder).stat().st_mode & 0o777 == 0o700
    assert entries(store)[0].stat().st_mode & 0o777 == 0o600


def test_every_truncation_and_every_flipped_byte_is_noticed(store: DiskCache) -> None:
    store.put("key", bytes(range(60)))
    (path,) = entries(store)
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        assert store.get("key") is None
    for k in range(len(good)):
        path.write_bytes(good[:k] + bytes([good[k] ^ (1 << k % 8)]) + good[k + 1 :])
        assert store.get("key") is None
    path.write_bytes(good + b"\0")
    assert store.get("key") is None
    path.write_bytes(good)
    assert store.get("key") == bytes(range(60))


def test_a_file_under_the_name_of_another_key(store: DiskCache) -> None:
    store.put("a", b"one")
    (first,) = entries(store)
    store.put("b", b"two")
    (second,) = (p for p in entries(store) if p != first)
    shutil.copyfile(first, second)
    assert store.get("b") is None


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to(mode: int, store: DiskCache) -> None:
    store.put("a", b"one")
    (path,) = entries(store)
    path.chmod(mode)
    assert store.get("a") is None


@posix
def test_links_pipes_and_folders(store: DiskCache) -> None:
    store.put("a", b"one")
    (path,) = entries(store)
    real = Path(store.folder) / "elsewhere"
    path.rename(real)
    path.symlink_to(real)
    assert store.get("a") is None
    path.unlink()
    os.mkfifo(path)
    assert store.get("a") is None
    path.unlink()
    path.mkdir()
    assert store.get("a") is None
    store.put("a", b"two")  # cannot replace a folder
    assert store.get("a") is None
    assert not [p for p in Path(store.folder).iterdir() if p.name.startswith(".")]


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_directory_that_others_can_write_to_is_refused_once(mode: int, tmp_path: Path) -> None:
    DiskCache(tmp_path / "cache").put("a", b"one")
    (tmp_path / "cache").chmod(mode)
    store = DiskCache(tmp_path / "cache")
    with pytest.warns(RuntimeWarning, match="written by others") as caught:
        assert store.get("a") is None
        store.put("b", b"two")
        assert store.get("b") is None
    assert len(caught) == 1
    assert len(entries(store)) == 1


@pytest.mark.skipif(not root, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    store = DiskCache(folder)
    with pytest.warns(RuntimeWarning, match="another user"):
        store.put("a", b"one")
    assert store.get("a") is None
    assert not entries(store)


@pytest.mark.skipif(not root, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_ignored(store: DiskCache) -> None:
    store.put("a", b"one")
    (path,) = entries(store)
    os.chown(path, 12345, 12345)
    assert store.get("a") is None


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        store = DiskCache(folder)
        store.put("a", b"one")
        assert store.get("a") is None


def test_a_directory_that_goes_away(store: DiskCache) -> None:
    store.put("a", b"one")
    shutil.rmtree(store.folder)
    assert store.get("a") is None
    store.put("a", b"two")
    store.sweep()


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    store = DiskCache(tmp_path, size=3000)
    for k in range(10):
        store.put(f"key {k}", bytes(1000))
        newest = max(entries(store), key=lambda p: p.stat().st_mtime_ns)
        os.utime(newest, (1000 + k, 1000 + k))
    store.sweep()
    assert [k for k in range(10) if store.get(f"key {k}")] == [8, 9]


def test_what_a_killed_writer_left_is_removed_in_time(store: DiskCache) -> None:
    store.put("a", b"one")
    old, new = Path(store.folder) / ".old", Path(store.folder) / ".new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    store.sweep()
    assert not old.exists()
    assert new.exists()


def test_the_environment_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decide: Callable[[], DiskCache | None] = cache.disk.__wrapped__
    monkeypatch.setenv("LUCID_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("LUCID_CACHE_SIZE", "1000")
    found = decide()
    assert found is not None
    assert (found.folder, found.size) == (str(tmp_path), 1000)
    monkeypatch.setenv("LUCID_CACHE_SIZE", "much")
    found = decide()
    assert found is not None
    assert found.size == cache.DEFAULT_SIZE
    for digits, size in (("²", None), ("٣", None), ("9" * 5000, None), ("-1", None), ("", None), (" 7 ", 7)):
        monkeypatch.setenv("LUCID_CACHE_SIZE", digits)
        found = decide()
        assert found is not None
        assert found.size == (cache.DEFAULT_SIZE if size is None else size)
    monkeypatch.setenv("LUCID_CACHE", "0")
    assert decide() is None


def test_a_tilde_makes_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LUCID_CACHE_DIR", "~/kept/here")
    assert Path(cache.default_folder()) == tmp_path / "kept" / "here"


@posix
def test_a_path_of_two_thousand_parts(tmp_path: Path) -> None:
    """It is made part by part, or there is no disk cache: no exception."""
    try:
        for parts in (900, 1930, 60_000):
            store = DiskCache(tmp_path.joinpath(*["a"] * parts))
            store.put("a", b"one")
            assert store.get("a") in (b"one", None)
            if parts == 900:
                assert store.get("a") == b"one"
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)  # shutil calls itself for each part


def test_the_default_directory_is_what_platformdirs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("LUCID_CACHE_DIR")
    for home in ("", "/somewhere/else", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        if home != "relative":  # the specification says to ignore it
            said = platformdirs.user_cache_dir("lucid", appauthor=False)
            assert Path(cache.default_folder()) == Path(said)
        assert Path(cache.default_folder()).is_absolute()


# --- kernels -------------------------------------------------------------------------------------


def test_a_damaged_entry_is_compiled_again(fresh: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(kernel(7)) == 7
    (path,) = entries(fresh)
    good = path.read_bytes()
    assert not compiled_again(kernel(7), 7, monkeypatch)
    for bad in (b"", good[: len(good) // 2], good[:-1], good[:-20] + bytes(20), b"\0" + good[1:]):
        path.write_bytes(bad)
        assert compiled_again(kernel(7), 7, monkeypatch)
        assert path.read_bytes() == good


def test_a_payload_that_is_no_code(fresh: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum is right, but what it protects was never a payload of ours."""
    assert run(kernel(8)) == 8
    monkeypatch.setattr(fresh, "put", lambda key, payload: None)
    for payload in (b"", b"?", b"I", b"I" + bytes(50), b"I\0\0\0\0\0\0\0\0\0\0\0\0"):
        monkeypatch.setattr(fresh, "get", lambda key, payload=payload: payload)
        assert compiled_again(kernel(8), 8, monkeypatch)


def test_code_of_another_cpu_or_version_is_not_seen(
    fresh: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(kernel(9)) == 9
    assert not compiled_again(kernel(9), 9, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(load, "stamp", lambda: "another version")
        assert compiled_again(kernel(9), 9, patch)
    target = host.host()
    if target.has("avx2"):
        with monkeypatch.context() as patch:
            patch.setattr(load, "host", lambda: HASWELL)
            assert compiled_again(kernel(9), 9, patch)
    assert len(entries(fresh)) == (3 if target.has("avx2") else 2)


def test_without_a_version_nothing_is_kept(fresh: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "stamp", lambda: None)
    assert run(kernel(10)) == 10
    assert compiled_again(kernel(10), 10, monkeypatch)
    assert not Path(fresh.folder).exists()


def a_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose only files of code are two; the second, whose content is 1."""
    for name in ("runtime", "compiler"):
        (folder / name).mkdir()
        (folder / name / "a.py").write_text("1")
    monkeypatch.setattr(cache, "__file__", str(folder / "runtime" / "cache.py"))
    return folder / "compiler" / "a.py"


make_stamp: Callable[[], str | None] = cache.stamp.__wrapped__


def test_the_stamp_changes_with_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_project(tmp_path, monkeypatch)
    first = make_stamp()
    assert first is not None
    assert make_stamp() == first
    file.write_text("12")
    assert make_stamp() not in (None, first)
    shutil.rmtree(tmp_path / "compiler")
    shutil.rmtree(tmp_path / "runtime")
    assert make_stamp() is None


@pytest.mark.parametrize("settled", [0, 1 << 62])
def test_an_edit_that_keeps_size_and_time_is_served_old_code(
    settled: int, store: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the disk cache remembers the content of files (which were last changed long ago) or not."""
    monkeypatch.setattr(cache, "SETTLED", settled)
    monkeypatch.setattr(cache, "disk", lambda: store)
    file = a_project(tmp_path, monkeypatch)
    first, info = make_stamp(), file.stat()
    time.sleep(0.02)  # a change later has another time
    file.write_text("2")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (info.st_size, info.st_mtime_ns)
    second = make_stamp()
    assert second != first
    file.write_text("1")
    assert make_stamp() == first
    assert Path(store.folder).exists() == (settled == 0 and os.name == "posix")


def test_touching_a_file_compiles_everything_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_project(tmp_path, monkeypatch)
    first = make_stamp()
    os.utime(file, (1000, 1000))
    assert make_stamp() == first
    renamed = file.rename(file.with_name("b.py"))
    assert make_stamp() != first
    renamed.rename(file)
    assert make_stamp() == first


@posix
def test_sources_are_read_once(store: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warm process does not: it would take 2 ms."""
    monkeypatch.setattr(cache, "SETTLED", 0)
    monkeypatch.setattr(cache, "disk", lambda: store)
    first = make_stamp()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read"))
    assert make_stamp() == first


# --- hostile directories, in processes of their own ----------------------------------------------

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from tests.runtime.test_cache import kernel, run
from lucid.runtime import load
for k in range(3):
    assert run(kernel(100 + k)) == 100 + k
print(load.compiles())
"""


def compiles_elsewhere(folder: Path, before: str = "", **options: object) -> int:
    """How many kernels of three a new process compiles with its cache in `folder`."""
    program = before + PROGRAM.format(path=[p for p in sys.path if p])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LUCID_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert [compiles_elsewhere(tmp_path / "cache") for _ in range(2)] == [3, 0]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system at `folder`, which only root can make."""
    if not root or sys.platform != "linux":
        pytest.skip("needs a file system of its own")
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount")
    if done.returncode:
        pytest.skip("this container may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@posix
def test_a_read_only_directory(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o500)
    with mounted(folder, "ro") if root else nullcontext():  # modes do not stop root
        assert compiles_elsewhere(folder) == 3
        assert compiles_elsewhere(folder) == 3
        assert not list(folder.iterdir())


@posix
def test_a_file_size_limit_of_the_system(tmp_path: Path) -> None:
    before = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))\n"
    folder = tmp_path / "cache"
    assert compiles_elsewhere(folder, before) == 3
    assert not list(folder.iterdir())


def test_a_full_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=4k"):
        assert 0 < compiles_elsewhere(tmp_path) <= 3
        assert 0 < compiles_elsewhere(tmp_path) <= 3
        assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_32_processes_compile_the_same_kernels_and_some_are_killed(fresh: DiskCache) -> None:
    codes = {1000 + k: kernel(1000 + k) for k in range(12)}
    dice = random.Random(0)
    children = []
    for number in range(32):
        child = os.fork()
        if child == 0:
            try:
                order = list(codes)
                random.Random(number).shuffle(order)
                os._exit(0 if all(run(codes[v]) == v for v in order) else 1)
            except BaseException:
                os._exit(2)
        children.append(child)
    doomed = children[::3]
    for child in doomed:
        time.sleep(dice.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
    codes_seen = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
    assert all(c == 0 for c, pid in zip(codes_seen, children, strict=True) if pid not in doomed)
    assert all(c in (0, -signal.SIGKILL) for c in codes_seen)
    before = load.compiles()
    assert all(run(code) == value for value, code in codes.items())
    assert load.compiles() == before  # the survivors left every kernel, and no broken one
    assert len(entries(fresh)) == len(codes)


def test_a_warning_that_is_an_error_leaves_a_working_process(tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("owners and modes")
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    store = DiskCache(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            store.get("a")
        assert store.get("a") is None


@pytest.mark.parametrize("text", ["²", "٣", "9" * 5000, "1e3", "-4", "+4", "0x10", "1_000", ""])
@pytest.mark.parametrize("name", ["LUCID_MEMORY_CACHE", "LUCID_NUM_THREADS", "OMP_NUM_THREADS"])
def test_a_variable_that_is_no_number_ends_the_program(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("LUCID_MEMORY_CACHE", "LUCID_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(other, raising=False)
    usual = memory._default_cap(), limits.thread_limit()
    monkeypatch.setenv(name, text)
    assert (memory._default_cap(), limits.thread_limit()) == usual
    monkeypatch.setenv(name, " 1 ")
    assert (memory._default_cap(), limits.thread_limit()) in ((1, usual[1]), (usual[0], 1))
