"""Sparsity, int8, both or neither: a pure function from measured figures to a choice and its reasons.

*Both* is one program: zeros skipped in int8, proven faster than either of the two alone. Where each pays and
both together do not, the faster one is chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from aerogel.find.controls import Control
from aerogel.find.estimate import Estimate
from aerogel.find.other_runtime import WholeControl
from aerogel.find.paymap import AIM, SMALLEST, MapRow
from aerogel.find.program import Gain, Split
from aerogel.find.skipped import NO_TIME, Skipped, summed
from aerogel.find.words import breaks_even, interval, milliseconds, percent
from aerogel.tune.breakeven import DENSE_INT8, Breakeven
from aerogel.tune.layer_call import Precision

Choice = Literal["sparsity", "int8", "both", "neither", "not measured"]
WORTH = 1.1
"""So many times faster, proven, something must make the model to pay (its linear layers, where no more is
known; the largest product, where int8 is known from another runtime alone)."""
_MOST_EXCEPTIONS = 6
_MOST_WAYS = 4
# A lesser share of the time outside the linear layers limits nothing that zeros could reach.
_LEAST_OTHER = 0.01


@dataclass(frozen=True)
class Evidence:
    """All that the verdict rests on. ``columns``: the greatest number timed, of ``unit``; ``largest``:
    weights of the largest product; ``int8``: the control at the shape that costs most, ``why_no_int8`` where
    there is none; ``whole_control``: the whole model in onnxruntime, None where that was not timed.
    ``refused``: compile would not take the model. ``sparse_share``: linear weights that are 0 now."""

    columns: int
    unit: str
    largest: int
    control: str | None
    rows: tuple[MapRow, ...]
    estimates: tuple[Estimate, ...]
    split: Split | None
    int8: Control | None
    why_no_int8: str
    sparse_share: float
    gain: Gain | None
    refused: bool = False
    missing: tuple[Skipped, ...] = ()
    whole_control: WholeControl | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``pays``: what does, at ``sparsity`` zeros and ``columns`` on this CPU; ``reasons``: sentences, the
    first of which says it all."""

    pays: Choice
    sparsity: float
    columns: int
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons)}


def verdict(evidence: Evidence) -> Verdict:
    """What pays, and why."""
    choice = _choice(evidence)
    reasons = [_headline(evidence, choice)]
    if evidence.largest >= SMALLEST:
        reasons += [
            *_side_by_side(evidence),
            *_breakevens(evidence),
            *_gains(evidence),
            *_limit(evidence),
            *_other_runtime(evidence),
            *_int8(evidence),
        ]
        reasons += [*_exceptions(evidence), *_now(evidence)]
        reasons += summed(evidence.missing)
        if any(each.why == NO_TIME for each in evidence.missing):
            reasons.append("More time does more: --seconds on the command line, budget_s= in Python.")
        reasons.append(
            f"Speed alone: what {percent(AIM)} zeros or int8 cost in quality is not measured here."
        )
    return Verdict(choice, AIM, evidence.columns, tuple(reasons))


# --- the choice ---------------------------------------------------------------------------------


def _choice(evidence: Evidence) -> Choice:
    if evidence.largest < SMALLEST:
        return "neither"
    if _together_pays(evidence):
        return "both"
    match _sparsity_pays(evidence), _int8_pays(evidence):
        case True, True:
            return _faster(evidence)
        case True, _:
            return "sparsity"
        case _, True:
            return "int8"
        case False, False:
            return "neither"
        case _:
            return "not measured"


def _sparsity_pays(evidence: Evidence) -> bool | None:
    """Does any pattern at AIM in float32, proven, make the model faster than our dense and the linear layers
    faster than the control's? None: not measured."""
    judged = _zeros(evidence, "fp32")
    return any(map(_pays, judged)) if judged else None


