"""Tables to report on: the one that was measured and is kept with the project, and made-up ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aerogel.bench import Quality, Table
from aerogel.measure import (
    CaseResult,
    Comparison,
    Contender,
    ContenderFacts,
    Machine,
    Settings,
    Timing,
    machine,
)

# One of the comparisons that benchmarks/encoder.py wrote; it stays as it is when a new one is measured.
MEASURED = Path(__file__).parent / "measured.json"
SETTINGS = Settings(rounds=6)


def measured(key: str = "table") -> Table:
    """What ``benchmarks/encoder.py`` wrote, as the table it was."""
    read = json.loads(MEASURED.read_text(encoding="utf-8"))[key]
    found = read["comparison"]
    settings = Settings(**found["settings"])
    contenders = tuple(_contender(one) for one in found["contenders"])
    cases = tuple(_case(one, settings) for one in found["cases"])
    comparison = Comparison(Machine(**found["machine"]), settings, found["reference"], contenders, cases)
    rows = read["rows"]
    return Table(
        comparison,
        read["dense"],
        {row["name"]: Quality(**row["quality"]) for row in rows if row["quality"]},
        {row["name"]: row["relative_error"] for row in rows if row["relative_error"] is not None},
        frozenset(row["name"] for row in rows if row["own"]),
        read["threads"],
    )


def _contender(one: dict[str, Any]) -> ContenderFacts:
    made = Contender(one["name"], one["factory"])
    return ContenderFacts(made, one["load_s"], one["python"], one["peak_rss_bytes"], one["facts"])


def _case(one: dict[str, Any], settings: Settings) -> CaseResult:
    timings = tuple(
        Timing(t["contender"], tuple(t["block_medians_s"]), t["runs"], settings.confidence)
        for t in one["timings"]
    )
    return CaseResult(one["name"], one["params"], settings, timings)


def made(
    times: dict[str, tuple[float, ...] | float],
    overlaps: dict[str, float] | None = None,
    sizes: dict[str, float] | None = None,
    shapes: tuple[str, ...] = ("1x16", "8x128"),
) -> Table:
    """``times``: by row, a latency in seconds, or six of them; ``sizes`` in bytes."""
    overlaps, sizes = overlaps or {}, sizes or {}
    facts = tuple(
        ContenderFacts(
            Contender(row, "m:f"), 1.0, "3.11", None, {"size_bytes": sizes[row]} if row in sizes else {}
        )
        for row in times
    )
    cases = tuple(
        CaseResult(shape, {}, SETTINGS, tuple(_timing(row, t, 1 + i) for row, t in times.items()))
        for i, shape in enumerate(shapes)
    )
    reference = "onnxruntime fp32" if "onnxruntime fp32" in times else next(iter(times))
    comparison = Comparison(machine(), SETTINGS, reference, facts, cases)
    qualities = {row: Quality(300, overlap, overlap - 0.01) for row, overlap in overlaps.items()}
    own = frozenset(row for row in times if row.startswith("aerogel"))
    return Table(comparison, next(iter(times)) if overlaps else None, qualities, {}, own)


def _timing(row: str, time: tuple[float, ...] | float, factor: int) -> Timing:
    blocks = (time,) * 6 if isinstance(time, float) else time
    return Timing(row, tuple(factor * block for block in blocks), 60, 0.95)
