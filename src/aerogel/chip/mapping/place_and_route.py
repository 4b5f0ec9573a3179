"""From a netlist to its mapping on a fabric: does it fit, where is everything, which way do tokens go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.mapping.balance import balanced
from aerogel.chip.mapping.fit import FitError, loose, most_copies, require_fit, tight
from aerogel.chip.mapping.mapping import Mapping
from aerogel.chip.mapping.nets import Nets, nets_of
from aerogel.chip.mapping.place import place
from aerogel.chip.mapping.region import Region
from aerogel.chip.mapping.route import Congestion, route
from aerogel.chip.mapping.unroll import unrolled
from aerogel.core.errors import ChipError, require

SEEDS = 2
"""Placements tried in a region before the next is."""

SHAPES = 2
"""Shapes of region tried for a number of copies before there are fewer."""


def place_and_route(
    netlist: Netlist, fabric: Fabric, copies: int | None = 1, *, most: int | None = None
) -> Mapping:
    """The netlist on the fabric, ``copies`` times side by side; None: as often as fits and can be routed, but
    no more than ``most`` times.

    The cells that take a tile keep their order and come first, then the forks, which are made anew where
    routes branch. The same netlist and fabric give the same mapping.

    FitError where there are not enough tiles of a kind, or where wires find no way: it says what is short.
    """
    for asked in (copies, most):
        require(asked is None or asked >= 1, ChipError, f"{asked} copies are none: ask for 1 or more")
    nets = nets_of(netlist)
    require_fit(nets, fabric, copies or 1)
    if copies == 1:
        return _settled(nets, loose(nets.cells, fabric), 1, fabric)
    if copies is not None:
        return _settled(nets, _several(nets, fabric, copies), copies, fabric)
    fitting = most_copies(nets, fabric)
    for count in range(fitting if most is None else min(most, fitting), 1, -1):
        if isinstance(found := _tried(nets, _several(nets, fabric, count), count), Mapping):
            return found
    return _settled(nets, loose(nets.cells, fabric), 1, fabric)


def _several(nets: Nets, fabric: Fabric, copies: int) -> Iterator[Region]:
    return islice(tight(nets.cells, fabric, copies), SHAPES)


def _settled(nets: Nets, regions: Iterator[Region], copies: int, fabric: Fabric) -> Mapping:
    """The mapping in the first region where it succeeds; FitError where it does in none."""
    found = _tried(nets, regions, copies)
    if isinstance(found, Mapping):
        return found
    if found is None:
        raise FitError(
            f"{copies} copies do not fit {fabric.name} side by side, though it has the tiles: map fewer, "
            "or ask for as many as fit"
        )
    where = Counter(str(link.tile) for link in found.links)
    busiest = ", ".join(tile for tile, _ in where.most_common(4))
    raise FitError(
        f"wires find no way on {fabric.name}, tracks = {fabric.tracks}: {len(found.links)} links are "
        f"wanted twice, most around tiles {busiest}; use a fabric with more tracks or tiles, or fewer copies"
    )


def _tried(nets: Nets, regions: Iterator[Region], copies: int) -> Mapping | Congestion | None:
    """The mapping in the first region where wires find their way; else where the last ones did not."""
    last: Congestion | None = None
    for region in regions:
        for seed in range(SEEDS):
            tiles = place(nets, region, seed)
            ways = route(nets, tiles, region)
            if not isinstance(ways, Congestion):
                return unrolled(balanced(nets, tiles, ways, region), region, copies)
            last = ways
    return last
