"""What a call computes and moves, counted: step by step and in all, gross and effective.

A multiply-add is two operations. Counted are linear layers, 2 x outputs x inputs x columns, and the two
products of attention, 4 x length^2 x features a sequence; biases, norms, softmax, activation functions and
additions are not, as ``inspect`` does not count them. *Gross* is the dense network: every weight multiplied
and read, in the type of number that its layer computes in. *Effective* counts weights that are not zero,
and the bytes that the packed weights really take; where zeros are few these are more than the dense ones.
What kernels multiply lies in between: dense ones meet zeros too, and at few columns zeros save bytes alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from aerogel.core.quantity import both
from aerogel.formats.panel import WORD, Packed
from aerogel.formats.rows import PackedRows
from aerogel.kernels.tile import Element
from aerogel.model.batch import Batch
from aerogel.model.built import Built
from aerogel.model.steps import (
    AttentionStep,
    EmbedStep,
    FeedStep,
    FetchStep,
    LinearStep,
    Step,
    reads,
    writes,
)

_BYTES: dict[Element, int] = {"f32": 4, "i8": 1}


@dataclass(frozen=True, slots=True)
class Work:
    """Operations and bytes, as at the top of this file. ``flops_computed``: those that the chosen kernels
    do."""

    flops_gross: int
    flops_effective: int
    flops_computed: int
    bytes_gross: int
    bytes_effective: int

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flops_gross + other.flops_gross,
            self.flops_effective + other.flops_effective,
            self.flops_computed + other.flops_computed,
            self.bytes_gross + other.bytes_gross,
            self.bytes_effective + other.bytes_effective,
        )

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @property
    def flops(self) -> str:
        """Gross and effective, in words: ``302 / 60.4 Mflop``."""
        return both(self.flops_gross, self.flops_effective, "flop")

    @property
    def bytes(self) -> str:
        """The same of bytes."""
        return both(self.bytes_gross, self.bytes_effective, "B")


NOTHING = Work(0, 0, 0, 0, 0)
HOW = (
    "gross (dense) / effective (weights that are not zero, as they are stored); linear layers and the "
    "products of attention, 2 operations a multiply-add"
)
"""What two numbers side by side are."""


def work_of(built: Built, batch: Batch) -> Work:
    """Of a whole call."""
    return total(step_work(built, number, batch) for number in range(len(built.steps)))


def total(parts: Iterable[Work]) -> Work:
    """All of them together."""
    return sum(parts, start=NOTHING)


def step_work(built: Built, number: int, batch: Batch) -> Work:
    """Of step ``number`` alone: its constants, inputs and outputs each moved once."""
    step = built.steps[number]
    moved = activation_bytes(step, batch) + built.constant_bytes[number]
    match step:
        case LinearStep():
            n = columns_of(step, batch)
            packed = built.packed[step.name].at(n)
            weights = step.out.features * step.inputs
            return Work(
                2 * weights * n,
                2 * nonzeros(packed) * n,
                2 * multiplied(packed) * n,
                moved + weights * _BYTES[step.element],
                moved + packed.nbytes,
            )
        case AttentionStep():
            # Tokens that are no keys are computed like others.
            pairs = sum(int(length) ** 2 for length in np.diff(batch.offsets))
            flops = 4 * pairs * step.out.features
            return Work(flops, flops, flops, moved, moved)
        case _:
            return Work(0, 0, 0, moved, moved)


def columns_of(step: LinearStep, batch: Batch) -> int:
    """The tokens or rows that a linear layer meets."""
    return {"tokens": batch.tokens, "rows": batch.rows}[step.out.columns]


def nonzeros(packed: Packed | PackedRows) -> int:
    """Weights that are not zero."""
    if isinstance(packed, Packed) and packed.values.dtype != np.float32:
        # ``nonzeros`` of integers counts words of 4.
        return int(np.count_nonzero(packed.values.view(np.int8)))
    return packed.nonzeros


def multiplied(packed: Packed | PackedRows) -> int:
    """Weights that meet an activation, zeros that the kernel does not skip among them."""
    if isinstance(packed, PackedRows):
        return packed.multiplied
    return packed.values.size * (1 if packed.values.dtype == np.float32 else WORD)


def activation_bytes(step: Step, batch: Batch) -> int:
    """Activations read and made, the caller's arrays, and the rows that are looked up, each once."""
    columns = {"tokens": batch.tokens, "rows": batch.rows}
    moved = sum(4 * p.features * columns[p.columns] for p in (*reads(step), *writes(step)))
    match step:
        case FeedStep():
            return 2 * moved
        case FetchStep():
            handed = batch.padded if step.x.columns == "tokens" else batch.rows
            return moved + 4 * step.x.features * handed
        case EmbedStep():
            return moved + 4 * step.out.features * batch.tokens * len(step.tables)
        case _:
            return moved
