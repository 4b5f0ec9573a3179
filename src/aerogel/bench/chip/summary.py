"""What is made of a comparison: ratios of time, energy and their product, by case and of all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aerogel.bench.chip.chip_side import OnChip
from aerogel.bench.chip.kernels import (
    CLAIMED_SHARE_OF_ENERGY,
    CLAIMED_TIMES_FASTER,
    KERNELS,
)
from aerogel.bench.einsum.summary import geometric_mean
from aerogel.bench.render import aligned
from aerogel.core.errors import MeasureError, require

Of = Literal["time", "energy", "product"]


@dataclass(frozen=True, slots=True)
class OnCpu:
    """One contender. ``joules``: of a call, None where there is no meter and no estimate; then ``low`` and
    ``high`` are the bounds of a power model, which ``method`` and ``source`` say."""

    name: str
    seconds: float
    joules: float | None
    low: float
    high: float
    method: str
    source: str


@dataclass(frozen=True, slots=True)
class Gain:
    """How many times less the chip takes than the best of the CPU's contenders. ``value``: None where the
    CPU's energy is known by bounds alone."""

    value: float | None
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return _short(self.low)
        between = f"{_rough(self.low)} to {_rough(self.high)}"
        return between if self.value is None else f"{_short(self.value)} [{between}]"


@dataclass(frozen=True, slots=True)
class Row:
    """A kernel on one matrix or tensor. ``chip``: None where the chip could not do it, and ``why``."""

    kernel: str
    data: str
    shape: tuple[int, ...]
    stored: int
    cpu: tuple[OnCpu, ...]
    chip: OnChip | None
    why: str = ""

    def gain(self, of: Of, *, chip_alone: bool = False) -> Gain | None:
        """Over the best contender by ``of``; ``chip_alone``: DRAM left out, as in the published figures."""
        if self.chip is None:
            return None
        time = _best(self.cpu, lambda cpu: cpu.seconds) / self.chip.seconds
        if of == "time":
            return Gain(time, time, time)
        # DRAM is left out of both ends alike: its own range is no smaller than that of the chip.
        share = self.chip.chip_joules / self.chip.joules if chip_alone and self.chip.joules else 1.0
        chip = (self.chip.low * share, self.chip.joules * share, self.chip.high * share)
        delay = of == "product"

        def best(joules: Callable[[OnCpu], float | None]) -> float | None:
            known = [(joules(cpu), cpu.seconds) for cpu in self.cpu]
            products = [
                j * (s / self.chip.seconds if delay and self.chip else 1.0) for j, s in known if j is not None
            ]
            return min(products) if len(products) == len(known) else None

        middle = best(lambda cpu: cpu.joules)
        low, high = best(lambda cpu: cpu.low), best(lambda cpu: cpu.high)
        if low is None or high is None or not chip[0]:
            return None
        return Gain(None if middle is None else middle / chip[1], low / chip[2], high / chip[0])

    def to_json(self) -> dict[str, Any]:
        gains = {of: self.gain(of) for of in ("time", "energy", "product")}
        return {
            "kernel": self.kernel,
            "data": self.data,
            "shape": list(self.shape),
            "stored": self.stored,
            "chip": self.chip.to_json() if self.chip else None,
            "why_not": self.why,
            "cpu": [asdict(cpu) for cpu in self.cpu],
            "gains": {of: asdict(gain) if gain else None for of, gain in gains.items()},
        }


@dataclass(frozen=True, slots=True)
class Overall:
    """Of the gains of several kernels, each the geometric mean over its cases: mean, geometric mean, largest.
    Each with the ends of its range, where energy is one."""

    of: Of
    mean: Gain
    geometric: Gain
    largest: Gain


def by_kernel(rows: Iterable[Row], of: Of, *, chip_alone: bool = False) -> dict[str, Gain]:
    """The geometric mean over the cases of each kernel that the chip could do."""
    found: dict[str, list[Gain]] = {}
    for row in rows:
        gain = row.gain(of, chip_alone=chip_alone)
        if gain is not None:
            found.setdefault(row.kernel, []).append(gain)
    return {kernel: _of_all(gains, geometric_mean) for kernel, gains in found.items()}


def overall(gains: Sequence[Gain], of: Of) -> Overall:
    """MeasureError where there are none."""
    require(gains, MeasureError, "no kernel ran on the chip: there is nothing to compare")

    def mean(values: Iterable[float]) -> float:
        known = list(values)
        return sum(known) / len(known)

    return Overall(of, _of_all(gains, mean), _of_all(gains, geometric_mean), _of_all(gains, max))


