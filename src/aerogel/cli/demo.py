"""``aerogel demo``: a real network, made sparse, compiled and compared."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from aerogel.bench.demo import Demo, DemoSettings, demo, made, model_folder
from aerogel.bench.encoder import EncoderBench
from aerogel.cli.command import OK, Command, add_threads, note, show
from aerogel.cli.progress import bar
from aerogel.cli.reported import add_report, require_reportable, write_report
from aerogel.cli.stages import stages
from aerogel.cli.tables import table_text
from aerogel.report.demo import demo_report

_START = "loading the first runtime"


def _options(parser: argparse.ArgumentParser) -> None:
    add_threads(parser, default="each runtime's own")
    add_report(parser)


def _run(args: argparse.Namespace) -> int:
    require_reportable(args)
    settings = DemoSettings(EncoderBench(model_folder(), threads=args.threads))
    if not args.json:
        note("all-MiniLM-L6-v2, as it is and with zeros, on every runtime installed here. Under 6 minutes.")
    with tempfile.TemporaryDirectory(prefix="aerogel-demo-") as folder:
        with stages() as told:
            settings, recovery_s = made(settings, Path(folder), told.stage)
        with bar(_START) as tell:
            found = demo(settings, recovery_s, tell)
    show(args, found.to_json(), _text(found))
    write_report(args, lambda: demo_report(found))
    return OK


def _text(found: Demo) -> str:
    lines = [
        f"{len(found.answers)} questions to {found.passages} docstrings of Python's standard library:",
        "",
    ]
    for answer in found.answers:
        rows = list(answer.nearest)
        lines.append(f"  {answer.question}")
        told: dict[str, list[str]] = {}
        for row in rows:
            told.setdefault(answer.nearest[row].name, []).append(row)
        for name, by in told.items():
            lines.append(f"    {name:<32} {'all' if len(by) == len(rows) else ', '.join(by)}")
    lines += ["", table_text(found.table), ""]
    for row, libraries in found.missing.items():
        lines.append(f"{row}: not compared, for want of {', '.join(libraries)}")
    return "\n".join([*lines, found.note])


COMMAND = Command(
    about="all-MiniLM-L6-v2 is pruned and recovered, and answers questions over Python docstrings: dense\n"
    "and sparse, beside other runtimes.",
    example="aerogel demo --report demo.html\n  aerogel demo --json > demo.json",
    options=_options,
    run=_run,
)
