"""``aerogel chip compare``: the published kernels on the chip and on this CPU."""

from __future__ import annotations

import argparse
from pathlib import Path

from aerogel.bench.chip.compare import Plan, run
from aerogel.bench.chip.data import at_random, from_files
from aerogel.bench.chip.kernels import KERNELS, named
from aerogel.bench.chip.told import document, text
from aerogel.chip.energy.model import model_for
from aerogel.chip.fabric.read import load
from aerogel.cli.command import FAILED, OK, Command, add_threads, note, show
from aerogel.cli.progress import bar
from aerogel.measure import Settings, machine

_QUICK = Settings(rounds=6, block_s=0.005, warm_s=0.0, min_runs=1)
_FULL = Settings(rounds=6, block_s=0.05, warm_s=0.01, min_runs=1)


def _options(parser: argparse.ArgumentParser) -> None:
    about = "matrices (.mtx) and tensors of three modes (.tns); without any, small ones at random"
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=about)
    about = f"only these: {', '.join(KERNELS)} (default: all)"
    parser.add_argument("--kernels", metavar="A,B", help=about)
    about = "onyx-like, onyx-small, onyx-large, or a file of your own (default: onyx-like)"
    parser.add_argument("--fabric", default="onyx-like", metavar="F", help=about)
    about = "a file with energies of your own (default: what the fabric's file says of them)"
    parser.add_argument("--energy", type=Path, metavar="TABLE.toml", help=about)
    parser.add_argument("--quick", action="store_true", help="short blocks: the CPU's times mean little")
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    kernels = named(args.kernels.split(",") if args.kernels else KERNELS)
    threads = args.threads or machine().usable_cores
    plan = Plan(
        kernels,
        from_files(args.files) if args.files else at_random(),
        load(args.fabric),
        model_for(args.fabric, args.energy),
        _QUICK if args.quick else _FULL,
        threads=tuple(sorted({1, threads})),
    )
    with bar("compiling and simulating") as step:
        found = run(plan, lambda case, how: note(f"{case}: {how}"), step)
    show(args, document(found, plan), text(found, plan))
    return OK if all(row.chip for row in found.rows) else FAILED


COMMAND = Command(
    about="The eight kernels whose gains were published for Onyx, on the simulated chip and on this CPU, by\n"
    "aerogel, torch (MKL) and SciPy: cycles, time, energy and their product, and the ratios of each. Energy\n"
    "of the CPU is measured where there is a meter, else between the bounds of a power model.",
    example="aerogel chip compare\n"
    "  aerogel chip compare west0479.mtx kinship.tns --kernels spgemm,mttkrp --json",
    options=_options,
    run=_run,
)
