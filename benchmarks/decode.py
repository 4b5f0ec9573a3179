"""All claims about one to eight columns (decode): a linear layer of 512 MiB dense, two threads, by itself.

    .venv/bin/python benchmarks/decode.py            # about 15 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/decode.py --quick    # smaller and shorter: to see that it works
    .venv/bin/python benchmarks/decode.py --number bf16 --keep    # the other numbers' results stay

For fp32, bf16, int8 and int4: rows as bitmaps at 50 to 95 % zeros, nested ones at 90 % and 95 %, and where
the CPU looks up bytes (AVX-512 VBMI) sliced ones from 70 % on, against our own dense layer of the same
number, which must itself run at the memory's bandwidth. The claims are about one column, at 90 % about the
form that is made for it; two, four and eight columns are reported beside it, and int4 (256 MiB dense) is
reported only. At most one number's contenders are in memory at a time, under 4 GB together. bf16 means that
weights and activations are both rounded to it, as torch's are.

Bytes a weight by the layout, and so the most that streaming can gain: bitmaps of int8 1.60 / 2.35 / 4.44 x at
50 / 70 / 90 %, bf16 1.78 / 2.76 / 6.15 x, fp32 1.88 / 3.02 / 7.62 x, int4 with its scales 1.28 / 1.66 /
2.37 x; sliced rows at 90 % int8 4.2 x, bf16 5.6 x, fp32 6.7 x. What the operations by themselves allow is
measured on a matrix that stays in the L2 cache. Both floors are in the facts of every contender.

Half of the weights in int8 take more bytes than all of them in int4 (0.625 and 0.5625): where both were
measured, their times for one weight stand beside each other.

Writes benchmarks/results/decode.json, on a CPU with AVX2 alone decode_avx2.json.
Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from aerogel.bench.claims import Claim, at_least, at_most, kept, results, write
from aerogel.bench.few_layer import CHECKED, activations, rows_of
from aerogel.bench.told import show
from aerogel.core.target import current
from aerogel.formats.rows import STORED, Form, Number, forms_of
from aerogel.measure import Case, Comparison, Contender, Settings, compare

RESULTS = results(__file__)
COLUMNS = (1, 2, 4, 8)
INPUTS = 8192
# Sixteen times the last cache of the CPU that the claims are about: what 95 % zeros leave is twice as much.
DENSE_BYTES = 1 << 29
DENSE, TORCH = "dense", "torch dense"
THREADS = 2


@dataclass(frozen=True)
class Side:
    """One form and sparsity, and the speed-up over dense that we claim at one column; numbers that are not in
    ``wanted`` are reported only."""

    form: Form
    sparsity: float
    wanted: dict[Number, float]

    @property
    def name(self) -> str:
        return f"{self.form} {self.sparsity:.0%}"


_NINETY: dict[Number, float] = {"int8": 3.6, "bf16": 5.0, "fp32": 4.3}
_LOOKS_UP = current().looks_up
_SLICED = (Side("sliced", 0.7, {"fp32": 2.5}), Side("sliced", 0.9, _NINETY), Side("sliced", 0.95, {}))
SIDES = (
    Side("bitmap", 0.5, {"int8": 1.45, "bf16": 1.65, "fp32": 1.6}),
    Side("bitmap", 0.7, {"int8": 2.1, "bf16": 2.5} if _LOOKS_UP else {"int8": 2.1, "bf16": 2.5, "fp32": 2.5}),
    Side("bitmap", 0.9, {} if _LOOKS_UP else _NINETY),
    Side("bitmap", 0.95, {}),
    Side("nested", 0.9, {}),
    Side("nested", 0.95, {}),
    *(_SLICED if _LOOKS_UP else ()),
)


def sides_of(number: Number) -> list[Side]:
    return [side for side in SIDES if side.form in forms_of(number)]


# The dense control must not be a straw man: this share of the bandwidth that reading alone reaches.
OF_BANDWIDTH = 0.85
# Integers are within half a step of the grid of x for every product; the other two round in float32 and bf16.
MOST_ERROR: dict[Number, float] = {"int8": 0.02, "int4": 0.02, "bf16": 0.01, "fp32": 1e-5}


def rows_for(number: Number, dense_bytes: int) -> int:
    return dense_bytes // (INPUTS * np.dtype(STORED[number]).itemsize)


def contenders(number: Number, rows: int) -> list[Contender]:
    size: dict[str, Any] = {"rows": rows, "inputs": INPUTS, "threads": THREADS}

    def ours(name: str, form: Form, sparsity: float) -> Contender:
        args = {"number": number, "form": form, "sparsity": sparsity, **size}
        return Contender(name, "aerogel.bench.few_layer:few_layer", args)

    sides = [ours(DENSE, "dense", 0.0)]
    sides += [ours(side.name, side.form, side.sparsity) for side in sides_of(number)]
    if number in ("int8", "int4"):
        return sides
    return [*sides, Contender(TORCH, "aerogel.bench.few_layer:torch_few", {"number": number, **size})]


def worst_error(comparison: Comparison, number: Number) -> float:
    """The largest error of any of our outputs' first rows, relative to the largest output."""
    worst = 0.0
    for case in comparison.cases:
        x = activations(INPUTS, int(cast("int", case.params["columns"])))
        sides = [(DENSE, 0.0), *((side.name, side.sparsity) for side in sides_of(number))]
        for name, sparsity in sides:
            _, weight = next(rows_of(CHECKED, INPUTS, sparsity, number))
            exact = x.astype(np.float64) @ weight.T
            worst = max(worst, float(np.abs(case.outputs[name] - exact).max() / np.abs(exact).max()))
    return worst


