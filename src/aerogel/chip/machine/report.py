"""What is said of a run that cannot go on: a fault, a deadlock, too many cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Never

from aerogel.chip.machine.faults import MEANINGS, Fault
from aerogel.chip.machine.netlist import Netlist
from aerogel.core.errors import ChipError

_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Waiting:
    """A cell that cannot move: the inputs it lacks tokens in, or the outputs that have no room."""

    cell: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class DeadlockError(ChipError):
    """Nothing moves, nothing is under way, and not every cell is done. ``waiting``: who, and for what;
    ``ring``: cells of which each waits for the next, and the last for the first; empty where there is
    none."""

    def __init__(self, message: str, waiting: tuple[Waiting, ...], ring: tuple[int, ...]) -> None:
        super().__init__(message)
        self.waiting, self.ring = waiting, ring


class FaultError(ChipError):
    """A cell stopped. ``fault``: why; ``cell``: its number."""

    def __init__(self, message: str, fault: Fault, cell: int) -> None:
        super().__init__(message)
        self.fault, self.cell = fault, cell


def faulty(netlist: Netlist, cell: int, cycle: int, fault: Fault, detail: int) -> Never:
    """FaultError for a fault that a cell found."""
    found = netlist.cells[cell]
    raise FaultError(
        f"cycle {cycle}: {found.name} ({found.opcode.name}) stops: {MEANINGS[fault].format(detail=detail)}",
        fault,
        cell,
    )


def too_long(limit: int) -> Never:
    raise ChipError(f"not done after {limit} cycles, and still moving: give a higher limit")


def stuck(netlist: Netlist, cycle: int, waiting: Sequence[Waiting], levels: Sequence[int]) -> Never:
    """DeadlockError: every blocked cell and what it waits for, full and empty channels, and a ring of waits.

    ``levels``: tokens in each channel.
    """
    readers, sources = ends(netlist)
    name = [cell.name for cell in netlist.cells]
    wants: dict[int, list[int]] = {}
    lines: list[str] = []
    for one in waiting:
        cell = netlist.cells[one.cell]
        parts: list[str] = []
        for port in one.inputs:
            channel = cell.inputs[port]
            wants.setdefault(one.cell, []).append(sources[channel])
            parts.append(f"a token from {name[sources[channel]]} (channel {channel}, empty)")
        for port in one.outputs:
            channel = cell.outputs[port]
            wants.setdefault(one.cell, []).append(readers[channel])
            held = f"{levels[channel]} of {netlist.channels[channel].capacity}"
            parts.append(f"room towards {name[readers[channel]]} (channel {channel}, full: {held})")
        lines.append(f"  {cell.name} ({cell.opcode.name}) waits for {' and '.join(parts)}")
    ring = _ring(wants)
    full = [c for c, level in enumerate(levels) if level >= netlist.channels[c].capacity]
    text = [
        f"deadlock in cycle {cycle}: {len(waiting)} of {len(netlist.cells)} cells wait and nothing moves",
        *lines[:_MOST_LISTED],
    ]
    if len(lines) > _MOST_LISTED:
        text.append(f"  and {len(lines) - _MOST_LISTED} more")
    text.append(
        f"full channels: {_listed(full)}; empty: {_listed([c for c, n in enumerate(levels) if not n])}"
    )
    if ring:
        text.append("in a ring: " + " -> ".join(name[c] for c in (*ring, ring[0])))
        text.append("give a channel on it more room (a Buffer of a fiber's length, say)")
    raise DeadlockError("\n".join(text), tuple(waiting), ring)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_LISTED]))
    return (shown or "none") + (" ..." if len(numbers) > _MOST_LISTED else "")


def ends(netlist: Netlist) -> tuple[list[int], list[int]]:
    """The cells that read and that feed each channel."""
    readers, sources = [-1] * len(netlist.channels), [-1] * len(netlist.channels)
    for number, cell in enumerate(netlist.cells):
        for channel in cell.inputs:
            readers[channel] = number
        for channel in cell.outputs:
            if channel >= 0:
                sources[channel] = number
    return readers, sources


def _ring(wants: Mapping[int, Sequence[int]]) -> tuple[int, ...]:
    """Cells of which each waits for the next: the first ring that a walk from the lowest number finds."""
    done: set[int] = set()
    for start in sorted(wants):
        path: list[int] = []
        choices = [iter([start])]
        while choices:
            here = next(choices[-1], None)
            if here is None:
                choices.pop()
                if path:
                    done.add(path.pop())
            elif here in path:
                return tuple(path[path.index(here) :])
            elif here not in done and here in wants:
                path.append(here)
                choices.append(iter(wants[here]))
    return ()
