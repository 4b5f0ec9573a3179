"""``aerogel carbon plan hardware``: which accelerator would do it on the least energy."""

from __future__ import annotations

import argparse

from aerogel.carbon.amount import Amount
from aerogel.carbon.plan.hardware import Hardware
from aerogel.carbon.plan.ranking import rank
from aerogel.carbon.plan.render import assumed_text, columns, ranking_text
from aerogel.cli.carbon_site import add_machine, machine_of, names, table_of
from aerogel.cli.command import OK, Command, show


def _options(parser: argparse.ArgumentParser) -> None:
    about = "operations of the work, as 1e18; without it the hardware is listed"
    parser.add_argument("--flop", type=float, metavar="C", help=about)
    about = "bytes moved between the device and its memory: serving token by token is often bound by them"
    parser.add_argument("--bytes", type=float, metavar="B", help=about)
    parser.add_argument("--among", type=names, default=(), metavar="A,B", help="these alone (default: all)")
    add_machine(parser)


def _run(args: argparse.Namespace) -> int:
    among = table_of(args).named(args.among)
    if args.flop is None:
        show(args, {"hardware": [h.to_json() for h in among]}, _listed(among, args.dtype))
        return OK
    work = Amount.exact(args.flop, "FLOP")
    found = rank(work, [machine_of(args, h, server=False) for h in among], args.bytes)
    factors = [factor for effort in found.efforts for factor in effort.factors]
    show(args, found.to_json(), f"{ranking_text(found)}\n\n{assumed_text(factors)}")
    return OK


def _listed(among: tuple[Hardware, ...], dtype: str) -> str:
    rows = [("key", "name", f"{dtype} TFLOP/s", "watts", "year", "source")]
    for one in among:
        peak = f"{one.peaks[dtype] / 1e12:g}" if dtype in one.peaks else "not known"
        rows.append((one.key, one.name, peak, f"{one.watts:g}", str(one.year), one.source))
    return columns(rows)


COMMAND = Command(
    about="Which of named accelerators would do a piece of work on the least energy: by the makers' dense\n"
    "peaks and design power, if each were used equally well. The accelerator alone, without its server.",
    example="aerogel carbon plan hardware\n"
    "  aerogel carbon plan hardware --flop 1e18 --dtype int8 --among t4,l4,a100-pcie\n"
    "  aerogel carbon plan hardware --flop 1.4e14 --bytes 1.4e13 --dtype bf16",
    options=_options,
    run=_run,
)
