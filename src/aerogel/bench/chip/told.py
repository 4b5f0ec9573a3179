"""The comparison in words and as JSON: the tables, and what stands beside every figure of them."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from aerogel.bench.chip.compare import Compared, Plan
from aerogel.bench.chip.kernels import CLAIMED_SHARE_OF_ENERGY, CLAIMED_TIMES_FASTER, KERNELS
from aerogel.bench.chip.summary import Row, by_kernel, case_table, overall_table, published_table

_FASTER, _LESS = CLAIMED_TIMES_FASTER, 1 / CLAIMED_SHARE_OF_ENERGY
_CLAIM = f"""\
The article (IEEE Micro 2025) says "one-seventieth the energy and eight times faster, on average":
{_FASTER:g} x {_LESS:g} = {_FASTER * _LESS:g}. Of its own eight gains in energy times delay
565 is the largest, 138 the mean, 39.9 the geometric mean."""
_WHY = """\
Why ours differ: another CPU and other libraries (theirs: MKL, TACO); energy of a whole computer, by a power
model where there is no meter; other matrices and tensors (theirs: 30 of SuiteSparse, random tensors at 2 %);
our mapping and driver in place of theirs; a chip that is simulated. On small operands a call from Python is
mostly overhead, and so is the chip's gain over it: the table has the entries of each."""


def text(compared: Compared, plan: Plan) -> str:
    """For a terminal."""
    rows = compared.rows
    parts = [case_table(rows), *beside(compared, plan)]
    if any(row.kernel in KERNELS and row.gain("product") for row in rows):
        parts += ["Held out: nothing here was fitted to these.", published_table(rows), overall_table(rows)]
        parts += [_CLAIM, _WHY]
    for row in rows:
        if row.why:
            parts.append(f"{KERNELS[row.kernel].title} {row.data} is not on the chip: {row.why}")
    return "\n\n".join(parts)


def beside(compared: Compared, plan: Plan) -> list[str]:
    """Boundary, precision, node, calibration; what the CPU's energy rests on."""
    chips = [row.chip for row in compared.rows if row.chip]
    lines: list[str] = []
    if chips:
        worst = max(chip.error for chip in chips)
        lines.append(
            f"Chip: {plan.fabric.name}, simulated in full; energy of {chips[0].boundary}.\n"
            f"Results compared with float64: at most {worst:.1e} of the sum of an entry's terms off.\n"
            f"Energy model: {plan.model.calibration}."
        )
    cpu = next((cpu for row in compared.rows for cpu in row.cpu), None)
    if cpu is not None:
        held = f"CPU: float32, operands held as each library likes, {_machine(compared)}"
        lines.append(fill(f"{held}; {_energy(cpu)}.", 110))
    lines.append(
        "x: how many times less the chip takes than the best of the CPU's contenders by that measure."
    )
    return lines


def _machine(compared: Compared) -> str:
    about = compared.comparison.machine
    return f"{about.cpu or about.architecture}, {about.usable_cores} cores"


def _energy(cpu: Any) -> str:
    if cpu.method == "measured":
        return f"its energy measured by {cpu.source}"
    return f"its energy {cpu.method}, {'an estimate' if cpu.joules is not None else 'bounds'} by {cpu.source}"


def document(compared: Compared, plan: Plan) -> dict[str, Any]:
    """All of it, as JSON."""
    rows = compared.rows
    return {
        "machine": compared.comparison.machine.to_json(),
        "libraries": compared.versions(),
        "fabric": plan.fabric.name,
        "calibration": str(plan.model.calibration),
        "residual_picojoules_per_mac": plan.model.calibration.residual_picojoules,
        "cases": [row.to_json() for row in rows],
        "kernels": {kernel: _kernel(rows, kernel) for kernel in dict.fromkeys(row.kernel for row in rows)},
    }


def _kernel(rows: tuple[Row, ...], kernel: str) -> dict[str, Any]:
    published = KERNELS[kernel].published if kernel in KERNELS else None
    found: dict[str, Any] = {"published_product_gain": published}
    for of in ("time", "energy", "product"):
        gain = by_kernel(rows, of).get(kernel)
        found[of] = None if gain is None else {"value": gain.value, "low": gain.low, "high": gain.high}
    alone = by_kernel(rows, "product", chip_alone=True).get(kernel)
    found["product_chip_alone"] = None if alone is None else {"low": alone.low, "high": alone.high}
    return found
