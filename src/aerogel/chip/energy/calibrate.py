"""The published point that the model is made to meet: 2.65 pJ for a multiply-accumulate of the whole chip.

Koul and others, Onyx, VLSI Symposium 2024 and JSSC 2025: 756 GOPS/W in INT16 at 0.66 V and 500 MHz, dense;
an operation being a product or a sum, 1 / 756e9 J * 2 = 2.65 pJ. Its 571 GOPS at 850 MHz are 336
multiply-accumulates a cycle. The table alone comes to less: it lacks control, glitches, hold buffers, what is
between the blocks. Everything on the chip is therefore multiplied by the same factor; what that factor has to
make up for is the residual, and stands beside every figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from aerogel.chip.energy.bill import bill, machine_of
from aerogel.chip.energy.table import Table
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.netlist import Opcode, Values

PUBLISHED_PICOJOULES = 2e12 / 756e9
MACS_A_CYCLE = 336
SOURCE = "Koul and others, Onyx, VLSI 2024 and JSSC 2025: 756 GOPS/W, INT16, 0.66 V, 500 MHz, dense"
_CYCLES = 1000


@dataclass(frozen=True, slots=True)
class Point:
    """A measured point of a chip: ``picojoules`` for each of ``macs``, by ``counts`` on ``fabric``."""

    counts: Counts
    fabric: Fabric
    values: Values
    macs: int
    picojoules: float
    source: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """``table_picojoules``: what the table alone comes to at the point, for a multiply-accumulate.

    ``groups``: that by group. ``factor``: what everything on the chip is multiplied by.
    """

    point: Point
    table_picojoules: float
    groups: MappingProxyType[str, float]

    @property
    def factor(self) -> float:
        return self.point.picojoules / self.table_picojoules

    @property
    def residual_picojoules(self) -> float:
        """What the table leaves unexplained at the point, for a multiply-accumulate."""
        return self.point.picojoules - self.table_picojoules

    def __str__(self) -> str:
        meant, came, left = self.point.picojoules, self.table_picojoules, self.residual_picojoules
        return (
            f"{meant:.2f} pJ published for a multiply-accumulate, {came:.2f} by the table: "
            f"residual {left:.2f} pJ ({left / meant:.0%}), so times {self.factor:.2f}"
        )


def published_point() -> Point:
    """Onyx at its best, as counts that we derive: its papers give the rate and the power, not the actions.

    A cycle has 336 products and sums. Of each one operand comes over one hop from the tile beside, the other
    from the register file, and the sum goes on over one hop, as in a systolic chain. Every memory tile reads
    a word a cycle and takes one in every four; the buffer sends the array 16 words and takes 4. All tiles
    are in use.
    """
    fabric = Fabric(name="onyx")
    macs, tiles = MACS_A_CYCLE * _CYCLES, fabric.memory_tiles * _CYCLES
    moved = {Kind.VALUE: 2 * macs}
    counts = Counts(
        cycles=_CYCLES,
        tokens=moved,
        hops=moved,
        steps={Opcode.ALU: macs, Opcode.REDUCE: macs, Opcode.ARRAY: tiles},
        operations={"mul": macs, "add": macs},
        memory_reads=tiles,
        memory_writes=tiles // 4,
        buffer_reads=fabric.links * _CYCLES,
        buffer_writes=fabric.links * _CYCLES // 4,
        processing_tiles=fabric.processing_tiles,
        memory_tiles=fabric.memory_tiles,
    )
    return Point(counts, fabric, "int16", macs, PUBLISHED_PICOJOULES, SOURCE)


def calibrate(table: Table, point: Point | None = None) -> Calibration:
    """By Onyx's point, or another with its own counts (DRAM is outside of it)."""
    point = point or _published()
    machine = machine_of(point.fabric, table, point.values)
    seconds = point.counts.cycles / point.fabric.clock_hertz
    groups: dict[str, float] = {}
    for charge in bill(point.counts, machine, seconds):
        if charge.group != "DRAM":
            each = charge.joules * 1e12 / point.macs
            groups[charge.group] = groups.get(charge.group, 0.0) + each
    return Calibration(point, sum(groups.values()), MappingProxyType(groups))


@lru_cache(maxsize=1)
def _published() -> Point:
    return published_point()
