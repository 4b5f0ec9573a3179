"""Where the names of points go: inside the frame, apart from each other, and near what they name.

Every label has the same candidates: places around its mark, then places all over the frame. Labels are placed
one after the other, each where it costs least, and then a few times again, now that the others are known.
Overlap with another label and leaving the frame are ruled out. What costs: distance from the mark; to cover a
mark or a line; to be nearer to another mark; a line to the mark that runs through a mark or a label. A label
without a place, or with bad ones alone, is left out, and the caller told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.report.boxes import Box, Floats, distances, meets, nearest, overlaps, stacked

_DIRECTIONS = 16
_DISTANCES = (0.0, 6.0, 14.0, 26.0, 42.0, 62.0, 86.0, 120.0)
_GAP = 3.0  # between a mark and its label
_ROUNDS = 3
_ASIDE = 3.0  # above or below its mark a label reads less well than beside it
_STRIKES = 4.0  # a line of the picture that runs behind the label
_MISLEADS = 15.0  # a label that is nearer to another mark
_CROSSES = 40.0  # a line to the mark that runs through another mark or label, or a label on such a line
_COVERS = 60.0  # any of a mark, besides the area covered
_WORST = 160.0  # more than that tangles the picture more than the name tells


@dataclass(frozen=True, slots=True)
class Wanted:
    """A label of ``width`` x ``height`` for a mark at (x, y) that reaches ``radius`` far. ``first``: it
    chooses its place before those that are not."""

    x: float
    y: float
    radius: float
    width: float
    height: float
    first: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``fixed``: text that stands already, never overlapped; ``marks``: better not covered; ``lines``: thin
    boxes, better not behind a label."""

    frame: Box
    fixed: tuple[Box, ...]
    marks: tuple[Box, ...]
    lines: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Places for one label. ``costs`` [n] are without regard to other labels; ``leaders`` [n, 4] are the
    lines to the mark, and ``led`` [n] says which places need theirs."""

    boxes: Floats
    costs: Floats
    leaders: Floats
    led: NDArray[np.bool_]


def place(wanted: Sequence[Wanted], around: Surroundings) -> tuple[Box | None, ...]:
    """A box for each label in its order, None for one that found no room."""
    candidates = [_candidates(wanted, i, around) for i in range(len(wanted))]
    chosen: list[int | None] = [None] * len(wanted)
    for _ in range(_ROUNDS):
        for i in _order(wanted):
            chosen[i] = None
            others = [(c, k) for c, k in zip(candidates, chosen, strict=True) if k is not None]
            chosen[i] = _best(candidates[i], others)
    return tuple(
        None if k is None else Box(*map(float, own.boxes[k]))
        for own, k in zip(candidates, chosen, strict=True)
    )


def leader(label: Wanted, box: Box) -> tuple[float, float, float, float] | None:
    """The line from a mark's rim to its label, None where the label stands close enough without one."""
    lines, led = _leaders(label, stacked([box]))
    x, y, end_x, end_y = map(float, lines[0])
    return (x, y, end_x, end_y) if led[0] else None


def _order(wanted: Sequence[Wanted]) -> list[int]:
    """After those that are ``first``, those in a crowd: they have the fewest good places."""

    def key(i: int) -> tuple[bool, int, float, float, int]:
        own = wanted[i]
        crowd = sum(math.hypot(w.x - own.x, w.y - own.y) < own.width for w in wanted)
        return not own.first, -crowd, own.y, own.x, i

    return sorted(range(len(wanted)), key=key)


def _best(own: _Candidates, others: Sequence[tuple[_Candidates, int]]) -> int | None:
    """The number of the cheapest place beside the places that others have; None if none is good."""
    if not len(own.boxes):
        return None
    taken = np.array([other.boxes[k] for other, k in others]).reshape(-1, 4)
    lines = np.array([other.leaders[k] for other, k in others if other.led[k]]).reshape(-1, 4)
    crossed = meets(own.leaders, taken).sum(axis=1) * own.led + meets(lines, own.boxes).sum(axis=0)
    costs = own.costs + _CROSSES * crossed
    costs[(overlaps(own.boxes, taken) > 0).any(axis=1)] = np.inf
    # Rounded, so that of places that cost the same it is the first one on every machine.
    best = int(np.argmin(costs.round(6)))
    return best if costs[best] <= _WORST else None


