"""What a device did, in actions: its runs', and what moved between DRAM, buffer and tiles."""

from __future__ import annotations

from dataclasses import replace

from aerogel.chip.firmware.device import Device
from aerogel.chip.machine.counts import Counts


def counted(device: Device) -> Counts:
    """Of all runs since the device's reset."""
    total = Counts()
    for run in device.runs:
        total += run.counts
    word = max(1, device.fabric.word_bits // 8)
    traffic = device.traffic
    return replace(
        total,
        configuration_words=traffic.configuration_words,
        dram_read_bytes=traffic.loaded_bytes,
        dram_written_bytes=traffic.stored_bytes,
        buffer_reads=total.buffer_reads + (traffic.stored_bytes + 4 * traffic.configuration_words) // word,
        buffer_writes=total.buffer_writes + traffic.loaded_bytes // word,
    )