def _int8_pays(evidence: Evidence) -> bool | None:
    """Does our own dense int8? Where that is not known: is another runtime's proven faster than its fp32, of
    the whole model or on the product that costs most?"""
    dense = _dense_int8(evidence)
    if dense is not None:
        return _pays(dense)
    if evidence.whole_control is not None:
        return evidence.whole_control.int8_speedup.low >= WORTH
    if evidence.int8 is None or evidence.int8.int8_speedup is None:
        return None
    return evidence.int8.int8_speedup.low >= WORTH


def _together_pays(evidence: Evidence) -> bool | None:
    """Are zeros in int8 proven faster than dense int8, ours and the control's, and than zeros in float32?
    None: not measured."""
    dense, judged = _dense_int8(evidence), _zeros(evidence, "int8")
    if dense is None or not judged:
        return None
    alone = max(e.speedup.high for e in (dense, *_zeros(evidence, "fp32")))
    return any(_pays(e) and e.speedup.low > alone for e in judged)


def _pays(e: Estimate) -> bool:
    """Zeros are worth it only beside the best dense program in the same numbers."""
    control = e.beside_control if e.way.precision == "fp32" or e.way == DENSE_INT8 else e.beside_int8
    return e.speedup.low >= WORTH and (control is None or control.low > 1)


def _faster(evidence: Evidence) -> Choice:
    """Of two that pay."""
    dense, zeros = _dense_int8(evidence), _zeros(evidence, "fp32")
    if dense is None:
        return "both"  # int8 is that of another runtime: each pays, where it runs
    return "int8" if dense.speedup.value >= _best(zeros).speedup.value else "sparsity"


def _best(estimates: list[Estimate]) -> Estimate:
    return max(estimates, key=lambda e: e.speedup.value)


def _zeros(evidence: Evidence, precision: Precision) -> list[Estimate]:
    """At AIM."""
    return [e for e in _aimed(evidence) if e.way.precision == precision and e.way != DENSE_INT8]


def _dense_int8(evidence: Evidence) -> Estimate | None:
    return next((e for e in _aimed(evidence) if e.way == DENSE_INT8), None)


def _aimed(evidence: Evidence) -> list[Estimate]:
    """Every way at the greatest number of columns: at AIM, or dense."""
    here = (e for e in evidence.estimates if e.tokens == evidence.columns)
    return [e for e in here if e.sparsity == AIM or e.way == DENSE_INT8]


# --- the reasons --------------------------------------------------------------------------------


def _headline(evidence: Evidence, choice: Choice) -> str:
    if evidence.largest < SMALLEST:
        return (
            f"Neither pays: the largest linear layer has {evidence.largest:,} weights, and below "
            f"{SMALLEST:,} starting a layer takes about as long as running it."
        )
    at = f"on this CPU, at {evidence.columns} {evidence.unit}, one thread"
    but = " But compile refuses this model as it is." if evidence.refused else ""
    zeros, eight = _sparsity_pays(evidence), _int8_pays(evidence)
    if choice == "both" and _together_pays(evidence):
        return f"Sparsity at {percent(AIM)} zeros and int8 pay together {at}, more than either alone.{but}"
    if zeros and eight:
        return f"Sparsity at {percent(AIM)} zeros and int8 each pay {at}. {_not_together(evidence)}{but}"
    if choice == "neither":
        return f"Neither sparsity at {percent(AIM)} zeros nor int8 is proven to pay {at}."
    said = {True: "pays", False: "is not proven to pay", None: "was not measured"}
    return f"Sparsity at {percent(AIM)} zeros {said[zeros]}, int8 {said[eight]}: {at}.{but}"


def _not_together(evidence: Evidence) -> str:
    """Where each pays alone: which is faster, and what is known of both together."""
    dense = _dense_int8(evidence)
    if dense is None:
        return "int8 is that of another runtime here: our own was not measured."
    alone = "Dense int8" if _faster(evidence) == "int8" else f"fp32 with {percent(AIM)} zeros"
    if _together_pays(evidence) is None:
        return f"{alone} is the faster of the two; both together were not measured."
    return f"{alone} is the faster of the two; both together are not proven to be faster still."


