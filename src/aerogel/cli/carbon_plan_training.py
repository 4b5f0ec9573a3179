"""``aerogel carbon plan training``: the best model for a budget."""

from __future__ import annotations

import argparse

from aerogel.carbon.amount import Amount
from aerogel.carbon.plan import LAWS, Bill, bill, bill_of_budget, compute_optimal, for_serving
from aerogel.carbon.plan.render import assumed_text, bill_text, optimum_text
from aerogel.carbon.plan.work import Budget
from aerogel.cli.carbon_site import add_machine, add_site, machine_of, names, site_of, table_of
from aerogel.cli.command import OK, Command, show
from aerogel.core.errors import InputError, require

_BUDGETS: dict[str, Budget] = {"hours": "hours", "mwh": "MWh", "tonnes": "tCO2e", "money": "money"}
_COMPARED = "hoffmann-rounded"


def _options(parser: argparse.ArgumentParser) -> None:
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--flop", type=float, metavar="C", help="a budget of operations, as 5.76e23")
    budget.add_argument("--hours", type=float, metavar="H", help="of device-hours on --hardware")
    budget.add_argument("--mwh", type=float, metavar="E", help="of electricity, with cooling and the like")
    budget.add_argument("--tonnes", type=float, metavar="T", help="of CO2e from electricity, by location")
    budget.add_argument("--money", type=float, metavar="M", help="of money, in the currency of the price")
    about = "accelerators, as h100-sxm; several for --flop (see aerogel carbon plan hardware)"
    parser.add_argument("--hardware", type=names, default=(), metavar="A,B", help=about)
    about = f"whose fit to plan with: {', '.join(LAWS)} (default: epoch)"
    parser.add_argument("--law", choices=list(LAWS), default="epoch", metavar="L", help=about)
    about = (
        "tokens to serve over the model's life: a smaller model, trained for longer, then takes less in all"
    )
    parser.add_argument("--serve", type=float, metavar="TOKENS", help=about)
    add_machine(parser)
    add_site(parser)


def _run(args: argparse.Namespace) -> int:
    bills = _bills(args)
    flop = Amount.exact(args.flop, "FLOP") if args.flop is not None else bills[0].flop
    optima = [compute_optimal(flop, LAWS[key]) for key in dict.fromkeys((args.law, _COMPARED))]
    assert flop.value is not None
    served = None if args.serve is None else for_serving(flop.value, args.serve, LAWS[args.law])
    document = {
        "optima": [optimum.to_json() for optimum in optima],
        "laws": [optimum.law.to_json() for optimum in optima],
        "served": None if served is None else served.to_json(),
        "bills": [found.to_json() for found in bills],
    }
    parts = [optimum_text(optima, served), *(bill_text(found) for found in bills)]
    if bills:
        factors = [factor for found in bills for factor in found.factors]
        parts.append(assumed_text(factors, [note for found in bills for note in found.notes]))
    show(args, document, "\n\n".join(parts))
    return OK


def _bills(args: argparse.Namespace) -> list[Bill]:
    """What the budget takes on each hardware that is named; of a budget in operations there may be none."""
    table = table_of(args)
    machines = [machine_of(args, table.find(key)) for key in args.hardware]
    if args.flop is not None:
        return [bill(Amount.exact(args.flop, "FLOP"), machine, site_of(args)) for machine in machines]
    name = next(name for name in _BUDGETS if getattr(args, name) is not None)
    said = f"what a budget in {_BUDGETS[name]} buys depends on the hardware: give one, as --hardware h100-sxm"
    require(len(machines) == 1, InputError, said)
    return [bill_of_budget(getattr(args, name), _BUDGETS[name], machines[0], site_of(args))]


COMMAND = Command(
    about="The size of a language model, and the number of tokens to train it on, that get furthest with a\n"
    "budget: by Epoch's fit, with error bars, and Hoffmann's for comparison. With --hardware also the\n"
    "device-hours, electricity, CO2e, water and money that this would take, each with its bounds.",
    example="aerogel carbon plan training --flop 5.76e23 --hardware h100-sxm --place FRA\n"
    "  aerogel carbon plan training --mwh 100 --hardware a100-sxm --place aws/eu-west-1\n"
    "  aerogel carbon plan training --money 20000 --price 2.5USD/h --bought --hardware h100-sxm --place USA\n"
    "  aerogel carbon plan training --flop 5.76e23 --serve 2e12",
    options=_options,
    run=_run,
    usage="(--flop C | --hours H | --mwh E | --tonnes T | --money M) [--hardware A,B --place P] [options]",
)
