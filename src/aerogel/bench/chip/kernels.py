"""The eight sparse kernels whose energy-delay products were published for Onyx.

Koul and others, VLSI 2024, JSSC 2025: gain in energy times delay over the best of MKL on one core, MKL with
AVX on 12 cores and TACO on one core, for each kernel; the same chip at its best has 2.65 pJ for a dense
multiply-accumulate, by which the energy model is calibrated. These eight are held out: nothing is fitted to
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown

Kind = Literal["matrix", "tensor"]
RANK = 32
"""Columns of the dense factors of TTM and MTTKRP, as in the benchmark of einsums."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """``text``: index notation, result first; ``operands``: its tensors in the order problems have them,
    sparse ones first. ``published``: the published gain."""

    key: str
    title: str
    text: str
    operands: tuple[str, ...]
    kind: Kind
    published: float


KERNELS: dict[str, Kernel] = {
    kernel.key: kernel
    for kernel in (
        Kernel("add3", "ElemAdd3", "X(i,j) = A(i,j) + B(i,j) + C(i,j)", ("A", "B", "C"), "matrix", 4.4),
        Kernel("spmspv", "SpM*SpV", "x(i) = A(i,j) * v(j)", ("A", "v"), "matrix", 243.0),
        Kernel("spgemm", "SpM*SpM", "X(i,k) = A(i,j) * B(j,k)", ("A", "B"), "matrix", 4.7),
        Kernel("elemmult", "ElemMult", "X(i,j) = A(i,j) * B(i,j)", ("A", "B"), "matrix", 8.5),
        Kernel("ttv", "TTV", "X(i,j) = T(i,j,k) * v(k)", ("T", "v"), "tensor", 123.1),
        Kernel("ttm", "TTM", "X(i,j,r) = T(i,j,k) * M(k,r)", ("T", "M"), "tensor", 144.1),
        Kernel("innerprod", "InnerProd", "x = T(i,j,k) * U(i,j,k)", ("T", "U"), "tensor", 15.0),
        Kernel(
            "mttkrp",
            "MTTKRP",
            "X(i,r) = T(i,j,k) * B(j,r) * C(k,r)",
            ("T", "B", "C"),
            "tensor",
            564.6,
        ),
    )
}
CLAIMED_TIMES_FASTER, CLAIMED_SHARE_OF_ENERGY = 8.0, 1 / 70
"""IEEE Micro 2025: "one-seventieth the energy and eight times faster, on average". The two multiply to 560,
which is the largest of the eight gains, not their mean (138) or geometric mean (39.9)."""


def named(keys: Iterable[str]) -> tuple[Kernel, ...]:
    """InputError for a name that is not in ``KERNELS``."""
    found: list[Kernel] = []
    for key in keys:
        require(key in KERNELS, InputError, unknown("kernel", key, KERNELS))
        found.append(KERNELS[key])
    return tuple(found)
