"""The public face: an expression and its tensors, compiled for a fabric; simulated, drawn, explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aerogel.chip.defined import require_defined
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.fabric.read import load
from aerogel.chip.firmware.cuts import Cuts
from aerogel.chip.firmware.device import Simulate
from aerogel.chip.firmware.driver import Progress
from aerogel.chip.firmware.program import Program
from aerogel.chip.firmware.translate import Options, Translated
from aerogel.chip.firmware.turns import Part, parts
from aerogel.chip.graph.build import DEFAULT, Plan
from aerogel.chip.graph.build import Options as GraphOptions
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.simulate import simulate as by_cycles
from aerogel.chip.machine.step import Arrays
from aerogel.chip.mapping.draw import svg
from aerogel.chip.mapping.mapping import Mapping as Mapped
from aerogel.chip.mapping.usage import usage
from aerogel.chip.run import ChipRun, run_part
from aerogel.core.errors import InputError, require
from aerogel.core.files import write_file
from aerogel.einsum.check import extents
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text as written
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, format_of
from aerogel.tensor.coerce import operand
from aerogel.tensor.request import Request


@dataclass(frozen=True, slots=True)
class CompiledChip:
    """An expression on a fabric, for tensors of known shapes.

    ``parts``: what is configured, one after another; one, where all of it fits the fabric at once. Each gives
    an operand of later ones, the last one the result: ``plan``, ``program``, ``mapping`` and ``cuts`` are of
    that one. ``reason``: why there is more than one, or "". ``given``: operands by their own names.
    """

    parts: tuple[Part, ...]
    given: Mapping[str, Storage]
    out: Format | None
    reason: str = ""

    @property
    def translated(self) -> Translated:
        return self.parts[-1].translated

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
        """The words that the fabric is configured with: see ``configure/layout.py``. Those of several parts
        follow one another, each with its header, which says how many there are."""
        return tuple(word for part in self.parts for word in part.translated.program.words)

    def simulate(
        self,
        progress: Progress | None = None,
        *,
        trace: tuple[int, int] | None = None,
        simulate: Simulate | None = None,
    ) -> ChipRun:
        """Runs every piece of every part on the emulated device. ChipError, DeadlockError: what went wrong,
        and where.

        ``trace``: of the first run, the tokens from one cycle to before another are kept. ``simulate``: what
        runs the array; None: the cycle simulator in machine code.
        """
        simulate = simulate or by_cycles
        if trace is not None:
            simulate = _traced(trace, simulate)
        known = dict(self.given)
        runs: list[ChipRun] = []
        for part in self.parts:
            out = self.out if part is self.parts[-1] else None
            told = self._beyond(progress, len(runs))
            run, known[part.name] = run_part(part.of(known), out, told, simulate)
            runs.append(replace(run, rearranged=part.rearranged(known)))
        return runs[-1].after(runs[:-1]) if len(runs) > 1 else runs[0]

    def _beyond(self, progress: Progress | None, at: int) -> Progress | None:
        """``progress`` of all parts, for part number ``at``."""
        pieces = [part.translated.program.cuts.pieces for part in self.parts]
        if progress is None or len(pieces) == 1:
            return progress
        before, after = sum(pieces[:at]), sum(pieces[at + 1 :])
        return lambda done, total: progress(before + done, before + total + after)

    def draw(self, path: str | Path) -> tuple[Path, ...]:
        """Writes a picture of the placed and routed fabric, an SVG file: ``fabric.svg``; of several parts one
        each, ``fabric-1.svg`` and so on. The files written."""
        path = Path(path)
        require(path.suffix == ".svg", InputError, f"{path}: pictures are SVG: give a name that ends in .svg")
        paths = numbered(path, len(self.parts))
        for one, part in zip(paths, self.parts, strict=True):
            write_file(one, svg(part.translated.mapping).encode())
        return paths

    def explain(self) -> str:
        """What became of the expression, in words."""
        if len(self.parts) == 1:
            return _explained(self.parts[0])
        count = len(self.parts)
        told = (
            f"{self.reason}: {count} configurations take turns, the result of each kept for those that follow"
        )
        return "\n".join([told, *(f"{at}. {_explained(part)}" for at, part in enumerate(self.parts, 1))])


def numbered(path: Path, count: int) -> tuple[Path, ...]:
    """A file for each of ``count`` parts: of one, ``path`` itself."""
    if count == 1:
        return (path,)
    return tuple(path.with_stem(f"{path.stem}-{at}") for at in range(1, count + 1))


def _explained(part: Part) -> str:
    done = part.translated
    plan, program = done.plan, done.program
    blocks = ", ".join(f"{count} {name}" for name, count in sorted(plan.graph.counts().items()))
    lines = [written(plan.assignment), f"  loops: {' > '.join(plan.order) or 'none'}"]
    if plan.loops != plan.order:
        lines[-1] += f", sums apart: {' > '.join(plan.loops)}"
    if done.choice is not None:
        lines.append(f"  {done.choice.text()}")
    lines += [f"  {name}: {storage.format.short}" for name, storage in program.tensors.items()]
    lines.append(f"  result: {plan.form.short}")
    lines.append(f"  blocks: {blocks}")
    lines += [f"  {line}" for line in usage(done.mapping).lines()]
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

    Where the fabric has too few tiles for all of it, it is cut at intermediate results and its parts take
    turns (``explain`` says so).

    InputError for a text that cannot be read and operands that do not fit; ChipError where no graph does it,
    or where the fabric is too small for any part of it: the message says what is short.
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
    found, reason = parts(request, given, load(fabric), options)
    return CompiledChip(found, given, out, reason)


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
