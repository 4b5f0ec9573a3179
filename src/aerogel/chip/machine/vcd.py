"""A run's tokens as a value change dump (IEEE 1364-2005, section 18), which wave viewers read.

Each channel is a vector of 64 bits, the payload of the token that was put in (of values the bits of the
double), a string that shows the token, and a wire that is 1 in a cycle in which one was put in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from aerogel.chip.graph.streams import Done, Empty, Stop, Token
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Event, Run
from aerogel.chip.machine.report import ends
from aerogel.core.errors import ChipError, require

_FIRST, _SIGNS = 33, 94
"""Printable characters, of which identifiers are made."""


def vcd(netlist: Netlist, run: Run, *, clock_hertz: float) -> str:
    """The trace of a run that was asked for events; a cycle is 1 / ``clock_hertz`` (a whole number of ps)."""
    require(run.events, ChipError, "the run has no events: ask simulate for a trace, from a cycle to another")
    picoseconds = round(1e12 / clock_hertz)
    return "\n".join([*_header(netlist), *_changes(run.events, picoseconds), ""])


def _header(netlist: Netlist) -> Iterator[str]:
    _, sources = ends(netlist)
    yield "$timescale 1 ps $end"
    yield "$scope module array $end"
    for number, source in enumerate(sources):
        cell = netlist.cells[source]
        name = f"{cell.name}.{cell.outputs.index(number)}"
        yield f"$var wire 1 {_sign(number, 0)} {name}.valid $end"
        yield f"$var wire 64 {_sign(number, 1)} {name}.payload $end"
        yield f"$var string 1 {_sign(number, 2)} {name}.token $end"
    yield "$upscope $end"
    yield "$enddefinitions $end"
    yield "$dumpvars"
    for number in range(len(sources)):
        yield f"0{_sign(number, 0)}"
    yield "$end"


def _changes(events: tuple[Event, ...], picoseconds: int) -> Iterator[str]:
    """What changes, cycle by cycle; a wire that was 1 falls again unless another token comes at once."""
    raised: set[int] = set()
    by_cycle: dict[int, list[Event]] = {}
    for event in events:
        by_cycle.setdefault(event.cycle, []).append(event)
    last = max(by_cycle)
    for cycle in sorted({*by_cycle, *(cycle + 1 for cycle in by_cycle)}):
        now = by_cycle.get(cycle, [])
        yield f"#{cycle * picoseconds}"
        sent = {event.channel for event in now}
        yield from (f"0{_sign(channel, 0)}" for channel in sorted(raised - sent))
        for event in now:
            if event.channel not in raised:
                yield f"1{_sign(event.channel, 0)}"
            yield f"b{_bits(event.token)} {_sign(event.channel, 1)}"
            yield f"s{_shown(event.token)} {_sign(event.channel, 2)}"
        raised = sent
    yield f"#{(last + 2) * picoseconds}"


def _bits(token: Token) -> str:
    if isinstance(token, Stop | Empty | Done):
        return "z"
    if isinstance(token, float):
        return f"{struct.unpack('<Q', struct.pack('<d', token))[0]:b}"
    return f"{int(token):b}"


def _shown(token: Token) -> str:
    return repr(token).replace(" ", "_")


def _sign(channel: int, which: int) -> str:
    """An identifier, short and the same for the same signal."""
    number, sign = 3 * channel + which, ""
    while True:
        number, digit = divmod(number, _SIGNS)
        sign += chr(_FIRST + digit)
        if not number:
            return sign
