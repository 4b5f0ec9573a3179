"""RAPL (running average power limit): the energy counters of CPU packages and memory, as files of powercap.

CPUs of Intel and AMD count energy since boot; Linux shows each counter as a folder
``/sys/class/powercap/intel-rapl:N`` with ``name``, ``energy_uj`` (microjoules) and ``max_energy_range_uj``.
What they name overlaps: psys contains the packages, a package its core and uncore; memory (dram) stands
beside the package. So the packages and their dram are summed and nothing else. One counter may be shown
twice: by two interfaces (``intel-rapl`` and ``intel-rapl-mmio``), of which one is read, and by every die of a
package, which the values tell (see counter.py). ``zones.py`` follows what is found here through a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from aerogel.core.errors import MeasureError, require
from aerogel.energy.counter import Look, round_s
from aerogel.energy.files import grant, read_number, read_text

FOLDER = "sys/class/powercap"
_ZONE = re.compile(r"(?P<interface>[a-z]+-rapl[a-z-]*):\d+(?P<below>:\d+)?")
_PACKAGE = re.compile(r"(?P<package>package-\d+)(?:-die-\d+)?")
_LEAST_ROUND_S = 2.0
"""A counter that comes round faster would have to be read all the time."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A counter that is summed. ``label``: "package-0" or "package-0 dram"; zones with the same ``part`` may
    be dies that mirror one counter; ``memory``: of the memory beside a package, not of a package."""

    label: str
    part: str
    memory: bool
    energy: Path
    range_uj: int

    def look(self) -> Look:
        """The counter now; MeasureError where it cannot be read or holds no value of its range."""
        value = read_number(self.energy, self.label)
        require(
            value <= self.range_uj,
            MeasureError,
            f"{self.label}: {self.energy} shows {value}, more than its range of {self.range_uj}",
        )
        return Look(perf_counter(), value)


@dataclass(frozen=True, slots=True)
class Tree:
    """The counters that would be summed. ``obstacle`` says why energy cannot be measured, "" if it can, and
    ``advice`` what to do about it; ``left_out`` are zones that overlap with those summed; ``present``:
    whether there is any counter."""

    zones: tuple[Zone, ...]
    left_out: tuple[str, ...] = ()
    obstacle: str = ""
    advice: str = ""
    present: bool = True


@dataclass(frozen=True, slots=True)
class _Entry:
    """A folder of powercap, read but not judged."""

    name: str
    interface: str
    folder: Path
    parent: Path | None

    def show(self) -> str:
        return f"{self.folder.name} ({self.name})"


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder that counts what is summed; see Zone for ``label`` and ``part``."""

    label: str
    part: str
    entry: _Entry


def folders(root: Path) -> tuple[Path, ...]:
    """Every zone that powercap shows below ``root``, by name."""
    try:
        return tuple(sorted(p for p in (root / FOLDER).iterdir() if _ZONE.fullmatch(p.name)))
    except OSError:
        return ()


def tree(root: Path = Path("/")) -> Tree:
    """What there is to read below ``root``; every counter has been read once where there is no obstacle."""
    present = folders(root)
    if not present:
        nothing = "no RAPL counters here: a virtual machine, or a CPU or system without them"
        return Tree((), obstacle=nothing, present=False)
    entries = [entry for path in present if (entry := _entry(path)) is not None]
    if not entries:
        return Tree(
            (),
            obstacle=f"the RAPL counters in {root / FOLDER} are hidden, as containers do",
            advice="measure outside the container, or start it with --security-opt systempaths=unconfined",
        )
    if len(entries) < len(present):
        nameless = sorted({path.name for path in present} - {entry.folder.name for entry in entries})
        # What it counts may be a package: without it the sum would be silently too small.
        return Tree((), obstacle=f"RAPL zones without a name that can be read: {', '.join(nameless)}")
    return _judge(entries)


def _judge(entries: list[_Entry]) -> Tree:
    packages = _packages(entries)
    chosen = _without_second_interface([*packages, *_drams(entries, packages)])
    chosen.sort(key=lambda found: found.label)
    read = {found.entry.folder for found in chosen}
    left_out = tuple(entry.show() for entry in entries if entry.folder not in read)
    if not packages:
        return Tree((), left_out, f"RAPL counts no CPU package here, only {', '.join(left_out)}")
    try:
        zones = tuple(_zone(found) for found in chosen)
        for zone in zones:
            zone.look()
    except MeasureError as error:
        return Tree((), left_out, str(error), grant(folder / "energy_uj" for folder in sorted(read)))
    return Tree(zones, left_out)


def _packages(entries: Iterable[_Entry]) -> list[_Found]:
    """Every CPU package, or die of one."""
    matches = [(entry, _PACKAGE.fullmatch(entry.name)) for entry in entries]
    return [_Found(entry.name, match["package"], entry) for entry, match in matches if match]


def _drams(entries: Iterable[_Entry], packages: Iterable[_Found]) -> list[_Found]:
    """The memory beside each package."""
    by_folder = {package.entry.folder: package for package in packages}
    found: list[_Found] = []
    for entry in entries:
        if entry.name == "dram" and entry.parent in by_folder:
            package = by_folder[entry.parent]
            found.append(_Found(f"{package.label} dram", f"{package.part} dram", entry))
    return found


def _without_second_interface(found: list[_Found]) -> list[_Found]:
    """Of a package that several interfaces show, the first by name: intel-rapl before intel-rapl-mmio."""
    first: dict[str, str] = {}
    for one in found:
        first[one.part] = min(first.get(one.part, one.entry.interface), one.entry.interface)
    return [one for one in found if one.entry.interface == first[one.part]]


def _entry(path: Path) -> _Entry | None:
    """None where the folder is hidden, or its name cannot be read."""
    match = _ZONE.fullmatch(path.name)
    try:
        name = read_text(path / "name")
    except (OSError, UnicodeDecodeError):
        return None
    assert match  # as `survey` has found
    parent = path.with_name(path.name.rpartition(":")[0]) if match["below"] else None
    return _Entry(name, match["interface"], path, parent)


def _zone(found: _Found) -> Zone:
    folder = found.entry.folder
    range_uj = read_number(folder / "max_energy_range_uj", found.label)
    require(
        round_s(range_uj) >= _LEAST_ROUND_S,
        MeasureError,
        f"{found.label}: {folder / 'max_energy_range_uj'} shows {range_uj}, too small a range to follow",
    )
    return Zone(found.label, found.part, found.entry.name == "dram", folder / "energy_uj", range_uj)
