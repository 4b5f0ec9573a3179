from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.carbon.ledgers import some_run

from aerogel.carbon.run import Run, utc
from aerogel.core.errors import InputError
from aerogel.energy import Reading

_NOT_MEASURED = Reading(None, 1.0, 9.0, "not measured", "a model", 2.0, 1.5, "watts", "no meter")


def test_a_run_of_a_reading_keeps_what_is_not_known() -> None:
    run = Run.from_reading(
        _NOT_MEASURED, kind="inference", label="x", scope="2", place="FRA", units=8, unit="image"
    )
    assert (run.joules, run.low, run.high, run.method) == (None, 1.0, 9.0, "not measured")
    assert (run.seconds, run.source, run.units, run.unit) == (2.0, "a model", 8, "image")
    assert abs((datetime.now(UTC) - run.began_at).total_seconds() - 2.0) < 1.0


def test_every_run_has_an_id_of_its_own() -> None:
    made = [Run.from_reading(_NOT_MEASURED, kind="usage", label="x", scope="2", place=None) for _ in range(3)]
    assert len({run.id for run in made}) == 3


def test_a_run_is_the_same_after_json() -> None:
    run = some_run(3, units=5.0, unit="token", money=1.5, currency="EUR", share=0.25, hardware="h100")
    assert Run.from_json(run.to_json()) == run


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "mining"}, "kind"),
        ({"scope": "3"}, "scope"),
        ({"method": "guessed"}, "method"),
        ({"began": "2026-11-28 20:00"}, "UTC"),
        ({"began": "2026-11-28T20:00:00+01:00"}, "UTC"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": None}, "seconds"),
        ({"seconds": math.nan}, "seconds"),
        ({"place": "France"}, "place"),
        ({"place": "fra"}, "place"),
        ({"joules": 5.0, "low": 6.0, "high": 7.0}, "bounds"),
        ({"low": None}, "one bound"),
        ({"joules": None, "method": "measured"}, "measured"),
        ({"units": 5.0}, "units"),
        ({"money": 5.0}, "currency"),
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
        ({"role": "after"}, "role"),
        ({"id": "1"}, "id"),
        ({"joules": True}, "joules"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        some_run(1, **wrong)


def test_fields_of_another_version_are_named() -> None:
    with pytest.raises(InputError, match="'watts'"):
        Run.from_json(some_run(1).to_json() | {"watts": 3})


def test_times_are_written_in_utc() -> None:
    moment = datetime(2026, 11, 28, 21, 30, tzinfo=timezone(timedelta(hours=1)))
    assert utc(moment) == "2026-11-28T20:30:00Z"
    with pytest.raises(InputError):
        utc(datetime(2026, 11, 28))  # noqa: DTZ001  (what is tested)
