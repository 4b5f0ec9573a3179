"""Boxes and lines in a picture, one or many at a time: what overlaps, what is near, what runs through what.

Many boxes are an array [n, 4] of (left, top, right, bottom), many lines one of (x, y, end x, end y).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """In the picture's units, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area they share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)

    def holds(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


def stacked(boxes: Sequence[Box]) -> Floats:
    """[n, 4], of no boxes [0, 4]."""
    return np.array([astuple(box) for box in boxes], np.float64).reshape(-1, 4)


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """The area that each of ``boxes`` [n, 4] shares with each of ``others`` [m, 4]: [n, m]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.maximum(high - low, 0.0).prod(axis=2)


def nearest(boxes: Floats, points: Floats) -> Floats:
    """For each of ``boxes`` [n, 4] and ``points`` [m, 2], the point of the box that is nearest: [n, m, 2]."""
    return np.clip(points[None, :, :], boxes[:, None, :2], boxes[:, None, 2:])


def distances(boxes: Floats, points: Floats) -> Floats:
    """[n, m]; 0 for a point inside."""
    return np.linalg.norm(nearest(boxes, points) - points[None, :, :], axis=2)


def meets(lines: Floats, boxes: Floats) -> NDArray[np.bool_]:
    """Does each of ``lines`` [n, 4] run through each of ``boxes`` [m, 4]? [n, m]. The share of a line that is
    between a box's sides is worked out for x and y, and the two must overlap."""
    start, step = lines[:, None, :2], lines[:, None, 2:] - lines[:, None, :2]
    low, high = boxes[None, :, :2], boxes[None, :, 2:]
    # Along an axis it does not move in, a line is between the sides for all of its length or for none.
    within = (low < start) & (start < high)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - start) / step, (high - start) / step
    enter = np.where(step == 0, np.where(within, -np.inf, np.inf), np.minimum(a, b))
    leave = np.where(step == 0, np.where(within, np.inf, -np.inf), np.maximum(a, b))
    return np.maximum(enter.max(axis=2), 0.0) < np.minimum(leave.min(axis=2), 1.0)
