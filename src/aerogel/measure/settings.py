"""How a comparison is made, and what it tells while it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.core.errors import MeasureError, require
from aerogel.measure.intervals import least_values


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how often to time.

    rounds: how often each contender gets a block; the order is reversed from round to round (A B B A ...).
    block_s, min_runs: a block lasts at least so many seconds and so many runs.
    warm_s: untimed runs before each block (at least one), since the others have just used the caches.
    confidence: the probability with which an interval holds the true median.
    resolution: intervals of ratios are widened by this fraction, because two processes that run the very
        same program differ by about as much (where their code and data happen to lie).
    load_timeout_s, call_timeout_s: a contender that takes longer to load, or longer than asked for
        anything else, counts as hung.
    """

    rounds: int = 9
    block_s: float = 0.5
    min_runs: int = 3
    warm_s: float = 0.1
    confidence: float = 0.95
    resolution: float = 0.02
    load_timeout_s: float = 600.0
    call_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        positive = min(self.block_s, self.load_timeout_s, self.call_timeout_s) > 0
        require(positive and self.warm_s >= 0, MeasureError, f"times must be positive: {self}")
        require(self.min_runs >= 1, MeasureError, f"min_runs is {self.min_runs}: a block needs at least 1")
        require(self.resolution >= 0, MeasureError, f"resolution is {self.resolution}: it cannot be negative")
        require(
            0 < self.confidence < 1,
            MeasureError,
            f"confidence is {self.confidence}: give a probability between 0 and 1",
        )
        least = least_values(self.confidence)
        require(
            self.rounds >= least,
            MeasureError,
            f"{self.rounds} rounds cannot give {self.confidence:.1%} confidence: use {least} or more",
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """One step done: ``done`` of ``total``. ``seconds`` is the block's median where one was timed. A stage
    ``read`` comes before there are contenders: then ``contender`` says what is being done."""

    stage: Literal["read", "load", "preview", "prepare", "output", "block"]
    contender: str
    case: str
    done: int
    total: int
    seconds: float | None = None
