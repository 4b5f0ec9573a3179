"""The public face: an expression and its tensors, compiled for a fabric; simulated, drawn, explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aerogel.chip.defined import require_defined
from aerogel.chip.energy.model import Energy, load_model
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.fabric.read import load
from aerogel.chip.firmware.counted import counted
from aerogel.chip.firmware.cuts import Cuts
from aerogel.chip.firmware.device import Device, Simulate
from aerogel.chip.firmware.driver import Driver, Work
from aerogel.chip.firmware.gather import Gathered
from aerogel.chip.firmware.program import Program
from aerogel.chip.firmware.translate import Options, Translated, recut, translated
from aerogel.chip.graph.build import DEFAULT, Plan
from aerogel.chip.graph.build import Options as GraphOptions
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.report import FaultError
from aerogel.chip.machine.simulate import simulate as by_cycles
from aerogel.chip.machine.step import Arrays
from aerogel.chip.machine.usage import report
from aerogel.chip.machine.vcd import vcd
from aerogel.chip.mapping.draw import svg
from aerogel.chip.mapping.mapping import Mapping as Mapped
from aerogel.chip.mapping.usage import usage
from aerogel.convert.convert import convert
from aerogel.core.dtypes import DType
from aerogel.core.errors import ChipError, InputError, require
from aerogel.core.files import replace_file
from aerogel.einsum.check import extents
from aerogel.einsum.dtypes import result_dtype
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text as written
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, format_of
from aerogel.tensor.coerce import operand
from aerogel.tensor.presented import presented
from aerogel.tensor.request import Request

Progress = Callable[[int, int], None]
"""Told how many pieces are done, of how many."""


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

    def energy(self, table: Path | str | None = None) -> Energy:
        """Of chip and DRAM, with its range, boundary and calibration; ``table``: a file of the user's own."""
        return load_model(table).energy(self.counts, self.fabric, seconds=self.seconds)

    @property
    def joules(self) -> float:
        """Of chip and DRAM, by the table that comes with aerogel; ``energy`` has its range."""
        return self.energy().joules

    def utilisation(self) -> str:
        """What each cell did in the longest of the runs, and which one the others waited for."""
        if not self.runs:
            return "nothing was run: every piece is empty"
        return report(self.netlist, max(self.runs, key=lambda run: run.cycles))

    def trace(self) -> str:
        """The tokens of the cycles that ``simulate`` was asked to keep, as a VCD file."""
        require(self.runs, ChipError, "nothing was run: every piece is empty")
        return vcd(self.netlist, self.runs[0], clock_hertz=self.fabric.clock_hertz)

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
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class CompiledChip:
    """An expression on a fabric, for tensors of known shapes."""

    translated: Translated
    dtype: DType
    out: Format | None

    @property
    def plan(self) -> Plan:
        """The dataflow graph, and the formats and order it is for."""
        return self.translated.plan

    @property
    def program(self) -> Program:
        return self.translated.program

    @property
    def mapping(self) -> Mapped:
        """Where every cell is on the fabric, and which way its channels go."""
        return self.translated.mapping

    @property
    def cuts(self) -> Cuts:
        """Into which pieces tensors are cut."""
        return self.program.cuts

    def configuration(self) -> tuple[int, ...]:
        """The words that the fabric is configured with: see ``configure/layout.py``."""
        return self.program.words

    def simulate(
        self,
        progress: Progress | None = None,
        *,
        trace: tuple[int, int] | None = None,
        simulate: Simulate | None = None,
    ) -> ChipRun:
        """Runs every piece on the emulated device. ChipError, DeadlockError: what went wrong, and where.

        ``trace``: of the first run, the tokens from one cycle to before another are kept. ``simulate``: what
        runs the array; None: the cycle simulator in machine code.
        """
        done = self.translated
        if trace is not None:
            simulate = _traced(trace, simulate or by_cycles)
        while True:
            try:
                return self._run(done.program, progress, simulate or by_cycles)
            except FaultError as error:
                # How many values a sparse result has is known once it is there.
                if error.fault is not Fault.FULL or done.plan.form.dense:
                    raise
                try:
                    done = recut(done)
                except ChipError as no_finer:
                    raise error from no_finer

    def _run(self, program: Program, progress: Progress | None, simulate: Simulate) -> ChipRun:
        device = Device(program.fabric, simulate, program.symbols)
        driver = Driver(program, device)
        gathered = Gathered(program.plan, self.plan.shape, program.cuts)
        driver.run(gathered, progress)
        storage = gathered.storage(self.dtype)
        if self.out is not None and storage.format != self.out:
            storage = convert(storage, self.out)
        return ChipRun(
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
        )

    def draw(self, path: str | Path) -> None:
        """Writes a picture of the placed and routed fabric, an SVG file."""
        path = Path(path)
        require(path.suffix == ".svg", InputError, f"{path}: pictures are SVG: give a name that ends in .svg")
        picture = svg(self.mapping).encode()

        def fill(file: IO[bytes]) -> None:
            file.write(picture)

        replace_file(path, fill)

    def explain(self) -> str:
        """What became of the expression, in words."""
        plan, program = self.plan, self.program
        blocks = ", ".join(f"{count} {name}" for name, count in sorted(plan.graph.counts().items()))
        lines = [written(plan.assignment), f"  loops: {' > '.join(plan.order) or 'none'}"]
        if self.translated.choice is not None:
            lines.append(f"  {self.translated.choice.text()}")
        lines += [f"  {name}: {storage.format.short}" for name, storage in program.tensors.items()]
        lines.append(f"  result: {plan.form.short}")
        lines.append(f"  blocks: {blocks}")
        lines += [f"  {line}" for line in usage(self.mapping).lines()]
        cut = program.cuts.text()
        lines.append(f"  cut: {cut} ({program.cuts.pieces} pieces)" if cut else "  in one piece")
        lines.append(f"  configuration: {len(program.words)} words for {program.fabric.name}")
        return "\n".join(lines)


