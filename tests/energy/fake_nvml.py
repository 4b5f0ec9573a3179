"""The part of pynvml that is asked, with GPUs made of numbers; errors are those of the real library."""

from __future__ import annotations

from dataclasses import dataclass, field

import pynvml


@dataclass
class FakeGpu:
    """``mj`` None: it has no energy counter; ``mw`` None: it does not tell its power."""

    name: str = "NVIDIA H100 PCIe"
    uuid: str = "GPU-aaaa"
    mj: int | None = 1_000_000
    mw: int | None = 60_000
    limit_mw: int | None = 350_000


@dataclass(eq=False)
class FakeNvml:
    """``broken``: raised by whatever reads energy or power; ``closed``: raised by nvmlInit."""

    gpus: list[FakeGpu] = field(default_factory=lambda: [FakeGpu()])
    broken: Exception | None = None
    closed: Exception | None = None

    NVMLError = pynvml.NVMLError
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_FunctionNotFound = pynvml.NVMLError_FunctionNotFound
    NVMLError_DriverNotLoaded = pynvml.NVMLError_DriverNotLoaded
    NVMLError_LibraryNotFound = pynvml.NVMLError_LibraryNotFound
    NVMLError_NoPermission = pynvml.NVMLError_NoPermission

    def nvmlInit(self) -> None:
        if self.closed:
            raise self.closed

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        return self.gpus[index]

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str:
        return gpu.name

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: FakeGpu) -> int:
        return _supported(gpu.limit_mw)

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGpu) -> int:
        if self.broken:
            raise self.broken
        return _supported(gpu.mj)

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        if self.broken:
            raise self.broken
        return _supported(gpu.mw)


def _supported(value: int | None) -> int:
    if value is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return value
