"""How busy every cell was, and what held up the run: a report for people, from a run's counts."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import CellUse, Run


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The cell that sets the pace: ``busy`` is the share of the array's cycles it moved in, ``because`` a
    sentence."""

    cell: int
    name: str
    busy: float
    because: str


def bottleneck(run: Run) -> Bottleneck | None:
    """The cell that is occupied longest, moving or waiting for its memory: nothing is done before it is. None
    for a netlist without cells."""
    if not run.cells:
        return None
    here = max(range(len(run.cells)), key=lambda at: (_occupied(run.cells[at]), -at))
    use = run.cells[here]
    return Bottleneck(here, use.name, share(use.busy, run), _because(use, run))


def _occupied(use: CellUse) -> int:
    return use.busy + use.waiting_memory


def _because(use: CellUse, run: Run) -> str:
    if use.waiting_memory > use.busy:
        part = share(use.waiting_memory, run)
        return (
            f"it waits for lines of the global buffer in {part:.0%} of the cycles: "
            "its arrays do not fit a tile"
        )
    moves = f"it moves in {share(use.busy, run):.0%} of the cycles, one token at a time"
    if 10 * max(use.waiting_input, use.waiting_output) < run.array_cycles:
        return moves
    if use.waiting_input >= use.waiting_output:
        return (
            f"{moves}, and waits for input in {share(use.waiting_input, run):.0%}: nobody is busy all along"
        )
    return f"{moves}, and for room in {share(use.waiting_output, run):.0%}: nobody is busy all along"


def share(cycles: int, run: Run) -> float:
    """Of the cycles in which the array ran; 0 of none."""
    return cycles / run.array_cycles if run.array_cycles else 0.0


def report(netlist: Netlist, run: Run) -> str:
    """A table: each cell's shares of the array's cycles, moving and waiting; tokens; the bottleneck."""
    width = max([4, *(len(use.name) for use in run.cells)])
    lines = [f"{'cell':<{width}}  moves  input  output  memory  done"]
    for use in run.cells:
        parts = (use.busy, use.waiting_input, use.waiting_output, use.waiting_memory)
        done = run.array_cycles - sum(parts)
        busy, waits, room, memory, rest = (f"{share(n, run):.0%}" for n in (*parts, done))
        lines.append(f"{use.name:<{width}}  {busy:>5}  {waits:>5}  {room:>6}  {memory:>6}  {rest:>4}")
    found = bottleneck(run)
    lines.append(
        f"{run.cycles} cycles: {run.fill_cycles} to load memories, {run.array_cycles} of the array, "
        f"{run.drain_cycles} to store results"
    )
    tokens, hops = sum(run.counts.tokens.values()), sum(run.counts.hops.values())
    lines.append(f"{tokens} tokens through {len(netlist.channels)} channels, {hops} hops between tiles")
    if found is not None:
        lines.append(f"bottleneck: {found.name}: {found.because}")
    return "\n".join(lines)
