from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.carbon.book import load_book
from aerogel.carbon.ledger import Ledger
from aerogel.carbon.run import Run
from aerogel.carbon.usage import Defaults, read_usage
from aerogel.core.errors import InputError

_HEAD = (
    "began,until,scope,place,label,kwh,low_kwh,high_kwh,hours,count,vcpus,gpu_watts,"
    "units,unit,money,currency\n"
)


def _read(tmp_path: Path, text: str, defaults: Defaults | None = None) -> list[Run]:
    path = tmp_path / "usage.csv"
    path.write_text(text, encoding="utf-8")
    return read_usage(path, load_book(), defaults)


def test_a_bill_in_kwh(tmp_path: Path) -> None:
    (run,) = _read(tmp_path, _HEAD + "2026-10,,2,FRA,office,412,,,,,,,,,81.20,EUR\n")
    assert run.joules == run.low == run.high == pytest.approx(412 * 3.6e6)
    assert (run.method, run.began, run.seconds) == ("imported", "2026-10-01T00:00:00Z", 31 * 86400)
    assert (run.scope, run.place, run.money, run.currency) == ("2", "FRA", 81.2, "EUR")


def test_a_bill_with_bounds_and_without_a_value(tmp_path: Path) -> None:
    (run,) = _read(tmp_path, _HEAD + "2026-10-03,,2,FRA,office,,400,450,,,,,,,,\n")
    assert run.joules is None and run.low == pytest.approx(1.44e9) and run.high == pytest.approx(1.62e9)


def test_hours_of_instances_have_bounds_and_no_value(tmp_path: Path) -> None:
    (run,) = _read(tmp_path, _HEAD + "2026-10,,3.1,gcp/europe-west1,n2,,,,720,2,4,,,,,\n")
    assert run.joules is None and run.method == "not measured"
    assert run.seconds == 720 * 2 * 3600 and run.place == "google/europe-west1"
    assert run.low == pytest.approx(0.5 * 4 * run.seconds) and run.high == pytest.approx(
        4.3 * 4 * run.seconds
    )
    assert "power" not in run.label and "Cloud Carbon Footprint" in run.source


def test_hours_of_gpus_are_bounded_by_their_design_power(tmp_path: Path) -> None:
    (run,) = _read(tmp_path, _HEAD + "2026-10-03,,3.1,USA,h100,,,,10,,,700,,,,\n")
    assert run.low == pytest.approx(70 * 36000) and run.high == pytest.approx(1281 * 36000)


def test_tokens_alone_are_no_energy_and_not_zero(tmp_path: Path) -> None:
    (run,) = _read(tmp_path, _HEAD + "2026-10,,3.1,unknown,chat,,,,,,,,5200000,token,26,USD\n")
    assert (run.joules, run.low, run.high, run.place) == (None, None, None, None)
    assert (run.units, run.unit) == (5200000, "token")


def test_tokens_with_energy_each(tmp_path: Path) -> None:
    text = "began,scope,place,units,unit,joules_per_unit,low_joules_per_unit,high_joules_per_unit\n"
    (run,) = _read(tmp_path, text + "2026,3.1,USA,1000,token,2,1,4\n")
    assert (run.joules, run.low, run.high, run.seconds) == (2000.0, 1000.0, 4000.0, 365 * 86400)


def test_semicolons_byte_order_marks_and_defaults(tmp_path: Path) -> None:
    text = "\ufeffBegan;kWh\n2026-10-03T14:00+02:00;3\n"
    with pytest.raises(InputError, match="hours or until"):
        _read(tmp_path, text, Defaults(scope="2", place="de"))
    text = "\ufeffBegan;until;kWh\n2026-10-03T14:00+02:00;2026-10-03T14:00Z;3\n"
    (run,) = _read(tmp_path, text, Defaults(scope="2", place="de", facility="on-premises"))
    assert (run.place, run.scope, run.facility, run.seconds) == ("DEU", "2", "on-premises", 7200)


def test_a_list_counts_once_whatever_its_file_is_called(tmp_path: Path) -> None:
    text = _HEAD + "2026-10,,2,FRA,,412,,,,,,,,,,\n" * 2
    ledger = Ledger(tmp_path / "l.sqlite")
    assert ledger.add(_read(tmp_path, text)) == 2
    other = tmp_path / "renamed.csv"
    other.write_text(text)
    assert (
        ledger.add([r for r in read_usage(other, load_book()) if r.id not in {x.id for x in ledger.runs()}])
        == 0
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2026-13,,2,FRA,x,1,,,,,,,,,,", "no time"),
        ("2026-10,2026-09,2,FRA,x,1,,,,,,,,,,", "not after"),
        ("2199-10,,2,FRA,x,1,,,,,,,,,,", "to come"),
        ("0001-10,,2,FRA,x,1,,,,,,,,,,", "before 1990"),
        ("9999-12-31,,2,FRA,x,1,,,,,,,,,,", "no time"),
        ("2026-10,,2,FRA,a\x1b[31mb,1,,,,,,,,,,", "no letter"),
        ("2026-10,,2,FRA,x,,,,1e300,,1e300,,,,,", "number from 0 on"),
        ("2026-10,,,FRA,x,1,,,,,,,,,,", "no scope"),
        ("2026-10,,2,,x,1,,,,,,,,,,", "no place"),
        ("2026-10,,2,Atlantis,x,1,,,,,,,,,,", "Atlantis"),
        ('2026-10,,2,FRA,x,"1,5",,,,,,,,,,', "1234.5"),
        ("2026-10,,2,FRA,x,-1,,,,,,,,,,", "from 0 on"),
        ("2026-10,,2,FRA,x,1,0.5,,,,,,,,,", "one bound"),
        ("2026-10,,2,FRA,x,1,2,3,,,,,,,,", "outside"),
        ("2026-10,,2,FRA,x,,,,,,,,5,,,", "units"),
        ("2026-10,,2,FRA,x,1,,,,,,,,,5,", "currency"),
        ("2026-10,,2,FRA,x,1,,,,,,,,,5,EUR,6", "more cells"),
        (",,2,FRA,x,1,,,,,,,,,5,EUR", "no began"),
    ],
)
def test_a_line_that_cannot_be_taken_is_named_and_none_is_taken(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        _read(tmp_path, _HEAD + "2026-10,,2,FRA,x,1,,,,,,,,,,\n" + line + "\n")
    assert "line 3" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("facility", "onprem", "pue/on-premises"), ("hardware", "h1000", "embodied/h100")],
)
def test_names_that_no_factor_has_would_stay_for_good(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        _read(tmp_path, f"began,scope,place,kwh,{name}\n2026-10,2,FRA,1,{value}\n")


@pytest.mark.parametrize("text", ["x" * 200_000 + ",kwh\n1,2\n", "began,kwh\n2026," + "1" * 200_000 + "\n"])
def test_cells_beyond_measure(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="field larger"):
        _read(tmp_path, text)


@pytest.mark.parametrize(
    ("head", "said"),
    [("begun,kwh", "did you mean 'began'"), ("kwh,place", "began"), ("began,began", "twice")],
)
def test_a_head_that_cannot_be_meant(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _read(tmp_path, f"{head}\n2026,1\n")


def test_energy_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        _read(tmp_path, "began,scope,place,kwh,watts\n2026-10,2,FRA,1,5\n")


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no lines"):
        _read(tmp_path, _HEAD)
