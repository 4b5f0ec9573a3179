"""Sentences about savings: nothing that was not measured is claimed."""

from __future__ import annotations

from dataclasses import replace

from aerogel.energy import Reading, saving
from aerogel.measure import Ratio

DENSE = Reading(100.0, 98.0, 102.0, "measured", "RAPL package-0", 2.0, 4.0)
SPARSE = Reading(60.0, 58.8, 61.2, "measured", "RAPL package-0", 1.3, 2.6)
UNMETERED = Reading(None, 1.0, 200.0, "not measured", "0.1 W to 50 W", 2.0, 4.0, "watts-per-thread", "none")


def speedup(value: float, low: float, high: float) -> Ratio:
    return Ratio("sparse", "dense", value, low, high, 0.95)


def test_measured_energy_with_its_interval() -> None:
    assert saving(DENSE, SPARSE, speedup(1.5, 1.45, 1.55)) == (
        "energy -40 % [-42 %, -38 %]: dense 100 J [98 J, 102 J], sparse 60 J [58.8 J, 61.2 J], "
        "measured by RAPL package-0; time -33 % [-35 %, -31 %]"
    )


def test_without_a_meter_energy_is_not_measured() -> None:
    faster = replace(UNMETERED, low=0.65, high=130.0, seconds=1.3)
    assert saving(UNMETERED, faster, speedup(1.54, 1.5, 1.6)) == (
        "energy not measured; time -35 % [-38 %, -33 %]; under power model watts-per-thread, "
        "dense 1 J to 200 J, sparse 650 mJ to 130 J"
    )


def test_estimates_are_no_measurements() -> None:
    dense = Reading(
        100.0, 25.0, 400.0, "estimated", "mean error 38 %", 2.0, 4.0, "linear-tdp (65 W, 8 threads)"
    )
    text = saving(dense, dense.per_run(2))
    assert text == (
        "energy not measured; time -50 % (one reading each, no interval); "
        "under power model linear-tdp (65 W, 8 threads), "
        "dense 100 J [25 J, 400 J], sparse 50 J [12.5 J, 200 J]"
    )


def test_what_may_be_noise_is_not_proven() -> None:
    text = saving(DENSE, replace(DENSE, joules=99.0, low=97.0, high=101.0), speedup(1.01, 0.99, 1.03))
    assert "energy -1.0 % [-4.9 %, +3.1 %] (not proven)" in text
    assert text.endswith("time -1.0 % [-2.9 %, +1.0 %] (not proven)")


def test_more_is_said_to_be_more() -> None:
    assert saving(SPARSE, DENSE, speedup(0.5, 0.45, 0.55)).startswith("energy +67 % [+60 %, +73 %]: ")


def test_different_methods_are_not_compared() -> None:
    text = saving(DENSE, UNMETERED, speedup(1.5, 1.4, 1.6))
    assert text.startswith("energy not comparable: dense 100 J [98 J, 102 J], sparse 1 J to 200 J, ")
    assert "measured (RAPL package-0) against not measured (0.1 W to 50 W)" in text
    other = replace(SPARSE, source="RAPL package-0 + package-0 dram")
    assert saving(DENSE, other).startswith("energy not comparable")


def test_a_dense_reading_of_nothing_divides_nothing() -> None:
    nothing = replace(DENSE, joules=0.0, low=0.0, seconds=0.0)
    assert saving(nothing, SPARSE).startswith("energy change unknown: ")
    assert saving(nothing, SPARSE).endswith("time unknown")
    assert saving(replace(DENSE, low=0.0), SPARSE).startswith("energy change unknown: ")
