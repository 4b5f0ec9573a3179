"""The CPU as data: what is picked from its flags, and what is refused."""

from __future__ import annotations

import platform
import sys

import pytest

from aerogel.core import sysctl
from aerogel.core import target as targets
from aerogel.core.dtypes import DType
from aerogel.core.errors import TargetError
from aerogel.core.target import NAMES, Target, available, current, named

SSE2 = frozenset({"sse2"})
AVX2 = SSE2 | {
    "pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"
}  # fmt: skip
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@pytest.fixture(autouse=True)
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("AEROGEL_TARGET", raising=False)


def names(flags: frozenset[str] | set[str]) -> list[str]:
    return [t.name for t in available(frozenset(flags))]


def test_best_first() -> None:
    assert names(AVX512) == ["avx512", "avx2", "sse2"]
    assert names(AVX2) == ["avx2", "sse2"]
    assert names(SSE2) == ["sse2"]


@pytest.mark.parametrize("missing", sorted(AVX512 - AVX2))
def test_avx512_needs_all_of_it(missing: str) -> None:
    assert names(AVX512 - {missing}) == ["avx2", "sse2"]


@pytest.mark.parametrize("missing", ["fma", "abm", "bmi2"])
def test_avx2_needs_what_came_with_it(missing: str) -> None:
    assert names(AVX512 - {missing}) == ["sse2"]


def test_where_the_system_tells_nothing_there_is_sse2() -> None:
    assert names(frozenset()) == ["sse2"]


def test_what_a_cpu_has_besides_is_used() -> None:
    (plain, *_), (more, *_) = available(frozenset(AVX512)), available(frozenset(AVX512 | {"avx512_vnni"}))
    assert more.has("avx512vnni") and not plain.has("avx512vnni")
    assert plain.fingerprint != more.fingerprint
    assert list(more.features) == sorted(more.features)


@pytest.mark.parametrize(
    ("name", "lanes", "registers"), [("avx512", 16, 32), ("avx2", 8, 16), ("sse2", 4, 16)]
)
def test_shapes(name: str, lanes: int, registers: int) -> None:
    found = next(t for t in available(frozenset(AVX512)) if t.name == name)
    assert (found.lanes(DType.F32), found.registers) == (lanes, registers)
    assert found.lanes(DType.I8) == 4 * lanes


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "cpu_flags", lambda: frozenset(AVX2))
    assert current().name == "avx2"
    for text in ("sse2", " SSE2 "):
        monkeypatch.setenv("AEROGEL_TARGET", text)
        assert current().name == "sse2"
    monkeypatch.setenv("AEROGEL_TARGET", "")
    assert current().name == "avx2"


def test_what_the_cpu_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "cpu_flags", lambda: frozenset(AVX2))
    monkeypatch.setenv("AEROGEL_TARGET", "avx512")
    with pytest.raises(TargetError, match="AEROGEL_TARGET=avx512, but this CPU lacks it: it has avx2, sse2"):
        current()
    monkeypatch.setenv("AEROGEL_TARGET", "amx")
    with pytest.raises(TargetError, match="'amx' is unknown: choose from avx512, avx2, sse2"):
        current()


@pytest.mark.parametrize("machine", ["aarch64", "ARM64"])
def test_arm(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (only,) = available(frozenset())
    assert (only.name, only.lanes(DType.F32), only.registers) == ("neon", 4, 32)
    assert (only.arch, only.features) == ("aarch64", ("neon",))
    (more,) = available(frozenset({"fp", "asimd", "asimddp", "i8mm", "sve"}))
    assert more.features == ("dotprod", "i8mm", "neon")


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(TargetError, match="'riscv64' is not supported"):
        available()


def test_a_target_of_another_machine_can_be_chosen_to_generate_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_TARGET", "neon")
    assert current() == named("neon")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setenv("AEROGEL_TARGET", "avx2")
    assert current() == named("avx2") and current().arch == "x86_64"


def test_targets_by_name() -> None:
    assert [named(name).name for name in NAMES] == ["avx512", "avx2", "sse2", "neon"]
    assert named("avx2", AVX2).features == named("avx2").features
    assert named("avx2", {"avx_vnni", "avx512_vnni"}).has("avxvnni")
    assert not named("avx2", {"avx512_vnni"}).has("avx512vnni")
    with pytest.raises(TargetError, match="'sve' is unknown: choose from avx512, avx2, sse2, neon"):
        named("sve")


CPUINFO = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd asimddp i8mm
CPU implementer\t: 0x41

processor\t: 1
Features\t: fp asimd asimddp
"""


def test_flags_are_those_that_every_core_has() -> None:
    assert targets._common_flags(CPUINFO) == {"fp", "asimd", "asimddp"}
    assert targets._common_flags("processor : 0\nflags : fpu sse2\nvmx flags : ept\n") == {"fpu", "sse2"}
    assert targets._common_flags("") == frozenset()


def test_flags_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    known = {b"hw.optional.arm.FEAT_DotProd": 1, b"hw.optional.arm.FEAT_I8MM": 0}
    monkeypatch.setattr(sysctl, "whole_number", known.get)
    targets.cpu_flags.cache_clear()
    try:
        assert targets.cpu_flags() == {"asimddp"}
    finally:
        targets.cpu_flags.cache_clear()


def test_a_target_is_known_by_its_parts() -> None:
    one = Target("avx2", "x86_64", 256, 16, ("avx2",))
    others = [
        Target("avx3", "x86_64", 256, 16, ("avx2",)),
        Target("avx2", "aarch64", 256, 16, ("avx2",)),
        Target("avx2", "x86_64", 128, 16, ("avx2",)),
        Target("avx2", "x86_64", 256, 32, ("avx2",)),
        Target("avx2", "x86_64", 256, 16, ("avx2", "fma")),
    ]
    assert len({t.fingerprint for t in (one, *others)}) == 6
    assert one.fingerprint == "avx2/x86_64/256x16/avx2"
