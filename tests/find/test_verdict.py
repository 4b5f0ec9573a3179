"""From measured figures to words: several machines, none of them real."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.find.evidence import QUICK, SLOW, USES, about, control, curve, evidence, pay_map, row, split

from aerogel.find.estimate import Estimate, estimates
from aerogel.find.other_runtime import WholeControl
from aerogel.find.program import Gain
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.verdict import Evidence, Verdict, verdict
from aerogel.prune.pattern import PATTERNS
from aerogel.tune.breakeven import DENSE_INT8, Way, breakeven, scaled

LATE = (Skipped("256 x 128", NO_TIME), Skipped("4 x 4", NO_TIME))


def said(found: Verdict) -> str:
    return "\n".join(found.reasons)


@pytest.mark.parametrize(
    ("ratios", "ours", "int8", "wanted"),
    [
        (QUICK, 1.0, 2.0, "both"),
        (QUICK, 1.0, 1.02, "sparsity"),
        (QUICK, 1.0, None, "sparsity"),
        (SLOW, 1.0, 2.0, "int8"),
        (SLOW, 1.0, 1.02, "neither"),
        (SLOW, 1.0, None, "not measured"),
        # Our dense takes four times as long as the control: even at 80 % the control is faster.
        (QUICK, 4.0, 2.0, "int8"),
        (QUICK, 4.0, 0.9, "neither"),
    ],
)
def test_the_choice(ratios: dict[float, float], ours: float, int8: float | None, wanted: str) -> None:
    found = verdict(evidence(ratios, control(ours, int8)))
    assert found.pays == wanted
    assert (found.sparsity, found.columns) == (0.8, 128)


def with_int8(floats: float, dense: float, blocks: float | None) -> Evidence:
    """The speed of the whole model: fp32 at 80 % zeros, dense int8, int8 at 80 % zeros."""
    given = evidence(QUICK, control())
    like = next(e for e in given.estimates if e.sparsity == 0.8)

    def measured(way: Way, sparsity: float, speed: float) -> Estimate:
        bounds = about(speed, 0.02)
        return replace(like, way=way, sparsity=sparsity, linear=bounds, whole=bounds, measured=True)

    found = [measured(like.way, 0.8, floats), measured(DENSE_INT8, 0.0, dense)]
    found += [] if blocks is None else [measured(Way("block4x4", "int8"), 0.8, blocks)]
    return replace(given, estimates=tuple(found))


@pytest.mark.parametrize(
    ("speeds", "wanted", "words"),
    [
        ((2.0, 1.8, 3.0), "both", "pay together on this CPU, at 128 tokens, one thread, more than either"),
        ((2.0, 2.6, 2.62), "int8", "Dense int8 is the faster of the two; both together are not proven"),
        ((2.6, 2.0, 2.4), "sparsity", "fp32 with 80 % zeros is the faster of the two; both together are"),
        ((2.0, 2.6, None), "int8", "both together were not measured"),
        ((1.02, 1.8, 1.9), "both", "pay together"),
        ((1.02, 1.8, 1.5), "int8", "Sparsity at 80 % zeros is not proven to pay, int8 pays"),
        ((1.02, 1.05, 1.06), "neither", "Neither sparsity"),
        # Our own dense int8 does not pay, whatever another runtime's does.
        ((2.0, 1.0, 1.5), "sparsity", "int8 is not proven to pay"),
    ],
)
def test_sparsity_int8_or_both_by_what_was_measured(
    speeds: tuple[float, float, float | None], wanted: str, words: str
) -> None:
    found = verdict(with_int8(*speeds))
    assert found.pays == wanted
    assert words in found.reasons[0]


def test_the_three_stand_side_by_side() -> None:
    text = said(verdict(with_int8(2.0, 1.8, 3.0)))
    assert (
        "The whole model, in times the speed of dense fp32: 80 % unstructured 2.00x [1.96, 2.04], dense int8 "
        "1.80x [1.76, 1.84], 80 % block4x4 int8 3.00x [2.94, 3.06]."
    ) in text
    assert "In dense int8 the linear layers are 1.80x" in text and "(measured)." in text


def test_zeros_in_integers_must_beat_the_integers_of_another_runtime() -> None:
    given = with_int8(2.0, 1.8, 3.0)
    slower = tuple(
        replace(e, over_int8=about(0.9)) if e.way == Way("block4x4", "int8") else e for e in given.estimates
    )
    assert verdict(replace(given, estimates=slower)).pays == "sparsity"


def test_integers_of_another_runtime_alone_are_named_so() -> None:
    first = verdict(evidence(QUICK, control())).reasons[0]
    assert first.startswith(
        "Sparsity at 80 % zeros and int8 each pay on this CPU, at 128 tokens, one thread."
    )
    assert "int8 is that of another runtime here: our own was not measured." in first


def test_the_dense_integer_kernel_is_a_row_of_its_own() -> None:
    floats, blocks = curve(QUICK), curve(QUICK, Way("block4x4", "int8"))
    over8 = breakeven(scaled(blocks.points, about(0.4).inverse()))
    rows = (row(curve({0.0: 0.4}, DENSE_INT8)), row(floats), replace(row(blocks), over_int8=over8))
    text = said(verdict(evidence(QUICK, None, rows=rows)))
    assert "256 x 128 dense in int8 takes 0.40x [0.38, 0.42] the time of fp32." in text
    assert "faster than our dense int8 kernel from 70 % [66, 74] (block4x4 int8)." in text


def test_where_it_breaks_even_and_with_whom() -> None:
    text = said(verdict(evidence(QUICK, control())))
    assert "With zeros 256 x 128 is faster than our dense fp32 kernel from 20 % [" in text
    assert "It is faster than onnxruntime fp32, dense, from" in text


def test_of_many_ways_the_most_telling_are_said() -> None:
    ways = [Way(pattern, precision) for precision in ("fp32", "int8") for pattern in PATTERNS]
    rows = tuple(row(curve(QUICK, way)) for way in ways)
    found = estimates(pay_map(rows), (split(),), USES)
    text = said(verdict(evidence(rows=rows, estimates=found)))
    assert f"{len(ways) - 4} more ways are in the map" in text
    assert text.count("the linear layers are") == 2, "the best in floats, and the best in integers"


def test_the_gain_of_the_whole_model_is_an_estimate_with_bounds() -> None:
    text = said(verdict(evidence(QUICK, control())))
    assert (
        "as fast as in its int8: they take 2.40 ms of 4.40 ms, dense 8.00 ms of 10.0 ms. The whole "
        "model is 2.27x ["
    ) in text
    assert "(an estimate)" in text and "measured, pruned" not in text
    assert "20 % of the time is spent outside the linear layers" in text
    assert "more than 5.00x" in text


def test_a_gain_that_was_measured_is_no_estimate() -> None:
    given = evidence(QUICK, control())
    trial = replace(given.estimates[2], measured=True)
    text = said(verdict(replace(given, estimates=(trial,))))
    assert "(measured, pruned by magnitude)" in text and "estimate" not in text


def test_int8_comes_with_its_error() -> None:
    text = said(verdict(evidence(QUICK, control())))
    assert "was 2.00x [1.90, 2.10] as fast as its fp32 on 256 x 128 at 128 tokens, off by 1.2 %" in text


def test_int8_that_was_not_measured_says_why() -> None:
    found = verdict(evidence(QUICK, control(int8=None)))
    assert "int8 was not measured: onnxruntime and onnx are not installed." in found.reasons
    assert "int8 was not measured" in found.reasons[0]


def test_without_any_control_sparsity_is_judged_against_our_dense() -> None:
    found = verdict(evidence(QUICK, None))
    assert found.pays == "sparsity"
    assert "onnxruntime fp32" not in said(found)


def test_zeros_pay_only_where_the_whole_model_beats_the_whole_of_another_runtime() -> None:
    """Zeros make it 2.27 times faster; what takes a third of our dense time is faster than that."""
    found = WholeControl(128, 10e-3, about(3.0), about(2.0), 0.012)
    base = evidence()
    whole = estimates(pay_map(base.rows), (split(),), USES, (), (found,))
    beaten = verdict(replace(base, estimates=whole, whole_control=found))
    assert verdict(base).pays == "sparsity" and beaten.pays != "sparsity"
    said = " ".join(beaten.reasons)
    assert (
        "in onnxruntime at 128 columns: in fp32 3.00x [2.85, 3.15] as fast as our dense fp32 program" in said
    )
    assert "off by 1.2 % of the largest output" in said
    assert "0.76x [" in said.partition("as fast as in onnxruntime fp32")[0]


def test_layers_that_never_break_even_are_named() -> None:
    rows = (row(curve(QUICK)), row(curve(SLOW, Way("block2x1"), columns=16)))
    text = said(verdict(evidence(QUICK, None, rows=rows)))
    assert (
        "256 x 128 at 16 tokens, block2x1: never up to 90 %; there it takes 1.50x [1.42, 1.58] the time of "
        "dense."
    ) in text
    assert "128 tokens, unstructured: never" not in text


def test_many_exceptions_are_summed_up() -> None:
    rows = tuple(row(curve(SLOW, columns=16)) for _ in range(9))
    assert "So do 3 more: see the map." in verdict(evidence(SLOW, None, rows=rows)).reasons


def test_a_difference_that_could_be_noise_does_not_pay() -> None:
    nearly = QUICK | {0.8: 0.92}
    assert verdict(evidence(nearly, control(int8=1.05))).pays == "neither"


def test_what_is_outside_the_linear_layers_can_spoil_it() -> None:
    """Zeros make the layers three times as fast, and the model 1.02 times."""
    assert verdict(evidence(QUICK, control(int8=1.0), split=split(linear=1e-4, other=9e-3))).pays == "neither"


def test_a_refused_model_is_judged_by_its_linear_layers() -> None:
    found = verdict(evidence(QUICK, control(), split=None, refused=True, sparse_share=0.5))
    assert found.pays == "both"
    text = said(found)
    assert "the linear layers are 3.33x [" in text and "whole model is" not in text
    assert found.reasons[0].endswith("But compile refuses this model as it is.")
    assert "hold 50 % zeros already; compile refuses it, so they gain nothing" in text


def test_zeros_that_are_there_already_and_what_they_gain() -> None:
    gain = Gain(128, about(2.5), 4e-3, 1e-2)
    text = said(verdict(evidence(QUICK, control(), gain=gain, sparse_share=0.795)))
    assert (
        "Its linear layers hold 80 % zeros already: the whole model is 2.50x [2.38, 2.62] as fast as "
        "multiplying them would be, 4.00 ms against 10.0 ms at 128 tokens, measured in turns."
    ) in text


def test_a_tiny_model() -> None:
    found = verdict(evidence(QUICK, control(), largest=128))
    assert found.pays == "neither"
    (only,) = found.reasons
    assert only.startswith("Neither pays: the largest linear layer has 128 weights, and below 4,096 starting")


def test_what_was_not_measured_is_said() -> None:
    found = verdict(evidence(QUICK, None, rows=(), estimates=(), missing=LATE))
    assert found.pays == "not measured"
    assert "Not measured, as there was no time: 256 x 128, 4 x 4." in found.reasons
    assert any("--seconds" in reason for reason in found.reasons)
    assert not any("--seconds" in reason for reason in verdict(evidence(QUICK, control())).reasons)


def test_speed_is_not_all() -> None:
    assert "quality is not measured here" in verdict(evidence(QUICK, control())).reasons[-1]


def test_json() -> None:
    document = json.loads(json.dumps(verdict(evidence(QUICK, control())).to_json()))
    assert set(document) == {"pays", "sparsity", "columns", "reasons"}
