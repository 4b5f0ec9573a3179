"""What a comparison found, frozen, and ready to be written as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from aerogel.core.errors import MeasureError
from aerogel.measure.contender import Contender, Json
from aerogel.measure.intervals import median, median_interval, ratio_interval
from aerogel.measure.machine import Machine
from aerogel.measure.settings import Settings


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times faster ``contender`` is than ``over``: the median of paired ratios of block medians.

    ``low`` and ``high`` bound it with the given confidence.
    """

    contender: str
    over: str
    value: float
    low: float
    high: float
    confidence: float

    @property
    def verdict(self) -> Literal["faster", "slower", "not proven"]:
        if self.low > 1:
            return "faster"
        return "slower" if self.high < 1 else "not proven"

    @property
    def proven(self) -> bool:
        return self.verdict != "not proven"

    def at_least(self, factor: float) -> bool:
        """Is it proven to be this many times faster?"""
        return self.low >= factor

    def __str__(self) -> str:
        text = f"{self.value:.2f}x [{self.low:.2f}, {self.high:.2f}]"
        return text if self.proven else f"{text} not proven"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True, slots=True)
class Timing:
    """One contender in one case. Block ``i`` of every contender belongs to round ``i``."""

    contender: str
    block_medians_s: tuple[float, ...]
    runs: int
    confidence: float

    @property
    def median_s(self) -> float:
        """The median over blocks of each block's median."""
        return median(self.block_medians_s)

    @property
    def interval_s(self) -> tuple[float, float]:
        return median_interval(self.block_medians_s, self.confidence)

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval_s
        return {
            "contender": self.contender,
            "median_s": self.median_s,
            "low_s": low,
            "high_s": high,
            "runs": self.runs,
            "block_medians_s": list(self.block_medians_s),
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What was watched around the ``runs`` timed runs of one block: ``by`` is what ``Watch`` made, ended."""

    by: Any
    runs: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: a timing per contender (none where the case is not timed), and outputs where asked for.
    ``seen``: for each contender one per round, where something watched."""

    name: str
    params: dict[str, Json]
    settings: Settings
    timings: tuple[Timing, ...]
    outputs: dict[str, NDArray[Any]] = field(
        default_factory=dict[str, NDArray[Any]], repr=False, compare=False
    )
    seen: dict[str, tuple[Seen, ...]] = field(
        default_factory=dict[str, tuple[Seen, ...]], repr=False, compare=False
    )

    def timing(self, contender: str) -> Timing:
        for timing in self.timings:
            if timing.contender == contender:
                return timing
        have = ", ".join(t.contender for t in self.timings) or "none"
        raise MeasureError(f"case {self.name!r} has no timing of {contender!r}: it has {have}")

    def speedup(self, contender: str, over: str) -> Ratio:
        """How many times faster ``contender`` is than ``over``."""
        slow, fast = self.timing(over).block_medians_s, self.timing(contender).block_medians_s
        value, low, high = ratio_interval(slow, fast, self.settings.confidence, self.settings.resolution)
        return Ratio(contender, over, value, low, high, self.settings.confidence)


@dataclass(frozen=True, slots=True)
class ContenderFacts:
    """A contender as it was: what was started, how long loading took it, what it said of itself."""

    contender: Contender
    load_s: float
    python: str
    peak_rss_bytes: int | None
    facts: dict[str, Json]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.contender.name,
            "factory": self.contender.factory,
            "load_s": self.load_s,
            "python": self.python,
            "peak_rss_bytes": self.peak_rss_bytes,
            "facts": self.facts,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything measured in one go, on one machine. ``reference`` is what others are compared with."""

    machine: Machine
    settings: Settings
    reference: str
    contenders: tuple[ContenderFacts, ...]
    cases: tuple[CaseResult, ...]

    def case(self, name: str) -> CaseResult:
        for case in self.cases:
            if case.name == name:
                return case
        raise MeasureError(f"there is no case {name!r}: there are {', '.join(c.name for c in self.cases)}")

    def facts(self, contender: str) -> ContenderFacts:
        for found in self.contenders:
            if found.contender.name == contender:
                return found
        have = ", ".join(c.contender.name for c in self.contenders)
        raise MeasureError(f"there is no contender {contender!r}: there are {have}")

    def to_json(self) -> dict[str, Any]:
        """All of it but the outputs, as ``json.dumps`` takes it. Arguments are left out: they name paths."""
        return {
            "machine": self.machine.to_json(),
            "settings": asdict(self.settings),
            "reference": self.reference,
            "contenders": [c.to_json() for c in self.contenders],
            "cases": [self._case_json(case) for case in self.cases],
        }

    def _case_json(self, case: CaseResult) -> dict[str, Any]:
        others = [t.contender for t in case.timings if t.contender != self.reference]
        return {
            "name": case.name,
            "params": case.params if case.timings else {},
            "timings": [t.to_json() for t in case.timings],
            "speedups": [case.speedup(name, over=self.reference).to_json() for name in others],
        }