def _of_all(gains: Sequence[Gain], make: Callable[[Iterable[float]], float]) -> Gain:
    values = [gain.value for gain in gains if gain.value is not None]
    value = make(values) if len(values) == len(gains) else None
    return Gain(value, make([gain.low for gain in gains]), make([gain.high for gain in gains]))


def case_table(rows: Sequence[Row]) -> str:
    """A line for each case."""
    head = ["kernel", "data", "stored", "cycles", "chip", "best CPU", "by", "energy chip", "DRAM", "CPU"]
    lines = [[*head, "time x", "energy x", "EDP x"]]
    for row in rows:
        title = KERNELS[row.kernel].title if row.kernel in KERNELS else row.kernel
        fastest = min(row.cpu, key=lambda cpu: cpu.seconds, default=None)
        cells = [title, row.data, f"{row.stored:,}"]
        if row.chip is None:
            cells += ["not on the chip", *[""] * 9]
        else:
            chip = row.chip
            cells += [f"{chip.cycles:,}", time_text(chip.seconds)]
            cells += [time_text(fastest.seconds), fastest.name] if fastest else ["", ""]
            cells += [
                joules_text(chip.chip_joules),
                joules_text(chip.joules - chip.chip_joules),
                cpu_joules(fastest),
            ]
            cells += [str(row.gain(of) or "") for of in ("time", "energy", "product")]
        lines.append(cells)
    return "\n".join(aligned(lines, left=(0, 1, 6)))


def published_table(rows: Sequence[Row]) -> str:
    """Our gains in energy times delay beside the published ones, which nothing here was fitted to."""
    lines = [
        ["kernel", "EDP x here, chip alone", "EDP x here, chip and DRAM", "published", "here over published"]
    ]
    alone, whole = (by_kernel(rows, "product", chip_alone=at) for at in (True, False))
    for key, gain in alone.items():
        if key in KERNELS:
            lines.append(
                [
                    KERNELS[key].title,
                    str(gain),
                    str(whole[key]),
                    f"{KERNELS[key].published:g}",
                    off(gain, key),
                ]
            )
    return "\n".join(aligned(lines, left=(0,)))


def off(gain: Gain, kernel: str) -> str:
    """How far a range is from the published figure."""
    published = KERNELS[kernel].published
    ends = Gain(
        None if gain.value is None else gain.value / published, gain.low / published, gain.high / published
    )
    return f"{ends}{', which holds it' if ends.low <= 1 <= ends.high else ''}"


def overall_table(rows: Sequence[Row]) -> str:
    """Mean, geometric mean and largest of the kernels, with what was published or claimed."""
    published = [kernel.published for kernel in KERNELS.values()]
    theirs = {
        "mean": sum(published) / len(published),
        "geometric": geometric_mean(published),
        "largest": max(published),
    }
    lines = [["over the kernels", "time x", "energy x", "EDP x", "EDP x published, of all eight"]]
    ofs: tuple[Of, ...] = ("time", "energy", "product")
    found = {of: overall(list(by_kernel(rows, of).values()), of) for of in ofs}
    for name, title in (("mean", "mean"), ("geometric", "geometric mean"), ("largest", "largest")):
        lines.append([title, *(str(getattr(found[of], name)) for of in ofs), f"{theirs[name]:.1f}"])
    claimed = CLAIMED_TIMES_FASTER / CLAIMED_SHARE_OF_ENERGY
    lines.append(
        [
            "claimed, on average",
            f"{CLAIMED_TIMES_FASTER:g}",
            f"{1 / CLAIMED_SHARE_OF_ENERGY:g}",
            f"{claimed:g}",
            "",
        ]
    )
    return "\n".join(aligned(lines, left=(0,)))


def _best(cpu: Sequence[OnCpu], key: Callable[[OnCpu], float]) -> float:
    require(cpu, MeasureError, "no contender was timed on the CPU")
    return min(map(key, cpu))


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _rough(value: float) -> str:
    """An end of a range: two digits that count."""
    return f"{float(f'{value:.2g}'):,g}" if value < 1e5 else f"{value:.1e}".replace("e+0", "e")


def time_text(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} us" if seconds < 1e-2 else f"{seconds * 1e3:,.1f} ms"


def joules_text(joules: float) -> str:
    exponent = 0 if not joules else min(3, max(0, -math.floor(math.log10(joules) / 3)))
    return f"{joules * 1000**exponent:.3g} {('J', 'mJ', 'uJ', 'nJ')[exponent]}"


def cpu_joules(cpu: OnCpu | None) -> str:
    if cpu is None:
        return ""
    if cpu.joules is not None:
        return f"{joules_text(cpu.joules)}, {cpu.method}"
    return f"{joules_text(cpu.low)} to {joules_text(cpu.high)}"
