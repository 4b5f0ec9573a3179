"""Power models: formulas, bounds, and what is refused as a thermal design power."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import InputError
from aerogel.energy.host import Host
from aerogel.energy.models import LinearTdp, Usage, WattsPerThread, choose_model

METAL = Host(threads=64, reserved=16.0, virtual=False)
GUEST = Host(threads=2, reserved=2.0, virtual=True)
UNKNOWN = Host(threads=8, reserved=8.0, virtual=None)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AEROGEL_TDP_WATTS", "AEROGEL_TDP_THREADS"):
        monkeypatch.delenv(variable, raising=False)


def test_nothing_known_gives_bounds_alone() -> None:
    found = WattsPerThread().estimate(Usage(seconds=10, cpu_seconds=15, threads=2))
    assert found.joules is None
    assert found.low == pytest.approx(0.1 * 20 + 0.4 * 15)
    assert found.high == pytest.approx(50 * 20)


@pytest.mark.parametrize(
    ("server", "watts", "threads", "busy"),
    [
        ("2 x EPYC 9965, idle", 128.0, 768, 0.0),
        ("Cortex-A53, full load", 269.0, 384, 1.0),
        ("2 x EPYC 9965, full load", 800.0, 768, 1.0),
        ("Core i5-4570, idle", 83.2, 4, 0.0),
        ("Core i5-4570, full load", 131.0, 4, 1.0),
    ],
)
def test_published_servers_lie_within_the_bounds(
    server: str, watts: float, threads: int, busy: float
) -> None:
    found = WattsPerThread().estimate(Usage(3600, busy * threads * 3600, threads))
    assert 1.3 * found.low < watts * 3600 < found.high / 1.3


def test_a_design_power_is_shared_out() -> None:
    model = choose_model(280, 128, Host(threads=16, reserved=16.0, virtual=True))
    found = model.estimate(Usage(seconds=2, cpu_seconds=16, threads=16))
    whole = 280 * 16 / 128 * 2
    assert found.joules == pytest.approx(whole * 0.5)
    assert (found.low, found.high) == pytest.approx((whole * (0.01 + 0.24 * 0.5), whole * 4))
    assert model.name == "linear-tdp (280 W, 128 threads)"
    assert "38 %" in model.about


def test_an_idle_cpu_is_not_estimated_at_nothing() -> None:
    found = LinearTdp(100.0, 10).estimate(Usage(seconds=1, cpu_seconds=0, threads=10))
    assert found.joules == pytest.approx(10)
    assert found.low == pytest.approx(1)


@given(
    st.floats(1e-6, 1e6),
    st.floats(0, 1e8),
    st.floats(0.01, 1024),
    st.floats(0.1, 20_000),
    st.integers(1, 4096),
)
def test_bounds_hold_the_estimate(
    seconds: float, cpu_seconds: float, reserved: float, watts: float, threads: int
) -> None:
    usage = Usage(seconds, cpu_seconds, reserved)
    bounds = WattsPerThread().estimate(usage)
    assert 0 < bounds.low < bounds.high
    found = LinearTdp(watts, threads).estimate(usage)
    assert found.joules is not None
    assert 0 < found.low < found.joules < found.high


def test_without_a_design_power_nothing_is_made_up() -> None:
    assert choose_model(None, None, METAL) == WattsPerThread()
    assert choose_model(None, 128, GUEST) == WattsPerThread()


def test_the_environment_gives_it_and_arguments_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_TDP_WATTS", " 65.5 ")
    assert choose_model(None, None, METAL) == LinearTdp(65.5, 64)
    assert choose_model(105, None, METAL) == LinearTdp(105.0, 64)
    monkeypatch.setenv("AEROGEL_TDP_THREADS", "32")
    assert choose_model(None, None, METAL) == LinearTdp(65.5, 32)
    assert choose_model(None, 16, METAL) == LinearTdp(65.5, 16)
    monkeypatch.setenv("AEROGEL_TDP_WATTS", " ")
    assert choose_model(None, None, METAL) == WattsPerThread()


@pytest.mark.parametrize("watts", [np.float32(65), np.int64(65), Fraction(65)])
def test_any_real_number_is_taken(watts: object) -> None:
    assert choose_model(watts, None, METAL) == LinearTdp(65.0, 64)


@pytest.mark.parametrize(
    "watts", [0, -5, math.nan, math.inf, -math.inf, 1e9, 10**400, "65", True, [65], 1 + 0j]
)
def test_what_is_no_power_is_refused(watts: object) -> None:
    with pytest.raises(InputError, match=r"^tdp_watts="):
        choose_model(watts, None, METAL)


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "65 W", "abc", "1e9", "1e400"])
def test_what_is_no_power_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AEROGEL_TDP_WATTS", text)
    with pytest.raises(InputError, match=r"^AEROGEL_TDP_WATTS="):
        choose_model(None, None, METAL)


@pytest.mark.parametrize("threads", [0, -1, 16.5, math.nan, 10**6, "64", True, 15])
def test_what_is_no_thread_count_is_refused(threads: object) -> None:
    with pytest.raises(InputError, match=r"^tdp_threads="):
        choose_model(280, threads, METAL)


@pytest.mark.parametrize("host", [GUEST, UNKNOWN])
def test_a_share_of_an_unknown_whole_is_not_guessed(host: Host) -> None:
    with pytest.raises(InputError, match=r"virtual machine .* tdp_threads or AEROGEL_TDP_THREADS"):
        choose_model(280, None, host)
    assert choose_model(280, 128, host) == LinearTdp(280.0, 128)
