"""A layer's weight as its kernels stream it, and where a program's constants hold the streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, require
from aerogel.formats.panel import WORD, Kind, Packed
from aerogel.formats.rows import Form, Number, PackedRows
from aerogel.model.blob import Entry
from aerogel.tune.plan import FEW_COLUMNS

# The streams of a packing, with their dtypes; values are what the matrix is.
STREAMS = {"values": "", "indices": "uint16", "runs": "uint16", "starts": "int64", "work": "int64"}
# The same of rows for few columns. Scales and sums of integers a program has once for all packings.
ROW_STREAMS = {"values": "", "masks": "uint64", "mask_bytes": "uint8", "starts": "int64", "work": "int64"}


@dataclass(frozen=True, slots=True)
class Packings:
    """A layer's weight packed for many columns and for few, up to ``few_columns``; often one and the same."""

    many: Packed
    few: Packed | PackedRows
    few_columns: int = FEW_COLUMNS

    def at(self, columns: int) -> Packed | PackedRows:
        """What runs at that many columns."""
        return self.few if columns <= self.few_columns else self.many

    def fits(self, rows: int, columns: int) -> bool:
        """Are both of a matrix of that shape, columns counted as in a panel?"""
        return all(_shape(p) == (rows, columns) for p in (self.many, self.few))

    def by_role(self) -> Mapping[str, Packed | PackedRows]:
        """Each different packing once, by the columns it is for."""
        return {"many": self.many} if self.few is self.many else {"many": self.many, "few": self.few}

    def layer(self, number: int) -> Layer:
        """What linear step ``number`` has in these packings, without the streams."""
        outlines = {role: _outline(packed) for role, packed in self.by_role().items()}
        return Layer(number, outlines, self.few_columns)


def _shape(packed: Packed | PackedRows) -> tuple[int, int]:
    words = isinstance(packed, PackedRows) and packed.number == "int8"
    return packed.rows, packed.columns // (WORD if words else 1)


def _outline(packed: Packed | PackedRows) -> Outline | RowsOutline:
    if isinstance(packed, PackedRows):
        return RowsOutline.of(packed)
    return Outline.of(packed)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a packing is, without its streams."""

    kind: Kind
    dtype: str
    rows: int
    columns: int
    block: int
    nonzeros: int

    @staticmethod
    def of(packed: Packed) -> Outline:
        dtype = packed.values.dtype.name
        return Outline(packed.kind, dtype, packed.rows, packed.columns, packed.block, packed.nonzeros)

    @property
    def streams(self) -> Mapping[str, str]:
        """Their names and dtypes."""
        return STREAMS | {"values": self.dtype}

    def packed(self, streams: Mapping[str, NDArray[Any]]) -> Packed:
        return Packed(self.kind, self.rows, self.columns, self.block, self.nonzeros, **streams)


@dataclass(frozen=True, slots=True)
class RowsOutline:
    """The same of rows for few columns."""

    number: Number
    form: Form
    dtype: str
    lanes: int
    rows: int
    columns: int
    nonzeros: int

    @staticmethod
    def of(packed: PackedRows) -> RowsOutline:
        p, dtype = packed, packed.values.dtype.name
        return RowsOutline(p.number, p.form, dtype, p.lanes, p.rows, p.columns, p.nonzeros)

    @property
    def streams(self) -> Mapping[str, str]:
        """Their names and dtypes."""
        return ROW_STREAMS | {"values": self.dtype}

    def packed(self, streams: Mapping[str, NDArray[Any]]) -> PackedRows:
        scales, sums = np.ones(self.rows, np.float32), np.zeros(self.rows, np.int32)
        sizes = (self.lanes, self.rows, self.columns, self.nonzeros)
        return PackedRows(self.number, self.form, *sizes, **streams, scales=scales, sums=sums)


@dataclass(frozen=True, slots=True)
class Layer:
    """The packings of linear step ``number``, by role, their streams in the constants."""

    number: int
    roles: Mapping[str, Outline | RowsOutline]
    few_columns: int

    def packings(self, layout: Mapping[str, Entry], constants: NDArray[np.uint8]) -> Packings:
        """The packings, as views of ``constants``. FormatError if they are not what the outlines say."""
        found = {role: self._packed(role, layout, constants) for role in self.roles}
        many = found["many"]
        if not isinstance(many, Packed):
            raise FormatError("a packing for few columns is kept for many")
        return Packings(many, found.get("few", many), self.few_columns)

    def _packed(
        self, role: str, layout: Mapping[str, Entry], constants: NDArray[np.uint8]
    ) -> Packed | PackedRows:
        outline = self.roles[role]
        streams: dict[str, Any] = {}
        for stream, wanted in outline.streams.items():
            entry = layout[stream_name(self.number, role, stream)]
            require(
                entry.dtype == wanted, FormatError, f"{stream} of a packing are {entry.dtype}, not {wanted}"
            )
            streams[stream] = entry.within(constants)
        return outline.packed(streams)


def stream_name(number: int, role: str, stream: str) -> str:
    """What the constants call a stream of linear step ``number``."""
    return f"step {number} {role} {stream}"
