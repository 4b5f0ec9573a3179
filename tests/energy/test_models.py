"""Power models: formulas, bounds, which one is chosen, and what is refused as a thermal design power."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.energy.servers import (
    CLOUD_EPYC,
    CLOUD_XEON,
    DESKTOP,
    GUEST,
    LAPTOP,
    METAL,
    UNKNOWN,
    UNKNOWN_GUEST,
    UNKNOWN_METAL,
)

from aerogel.core.errors import InputError
from aerogel.energy.calibration import Calibration, Point, machine_of, save_calibration
from aerogel.energy.design_power import GENERATIONS
from aerogel.energy.host import Host
from aerogel.energy.models import (
    Calibrated,
    GenerationCurve,
    LoadCurve,
    Model,
    WattsPerThread,
    choose_model,
    default_model,
)
from aerogel.energy.server_curve import Part, server_watts
from aerogel.energy.usage import Usage


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("AEROGEL_TDP_WATTS", "AEROGEL_TDP_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AEROGEL_CALIBRATION", str(tmp_path / "calibration.json"))


def busy(host: Host, load: float = 1.0, seconds: float = 1.0) -> Usage:
    return Usage(seconds, load * host.reserved * seconds, host.reserved)


def test_nothing_known_gives_bounds_alone() -> None:
    found = WattsPerThread().estimate(Usage(seconds=10, cpu_seconds=15, threads=2))
    assert found.joules is None
    assert found.low == pytest.approx(0.1 * 20 + 0.4 * 15)
    assert found.high == pytest.approx(50 * 20)


@pytest.mark.parametrize(
    ("server", "watts", "threads", "load"),
    [
        ("2 x EPYC 9965, idle", 128.0, 768, 0.0),
        ("Cortex-A53, full load", 269.0, 384, 1.0),
        ("2 x EPYC 9965, full load", 800.0, 768, 1.0),
        ("Core i5-4570, idle", 83.2, 4, 0.0),
        ("Core i5-4570, full load", 131.0, 4, 1.0),
    ],
)
def test_published_servers_lie_within_the_widest_bounds(
    server: str, watts: float, threads: int, load: float
) -> None:
    found = WattsPerThread().estimate(Usage(3600, load * threads * 3600, threads))
    assert 1.3 * found.low < watts * 3600 < found.high / 1.3


def test_a_server_of_which_all_is_reserved() -> None:
    model = default_model(METAL)
    assert isinstance(model, LoadCurve)
    assert (model.watts, model.threads, model.cpu, model.memory_gb) == (
        540.0,
        160,
        "xeon platinum 8380",
        256.0,
    )
    assert model.name == "load-curve (xeon platinum 8380, 540 W, 160 threads)"
    found = model.estimate(busy(METAL, 0.5, seconds=10))
    wanted = server_watts(Part(540.0, 256.0), 0.5)
    assert found.joules == pytest.approx(10 * wanted.mid) and found.low == pytest.approx(10 * wanted.low)
    assert found.high == pytest.approx(10 * wanted.high)
    assert "96 %" in model.about and "memory" not in model.covers


def test_a_confined_process_bears_its_share() -> None:
    quarter = replace(METAL, reserved=40.0, memory_gb=64.0)
    whole, part = default_model(METAL).estimate(busy(METAL)), default_model(quarter).estimate(busy(quarter))
    assert whole.joules is not None and part.joules == pytest.approx(whole.joules / 4)
    assert (part.low, part.high) == pytest.approx((whole.low / 4, whole.high / 4))


def test_a_virtual_machine_bears_its_share_of_the_host() -> None:
    model = default_model(GUEST)
    assert isinstance(model, LoadCurve) and (model.watts, model.threads) == (280.0, 128)
    wanted = server_watts(Part(280 * 4 / 128, 16.0, 4 / 128), 1.0)
    found = model.estimate(busy(GUEST))
    assert (found.joules, found.low, found.high) == pytest.approx((wanted.mid, wanted.low, wanted.high))


def test_a_virtual_machine_of_more_than_one_package() -> None:
    host = replace(GUEST, threads=192, reserved=192.0)
    model = default_model(host)
    assert isinstance(model, LoadCurve) and (model.watts, model.threads) == (560.0, 256)


def test_a_virtual_cpu_may_be_a_whole_core_unless_shown_otherwise() -> None:
    known = replace(GUEST, memory_gb=0.5)
    hidden = replace(known, cpu=replace(GUEST.cpu, siblings=4, cores=4))
    shown, unsure = default_model(known).estimate(busy(known)), default_model(hidden).estimate(busy(hidden))
    assert (unsure.joules, unsure.low) == (shown.joules, shown.low)
    assert unsure.high > 1.5 * shown.high


@pytest.mark.parametrize("cpu", [CLOUD_EPYC, CLOUD_XEON])
def test_a_cpu_that_hides_its_number_is_bounded_by_its_generation(cpu: object) -> None:
    host = replace(UNKNOWN_GUEST, cpu=cpu, memory_gb=8.0)
    model = default_model(host)
    assert isinstance(model, GenerationCurve) and model.method == "not measured"
    found, widest = model.estimate(busy(host)), WattsPerThread().estimate(busy(host))
    assert found.joules is None
    assert 0 < found.low < found.high and found.high / found.low < widest.high / widest.low
    assert f"{model.generation.low:g}" in model.about


@pytest.mark.parametrize("host", [UNKNOWN, UNKNOWN_METAL, UNKNOWN_GUEST])
def test_an_unknown_cpu_is_given_no_power(host: Host) -> None:
    assert default_model(host) == WattsPerThread()
    named = replace(host, cpu=replace(host.cpu, name="Quantum Xeonoid 9000"))
    assert default_model(named) == WattsPerThread()


@pytest.mark.parametrize("cpu", [LAPTOP, DESKTOP])
def test_computers_that_are_no_servers_have_wider_bounds(cpu: object) -> None:
    host = replace(UNKNOWN_METAL, threads=8, reserved=8.0, cpu=cpu, memory_gb=16.0)
    model = default_model(host)
    assert isinstance(model, LoadCurve) and not model.server and "assumed" in model.about
    found, server = model.estimate(busy(host)), replace(model, server=True).estimate(busy(host))
    assert found.low < server.low < server.high < found.high
    assert found.joules is not None and found.low < found.joules < found.high


MODELS = st.one_of(
    st.just(WattsPerThread()),
    st.builds(
        LoadCurve,
        watts=st.floats(0.1, 20_000),
        threads=st.integers(1, 4096),
        server=st.booleans(),
        memory_gb=st.none() | st.floats(0, 4096),
        per_thread=st.sampled_from([1, 2]),
    ),
    st.builds(
        GenerationCurve,
        generation=st.sampled_from(list(GENERATIONS.values())),
        memory_gb=st.none() | st.floats(0, 4096),
        per_thread=st.sampled_from([1, 2]),
    ),
)


@given(MODELS, st.floats(1e-6, 1e6), st.floats(0, 1e8), st.floats(0.01, 1024))
def test_bounds_hold_the_estimate(model: Model, seconds: float, cpu_seconds: float, reserved: float) -> None:
    found = model.estimate(Usage(seconds, cpu_seconds, reserved))
    assert 0 < found.low < found.high
    assert found.joules is None or found.low < found.joules < found.high
    idle = model.estimate(Usage(seconds, 0.0, reserved))
    assert idle.low <= found.low and idle.high <= found.high
    if idle.joules is not None:
        assert found.joules is not None and 0 < idle.joules <= found.joules


@given(MODELS, st.floats(0.01, 1), st.floats(0.01, 64))
def test_more_threads_and_time_cost_more(model: Model, load: float, reserved: float) -> None:
    one, two = (model.estimate(Usage(1.0, load * n, n)) for n in (reserved, 2 * reserved))
    assert one.low <= two.low * (1 + 1e-12) and one.high <= two.high * (1 + 1e-12)
    twice = model.estimate(Usage(2.0, 2 * load * reserved, reserved))
    assert (twice.low, twice.high) == pytest.approx((2 * one.low, 2 * one.high))


def test_no_time_is_no_energy() -> None:
    for model in (default_model(METAL), WattsPerThread()):
        assert model.estimate(Usage(0.0, 0.0, 4.0)).high == 0


def test_a_calibration_goes_before_the_table_and_after_what_is_given() -> None:
    calibration = Calibration(
        machine_of(METAL),
        160,
        (Point(0, 110.0), Point(1, 620.0)),
        "the whole computer",
        "a meter",
        0.05,
        "2026",
    )
    assert isinstance(choose_model(None, None, METAL), LoadCurve)
    save_calibration(calibration)
    assert choose_model(None, None, METAL) == Calibrated(calibration)
    assert choose_model(None, None, METAL).method == "calibrated"
    assert isinstance(choose_model(200, None, METAL), LoadCurve)
    assert choose_model(None, None, replace(METAL, threads=80, reserved=80.0)) != Calibrated(calibration)


def test_a_given_power_is_of_all_the_threads() -> None:
    model = choose_model(280, 128, replace(UNKNOWN_GUEST, threads=16, reserved=16.0))
    assert model == LoadCurve(280.0, 128, server=False)
    assert model.name == "load-curve (280 W, 128 threads)" and "given" in model.about
    assert model.covers.endswith("and memory")
    assert choose_model(300, None, METAL) == LoadCurve(300.0, 160, memory_gb=256.0)


def test_the_environment_gives_it_and_arguments_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def power(*given: float | None) -> tuple[float, int]:
        model = choose_model(*given, UNKNOWN_METAL)  # pyright: ignore[reportArgumentType]
        assert isinstance(model, LoadCurve)
        return model.watts, model.threads

    monkeypatch.setenv("AEROGEL_TDP_WATTS", " 65.5 ")
    assert power(None, None) == (65.5, 64)
    assert power(105, None) == (105.0, 64)
    monkeypatch.setenv("AEROGEL_TDP_THREADS", "32")
    assert power(None, None) == (65.5, 32)
    assert power(None, 16) == (65.5, 16)
    monkeypatch.setenv("AEROGEL_TDP_WATTS", " ")
    assert choose_model(None, None, UNKNOWN_METAL) == WattsPerThread()


@pytest.mark.parametrize("watts", [np.float32(65), np.int64(65), Fraction(65)])
def test_any_real_number_is_taken(watts: object) -> None:
    model = choose_model(watts, None, UNKNOWN_METAL)
    assert isinstance(model, LoadCurve) and model.watts == 65.0


@pytest.mark.parametrize(
    "watts", [0, -5, math.nan, math.inf, -math.inf, 1e9, 10**400, "65", True, [65], 1 + 0j]
)
def test_what_is_no_power_is_refused(watts: object) -> None:
    with pytest.raises(InputError, match=r"^tdp_watts="):
        choose_model(watts, None, UNKNOWN_METAL)


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "65 W", "abc", "1e9", "1e400"])
def test_what_is_no_power_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AEROGEL_TDP_WATTS", text)
    with pytest.raises(InputError, match=r"^AEROGEL_TDP_WATTS="):
        choose_model(None, None, UNKNOWN_METAL)


@pytest.mark.parametrize("threads", [0, -1, 16.5, math.nan, 10**6, "64", True, 15])
def test_what_is_no_thread_count_is_refused(threads: object) -> None:
    with pytest.raises(InputError, match=r"^tdp_threads="):
        choose_model(280, threads, UNKNOWN_METAL)


@pytest.mark.parametrize("host", [UNKNOWN_GUEST, UNKNOWN])
def test_a_share_of_an_unknown_whole_is_not_guessed(host: Host) -> None:
    with pytest.raises(InputError, match=r"virtual machine .* tdp_threads or AEROGEL_TDP_THREADS"):
        choose_model(280, None, host)
    model = choose_model(280, 128, host)
    assert isinstance(model, LoadCurve) and model.threads == 128
