"""Reports: what was measured, as one HTML file that opens anywhere.

    from aerogel.report import Paragraph, Report, Section, write

    found = Report("A title", "The frank first line.", (Section("Part", (Paragraph("text"),)),))
    write(found, Path("report.html"))

``document`` has the parts a report is made of, ``chart`` the picture of points, ``curves`` that of curves and
``bars`` that of bars.
``encoder``, ``demo``, ``prune``, ``inspect`` and ``carbon`` make a report from what was found.
"""

from __future__ import annotations

from aerogel.report.bars import Bar, Bars
from aerogel.report.chart import Axis, Chart, Limit, Point
from aerogel.report.curves import Curve, Curves, Level, Post, Stop
from aerogel.report.document import (
    NOT_MEASURED,
    Block,
    Cell,
    Exchange,
    Grid,
    KeyFigure,
    KeyFigures,
    Note,
    Notes,
    Paragraph,
    Pictures,
    Questions,
    Reply,
    Report,
    Section,
    Tone,
)
from aerogel.report.page import render, require_target, write

__all__ = [
    "NOT_MEASURED",
    "Axis",
    "Bar",
    "Bars",
    "Block",
    "Cell",
    "Chart",
    "Curve",
    "Curves",
    "Exchange",
    "Grid",
    "KeyFigure",
    "KeyFigures",
    "Level",
    "Limit",
    "Note",
    "Notes",
    "Paragraph",
    "Pictures",
    "Point",
    "Post",
    "Questions",
    "Reply",
    "Report",
    "Section",
    "Stop",
    "Tone",
    "render",
    "require_target",
    "write",
]
