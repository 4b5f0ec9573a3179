"""What a packed weight of a linear layer is: its streams, and the words they are told in (see ``panel``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PANEL = 4
GROUP = 32
MAX_COLUMNS = 1 << 16
# So many inputs of 255 x 128 at most add up to less than 2^31.
MAX_WORDS = MAX_COLUMNS // 4

# ``runs`` of a panel in a block: [kind, columns with mask 1, ... with mask 15].
RUN = 16
GENERAL, DENSE, WHOLE, HALVES, PARTS, MENDED = range(6)
# PARTS: WHOLE or HALVES with words that are stored as two (see ``pairs``); MENDED: DENSE with such.
MASKS_OF_KIND = {
    GENERAL: tuple(range(1, 16)),
    DENSE: (),
    WHOLE: (15,),
    HALVES: (3, 12, 15),
    PARTS: (1, 2, 3, 4, 8, 12, 15),
    MENDED: (1, 2, 3, 4, 8, 12),
}
# Here every column has mask 15 as well, in order and without an index, after those of the masks.
IN_ORDER = (DENSE, MENDED)

AT_ONCE = 1 << 20
"""Entries that are sorted at a time: that takes ten times their memory."""
WORD = 4
"""Integers in a word."""

Kind = Literal["panel", "quad"]
Matrix = NDArray[np.float32 | np.int32]


@dataclass(frozen=True)
class Packed:
    """A packed matrix; every array is C-contiguous and read-only. ``nonzeros``: entries that are not 0."""

    kind: Kind
    rows: int
    columns: int
    block: int
    nonzeros: int
    values: Matrix
    indices: NDArray[np.uint16]
    runs: NDArray[np.uint16]
    starts: NDArray[np.int64]
    work: NDArray[np.int64]

    @property
    def groups(self) -> int:
        return -(-self.rows // GROUP)

    @property
    def blocks(self) -> int:
        return -(-self.columns // self.block)

    @property
    def nbytes(self) -> int:
        """Bytes a kernel streams."""
        return sum(a.nbytes for a in (self.values, self.indices, self.runs, self.starts, self.work))

    @property
    def loads(self) -> int:
        """Inputs that are loaded for each column of activations: one for every column of a panel that is not
        empty, or for every step of a row of a quad."""
        if self.kind == "quad":
            return self.indices.size
        return int(self.runs.reshape(-1, RUN)[:, 1:].sum(dtype=np.int64))


def whole_groups(rows: int, columns: int) -> list[slice]:
    """Rows of whole groups, not many more than AT_ONCE entries together."""
    step = max(GROUP, AT_ONCE // columns // GROUP * GROUP)
    return [slice(at, at + step) for at in range(0, rows, step)]


def finished(weight: Matrix, kind: Kind, block: int, streams: tuple[NDArray[np.generic], ...]) -> Packed:
    """``weight`` packed in these streams, which nobody writes any more."""
    values, indices, runs, starts, work = streams
    for stream in streams:
        stream.setflags(write=False)
    rows, columns = weight.shape
    nonzeros = int(np.count_nonzero(weight))
    return Packed(kind, rows, columns, block, nonzeros, values, indices, runs, starts, work)  # type: ignore[arg-type]


def put(out: Matrix, row: int, columns: NDArray[np.integer], values: NDArray[np.generic]) -> None:
    """``values`` into a row of ``out`` that is zero there; a column of words may come twice, a byte once."""
    if out.dtype == np.int32:
        np.bitwise_or.at(out[row], columns, values)
    else:
        out[row, columns] = values


def words(integers: NDArray[np.int8]) -> NDArray[np.int32]:
    """[rows, ceil(inputs / 4)] of int8 [rows, inputs]: 4 consecutive inputs each, the first lowest; a missing
    one is 0."""
    missing = -integers.shape[1] % WORD
    whole = np.pad(integers, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(integers)
    return whole.view("<i4").astype(np.int32, copy=False)
