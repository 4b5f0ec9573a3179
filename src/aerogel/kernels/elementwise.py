"""Elementwise steps over whole activations, whatever the layout; sizes are multiples of the lanes.

Work is split over threads in runs of vectors. NaN and infinities go through as in NumPy (for activations
see ``approx``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from aerogel.core.errors import UnsupportedError, require
from aerogel.kernels.approx import ACTIVATIONS, Lets, Names
from aerogel.kernels.layout import Layout
from aerogel.kernels.pack import share, sink, source
from aerogel.loop.nodes import I64, Binary, Block, Expr, For, Function, Var, VLoad, VStore

SIZE = Var("size", I64)


def activate(layout: Layout, fn: str, *, in_place: bool = False) -> Function:
    """``activate_FN(x, out, size)``: out = FN(x) over ``size`` elements; in place: ``(out, size)``."""
    require(
        fn in ACTIVATIONS, UnsupportedError, f"no activation {fn!r}: choose one of {', '.join(ACTIVATIONS)}"
    )
    x, out = source("x"), sink("out")
    origin = out if in_place else x

    def vector(at: Expr, body: Lets) -> None:
        body.add(VStore(out, at, ACTIVATIONS[fn](body.let(VLoad(origin, at, layout.lanes), "value"), body)))

    params = (out, SIZE) if in_place else (x, out, SIZE)
    return Function(f"activate_{fn}{'_in_place' if in_place else ''}", params, _each(layout, vector))


def combine(layout: Layout, op: Literal["add", "mul"], *, in_place: bool = False) -> Function:
    """``OP(a, b, out, size)``: out = a OP b over ``size`` elements; in place ``(out, b, size)``, a = out."""
    a, b, out = source("a"), source("b"), sink("out")
    first = out if in_place else a

    def vector(at: Expr, body: Lets) -> None:
        body.add(VStore(out, at, Binary(op, VLoad(first, at, layout.lanes), VLoad(b, at, layout.lanes))))

    params = (out, b, SIZE) if in_place else (a, b, out, SIZE)
    return Function(f"{op}{'_in_place' if in_place else ''}", params, _each(layout, vector))


def _each(layout: Layout, vector: Callable[[Expr, Lets], None]) -> Block:
    """A loop over this thread's vectors; ``vector(index, body)`` adds what is done to one."""
    names = Names()
    body, inside = Lets(names), Lets(names)
    begin, end = share(SIZE // layout.lanes, body)
    at = Var("at", I64)
    vector(at, inside)
    body.add(For(at, begin * layout.lanes, end * layout.lanes, inside.block(), step=layout.lanes))
    return body.block()