def _side_by_side(evidence: Evidence) -> list[str]:
    """The best of each kind, in one sentence."""
    zeros, eight = _zeros(evidence, "fp32"), _zeros(evidence, "int8")
    dense = _dense_int8(evidence)
    shown = [_best(zeros)] if zeros else []
    shown += [] if dense is None else [dense]
    shown += [_best(eight)] if eight else []
    if len(shown) < 2:
        return []
    said = ", ".join(f"{_named(e)} {interval(e.speedup)}" for e in shown)
    what = "The whole model" if all(e.whole is not None for e in shown) else "At least the linear layers"
    return [f"{what}, in times the speed of dense fp32: {said}."]


def _named(e: Estimate) -> str:
    how = "" if e.measured else " (an estimate)"
    return f"{e.way}{how}" if e.way == DENSE_INT8 else f"{percent(e.sparsity)} {e.way}{how}"


def _breakevens(evidence: Evidence) -> list[str]:
    """Of the shape that costs most, at the greatest number of columns."""
    rows = [row for row in evidence.rows if row.curve.columns == evidence.columns]
    if not rows:
        return []
    shape = rows[0].shape
    rows = [row for row in rows if row.shape == shape]
    dense, rows = (
        [row for row in rows if row.curve.way == DENSE_INT8],
        [row for row in rows if row.curve.way != DENSE_INT8],
    )
    said = [
        f"{shape} dense in int8 takes {interval(row.curve.ratio(0.0))} the time of fp32." for row in dense
    ]
    if not rows:
        return said
    own = _by_way(rows, [row.over_dense for row in rows])
    said.append(f"With zeros {shape} is faster than our dense fp32 kernel {own}.")
    int8 = [row for row in rows if row.over_int8 is not None]
    if int8:
        found = [row.over_int8 for row in int8 if row.over_int8 is not None]
        said.append(f"It is faster than our dense int8 kernel {_by_way(int8, found)}.")
    if evidence.control is not None and all(row.over_control is not None for row in rows):
        controls = [row.over_control for row in rows if row.over_control is not None]
        said.append(f"It is faster than {evidence.control}, dense, {_by_way(rows, controls)}.")
    return said


def _by_way(rows: list[MapRow], found: list[Breakeven]) -> str:
    """``from 38 % [33, 41] (unstructured), from 10 % or less (block4x1)``: the most telling ways."""
    pairs = list(zip(rows, found, strict=True))
    words = [f"{breaks_even(each)} ({row.curve.way})" for row, each in pairs[:_MOST_WAYS]]
    more = len(pairs) - len(words)
    return ", ".join(words) + (f"; {more} more ways are in the map" if more else "")


def _gains(evidence: Evidence) -> list[str]:
    """Of what was measured on the model itself, and of the best of each kind; the others are in the table."""
    best = [_best(some) for some in (_zeros(evidence, "fp32"), _zeros(evidence, "int8")) if some]
    shown = (e for e in _aimed(evidence) if e.measured or e.way == DENSE_INT8 or e in best)
    return [_gain(evidence, estimate) for estimate in shown]


