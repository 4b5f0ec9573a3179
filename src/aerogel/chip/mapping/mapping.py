"""A mapping: on which tile each cell is, and which way each channel takes.

The interconnect, as the router, the checker and the configuration's words all see it: from every tile to each
of its four neighbours go ``Fabric.tracks`` channels of one token a cycle, a *link* each. A switch passes what
came in on a track on to the same track of other sides, so a channel keeps its track all the way; a tile's
outputs may enter any track of any side, and its inputs may listen to any. Where one output has several
readers, the links it takes form a tree, and a ``FORK`` stands in the switch at each place where that
branches. See ADR 0030.
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Netlist


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The tile in row ``row`` from the top and column ``column`` from the left, both from 0."""

    row: int
    column: int

    def __str__(self) -> str:
        return f"({self.row}, {self.column})"


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One track of the wires from ``tile`` to its neighbour ``to``."""

    tile: Tile
    to: Tile
    track: int


@dataclass(frozen=True, slots=True)
class Route:
    """The tiles a channel passes, from its source's to its reader's, neighbour by neighbour, on one track.

    A channel within a tile (from an output to the fork beside it, or from a fork into the tile) has one tile.
    """

    tiles: tuple[Tile, ...]
    track: int

    @property
    def hops(self) -> int:
        return len(self.tiles) - 1

    def links(self) -> tuple[Link, ...]:
        """The links it takes, in order."""
        pairs = zip(self.tiles, self.tiles[1:], strict=False)
        return tuple(Link(here, there, self.track) for here, there in pairs)


@dataclass(frozen=True, slots=True)
class Mapping:
    """``tiles``: of each cell of ``netlist`` (of a fork: the tile in whose switch it is); ``routes``: of each
    of its channels, which have the latencies, capacities and hops of these routes.

    ``copies``: how often the mapped graph stands on the fabric. Cells, channels and segments of copy k follow
    those of copy k - 1, so number i of copy k is number k * (all / copies) + i.
    """

    fabric: Fabric
    netlist: Netlist
    tiles: tuple[Tile, ...]
    routes: tuple[Route, ...]
    copies: int = 1
