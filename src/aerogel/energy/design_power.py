"""Thermal design power of CPUs by name, and of servers' CPUs by generation, from a table with its sources.

Cloud providers often show a CPU without its number ("AMD EPYC", "Intel(R) Xeon(R) CPU @ 2.20GHz"), but with
its family and model, which tell the generation: what its CPUs are designed for per thread then bounds what
this one is. An unknown CPU is unknown: nothing is put in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aerogel.energy.processor import Processor

TABLE = "2026-11-28"
"""The version of tables/cpus.csv."""


@dataclass(frozen=True, slots=True)
class DesignPower:
    """``watts`` of one package of the CPU ``cpu``, with ``threads`` hardware threads, None where unknown;
    ``server``: a server's CPU, the kind for which published measurements test the load curve."""

    cpu: str
    watts: float
    threads: int | None
    server: bool
    generation: str


@dataclass(frozen=True, slots=True)
class Generation:
    """``low`` and ``high``: watts of design power per hardware thread, among the servers' CPUs of a
    generation.

    Where the table has the threads of less than half of them, ``low`` is a quarter less than the least that
    is known, and ``high`` the most of any generation: 20 W (Sandy Bridge).
    """

    name: str
    low: float
    high: float


_MOST = 20.0
GENERATIONS = {
    name: Generation(name, low, high)
    for name, low, high in (
        ("sandy bridge", 3.2, _MOST),
        ("ivy bridge", 3.5, _MOST),
        ("haswell", 2.7, 17.5),
        ("broadwell", 2.3, _MOST),
        ("skylake", 2.2, _MOST),
        ("cascade lake", 2.2, _MOST),
        ("cooper lake", 3.1, 11.9),
        ("ice lake", 2.7, 10.4),
        ("sapphire rapids", 2.8, 15.7),
        ("emerald rapids", 1.6, _MOST),
        ("granite rapids", 1.4, _MOST),
        ("sierra forest", 1.3, _MOST),
        ("naples", 2.6, 10.7),
        ("rome", 1.5, 11.3),
        ("milan", 1.7, 11.3),
        ("genoa", 1.4, 10),
        ("siena", 1.3, 5.7),
        ("turin", 0.9, _MOST),
    )
}
"""Of the CPUs in tables/cpus.csv whose threads are known, rounded outwards; a test compares the two."""

_BY_MODEL = {
    ("GenuineIntel", 6, 45): "sandy bridge",
    ("GenuineIntel", 6, 62): "ivy bridge",
    ("GenuineIntel", 6, 63): "haswell",
    ("GenuineIntel", 6, 79): "broadwell",
    ("GenuineIntel", 6, 106): "ice lake",
    ("GenuineIntel", 6, 143): "sapphire rapids",
    ("GenuineIntel", 6, 207): "emerald rapids",
    ("GenuineIntel", 6, 173): "granite rapids",
    ("GenuineIntel", 6, 175): "sierra forest",
    ("AuthenticAMD", 23, 1): "naples",
    ("AuthenticAMD", 23, 49): "rome",
    ("AuthenticAMD", 25, 1): "milan",
    ("AuthenticAMD", 25, 17): "genoa",
    ("AuthenticAMD", 25, 160): "siena",
}
"""By vendor, family and model: Kepler's data/cpus.yaml and Linux' arch/x86/include/asm/intel-family.h."""
_SKYLAKE = ("GenuineIntel", 6, 85)
_MAKERS_WORDS = re.compile(r"\b(intel|amd|processor|cpu)\b")


def design_power(name: str) -> DesignPower | None:
    """What the table has of the CPU that calls itself ``name``; None where it has nothing of just that
    one."""
    row = _row(plain(name))
    if row is None:
        return None
    cpu, watts, threads, segment, generation_of, _ = row
    return DesignPower(
        cpu, float(watts), int(threads) if threads else None, segment == "server", generation_of
    )


def generation(cpu: Processor) -> Generation | None:
    """The generation of a server's CPU whose name tells no more than that it is one; else None.

    Assumed: family and model are the host's own, as the large providers leave them. An emulated CPU has a
    name of its own, such as "QEMU Virtual CPU", and is not looked up.
    """
    if not re.search(r"\b(xeon|epyc)\b", cpu.name, re.IGNORECASE) or cpu.family is None or cpu.model is None:
        return None
    key = (cpu.vendor, cpu.family, cpu.model)
    if key == _SKYLAKE:  # three generations of one model number, apart by their steppings
        return GENERATIONS[_of_skylake(cpu.stepping)]
    found = _BY_MODEL.get(key)
    return None if found is None else GENERATIONS[found]


def generation_named(name: str) -> Generation:
    return GENERATIONS[name]


def _of_skylake(stepping: int | None) -> str:
    if stepping is None or stepping <= 4:
        return "skylake"
    return "cascade lake" if stepping <= 7 else "cooper lake"


def plain(name: str) -> str:
    """``name`` as the table writes it: "AMD EPYC 7763 64-Core Processor" is "epyc 7763"."""
    text = re.sub(r"\((r|tm|c)\)", " ", name.lower())
    text = re.sub(r"@.*|\b(with|w/) .*", "", text)
    text = re.sub(r"(e[357]-\w+) 0\s*$", r"\1", text)  # the first of a line that has a "v2" later on
    text = re.sub(r"\b\d+-core\b|\b\d+(st|nd|rd|th) gen\b", "", text)
    return " ".join(_MAKERS_WORDS.sub("", text).split())


def _row(cpu: str) -> list[str] | None:
    """The one line of ``cpu``: looked for in the text, since parsing all of them would take longer than a
    short block lasts."""
    text = _text()
    start = text.find(f"\n{cpu},")
    if not cpu or start < 0:
        return None
    return text[start + 1 : text.index("\n", start + 1)].split(",")


@cache
def _text() -> str:
    return (Path(__file__).parent / "tables" / "cpus.csv").read_text(encoding="utf-8")
