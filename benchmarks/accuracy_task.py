"""What the parts of accuracy.py share: what a part is asked, the rows it gives, how they are judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.claims import Claim

DRAWS, CONFIDENCE = 2000, 0.95


@dataclass(frozen=True, slots=True)
class Task:
    """``part``: its name; ``data``: the folder of public data sets; ``kept``: one for what training left,
    which is not trained again; ``quick``: a few steps, to see that it works; ``tell``: words on what is being
    done, and the share of it that is over."""

    part: str
    data: Path
    seed: int
    kept: Path | None
    quick: bool
    tell: Callable[[str, float], None]

    def steps(self, wanted: int) -> int:
        return min(wanted, 12) if self.quick else wanted

    def file(self, name: str) -> Path | None:
        """Where ``name`` is kept, if anything is."""
        return None if self.kept is None else self.kept / name


@dataclass(frozen=True, slots=True)
class Spent:
    """By the clock, and by all threads of this process: since some instant, or between two."""

    seconds: float = 0.0
    cpu_s: float | None = 0.0

    @staticmethod
    def so_far() -> Spent:
        return Spent(time.perf_counter(), time.process_time())

    def until_now(self) -> Spent:
        now = Spent.so_far()
        return Spent(now.seconds - self.seconds, (now.cpu_s or 0.0) - (self.cpu_s or 0.0))

    def and_then(self, more: Spent) -> Spent:
        unknown = self.cpu_s is None or more.cpu_s is None
        return Spent(
            self.seconds + more.seconds, None if unknown else (self.cpu_s or 0.0) + (more.cpu_s or 0.0)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One model. ``zeros``: the share of the pruned layers' weights; ``score``: percent of right answers, or
    a rank correlation times 100; ``points``: how far that is below the dense model's, with an interval of
    95 % for other examples of the same kind (bootstrap); ``within``: how far it may be, None where nothing is
    claimed. ``steps`` of training since the dense model; ``seconds`` and ``cpu_s``: what pruning and training
    took since then, cpu_s None where it was not watched."""

    model: str
    sparsity: float
    zeros: float
    score: float
    points: float
    low: float
    high: float
    within: float | None
    steps: int
    seconds: float
    cpu_s: float | None
    seed: int

    def __str__(self) -> str:
        far = f"{self.points:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"
        aim = "" if self.within is None else f" (at most {self.within:g})"
        return f"{self.model}: {self.score:.2f}, below dense {far}{aim}; {self.steps} steps"


def below(right: NDArray[np.bool_], dense: NDArray[np.bool_], seed: int) -> tuple[float, float, float]:
    """(points, low, high) by which ``right``, a flag for each example, is below the same of the dense."""
    lost = 100 * (dense.astype(np.float64) - right)
    drawn = np.random.default_rng(seed).integers(0, len(lost), (DRAWS, len(lost)))
    low, high = np.quantile(lost[drawn].mean(1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(lost.mean()), float(low), float(high)


def claimed(rows: Sequence[Row], of: str) -> list[Claim]:
    """That each row that may be only so far below the dense model is."""
    return [
        Claim(f"{of}, {row.model}: points below dense", row.points, row.within, "", "at most", row.low,
              row.high)
        for row in rows
        if row.within is not None
    ]  # fmt: skip