def claims_of(comparison: Comparison, number: Number) -> list[Claim]:
    one = comparison.case(_named(1))
    found: list[Claim] = []
    for side in sides_of(number):
        wanted = side.wanted.get(number)
        if wanted is not None:
            ratio = one.speedup(side.name, DENSE)
            found.append(at_least(f"{number} {side.name} over our dense, one column", ratio, wanted))
    if found:
        reached = _fact(comparison, DENSE, "memory_floor_s") / one.timing(DENSE).median_s
        found.append(Claim(f"{number} dense: share of the bandwidth", reached, OF_BANDWIDTH, "", "at least"))
    error = worst_error(comparison, number)
    found.append(at_most(f"{number}: largest relative error of an output", error, MOST_ERROR[number], ""))
    return found


def floors(comparison: Comparison, number: Number) -> dict[str, dict[str, float]]:
    """Per side at one column: what the larger floor predicts, what was measured, and their ratio."""
    one = comparison.case(_named(1))
    out: dict[str, dict[str, float]] = {}
    for name in (DENSE, *(side.name for side in sides_of(number))):
        seconds = one.timing(name).median_s
        memory = _fact(comparison, name, "memory_floor_s")
        operations = _fact(comparison, name, "operations_floor_s")
        out[name] = {
            "memory_floor_s": memory,
            "operations_floor_s": operations,
            "measured_s": seconds,
            "of_floor": max(memory, operations) / seconds,
        }
    return out


def half_of_int8_against_int4(of: dict[Number, Comparison]) -> dict[str, float]:
    """Seconds for one weight at one column, and how much faster all weights of int4 are than half of int8."""
    kinds: tuple[tuple[Number, str], ...] = (("int8", "bitmap 50%"), ("int4", DENSE))
    half, four = (
        of[number].case(_named(1)).timing(name).median_s / _fact(of[number], name, "weights")
        for number, name in kinds
    )
    return {"int8_half_s": half, "int4_dense_s": four, "int4_over_int8_half": half / four}


def _fact(comparison: Comparison, contender: str, name: str) -> float:
    return float(cast("float", comparison.facts(contender).facts[name]))


def _named(columns: int) -> str:
    return f"{columns} column" if columns == 1 else f"{columns} columns"


def measure(number: Number, settings: Settings, dense_bytes: int) -> tuple[Comparison, list[Claim]]:
    cases = [Case(_named(c), {"columns": c}, output=True) for c in COLUMNS]
    rows = rows_for(number, dense_bytes)
    comparison = compare(contenders(number, rows), cases, settings, reference=DENSE, progress=show)
    return comparison, claims_of(comparison, number)


def cpus(document: dict[str, Any]) -> list[str]:
    """Where the numbers of an earlier result were measured."""
    return [document[number]["comparison"]["machine"]["cpu"] for number in STORED if number in document]


def _is_of(claim: Claim, numbers: Sequence[Number]) -> bool:
    return any(claim.about.startswith((f"{number} ", f"{number}:")) for number in numbers)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--number", choices=tuple(STORED), action="append", help="only this one; repeatable")
    about = "what an earlier run found of other numbers stays in the output"
    parser.add_argument("--keep", action="store_true", help=about)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    settings = (
        Settings(rounds=6, block_s=0.02, warm_s=0.0, min_runs=2)
        if options.quick
        else Settings(rounds=8, block_s=0.25)
    )
    dense_bytes = DENSE_BYTES // 16 if options.quick else DENSE_BYTES
    wanted = options.number or list(STORED)
    earlier = kept(options.output, cpus) if options.keep else {}
    claims = [claim for claim in map(Claim.from_json, earlier.pop("claims", [])) if not _is_of(claim, wanted)]
    detail: dict[str, Any] = earlier
    measured: dict[Number, Comparison] = {}
    for number in wanted:
        comparison, found = measure(number, settings, dense_bytes)
        claims += found
        measured[number] = comparison
        detail[number] = {"comparison": comparison.to_json(), "floors": floors(comparison, number)}
        for claim in found:
            print(claim, flush=True)
    if "int8" in measured and "int4" in measured:
        detail["half of int8 against int4"] = half_of_int8_against_int4(measured)
    write(options.output, claims, detail)
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
