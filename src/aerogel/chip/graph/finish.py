"""What comes after an expression's values: a softmax of rows, droppers, writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aerogel.chip.graph.blocks import (
    Alu,
    AluFunction,
    Drop,
    Reduce,
    Repeat,
    WriteLevel,
    WriteValues,
)
from aerogel.chip.graph.compose import Axis, Made
from aerogel.chip.graph.graph import Port
from aerogel.chip.graph.streams import Kind
from aerogel.chip.graph.wiring import Wiring
from aerogel.core.errors import ChipError, require


def written(wiring: Wiring, name: str, made: Made, *, drop: bool) -> tuple[Axis, ...]:
    """Droppers, where ``drop``, and writers; the axes as they are written."""
    axes, val = list(made.axes), made.val
    if drop:
        axes, val = _dropped(wiring, axes, val, sums=made.sums)
    for level, axis in enumerate(axes):
        if not axis.full:
            wiring.add(WriteLevel(name, level), f"write_{name}_{axis.index}", axis.crd)
    wiring.add(WriteValues(name), f"write_{name}_values", val)
    return tuple(axes)


def _dropped(wiring: Wiring, axes: list[Axis], val: Port, *, sums: bool) -> tuple[list[Axis], Port]:
    """From the innermost level out: where a level may lose its last coordinate, the one above it may too."""
    emptied = False
    if axes and sums and not axes[-1].full:
        last = _patient(wiring, axes[-1])
        crd, val = wiring.add(Drop(Kind.VALUE), f"drop_{last.index}_values", last.crd, val)
        axes[-1] = replace(last, crd=crd)
        emptied = True
    for at in range(len(axes) - 2, -1, -1):
        outer, inner = _patient(wiring, axes[at]), axes[at + 1]
        emptied = (emptied or inner.hollow) and not inner.full
        if emptied and not outer.full:
            first, second = wiring.add(Drop(), f"drop_{outer.index}_{inner.index}", outer.crd, inner.crd)
            axes[at], axes[at + 1] = replace(outer, crd=first), replace(inner, crd=second)
    return axes, val


def _patient(wiring: Wiring, axis: Axis) -> Axis:
    """The axis, its coordinates in a buffer where many must be sent before a dropper can take the first."""
    if axis.full or not axis.ahead:
        return axis
    return replace(axis, crd=wiring.fiber(axis.crd, Kind.COORDINATE, axis.ahead), ahead=0)


def softmax(wiring: Wiring, made: Made, extents: Mapping[str, int]) -> Made:
    """Of every innermost fiber, over what it stores: what is masked out takes no part, and stays out.

    exp(v - max v) / sum exp(v - max v). A fiber waits in a buffer for its maximum, and then for its sum.
    """
    require(made.axes, ChipError, "a softmax runs along the last index of a result, but this is a scalar")
    axis = made.axes[-1]
    extent = extents[axis.index]
    (most,) = wiring.add(Reduce("max"), "max_of_row", made.val)
    crd = wiring.fiber(axis.crd, Kind.COORDINATE, extent)
    (most,) = wiring.add(Repeat(Kind.VALUE), "repeat_max", crd, most)
    val = wiring.fiber(made.val, Kind.VALUE, extent)
    (less,) = wiring.add(Alu("sub"), "less_max", val, most)
    (powers,) = wiring.add(AluFunction("exp"), "exp", less)
    (total,) = wiring.add(Reduce(), "sum_of_row", powers)
    crd = wiring.fiber(crd, Kind.COORDINATE, extent)
    (total,) = wiring.add(Repeat(Kind.VALUE), "repeat_sum", crd, total)
    (shares,) = wiring.add(Alu("div"), "share", wiring.fiber(powers, Kind.VALUE, extent), total)
    return Made(made.axes, shares)
