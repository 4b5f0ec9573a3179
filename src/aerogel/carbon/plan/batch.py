"""Batch size: energy per item against the time a request takes, measured.

Each size runs in blocks of its own, several rounds in turn and back again (1 4 16, 16 4 1, ...), so that a
machine which warms up or slows down does so to all alike. Bounds of the energy hold those of every block. A
size is called better only where its bounds lie apart from the other's; where nothing meters energy, sizes are
compared by time, which is said so: joules per item then have the bounds of a power model, and no value.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.core.errors import InputError, require
from aerogel.energy import Meter, Reading
from aerogel.energy import meter as energy_meter

_ROUNDS = 4
_MOST_CALLS = 100_000


@dataclass(frozen=True, slots=True)
class BatchSize:
    """What was measured at one size.

    call_s: time of one call with ``items`` items, the median; late_s: that which 95 % of calls keep within.
    joules: of one item; without a value where energy was not measured.
    cpu_s: CPU time of one item.
    """

    items: int
    calls: int
    call_s: float
    late_s: float
    joules: Amount
    cpu_s: float
    method: str
    source: str

    @property
    def item_s(self) -> float:
        """Time per item."""
        return self.call_s / self.items

    def wait_s(self, arrivals_per_s: float | None) -> float:
        """The longest that an item waits for its result, but for 1 in 20 calls: until the batch is full,
        where items arrive one by one at this rate, and for the call."""
        filling = 0.0 if arrivals_per_s is None else (self.items - 1) / arrivals_per_s
        return filling + self.late_s

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        names = ("items", "calls", "call_s", "late_s", "item_s", "cpu_s", "method", "source")
        return {name: getattr(self, name) for name in names} | {"joules_per_item": self.joules.to_json()}


@dataclass(frozen=True, slots=True)
class BatchStudy:
    """All sizes measured, from the smallest. ``latency_s``: the longest an item may take, None: any;
    ``arrivals_per_s``: the rate at which items come one by one, None: whole batches are there."""

    sizes: tuple[BatchSize, ...]
    latency_s: float | None
    arrivals_per_s: float | None

    @property
    def measured(self) -> bool:
        """Whether energy was: then sizes are compared by it, else by time per item."""
        return all(size.joules.known for size in self.sizes)

    @property
    def in_time(self) -> tuple[BatchSize, ...]:
        """The sizes at which an item takes no longer than it may."""
        limit = self.latency_s
        return tuple(s for s in self.sizes if limit is None or s.wait_s(self.arrivals_per_s) <= limit)

    @property
    def chosen(self) -> BatchSize | None:
        """Of the sizes in time the one of least energy per item, or of least time where energy is not
        known."""
        return min(self.in_time, key=lambda s: (self._cost(s), s.items)) if self.in_time else None

    @property
    def rivals(self) -> tuple[BatchSize, ...]:
        """Other sizes in time that may take as little energy as the chosen one; of unmetered energy all."""
        best = self.chosen
        if best is None:
            return ()
        others = (s for s in self.in_time if s is not best)
        return tuple(s for s in others if not self.measured or s.joules.low <= best.joules.high)

    def _cost(self, size: BatchSize) -> float:
        value = size.joules.value if self.measured else None
        return size.item_s if value is None else value

    def to_json(self) -> dict[str, Any]:
        chosen = self.chosen
        return {
            "sizes": [size.to_json() | {"wait_s": size.wait_s(self.arrivals_per_s)} for size in self.sizes],
            "latency_s": self.latency_s,
            "arrivals_per_s": self.arrivals_per_s,
            "energy_measured": self.measured,
            "chosen": None if chosen is None else chosen.items,
            "rivals": [size.items for size in self.rivals],
        }


Prepare = Callable[[int], Callable[[], object]]
"""From a number of items to a call that does them: what the call needs is made before, outside the timed
part."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds``: how long each size is measured, all rounds together; ``latency_s`` and ``arrivals_per_s``
    as in ``BatchStudy``."""

    seconds: float = 2.0
    latency_s: float | None = None
    arrivals_per_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "latency_s", "arrivals_per_s"):
            value = getattr(self, name)
            good = value is None or 0 < value < math.inf
            require(good, InputError, f"{name}={value}: give a number above 0")


def measure_batches(
    prepare: Prepare,
    sizes: Sequence[int],
    limits: Limits | None = None,
    meter: Callable[[], Meter] = energy_meter,
) -> BatchStudy:
    """Runs ``prepare(size)()`` for each of ``sizes``, metered; InputError for sizes below 1, or none."""
    chosen, wanted = limits or Limits(), sorted(set(sizes))
    require(wanted and wanted[0] >= 1, InputError, f"batch sizes {list(sizes)}: give whole numbers from 1 on")
    calls = {size: prepare(size) for size in wanted}
    counts = {size: _count(calls[size], chosen.seconds / _ROUNDS) for size in wanted}
    blocks: dict[int, list[_Block]] = {size: [] for size in wanted}
    for number in range(_ROUNDS):
        for size in wanted if number % 2 == 0 else reversed(wanted):
            blocks[size].append(_block(calls[size], counts[size], meter))
    rows = tuple(_row(size, blocks[size]) for size in wanted)
    return BatchStudy(rows, chosen.latency_s, chosen.arrivals_per_s)


@dataclass(frozen=True, slots=True)
class _Block:
    """The times of the calls of a block, and what the block took."""

    times_s: tuple[float, ...]
    reading: Reading


def _count(call: Callable[[], object], seconds: float) -> int:
    """How many calls fill so many seconds, by the third of three: the first may compile or allocate."""
    taken = 0.0
    for _ in range(3):
        began = time.perf_counter()
        call()
        taken = time.perf_counter() - began
    return max(1, min(_MOST_CALLS, math.ceil(seconds / max(taken, 1e-9))))


def _block(call: Callable[[], object], count: int, meter: Callable[[], Meter]) -> _Block:
    times: list[float] = []
    with meter() as metered:
        for _ in range(count):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    return _Block(tuple(times), metered.reading)


def _row(size: int, blocks: Sequence[_Block]) -> BatchSize:
    times = sorted(t for block in blocks for t in block.times_s)
    first = blocks[0].reading
    alike = all((b.reading.method, b.reading.source) == (first.method, first.source) for b in blocks)
    return BatchSize(
        items=size,
        calls=len(times),
        call_s=_quantile(times, 0.5),
        late_s=_quantile(times, 0.95),
        joules=_joules(size, blocks),
        cpu_s=sum(b.reading.cpu_seconds for b in blocks) / (len(times) * size),
        method=first.method if alike else "not the same for all blocks",
        source=first.source if alike else "; ".join(dict.fromkeys(b.reading.source for b in blocks)),
    )


def _joules(size: int, blocks: Sequence[_Block]) -> Amount:
    """Of an item: the mean over all blocks, between the lowest and the highest bound of any. A block that was
    not measured leaves the whole without a value: part of a sum is no sum."""
    items = [len(b.times_s) * size for b in blocks]
    readings = [b.reading for b in blocks]
    lows = [0.0 if r.low is None else r.low / n for r, n in zip(readings, items, strict=True)]
    highs = [math.inf if r.high is None else r.high / n for r, n in zip(readings, items, strict=True)]
    values = [r.joules for r in readings]
    known = [v for v in values if v is not None]
    all_measured = len(known) == len(values) and len({(r.method, r.source) for r in readings}) == 1
    return Amount(sum(known) / sum(items) if all_measured else None, min(lows), max(highs), "J")


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that ``share`` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
