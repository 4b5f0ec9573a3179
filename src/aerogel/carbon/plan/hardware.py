"""Named accelerators, and which of them would do a piece of work on the least energy.

Peak and design power are makers' figures, so a ranking by them says what would be so if each were used
equally well. It often is not: in one published comparison the accelerator with the better figures on paper
lost most workloads when measured (github.com/alpharomercoma/MI300X-vs-H200, 2026). What was measured on one's
own work goes before any such table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_args

from aerogel.carbon.cells import positive_in
from aerogel.carbon.factor import Grade
from aerogel.core.errors import InputError, require
from aerogel.core.suggest import meant

DTYPES = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8")
Form = Literal["module", "card", "chip"]
_COLUMNS = ("key", "name", "form", "year", "watts", "grade", "source")


@dataclass(frozen=True, slots=True)
class Hardware:
    """One accelerator.

    form: "module": several share a server built for them; "card": in any server; "chip": of a provider's own.
    watts: the most it is built for (thermal design power).
    peaks: dense operations per second, by dtype; a dtype that is not there is not known.
    mean_watts, least_watts: measured in use by the maker; None where not published.
    embodied: the factor of its making is "embodied/" and this; None: not known.
    own: whether it comes from the user's table.
    """

    key: str
    name: str
    form: Form
    year: int
    watts: float
    peaks: Mapping[str, float]
    grade: Grade
    source: str
    mean_watts: float | None = None
    least_watts: float | None = None
    memory_bytes: float | None = None
    bytes_per_s: float | None = None
    embodied: str | None = None
    own: bool = False

    def peak(self, dtype: str) -> float:
        """Operations per second at most; InputError where that is not known."""
        known = ", ".join(self.peaks) or "none"
        said = f"the peak of {self.name} in {dtype} is not known (known: {known}): choose another dtype"
        require(dtype in self.peaks, InputError, said)
        return self.peaks[dtype]

    def per_joule(self, dtype: str) -> float:
        """Operations per joule, at its peak and its design power."""
        return self.peak(dtype) / self.watts

    def to_json(self) -> dict[str, Any]:
        """All that a source says, as ``json.dumps`` takes it."""
        names = (
            "key",
            "name",
            "form",
            "year",
            "watts",
            "mean_watts",
            "least_watts",
            "grade",
            "source",
            "own",
        )
        return {name: getattr(self, name) for name in names} | {"peaks_per_s": dict(self.peaks)}


class HardwareTable:
    """Accelerators by key; a user's own go before those that aerogel brings."""

    def __init__(self, hardware: Iterable[Hardware]) -> None:
        self._held = {entry.key: entry for entry in hardware}

    def find(self, key: str) -> Hardware:
        """InputError where there is none, with the keys that read alike."""
        if key in self._held:
            return self._held[key]
        hint = meant(key, self._held, most=3, least=0.4)
        raise InputError(
            f"there is no hardware called {key!r} here or in a table of your own (--hardware-table): {hint}"
        )

    def named(self, keys: Sequence[str]) -> tuple[Hardware, ...]:
        """Those of ``keys``, each once; all of them for no keys."""
        return tuple(self.find(key) for key in dict.fromkeys(keys)) if keys else tuple(self)

    def __iter__(self) -> Iterator[Hardware]:
        return iter(self._held.values())

    def __len__(self) -> int:
        return len(self._held)


def hardware_table(own: Path | None = None) -> HardwareTable:
    """What aerogel brings, and the user's: a CSV file with the same columns (``key``, ``name``, ``form``,
    ``year``, ``watts``, ``grade``, ``source``; peaks in TFLOP/s under ``fp32``, ``bf16`` ... as known)."""
    brought = resources.files("aerogel.carbon").joinpath("data", "hardware.csv").read_text(encoding="utf-8")
    table = list(_read(brought, "aerogel's table of hardware"))
    if own is not None:
        try:
            table += _read(own.read_text(encoding="utf-8-sig"), str(own), own=True)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{own} cannot be read as a table of hardware: {error}") from error
    return HardwareTable(table)


def _read(text: str, where: str, *, own: bool = False) -> Iterator[Hardware]:
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    try:
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        require(not missing, InputError, f"{where} has no column {', '.join(missing)}")
        for row in rows:
            yield _entry(row, f"{where}, {row.get('key') or 'a row without a key'}", own=own)
    except csv.Error as error:
        raise InputError(f"{where}, line {rows.line_num}: {error}") from error


def _entry(row: Mapping[str, str | None], where: str, *, own: bool) -> Hardware:
    said = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    for name, value in said.items():
        require(value, InputError, f"{where}: {name} is empty")
    form, grade = said["form"], said["grade"]
    require(
        form in get_args(Form), InputError, f"{where}: form {form!r} is none of {', '.join(get_args(Form))}"
    )
    require(grade in get_args(Grade), InputError, f"{where}: no grade is called {grade!r}")
    peaks = {dtype: positive_in(row, dtype, where) for dtype in DTYPES}
    watts, year = positive_in(row, "watts", where), positive_in(row, "year", where)
    assert watts is not None and year is not None
    memory, bandwidth = positive_in(row, "memory_gb", where), positive_in(row, "gb_per_s", where)
    return Hardware(
        key=said["key"],
        name=said["name"],
        form=cast("Form", form),
        year=int(year),
        watts=watts,
        peaks={dtype: peak * 1e12 for dtype, peak in peaks.items() if peak is not None},
        grade=cast("Grade", grade),
        source=said["source"],
        mean_watts=positive_in(row, "mean_w", where),
        least_watts=positive_in(row, "least_w", where),
        memory_bytes=None if memory is None else memory * 1e9,
        bytes_per_s=None if bandwidth is None else bandwidth * 1e9,
        embodied=(row.get("embodied") or "").strip() or None,
        own=own,
    )
