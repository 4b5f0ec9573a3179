"""Packing as ``quad``: four rows walk their own columns in step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.formats.packed import GROUP, PANEL, Matrix, Packed, finished, put, whole_groups


def pack_quads(weight: Matrix, block: int, rest: NDArray[np.int32] | None = None) -> Packed:
    """``weight`` in quads. ``rest``: words that are stored beside those of ``weight``."""
    parts = [
        _some_groups(weight[some], block, None if rest is None else rest[some])
        for some in whole_groups(*weight.shape)
    ]
    values, indices, runs, sizes, work = (np.concatenate(each) for each in zip(*parts, strict=True))
    starts = np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(sizes, axis=0)])
    upto = np.concatenate([np.zeros(1, np.int64), np.cumsum(work)])
    return finished(weight, "quad", block, (values, indices, runs, starts, upto))


def _some_groups(
    weight: Matrix, block: int, rest: NDArray[np.int32] | None
) -> tuple[NDArray[Any], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """Values, indices and runs of some groups; how much of the three each group takes, and its work."""
    rows, columns = weight.shape
    groups, blocks = -(-rows // GROUP), -(-columns // block)
    row_of, column_of, found = _listed(weight, rest)
    # The non-zeros of (row, block) are a contiguous stretch of the row-major list.
    stretch = row_of * blocks + column_of // block
    counts = np.bincount(stretch, minlength=rows * blocks).reshape(rows, blocks)
    first = np.concatenate([[0], np.cumsum(counts.ravel())])[:-1].reshape(rows, blocks)
    # The column a row pads with: its own first one anywhere.
    own = np.zeros(rows, np.int64)
    own[row_of[::-1]] = column_of[::-1]
    empty = counts.sum(axis=1) == 0
    values: list[NDArray[Any]] = [np.zeros(0, weight.dtype)]
    indices: list[NDArray[np.uint16]] = [np.zeros(0, np.uint16)]
    runs: list[int] = []
    sizes, work = np.zeros((groups, 3), np.int64), np.zeros(groups, np.int64)
    for g in range(groups):
        members = np.arange(g * GROUP, min((g + 1) * GROUP, rows))
        steps_of_group, before = 0, len(runs)
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
                steps_of_group += steps
            work[g] += 4 * len(quads)
        sizes[g] = steps_of_group * PANEL, steps_of_group * PANEL, len(runs) - before
        work[g] += sizes[g, 0]
    return np.concatenate(values), np.concatenate(indices), np.array(runs, np.uint16), sizes, work


def _listed(
    weight: Matrix, rest: NDArray[np.int32] | None
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """Row, column and value of what is not zero, by rows and columns."""
    row, column = np.nonzero(weight)
    found = weight[row, column]
    if rest is None:
        return row, column, found
    more = np.nonzero(rest)
    row, column = np.append(row, more[0]), np.append(column, more[1])
    order = np.lexsort((column, row))
    return row[order], column[order], np.append(found, rest[more])[order]


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


def unpack_quads(packed: Packed) -> tuple[Matrix, tuple[int, int, int]]:
    """The matrix again, and how many entries of values, indices and runs that took."""
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
                        put(out, row, where[keep, column], part[keep, column])
    return out, (v, v, r)
