"""Where the names of points go: inside the frame, apart from each other, and near what they name.

Every label has the same candidates: places around its point, then places all over the frame. Labels are
placed one after the other, each where it costs least, and then a few times again, now that the others are
known. Overlap with another label and leaving the frame are ruled out. What costs: distance from the mark; to
cover a mark or a line; to be nearer to another mark; a line to the mark that runs through a mark or a label.
A label without any place is left out, and the caller told.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

_DIRECTIONS = 16
_DISTANCES = (0.0, 6.0, 14.0, 26.0, 42.0, 62.0, 86.0, 120.0)
_GAP = 3.0  # between a mark and its label
_ROUNDS = 3
_COVERS = 60.0  # what it costs to cover any of a mark, besides the area covered
_STRIKES = 4.0  # a line of the picture that runs behind the label
_MISLEADS = 15.0  # a label that is nearer to another mark
_CROSSES = 40.0  # a line to the point that runs through a mark or a label, or a label on such a line


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

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Its point nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A label of ``width`` x ``height`` for a mark at (x, y) that reaches ``radius`` far."""

    x: float
    y: float
    radius: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Place:
    box: Box
    cost: float  # without regard to other labels


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``fixed``: text that stands already, never overlapped; ``marks``: better not covered; ``lines``: thin
    boxes, better not behind a label."""

    frame: Box
    fixed: tuple[Box, ...]
    marks: tuple[Box, ...]
    lines: tuple[Box, ...] = ()


def place(wanted: Sequence[Wanted], around: Surroundings) -> tuple[Box | None, ...]:
    """A box for each label in its order, None for one that found no room."""
    candidates = [_candidates(wanted, i, around) for i in range(len(wanted))]
    found: list[Box | None] = [None] * len(wanted)
    # Those with the fewest cheap places choose first.
    order = sorted(range(len(wanted)), key=lambda i: (-_crowd(wanted, i), wanted[i].y, wanted[i].x, i))
    for _ in range(_ROUNDS):
        for i in order:
            found[i] = _best(wanted[i], candidates[i], _others(wanted, found, i))
    return tuple(found)


def leader(label: Wanted, box: Box) -> tuple[float, float, float, float] | None:
    """The line from a mark's rim to its label, None where the label stands close enough without one."""
    x, y = box.nearest(label.x, label.y)
    distance = math.hypot(x - label.x, y - label.y)
    if distance <= label.radius + 2 * _GAP:
        return None
    share = label.radius / distance
    return label.x + share * (x - label.x), label.y + share * (y - label.y), x, y


def text_width(text: str, size: float) -> float:
    """About what ``text`` takes in DejaVu Sans, the widest of the usual sans-serif fonts, and rather more."""
    return size * sum(map(_advance, text))


