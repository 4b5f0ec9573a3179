"""Software carbon intensity: the published worked examples come out, and nothing else lowers a score."""

from __future__ import annotations

import pytest
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import assess, embodied_share
from aerogel.carbon.sci import Score, count, intensity, sci, scores
from aerogel.core.errors import InputError


def exact(value: float, unit: str) -> Amount:
    return Amount.exact(value, unit)


def share(te_kg: float, seconds: float, years: float, reserved: float, of: float) -> float:
    """M, in grams."""
    found = embodied_share(
        exact(te_kg, "kgCO2e"), seconds, exact(years, "years"), exact(reserved / of, "")
    ).scaled(1e3, "gCO2e")
    assert found.value is not None and found.low == found.value == found.high
    return found.value


class TestPublishedExamples:
    def test_the_specifications_server_of_1000_kg(self) -> None:
        """SCI 1.1.0, embodied emissions: 1000 kg, 4 years, one hour: "around 28 g"."""
        found = share(1000, 3600, 4, 1, 1)
        assert found == 1_000_000 / (4 * 365 * 24)
        assert int(found) == 28

    @pytest.mark.parametrize(
        ("kwh", "te_kg", "reserved", "of", "m", "total"),
        [
            # The case study prints M of the first as 4.305 g and adds that, but 1205.52 kg / 35040 x 2 / 16
            # is 4.3005 g.
            (0.0656, 1205.52, 2, 16, 4.300513698630137, 66.68611369863014),
            (0.048, 1433.12, 2, 16, 5.112442922374429, 50.76044292237443),
            (0.01576, 350.0, 1, 1, 9.988584474885844, 24.976344474885846),
        ],
    )
    def test_the_web_shop(
        self, kwh: float, te_kg: float, reserved: float, of: float, m: float, total: float
    ) -> None:
        """eShoppen: 951 g/kWh, one hour, four years. Printed: 66.69, 50.76 and 24.96 g."""
        made = share(te_kg, 3600, 4, reserved, of)
        assert made == pytest.approx(m, rel=1e-12)
        found = sci(exact(kwh, "kWh"), exact(951, "gCO2e/kWh"), exact(made, "gCO2e"), 1, "run")
        assert found.value == pytest.approx(total, rel=1e-12)

    def test_the_web_shop_with_the_printed_share_gives_the_printed_sum(self) -> None:
        found = sci(exact(0.0656, "kWh"), exact(951, "gCO2e/kWh"), exact(4.305, "gCO2e"), 1, "run")
        assert found.value == pytest.approx(66.6906, abs=1e-10)

    @pytest.mark.parametrize(
        ("kg", "units", "unit", "per", "grams"),
        [
            # SCI for AI prints 0.13 g per million tokens: 6,500 kg over 50 billion are 130 g, 0.13 kg.
            (5000 + 1500, 50e9, "token", 1e6, 130.0),
            (3200, 40e6, "inference", 1, 0.08),
            # And 4 g per 10^18 FLOP: 4 x 10^-18 kg per FLOP, as it says before, are 4 kg.
            (180_000 + 20_000, 5e22, "FLOP", 1e18, 4000.0),
            # And 30 kg per billion parameters: 75,000 kg over 2.5 billion are 30,000 kg each.
            (75_000, 2.5e9, "parameter", 1e9, 30_000_000.0),
        ],
    )
    def test_sci_for_ai(self, kg: float, units: float, unit: str, per: float, grams: float) -> None:
        found = intensity(exact(kg * 1e3, "gCO2e"), units, unit, per)
        assert found.value == pytest.approx(grams, rel=1e-12)
        assert found.unit == f"gCO2e per {count(per, unit)}"


def only(found: tuple[Score, ...]) -> Score:
    (score,) = found
    return score


def test_a_consumers_score_is_carbon_over_units() -> None:
    used = [run(units=1000.0, unit="inference", model="m"), run(units=3000.0, unit="inference", model="m")]
    score = only(scores(assess(used, book())))
    made = 1000 / (4 * 8760) * 0.5
    assert score.persona == "consumer" and score.unit == "inference" and score.units == 4000
    assert score.carbon.value == pytest.approx(2 * 1000 * (0.075 + made))
    assert score.value.value == pytest.approx(2 * 1000 * (0.075 + made) / 4000 * score.per)
    assert set(score.runs) == {each.id for each in used}


def test_units_of_different_kinds_are_scores_of_their_own() -> None:
    used = [run(units=10.0, unit="token", model="m"), run(units=10.0, unit="image", model="m")]
    assert {score.unit for score in scores(assess(used, book()))} == {"token", "image"}


def test_a_provider_is_told_gross_and_effective() -> None:
    trained = run(kind="training", label="t", flops_gross=4e18, flops_effective=1e18)
    gross, effective = scores(assess([trained], book()))
    assert (gross.basis, effective.basis) == ("gross", "effective")
    assert gross.value.value is not None and effective.value.value is not None
    each, other = gross.value.value / gross.per, effective.value.value / effective.per
    assert other == pytest.approx(4 * each), "fewer operations, the same carbon"


def test_operations_of_some_runs_make_no_score() -> None:
    trained = [run(kind="training", label="t", flops_gross=1e18), run(kind="training", label="t")]
    gross, effective = scores(assess(trained, book()))
    assert gross.units is None and gross.note == "FLOP were not counted in every run"
    assert effective.value.value is None


def test_using_and_making_are_never_in_one_score() -> None:
    both = [
        run(kind="training", model="m", units=5.0, unit="token"),
        run(kind="inference", model="m", units=5.0, unit="token"),
    ]
    found = [score for score in scores(assess(both, book())) if score.unit == "token"]
    assert [score.persona for score in found] == ["consumer", "provider"]
    assert all(len(score.runs) == 1 for score in found)


def test_certificates_do_not_lower_a_score() -> None:
    clean = book(factor("market/FRA", 0.0, "gCO2e/kWh"))
    used = [run(units=1.0, unit="inference")]
    assert only(scores(assess(used, clean))).value == only(scores(assess(used, book()))).value


def test_what_is_not_known_has_no_score_and_says_why() -> None:
    score = only(scores(assess([unmeasured(units=1.0, unit="inference")], book())))
    assert score.value.value is None and not score.value.bounded
    assert "not known" in score.note


def test_bought_computing_counts_like_own() -> None:
    assert only(scores(assess([bought(units=1.0, unit="request")], book()))).value.value is not None


def test_nothing_is_per_none_of_them() -> None:
    with pytest.raises(InputError, match="nothing is per none"):
        intensity(exact(1.0, "gCO2e"), 0, "token")


@pytest.mark.parametrize(
    ("per", "said"), [(1, "token"), (1000, "1,000 token"), (1e6, "1,000,000 token"), (1e18, "10^18 token")]
)
def test_counts_read_well(per: float, said: str) -> None:
    assert count(per, "token") == said
