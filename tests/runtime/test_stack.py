"""Native code on threads with small stacks: what it needs there has a bound, larger memory is the heap's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lucid.compiler.cpu.emit import STACK_BYTES, emit
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.ir.loop import Alloc, Func, Imm, Store
from lucid.compiler.ir.types import f32, i64
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.runtime.host import host

PRODUCT = """
    kernel t(x: f32[n, d], y: f32[d, m]) -> (o: f32[n, m])
      for i in n, j in m
        stage l in d:  r = dot(x[i, l], y[l, j])
        stage:  o[i, j] = r
    """

SMALL_THREAD = """
import threading
import numpy as np
import lucid

threading.stack_size({kib} << 10)
x = np.arange(8, dtype=np.float32)
a = np.ones((200, 200), np.float32)
many = lucid.compile(lambda x: [x + float(i) for i in range({outputs})])
product = lucid.compile(lambda a: a @ a)
softmax = lucid.compile(lambda a: a.exp() / a.exp().sum(axis=1, keepdims=True))
turned = lucid.compile(lambda a: a.T + a)
many(x), product(a), softmax(a), turned(a)
right = []

def run():
    for _ in range(3):  # by Python, then natively
        assert many(x)[-1].numpy().tolist() == (x + ({outputs} - 1)).tolist()
        assert (product(a).numpy() == 200).all() and (turned(a).numpy() == 2).all()
        assert abs(softmax(a).numpy().sum() - 200) < 1e-3
    right.append(True)

thread = threading.Thread(target=run)
thread.start()
thread.join()
print(right)
"""


def test_thousands_of_outputs_on_a_small_stack() -> None:
    code = SMALL_THREAD.format(kib=128, outputs=2000)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[True]\n"), done.stderr


def _stack(text: str) -> int:
    """Bytes of the working memory on the stack at entry."""
    found = re.findall(r"= alloca \[(\d+) x (\w+)\]", text.split("on.stack:")[0])
    return sum(int(n) * {"float": 4, "i8": 1}[kind] for n, kind in found)


def test_products_keep_their_panels_on_the_heap() -> None:
    kernel = parse_kernel(PRODUCT)
    for width in (64, 32, 16):
        text = emit(lower(kernel, schedule(kernel, width)), host())
        assert _stack(text) == 0
        assert text.count("call ptr @malloc") == text.count("call void @free") == 1


@pytest.mark.parametrize("count", [100, STACK_BYTES // 4, STACK_BYTES // 4 + 1, 10**6])
def test_a_bound_for_working_memory_on_the_stack(count: int) -> None:
    store = Store("w", Imm(0, i64), Imm(1.0, f32))
    text = emit([Func("f", (), (Alloc("w", f32, count), store))], host())
    assert _stack(text) == (4 * count if 4 * count <= STACK_BYTES else 0)
