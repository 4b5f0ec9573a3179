"""A layer's weight as its kernels stream it, and where a program's constants hold the streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, require
from aerogel.formats.panel import Kind, Packed
from aerogel.model.blob import Entry
from aerogel.tune.plan import FEW_COLUMNS

# The streams of a packing, with their dtypes; values are what the matrix is.
STREAMS = {"values": "", "indices": "uint16", "runs": "uint16", "starts": "int64", "work": "int64"}


@dataclass(frozen=True, slots=True)
class Packings:
    """A layer's weight packed for many columns and for few; often one and the same."""

    many: Packed
    few: Packed

    def at(self, columns: int) -> Packed:
        """What runs at that many columns."""
        return self.few if columns <= FEW_COLUMNS else self.many

    def fits(self, rows: int, columns: int) -> bool:
        """Are both of a matrix of that shape?"""
        return all((p.rows, p.columns) == (rows, columns) for p in (self.many, self.few))

    def by_role(self) -> Mapping[str, Packed]:
        """Each different packing once, by the columns it is for."""
        return {"many": self.many} if self.few is self.many else {"many": self.many, "few": self.few}

    def layer(self, number: int) -> Layer:
        """What linear step ``number`` has in these packings, without the streams."""
        return Layer(number, {role: Outline.of(packed) for role, packed in self.by_role().items()})


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


@dataclass(frozen=True, slots=True)
class Layer:
    """The packings of linear step ``number``, by role, their streams in the constants."""

    number: int
    roles: Mapping[str, Outline]

    def packings(self, layout: Mapping[str, Entry], constants: NDArray[np.uint8]) -> Packings:
        """The packings, as views of ``constants``."""
        found = {role: self._packed(role, layout, constants) for role in self.roles}
        return Packings(found["many"], found.get("few", found["many"]))

    def _packed(self, role: str, layout: Mapping[str, Entry], constants: NDArray[np.uint8]) -> Packed:
        o = self.roles[role]
        streams: dict[str, Any] = {}
        for stream, dtype in STREAMS.items():
            entry = layout[stream_name(self.number, role, stream)]
            wanted = dtype or o.dtype
            require(
                entry.dtype == wanted, FormatError, f"{stream} of a packing are {entry.dtype}, not {wanted}"
            )
            streams[stream] = entry.within(constants)
        return Packed(o.kind, o.rows, o.columns, o.block, o.nonzeros, **streams)


def stream_name(number: int, role: str, stream: str) -> str:
    """What the constants call a stream of linear step ``number``."""
    return f"step {number} {role} {stream}"
