"""The CPU as /proc/cpuinfo tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.energy.processor import Processor, processor

TWO_PACKAGES = "\n\n".join(
    f"processor\t: {number}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\n"
    "model name\t: Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz\nstepping\t: 6\n"
    f"physical id\t: {number % 2}\nsiblings\t: 80\ncpu cores\t: 40\nflags\t\t: fpu avx512f\n"
    for number in range(4)
)
ARM = (
    "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n\n"
)


def told(folder: Path, text: str) -> Processor:
    (folder / "proc").mkdir()
    (folder / "proc/cpuinfo").write_text(text)
    return processor(folder)


def test_two_packages(tmp_path: Path) -> None:
    wanted = Processor(
        "Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", "GenuineIntel", 6, 106, 6, 2, 80, 40, virtual=False
    )
    assert told(tmp_path, TWO_PACKAGES) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        ARM,
        "no colon anywhere",
        "model name",
        "cpu family: six\nstepping: \u00b2\n",
        "\x00: \xff",
    ],
)
def test_what_is_not_told_stays_unknown(tmp_path: Path, text: str) -> None:
    found = told(tmp_path, text)
    assert (found.name, found.family, found.stepping, found.packages, found.virtual) == (
        "",
        None,
        None,
        None,
        None,
    )


def test_a_virtual_machine_says_so(tmp_path: Path) -> None:
    assert told(tmp_path, TWO_PACKAGES.replace("fpu", "fpu hypervisor")).virtual is True


def test_other_systems_have_no_such_file(tmp_path: Path) -> None:
    assert processor(tmp_path) == Processor()
