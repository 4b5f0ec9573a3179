"""Operations and bytes of a table's rows, gross and effective: what is computed, beside how fast.

Our own rows count theirs. Another runtime is given the same network, so its gross operations are those of our
rows; where it makes nothing of zeros it computes all of them. What it moves is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aerogel.bench.peers import PEERS
from aerogel.core.quantity import both, size
from aerogel.measure import CaseResult
from aerogel.model.work import HOW

if TYPE_CHECKING:
    from aerogel.bench.table import Table

NOT_KNOWN = "not known"
WORDS = f"{HOW}. Other runtimes compute what is dense; what they move is not known."
"""What the numbers are."""


@dataclass(frozen=True, slots=True)
class RowWork:
    """Of one call; None where it is not known."""

    flops_gross: int
    flops_effective: int | None
    bytes_gross: int | None
    bytes_effective: int | None

    @property
    def flops(self) -> str:
        """``5.60 / 1.12 Gflop``."""
        return _words(self.flops_gross, self.flops_effective, "flop")

    @property
    def bytes(self) -> str:
        return NOT_KNOWN if self.bytes_gross is None else _words(self.bytes_gross, self.bytes_effective, "B")

    def to_json(self) -> dict[str, int | None]:
        return asdict(self)


def _words(gross: int, effective: int | None, unit: str) -> str:
    if effective is None:
        return f"{size(gross, unit)} gross, effective {NOT_KNOWN}"
    return both(gross, effective, unit)


def row_work(table: Table, case: CaseResult, row: str) -> RowWork | None:
    """Of ``row`` in ``case``; None where no row of our own was timed there, or did not tell."""
    own = _told(table, case, row)
    if own is not None:
        return RowWork(own["flops_gross"], own["flops_effective"], own["bytes_gross"], own["bytes_effective"])
    if row in table.own:
        return None
    ours = [told for name in table.rows if (told := _told(table, case, name)) is not None]
    if not ours:
        return None
    gross = max(told["flops_gross"] for told in ours)
    return RowWork(gross, None if _skips(row) else gross, None, None)


def _skips(row: str) -> bool:
    """Does that runtime make something of zeros?"""
    return any(peer.skips_zeros for peer in PEERS.values() if peer.row == row)


def _told(table: Table, case: CaseResult, row: str) -> Mapping[str, Any] | None:
    """What a row of our own counted for the lengths of this case."""
    counted: Any = table.comparison.facts(row).facts.get("work") if row in table.own else None
    for told in counted or ():
        if told["lengths"] == case.params.get("lengths"):
            return told
    return None


def work_rows(table: Table) -> list[tuple[str, ...]]:
    """A row for each of the table's: operations and bytes at every shape; none where nothing was counted."""
    found: list[tuple[str, ...]] = []
    for row in table.rows:
        cells = [row_work(table, case, row) for case in table.timed]
        if any(cells):
            found.append((row, *(NOT_KNOWN if c is None else f"{c.flops}\n{c.bytes}" for c in cells)))
    return found
