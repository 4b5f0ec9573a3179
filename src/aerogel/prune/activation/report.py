"""What thresholds on activations did, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Place = Literal["inputs", "gates"]
Allocation = Literal["uniform", "greedy"]

RELU_LIKE = 0.1
"""From this share of exact zeros on, without any threshold, a function made them: smooth ones give none."""
NO_KERNEL = "no native kernel yet: no speed claim (these zeros are computed with like any number)"


@dataclass(frozen=True, slots=True)
class SiteReport:
    """Activations of ``features`` at one place: what the linear layer ``name`` is fed, or what the activation
    function ``name`` gives.

    ``weights``: what a zero saves there, relative to other sites. ``threshold``: they are 0 where not above
    it in magnitude. ``target``: the share of zeros asked for; ``achieved``: the share found on held-out data,
    all tokens, None where none came by. ``exact_zeros``: the share that the dense model itself has, on the
    data that was calibrated on, None likewise.
    """

    name: str
    features: int | None
    weights: int
    threshold: float
    target: float
    achieved: float | None
    exact_zeros: float | None

    @property
    def relu_like(self) -> bool:
        """Has the dense model exact zeros here, as after ReLU?"""
        return self.exact_zeros is not None and self.exact_zeros >= RELU_LIKE

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"relu_like": self.relu_like}


@dataclass(frozen=True, slots=True)
class ActivationReport:
    """What was asked (``requested``: the share of zeros) and what came of it on held-out data.

    ``calibration_tokens``, ``held_out_tokens``: counted, padding left out. ``output_error``: how far the
    model's output is from the dense model's on the held-out data, ``sqrt(sum |y' - y|^2 / sum |y|^2)``, None
    where the dense one is 0. ``quality_before``, ``quality_after``: what ``evaluate`` said, None where there
    is none. ``seconds``: all of it took.
    """

    place: Place
    allocation: Allocation
    requested: float
    sites: tuple[SiteReport, ...]
    calibration_tokens: int
    held_out_tokens: int
    output_error: float | None
    quality_before: float | None
    quality_after: float | None
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def achieved(self) -> float | None:
        """The share of zeros over all sites that the held-out data reached, by ``weights``; None for none."""
        reached = [(s.achieved, s.weights) for s in self.sites if s.achieved is not None]
        total = sum(weights for _, weights in reached)
        return sum(share * weights for share, weights in reached) / total if total else None

    @property
    def relu_like(self) -> tuple[str, ...]:
        """The sites where the dense model has exact zeros, by name."""
        return tuple(site.name for site in self.sites if site.relu_like)

    def to_json(self) -> dict[str, Any]:
        """All fields, what was achieved in all, and what may be said of speed, as ``json.dumps`` takes it."""
        sites = [site.to_json() for site in self.sites]
        return asdict(self) | {"sites": sites, "achieved": self.achieved, "speed": NO_KERNEL}

    def __str__(self) -> str:
        width = max((len(site.name) for site in self.sites), default=0)
        where = "inputs of linear layers" if self.place == "inputs" else "outputs of activation functions"
        lines = [f"zeros among {where}, {self.allocation}: {self.requested:.1%} asked"]
        for s in self.sites:
            had = "        -" if s.exact_zeros is None else f"{s.exact_zeros:>9.1%}"
            got = "not reached" if s.achieved is None else f"{s.achieved:>6.1%} achieved"
            relu = "  (like ReLU)" if s.relu_like else ""
            lines.append(f"{s.name:<{width}}  {had} before  {s.target:>6.1%} asked  {got}  "
                         f"|x| <= {s.threshold:.4g}{relu}")  # fmt: skip
        lines += [self._achieved(), self._quality(), NO_KERNEL]
        return "\n".join([*lines, *self.notes])

    def _achieved(self) -> str:
        got = "nothing" if self.achieved is None else f"{self.achieved:.1%}"
        return f"{got} achieved, on {self.held_out_tokens} held-out tokens"

    def _quality(self) -> str:
        off = "not known" if self.output_error is None else f"{self.output_error:.2%}"
        told = f"output off by {off}"
        if self.quality_before is not None and self.quality_after is not None:
            told += f"; quality {self.quality_before:.4g} dense, {self.quality_after:.4g} with zeros"
        return told


@dataclass(frozen=True)
class ActivationResult:
    """``model``: the module that applies the thresholds; ``thresholds``: by module name, what
    ``apply_thresholds`` takes; ``report``: what was done."""

    model: torch.nn.Module
    thresholds: Mapping[str, float]
    report: ActivationReport
