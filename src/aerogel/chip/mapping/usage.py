"""How much of a fabric a mapping uses, for people and for reports."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.mapping.mapping import Mapping, Tile
from aerogel.chip.mapping.region import Needs, needs, whole


@dataclass(frozen=True, slots=True)
class Usage:
    """``tiles`` of ``all_tiles`` have a cell, ``links`` of ``all_links`` a channel: a link is one track, one
    way, between neighbours. ``hops``: of the longest channel; ``busiest``: the tile that most links leave,
    and how many do, of ``ways_out`` at most."""

    copies: int
    cells: int
    forks: int
    tiles: Needs
    all_tiles: Needs
    links: int
    all_links: int
    hops: int
    busiest: tuple[Tile, int] | None
    ways_out: int

    def lines(self) -> list[str]:
        """For a terminal."""
        memory = f"{self.tiles.memory} of {self.all_tiles.memory} memory tiles"
        processing = f"{self.tiles.processing} of {self.all_tiles.processing} processing tiles"
        mean = f"{self.links} of {self.all_links} links ({self.links / self.all_links:.1%})"
        copies = f"{self.copies} copies, " if self.copies > 1 else ""
        found = [
            f"{copies}{self.cells} cells on {processing} and {memory}, forks in switches: {self.forks}",
            f"{mean}, the longest channel over {self.hops} hops",
        ]
        if self.busiest is not None:
            tile, count = self.busiest
            found.append(f"most links leave tile {tile}: {count} of {self.ways_out}")
        return found


def usage(mapping: Mapping) -> Usage:
    """Of a mapping."""
    cells = mapping.netlist.cells
    forks = sum(cell.opcode is Opcode.FORK for cell in cells)
    out = Counter(link.tile for way in mapping.routes for link in way.links())
    fabric = mapping.fabric
    return Usage(
        copies=mapping.copies,
        cells=len(cells) - forks,
        forks=forks,
        tiles=needs(cells),
        all_tiles=whole(fabric).has,
        links=sum(out.values()),
        all_links=_links(fabric),
        hops=max((way.hops for way in mapping.routes), default=0),
        busiest=min(out.items(), key=lambda item: (-item[1], item[0])) if out else None,
        ways_out=4 * fabric.tracks,
    )


def _links(fabric: Fabric) -> int:
    """All there are: both ways between neighbours, every track."""
    rows, columns = fabric.rows, fabric.columns
    return 2 * fabric.tracks * (rows * (columns - 1) + columns * (rows - 1))
