"""Which CPU this is, as Linux tells it in /proc/cpuinfo; other systems and other CPUs tell less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Processor:
    """``name`` as the maker writes it, "" where it is not told. ``vendor``, ``family``, ``model``,
    ``stepping``: what CPUs of one generation share; None where it is not told.

    packages: the sockets that are seen. siblings, cores: hardware threads and cores of one package, as shown:
    a virtual machine may be shown anything. virtual: whether this is one; None where that cannot be told.
    """

    name: str = ""
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    packages: int | None = None
    siblings: int | None = None
    cores: int | None = None
    virtual: bool | None = None


@cache  # it does not change, and Linux takes milliseconds to write about many CPUs
def processor(root: Path = Path("/")) -> Processor:
    """The CPU below ``root``; of several packages, the first."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Processor()  # another system
    blocks = [_fields(block) for block in text.split("\n\n") if block.strip()]
    first = blocks[0] if blocks else {}
    packages = {block["physical id"] for block in blocks if "physical id" in block}
    flags = next((block["flags"] for block in blocks if "flags" in block), None)
    return Processor(
        name=first.get("model name", ""),
        vendor=first.get("vendor_id", ""),
        family=_number(first, "cpu family"),
        model=_number(first, "model"),
        stepping=_number(first, "stepping"),
        packages=len(packages) or None,
        siblings=_number(first, "siblings"),
        cores=_number(first, "cpu cores"),
        # x86 hypervisors set the CPU flag ``hypervisor``; other CPUs have no such sign.
        virtual=None if flags is None else "hypervisor" in flags.split(),
    )


def _fields(block: str) -> dict[str, str]:
    split = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, colon, value in split if colon}


def _number(fields: Mapping[str, str], name: str) -> int | None:
    word = fields.get(name, "")
    return int(word) if word.isdecimal() and len(word) < 9 else None
