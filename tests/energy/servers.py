"""Hosts for tests: real ones, as their Linux shows them, and made-up ones."""

from __future__ import annotations

from aerogel.energy.host import Host
from aerogel.energy.processor import Processor

XEON = Processor(
    "Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", "GenuineIntel", 6, 106, 6, 2, 80, 40, virtual=False
)
CLOUD_XEON = Processor("Intel(R) Xeon(R) CPU @ 2.20GHz", "GenuineIntel", 6, 79, 0, 1, 2, 1, virtual=True)
CLOUD_EPYC = Processor("AMD EPYC", "AuthenticAMD", 25, 1, 1, 1, 2, 2, virtual=True)
MILAN_GUEST = Processor("AMD EPYC 7763 64-Core Processor", "AuthenticAMD", 25, 1, 1, 1, 4, 2, virtual=True)
LAPTOP = Processor(
    "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "GenuineIntel", 6, 142, 10, 1, 8, 4, virtual=False
)
DESKTOP = Processor(
    "AMD Ryzen 9 5950X 16-Core Processor", "AuthenticAMD", 25, 33, 0, 1, 32, 16, virtual=False
)

METAL = Host(threads=160, reserved=160.0, virtual=False, cpu=XEON, memory_gb=256.0)
GUEST = Host(threads=4, reserved=4.0, virtual=True, cpu=MILAN_GUEST, memory_gb=16.0)
UNKNOWN = Host(threads=8, reserved=8.0, virtual=None)
UNKNOWN_METAL = Host(threads=64, reserved=16.0, virtual=False)
UNKNOWN_GUEST = Host(threads=2, reserved=2.0, virtual=True)
