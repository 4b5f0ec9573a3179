"""Dense work on the device: the grid is placed, routed, said in words and run, as sparse graphs are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.configure.encode import encode
from aerogel.chip.configure.from_mapping import design_of, names_of
from aerogel.chip.dense.grid import Walks, largest, mapped, netlist
from aerogel.chip.dense.work import Job, convolution, product
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.commands import (
    Bind,
    Command,
    Configure,
    Load,
    Poll,
    Start,
    Store,
    Wait,
    split,
)
from aerogel.chip.firmware.commands import encode as commands
from aerogel.chip.firmware.controller import execute
from aerogel.chip.firmware.counted import counted
from aerogel.chip.firmware.device import Device, Symbols
from aerogel.chip.firmware.image import element_bytes, packed, unpacked
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.netlist import Segment
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.mapping.mapping import Mapping
from aerogel.core.errors import ChipError, require


@dataclass(frozen=True, slots=True)
class DenseRun:
    """``cycles``: of the array's clock, from the first transfer to the last; ``array_cycles``: while it ran.
    ``macs``: multiply-accumulates that the work has; ``multipliers``: how many there were for it."""

    name: str
    output: NDArray[Any]
    cycles: int
    array_cycles: int
    transfer_cycles: int
    macs: int
    multipliers: int
    counts: Counts
    runs: tuple[Run, ...]
    fabric: Fabric

    @property
    def seconds(self) -> float:
        return self.cycles / self.fabric.clock_hertz

    def text(self) -> str:
        """The run in a few lines."""
        rate = f"{self.macs / self.array_cycles:.1f} multiply-accumulates a cycle"
        return (
            f"{self.name}: {self.cycles} cycles, {self.seconds * 1e6:.3f} us at "
            f"{self.fabric.clock_hertz / 1e6:g} MHz\n"
            f"array at work {self.array_cycles / self.cycles:.1%} of them, with {rate} on {self.multipliers} "
            "multipliers"
        )


def multiply(a: NDArray[Any], b: NDArray[Any], fabric: Fabric) -> DenseRun:
    """``a @ b`` in dense mode. InputError for what are no matrices that fit each other, ChipError where
    operands and result do not fit the global buffer."""
    return run(product(a, b, largest(fabric)), fabric)


def convolve(
    image: NDArray[Any], weights: NDArray[Any], fabric: Fabric, *, stride: int = 1, padding: int = 0
) -> DenseRun:
    """A convolution in dense mode: see ``work.convolution``; errors as ``multiply``."""
    return run(convolution(image, weights, largest(fabric), stride=stride, padding=padding), fabric)


def run(job: Job, fabric: Fabric) -> DenseRun:
    """Runs a job: loads its operands, starts the grid, stores its sums."""
    size = element_bytes("vals", fabric)
    needed = job.words * size
    placed = grid_of(job.walks, (len(job.left), len(job.right)), fabric)
    design = design_of(placed)
    words = encode(design, fabric)
    require(
        needed + 4 * len(words) <= fabric.buffer_bytes,
        ChipError,
        f"{job.name} takes {needed + 4 * len(words)} bytes with its configuration, but the global buffer of "
        f"{fabric.name} has {fabric.buffer_bytes}: cut it, by rows of the result say",
    )
    symbols = Symbols(names_of(design), tuple(segment.name for segment in placed.netlist.segments))
    device = Device(fabric, simulate, symbols)
    sums = _carried_out(job, words, device)
    return DenseRun(
        name=job.name,
        output=job.output(sums),
        cycles=device.now,
        array_cycles=device.array_busy,
        transfer_cycles=device.transfer_busy,
        macs=job.macs,
        multipliers=len(job.walks.rows) * len(job.walks.columns),
        counts=counted(device),
        runs=tuple(device.runs),
        fabric=fabric,
    )


@lru_cache(maxsize=16)
def grid_of(walks: Walks, words: tuple[int, int], fabric: Fabric) -> Mapping:
    """The grid for these walks in operands of so many words, placed and routed; kept, for layers repeat."""
    operands = (Segment("rows.vals", "vals", words[0]), Segment("columns.vals", "vals", words[1]))
    return mapped(netlist(walks, operands, fabric), len(walks.rows), len(walks.columns), fabric)


def _carried_out(job: Job, words: tuple[int, ...], device: Device) -> list[NDArray[np.float64]]:
    """The driver's part: what each row's memory stored."""
    fabric, size = device.fabric, element_bytes("vals", device.fabric)
    configuration = np.asarray(words, "<u4").tobytes()
    arrays = [packed(job.left, "vals", fabric, "left"), packed(job.right, "vals", fabric, "right")]
    each = job.walks.sums * len(job.walks.columns)
    sizes = [len(array) for array in arrays] + [each * size] * len(job.walks.rows)
    bases = np.cumsum([len(configuration), *sizes]).tolist()
    send: list[Command] = [Load(*split(device.keep(configuration)), 0, len(configuration)), Wait(1)]
    send.append(Configure(0, len(words)))
    send += [
        Load(*split(device.keep(array)), base, len(array)) for array, base in zip(arrays, bases, strict=False)
    ]
    send.append(Wait(3))
    send += [
        Bind(number, base, length // size)
        for number, (base, length) in enumerate(zip(bases, sizes, strict=False))
    ]
    send += [Start(), Poll()]
    kept = [device.keep(bytes(each * size)) for _ in job.walks.rows]
    send += [Store(base, *split(at), each * size) for base, at in zip(bases[2:], kept, strict=False)]
    send.append(Wait(3 + len(kept)))
    execute(commands(send), device)
    return [unpacked(device.kept(at, each * size), "vals", fabric) for at in kept]
