"""The CPU as data: what it can do, so that code generators ask instead of guessing."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aerogel.core import sysctl
from aerogel.core.dtypes import DType
from aerogel.core.errors import TargetError
from aerogel.core.suggest import unknown


@dataclass(frozen=True, slots=True)
class Target:
    """An instruction set to generate code for.

    ``vector_bits``: width of a vector register; ``registers``: how many the architecture names;
    ``features``: the CPU flags the back-end may use, under LLVM's names, sorted.
    """

    name: str
    arch: str
    vector_bits: int
    registers: int
    features: tuple[str, ...]

    def lanes(self, dtype: DType) -> int:
        """Elements of ``dtype`` in one vector register."""
        return self.vector_bits // dtype.bits

    def has(self, feature: str) -> bool:
        return feature in self.features

    @property
    def looks_up(self) -> bool:
        """Whether one instruction looks bytes up in two registers: sliced rows live on it."""
        return self.has("avx512vbmi")

    @property
    def pairs(self) -> bool:
        """Whether bytes are multiplied quickest where sums of two products fit 16 bits (``PairDot4``): on x86
        without byte dot products."""
        return self.has("ssse3") and not (self.has("avx512vnni") or self.has("avxvnni"))

    @property
    def fingerprint(self) -> str:
        """A short stable text: two targets with the same one get the same machine code."""
        return f"{self.name}/{self.arch}/{self.vector_bits}x{self.registers}/{','.join(self.features)}"


# LLVM name -> the flag Linux prints in /proc/cpuinfo.
_SSE2 = {"sse2": "sse2"}
_AVX2 = _SSE2 | {
    "sse3": "pni", "ssse3": "ssse3", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "popcnt": "popcnt",
    "avx": "avx", "avx2": "avx2", "fma": "fma", "f16c": "f16c",
    "bmi": "bmi1", "bmi2": "bmi2", "lzcnt": "abm", "movbe": "movbe",
}  # fmt: skip
_AVX512 = _AVX2 | {
    "avx512f": "avx512f", "avx512bw": "avx512bw", "avx512cd": "avx512cd",
    "avx512dq": "avx512dq", "avx512vl": "avx512vl",
}  # fmt: skip
_NEON = {"neon": "asimd"}
# Used where present, never required.
_OPTIONAL = {
    "avx2": {"avxvnni": "avx_vnni"},
    "avx512": {
        "avx512vnni": "avx512_vnni", "avx512vbmi": "avx512vbmi", "avx512vbmi2": "avx512_vbmi2",
        "avx512bf16": "avx512_bf16", "avx512vpopcntdq": "avx512_vpopcntdq",
    },
    "neon": {"dotprod": "asimddp", "i8mm": "i8mm"},
}  # fmt: skip
# Best first within an architecture; the last of each runs on every CPU of it.
_NEEDS = {"avx512": _AVX512, "avx2": _AVX2, "sse2": _SSE2, "neon": _NEON}
_SHAPE = {"avx512": (512, 32), "avx2": (256, 16), "sse2": (128, 16), "neon": (128, 32)}
_ARCH = {"avx512": "x86_64", "avx2": "x86_64", "sse2": "x86_64", "neon": "aarch64"}
# What systems call the two architectures, in lower case.
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
NAMES = tuple(_NEEDS)

# The line of /proc/cpuinfo that lists flags: x86, then ARM.
_LINES = ("flags", "Features")
# What macOS calls the same flags, as keys of sysctl; of ARM alone, for on x86 SSE2 is right and enough.
_SYSCTL = {"asimddp": b"hw.optional.arm.FEAT_DotProd", "i8mm": b"hw.optional.arm.FEAT_I8MM"}


@cache
def cpu_flags() -> frozenset[str]:
    """The flags the kernel reports for this CPU, under Linux's names; empty where it reports none."""
    if sys.platform == "darwin":
        return frozenset(flag for flag, key in _SYSCTL.items() if sysctl.whole_number(key) == 1)
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return _common_flags(text)


def _common_flags(cpuinfo: str) -> frozenset[str]:
    """What every core has: on a machine of unlike cores a thread may run on any of them."""
    parts = (line.partition(":") for line in cpuinfo.splitlines())
    found = [frozenset(value.split()) for name, _, value in parts if name.strip() in _LINES]
    return frozenset.intersection(*found) if found else frozenset()


def architecture() -> str:
    """``x86_64`` or ``aarch64``, whatever the system calls it; TargetError on any other."""
    machine = platform.machine().lower()
    if machine not in MACHINES:
        raise TargetError(f"CPU architecture {machine!r} is not supported: use x86-64 or 64-bit ARM")
    return MACHINES[machine]


def named(name: str, flags: Iterable[str] = ()) -> Target:
    """The target called ``name`` with what it requires and those of its optional features whose Linux
    flags are in ``flags``. Whether this CPU has it is not asked; TargetError for an unknown name."""
    if name not in _NEEDS:
        raise TargetError(unknown("target", name, NAMES))
    have = frozenset(flags)
    extra = [llvm for llvm, flag in _OPTIONAL.get(name, {}).items() if flag in have]
    bits, registers = _SHAPE[name]
    return Target(name, _ARCH[name], bits, registers, tuple(sorted([*_NEEDS[name], *extra])))


def available(flags: frozenset[str] | None = None) -> tuple[Target, ...]:
    """The targets this CPU can run, best first. ``flags``: instead of those the system reports."""
    known = cpu_flags() if flags is None else flags
    *better, least = (name for name in NAMES if _ARCH[name] == architecture())
    # Every CPU has the least of its architecture, whether or not the system lists its flags.
    fitting = (*(name for name in better if known.issuperset(_NEEDS[name].values())), least)
    return tuple(named(name, known) for name in fitting)


def current() -> Target:
    """The target to generate code for: ``AEROGEL_TARGET`` if set, else the best this CPU has.

    The name of a target of another architecture is taken, without optional features: its code can be
    generated and looked at, and ``native.compile`` refuses to run it.
    """
    targets = available()
    wanted = os.environ.get("AEROGEL_TARGET", "").strip().lower()
    if not wanted:
        return targets[0]
    for target in targets:
        if target.name == wanted:
            return target
    if wanted in NAMES and _ARCH[wanted] != targets[0].arch:
        return named(wanted)
    have = ", ".join(t.name for t in targets)
    if wanted in NAMES:
        raise TargetError(f"AEROGEL_TARGET={wanted}, but this CPU lacks it: it has {have}")
    raise TargetError(f"{unknown('AEROGEL_TARGET', wanted, NAMES)} (this CPU has {have})")