@cache
def _advance(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "FW":
        return 1.05
    if unicodedata.combining(letter):
        return 0.0
    for letters, advance in (("iljI.,:;'|!", 0.34), ("mwMW%@", 1.0), ("frt()[]/-1 ", 0.45)):
        if letter in letters:
            return 0.64 if letter == "1" else advance
    return 0.64 if letter.isascii() and not letter.isupper() else 0.78


def _crowd(wanted: Sequence[Wanted], i: int) -> int:
    own = wanted[i]
    return sum(math.hypot(w.x - own.x, w.y - own.y) < own.width for w in wanted)


@dataclass(frozen=True, slots=True)
class _Others:
    boxes: tuple[Box, ...]
    lines: tuple[tuple[float, float, float, float], ...]


def _others(wanted: Sequence[Wanted], found: Sequence[Box | None], i: int) -> _Others:
    placed = [(w, box) for j, (w, box) in enumerate(zip(wanted, found, strict=True)) if j != i and box]
    lines = (leader(w, box) for w, box in placed)
    return _Others(tuple(box for _, box in placed), tuple(line for line in lines if line))


def _best(label: Wanted, candidates: Sequence[_Place], others: _Others) -> Box | None:
    best, least = None, math.inf
    for candidate in candidates:
        if candidate.cost >= least:
            break  # candidates come cheapest first, and others only add
        box = candidate.box
        if any(box.overlap(other) > 0 for other in others.boxes):
            continue
        cost = candidate.cost + _CROSSES * sum(_meets(box, line) for line in others.lines)
        if (own := leader(label, box)) is not None:
            cost += _CROSSES * sum(_meets(other, own) for other in others.boxes)
        if cost < least:
            best, least = box, cost
    return best


def _candidates(wanted: Sequence[Wanted], i: int, around: Surroundings) -> list[_Place]:
    """What stays in the frame and clear of text that is there already, cheapest first."""
    label, rivals = wanted[i], [*wanted[:i], *wanted[i + 1 :]]
    boxes = [*_ring(label, around.frame), *_grid(label, around.frame)]
    places = [
        _Place(box, _cost(label, box, around) + _confusion(label, box, rivals))
        for box in boxes
        if around.frame.holds(box) and not any(box.overlap(text) > 0 for text in around.fixed)
    ]
    return sorted(places, key=lambda p: (p.cost, p.box.top, p.box.left))


def _ring(label: Wanted, frame: Box) -> Iterator[Box]:
    """Around the mark; what would leave the frame is moved back into it."""
    for distance in _DISTANCES:
        reach = label.radius + _GAP + distance
        for k in range(_DIRECTIONS):
            angle = 2 * math.pi * k / _DIRECTIONS
            across, down = math.cos(angle), math.sin(angle)
            left = label.x + across * (reach + label.width / 2) - label.width / 2
            top = label.y + down * (reach + label.height / 2) - label.height / 2
            left = min(max(left, frame.left), frame.right - label.width)
            top = min(max(top, frame.top), frame.bottom - label.height)
            yield Box(left, top, left + label.width, top + label.height)


def _grid(label: Wanted, frame: Box) -> Iterator[Box]:
    """All over the frame, so that a label finds room if there is some."""
    columns = max(1, int((frame.right - frame.left) / max(label.width / 2, 1.0)))
    rows = max(1, int((frame.bottom - frame.top) / max(label.height, 1.0)))
    for row in range(rows):
        top = frame.top + row * label.height
        for column in range(columns):
            left = frame.left + column * label.width / 2
            yield Box(left, top, left + label.width, top + label.height)


def _cost(label: Wanted, box: Box, around: Surroundings) -> float:
    distance = _away(label, box)
    # Beside its mark a label reads best, above or below it second best.
    beside = 0.0 if abs((box.top + box.bottom) / 2 - label.y) < label.height / 2 else 3.0
    covered = [area for mark in around.marks if (area := box.overlap(mark)) > 0]
    struck = sum(box.overlap(line) > 0 for line in around.lines)
    return distance + beside + _STRIKES * struck + _COVERS * len(covered) + sum(covered) / 4


def _away(label: Wanted, box: Box) -> float:
    """From the rim of the mark to the box."""
    x, y = box.nearest(label.x, label.y)
    return max(0.0, math.hypot(x - label.x, y - label.y) - label.radius)


def _confusion(label: Wanted, box: Box, rivals: Sequence[Wanted]) -> float:
    """Could the label be read as that of another mark, or its line as that mark's?"""
    nearer = sum(_away(rival, box) < _away(label, box) + _GAP for rival in rivals)
    line = leader(label, box)
    crossed = 0 if line is None else sum(_meets(_square(rival), line) for rival in rivals)
    return _MISLEADS * nearer + _CROSSES * crossed


def _square(label: Wanted) -> Box:
    r = label.radius
    return Box(label.x - r, label.y - r, label.x + r, label.y + r)


def _meets(box: Box, line: tuple[float, float, float, float]) -> bool:
    """Does the line run through the box? Clipped against its four sides (Liang and Barsky)."""
    x, y, end_x, end_y = line
    across, down = end_x - x, end_y - y
    enter, leave = 0.0, 1.0
    for step, room in (
        (-across, x - box.left),
        (across, box.right - x),
        (-down, y - box.top),
        (down, box.bottom - y),
    ):
        if step == 0:
            if room <= 0:
                return False
            continue
        share = room / step
        if step < 0:
            enter = max(enter, share)
        else:
            leave = min(leave, share)
    return enter < leave
