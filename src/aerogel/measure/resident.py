"""How much memory a process holds in RAM, now and at its peak, as the system counts it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class Resident:
    """Bytes in RAM; None where the system does not say.

    peak_bytes: the most there was since the process began. resident_bytes: now, of which anonymous_bytes
    are the process's own (heap, stacks, changed copies of mapped pages) and file_bytes are pages of mapped
    files, which the system can drop and read again. proportional_bytes: now, with a page that n processes
    share counted as 1/n of one (Linux: Pss).
    """

    peak_bytes: int | None = None
    resident_bytes: int | None = None
    anonymous_bytes: int | None = None
    file_bytes: int | None = None
    proportional_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def resident(process: int | None = None) -> Resident:
    """The memory of a process (by number; by default this one): from /proc on Linux. Elsewhere the peak
    alone, from getrusage, and of this process alone."""
    folder = _PROCESSES / ("self" if process is None else str(process))
    status = _table(folder / "status")
    if "VmHWM" not in status:
        return Resident(peak_bytes=_peak_by_rusage() if process is None else None)
    return Resident(
        peak_bytes=status.get("VmHWM"),
        resident_bytes=status.get("VmRSS"),
        anonymous_bytes=status.get("RssAnon"),
        file_bytes=status.get("RssFile"),
        proportional_bytes=_table(folder / "smaps_rollup").get("Pss"),
    )


def _table(path: Path) -> dict[str, int]:
    """The sizes in a file with lines like ``VmRSS:    1234 kB``, in bytes; empty where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdecimal():
            found[name] = 1024 * int(words[0])
    return found


def _peak_by_rusage() -> int | None:
    # Not used on Linux: there it never falls below what the process held before it became this program.
    try:
        import resource  # there is none on Windows
    except ImportError:
        return None
    # macOS counts bytes, others KiB.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
