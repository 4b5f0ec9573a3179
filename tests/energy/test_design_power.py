"""The table of design powers: what it says, of whom, and of whom it says nothing."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import pytest
from tests.energy.servers import CLOUD_EPYC, CLOUD_XEON

from aerogel.energy.design_power import GENERATIONS, design_power, generation, plain
from aerogel.energy.processor import Processor

ROWS = [
    line.split(",")
    for line in (resources.files("aerogel.energy") / "tables" / "cpus.csv").read_text("utf-8").splitlines()
    if not line.startswith("#")
][1:]


@pytest.mark.parametrize(
    ("name", "watts", "threads"),
    [
        ("AMD EPYC 7763 64-Core Processor", 280, 128),
        ("AMD EPYC 9654 96-Core Processor", 360, 192),
        ("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", 270, 80),
        ("INTEL(R) XEON(R) PLATINUM 8592+", 350, 128),
        ("Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz", 115, 16),
        ("Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz", 145, 44),
        ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", 300, 64),
        ("Intel(R) Xeon(R) 6787P", 350, 172),
        ("11th Gen Intel(R) Core(TM) i7-11700K @ 3.60GHz", 125, 16),
        ("AMD Ryzen 9 5950X 16-Core Processor", 105, 32),
        ("AMD Ryzen 7 5700G with Radeon Graphics", 65, 16),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", None, None),
        ("AMD EPYC", None, None),
        ("AMD EPYC 7763", 280, 128),
        ("AMD EPYC 77630", None, None),
        ("EPYC 776", None, None),
        ("QEMU Virtual CPU version 2.5+", None, None),
        ("", None, None),
        ("cpu", None, None),
    ],
)
def test_a_cpu_is_found_by_its_whole_name_or_not_at_all(
    name: str, watts: float | None, threads: int | None
) -> None:
    found = design_power(name)
    if watts is None:
        assert found is None
    else:
        assert found is not None and (found.watts, found.threads) == (watts, threads)


def test_every_row_can_be_found_and_is_plausible() -> None:
    assert len({row[0] for row in ROWS}) == len(ROWS) > 1000
    for cpu, watts, threads, segment, of, source in ROWS:
        assert plain(cpu) == cpu
        assert 3 <= float(watts) <= 600 and (not threads or 1 <= int(threads) <= 512)
        assert segment in {"server", "desktop", "mobile"} and source in {"c", "ct"}
        assert not of or of in GENERATIONS
        # No row says 85 W for want of knowledge: client CPUs are there only where two sources agree.
        assert segment == "server" or (threads and (source == "ct" or cpu == "core i5-4570"))


@pytest.mark.parametrize("name", list(GENERATIONS))
def test_a_generation_spans_its_cpus(name: str) -> None:
    found = GENERATIONS[name]
    its = [row for row in ROWS if row[4] == name]
    known = [float(row[1]) / int(row[2]) for row in its if row[2]]
    if len(known) >= len(its) / 2:
        assert found.low <= min(known) < found.low + 0.1
        assert max(known) <= found.high + 1e-9 < max(known) + 0.1
    else:
        assert found.low <= 0.75 * min(known) < found.low + 0.1
        assert max(known) <= found.high == 20


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        (CLOUD_EPYC, "milan"),
        (CLOUD_XEON, "broadwell"),
        (replace(CLOUD_XEON, model=85, stepping=3), "skylake"),
        (replace(CLOUD_XEON, model=85, stepping=7), "cascade lake"),
        (replace(CLOUD_XEON, model=85, stepping=11), "cooper lake"),
        (replace(CLOUD_XEON, model=143), "sapphire rapids"),
        (replace(CLOUD_EPYC, model=17), "genoa"),
        (replace(CLOUD_EPYC, model=99), None),
        (replace(CLOUD_EPYC, family=None), None),
        (replace(CLOUD_EPYC, name="AMD Ryzen"), None),
        (replace(CLOUD_EPYC, name="QEMU Virtual CPU version 2.5+"), None),
        (replace(CLOUD_EPYC, vendor="GenuineIntel"), None),
        (Processor(), None),
    ],
)
def test_family_and_model_tell_the_generation(cpu: Processor, name: str | None) -> None:
    found = generation(cpu)
    assert (None if found is None else found.name) == name