def _candidates(wanted: Sequence[Wanted], i: int, around: Surroundings) -> _Candidates:
    """What stays in the frame and clear of text that is there already."""
    label, rivals = wanted[i], [*wanted[:i], *wanted[i + 1 :]]
    frame = around.frame
    boxes = np.concatenate([_ring(label, frame), _grid(label, frame)])
    inside = (boxes[:, :2] >= (frame.left, frame.top)) & (boxes[:, 2:] <= (frame.right, frame.bottom))
    clear = ~(overlaps(boxes, stacked(around.fixed)) > 0).any(axis=1)
    boxes = boxes[inside.all(axis=1) & clear]
    leaders, led = _leaders(label, boxes)
    costs = _costs(label, boxes, around) + _confusion(label, boxes, rivals)
    crossed = meets(leaders, _squares(rivals)).sum(axis=1) * led
    return _Candidates(boxes, costs + _CROSSES * crossed, leaders, led)


def _ring(label: Wanted, frame: Box) -> Floats:
    """Around the mark; what would leave the frame is moved back into it."""
    reach = label.radius + _GAP + np.repeat(_DISTANCES, _DIRECTIONS)
    angle = np.tile(2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS, len(_DISTANCES))
    left = label.x + np.cos(angle) * (reach + label.width / 2) - label.width / 2
    top = label.y + np.sin(angle) * (reach + label.height / 2) - label.height / 2
    left = np.maximum(np.minimum(left, frame.right - label.width), frame.left)
    top = np.maximum(np.minimum(top, frame.bottom - label.height), frame.top)
    return np.stack([left, top, left + label.width, top + label.height], axis=1)


def _grid(label: Wanted, frame: Box) -> Floats:
    """All over the frame, so that a label finds room if there is some."""
    left, top = np.meshgrid(
        np.arange(frame.left, frame.right, max(label.width / 2, 4.0)),
        np.arange(frame.top, frame.bottom, label.height),
    )
    left, top = left.ravel(), top.ravel()
    return np.stack([left, top, left + label.width, top + label.height], axis=1)


def _leaders(label: Wanted, boxes: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The lines from the mark's rim to each of ``boxes``, and which of them are drawn."""
    mark = np.array([[label.x, label.y]])
    ends = nearest(boxes, mark)[:, 0]
    distance = np.linalg.norm(ends - mark, axis=1)
    share = label.radius / np.maximum(distance, 1e-9)
    rim = mark + share[:, None] * (ends - mark)
    return np.concatenate([rim, ends], axis=1), distance > label.radius + 2 * _GAP


def _costs(label: Wanted, boxes: Floats, around: Surroundings) -> Floats:
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    aside = np.abs(middle - label.y) >= label.height / 2
    covered = overlaps(boxes, stacked(around.marks))
    struck = overlaps(boxes, stacked(around.lines)) > 0
    return (
        _away([label], boxes)[:, 0]
        + _ASIDE * aside
        + _STRIKES * struck.sum(axis=1)
        + _COVERS * (covered > 0).sum(axis=1)
        + covered.sum(axis=1) / 4
    )


def _confusion(label: Wanted, boxes: Floats, rivals: Sequence[Wanted]) -> Floats:
    """Could the label be read as that of another mark?"""
    nearer = _away(rivals, boxes) < _away([label], boxes) + _GAP
    # In a heap every label is near many marks, and a third one tells nothing new.
    return _MISLEADS * np.minimum(nearer.sum(axis=1), 2)


def _away(labels: Sequence[Wanted], boxes: Floats) -> Floats:
    """From the rim of each mark to each box: [n, m]."""
    points = np.array([(w.x, w.y) for w in labels]).reshape(-1, 2)
    return np.maximum(distances(boxes, points) - [w.radius for w in labels], 0.0)


def _squares(labels: Sequence[Wanted]) -> Floats:
    return stacked([Box(w.x - w.radius, w.y - w.radius, w.x + w.radius, w.y + w.radius) for w in labels])
