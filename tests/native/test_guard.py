"""A kernel that reads one element too many must fault, and one that does not must not."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

from aerogel.native.guard import guarded

SCRIPT = """
import numpy as np
from aerogel.core.dtypes import DType
from aerogel.loop.nodes import F32, I64, Buf, BufferType, Const, For, Function, Load, Module, Store, Var
from aerogel.native import compile
from aerogel.native.guard import guarded
x, y = Buf("x", BufferType(DType.F32, const=True)), Buf("y", BufferType(DType.F32))
i, start, stop = Var("i", I64), Var("start", I64), Var("stop", I64)
first = Const(0, I64)
add = For(i, start, stop, (Store(y, first, Load(y, first) + Load(x, i)),))
program = compile(Module("m", (Function("main", (x, y, start, stop), (add,)),)))
ten = guarded(np.arange(10, dtype=np.float32), {slack}, at={at!r})
program(ten, np.zeros(1, np.float32), {start}, {stop})
print("alive")
"""


def run(**how: object) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(**({"slack": 0, "at": "end", "start": 0, "stop": 10} | how))
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("how", [{}, {"slack": 8, "stop": 12}, {"at": "start"}], ids=str)
def test_reads_inside_live(how: dict[str, object]) -> None:
    done = run(**how)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@pytest.mark.parametrize(
    "how", [{"stop": 11}, {"slack": 8, "stop": 13}, {"at": "start", "start": -1}], ids=str
)
def test_reads_outside_fault(how: dict[str, object]) -> None:
    done = run(**how)
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout == ""


@pytest.mark.parametrize("align", [1, 4, 64])
@pytest.mark.parametrize("size", [0, 1, 1000, 5000])
def test_the_copy_is_equal_aligned_and_writable(size: int, align: int) -> None:
    array = np.arange(size, dtype=np.float32)
    copy = guarded(array, align=align)
    np.testing.assert_array_equal(copy, array)
    assert copy.__array_interface__["data"][0] % align == 0
    copy[:] = 1
