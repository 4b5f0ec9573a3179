"""Machine code for 64-bit ARM, run on an emulated processor: every argument between inaccessible pages.

Threads take turns at barriers, as in the interpreter: an emulated processor is one, with a set of
registers for each thread. Functions of libc that the code calls are played by Python.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tests.emulated.elf import load
from unicorn import (
    UC_ARCH_ARM64,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MODE_ARM,
    UC_PROT_ALL,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
    UcError,
)
from unicorn import arm64_const as arm

from aerogel.core.target import Target
from aerogel.loop.nodes import Buf, Module, Param
from aerogel.native import Memory
from aerogel.native.arguments import Argument, scalar_bytes
from aerogel.native.compiler import generate
from aerogel.native.engine import ENTRY

PAGE = 4096
_CODE, _BLOCK, _STACKS, _BUFFERS = (n << 40 for n in (1, 2, 3, 4))
# Within reach of a call.
_STUBS = _CODE - (1 << 20)
_STACK_BYTES = 1 << 20
# Between stacks, and between buffers: nothing of one is reached from the other by a wrong index.
_APART = 1 << 32
Edge = Literal["end", "start"]


def _x(number: int) -> int:
    return getattr(arm, f"UC_ARM64_REG_X{number}")


def _vector(uc: Uc, register: int, dtype: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(uc.reg_read(register).to_bytes(16, "little"), dtype)


def _memset(uc: Uc) -> None:
    at, value, size = (uc.reg_read(_x(i)) for i in range(3))
    uc.mem_write(at, bytes([value & 0xFF]) * size)


def _memcpy(uc: Uc) -> None:
    to, source, size = (uc.reg_read(_x(i)) for i in range(3))
    uc.mem_write(to, bytes(uc.mem_read(source, size)))


def _fmod(uc: Uc, code: str, low: tuple[int, int]) -> None:
    """The remainder of the first two floating arguments; ``code``: struct's for their type."""
    raw = [struct.pack("<Q", uc.reg_read(r) & (1 << 64) - 1) for r in low]
    a, b = (struct.unpack_from(f"<{code}", r)[0] for r in raw)
    wrong = math.isinf(a) or math.isnan(a) or math.isnan(b) or b == 0
    result = struct.pack(f"<{code}", math.nan if wrong else math.fmod(a, b))
    uc.reg_write(low[0], int.from_bytes(result, "little"))


_LIBC: dict[str, Callable[[Uc], None]] = {
    "memset": _memset,
    "memcpy": _memcpy,
    "fmod": lambda uc: _fmod(uc, "d", (arm.UC_ARM64_REG_D0, arm.UC_ARM64_REG_D1)),
    "fmodf": lambda uc: _fmod(uc, "f", (arm.UC_ARM64_REG_S0, arm.UC_ARM64_REG_S1)),
}


