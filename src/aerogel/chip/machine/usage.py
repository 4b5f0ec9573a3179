"""How busy every cell was, and what held up the run: a report for people, from a run's counts."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import CellUse, Run
from aerogel.chip.machine.report import ends


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The cell that the others wait for: ``busy`` is the share of the array's cycles it moved in, ``because``
    a sentence."""

    cell: int
    name: str
    busy: float
    because: str


def bottleneck(netlist: Netlist, run: Run) -> Bottleneck | None:
    """Follows the waits from the cell that waits most: to whom it wants tokens from, or room of, most of all.

    Of those that feed a waiting cell the one that waits least for its own input is followed; a cell that is
    busy, or waits for memory, more than for others ends the walk. None for a netlist without cells.
    """
    if not run.cells:
        return None
    readers, sources = ends(netlist)
    here = max(range(len(run.cells)), key=lambda at: (_waits(run.cells[at]), -at))
    seen: set[int] = set()
    while here not in seen:
        seen.add(here)
        use = run.cells[here]
        if use.busy + use.waiting_memory >= _waits(use):
            break
        cell = netlist.cells[here]
        if use.waiting_input >= use.waiting_output:
            others = [sources[channel] for channel in cell.inputs]
            following = min(others, key=lambda at: (run.cells[at].waiting_input, at), default=here)
        else:
            others = [readers[channel] for channel in cell.outputs if channel >= 0]
            following = min(others, key=lambda at: (run.cells[at].waiting_output, at), default=here)
        here = following
    use = run.cells[here]
    return Bottleneck(here, use.name, share(use.busy, run), _because(use, run))


def _waits(use: CellUse) -> int:
    return use.waiting_input + use.waiting_output


def _because(use: CellUse, run: Run) -> str:
    if use.waiting_memory > use.busy:
        part = share(use.waiting_memory, run)
        return (
            f"it waits for lines of the global buffer in {part:.0%} of the cycles: "
            "its arrays do not fit a tile"
        )
    if use.busy >= _waits(use):
        return f"it moves in {share(use.busy, run):.0%} of the cycles, one token at a time"
    return "cells wait for one another in turn: more room in channels would help, if anything"


def share(cycles: int, run: Run) -> float:
    """Of the cycles in which the array ran; 0 of none."""
    return cycles / run.array_cycles if run.array_cycles else 0.0


def report(netlist: Netlist, run: Run) -> str:
    """A table: each cell's shares of the array's cycles, moving and waiting; then the bottleneck."""
    width = max([4, *(len(use.name) for use in run.cells)])
    lines = [f"{'cell':<{width}}  moves  input  output  memory  done"]
    for use in run.cells:
        parts = (use.busy, use.waiting_input, use.waiting_output, use.waiting_memory)
        done = run.array_cycles - sum(parts)
        busy, waits, room, memory, rest = (f"{share(n, run):.0%}" for n in (*parts, done))
        lines.append(f"{use.name:<{width}}  {busy:>5}  {waits:>5}  {room:>6}  {memory:>6}  {rest:>4}")
    found = bottleneck(netlist, run)
    lines.append(
        f"{run.cycles} cycles: {run.fill_cycles} to load memories, {run.array_cycles} of the array, "
        f"{run.drain_cycles} to store results"
    )
    if found is not None:
        lines.append(f"bottleneck: {found.name}: {found.because}")
    return "\n".join(lines)
