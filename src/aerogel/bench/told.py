"""How a benchmark script tells how far it is."""

from __future__ import annotations

from aerogel.measure import Progress


def show(progress: Progress) -> None:
    """A line for each step on stdout."""
    at = f"[{progress.done:3}/{progress.total}]"
    step = f"{at} {progress.stage:8} {progress.contender:24} {progress.case:20}"
    took = "" if progress.seconds is None else f" {progress.seconds * 1e3:9.3f} ms"
    print(f"{step}{took}", flush=True)  # noqa: T201  scripts print
