"""What a power model is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """``seconds`` of wall time, in which ``threads`` were reserved and used for ``cpu_seconds`` in all."""

    seconds: float
    cpu_seconds: float
    threads: float

    @property
    def reserved_s(self) -> float:
        """Thread seconds."""
        return self.threads * self.seconds

    @property
    def busy_s(self) -> float:
        """Thread seconds used; not more than were reserved."""
        return min(self.cpu_seconds, self.reserved_s)

    @property
    def load(self) -> float:
        """From 0 to 1."""
        return self.busy_s / self.reserved_s if self.reserved_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Joules, between ``low`` and ``high``; None where the model gives bounds alone."""

    joules: float | None
    low: float
    high: float
