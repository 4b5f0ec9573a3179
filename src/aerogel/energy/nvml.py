"""NVIDIA GPUs, by the driver's management library NVML: its energy counter first, else its power readings.

``nvmlDeviceGetTotalEnergyConsumption`` counts millijoules since the driver was loaded, of the whole board, on
Volta and newer; it moves about every 0.1 s. Older GPUs tell their power alone, within 5 % by NVIDIA's own
word (Fermi and Kepler; nothing is said of others), and are looked at ten times a second. On the A100 and the
H100 the sensor looks at a quarter of the time ("Part-time power measurements", arXiv 2312.02741): a block of
much repeated work averages that out, a short one does not.

A GPU has one power supply for all who use it: its energy is all of it, other processes and MIG instances
included. Where CUDA_VISIBLE_DEVICES says without doubt which GPUs this process uses, only those are counted.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter
from typing import Any

from aerogel.core.errors import MeasureError, require
from aerogel.energy.integral import Integral, Power
from aerogel.energy.source import GPU, PEAK, Awake, Counted, Part, Survey, Where

ABOUT = "energy counters of NVIDIA GPUs (NVML)"
UPDATE_S = 0.1
"""How often the energy counter moves."""
_LOOK_S = 0.1
_POWER_ERROR = 0.05
_SIGNS = ("dev/nvidiactl", "dev/dxg", "proc/driver/nvidia/version", "sys/module/nvidia")
"""Where Linux, and Windows' Linux, show that an NVIDIA driver may be there."""


_NOTHING = Survey("nvml", ABOUT, covers=(GPU + "nvidia",))


@dataclass(frozen=True, slots=True)
class Gpu:
    """``index`` and ``uuid`` as NVML has them; ``counts``: whether it has an energy counter;
    ``limit_watts``: its power limit, where it has one."""

    index: int
    uuid: str
    name: str
    handle: Any
    counts: bool
    limit_watts: float | None

    @property
    def label(self) -> str:
        return f"GPU {self.index} ({self.name})"


