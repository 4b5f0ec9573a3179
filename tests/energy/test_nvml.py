"""GPUs by a fake NVML: counters, power readings, which GPUs count, and what goes wrong."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from tests.energy.trees import laptop

import aerogel as ag
from aerogel.core.errors import MeasureError
from aerogel.energy import nvml
from aerogel.energy.source import Where

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
from tests.energy.fake_nvml import FakeGpu, FakeNvml  # noqa: E402  (needs pynvml)


class Clock:
    def __init__(self) -> None:
        self.now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(nvml, "perf_counter", clock)
    return clock


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "AEROGEL_WALL_LOG"):
        monkeypatch.delenv(variable, raising=False)


def place(root: Path, fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """A driver below ``root``, and a library for it."""
    (root / "dev").mkdir(parents=True, exist_ok=True)
    (root / "dev/nvidiactl").touch()
    monkeypatch.setattr(nvml, "library", lambda: fake)
    return fake


def test_the_energy_counter_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    fake = place(tmp_path, FakeNvml(), monkeypatch)
    found = nvml.survey(Where(tmp_path))
    assert (found.obstacle, found.channels) == ("", ("GPU 0 (NVIDIA H100 PCIe)",))
    following = found.begin()
    assert following.pause_s == float("inf")  # read at its ends alone
    clock.now_s += 10.0
    fake.gpus[0].mj = 4_000_000
    counted = following.finish()
    (part,) = counted.parts
    assert (part.joules, part.covers) == (3000.0, "gpu:GPU-aaaa")
    # One update of 0.1 s at the power limit may be missing, or too much.
    assert (part.low, part.high) == pytest.approx((2965.0, 3035.0))
    assert counted.about == (
        "NVML GPU 0 (NVIDIA H100 PCIe) (whole boards; NVIDIA states no error of the counters)"
    )


def test_without_a_limit_ten_times_the_mean_bounds_an_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    fake = place(tmp_path, FakeNvml([FakeGpu(limit_mw=None)]), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    clock.now_s += 10.0
    fake.gpus[0].mj = 2_000_000
    (part,) = following.finish().parts
    assert (part.low, part.high) == pytest.approx((900.0, 1100.0))


def test_a_block_shorter_than_an_update_takes_the_power_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    place(tmp_path, FakeNvml(), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    clock.now_s += 0.05
    (part,) = following.finish().parts
    assert part.joules == pytest.approx(3.0)  # 60 W
    assert (part.low, part.high) == pytest.approx((0.0, 38.0))


def test_a_counter_that_stands_still_for_long_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    place(tmp_path, FakeNvml(), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    clock.now_s += 2.0
    with pytest.raises(MeasureError, match=r"GPU 0 .* stood still for 2 s"):
        following.finish()


def test_a_counter_that_falls_was_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    fake = place(tmp_path, FakeNvml(), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    clock.now_s += 2.0
    fake.gpus[0].mj = 5
    with pytest.raises(MeasureError, match=r"from 1000000 mJ down to 5: its driver was reloaded"):
        following.finish()


def test_older_gpus_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    fake = place(
        tmp_path, FakeNvml([FakeGpu("Tesla P100", mj=None, mw=100_000, limit_mw=250_000)]), monkeypatch
    )
    following = nvml.survey(Where(tmp_path)).begin()
    assert following.pause_s == 0.1
    for step in range(100):
        clock.now_s += 0.1
        fake.gpus[0].mw = 200_000 if step < 50 else 100_000
        following.look()
    (part,) = following.finish().parts
    assert part.joules == pytest.approx(1500.0, rel=0.01)
    assert part.low < 1500.0 * 0.95 and part.high > 1500.0 * 1.05
    assert part.high < 1500.0 * 1.1


@pytest.mark.parametrize("mj", [None, 1_000_000])
def test_a_sensor_that_shows_nothing_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, mj: int | None
) -> None:
    place(tmp_path, FakeNvml([FakeGpu(mj=mj, mw=0)]), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    clock.now_s += 0.1
    with pytest.raises(MeasureError, match=r"GPU 0 .* shows 0 W"):
        following.finish()


def test_samples_that_did_not_come_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    place(tmp_path, FakeNvml([FakeGpu(mj=None)]), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    clock.now_s += 5.0
    with pytest.raises(MeasureError, match=r"GPU 0 .* was not read for 5.0 s"):
        following.finish()


def test_a_gpu_that_is_lost_in_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    fake = place(tmp_path, FakeNvml(), monkeypatch)
    following = nvml.survey(Where(tmp_path)).begin()
    fake.broken = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    with pytest.raises(MeasureError, match=r"GPU 0 .* cannot be read: GPU is lost"):
        following.finish()


A, B = FakeGpu("A100", "GPU-a1"), FakeGpu("A100", "GPU-b2")
SLOW = FakeGpu("T4", "GPU-c3")


@pytest.mark.parametrize(
    ("gpus", "visible", "order", "used"),
    [
        ([A, B], None, None, ["GPU 0 (A100)", "GPU 1 (A100)"]),
        ([A, B], "1", None, ["GPU 1 (A100)"]),
        ([A, B], "GPU-b", None, ["GPU 1 (A100)"]),
        ([A, SLOW], "0", None, ["GPU 0 (A100)", "GPU 1 (T4)"]),  # CUDA's order is not NVML's
        ([A, SLOW], "1", "PCI_BUS_ID", ["GPU 1 (T4)"]),
        ([A, SLOW], "GPU-c3", None, ["GPU 1 (T4)"]),
        ([A, B], "MIG-77", None, ["GPU 0 (A100)", "GPU 1 (A100)"]),
        ([A, B], "0,-1,1", None, ["GPU 0 (A100)"]),
        ([A, B], "", None, []),
    ],
)
def test_only_gpus_of_this_process_count(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: list[FakeGpu],
    visible: str | None,
    order: str | None,
    used: list[str],
) -> None:
    place(tmp_path, FakeNvml(gpus), monkeypatch)
    for variable, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        if value is not None:
            monkeypatch.setenv(variable, value)
    found = nvml.survey(Where(tmp_path))
    assert list(found.channels) == used
    assert len(found.channels) + len(found.left_out) == len(gpus)
    assert bool(found.obstacle) is not bool(used)


def test_no_driver_is_nothing_amiss(tmp_path: Path) -> None:
    found = nvml.survey(Where(tmp_path))
    assert (found.obstacle, found.present) == ("no NVIDIA driver here", False)


def test_a_missing_library_comes_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = nvml.survey(Where(tmp_path))
    assert (found.obstacle, found.advice) == (
        "there is an NVIDIA GPU, but nvidia-ml-py is not installed",
        'pip install "aerogel[meters]"',
    )


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "sudo modprobe nvidia"),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "in a container, start it with --gpus all"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "sudo chmod a+rw /dev/nvidiactl"),
        (pynvml.NVML_ERROR_UNKNOWN, ""),
    ],
)
def test_a_closed_library_comes_with_what_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, advice: str
) -> None:
    place(tmp_path, FakeNvml(closed=pynvml.NVMLError(error)), monkeypatch)
    found = nvml.survey(Where(tmp_path))
    assert found.present and found.obstacle.startswith("NVML: ")
    assert found.advice.startswith(advice) and bool(found.advice) is bool(advice)


def test_a_gpu_that_tells_nothing_is_an_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, FakeNvml([A, FakeGpu("GRID T4-8Q", mj=None, mw=None)]), monkeypatch)
    assert nvml.survey(Where(tmp_path)).obstacle.startswith("GPU 1 (GRID T4-8Q) tells neither")


def test_cpu_by_rapl_and_gpu_by_nvml_are_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, package, dram = laptop(tmp_path)
    fake = place(tmp_path, FakeNvml([A, B]), monkeypatch)
    with ag.meter(root=tmp_path) as m:
        tree.add(package, 5.0)
        tree.add(dram, 1.0)
        fake.gpus[0].mj = (fake.gpus[0].mj or 0) + 20_000
        fake.gpus[1].mj = (fake.gpus[1].mj or 0) + 3_000
    assert m.joules == pytest.approx(29.0)
    assert m.method == "measured" and m.reading.covers == "CPU packages + memory + 2 GPUs"
    assert (
        m.source.startswith("RAPL package-0 + package-0 dram (")
        and " + NVML GPU 0 (A100) + GPU 1" in m.source
    )
    summed = [part.label for part in m.reading.parts if part.summed]
    assert summed == ["package-0", "package-0 dram", "GPU 0 (A100)", "GPU 1 (A100)"]
    assert sum(part.joules or 0.0 for part in m.reading.parts if part.summed) == pytest.approx(29.0)
    half = m.reading.per_run(2)
    assert [part.joules for part in half.parts if part.summed] == pytest.approx([2.5, 0.5, 10.0, 1.5])


def test_a_gpu_without_a_meter_of_the_cpu_adds_to_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = place(tmp_path, FakeNvml(), monkeypatch)
    with ag.meter(root=tmp_path) as m:
        fake.gpus[0].mj = (fake.gpus[0].mj or 0) + 20_000
    assert (m.joules, m.method) == (None, "not measured")
    assert m.reading.model == "watts-per-thread" and m.reading.covers.endswith(" + 1 GPU")
    assert m.high is not None and m.high >= 20.0
    assert [part.joules for part in m.reading.parts] == [20.0, None]
    assert "no RAPL counters here" in m.reading.obstacle


def test_a_gpu_that_fails_leaves_no_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the rest would be silently too small."""
    tree, package, _ = laptop(tmp_path)
    fake = place(tmp_path, FakeNvml(), monkeypatch)
    with ag.meter(root=tmp_path) as m:
        tree.add(package, 5.0)
        time.sleep(0.02)
        fake.broken = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    assert (m.joules, m.low, m.high, m.method) == (None, None, None, "not measured")
    assert m.reading.model is None
    assert m.reading.parts[0].joules == pytest.approx(5.0)
    assert "GPU is lost" in m.reading.obstacle
    assert str(m).startswith("energy not measured, unknown in ") and "GPU is lost" in str(m)


def test_a_gpu_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, package, dram = laptop(tmp_path)
    place(tmp_path, FakeNvml(closed=pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)), monkeypatch)
    with ag.meter(root=tmp_path) as m:
        tree.add(package, 4.0)
        tree.add(dram, 1.0)
    assert m.joules == pytest.approx(5.0) and m.reading.covers == "CPU packages + memory"
    assert m.reading.notes == ("nvml not counted: NVML: Driver Not Loaded; sudo modprobe nvidia",)
