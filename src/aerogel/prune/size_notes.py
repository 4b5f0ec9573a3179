"""Budgets that layers are too small for, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aerogel.prune.report import LayerReport


def size_notes(
    layers: Sequence[LayerReport], share: float | None, shares: Mapping[str, float], pattern: str
) -> tuple[str, ...]:
    """Layers that are left with nothing though not all was asked for, and those that lose nothing though
    something was. ``share``: what was asked of all, None where each was named; ``shares``: of each, by name.
    """
    empty = [r.name for r in layers if r.size and r.zeros == r.size and share is not None and share < 1]
    whole = [r.name for r in layers if r.size and r.pruned == 0 and shares.get(r.name, 0.0) > 0]
    notes: list[str] = []
    if empty:
        notes.append(
            f"nothing is kept of {_shown(empty)}, too small or too unimportant: leave them out with layers=, "
            "or ask less"
        )
    if whole:
        notes.append(
            f"nothing goes of {_shown(whole)}, too small to lose what was asked by {pattern}: choose smaller "
            "units, or leave them out with layers="
        )
    return tuple(notes)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
