"""Batch sizes: what is measured, and what is claimed of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pytest

from aerogel.carbon import Amount
from aerogel.carbon.plan.batch import BatchSize, BatchStudy, Limits, measure_batches
from aerogel.core.errors import InputError
from aerogel.energy import Reading


class Machine:
    """A call of n items takes 1 + n/10 units of time and as much energy; a meter that reads it."""

    def __init__(self, *, metered: bool = True, off: float = 0.01) -> None:
        self.joules, self.order, self.metered, self.off = 0.0, [], metered, off

    def prepare(self, size: int) -> Callable[[], object]:
        def call() -> None:
            self.order.append(size)
            self.joules += 1 + size / 10
            time.sleep(1e-4 * (1 + size / 10))

        return call

    def meter(self) -> Any:
        return _Meter(self)


class _Meter:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __enter__(self) -> Self:
        self._before = self._machine.joules
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        spent, off = self._machine.joules - self._before, self._machine.off
        joules, method = (spent, "measured") if self._machine.metered else (None, "not measured")
        bounds = (spent * (1 - off), spent * (1 + off)) if self._machine.metered else (spent / 10, spent * 10)
        self.reading = Reading(joules, *bounds, method, "a fake meter", 1.0, 0.5)


def study(machine: Machine, limits: Limits | None = None, sizes: tuple[int, ...] = (1, 4, 16)) -> BatchStudy:
    return measure_batches(machine.prepare, sizes, limits or Limits(seconds=0.02), machine.meter)


def test_energy_per_item() -> None:
    found = study(Machine())
    for row in found.sizes:
        wanted = (1 + row.items / 10) / row.items
        assert row.joules.value == pytest.approx(wanted)
        assert row.joules.low == pytest.approx(wanted * 0.99) and row.joules.high == pytest.approx(
            wanted * 1.01
        )
        assert row.call_s >= 1e-4 * (1 + row.items / 10) and row.late_s >= row.call_s
        assert row.item_s == pytest.approx(row.call_s / row.items) and row.calls >= 4
    assert found.chosen is found.sizes[-1] and found.rivals == () and found.measured


def test_rounds_go_back_and_forth() -> None:
    machine = Machine()
    study(machine, sizes=(2, 1))
    turns = [size for i, size in enumerate(machine.order) if i == 0 or machine.order[i - 1] != size]
    # Three calls of each to find how many fill a block, then four rounds in turn and back.
    assert turns == [1, 2, 1, 2, 1, 2, 1]


def test_latency_rules_out() -> None:
    found = BatchStudy((row(1, 0.01, 3.0), row(8, 0.02, 1.0), row(64, 0.2, 0.5)), 0.05, None)
    assert found.chosen is not None and found.chosen.items == 8
    assert BatchStudy(found.sizes, 0.001, None).chosen is None


def test_waiting_for_a_batch_to_fill_counts() -> None:
    sizes = (row(1, 0.01, 3.0), row(8, 0.02, 1.0))
    assert sizes[1].wait_s(100.0) == pytest.approx(0.07 + 0.02)
    assert BatchStudy(sizes, 0.05, 100.0).chosen is sizes[0]
    assert BatchStudy(sizes, 0.05, 1000.0).chosen is sizes[1]


def test_what_may_be_noise_is_not_proven() -> None:
    found = BatchStudy((row(1, 0.01, 1.05), row(2, 0.02, 1.0), row(4, 0.04, 2.0)), None, None)
    assert found.chosen is not None and found.chosen.items == 2
    assert [s.items for s in found.rivals] == [1]


def test_without_a_meter_time_decides_and_nothing_is_proven() -> None:
    found = study(Machine(metered=False))
    assert not found.measured and found.chosen is not None and found.chosen.items == 16
    assert [s.items for s in found.rivals] == [1, 4]
    assert all(s.joules.value is None and s.joules.low < s.joules.high for s in found.sizes)
    assert found.to_json()["energy_measured"] is False and found.sizes[0].method == "not measured"


def test_a_block_that_was_not_measured_leaves_the_sum_without_a_value() -> None:
    machine = Machine()
    readings = iter([True, True, False] + [True] * 20)

    def meter() -> Any:
        machine.metered = next(readings)
        return machine.meter()

    found = measure_batches(machine.prepare, (1, 2), Limits(seconds=0.02), meter)
    unmetered = [s for s in found.sizes if s.joules.value is None]
    assert len(unmetered) == 1 and "not the same" in unmetered[0].method and not found.measured


def test_with_the_meter_of_this_machine() -> None:
    total = [0.0]

    def prepare(size: int) -> Callable[[], object]:
        values = list(range(200 * size))
        return lambda: total.append(sum(values))

    found = measure_batches(prepare, (1, 8), Limits(seconds=0.05))
    assert found.chosen is not None
    for one in found.sizes:
        assert one.joules.low <= one.joules.high and one.method and one.source


@pytest.mark.parametrize("sizes", [(), (0, 1), (-1,)])
def test_sizes_that_are_none(sizes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="batch sizes"):
        study(Machine(), sizes=sizes)


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"latency_s": -1.0}, {"arrivals_per_s": 0.0}])
def test_limits_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="give a number above 0"):
        Limits(**wrong)


def row(items: int, call_s: float, joules: float) -> BatchSize:
    amount = Amount(joules, joules * 0.95, joules * 1.05, "J")
    return BatchSize(items, 100, call_s, call_s, amount, call_s / items, "measured", "a fake meter")
