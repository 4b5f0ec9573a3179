"""A fabric: everything about the machine that a user may change, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.chip.machine.netlist import Values


@dataclass(frozen=True, slots=True)
class Dram:
    """Memory off the chip. ``picojoules_per_bit``: with its source in the energy table, by ``kind``."""

    kind: Literal["LPDDR4", "HBM2", "HBM3"] = "LPDDR4"
    bytes_per_second: float = 25.6e9
    latency_seconds: float = 100e-9


@dataclass(frozen=True, slots=True)
class Fabric:
    """A grid of ``rows`` x ``columns`` tiles; after every ``processing_columns`` columns of processing tiles
    stands one of memory tiles.

    - ``tracks``: channels each way between neighbouring tiles; ``fifo_depth``: tokens a hop holds;
      ``input_queue``: tokens that each input of a tile holds besides, 0 where there is no such queue.
    - ``memory_words``: of a memory tile, ``word_bits`` each; ``line_words``: what it fetches at a time where
      an array does not fit and the tile holds only parts of it.
    - ``buffer_bytes``: of the global buffer, in ``buffer_banks`` banks; ``links``: words a cycle it can send
      to the array, and as many back; ``buffer_latency``: cycles from a request to the first word.
    - ``values``: what arithmetic is done in; ``word_bits``: of coordinates and references, which limits how
      large a piece of a tensor may be before the driver cuts it.
    """

    name: str
    rows: int = 16
    columns: int = 32
    processing_columns: int = 3
    tracks: int = 5
    fifo_depth: int = 2
    input_queue: int = 0
    word_bits: int = 16
    values: Values = "bf16"
    memory_words: int = 2048
    line_words: int = 16
    buffer_bytes: int = 4 << 20
    buffer_banks: int = 32
    buffer_latency: int = 8
    links: int = 16
    clock_hertz: float = 500e6
    volts: float = 0.66
    dram: Dram = Dram()

    def room(self, cycles: int, *, into_tile: bool) -> int:
        """Tokens that a channel of so many cycles holds; ``into_tile``: it ends in a tile, not in a fork in a
        switch."""
        return cycles * self.fifo_depth + (self.input_queue if into_tile else 0)

    def is_memory(self, column: int) -> bool:
        """Whether the tiles of a column are memories."""
        return column % (self.processing_columns + 1) == self.processing_columns

    @property
    def memory_tiles(self) -> int:
        """How many tiles are memories."""
        return self.rows * sum(map(self.is_memory, range(self.columns)))

    @property
    def processing_tiles(self) -> int:
        """How many tiles compute."""
        return self.rows * self.columns - self.memory_tiles
