from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.carbon.book import load_book, read_factors
from aerogel.carbon.factor import Book, Factor
from aerogel.core.errors import InputError


def _factor(key: str, value: float, year: int | None = None) -> Factor:
    return Factor(key, value, value, value, "kWh/kWh", year, "somebody", "published")


def test_every_factor_has_source_unit_grade_and_bounds() -> None:
    for factor in load_book():
        assert factor.source and factor.unit and not factor.own
        assert factor.low <= (factor.low if factor.value is None else factor.value) <= factor.high
        assert factor.year is None or 2009 <= factor.year <= 2026


@pytest.mark.parametrize(
    "key",
    [
        "grid/FRA", "grid/WORLD", "grid/aws/eu-west-1", "market/ITA", "market/aws/eu-south-1", "pue/aws",
        "pue/google", "pue/azure", "pue/cloud", "pue/on-premises", "pue/unknown", "water/site", "water/aws",
        "embodied/server", "embodied/h100", "lifetime/server", "power/vcpu",
    ],
)  # fmt: skip
def test_what_an_assessment_needs_is_there(key: str) -> None:
    assert load_book().find(key).key == key


def test_the_year_or_the_nearest_before_it_or_else_after_it() -> None:
    book = Book([_factor("a", 1.0, 2022), _factor("a", 2.0, 2024)])
    assert [book.find("a", year=y).year for y in (2021, 2022, 2023, 2024, 2026)] == [
        2022,
        2022,
        2022,
        2024,
        2024,
    ]
    assert book.find("a").year == 2024


def test_an_unknown_key_is_an_error_that_helps() -> None:
    with pytest.raises(InputError, match="pue/aws"):
        load_book().find("pue/asw")
    assert load_book().get("pue/nobody") is None


def test_own_factors_of_toml_go_first_and_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[[factor]]\nkey = "market/FRA"\nvalue = 0\nunit = "gCO2e/kWh"\nyear = 2026\nsource = "contract"\n'
        '[[factor]]\nkey = "pue/aws"\nvalue = 1.2\nlow = 1.1\nhigh = 1.3\nunit = "kWh/kWh"\n'
        'source = "our audit"\ngrade = "measured"\n'
    )
    book = load_book(path)
    market, pue = book.find("market/FRA"), book.find("pue/aws")
    assert (market.value, market.low, market.high, market.own, market.grade) == (
        0.0,
        0.0,
        0.0,
        True,
        "assumed",
    )
    assert (pue.value, pue.own, pue.grade) == (1.2, True, "measured")
    assert book.find("market/aws/eu-west-3").value == 0.0


def test_own_factors_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "# ours\nkey,value,low,high,unit,year,source\nprice/kwh,0.21,0.2,0.22,EUR/kWh,2026,bill\n"
    )
    (factor,) = read_factors(path)
    assert (factor.key, factor.value, factor.low, factor.high, factor.year) == (
        "price/kwh",
        0.21,
        0.2,
        0.22,
        2026,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key = 3", "factor"),
        ('[[factor]]\nkey = "a"\nvalue = 1\nunit = "u"\n', "source"),
        ('[[factor]]\nkey = "a"\nvalue = "x"\nunit = "u"\nsource = "s"\n', "number"),
        ('[[factor]]\nkey = "a"\nvalue = 3\nlow = 4\nhigh = 5\nunit = "u"\nsource = "s"\n', "range"),
        ('[[factor]]\nkey = "a"\nvalue = 3\nunit = "u"\nsource = "s"\ngrade = "sure"\n', "grade"),
        ('[[factor]]\nkey = "a"\nlow = 3\nunit = "u"\nsource = "s"\n', "bounds"),
        ('[[factor]]\nkey = "a"\nvalue = 3\nunit = "u"\nsource = "s"\nyaer = 2026\n', "yaer"),
        ("[[factor]\n", "TOML"),
        ('[[factor]]\nkey = "a"\nvalue = nan\nunit = "u"\nsource = "s"\n', "finite"),
        ('[[factor]]\nkey = "a"\nvalue = 3\nyear = nan\nunit = "u"\nsource = "s"\n', "whole"),
        ('[[factor]]\nkey = "a"\nvalue = -3\nunit = "u"\nsource = "s"\n', "below 0"),
        ('[[factor]]\nkey = "pue/a"\nvalue = 0.9\nunit = "u"\nsource = "s"\n', "below 1"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        read_factors(path)
    assert "own.toml" in str(raised.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [("a,1,u,s,more,cells", "more cells"), ("a,1,u," + "s" * 200_000, "line 1: field larger")],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"key,value,unit,source\n{row}\n")
    with pytest.raises(InputError, match=said):
        read_factors(path)
