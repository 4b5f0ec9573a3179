"""The machine a measurement was made on: what a reader needs to judge a number, and nothing private."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aerogel.core.errors import TargetError
from aerogel.core.target import current

_PACKAGES = ("aerogel", "numpy", "llvmlite", "torch", "transformers", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True)
class Machine:
    """``None`` where the system does not tell. ``usable_cores`` counts those this process may run on."""

    cpu: str | None
    cores: int | None
    usable_cores: int
    memory_bytes: int | None
    system: str
    kernel: str
    architecture: str
    target: str | None
    python: str
    versions: dict[str, str]
    load_average: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def machine() -> Machine:
    """The facts of this machine, now."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count(),
        usable_cores=_usable_cores(),
        memory_bytes=_memory_bytes(),
        system=platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        target=_target(),
        python=platform.python_version(),
        versions=_versions(),
        load_average=_load_average(),
    )


def _cpu_model() -> str | None:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def _memory_bytes() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _usable_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None  # the system keeps none


def _target() -> str | None:
    try:
        return current().fingerprint
    except TargetError:
        return None  # timing does not need code generation


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # optional, and not installed
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []  # not Linux
