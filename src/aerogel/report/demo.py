"""A report on the demo: its answers beside the table they come from."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.bench.demo import Answer, Demo
from aerogel.report.document import Block, Exchange, Paragraph, Questions, Reply, Report, Section
from aerogel.report.encoder import encoder_report
from aerogel.report.wording import counted, listed

TITLE = "all-MiniLM-L6-v2: as it is, and with zeros"


def demo_report(found: Demo) -> Report:
    """The whole report; what was left out for want of a library is said."""
    asked = counted(len(found.answers), "question")
    about = f"{asked} to {found.passages} docstrings of Python's standard library, and the nearest to each."
    blocks: list[Block] = [Paragraph(about), questions(found.answers)]
    absent = [
        Paragraph(f"{row}: not compared, for want of {listed(list(libraries))}.", "loss")
        for row, libraries in found.missing.items()
    ]
    more = (
        Section("Questions and answers", tuple(blocks)),
        Section("About this demo", (Paragraph(found.note), *absent)),
    )
    return encoder_report(found.table, TITLE, more)


def questions(answers: Sequence[Answer]) -> Questions:
    """Each question with its different answers, and which rows gave them."""
    return Questions(tuple(Exchange(answer.question, _replies(answer)) for answer in answers))


def _replies(answer: Answer) -> tuple[Reply, ...]:
    told: dict[tuple[str, str], list[str]] = {}
    for row, passage in answer.nearest.items():
        told.setdefault((passage.name, passage.text), []).append(row)
    every = len(told) == 1 and len(answer.nearest) > 1
    return tuple(Reply(name, text, "every row" if every else listed(by)) for (name, text), by in told.items())
