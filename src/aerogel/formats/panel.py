"""Packed weights of a linear layer, as the kernels stream them: ``panel`` and ``quad``.

Both cut a matrix W [rows, columns] into *groups* of 32 rows and *blocks* of columns; a kernel walks
group after group, in it block after block, so that a block of activations stays in the L1 cache while
all rows of a group use it. Four rows are worked on together and share the register file.

``panel``: four consecutive rows. Within (panel, block) the columns are sorted by their *mask*, the 4 bits
that say which of the rows are non-zero there, so each of the 15 masks has its own branch-free loop, and
one load of an activation serves all the rows of its mask. (Occupancy-mask register tiling: Sparse
Register Tiling, PLDI 2023.) Without zeros there is one mask and no index: the plain dense product.

``quad``: in each block the rows of a group are sorted by their number of non-zeros, and four neighbours
in that order walk their own columns in step: a single loop, whatever the sparsity. A row shorter than its
quad is padded with zeros at one of *its own* columns, so a pruned weight never meets an activation
(0 x inf stays 0); a row without any non-zero shares a quad only with its like.

An entry of W is a float32, or a *word* of four int8: 4 consecutive inputs of a row (see ``words``), zero
where all four are. Then ``columns`` counts words, everything else is the same: a panel's word column that is
whole is a block of 4 outputs x 4 inputs.

Streams: ``values`` f32 or i32; ``columns`` u16 (index in the whole matrix); ``runs`` u16, what the kernel
loops over; ``starts`` i64 [groups + 1, 3], where each group begins in the three; ``work`` i64 [groups + 1],
the running sum of multiply-adds, by which threads share the groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require

PANEL = 4
GROUP = 32
MAX_COLUMNS = 1 << 16
# So many inputs of 255 x 128 at most add up to less than 2^31.
MAX_WORDS = MAX_COLUMNS // 4

# ``runs`` of a panel in a block: 16 numbers, [kind, columns with mask 1, ... with mask 15].
GENERAL, DENSE, WHOLE, HALVES = 0, 1, 2, 3
MASKS_OF_KIND = {GENERAL: tuple(range(1, 16)), WHOLE: (15,), HALVES: (3, 12, 15)}

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


def words(integers: NDArray[np.int8]) -> NDArray[np.int32]:
    """[rows, ceil(inputs / 4)] of int8 [rows, inputs]: 4 consecutive inputs each, the first lowest; a missing
    one is 0."""
    missing = -integers.shape[1] % WORD
    whole = np.pad(integers, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(integers)
    return whole.view("<i4").astype(np.int32, copy=False)


def pack(weight: Matrix, kind: Kind, block: int, *, dense: bool = False) -> Packed:
    """Pack ``weight`` [rows, columns], float32 or int32 words; -0.0 counts as zero.

    ``block``: columns per block, at least 1. ``dense`` (panel only): zeros are stored like any other
    number. InputError for another rank or dtype, for non-finite
    weights and for more than 65,536 columns (the indices are 16 bits wide).
    """
    require(
        weight.ndim == 2 and weight.dtype.name in ("float32", "int32"),
        InputError,
        "a packed weight is a matrix of float32, or of int8 in words of int32, got "
        f"{weight.dtype} of shape {weight.shape}",
    )
    rows, columns = weight.shape
    require(rows > 0 and columns > 0, InputError, f"cannot pack an empty weight of shape {weight.shape}")
    most, unit = (MAX_COLUMNS, "columns") if weight.dtype == np.float32 else (MAX_WORDS, "words of 4 inputs")
    require(columns <= most, InputError, f"a weight has {columns} {unit}: at most {most} can be packed")
    require(not dense or kind == "panel", InputError, "only panels can store a matrix densely")
    require(block >= 1, InputError, f"a block has at least 1 column, got {block}")
    require(
        bool(np.isfinite(weight).all()),
        InputError,
        "the weight holds NaN or infinity: repair it before packing",
    )
    # A block's columns are counted in 16 bits too.
    block = min(block, columns, MAX_COLUMNS - 1)
    match kind:
        case "panel":
            return _pack_panel(weight, block, np.ones_like(weight, bool) if dense else weight != 0)
        case "quad":
            return _pack_quad(weight, block)


def _finish(weight: Matrix, kind: Kind, block: int, streams: tuple[NDArray[np.generic], ...]) -> Packed:
    values, indices, runs, starts, work = streams
    for stream in streams:
        stream.setflags(write=False)
    rows, columns = weight.shape
    nonzeros = int(np.count_nonzero(weight))
    return Packed(kind, rows, columns, block, nonzeros, values, indices, runs, starts, work)  # type: ignore[arg-type]


# --- panel ----------------------------------------------------------------------------------


def _pack_panel(weight: Matrix, block: int, live: NDArray[np.bool_]) -> Packed:
    rows, columns = weight.shape
    panels, blocks = -(-rows // PANEL), -(-columns // block)
    # [panel, column, 4]: the four weights of a panel's column side by side.
    fours = _side_by_side(weight)
    if rows % PANEL == 0 and blocks == 1 and bool(live.all()):
        counts = np.zeros((panels, 1, 16), np.int64)
        counts[:, :, 15] = columns
        values, indices = fours.ravel(), np.zeros(0, np.uint16)
        kinds = np.full((panels, 1), DENSE)
    else:
        occupied = _side_by_side(live)
        mask = (occupied * np.array([1, 2, 4, 8], np.uint8)).sum(axis=2, dtype=np.uint8)
        counts = _mask_counts(mask, panels, blocks, block)
        kinds = _panel_kinds(counts, columns, block)
        values, indices = _by_mask(fours, occupied, mask, kinds, block)

    # The stream of runs is in the order of the kernel's loops: group, block, panel.
    per_group = GROUP // PANEL
    groups = -(-panels // per_group)
    runs = np.concatenate([kinds[:, :, None], counts[:, :, 1:]], axis=2).astype(np.uint16)
    in_groups = [runs[g * per_group : (g + 1) * per_group].swapaxes(0, 1).ravel() for g in range(groups)]

    bits = np.array([m.bit_count() for m in range(16)])
    value_count = (counts * bits).sum(axis=(1, 2))
    index_count = np.where(kinds == DENSE, 0, counts[:, :, 1:].sum(axis=2)).sum(axis=1)
    run_count = np.full(panels, 16 * blocks)
    starts, work = np.zeros((groups + 1, 3), np.int64), np.zeros(groups + 1, np.int64)
    owner = np.arange(panels) // per_group
    for column, amount in enumerate((value_count, index_count, run_count)):
        starts[1:, column] = np.cumsum(np.bincount(owner, amount, groups))
    work[1:] = np.cumsum(np.bincount(owner, value_count + run_count, groups))
    return _finish(weight, "panel", block, (values, indices, np.concatenate(in_groups), starts, work))


def _by_mask(
    fours: NDArray[Any],
    occupied: NDArray[np.bool_],
    mask: NDArray[np.uint8],
    kinds: NDArray[np.int64],
    block: int,
) -> tuple[NDArray[Any], NDArray[np.uint16]]:
    """The values and column indices of all panels, ordered by group, block, panel, mask, column."""
    per_group = GROUP // PANEL
    panel, column = np.nonzero(mask)
    in_block = column // block
    key = (panel // per_group * kinds.shape[1] + in_block) * per_group + panel % per_group
    order = np.argsort(key * 16 + mask[panel, column], kind="stable")
    panel, column, in_block = panel[order], column[order], in_block[order]
    values = fours[panel, column][occupied[panel, column]]
    # A dense (panel, block) needs no indices.
    indexed = kinds[panel, in_block] != DENSE
    return values, column[indexed].astype(np.uint16)


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


# --- quad -----------------------------------------------------------------------------------


def _pack_quad(weight: Matrix, block: int) -> Packed:
    rows, columns = weight.shape
    groups, blocks = -(-rows // GROUP), -(-columns // block)
    row_of, column_of = np.nonzero(weight)
    # The non-zeros of (row, block) are a contiguous stretch of the row-major list.
    stretch = row_of * blocks + column_of // block
    counts = np.bincount(stretch, minlength=rows * blocks).reshape(rows, blocks)
    first = np.concatenate([[0], np.cumsum(counts.ravel())])[:-1].reshape(rows, blocks)
    found = weight[row_of, column_of]
    # The column a row pads with: its own first one anywhere.
    own = np.zeros(rows, np.int64)
    own[row_of[::-1]] = column_of[::-1]
    empty = counts.sum(axis=1) == 0
    values: list[NDArray[Any]] = []
    indices: list[NDArray[np.uint16]] = []
    runs: list[int] = []
    starts = np.zeros((groups + 1, 3), np.int64)
    work = np.zeros(groups + 1, np.int64)
    steps_total = 0
    for g in range(groups):
        members = np.arange(g * GROUP, min((g + 1) * GROUP, rows))
        for b in range(blocks):
            quads = _quads(members, counts[:, b], empty)
            runs.append(len(quads))
            for quad in quads:
                steps = int(counts[quad, b].max())
                runs += [steps, *(int(r) - g * GROUP for r in quad), *[GROUP] * (PANEL - len(quad))]
                if steps:
                    v, c = _steps(quad, b, steps, (counts, first, found, column_of, own))
                    values.append(v)
                    indices.append(c)
                steps_total += steps
            work[g + 1] += 4 * len(quads)
        starts[g + 1] = (steps_total * PANEL, steps_total * PANEL, len(runs))
        work[g + 1] += work[g] + starts[g + 1, 0] - starts[g, 0]
    streams = (
        np.concatenate(values) if values else np.zeros(0, weight.dtype),
        np.concatenate(indices) if indices else np.zeros(0, np.uint16),
        np.array(runs, np.uint16),
        starts,
        work,
    )
    return _finish(weight, "quad", block, streams)


def _quads(
    members: NDArray[np.intp], counts: NDArray[np.int64], empty: NDArray[np.bool_]
) -> list[NDArray[np.intp]]:
    """Rows in quads of like length, longest first; rows that are zero everywhere by themselves."""
    live, dead = members[~empty[members]], members[empty[members]]
    live = live[np.argsort(-counts[live], kind="stable")]
    return [part[i : i + PANEL] for part in (live, dead) for i in range(0, len(part), PANEL)]


def _steps(
    quad: NDArray[np.intp], b: int, steps: int, source: tuple[NDArray[np.generic], ...]
) -> tuple[NDArray[Any], NDArray[np.uint16]]:
    """Values and columns of one quad in one block, step by step, four side by side."""
    counts, first, found, column_of, own = source
    values = np.zeros((steps, PANEL), found.dtype)
    columns = np.zeros((steps, PANEL), np.uint16)
    for place, row in enumerate(quad):
        n, at = int(counts[row, b]), int(first[row, b])
        values[:n, place] = found[at : at + n]
        columns[:n, place] = column_of[at : at + n]
        columns[n:, place] = own[row]
    # Places without a row repeat the first row's columns: their sums are thrown away.
    columns[:, len(quad) :] = columns[:, :1]
    return values.ravel(), columns.ravel()


# --- back again -----------------------------------------------------------------------------


def unpack(packed: Packed) -> Matrix:
    """The matrix [rows, columns] again, exactly; FormatError if the streams do not fit each other."""
    try:
        match packed.kind:
            case "panel":
                out, used = _unpack_panel(packed)
            case "quad":
                out, used = _unpack_quad(packed)
    except (IndexError, ValueError) as error:
        raise FormatError(f"the streams of a {packed.kind} matrix do not fit each other: {error}") from error
    sizes = (packed.values.size, packed.indices.size, packed.runs.size)
    require(
        used == sizes,
        FormatError,
        f"a {packed.kind} matrix has streams of {sizes} entries, but {used} are used",
    )
    return out


def _unpack_panel(packed: Packed) -> tuple[Matrix, tuple[int, int, int]]:
    out = np.zeros((packed.rows, packed.columns), packed.values.dtype)
    v = c = r = 0
    per_group = GROUP // PANEL
    panels = -(-packed.rows // PANEL)
    for g in range(packed.groups):
        for b in range(packed.blocks):
            for p in range(g * per_group, min((g + 1) * per_group, panels)):
                counts = packed.runs[r : r + 16]
                r += 16
                for mask in range(1, 16):
                    bits = [i for i in range(PANEL) if mask >> i & 1]
                    n = int(counts[mask])
                    if counts[0] == DENSE:
                        where = np.arange(n) + b * packed.block
                    else:
                        where = packed.indices[c : c + n].astype(np.intp)
                        c += n
                    part = packed.values[v : v + n * len(bits)].reshape(n, len(bits))
                    v += part.size
                    for column, bit in enumerate(bits):
                        if n:
                            out[p * PANEL + bit, where] = part[:, column]
    return out, (v, c, r)


def _unpack_quad(packed: Packed) -> tuple[Matrix, tuple[int, int, int]]:
    out = np.zeros((packed.rows, packed.columns), packed.values.dtype)
    v = r = 0
    for g in range(packed.groups):
        for _ in range(packed.blocks):
            quads = int(packed.runs[r])
            r += 1
            for _ in range(quads):
                n = int(packed.runs[r])
                places = packed.runs[r + 1 : r + 5]
                r += 5
                part = packed.values[v : v + 4 * n].reshape(n, PANEL)
                where = packed.indices[v : v + 4 * n].reshape(n, PANEL)
                v += 4 * n
                for column, place in enumerate(places):
                    row = g * GROUP + int(place)
                    if place < GROUP and row < packed.rows:
                        keep = part[:, column] != 0
                        out[row, where[keep, column]] = part[keep, column]
    return out, (v, v, r)
