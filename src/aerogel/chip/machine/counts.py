"""What a run did, in actions: what energy is computed from. Exact numbers, never estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Opcode


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over all cells and channels of a run, or of several: counts add up (``a + b``; cycles, too).

    - ``cycles``: of the array's clock, from start to done, transfers between buffer and array included.
    - ``tokens``, ``hops``: tokens put into channels, and tokens times their channel's hops, of each kind.
      Stops, empty and done tokens count as well: they take a wire like payloads. A fork's copies each count.
    - ``steps``: cycles in which a cell of an opcode took or sent something.
    - ``idle``: cycles in which a cell of an opcode did nothing, for want of input or of room.
    - ``operations``: arithmetic on values by its name in OPERATIONS or FUNCTIONS; a reducer's folds, too.
    - ``memory_reads``, ``memory_writes``: words of memory tiles; a word is ``Fabric.word_bits`` wide.
    - ``buffer_reads``, ``buffer_writes``: words of the global buffer, for the array and for transfers.
    - ``dram_read_bytes``, ``dram_written_bytes``: between DRAM and the global buffer.
    - ``configuration_words``: of 32 bits, written to tiles.
    - ``processing_tiles``, ``memory_tiles``: in use. The largest number, where counts are added.
    """

    cycles: int = 0
    tokens: Mapping[Kind, int] = field(default_factory=dict[Kind, int])
    hops: Mapping[Kind, int] = field(default_factory=dict[Kind, int])
    steps: Mapping[Opcode, int] = field(default_factory=dict[Opcode, int])
    idle: Mapping[Opcode, int] = field(default_factory=dict[Opcode, int])
    operations: Mapping[str, int] = field(default_factory=dict[str, int])
    memory_reads: int = 0
    memory_writes: int = 0
    buffer_reads: int = 0
    buffer_writes: int = 0
    dram_read_bytes: int = 0
    dram_written_bytes: int = 0
    configuration_words: int = 0
    processing_tiles: int = 0
    memory_tiles: int = 0

    def __add__(self, other: Counts) -> Counts:
        changed: dict[str, int | dict[object, int]] = {}
        for at in fields(self):
            mine, theirs = getattr(self, at.name), getattr(other, at.name)
            if isinstance(mine, Mapping):
                changed[at.name] = dict(Counter(mine) + Counter(theirs))
            elif at.name in ("processing_tiles", "memory_tiles"):
                changed[at.name] = max(mine, theirs)
            else:
                changed[at.name] = mine + theirs
        return replace(self, **changed)  # pyright: ignore[reportArgumentType]
