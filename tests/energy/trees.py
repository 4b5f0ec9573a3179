"""Systems made of files: powercap trees as Linux shows them, CPUs and cgroups."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RANGE_UJ = 262_143_328_850
"""As Linux shows it for most Intel servers."""
NOBODY = 65534


@dataclass(frozen=True)
class Tree:
    """A system below ``root``."""

    root: Path

    def zone(self, place: str, name: str, uj: int = 1_000_000, range_uj: int | str = RANGE_UJ) -> Path:
        """A zone such as "intel-rapl:0:2": a folder among the devices, and a link to it among the classes."""
        interface, *numbers = place.split(":")
        folder = self.root / "sys/devices/virtual/powercap" / interface
        for count in range(1, len(numbers) + 1):
            folder /= ":".join((interface, *numbers[:count]))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (folder / "energy_uj").write_text(f"{uj}\n")
        classes = self.root / "sys/class/powercap"
        classes.mkdir(parents=True, exist_ok=True)
        for link in (classes / interface, classes / place):
            if not link.is_symlink():
                link.symlink_to(folder if link.name == place else folder.parents[len(numbers) - 1])
        return folder / "energy_uj"

    def add(self, energy: Path, joules: float) -> None:
        """Let a counter count."""
        top = int((energy.parent / "max_energy_range_uj").read_text())
        beside = energy.with_name("next")
        beside.write_text(f"{(int(energy.read_text()) + round(joules * 1e6)) % top}\n")
        # A counter has a value at any time, also while it changes.
        beside.replace(energy)

    def cpu(self, *, virtual: bool) -> Tree:
        """/proc/cpuinfo of an x86 CPU."""
        (self.root / "proc").mkdir(exist_ok=True)
        flags = "fpu sse2 hypervisor avx2" if virtual else "fpu sse2 avx2"
        (self.root / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
        return self

    def cgroup(self, cpu_max: str) -> Tree:
        """A version 2 cgroup with a limit on CPU time."""
        group = self.root / "sys/fs/cgroup/job"
        group.mkdir(parents=True)
        (group / "cpu.max").write_text(f"{cpu_max}\n")
        (self.root / "proc/self").mkdir(parents=True)
        (self.root / "proc/self/cgroup").write_text("0::/job\n")
        return self


def laptop(root: Path) -> tuple[Tree, Path, Path]:
    """A tree with everything an Intel laptop shows, and its package and dram counters."""
    tree = Tree(root)
    package = tree.zone("intel-rapl:0", "package-0", 5_000_000)
    tree.zone("intel-rapl:0:0", "core", 2_000_000)
    tree.zone("intel-rapl:0:1", "uncore", 1_000_000)
    dram = tree.zone("intel-rapl:0:2", "dram", 3_000_000)
    tree.zone("intel-rapl:1", "psys", 9_000_000)
    tree.zone("intel-rapl-mmio:0", "package-0", 4_900_000)
    tree.zone("dtpm:0", "package-0", 0)
    return tree, package, dram


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Root gives up its rights for a while, since no file mode stops it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
