"""What does not fit the fabric whole takes turns on it, one configuration after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.fabric.read import load
from aerogel.chip.mapping.fit import FitError

SMALL = replace(load("onyx-small"), values="f64")
TINY = replace(SMALL, name="tiny", rows=3)
SUM = "X(i,j) = A(i,k) * B(k,j) + C(i,k) * D(k,j)"
CHAIN = "X(i,j) = A(i,k) * B(k,l) * C(l,m) * D(m,j)"


def _operands(count: int, size: int = 6) -> dict[str, Any]:
    random = np.random.default_rng(0)
    full = random.integers(1, 5, (count, size, size)) * (random.random((count, size, size)) < 0.4)
    return {name: ag.tensor(one * 1.0, "csr") for name, one in zip("ABCDEF", full, strict=False)}


@pytest.mark.parametrize(
    ("text", "semiring", "fabric", "count"),
    [
        (CHAIN, "min_plus", TINY, 2),
        ("X(i,j) = A(i,j) + B(i,j) + C(i,j) + D(i,j)", "plus_times", TINY, 3),
        ("X(i,j) = relu(A(i,k) * B(k,j) - C(i,k) * D(k,j)) + E(i,j)", "plus_times", TINY, 3),
        ("X(i,j) = A(i,j) * B(i,k) * C(j,k)", "plus_times", TINY, 2),
    ],
)
def test_parts_make_the_whole(text: str, semiring: str, fabric: Any, count: int) -> None:
    operands = {name: one for name, one in _operands(5).items() if f"{name}(" in text}
    chip = ag.chip.compile(text, semiring=semiring, fabric=fabric, copies=1, **operands)
    assert len(chip.parts) == count
    told = chip.explain()
    assert f"memory tiles, {fabric.name} has" in told and f": {count} configurations take turns" in told
    assert all(f"\n{at}. {part.text.split(' = ')[0]}" in told for at, part in enumerate(chip.parts, 1))
    done: list[tuple[int, int]] = []
    run = chip.simulate(lambda now, total: done.append((now, total)))
    wanted = np.asarray(ag.evaluate(text, semiring=semiring, **operands))
    np.testing.assert_array_equal(np.asarray(run.output), wanted)
    assert len(run.earlier) == count - 1 and done[-1] == (count, count)
    assert f"{count} configurations, one after another: {run.earlier[0].cycles} cycles" in run.text()
    assert run.utilisation().count("bottleneck") == count
    words = [len(part.translated.program.words) for part in chip.parts]
    assert len(chip.configuration()) == sum(words) == run.counts.configuration_words


def test_it_takes_what_its_parts_take_one_by_one_from_the_chips_own_results() -> None:
    """Compiled by hand, the second from what the first gave: rounded to bf16, as the planned one is not."""
    fabric = load("onyx-small")
    operands = {name: one * 1.37 for name, one in _operands(4).items()}
    chip = ag.chip.compile(SUM, fabric=fabric, copies=1, **operands)
    run = chip.simulate()
    known: dict[str, Any] = dict(operands)
    seconds: list[Any] = []
    for part in chip.parts:
        used = {name: known[name] for name in part.request.sources.values()}
        order = part.translated.plan.order
        alone = ag.chip.compile(part.text, fabric=fabric, copies=1, order=order, **used).simulate()
        known[part.name] = alone.output
        seconds.append(alone)
    exact = ag.evaluate(
        chip.parts[0].text, **{n: operands[n] for n in chip.parts[0].request.sources.values()}
    )
    assert not np.array_equal(np.asarray(known["X_1"]), np.asarray(exact))
    np.testing.assert_array_equal(np.asarray(run.output), np.asarray(known["X"]))
    assert run.cycles == sum(one.cycles for one in seconds)
    assert run.counts == seconds[0].counts + seconds[1].counts
    assert run.joules == pytest.approx(sum(one.joules for one in seconds), rel=0.02)
    # What the first gave has gone to DRAM, and came back.
    assert run.counts.dram_written_bytes > seconds[1].counts.dram_written_bytes > 0


def test_what_fits_is_not_cut() -> None:
    chip = ag.chip.compile(SUM, fabric="onyx-like", copies=1, **_operands(4))
    assert len(chip.parts) == 1 and chip.reason == "" and "take turns" not in chip.explain()


def test_what_cannot_be_cut_says_what_is_short() -> None:
    operands = _operands(4)
    small = replace(SMALL, name="two", rows=2)
    with pytest.raises(FitError, match=r"needs \d+ memory tiles, two has 4"):
        ag.chip.compile("X(i,j) = A(i,j) * B(i,j)", fabric=small, A=operands["A"], B=operands["B"])
    with pytest.raises(FitError, match=r"tiny has 6: .*; cut at intermediate results it does not fit either"):
        ag.chip.compile(SUM, fabric=TINY, copies=1, order="ikj", **operands)
    # Copies were asked for: of what?
    with pytest.raises(FitError, match=r"needs \d+ memory tiles, onyx-small has 8: 2 copies of"):
        ag.chip.compile(SUM, fabric=SMALL, copies=2, **operands)
    # A zero that is stored between parts, times infinity, would be no number.
    operands["D"] = ag.tensor(np.diag([np.inf] * 6), "csr")
    product = "X(i,j) = A(i,j) * B(i,j) * C(i,j) * D(i,j)"
    with pytest.raises(FitError, match=r"needs \d+ memory tiles"):
        ag.chip.compile(product, fabric=SMALL, copies=1, **operands)
    operands["D"] = operands["A"]
    assert len(ag.chip.compile(product, fabric=SMALL, copies=1, **operands).parts) == 2


def test_where_wires_find_no_way_parts_do() -> None:
    random = np.random.default_rng(0)
    full = random.integers(1, 5, (3, 3, 3)) * (random.random((3, 3, 3)) < 0.4)
    operands = {name: ag.tensor(full[at] * 1.0, "csr") for at, name in enumerate("CD")}
    operands["B"] = ag.tensor(full * 1.0, "csf")
    text, fabric = "X(i,j) = B(i,k,l) * C(j,k) * D(j,l)", replace(load("onyx-like"), values="f64", tracks=1)
    chip = ag.chip.compile(text, fabric=fabric, copies=1, order="ijlk", **operands)
    assert len(chip.parts) == 2 and "wires find no way" in chip.explain()
    wanted = np.asarray(ag.evaluate(text, **operands))
    np.testing.assert_array_equal(np.asarray(chip.simulate().output), wanted)


@pytest.mark.slow
def test_parts_are_chosen_for_their_cycles() -> None:
    """Three products, rather than two parts of which one only fits in an order that tries every pair."""
    random = np.random.default_rng(0)
    full = random.random((4, 100, 100)) * (random.random((4, 100, 100)) < 0.03)
    operands = {name: ag.tensor(one, "csr") for name, one in zip("ABCD", full, strict=True)}
    chip = ag.chip.compile(CHAIN, fabric=SMALL, copies=1, **operands)
    run = chip.simulate()
    np.testing.assert_allclose(np.asarray(run.output), np.asarray(ag.evaluate(CHAIN, **operands)))
    assert len(chip.parts) == 3 and run.cycles < 80_000
