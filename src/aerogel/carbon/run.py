"""One thing that used energy, as it happened; what it emitted is worked out later, from factors."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from aerogel.core.errors import InputError, require
from aerogel.energy import Reading

Kind = Literal["training", "pruning", "inference", "serving", "usage"]
Method = Literal["measured", "calibrated", "estimated", "not measured", "imported"]
Scope = Literal["2", "3.1"]
Role = Literal["dense", "sparse", "cost"]

_COUNTRY = re.compile(r"[A-Z]{3}")
_REGION = re.compile(r"[a-z][a-z0-9]*/[a-z0-9][a-z0-9-]*")
_ID = re.compile(r"[0-9a-f]{32}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Run:
    """What ran, when, where and for how long, with the energy of the computer between bounds.

    began: UTC, ISO 8601, to the second or finer: "2026-11-28T20:00:00Z".
    scope: of the greenhouse gas protocol: "2": own hardware; "3.1": computing that was bought.
    place: an ISO 3166-1 alpha-3 country ("FRA"), or a cloud region ("aws/eu-west-1"); None: unknown.
    joules, low, high: of the computer, before cooling and the like (PUE); None: not known, which is not zero.
    method, source: as in ``energy.Reading``; "imported": from a list of usage.
    covers: what the energy covers: "CPU packages + memory", "whole server at the wall".
    units, unit: functional units done: 1000 of "inference", "token", "image", "request".
    flops_gross, flops_effective: counted as if nothing were zero, and without those on zero weights.
    hardware, share: key of a hardware factor ("server", "h100") and the share of it reserved, for what making
        it emitted (embodied emissions).
    model, pair, role: which model; the name of a before-and-after pair, and which of the two this is; "cost"
        is what making the sparse one took.
    facility: for PUE: "on-premises", "aws", "google", "azure", "cloud", "included" (the joules are the whole
        building's), or None: unknown.
    money, currency: paid, where the import says so.
    id: names this run for good; a ledger keeps each once.
    """

    kind: Kind
    label: str
    began: str
    seconds: float
    scope: Scope
    place: str | None
    joules: float | None
    low: float | None
    high: float | None
    method: Method
    source: str
    id: str = field(default_factory=_new_id)
    covers: str = ""
    units: float | None = None
    unit: str | None = None
    flops_gross: float | None = None
    flops_effective: float | None = None
    hardware: str | None = None
    share: float | None = None
    model: str | None = None
    pair: str | None = None
    role: Role | None = None
    facility: str | None = None
    money: float | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        _one_of(self, "kind", get_args(Kind))
        _one_of(self, "scope", get_args(Scope))
        _one_of(self, "method", get_args(Method))
        _matches(self, "id", _ID, "32 hexadecimal digits")
        self.began_at  # noqa: B018  (raises where the time cannot be read)
        numbers = ("joules", "low", "high", "units", "flops_gross", "flops_effective", "money")
        for name in ("seconds", *numbers):
            _not_negative(self, name)
        _require_bounds(self)
        _require_pairs(self)

    @property
    def began_at(self) -> datetime:
        """When it began, in UTC."""
        said = f"run {self.label!r} began at {self.began!r}: give UTC as 2026-11-28T20:00:00Z"
        try:
            parsed = datetime.fromisoformat(self.began)
        except (TypeError, ValueError) as error:
            raise InputError(said) from error
        require(parsed.tzinfo is not None and self.began.endswith("Z"), InputError, said)
        return parsed.astimezone(UTC)

    @property
    def year(self) -> int:
        """The year it began in, for the factors of that year."""
        return self.began_at.year

    @classmethod
    def from_reading(
        cls,
        reading: Reading,
        *,
        kind: Kind,
        label: str,
        scope: Scope,
        place: str | None,
        began: str | None = None,
        **more: Any,
    ) -> Run:
        """The run that a metered block was; ``began`` is the block's, by default so long ago as it took.

        more: any of the other fields: units=1000, unit="inference", model="minilm"."""
        more.setdefault("covers", reading.covers)
        return cls(
            kind=kind,
            label=label,
            began=began or utc(datetime.now(UTC) - timedelta(seconds=reading.seconds)),
            seconds=reading.seconds,
            scope=scope,
            place=place,
            joules=reading.joules,
            low=reading.low,
            high=reading.high,
            method=reading.method,
            source=reading.source,
            **more,
        )

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Any) -> Run:
        """What ``to_json`` wrote; InputError where a field is missing or unknown."""
        require(isinstance(said, dict), InputError, f"a run must be a JSON object, not {type(said).__name__}")
        unknown = sorted(set(said) - {f.name for f in fields(cls)})
        require(not unknown, InputError, f"a run has no field {', '.join(map(repr, unknown))}")
        try:
            return cls(**said)
        except TypeError as error:
            raise InputError(f"a run cannot be read: {error}") from error


def utc(moment: datetime) -> str:
    """As ``Run.began`` has it: "2026-11-28T20:00:00Z"; ``moment`` must know its time zone."""
    require(moment.tzinfo is not None, InputError, f"{moment} has no time zone")
    at = moment.astimezone(UTC)
    exact = "microseconds" if at.microsecond else "seconds"
    return at.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def require_place(place: object, whose: str) -> None:
    """InputError unless ``place`` is written as ``Run.place`` is; whether it exists is not looked up."""
    good = isinstance(place, str) and (_COUNTRY.fullmatch(place) or _REGION.fullmatch(place))
    said = f"{whose} is placed at {place!r}: give a country as FRA (ISO 3166-1) or a region as aws/eu-west-1"
    require(good, InputError, said)


def _one_of(run: Run, name: str, allowed: tuple[str, ...]) -> None:
    value = getattr(run, name)
    said = f"run {run.label!r} has {name} {value!r}: it must be one of {', '.join(allowed)}"
    require(value in allowed, InputError, said)


def _matches(run: Run, name: str, pattern: re.Pattern[str], form: str) -> None:
    value = getattr(run, name)
    good = isinstance(value, str) and pattern.fullmatch(value)
    require(good, InputError, f"run {run.label!r} has {name} {value!r}: it must be {form}")


def _not_negative(run: Run, name: str) -> None:
    value = getattr(run, name)
    if value is None and name != "seconds":
        return
    good = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    good = good and not isinstance(value, bool)
    require(good, InputError, f"run {run.label!r} has {name}={value!r}: it must be a number from 0 on")


def _require_bounds(run: Run) -> None:
    """A value lies within its bounds; a bound is never without the other."""
    require((run.low is None) == (run.high is None), InputError, f"run {run.label!r} has one bound of two")
    low = run.low if run.low is not None else 0.0
    high = run.high if run.high is not None else math.inf
    inside = low <= (low if run.joules is None else run.joules) <= high
    said = f"run {run.label!r}: {run.joules} J do not lie within the bounds {run.low} to {run.high} J"
    require(inside, InputError, said)
    said = f"run {run.label!r} is called measured, and has no joules"
    require(run.method != "measured" or run.joules is not None, InputError, said)


def _require_pairs(run: Run) -> None:
    """What makes sense together only, and places and shares as they are written."""
    if run.place is not None:
        require_place(run.place, f"run {run.label!r}")
    unit = f"run {run.label!r} has {run.units} units of {run.unit!r}: give both the number and the unit"
    require((run.units is None) == (run.unit is None), InputError, unit)
    paid = f"run {run.label!r} cost {run.money} {run.currency}: give both the sum and the currency"
    require((run.money is None) == (run.currency is None), InputError, paid)
    if run.currency is not None:
        _matches(run, "currency", _CURRENCY, "three letters, as EUR")
    if run.share is not None:
        share = f"run {run.label!r} has {run.share!r} of a machine: a share is above 0 and at most 1"
        require(isinstance(run.share, int | float) and 0 < run.share <= 1, InputError, share)
    if run.role is not None:
        _one_of(run, "role", get_args(Role))