def _gain(evidence: Evidence, e: Estimate) -> str:
    how = "an estimate"
    if e.measured:
        how = "measured, pruned by magnitude" if e.sparsity > 0 else "measured"
    linear = f"the linear layers are {interval(e.linear)} as fast as dense"
    if e.over_control is not None and evidence.control is not None:
        linear += f", {interval(e.over_control)} as fast as in {evidence.control}"
        if e.over_int8 is not None:
            linear += f", {interval(e.over_int8)} as fast as in its int8"
    at = "In dense int8" if e.way == DENSE_INT8 else f"At {percent(e.sparsity)} {e.way}"
    if e.whole is None or e.whole_s is None or evidence.split is None:
        return f"{at} {linear} ({how})."
    before = median(evidence.split.linear_s), median(evidence.split.total_s)
    beside = ""
    if e.whole_over_control is not None and e.whole_over_int8 is not None:
        beside = f", {interval(e.whole_over_control)} as fast as in onnxruntime fp32, "
        beside += f"{interval(e.whole_over_int8)} as fast as in its int8"
    return (
        f"{at} {linear}: they take {milliseconds(e.linear_s)} of {milliseconds(e.whole_s)}, dense "
        f"{milliseconds(before[0])} of {milliseconds(before[1])}. The whole model is {interval(e.whole)} as "
        f"fast{beside} ({how})."
    )


def _limit(evidence: Evidence) -> list[str]:
    if evidence.split is None:
        return []
    other = evidence.split.other_share
    if other.low < _LEAST_OTHER:
        return []  # zeros are limited by something else
    limit = f"in fp32 no number of zeros makes the whole model more than {interval(other.inverse())} as fast"
    return [f"{percent(other.value)} of the time is spent outside the linear layers: {limit}."]


def _other_runtime(evidence: Evidence) -> list[str]:
    found = evidence.whole_control
    if found is None:
        return []
    return [f"{whole_control_words(found)}."]


def whole_control_words(found: WholeControl) -> str:
    """The whole model, dense, in onnxruntime."""
    return (
        f"The whole model, dense, in onnxruntime at {found.tokens} columns: in fp32 "
        f"{interval(found.dense_over_control)} as fast as our dense fp32 program, in int8 "
        f"{interval(found.int8_speedup)} as fast as its fp32, off by {percent(found.int8_error, 1)} of the "
        "largest output"
    )


def _int8(evidence: Evidence) -> list[str]:
    """Of the product that costs most."""
    found = evidence.int8
    if found is None or found.int8_speedup is None:
        known = evidence.whole_control is not None or _dense_int8(evidence) is not None
        return [] if known else [f"int8 was not measured: {evidence.why_no_int8}."]
    off = "" if found.int8_error is None else f", off by {percent(found.int8_error, 1)} of the largest output"
    said = (
        f"int8 in onnxruntime (dynamic, per channel) was {interval(found.int8_speedup)} as fast as its fp32"
    )
    return [f"{said} on {found.shape} at {found.shape.columns} {evidence.unit}{off}."]


def _exceptions(evidence: Evidence) -> list[str]:
    """Products that do not break even with our own dense kernel."""
    found = [row for row in evidence.rows if row.over_dense.verdict != "pays"]
    said: list[str] = []
    for row in found[:_MOST_EXCEPTIONS]:
        top = row.curve.points[-1]
        said.append(
            f"{row.shape} at {row.curve.columns} {evidence.unit}, {row.curve.way}: "
            f"{breaks_even(row.over_dense)}; there it takes {interval(top.ratio)} the time of dense."
        )
    if len(found) > _MOST_EXCEPTIONS:
        said.append(f"So do {len(found) - _MOST_EXCEPTIONS} more: see the map.")
    return said


def _now(evidence: Evidence) -> list[str]:
    """What zeros that are there already gain."""
    share = percent(evidence.sparse_share)
    if evidence.gain is None:
        if evidence.refused and evidence.sparse_share > 0.01:
            return [
                f"Its linear layers hold {share} zeros already; compile refuses it, so they gain nothing."
            ]
        return []
    g = evidence.gain
    speed = f"{interval(g.speedup)} as fast as multiplying them would be"
    times = f"{milliseconds(g.sparse_s)} against {milliseconds(g.dense_s)}"
    where = f"at {g.tokens} {evidence.unit}, measured in turns"
    return [f"Its linear layers hold {share} zeros already: the whole model is {speed}, {times} {where}."]
