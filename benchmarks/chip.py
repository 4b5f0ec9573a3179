"""All claims about the chip: its simulator, the shapes of published results, the comparison with this CPU.

    .venv/bin/python benchmarks/chip.py             # under 10 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/chip.py --quick     # about 2: small data, short blocks
    .venv/bin/python benchmarks/chip.py --only comparison --keep    # the other results stay

Everything runs on the emulated device from configuration words, in full, never on samples; every result of
the comparison is checked against float64. The CPU's contenders (aerogel and torch with MKL on one thread and
on all, SciPy) have a process each and are timed in alternating blocks, with a meter around each block, or
the bounds of a power model where there is none. Simulated seconds are cycles over the fabric's clock; seconds
of simulating are CPU time of one core.

The eight published gains (see bench/chip/kernels.py) are held out: the energy model is calibrated by one
dense point, and how far it is from the eight stands beside each. Writes benchmarks/results/chip.json. Exit
status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from aerogel.bench.chip.compare import Plan, run
from aerogel.bench.chip.data import at_random, from_files
from aerogel.bench.chip.kernels import KERNELS, named
from aerogel.bench.chip.layers import LayerPlan, table
from aerogel.bench.chip.layers import run as layers
from aerogel.bench.chip.shapes import crossover, full, orders, speed, unrolled
from aerogel.bench.chip.told import document, text
from aerogel.bench.claims import Claim, at_most, write
from aerogel.bench.told import show
from aerogel.chip.dense.run import multiply
from aerogel.chip.energy.area import area
from aerogel.chip.energy.calibrate import PUBLISHED_PICOJOULES
from aerogel.chip.energy.model import load_model
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.fabric.read import NAMES, load
from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.measure import Settings, machine

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "chip.json"
DATA = HERE.parents[1] / "shared" / "data"
MATRICES = ("LFAT5", "west0479", "jagmesh7", "rajat19", "cryg2500")
TENSORS = ("umls", "kinship")
FULL = Settings(rounds=6, block_s=0.05, warm_s=0.01, min_runs=1)
QUICK = Settings(rounds=6, block_s=0.005, warm_s=0.0, min_runs=1)


@dataclass(frozen=True, slots=True)
class Found:
    """What a section found. ``lines``: for the terminal."""

    claims: tuple[Claim, ...]
    evidence: dict[str, Any]
    lines: str


def simulator(fabric: Fabric, asked: argparse.Namespace) -> Found:
    """How fast it is."""
    rate = speed(fabric)
    sizes = ((2000, 0.01, 3.0),) if asked.quick else ((2000, 0.01, 3.0), (20_000, 0.001, 30.0))
    whole = [(full(fabric, size, share), limit) for size, share, limit in sizes]
    claims = (
        at_least(f"block-steps a second on one core: {rate.data}", rate.per_second / 1e6, 20, "million"),
        *(at_most(f"{found.data}, simulated in full", found.seconds, limit, "s") for found, limit in whole),
    )
    evidence = {"speed": rate.to_json(), "full": [found.to_json() for found, _ in whole]}
    return Found(claims, evidence, "")


def shapes(fabric: Fabric, asked: argparse.Namespace) -> Found:
    """What published results look like."""
    order, copies = orders(fabric), unrolled(fabric)
    size, zeros = (128, (0.5, 0.8, 0.9, 0.95)) if asked.quick else (512, (0.8, 0.85, 0.9, 0.95, 0.99))
    meet = crossover(fabric, size, zeros)
    # Where they do not meet at all, no claim holds.
    where = nan if meet.zeros is None else meet.zeros
    about = f"zeros at which sparse mode is as quick as dense: {size} x {size}"
    claims = (
        at_least(f"cycles of inner products over Gustavson's order: {order.data}", order.times, 10, "x"),
        at_least(f"{copies.copies} copies side by side over one: {copies.data}", copies.times, 4, "x"),
        at_least(about, where, 0.8, ""),
        at_most(about, where, 0.95, ""),
    )
    evidence = {"orders": order.to_json(), "unrolled": copies.to_json(), "crossover": meet.to_json()}
    cycles = ", ".join(f"{count:,} at {share:.0%}" for share, count in meet.sparse)
    line = f"{size} x {size}: {meet.dense:,} cycles in dense mode; in sparse mode {cycles}"
    more = 'The article\'s "more than half zeros" does not hold for its own chip, whose modes meet at 89 %.'
    return Found(claims, evidence, f"{line}\n{more}")


def energy(fabric: Fabric, asked: argparse.Namespace) -> Found:
    """The calibration, its residual, how dense mode compares, and areas."""
    model = load_model()
    point = model.calibration.point
    share = model.calibration.table_picojoules / PUBLISHED_PICOJOULES
    ours = _dense_picojoules(256 if asked.quick else 512)
    claims = (
        at_least("share of the 2.65 pJ that the table explains before calibration", share, 1 / 3, ""),
        at_most("our dense mode over the published 2.65 pJ, int16", ours / PUBLISHED_PICOJOULES, 1.25, "x"),
        at_least("our dense mode over the published 2.65 pJ, int16", ours / PUBLISHED_PICOJOULES, 0.75, "x"),
    )
    areas = {name: area(load(name), model.table) for name in NAMES}
    evidence = {
        "calibration": str(model.calibration),
        "table_picojoules_per_mac": model.calibration.table_picojoules,
        "residual_picojoules_per_mac": model.calibration.residual_picojoules,
        "groups_picojoules_per_mac": dict(model.calibration.groups),
        "dense_mode_picojoules_per_mac": ours,
        "source": point.source,
        "mm2": {name: found.mm2 for name, found in areas.items()},
    }
    lines = [f"Energy model: {model.calibration}"]
    lines += [f"{name}: {found.mm2:.1f} mm2 at {found.node:g} nm, derived" for name, found in areas.items()]
    return Found(claims, evidence, "\n".join(lines))


def _dense_picojoules(size: int) -> float:
    """Of the chip for a multiply-accumulate of a product in dense mode, int16, as the published one is."""
    fabric = replace(load("onyx-like"), values="int16")
    numbers = np.random.default_rng(0).integers(-3, 4, (size, size)).astype(float)
    found = multiply(numbers, numbers, fabric)
    took = load_model().energy(found.counts, fabric, seconds=found.seconds)
    return took.chip_joules / found.macs * 1e12


def pruned_layers(fabric: Fabric, asked: argparse.Namespace) -> Found:
    """Layers of a pruned MiniLM."""
    cores = tuple(sorted({1, machine().usable_cores}))
    settings = QUICK if asked.quick else FULL
    plan = LayerPlan(fabric, load_model(), settings, threads=cores)
    if asked.quick:
        plan = replace(plan, layers=plan.layers[:1], zeros=(0.5, 0.9), tokens=32)
    try:
        found = layers(plan, tell, show)
    except MissingDependencyError as error:
        return Found((), {"left_out": str(error)}, f"left out: {error}")
    evidence = {"tokens": plan.tokens, "layers": [layer.to_json() for layer in found]}
    return Found((), evidence, table(found, plan.tokens))


def tell(case: str, how: str) -> None:
    print(f"{case}: {how}", flush=True)


def comparison(fabric: Fabric, asked: argparse.Namespace) -> Found:
    """The published kernels on the chip and on this CPU."""
    if asked.quick:
        patterns = at_random()
    else:
        files = [asked.data / f"suitesparse/{name}.mtx" for name in MATRICES]
        patterns = from_files([*files, *(asked.data / f"tensors/{name}.tns" for name in TENSORS)])
    cores = machine().usable_cores
    settings = QUICK if asked.quick else FULL
    plan = Plan(named(KERNELS), patterns, fabric, load_model(), settings, threads=tuple(sorted({1, cores})))
    found = run(plan, tell, show)
    done = sum(row.chip is not None for row in found.rows)
    about = f"cases of {len(found.rows)} that ran on the chip, results checked"
    claims = (at_least(about, done, len(found.rows), "cases"),)
    return Found(claims, document(found, plan), text(found, plan))


def at_least(about: str, found: float, wanted: float, unit: str) -> Claim:
    """Without an interval: simulated cycles are exact."""
    return Claim(about, found, wanted, unit, "at least")


SECTIONS: dict[str, Callable[[Fabric, argparse.Namespace], Found]] = {
    "energy": energy,
    "simulator": simulator,
    "shapes": shapes,
    "comparison": comparison,
    "layers": pruned_layers,
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    about = "only this section; repeatable"
    parser.add_argument("--only", choices=tuple(SECTIONS), action="append", metavar="SECTION", help=about)
    about = "what an earlier run found of other sections stays in the output"
    parser.add_argument("--keep", action="store_true", help=about)
    parser.add_argument("--fabric", default="onyx-like", help="by name, or a file of your own")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="matrices and tensors")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args()


def kept(path: Path) -> dict[str, Any]:
    """The sections of an earlier result; InputError where they were measured on another CPU."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): leave out --keep") from error
    cpu = earlier["machine"]["cpu"]
    require(cpu == machine().cpu, InputError, f"{path} was measured on {cpu}: leave out --keep")
    return earlier["sections"]


def main() -> int:
    asked = options()
    sections = kept(asked.output) if asked.keep else {}
    fabric = load(asked.fabric)
    for name in asked.only or SECTIONS:
        print(f"-- {name}", flush=True)
        found = SECTIONS[name](fabric, asked)
        sections[name] = {"claims": [claim.to_json() for claim in found.claims], **found.evidence}
        print("\n".join(filter(None, [found.lines, *map(str, found.claims)])), flush=True)
    ordered = {name: sections[name] for name in SECTIONS if name in sections}
    claims = [_claim(claim) for section in ordered.values() for claim in section["claims"]]
    evidence = {
        "quick": asked.quick,
        "fabric": fabric.name,
        "machine": machine().to_json(),
        "sections": ordered,
    }
    write(asked.output, claims, evidence)
    return 0 if all(claim.holds for claim in claims) else 1


def _claim(found: dict[str, Any]) -> Claim:
    return Claim(**{name: value for name, value in found.items() if name not in ("holds", "proven")})


if __name__ == "__main__":
    sys.exit(main())
