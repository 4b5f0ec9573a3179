"""A program run on the emulated device: its result, and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aerogel.chip.energy.model import Energy, load_model
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.counted import counted
from aerogel.chip.firmware.cuts import Cuts
from aerogel.chip.firmware.device import Device, Simulate
from aerogel.chip.firmware.driver import Driver, Progress, Work
from aerogel.chip.firmware.gather import Gathered
from aerogel.chip.firmware.program import Program
from aerogel.chip.firmware.translate import recut
from aerogel.chip.firmware.turns import Part
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.report import FaultError
from aerogel.chip.machine.usage import report
from aerogel.chip.machine.vcd import vcd
from aerogel.convert.convert import convert
from aerogel.core.errors import ChipError, require
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.tensor.presented import presented


@dataclass(frozen=True, slots=True)
class ChipRun:
    """What a run on the emulated device gave.

    - ``output``: the result, as ``aerogel.evaluate`` gives it.
    - ``cycles``: of the array's clock, from the first transfer to the last; ``seconds``: the same time.
    - ``array_cycles``: while the array ran; ``transfer_cycles``: while DRAM moved something, maybe meanwhile.
    - ``counts``: of all runs; its cycles are those of the array. ``runs``: one by one.
    - ``netlist``: what the array was configured to, as its words say it. ``cuts``: into which pieces it was
      cut: more than was compiled for, where a sparse result turned out to need it.
    - ``work``: what the driver did; ``host_additions``: values the host added up where a sum was cut.
    - ``earlier``: the runs of other configurations before this one, where parts of an expression take turns.
      Cycles, seconds, counts and work are then of all together; ``runs``, ``netlist`` and ``cuts`` of the
      last.
    - ``what``: was computed; ``rearranged``: values of earlier results that the host put into another format.
    """

    output: Any
    cycles: int
    seconds: float
    array_cycles: int
    transfer_cycles: int
    counts: Counts
    work: Work
    host_additions: int
    runs: tuple[Run, ...]
    netlist: Netlist
    cuts: Cuts
    fabric: Fabric
    what: str = ""
    rearranged: int = 0
    earlier: tuple[ChipRun, ...] = ()

    def energy(self, table: Path | str | None = None) -> Energy:
        """Of chip and DRAM, with its range, boundary and calibration; ``table``: a file of the user's own."""
        return load_model(table).energy(self.counts, self.fabric, seconds=self.seconds)

    @property
    def joules(self) -> float:
        """Of chip and DRAM, by the table that comes with aerogel; ``energy`` has its range."""
        return self.energy().joules

    def utilisation(self) -> str:
        """What each cell did in the longest of the runs, and which one the others waited for; of every
        configuration."""
        told = [run.utilisation() for run in self.earlier]
        longest = max(self.runs, key=lambda run: run.cycles, default=None)
        own = "nothing was run: every piece is empty" if longest is None else report(self.netlist, longest)
        if not self.earlier:
            return own
        whats = (run.what for run in (*self.earlier, self))
        return "\n\n".join(f"{what}\n{one}" for what, one in zip(whats, (*told, own), strict=True))

    def trace(self) -> str:
        """The tokens of the cycles that ``simulate`` was asked to keep, as a VCD file."""
        first = (*self.earlier, self)[0]
        require(first.runs, ChipError, "nothing was run: every piece is empty")
        return vcd(first.netlist, first.runs[0], clock_hertz=self.fabric.clock_hertz)

    def text(self) -> str:
        """The run in a few lines."""
        busy = self.array_cycles / self.cycles if self.cycles else 0.0
        lines = [
            f"{self.cycles} cycles, {self.seconds * 1e6:.3f} us at {self.fabric.clock_hertz / 1e6:g} MHz",
            f"array at work {busy:.1%} of them, DRAM {self.transfer_cycles / max(1, self.cycles):.1%}",
            f"{self.work.run} pieces in {self.work.batches} runs, {self.work.skipped} empty ones left out",
        ]
        if self.host_additions:
            lines.append(f"the host added {self.host_additions} values of pieces up")
        if self.rearranged:
            lines.append(
                f"the host brought {self.rearranged} values between configurations into other formats"
            )
        if self.earlier:
            last = self.cycles - sum(run.cycles for run in self.earlier)
            each = ", ".join(f"{cycles} cycles" for cycles in (*(run.cycles for run in self.earlier), last))
            lines.append(f"{len(self.earlier) + 1} configurations, one after another: {each}")
        return "\n".join(lines)

    def after(self, earlier: Sequence[ChipRun]) -> ChipRun:
        """This run as the last of several: one configuration came after the other."""
        every = (*earlier, self)
        return replace(
            self,
            cycles=sum(run.cycles for run in every),
            seconds=sum(run.seconds for run in every),
            array_cycles=sum(run.array_cycles for run in every),
            transfer_cycles=sum(run.transfer_cycles for run in every),
            counts=sum((run.counts for run in every), Counts()),
            work=sum((run.work for run in every), Work()),
            host_additions=sum(run.host_additions for run in every),
            rearranged=sum(run.rearranged for run in every),
            earlier=tuple(earlier),
        )


def run_part(
    part: Part, out: Format | None, progress: Progress | None, simulate: Simulate
) -> tuple[ChipRun, Storage]:
    """A part's run and its result, in format ``out`` or as the graph made it. ChipError: what went wrong."""
    done = part.translated
    while True:
        try:
            return _run(part, done.program, out, progress, simulate)
        except FaultError as error:
            # How many values a sparse result has is known once it is there.
            if error.fault is not Fault.FULL or done.plan.form.dense:
                raise
            try:
                done = recut(done)
            except ChipError as no_finer:
                raise error from no_finer


def _run(
    part: Part, program: Program, out: Format | None, progress: Progress | None, simulate: Simulate
) -> tuple[ChipRun, Storage]:
    device = Device(program.fabric, simulate, program.symbols)
    driver = Driver(program, device)
    gathered = Gathered(program.plan, part.translated.plan.shape, program.cuts)
    driver.run(gathered, progress)
    storage = gathered.storage(part.dtype)
    if out is not None and storage.format != out:
        storage = convert(storage, out)
    run = ChipRun(
        output=presented(storage),
        cycles=device.now,
        seconds=device.now / program.fabric.clock_hertz,
        array_cycles=device.array_busy,
        transfer_cycles=device.transfer_busy,
        counts=counted(device),
        work=driver.work,
        host_additions=gathered.additions,
        runs=tuple(device.runs),
        netlist=device.netlist or Netlist((), (), ()),
        cuts=program.cuts,
        fabric=program.fabric,
        what=part.text,
    )
    return run, storage
