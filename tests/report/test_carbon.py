"""The pages and words of a statement: every figure with its bounds, what is missing said, savings apart."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.carbon.cases import book, bought, factor, run, unmeasured
from tests.report.html_tree import Node, tree

from aerogel.carbon.amount import Amount
from aerogel.carbon.disclosure import Turnover
from aerogel.carbon.statement import Asked, Statement, statement
from aerogel.report import render
from aerogel.report.carbon import carbon_report
from aerogel.report.carbon_savings import savings_report
from aerogel.report.carbon_text import text
from aerogel.report.carbon_words import amount, headline, readable

PRICE = factor("price/kwh", 0.2, "EUR/kWh")


def mixed(**asked: Any) -> Statement:
    runs = [
        run(label="nightly", units=1000.0, unit="inference", model="m", pair="p", role="dense"),
        run(
            label="sparse",
            units=1000.0,
            unit="inference",
            pair="p",
            role="sparse",
            joules=1.8e6,
            low=1.8e6,
            high=1.8e6,
            seconds=1800.0,
        ),
        run(kind="pruning", label="prune", pair="p", role="cost", flops_gross=1e18, flops_effective=1e17),
        bought(label="cloud", money=3.0, currency="EUR", began="2026-07-01T00:00:00Z"),
        unmeasured(label="dark", hardware=None, share=None),
    ]
    return statement(runs, book(PRICE), Asked(**asked))


def sections(page: Node) -> dict[str, Node]:
    return {part.all("h2")[0].text: part for part in page.all("section")}


class TestPage:
    found = mixed(turnover=Turnover(1e6), yearly_units=1e6)
    page = tree(render(carbon_report(found)))

    def test_has_every_part(self) -> None:
        assert list(sections(self.page)) == [
            "Totals",
            "How the energy was obtained",
            "Software carbon intensity",
            "VSME B3: energy and greenhouse gas emissions",
            "ESRS E1-5 and E1-6: energy and gross emissions",
            "Total cost of ownership",
            "For comparison",
            "Assumptions",
            "Every run",
            "Method",
        ]

    def test_says_first_what_is_missing(self) -> None:
        first = self.page.all("p", class_="headline")[0].text
        assert first.startswith("5 runs from 2026-06-01 to 2026-07-01: ")
        assert (
            "Not known, and in no sum: the energy of 1 run and the making of the hardware of 1 run." in first
        )
        assert first.endswith("Energy was measured in 4 of 5.")

    def test_keeps_scopes_apart(self) -> None:
        heads = [n.text for n in sections(self.page)["Totals"].all("th", scope="col")]
        assert [head[:9] for head in heads] == ["what", "Scope 2: ", "Scope 3.1", "Scope 3.2"]

    def test_lists_every_factor_with_source_year_and_grade(self) -> None:
        rows = sections(self.page)["Assumptions"].all("tbody")[0].all("tr")
        for row, used in zip(rows, self.found.inventory.factors(), strict=True):
            # A line may end after a slash, which reads as a blank here.
            assert row.all("th")[0].text.replace("/ ", "/") == f"{used.key} ({used.year})"
            assert used.source in row.text and used.grade in row.text

    def test_leads_from_every_run_to_its_factors(self) -> None:
        rows = sections(self.page)["Every run"].all("tbody")[0].all("tr")
        assert len(rows) == len(self.found.inventory.runs)
        for row, each in zip(rows, self.found.inventory.runs, strict=True):
            assert each.id in row.text and each.label in row.text
        dark = next(row for row in rows if "dark" in row.text)
        assert dark.text.count("not known") >= 5 and " 0 k" not in dark.text

    def test_names_operations_gross_and_effective(self) -> None:
        said = sections(self.page)["Software carbon intensity"].text
        assert "provider, operations gross" in said and "provider, operations effective" in said

    def test_has_no_saving_on_it(self) -> None:
        body = " ".join(n.text for name, n in sections(self.page).items() if name != "Method")
        assert "saved" not in body and "net, the first year" not in body

    def test_draws_what_it_says(self) -> None:
        drawings = self.page.all("svg", role="img")
        titles = [d.all("title")[0].text for d in drawings]
        assert titles == [f"Emissions by {by}" for by in ("scope", "month", "model") for _ in (1, 2)]

    def test_says_how(self) -> None:
        said = sections(self.page)["Method"].text
        assert self.found.inventory.method in said and "Nothing is taken for zero" in said


def test_savings_have_a_page_of_their_own_that_says_what_they_are() -> None:
    page = tree(render(savings_report(mixed(yearly_units=1e6))))
    first = page.all("p", class_="headline")[0].text
    assert first.startswith("Projections, no part of the inventory")
    assert "saves 50 % of the energy per inference; time -50 %" in page.text
    rows = sections(page)["p"].all("tbody")[0].all("tr")
    assert [row.all("th")[0].text for row in rows][-2:] == ["pruning took, once", "net, the first year"]


def test_a_pair_that_cannot_be_compared_says_why() -> None:
    runs = [run(pair="p", role="dense", units=1.0, unit="x"), run(pair="p", role="sparse")]
    page = tree(render(savings_report(statement(runs, book()))))
    assert "Not comparable: a sparse run does not say how many units of work it did." in page.text


def test_the_terminal_says_all_of_it() -> None:
    said = text(mixed(yearly_units=1e6, turnover=Turnover(1e6)))
    for part in (
        "Scope 2: electricity of own hardware",
        "Scope 3.1: computing that was bought",
        "Software carbon intensity",
        "VSME B3",
        "ESRS E1-5",
        "Total cost of ownership",
        "Assumptions: every factor used",
        "Projected savings. Projections, no part of the inventory",
        "Method: aerogel carbon",
    ):
        assert part in said
    assert "nan" not in said and "inf" not in re.sub(r"\w*inference\w*", "", said)


def test_nothing_on_record_is_no_zero() -> None:
    nothing = statement([], book())
    assert headline(nothing) == "No runs: there is nothing to report."
    tree(render(carbon_report(nothing)))
    tree(render(savings_report(nothing)))
    assert text(nothing).startswith("No runs")


def test_only_unknown_runs_draw_nothing_and_still_make_a_page() -> None:
    page = tree(render(carbon_report(statement([unmeasured(hardware=None, share=None)], book()))))
    assert page.all("svg", role="img") == []
    assert "1 run on 2026-06-01: an unknown amount of electricity" in page.all("p", class_="headline")[0].text


def test_very_many_runs_are_in_the_sums_and_not_all_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aerogel.report.carbon.MOST_RUNS", 20)
    runs = [run() for _ in range(25)]
    page = tree(render(carbon_report(statement(runs, book()))))
    rows = sections(page)["Every run"].all("tbody")[0].all("tr")
    assert len(rows) == 20 and "5 more runs stand in the tables" in page.text


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1234567.0, "kWh", "1.23 GWh"),
        (1500.0, "kWh", "1.5 MWh"),
        (0.00123, "kWh", "1.23 Wh"),
        (0.0383, "kgCO2e", "38.3 gCO2e"),
        (2.5e-12, "kgCO2e", "0.0025 ugCO2e"),
        (0.0, "kWh", "0 kWh"),
        (1500.0, "EUR", "1,500 EUR"),
        (-0.5, "kWh", "-500 Wh"),
    ],
)
def test_amounts_are_in_units_that_read_well(value: float, unit: str, said: str) -> None:
    assert amount(Amount.exact(value, unit)) == said
    shown = readable(Amount.exact(value, unit))
    assert shown.value == pytest.approx(
        value * {"GWh": 1e-6, "MWh": 1e-3, "Wh": 1e3}.get(shown.unit, 0) or shown.value
    )


def test_what_is_not_known_is_said() -> None:
    assert amount(None) == amount(Amount.unknown("kWh")) == "not known"
    assert amount(Amount(None, 1.0, 2.0, "kWh")) == "1 to 2 kWh"
    assert amount(Amount(None, 412.0, 412.01, "kWh")) == "412 kWh"


def test_a_label_gives_a_terminal_no_orders() -> None:
    said = text(statement([run(label="a\x1b[31mred", units=1.0, unit="x")], book()))
    assert "\x1b" not in said and "a?[31mred" in said


def test_a_part_of_the_cost_that_nobody_knows_is_not_none() -> None:
    said = text(statement([run()], book(PRICE)))
    assert re.search(r"hardware written off +not known +no price for 1 run$", said, re.MULTILINE)


def test_bounds_stand_beside_a_figure_only_where_they_say_more() -> None:
    exact = bought(money=3.0, currency="EUR")
    vague = run(joules=None, low=1.8e6, method="not measured")
    shown = tree(render(carbon_report(statement([exact, vague], book())))).all("section")[0].text
    assert "exactly so" in shown and "no more is known" in shown and "3 to 3 EUR" not in shown


def test_the_axis_of_a_saving_is_in_a_unit_that_reads_well() -> None:
    pair = [
        run(pair="p", role=role, units=1e6, unit="inference", joules=size, low=size, high=size)
        for role, size in (("dense", 3.6e6), ("sparse", 1.8e6))
    ]
    page = render(savings_report(statement(pair, book())))
    assert "mWh per inference, with cooling" in page and "e-0" not in page


def test_bounds_that_read_alike_are_not_written_out() -> None:
    assert amount(Amount(412.0, 412.0, 412.0001, "kWh")) == "412 kWh"
    assert amount(Amount(412.0, 400.0, 420.0, "kWh")) == "412 kWh [400, 420]"
