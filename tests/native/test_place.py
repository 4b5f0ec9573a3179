"""Objects put into memory without LLVM compute the bits that LLVM's linker gives; what is odd is LLVM's."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aerogel.core.target import available
from aerogel.native import place as placing
from aerogel.native.codegen import build, triple
from aerogel.native.engine import Loaded
from aerogel.native.linking import link
from aerogel.native.place import place

pytestmark = pytest.mark.skipif(not placing.AVAILABLE, reason="Linux on x86-64 alone")

# Calls inside and outside, a table, constants from memory, and a switch.
TEXT = """
@table = internal constant [4 x i32] [i32 7, i32 -1, i32 1000000, i32 42], align 64

define internal i32 @inner(i64 %i) noinline {
  %at = getelementptr [4 x i32], ptr @table, i64 0, i64 %i
  %v = load i32, ptr %at
  ret i32 %v
}

declare ptr @memset(ptr, i32, i64)

define void @fill(ptr %out, i64 %n) {
  %r = call ptr @memset(ptr %out, i32 5, i64 %n)
  ret void
}

define i32 @look(i64 %i) {
  %v = call i32 @inner(i64 %i)
  %w = add i32 %v, 1
  ret i32 %w
}

define double @scale(double %x) {
  %y = fmul double %x, 0x3FF3333333333333
  ret double %y
}
"""
SYMBOLS = ("fill", "look", "scale")


@pytest.fixture(scope="module")
def code() -> bytes:
    return build(f'target triple = "{triple()}"\n{TEXT}').object


def answers(addresses: dict[str, int]) -> tuple[list[int], float, bytes]:
    look = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64)(addresses["look"])
    scale = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(addresses["scale"])
    fill = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(addresses["fill"])
    out = np.zeros(9, np.uint8)
    fill(out.ctypes.data, 7)
    return [look(i) for i in range(4)], scale(3.7), out.tobytes()


def test_code_does_what_it_does_where_llvm_puts_it(code: bytes) -> None:
    placed = place(code, SYMBOLS)
    assert placed is not None
    kept, linked = link(code, SYMBOLS)
    assert kept is not None
    assert answers(dict(placed.addresses)) == answers(linked)
    assert answers(linked) == ([8, 0, 1000001, 43], 3.7 * 1.2, bytes([5] * 7 + [0] * 2))


def test_pages_are_executable_and_not_writable(code: bytes) -> None:
    placed = place(code, SYMBOLS)
    assert placed is not None
    at = placed.addresses["look"]
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = [(*(int(n, 16) for n in line[0].split("-")), line[1]) for line in lines]
    assert [rights for low, high, rights in spans if low <= at < high] == ["r-xp"]


def test_memory_goes_with_the_last_who_holds_it(code: bytes) -> None:
    loaded = Loaded(code, SYMBOLS)
    assert isinstance(loaded._kept, placing.Placed)
    at = loaded.addresses["look"]
    del loaded
    gc.collect()
    spans = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    rights = [line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines()]
    holds = [r for (low, high), r in zip(spans, rights, strict=True) if int(low, 16) <= at < int(high, 16)]
    assert "r-xp" not in holds


def test_symbols_that_are_not_there_are_left_to_llvm(code: bytes) -> None:
    assert place(code, ("look", "nothing")) is None
    # Functions of an object are not those it calls.
    assert place(code, ("memset",)) is None
    unknown = TEXT.replace("memset", "aerogel_no_such_function")
    assert place(build(f'target triple = "{triple()}"\n{unknown}').object, ("look",)) is None


def test_data_that_can_be_written_is_left_to_llvm() -> None:
    text = "@counter = global i32 3\ndefine ptr @where() {\n  ret ptr @counter\n}\n"
    code = build(f'target triple = "{triple()}"\n{text}').object
    assert place(code, ("where",)) is None
    loaded = Loaded(code, ("where",))
    where = ctypes.CFUNCTYPE(ctypes.c_void_p)(loaded.addresses["where"])
    assert ctypes.c_int32.from_address(where()).value == 3


def test_what_is_cut_off_is_no_object(code: bytes) -> None:
    for size in (0, 5, 63, 64, 200, len(code) // 2, len(code) - 1):
        assert place(code[:size], SYMBOLS) is None
    assert place(b"\xcf\xfa\xed\xfe" + code[4:], SYMBOLS) is None


def test_a_system_that_forbids_it_is_left_to_llvm(code: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(start: int, size: int) -> None:
        raise OSError(13, "mprotect")

    monkeypatch.setattr(placing, "_executable", forbid)
    assert place(code, SYMBOLS) is None
    loaded = Loaded(code, SYMBOLS)
    assert answers(dict(loaded.addresses))[0] == [8, 0, 1000001, 43]


def test_every_kernel_there_is_can_be_placed() -> None:
    """So that a cached program never needs LLVM: for each target, each packing, the bits of LLVM's linker."""
    from aerogel.kernels.layout import Layout
    from aerogel.kernels.linear import kernels, step
    from aerogel.loop.nodes import Module
    from aerogel.native import llvm
    from aerogel.native.engine import ENTRY

    for target in available():
        layout = Layout.of(target)
        module = Module("m", (*kernels(layout, "panel"), step(layout, "panel")))
        code = build(llvm.module(module, target, triple())).object
        placed = place(code, (ENTRY,))
        assert placed is not None, target.name


def test_a_process_that_finds_its_code_needs_no_llvm(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
from aerogel.core.dtypes import DType
from aerogel.loop.nodes import F32, I64, Buf, BufferType, Const, Function, Module, Store, ThreadId
from aerogel import native
Y = Buf("y", BufferType(DType.F32))
module = Module("m", (Function("main", (Y,), (Store(Y, ThreadId(), Const(4.5, F32)),)),))
if sys.argv[1] == "first":
    compiled = native.compile(module)
    print(compiled.key)
else:
    compiled = native.recall(sys.argv[1], "m", (Y,))
y = np.zeros(2, np.float32)
compiled(y, threads=2)
assert (y == 4.5).sum() == min(2, native.thread_limit()), y
if sys.argv[1] != "first":
    print(sorted(m for m in sys.modules if m.startswith("llvmlite.")))
"""
    environment = {"AEROGEL_CACHE_DIR": str(tmp_path), "PATH": ""}

    def run(argument: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, argument],
            capture_output=True, text=True, timeout=60, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert set(eval(run(run("first")))) <= {"llvmlite._version"}
