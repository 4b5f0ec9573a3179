"""A picture of a placed and routed fabric, as SVG: tiles with their cells, switches, and every channel's way.

A tile's switch is drawn below and to the right of it; between two switches run the tracks, each way on its
own side, track 0 in the middle. A dot is a fork. What a line or a tile is shows when the pointer rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Cell, Opcode
from aerogel.chip.mapping.mapping import Mapping, Route, Tile
from aerogel.chip.mapping.nets import End

Point = tuple[float, float]

_CORE, _EDGE, _LANE = 68.0, 8.0, 3.0
"""Side of a tile's box, space around it, and distance between tracks, in pixels."""
_TOP = 34.0
"""Room for the title and the key above the fabric."""
_LETTER = 5.4
"""Width of a letter of a cell's name, about."""
_KEY_ITEM = 88.0

COLOURS = {
    Kind.COORDINATE: "#1f6fb4",
    Kind.REFERENCE: "#c2571a",
    Kind.VALUE: "#2e8540",
    Kind.REPEAT: "#8a4fae",
    Kind.BITS: "#6b5b2e",
}
_STYLE = """
text { font: 10px sans-serif; fill: #222; }
.name { text-anchor: middle; }
.title { font-size: 13px; font-weight: bold; }
.tile { fill: #f7f7f7; stroke: #c4c4c4; }
.memory { fill: #e6eef6; stroke: #9fb4c9; }
.used.tile { fill: #ffffff; stroke: #444; stroke-width: 1.4; }
.used.memory { fill: #cfe0f1; }
.switch { fill: #ededed; stroke: #d5d5d5; }
.way { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
"""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The part of the fabric that is drawn, ``rows`` x ``columns`` tiles from ``first`` on."""

    first: Tile
    rows: int
    columns: int
    tracks: int

    @property
    def half(self) -> float:
        """Half the side of a switch."""
        return self.tracks * _LANE + 2

    @property
    def pitch(self) -> float:
        return _CORE + 2 * _EDGE + 2 * self.half

    @property
    def size(self) -> Point:
        least = 5 * _KEY_ITEM + 20
        return max(self.columns * self.pitch + _EDGE, least), self.rows * self.pitch + _TOP + _EDGE

    def corner(self, tile: Tile) -> Point:
        """The upper left corner of a tile's box."""
        column, row = tile.column - self.first.column, tile.row - self.first.row
        return column * self.pitch + _EDGE, row * self.pitch + _EDGE + _TOP

    def switch(self, tile: Tile) -> Point:
        """The middle of a tile's switch."""
        x, y = self.corner(tile)
        return x + _CORE + _EDGE / 2 + self.half, y + _CORE + _EDGE / 2 + self.half

    def lane(self, here: Tile, there: Tile, track: int) -> tuple[Point, Point]:
        """Both ends of a link, each at the edge of a switch."""
        (x, y), (to_x, to_y) = self.switch(here), self.switch(there)
        right, down = there.column - here.column, there.row - here.row
        # To the right of where a token goes.
        aside = (track + 0.5) * _LANE
        x, to_x = x - down * aside, to_x - down * aside
        y, to_y = y + right * aside, to_y + right * aside
        return (
            (x + right * self.half, y + down * self.half),
            (to_x - right * self.half, to_y - down * self.half),
        )

    def outlet(self, tile: Tile, port: int) -> Point:
        """Where output ``port`` leaves the box: at its lower edge."""
        x, y = self.corner(tile)
        return x + _CORE - 5 - 7 * port, y + _CORE

    def inlet(self, tile: Tile, port: int) -> Point:
        """Where input ``port`` enters the box: at its right edge."""
        x, y = self.corner(tile)
        return x + _CORE, y + _CORE - 5 - 7 * port


def svg(mapping: Mapping, *, whole: bool = False) -> str:
    """The picture; of the part in use and a tile around it, or of the whole fabric."""
    sheet = _sheet(mapping, whole=whole)
    width, height = sheet.size
    frame = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    label = quoteattr(_title(mapping, sheet))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} role="img" aria-label={label}>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
        *_head(mapping, sheet),
        *_tiles(mapping, sheet),
        *_ways(mapping, sheet),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _sheet(mapping: Mapping, *, whole: bool) -> _Sheet:
    fabric = mapping.fabric
    passed = [*mapping.tiles, *(tile for way in mapping.routes for tile in way.tiles)]
    if whole or not passed:
        return _Sheet(Tile(0, 0), fabric.rows, fabric.columns, fabric.tracks)
    rows, columns = [tile.row for tile in passed], [tile.column for tile in passed]
    top, left = max(min(rows) - 1, 0), max(min(columns) - 1, 0)
    bottom, right = min(max(rows) + 2, fabric.rows), min(max(columns) + 2, fabric.columns)
    return _Sheet(Tile(top, left), bottom - top, right - left, fabric.tracks)


def _title(mapping: Mapping, sheet: _Sheet) -> str:
    fabric, first = mapping.fabric, sheet.first
    copies = f", {mapping.copies} copies" if mapping.copies > 1 else ""
    part = ""
    if (sheet.rows, sheet.columns) != (fabric.rows, fabric.columns):
        part = (
            f": rows {first.row} to {first.row + sheet.rows - 1} of {fabric.rows}, "
            f"columns {first.column} to {first.column + sheet.columns - 1} of {fabric.columns}"
        )
    return f"{fabric.name}{copies}{part}"


