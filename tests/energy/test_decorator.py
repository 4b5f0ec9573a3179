"""What functions take, summed over their calls."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest
from tests.energy.metered import Meters, measured

from aerogel.core.errors import InputError, MeasureError
from aerogel.energy import decorator
from aerogel.energy.decorator import metered


def test_calls_add_up_and_the_function_stays_itself() -> None:
    meters = Meters(measured(10.0), measured(30.0))

    @metered(make_meter=meters)
    def double(x: int, *, more: int = 0) -> int:
        """Twice as much."""
        return 2 * x + more

    assert str(double.energy).endswith("double: no call has ended yet")
    with pytest.raises(MeasureError):
        assert double.energy.reading
    assert (double(4), double(1, more=5)) == (8, 7)
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")
    assert double.energy.count == 2
    assert (double.energy.reading.joules, double.energy.per_call.joules) == (40.0, 20.0)
    assert "double, 2 calls: 40 J [40 J, 40 J]" in str(double.energy)
    assert "per call 20 J" in str(double.energy)
    assert double.energy.to_json()["calls"] == 2


def test_a_call_that_fails_counts_and_fails() -> None:
    @metered(make_meter=Meters(measured(3.0)))
    def fail() -> None:
        raise ValueError("as asked")

    with pytest.raises(ValueError, match="as asked"):
        fail()
    assert (fail.energy.count, fail.energy.reading.joules) == (1, 3.0)


def test_recursion_is_one_block() -> None:
    meters = Meters(measured(5.0))

    @metered(make_meter=meters)
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    assert down(3) == 3
    assert (len(meters.made), down.energy.count, down.energy.reading.joules) == (1, 4, 5.0)


def test_threads_that_overlap_are_one_block() -> None:
    meters = Meters(measured(5.0), measured(1.0))
    both = threading.Barrier(2)

    @metered(make_meter=meters)
    def meet() -> None:
        both.wait(10)

    threads = [threading.Thread(target=meet) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(meters.made), meet.energy.count) == (1, 2)
    both = threading.Barrier(1)
    meet()
    assert (meet.energy.count, meet.energy.reading.joules) == (3, 6.0)


def test_coroutines_are_metered_until_they_are_done() -> None:
    meters = Meters(measured(5.0))

    @metered(make_meter=meters)
    async def wait(seconds: float) -> float:
        await asyncio.sleep(seconds)
        assert meters.made[0].ended == 0
        return seconds

    async def both() -> list[float]:
        return await asyncio.gather(wait(0.001), wait(0.002))

    assert inspect.iscoroutinefunction(wait)
    assert asyncio.run(both()) == [0.001, 0.002]
    assert (len(meters.made), wait.energy.count) == (1, 2)


def test_calls_that_never_stop_overlapping_are_read_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    meters = Meters(measured(5.0), measured(7.0), measured(9.0))
    monkeypatch.setattr(decorator, "_LONGEST_S", -1.0)

    @metered(make_meter=meters)
    def down(n: int) -> None:
        if n:
            down(n - 1)

    down(2)
    assert [(m.begun, m.ended) for m in meters.made] == [(1, 1)] * 3
    assert (down.energy.count, down.energy.reading.joules) == (3, 21.0)


def test_methods_are_metered_too() -> None:
    class Model:
        @metered(make_meter=Meters(measured(2.0)))
        def run(self, x: int) -> int:
            return x + 1

    assert Model().run(1) == 2
    assert Model.run.energy.count == 1


def test_a_generator_is_refused() -> None:
    def count():
        yield 1

    with pytest.raises(InputError, match="count is a generator"):
        metered(count)


def test_without_options_the_usual_meter_is_used() -> None:
    @metered
    def work() -> int:
        return sum(range(1000))

    assert work() == 499500
    assert work.energy.reading.seconds > 0