class Processor:
    """An emulated processor with one object's code. ``stops``: names of functions that pause it when
    called, for its owner to play; they can be called from the code, and ``addresses`` has theirs."""

    def __init__(self, code: bytes, stops: Sequence[str] = ()) -> None:
        self.uc = uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM64_MAX)
        self._names = ["return", *_LIBC, *stops]
        stubs = {name: _STUBS + 16 * i for i, name in enumerate(self._names)}
        image = load(code, _CODE, stubs)
        self.addresses = stubs | dict(image.symbols)
        self._map(_CODE, image.code, UC_PROT_ALL)
        uc.mem_map(_STUBS, PAGE)
        self._stopped = ""
        self._fault = ""
        uc.hook_add(UC_HOOK_CODE, self._on_stub, begin=_STUBS, end=_STUBS + PAGE)
        uc.hook_add(UC_HOOK_MEM_INVALID, self._on_fault)
        uc.hook_add(UC_HOOK_INTR, self._on_exception)

    def _map(self, at: int, content: bytes, rights: int) -> None:
        self.uc.mem_map(at, -(-max(1, len(content)) // PAGE) * PAGE, rights)
        self.uc.mem_write(at, content)

    def _on_stub(self, uc: Uc, address: int, size: int, _: object) -> None:
        self._stopped = self._names[(address - _STUBS) // 16]
        uc.emu_stop()

    def _on_fault(self, uc: Uc, access: int, address: int, size: int, value: int, _: object) -> bool:
        self._fault = f"an access of {size} bytes at {address:#x}"
        return False

    def _on_exception(self, uc: Uc, number: int, _: object) -> None:
        """An instruction that the emulator does not know: USDOT is played, any other stops it."""
        at = uc.reg_read(arm.UC_ARM64_REG_PC)
        (word,) = struct.unpack("<I", uc.mem_read(at, 4))
        if word & 0xFFE0FC00 != 0x4E809C00:
            self._fault = f"exception {number}, at an instruction {word:#010x}"
            uc.emu_stop()
            return
        to, a, b = (arm.UC_ARM64_REG_Q0 + (word >> shift & 31) for shift in (0, 5, 16))
        x = _vector(uc, a, np.uint8).astype(np.int32) * _vector(uc, b, np.int8)
        total = _vector(uc, to, np.int32) + x.reshape(4, 4).sum(axis=1, dtype=np.int32)
        uc.reg_write(to, int.from_bytes(total.tobytes(), "little"))
        uc.reg_write(arm.UC_ARM64_REG_PC, at + 4)

    def thread(self, function: int, args: Sequence[int], number: int) -> Generator[str, None, None]:
        """Call ``function`` with integer ``args``; yields the name of each function of ``stops`` it calls,
        with its registers loaded. The stack is that of thread ``number``."""
        uc, top = self.uc, _STACKS + number * _APART + _STACK_BYTES
        uc.mem_map(top - _STACK_BYTES, _STACK_BYTES, UC_PROT_READ | UC_PROT_WRITE)
        for i, value in enumerate(args):
            uc.reg_write(_x(i), value)
        uc.reg_write(arm.UC_ARM64_REG_SP, top)
        uc.reg_write(arm.UC_ARM64_REG_LR, self.addresses["return"])
        at = function
        while True:
            self._run(at)
            if self._stopped == "return":
                break
            at = uc.reg_read(arm.UC_ARM64_REG_LR)
            if self._stopped in _LIBC:
                self._play(self._stopped)
                continue
            saved = uc.context_save()
            yield self._stopped
            uc.context_restore(saved)
        uc.mem_unmap(top - _STACK_BYTES, _STACK_BYTES)

    def _play(self, name: str) -> None:
        """A function of libc."""
        try:
            _LIBC[name](self.uc)
        except UcError as error:
            start, size = error.args
            raise AssertionError(f"{error} in {name}: an access of {size} bytes at {start:#x}") from error

    def _run(self, at: int) -> None:
        self._stopped = ""
        try:
            self.uc.emu_start(at, 0)
        except UcError as error:
            where = self.uc.reg_read(arm.UC_ARM64_REG_PC) - _CODE
            raise AssertionError(f"{error} at code+{where:#x}: {self._fault}") from error
        assert self._stopped, f"the code ran off: {self._fault}"


class Emulated:
    """A module as code for an emulated processor; called like a ``native.Compiled``."""

    def __init__(self, module: Module, target: Target) -> None:
        self.module, self.target = module, target
        self.params = module.entry.params
        self.processor = Processor(generate(module, target).object, ("barrier",))

    def __call__(self, *args: Argument, threads: int = 1, at: Edge = "end") -> None:
        """Run to the end; what the code wrote is in the mutable arguments. ``at``: which end of every buffer
        lies against an inaccessible page."""
        slots: list[bytes] = []
        mapped: list[tuple[Param, Argument, int]] = []
        uc = self.processor.uc
        for number, (param, value) in enumerate(zip(self.params, args, strict=True)):
            if isinstance(param, Buf):
                address = self._place(number, param, value, at)
                mapped.append((param, value, address))
                slots.append(struct.pack("<Q", address))
            else:
                slots.append(scalar_bytes(param, value))
        context = struct.pack("<Q", self.processor.addresses["barrier"])
        self.processor._map(_BLOCK, context.ljust(64, b"\0") + b"".join(slots), UC_PROT_READ)
        self._threads(threads)
        for param, value, address in mapped:
            raw = _bytes(param, value)
            if not param.type.const:
                _write(value, bytes(uc.mem_read(address, len(raw))))
            first = address // PAGE * PAGE
            uc.mem_unmap(first, -(-(address + len(raw) - first) // PAGE) * PAGE or PAGE)
        uc.mem_unmap(_BLOCK, -(-(64 + 8 * len(slots)) // PAGE) * PAGE)

    def bind(self, *args: Argument) -> Bound:
        """As of a ``native.Compiled``; nothing is checked."""
        return Bound(self, list(args))

    def _place(self, number: int, param: Buf, value: Argument, at: Edge) -> int:
        """Copy a buffer to pages of its own, in which all else is 0xFF; where it starts."""
        raw, first = _bytes(param, value), _BUFFERS + number * _APART
        room = -(-max(1, len(raw)) // PAGE) * PAGE
        offset = 0 if at == "start" else (room - len(raw)) // param.type.align * param.type.align
        # An empty buffer at the very end would lie on the next page.
        offset = min(offset, room - param.type.align)
        content = bytearray(b"\xff" * room)
        content[offset : offset + len(raw)] = raw
        rights = UC_PROT_READ if param.type.const else UC_PROT_READ | UC_PROT_WRITE
        self.processor._map(first, bytes(content), rights)
        return first + offset

    def _threads(self, count: int) -> None:
        entry = self.processor.addresses[ENTRY]
        running = [
            self.processor.thread(entry, (_BLOCK + 64, number, count, _BLOCK), number)
            for number in range(count)
        ]
        while running:
            waiting = [next(thread, None) for thread in running]
            assert len(set(waiting)) == 1, "some threads wait at a barrier that others do not reach"
            if waiting[0] is None:
                return


class Bound:
    """A program with its arguments, for many runs."""

    def __init__(self, program: Emulated, args: list[Argument]) -> None:
        self.program, self._args = program, args
        self._index = {param.name: i for i, param in enumerate(program.params)}

    def set(self, name: str, value: Argument) -> None:
        self._args[self._index[name]] = value

    def run(self, threads: int = 1) -> None:
        self.program(*self._args, threads=threads)


def _bytes(param: Param, value: Argument) -> bytes:
    if isinstance(value, Memory):
        return ctypes.string_at(value.address, value.count * param.type.dtype.itemsize)
    assert isinstance(value, np.ndarray) and value.dtype == param.type.dtype.numpy()
    return value.tobytes()


def _write(value: Any, raw: bytes) -> None:
    if isinstance(value, Memory):
        ctypes.memmove(value.address, raw, len(raw))
    elif raw:
        value.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