def _head(mapping: Mapping, sheet: _Sheet) -> list[str]:
    lines = [f'<text class="title" x="{_EDGE:g}" y="15">{escape(_title(mapping, sheet))}</text>']
    known = {channel.kind for channel in mapping.netlist.channels}
    for at, kind in enumerate(kind for kind in Kind if kind in known):
        x = _EDGE + at * _KEY_ITEM
        lines += [
            f'<path class="way" d="M{x:g} 26h14" stroke="{COLOURS[kind]}"/>',
            f'<text x="{x + 18:g}" y="29.5">{kind.name.lower()}</text>',
        ]
    return lines


def _tiles(mapping: Mapping, sheet: _Sheet) -> list[str]:
    cells = {
        tile: cell
        for cell, tile in zip(mapping.netlist.cells, mapping.tiles, strict=True)
        if cell.opcode is not Opcode.FORK
    }
    lines: list[str] = []
    for row in range(sheet.first.row, sheet.first.row + sheet.rows):
        for column in range(sheet.first.column, sheet.first.column + sheet.columns):
            tile = Tile(row, column)
            lines += _tile(sheet, tile, cells.get(tile), memory=mapping.fabric.is_memory(column))
    return lines


def _tile(sheet: _Sheet, tile: Tile, cell: Cell | None, *, memory: bool) -> list[str]:
    x, y = sheet.corner(tile)
    cx, cy = sheet.switch(tile)
    kind = "memory" if memory else "processing"
    said = f"tile {tile}, {kind}" + (f": {cell.name}, {cell.opcode.name}" if cell else ", free")
    classes = " ".join(["tile", *(["memory"] if memory else []), *(["used"] if cell else [])])
    side = 2 * sheet.half
    switch = f'x="{cx - sheet.half:g}" y="{cy - sheet.half:g}" width="{side:g}" height="{side:g}"'
    box = f'x="{x:g}" y="{y:g}" width="{_CORE:g}" height="{_CORE:g}" rx="3"'
    lines = [
        f'<rect class="switch" {switch}/>',
        f'<rect class="{classes}" {box}><title>{escape(said)}</title></rect>',
    ]
    words = _broken(cell.name) if cell else []
    for at, word in enumerate(words):
        height = y + _CORE / 2 + 3.5 + 12 * (at - (len(words) - 1) / 2)
        lines.append(f'<text class="name" x="{x + _CORE / 2:g}" y="{height:g}">{escape(word)}</text>')
    return lines


def _broken(name: str) -> list[str]:
    """A name in lines that fit a tile, broken after underscores and before a copy's number; four at most."""
    most = int((_CORE - 8) / _LETTER)
    lines = [""]
    for part in name.replace("_", "_ ").replace("#", " #").split():
        if len(lines[-1]) + len(part) > most and lines[-1]:
            lines.append("")
        lines[-1] += part
    fine = [line if len(line) <= most else line[: most - 1] + "…" for line in lines]
    return fine if len(fine) <= 4 else [*fine[:3], "…"]


def _ways(mapping: Mapping, sheet: _Sheet) -> list[str]:
    netlist = mapping.netlist
    sources, readers = _ends(netlist.cells)
    starts: dict[int, Point] = {}
    lines: list[str] = []
    dots: list[str] = []
    # A fork's channels start where the one into it ends: in the order of numbers, it is drawn before them.
    for at, (channel, way) in enumerate(zip(netlist.channels, mapping.routes, strict=True)):
        source, reader = sources[at], readers[at]
        colour = COLOURS[channel.kind]
        points = [starts[at]] if at in starts else [sheet.outlet(way.tiles[0], source.port)]
        points += _passed(sheet, way)
        cell = netlist.cells[reader.cell]
        if cell.opcode is Opcode.FORK:
            starts.update(dict.fromkeys(cell.outputs, points[-1]))
            dots.append(_dot(points[-1], 2.6, colour))
        else:
            points.append(sheet.inlet(way.tiles[-1], reader.port))
            dots.append(_arrow(points[-1], colour))
        said = f"channel {at}: {netlist.cells[source.cell].name} to {cell.name}, {channel.hops} hops"
        path = "L".join(f"{x:g} {y:g}" for x, y in points)
        if len(points) > 1:
            lines.append(
                f'<path class="way" d="M{path}" stroke="{colour}"><title>{escape(said)}</title></path>'
            )
    return lines + dots


def _passed(sheet: _Sheet, way: Route) -> list[Point]:
    """The ends of all links of a route."""
    return [end for here, there in pairwise(way.tiles) for end in sheet.lane(here, there, way.track)]


def _ends(cells: tuple[Cell, ...]) -> tuple[dict[int, End], dict[int, End]]:
    """The output that feeds each channel, and the input that reads it."""
    sources = {c: End(at, port) for at, cell in enumerate(cells) for port, c in enumerate(cell.outputs)}
    readers = {c: End(at, port) for at, cell in enumerate(cells) for port, c in enumerate(cell.inputs)}
    return sources, readers


def _dot(at: Point, radius: float, colour: str) -> str:
    return f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="{radius:g}" fill="{colour}"/>'


def _arrow(at: Point, colour: str) -> str:
    """A head that points into a tile from the right."""
    x, y = at
    return f'<path d="M{x - 3:g} {y:g}l5 -2.6v5.2z" fill="{colour}"/>'
