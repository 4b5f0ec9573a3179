"""A claim: what must hold, what was found, and whether it does; what the README's table is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aerogel.core.errors import InputError, require
from aerogel.core.target import current
from aerogel.measure import Ratio, machine


@dataclass(frozen=True, slots=True)
class Claim:
    """``found`` in ``unit``, an estimate that ``low`` and ``high`` bound where an interval was measured.

    It holds if ``found`` is on the right side of ``wanted``; it is proven if all of the interval is.
    """

    about: str
    found: float
    wanted: float
    unit: str
    sense: Literal["at least", "at most"]
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool:
        return self._right(self.found)

    @property
    def proven(self) -> bool | None:
        """None where there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self._right(self.low) and self._right(self.high)

    def _right(self, value: float) -> bool:
        return value >= self.wanted if self.sense == "at least" else value <= self.wanted

    def __str__(self) -> str:
        mark = "ok  " if self.holds else "FAIL"
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        found = f"{self.found:.3g}{interval} {self.unit}"
        proven = "" if self.proven is not False or not self.holds else ", not proven"
        return f"{mark} {self.about}: {found} ({self.sense} {self.wanted:g}{proven})"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds, "proven": self.proven}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Claim:
        """The claim that ``to_json`` wrote."""
        return Claim(**{name: value for name, value in found.items() if name not in ("holds", "proven")})


def at_least(about: str, ratio: Ratio, wanted: float) -> Claim:
    """A speed-up, with its interval."""
    return Claim(about, ratio.value, wanted, "x", "at least", ratio.low, ratio.high)


def at_most(about: str, found: float, wanted: float, unit: str) -> Claim:
    return Claim(about, found, wanted, unit, "at most")


def results(script: str) -> Path:
    """Where a script's results lie: ``results/NAME.json`` beside it on a CPU with AVX-512 and VNNI, else
    ``results/NAME_TARGET.json``, so that no kind of CPU takes another's place."""
    file, target = Path(script), current()
    best = target.name == "avx512" and not target.pairs
    return file.parent / "results" / f"{file.stem}{'' if best else f'_{target.name}'}.json"


def kept(path: Path, cpus: Callable[[dict[str, Any]], Iterable[str]]) -> dict[str, Any]:
    """What ``write`` wrote; InputError where it was measured on another CPU than this one, by ``cpus``."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): leave out --keep") from error
    for cpu in cpus(document):
        require(cpu == machine().cpu, InputError, f"{path} was measured on {cpu}: leave out --keep")
    return document


def write(path: Path, claims: Sequence[Claim], evidence: dict[str, Any]) -> None:
    """The claims and what they rest on, as a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"claims": [claim.to_json() for claim in claims], **evidence}
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
