"""``aerogel carbon plan where``: countries and cloud regions by what a piece of work would emit there."""

from __future__ import annotations

import argparse

from aerogel.carbon.places import place_named
from aerogel.carbon.plan.render import assumed_text, where_text
from aerogel.carbon.plan.where import best_places
from aerogel.cli.carbon_site import add_factors, book_of, names
from aerogel.cli.command import OK, Command, show


def _options(parser: argparse.ArgumentParser) -> None:
    about = "places to compare: countries and regions, as FRA,DEU,aws/eu-west-1"
    parser.add_argument("--among", type=names, required=True, metavar="P,Q,...", help=about)
    parser.add_argument("--kwh", type=float, default=1.0, metavar="E", help="of the computers (default: 1)")
    about = "whose buildings (PUE): on-premises, aws, google, azure, cloud; by default a cloud region's own"
    parser.add_argument("--facility", metavar="F", help=about)
    add_factors(parser)


def _run(args: argparse.Namespace) -> int:
    places = [place_named(text) for text in args.among]
    found = best_places(args.kwh, places, book_of(args), args.facility)
    factors = [factor for there in found for factor in there.factors]
    document = {"kwh": args.kwh, "places": [there.to_json() for there in found]}
    show(args, document, f"{where_text(found)}\n\n{assumed_text(factors)}")
    return OK


COMMAND = Command(
    about="Countries and cloud regions, from that on where a piece of work would emit least, by the yearly\n"
    "intensity of their grids. For hours, see aerogel carbon plan when.",
    example="aerogel carbon plan where --kwh 500 --among FRA,DEU,aws/eu-west-1,gcp/europe-north1",
    options=_options,
    run=_run,
)