def library() -> Any:
    """pynvml, of the distribution nvidia-ml-py; MeasureError where it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise MeasureError("there is an NVIDIA GPU, but nvidia-ml-py is not installed") from error


def survey(where: Where) -> Survey:
    """Every GPU that this process may use, if a driver is there."""
    if not any((where.root / sign).exists() for sign in _SIGNS):
        return replace(_NOTHING, obstacle="no NVIDIA driver here", present=False)
    try:
        nvml = library()
    except MeasureError as error:
        return replace(_NOTHING, obstacle=str(error), advice='pip install "aerogel[meters]"')
    try:
        gpus, left_out = _chosen(_gpus(nvml, os.getpid()))
    except nvml.NVMLError as error:
        return replace(_NOTHING, obstacle=f"NVML: {error}", advice=_advice(nvml, error))
    except MeasureError as error:
        return replace(_NOTHING, obstacle=str(error))
    if not gpus:
        return replace(
            _NOTHING, obstacle="NVML shows no GPU that this process may use", left_out=left_out, present=False
        )
    return replace(
        _NOTHING,
        channels=tuple(gpu.label for gpu in gpus),
        covers=tuple(GPU + gpu.uuid for gpu in gpus),
        left_out=left_out,
        begin=lambda: Gpus(nvml, gpus),
    )


def _advice(nvml: Any, error: Exception) -> str:
    """The command that helps, where there is one."""
    if isinstance(error, nvml.NVMLError_DriverNotLoaded):
        return "sudo modprobe nvidia"
    if isinstance(error, nvml.NVMLError_LibraryNotFound):
        return "in a container, start it with --gpus all; else install the driver's library libnvidia-ml.so.1"
    if isinstance(error, nvml.NVMLError_NoPermission):
        return "sudo chmod a+rw /dev/nvidiactl /dev/nvidia[0-9]*"
    return ""


@lru_cache(maxsize=4)  # it takes milliseconds for each GPU; handles are those of a process
def _gpus(nvml: Any, process: int) -> tuple[Gpu, ...]:
    """Those that tell energy or power. MeasureError naming one that tells neither: a sum without it would be
    too small."""
    nvml.nvmlInit()
    return tuple(_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    name, uuid = nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)
    limit_mw = _asked(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    counts = _asked(nvml, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) is not None
    gpu = Gpu(index, uuid, name, handle, counts, None if limit_mw is None else limit_mw / 1e3)
    if not counts and _asked(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle)) is None:
        raise MeasureError(f"{gpu.label} tells neither energy nor power: a virtual GPU, or too old a one")
    return gpu


def _asked(nvml: Any, ask: Callable[[], int]) -> int | None:
    """None where the GPU does not support the question."""
    try:
        return ask()
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return None


def _chosen(gpus: tuple[Gpu, ...]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Those that CUDA_VISIBLE_DEVICES names, and the labels of the others. All of them, where it is not set,
    or names them by numbers of an order that is not certain: CUDA puts the fastest first unless told
    otherwise."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return gpus, ()
    words = [word.strip() for word in named.split(",") if word.strip()]
    alike = len({gpu.name for gpu in gpus}) <= 1
    by_bus = os.environ.get("CUDA_DEVICE_ORDER", "").strip() == "PCI_BUS_ID"
    used: set[str] = set()
    for word in words:
        if word.isdecimal() and (alike or by_bus):
            used |= {gpu.uuid for gpu in gpus if gpu.index == int(word)}
        elif word.startswith("GPU-"):
            used |= {gpu.uuid for gpu in gpus if gpu.uuid.startswith(word)}
        elif word == "-1":
            break  # it and what follows it are invisible
        else:
            return gpus, ()
    others = tuple(f"{gpu.label}, not used by this process" for gpu in gpus if gpu.uuid not in used)
    return tuple(gpu for gpu in gpus if gpu.uuid in used), others


class Gpus:
    """GPUs from their first look, which is now, to ``finish``."""

    def __init__(self, nvml: Any, gpus: tuple[Gpu, ...]) -> None:
        """MeasureError where one cannot be read."""
        self._nvml, self._gpus, self._awake = nvml, gpus, Awake()
        self._sampled = {
            gpu.index: Integral.begin(gpu.label, _LOOK_S, self._power(gpu)) for gpu in gpus if not gpu.counts
        }
        self._first = {gpu.index: (perf_counter(), self._mj(gpu)) for gpu in gpus if gpu.counts}
        self._trouble = ""

    @property
    def pause_s(self) -> float:
        return _LOOK_S if self._sampled else float("inf")

    def _mj(self, gpu: Gpu) -> int:
        return self._ask(gpu, lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle))

    def _power(self, gpu: Gpu) -> Power:
        mw = self._ask(gpu, lambda: self._nvml.nvmlDeviceGetPowerUsage(gpu.handle))
        return Power(perf_counter(), mw / 1e3)

    def _ask(self, gpu: Gpu, ask: Callable[[], int]) -> int:
        try:
            return ask()
        except self._nvml.NVMLError as error:
            raise MeasureError(f"{gpu.label} cannot be read: {error}") from error

    def look(self) -> None:
        for gpu in self._gpus:
            if gpu.index not in self._sampled or self._trouble:
                continue
            try:
                self._sampled[gpu.index] = self._sampled[gpu.index].then(self._power(gpu))
            except MeasureError as error:
                self._trouble = str(error)

    def finish(self) -> Counted:
        self.look()
        if self._trouble:
            raise MeasureError(self._trouble)
        parts = tuple(self._counted(gpu) if gpu.counts else self._integrated(gpu) for gpu in self._gpus)
        self._awake.check()
        labels = " + ".join(part.label for part in parts)
        return Counted(parts, f"NVML {labels} (whole boards; NVIDIA states no error of the counters)")

    def _counted(self, gpu: Gpu) -> Part:
        began_s, before_mj = self._first[gpu.index]
        now_s, mj = perf_counter(), self._mj(gpu)
        if mj < before_mj:
            raise MeasureError(f"{gpu.label} went from {before_mj} mJ down to {mj}: its driver was reloaded")
        seconds, joules = now_s - began_s, (mj - before_mj) * 1e-3
        if mj == before_mj:
            joules = self._too_short(gpu, seconds)
        # At most one update of the counter is missing, and one too much.
        watts = gpu.limit_watts or joules / max(seconds, UPDATE_S) * PEAK
        unsure = watts * UPDATE_S
        return Part("nvml", gpu.label, GPU + gpu.uuid, joules, max(0.0, joules - unsure), joules + unsure)

    def _too_short(self, gpu: Gpu, seconds: float) -> float:
        """The counter had no time to move: joules by the power that the GPU shows now."""
        if seconds > 10 * UPDATE_S:
            raise MeasureError(f"{gpu.label} stood still for {seconds:.3g} s: its counter does not work")
        watts = self._power(gpu).watts
        require(watts > 0, MeasureError, f"{gpu.label} shows 0 W: its sensor does not work")
        return watts * seconds

    def _integrated(self, gpu: Gpu) -> Part:
        found = self._sampled[gpu.index]
        require(found.most > 0, MeasureError, f"{gpu.label} shows 0 W: its sensor does not work")
        low, high = found.bounds(UPDATE_S, gpu.limit_watts, _POWER_ERROR)
        return Part("nvml", gpu.label, GPU + gpu.uuid, found.joules, low, high)
