"""What the removal of experts did, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

NO_FEWER_OPERATIONS = "less memory, not fewer operations: a token still goes to as many experts as before"


@dataclass(frozen=True, slots=True)
class MixtureReport:
    """Of ``experts`` of the mixture ``name``, ``removed`` are gone (their indices before).

    ``saliency``: by expert, the mean over its tokens of gate times the norm of what it gives, 0 for one that
    no token was routed to; ``tokens``: how many were. ``top_k``: how many experts a token goes to.
    """

    name: str
    fused: bool
    experts: int
    removed: tuple[int, ...]
    saliency: tuple[float, ...]
    tokens: tuple[int, ...]
    top_k: int

    @property
    def kept(self) -> tuple[int, ...]:
        """Indices before, in their order now."""
        return tuple(i for i in range(self.experts) if i not in self.removed)


@dataclass(frozen=True, slots=True)
class ExpertsReport:
    """``requested``: the share of experts. ``parameters``, ``bytes``: of the smaller model, ``_before`` of
    the dense one, tied ones once. ``output_error``: ``sqrt(sum |y' - y|^2 / sum |y|^2)`` of the model's
    outputs on ``measured_on``, over ``tokens`` rows, None where the dense ones are 0. ``quality_before``,
    ``quality_after``: what ``evaluate`` said, None where there is none. ``seconds``: all of it took.
    """

    requested: float
    mixtures: tuple[MixtureReport, ...]
    parameters_before: int
    parameters: int
    bytes_before: int
    bytes: int
    measured_on: Literal["data", "held_out"]
    tokens: int
    output_error: float | None
    quality_before: float | None
    quality_after: float | None
    seconds: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All fields, and what may be said of speed, as what ``json.dumps`` takes."""
        return asdict(self) | {"speed": NO_FEWER_OPERATIONS}

    def __str__(self) -> str:
        lines = [f"experts by gate times norm: {self.requested:.1%} asked"]
        width = max((len(m.name) for m in self.mixtures), default=0)
        for m in self.mixtures:
            gone = ", ".join(str(i) for i in m.removed) or "none"
            kind = "fused" if m.fused else "listed"
            count = f"{len(m.removed)} of {m.experts} {kind} experts removed ({gone})"
            lines.append(f"{m.name:<{width}}  {count}, {m.top_k} for each token")
        lines.append(f"{self.parameters_before} -> {self.parameters} parameters, "
                     f"{self.bytes_before} -> {self.bytes} bytes")  # fmt: skip
        lines += [self._quality(), NO_FEWER_OPERATIONS]
        return "\n".join([*lines, *self.notes])

    def _quality(self) -> str:
        off = "not known" if self.output_error is None else f"{self.output_error:.2%}"
        where = "held-out" if self.measured_on == "held_out" else "calibration"
        told = f"output off by {off} on {self.tokens} {where} tokens"
        if self.quality_before is not None and self.quality_after is not None:
            told += f"; quality {self.quality_before:.4g} before, {self.quality_after:.4g} after"
        return told


@dataclass(frozen=True)
class ExpertsResult:
    """``model``: the smaller module; ``report``: what was done."""

    model: torch.nn.Module
    report: ExpertsReport
