"""A row of the ledger: a run as text, chained to the row before it by a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aerogel.carbon.run import Run
from aerogel.core.errors import FormatError, InputError, require

FIRST = "0" * 64
"""What the first row is chained to."""


@dataclass(frozen=True, slots=True)
class Row:
    """The run ``body`` (JSON), as row ``number`` from 1 on, behind the row with the digest ``before``.

    digest: SHA-256 of all of that, so that no row can be changed, moved or taken out unseen.
    """

    number: int
    id: str
    body: str
    before: str
    digest: str

    @property
    def sound(self) -> bool:
        """Whether it is what was written."""
        return self.digest == _digest(self.number, self.id, self.body, self.before)

    @property
    def run(self) -> Run:
        """FormatError where the body is not a run that this version knows."""
        try:
            return Run.from_json(json.loads(self.body))
        except (InputError, ValueError, RecursionError) as error:
            raise FormatError(
                f"row {self.number} is sound, and is no run that this version of aerogel knows: {error}"
            ) from error


def make_rows(runs: Iterable[Run], after: Row | None) -> Iterator[Row]:
    """Rows for ``runs`` behind the row ``after``; from the first on where that is None."""
    number, before = (0, FIRST) if after is None else (after.number, after.digest)
    for run in runs:
        number += 1
        body = text_of(run)
        digest = _digest(number, run.id, body, before)
        yield Row(number, run.id, body, before, digest)
        before = digest


def text_of(run: Run) -> str:
    """Always the same for the same run."""
    return json.dumps(run.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)


def first_fault(rows: Iterable[Row]) -> int | None:
    """The number of the first row that is damaged or missing; None where all are sound and follow each other
    from the first on."""
    before = FIRST
    for number, row in enumerate(rows, 1):
        if row.number != number or row.before != before or not row.sound:
            return number
        before = row.digest
    return None


def require_chain(rows: list[Row], whose: str, advice: str) -> None:
    """FormatError at the first row that is damaged or missing."""
    fault = first_fault(rows)
    said = f"{whose} is damaged: row {fault} is not what was written, or is missing; {advice}"
    require(fault is None, FormatError, said)


def _digest(number: int, id_: str, body: str, before: str) -> str:
    # surrogatepass: damaged text must come out as another digest, not as another error.
    said = "\n".join((str(number), id_, before, body)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(said).hexdigest()
