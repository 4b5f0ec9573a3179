"""Packing as ``panel``: four rows, their columns sorted by which of the rows are non-zero there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.formats.packed import (
    DENSE,
    GENERAL,
    GROUP,
    HALVES,
    IN_ORDER,
    MENDED,
    PANEL,
    PARTS,
    RUN,
    WHOLE,
    Matrix,
    Packed,
    finished,
    put,
    whole_groups,
)


def pack_masked(
    weight: Matrix, block: int, live: NDArray[np.bool_], rest: NDArray[np.int32] | None = None
) -> Packed:
    """``weight`` in panels; an entry that is not ``live`` is not stored.

    ``rest``: words that are stored beside those of ``weight``, as columns that occur once more; of two rows
    at most, so that a dense panel needs few loops for them."""
    rows, columns = weight.shape
    panels, blocks = -(-rows // PANEL), -(-columns // block)
    if rows % PANEL == 0 and blocks == 1 and rest is None and bool(live.all()):
        counts = np.zeros((panels, 1, 16), np.int64)
        counts[:, :, 15] = columns
        values, indices = _side_by_side(weight).ravel(), np.zeros(0, np.uint16)
        kinds = np.full((panels, 1), DENSE)
    else:
        found = [
            _sorted(weight[some], live[some], None if rest is None else rest[some], block)
            for some in whole_groups(rows, columns)
        ]
        values, indices, counts, kinds = (np.concatenate(each) for each in zip(*found, strict=True))

    # The stream of runs is in the order of the kernel's loops: group, block, panel.
    per_group = GROUP // PANEL
    groups = -(-panels // per_group)
    runs = np.concatenate([kinds[:, :, None], counts[:, :, 1:]], axis=2).astype(np.uint16)
    in_groups = [runs[g * per_group : (g + 1) * per_group].swapaxes(0, 1).ravel() for g in range(groups)]

    bits = np.array([m.bit_count() for m in range(16)])
    value_count = (counts * bits).sum(axis=(1, 2))
    without = np.where(np.isin(kinds, IN_ORDER), counts[:, :, 15], 0)
    index_count = (counts[:, :, 1:].sum(axis=2) - without).sum(axis=1)
    run_count = np.full(panels, RUN * blocks)
    starts, work = np.zeros((groups + 1, 3), np.int64), np.zeros(groups + 1, np.int64)
    owner = np.arange(panels) // per_group
    for column, amount in enumerate((value_count, index_count, run_count)):
        starts[1:, column] = np.cumsum(np.bincount(owner, amount, groups))
    work[1:] = np.cumsum(np.bincount(owner, value_count + run_count, groups))
    return finished(weight, "panel", block, (values, indices, np.concatenate(in_groups), starts, work))


def _sorted(
    weight: Matrix, live: NDArray[np.bool_], rest: NDArray[np.int32] | None, block: int
) -> tuple[NDArray[Any], NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """Values and indices of some groups; of each panel and block the columns of every mask, and the kind."""
    rows, columns = weight.shape
    panels, blocks = -(-rows // PANEL), -(-columns // block)
    parts = [_Columns.of(weight, live), *([] if rest is None else _halves(rest))]
    first, *others = (_mask_counts(part.mask, panels, blocks, block) for part in parts)
    counts = np.sum([first, *others], axis=0)
    kinds = _mended(_panel_kinds(first, columns, block), counts - first)
    return *_by_mask(parts, kinds, (columns, block)), counts, kinds


@dataclass(frozen=True)
class _Columns:
    """Columns of panels [panels, columns]: the four weights of each side by side, which of them are stored,
    and the same as a mask, a bit each."""

    fours: NDArray[Any]
    stored: NDArray[np.bool_]
    mask: NDArray[np.uint8]

    @staticmethod
    def of(weight: Matrix, live: NDArray[np.bool_]) -> _Columns:
        stored = _side_by_side(live)
        mask = (stored * np.array([1, 2, 4, 8], np.uint8)).sum(axis=2, dtype=np.uint8)
        return _Columns(_side_by_side(weight), stored, mask)


def _halves(rest: NDArray[np.int32]) -> list[_Columns]:
    """The upper two rows of panels, and the lower two."""
    upper = np.arange(rest.shape[0])[:, None] % PANEL < PANEL // 2
    return [_Columns.of(rest, (rest != 0) & half) for half in (upper, ~upper)]


def _by_mask(
    parts: list[_Columns], kinds: NDArray[np.int64], sizes: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.uint16]]:
    """The values and column indices of all panels, ordered by group, block, panel, mask, column. ``sizes``:
    the columns of the matrix, which every part has, and of a block."""
    columns, block = sizes
    mask = np.concatenate([part.mask for part in parts], axis=1)
    per_group = GROUP // PANEL
    panel, place = np.nonzero(mask)
    in_block = place % columns // block
    key = (panel // per_group * kinds.shape[1] + in_block) * per_group + panel % per_group
    order = np.argsort(key * 16 + mask[panel, place], kind="stable")
    panel, place, in_block = panel[order], place[order], in_block[order]
    fours, stored = (
        np.concatenate(each, axis=1)[panel, place]
        for each in ([part.fours for part in parts], [part.stored for part in parts])
    )
    # What a dense (panel, block) holds in order needs no indices.
    indexed = ~(np.isin(kinds[panel, in_block], IN_ORDER) & (mask[panel, place] == 15))
    return fours[stored], (place[indexed] % columns).astype(np.uint16)


def _mended(kinds: NDArray[np.int64], rest: NDArray[np.int64]) -> NDArray[np.int64]:
    """``kinds`` with so many columns of each mask on top, of two rows at most."""
    become = np.array([GENERAL, MENDED, PARTS, PARTS])
    return np.where(rest[:, :, 1:].any(axis=2), become[kinds], kinds)


def _side_by_side(matrix: NDArray[Any]) -> NDArray[Any]:
    """[rows, columns] -> [panels, columns, 4], missing rows zero."""
    missing = -matrix.shape[0] % PANEL
    whole = np.pad(matrix, ((0, missing), (0, 0))) if missing else matrix
    return np.ascontiguousarray(whole.reshape(-1, PANEL, matrix.shape[1]).transpose(0, 2, 1))


def _mask_counts(mask: NDArray[np.uint8], panels: int, blocks: int, block: int) -> NDArray[np.int64]:
    """[panels, blocks, 16]: how many columns have each mask."""
    columns = mask.shape[1]
    place = np.arange(panels)[:, None] * blocks + (np.arange(columns) // block)[None, :]
    flat = np.bincount((place * 16 + mask).ravel(), minlength=panels * blocks * 16)
    return flat.reshape(panels, blocks, 16)


def _panel_kinds(counts: NDArray[np.int64], columns: int, block: int) -> NDArray[np.int64]:
    blocks = counts.shape[1]
    length = np.minimum(block, columns - np.arange(blocks) * block)
    kinds = np.full(counts.shape[:2], GENERAL)
    others = counts[:, :, 1:15].sum(axis=2)
    halves = others - counts[:, :, 3] - counts[:, :, 12] == 0
    kinds[halves] = HALVES
    kinds[others == 0] = WHOLE
    kinds[counts[:, :, 15] == length] = DENSE
    return kinds


def unpack_masked(packed: Packed) -> tuple[Matrix, tuple[int, int, int]]:
    """The matrix again, and how many entries of values, indices and runs that took."""
    out = np.zeros((packed.rows, packed.columns), packed.values.dtype)
    v = c = r = 0
    per_group = GROUP // PANEL
    panels = -(-packed.rows // PANEL)
    for g in range(packed.groups):
        for b in range(packed.blocks):
            for p in range(g * per_group, min((g + 1) * per_group, panels)):
                counts = packed.runs[r : r + RUN]
                r += RUN
                for mask in range(1, 16):
                    bits = [i for i in range(PANEL) if mask >> i & 1]
                    n = int(counts[mask])
                    if mask == 15 and counts[0] in IN_ORDER:
                        where = np.arange(n) + b * packed.block
                    else:
                        where = packed.indices[c : c + n].astype(np.intp)
                        c += n
                    part = packed.values[v : v + n * len(bits)].reshape(n, len(bits))
                    v += part.size
                    for column, bit in enumerate(bits):
                        if n:
                            put(out, p * PANEL + bit, where, part[:, column])
    return out, (v, c, r)
