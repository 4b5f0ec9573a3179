"""From the node and voltage an energy was published for to those of the chip.

Node: E(to) = E(from) * P(to, V) / P(from, V) at the voltage V of the entry, P the polynomials that Stillmaker
and Baas fitted to simulated gates, table 6 (Integration 58, 2017; doi 10.1016/j.vlsi.2017.02.002); between
their nodes on a line. 12 nm here is GlobalFoundries' 12LP, a 14 nm process refined, and is taken as 14 nm.
Voltage: E ~ V squared. At 0.78 V the polynomial alone would give 5 % more than both rules together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, assert_never

from aerogel.core.errors import ChipError, require

Rule = Literal["logic", "wire", "leakage", "area", "cell", "fixed"]
"""``logic``: node and voltage. ``wire``: voltage alone, a millimetre of wire being one at every node.
``area``: node, as gates. ``leakage``: a power for an area of gates, as logic over area: gates leak in
proportion to what switching them takes. ``cell``: of the chip's own node, not scaled. ``fixed``: no matter of
the chip's node and voltage (DRAM, shares), not scaled."""

_ENERGY = {
    65.0: (3.755, -4.398, 1.975),
    45.0: (1.103, -0.362, 0.2767),
    32.0: (0.9559, -0.7823, 0.471),
    20.0: (0.373, -0.1582, 0.04104),
    16.0: (0.2958, -0.1241, 0.03024),
    14.0: (0.2363, -0.09675, 0.02239),
    10.0: (0.2068, -0.09311, 0.02375),
    7.0: (0.1776, -0.09097, 0.02447),
}
"""By node in nm: a, b, c of a V^2 + b V + c."""

_AREA = {65.0: 1.5, 45.0: 1.0, 32.0: 0.46, 20.0: 0.21, 16.0: 0.19, 14.0: 0.17, 10.0: 0.1, 7.0: 0.059}
"""By node in nm: the area of the same gates, that of 45 nm being 1 (same source, table 1)."""

_TAKEN_AS = {12.0: 14.0}
NODES = (min(_ENERGY), max(_ENERGY))


@lru_cache(maxsize=4096)
def factor(rule: Rule, source: tuple[float, float], target: tuple[float, float]) -> float:
    """What an entry of ``rule`` for a (node in nm, volts) is multiplied by at another one."""
    (node, volts), (to, supply) = source, target
    match rule:
        case "logic":
            return _gate(to, volts) / _gate(node, volts) * (supply / volts) ** 2
        case "leakage":
            return factor("logic", source, target) / factor("area", source, target)
        case "wire":
            return (supply / volts) ** 2
        case "area":
            return _between(_AREA, to) / _between(_AREA, node)
        case "cell" | "fixed":
            return 1.0
        case _:
            assert_never(rule)


def _gate(node: float, volts: float) -> float:
    """P of the source above: energy of a gate's transition, in arbitrary units."""
    return _between({at: a * volts**2 + b * volts + c for at, (a, b, c) in _ENERGY.items()}, node)


def _between(known: dict[float, float], node: float) -> float:
    node = _TAKEN_AS.get(node, node)
    least, most = NODES
    told = f"the node {node:g} nm is outside {least:g} to {most:g} nm, where energies can be scaled"
    require(least <= node <= most, ChipError, told)
    below = max(at for at in known if at <= node)
    above = min(at for at in known if at >= node)
    if below == above:
        return known[below]
    share = (node - below) / (above - below)
    return known[below] + share * (known[above] - known[below])