def compile(  # noqa: A001, PLR0913 (the word of the public face; keywords, each a choice of its own)
    text: str,
    *,
    fabric: str | Path | Fabric = "onyx-like",
    order: str | Sequence[str] | None = None,
    formats: Mapping[str, Any] | None = None,
    out_format: Format | str | Sequence[str] | None = None,
    semiring: str = "plus_times",
    copies: int | None = None,
    graph: GraphOptions = DEFAULT,
    **operands: Any,
) -> CompiledChip:
    """An assignment such as ``y(i) = A(i,j) * x(j)``, compiled for the accelerator.

    ``operands``: by name, as ``aerogel.evaluate`` takes them. ``fabric``: one that comes with aerogel
    (``onyx-like``, ``onyx-small``, ``onyx-large``), a file, or a ``Fabric``. ``order``: of loops, outermost
    first, None: that of the fewest cycles, as estimated; ``formats``: of operands by name; ``copies``: of the
    graph, side by side; None: chosen.
    ``out_format``: the result's; None: as the graph makes it. ``graph``: other ways to build it, with skips,
    on bit vectors, in lanes, or with a softmax of every row of the result (``chip.GraphOptions``).

    InputError for a text that cannot be read and operands that do not fit; ChipError where no graph does it,
    or where the fabric is too small: the message says what is short.
    """
    assignment = parse(text, semiring=semiring)
    request = Request.of(assignment)
    given: dict[str, Storage] = {name: operand(value, name) for name, value in operands.items()}
    missing = sorted(set(request.sources.values()) - set(given))
    require(not missing, InputError, f"{text}: no tensor was given for {', '.join(missing)}")
    extents(request.spelt, {name: storage.shape for name, storage in given.items()})
    require_defined(request.assignment, {name: given[source] for name, source in request.sources.items()})
    options = Options(_loops(order), formats, copies, graph)
    out = None if out_format is None else format_of(out_format, len(assignment.out.indices))
    dtypes = {name: given[source].dtype for name, source in request.sources.items()}
    dtype = result_dtype(request.assignment, dtypes)
    return CompiledChip(translated(request, given, load(fabric), options), dtype, out)


def _loops(order: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """``"ikj"``, ``"i,k,j"`` or a list of indices."""
    if not isinstance(order, str):
        return None if order is None else tuple(order)
    words = order.replace(",", " ").split()
    return tuple(words) if len(words) > 1 else tuple(order.strip())


def _traced(trace: tuple[int, int], by: Any) -> Simulate:
    """The simulator, which keeps the tokens of these cycles of its first run."""
    kept = [trace]

    def simulate(netlist: Netlist, arrays: Arrays, fabric: Fabric) -> Run:
        return by(netlist, arrays, fabric, trace=kept.pop() if kept else (0, 0))

    return simulate
