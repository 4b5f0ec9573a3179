"""The CPU as data: what it can do, so that code generators ask instead of guessing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aerogel.core.dtypes import DType
from aerogel.core.errors import TargetError


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
# Used where present, never required.
_OPTIONAL = {
    "avx2": {"avxvnni": "avx_vnni"},
    "avx512": {
        "avx512vnni": "avx512_vnni", "avx512vbmi": "avx512vbmi", "avx512vbmi2": "avx512_vbmi2",
        "avx512bf16": "avx512_bf16", "avx512vpopcntdq": "avx512_vpopcntdq",
    },
}  # fmt: skip
_NEEDS = {"avx512": _AVX512, "avx2": _AVX2, "sse2": _SSE2}
_SHAPE = {"avx512": (512, 32), "avx2": (256, 16), "sse2": (128, 16)}
NAMES = tuple(_NEEDS)


@cache
def cpu_flags() -> frozenset[str]:
    """The flags the kernel reports for this CPU; empty where it reports none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _x86(name: str, flags: frozenset[str]) -> Target | None:
    if any(flag not in flags for flag in _NEEDS[name].values()):
        return None
    extra = [llvm for llvm, flag in _OPTIONAL.get(name, {}).items() if flag in flags]
    bits, registers = _SHAPE[name]
    return Target(name, "x86_64", bits, registers, tuple(sorted([*_NEEDS[name], *extra])))


def available(flags: frozenset[str] | None = None) -> tuple[Target, ...]:
    """The targets this CPU can run, best first."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        known = cpu_flags() if flags is None else flags
        found = tuple(t for t in (_x86(name, known) for name in NAMES) if t is not None)
        # Every x86-64 CPU has SSE2, whether or not the system lists its flags.
        return found or (Target("sse2", "x86_64", 128, 16, ("sse2",)),)
    if machine in ("aarch64", "arm64"):
        return (Target("neon", "aarch64", 128, 32, ("neon",)),)
    raise TargetError(f"CPU architecture {machine!r} is not supported: use x86-64 or 64-bit ARM")


def current() -> Target:
    """The target to generate code for: ``AEROGEL_TARGET`` if set, else the best this CPU has."""
    targets = available()
    wanted = os.environ.get("AEROGEL_TARGET", "").strip().lower()
    if not wanted:
        return targets[0]
    for target in targets:
        if target.name == wanted:
            return target
    have = ", ".join(t.name for t in targets)
    if wanted in NAMES:
        raise TargetError(f"AEROGEL_TARGET={wanted}, but this CPU lacks it: it has {have}")
    raise TargetError(
        f"AEROGEL_TARGET={wanted!r} is unknown: choose one of {', '.join(NAMES)} (this CPU has {have})"
    )
