"""A report as one HTML file that needs nothing else: no script, font or picture from anywhere, on paper as on
a phone. Everything that is not in the templates is escaped."""

from __future__ import annotations

import math
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never, cast

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.core.files import replace_file
from aerogel.report import bars_drawing, curve_drawing
from aerogel.report.bars import Bars
from aerogel.report.bars_drawing import BarsDrawing, draw_bars
from aerogel.report.chart import Chart
from aerogel.report.curve_drawing import CurveDrawing, draw_curves
from aerogel.report.curves import Curves
from aerogel.report.document import (
    NOT_MEASURED,
    Block,
    Grid,
    KeyFigures,
    Notes,
    Paragraph,
    Picture,
    Pictures,
    Questions,
    Report,
)
from aerogel.report.drawing import NARROW, WIDE, Drawing, draw

if TYPE_CHECKING:
    from jinja2 import Environment

_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|MB)(?!\w))")
# After a dot or a slash in a dotted name or a path, but not in a number, with digits on both sides.
_JOINT = re.compile(r"(?<=[^\W\d][./])(?=\w)|(?<=\d[./])(?=[^\W\d])")
_ENDINGS = (".html", ".htm")
# What HTML forbids as text: controls other than tab and line ends, and halves of surrogate pairs.
_UNTEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def write(report: Report, path: Path) -> int:
    """Write ``report`` to ``path``, by rename, and say how many bytes it has. InputError where it cannot be
    written: an older file then stays. MissingDependencyError without Jinja2."""
    require_target(path)
    page = render(report).encode()
    replace_file(path, lambda file: _fill(file, page))
    return len(page)


def _fill(file: Any, page: bytes) -> None:
    file.write(page)


def require_target(path: Path) -> None:
    """Whether a report could be written to ``path``, asked before the work it tells of: InputError where it
    could not, MissingDependencyError without Jinja2."""
    _environment()
    require("\0" not in str(path), InputError, f"{str(path)!r} is no file name: it holds a NUL")
    require(
        not _is_folder(path), InputError, f"{path} is a folder: name a file in it, {path / 'report.html'}"
    )
    require(
        path.suffix.lower() in _ENDINGS,
        InputError,
        f"{path} is no name for a report, which is HTML: end it in .html",
    )
    folder = path.parent
    require(
        _is_folder(folder), InputError, f"there is no folder {folder}, so no {path.name} in it: make it first"
    )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass  # it is what writing does first
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"nothing can be written to {folder} ({reason}): name a file elsewhere") from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise InputError(f"{path} is no name for a file: {error.strerror or error}") from error


def render(report: Report) -> str:
    """The HTML of ``report``; the same report gives the same text. MissingDependencyError without Jinja2."""
    template = _environment().get_template("page.html.j2")
    return _UNTEXT.sub("\N{REPLACEMENT CHARACTER}", template.render(report=report)) + "\n"


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError(
            f"a report needs Jinja2 ({error}): pip install 'aerogel[report]'"
        ) from error
    made = Environment(
        loader=PackageLoader("aerogel.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, Any]", made.filters)
    filters |= {
        "known": _known,
        "kind": _kind,
        "px": _px,
        "drawings": _drawings,
        "spoken": _spoken,
        "picture": _picture,
        "parts": _parts,
    }
    return made


def _kind(block: Block) -> str:
    """The macro that shows a block."""
    match block:
        case Paragraph():
            return "paragraph"
        case Grid():
            return "grid"
        case KeyFigures():
            return "key_figures"
        case Pictures():
            return "pictures"
        case Questions():
            return "questions"
        case Notes():
            return "notes"
        case _:
            assert_never(block)


def _known(text: str | None) -> str:
    """What is known of a number, not parted from its unit at the end of a line."""
    if text is None:
        return NOT_MEASURED
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def _parts(text: str) -> list[str]:
    """The name of a row in parts between which a line may end."""
    return _JOINT.split(_known(text))


def _px(value: float) -> str:
    """A length as short text."""
    assert math.isfinite(value), "every length is made of checked numbers"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _picture(chart: Picture) -> str:
    """The macro that copies a drawing of it."""
    match chart:
        case Chart():
            return "points"
        case Curves():
            return "curves"
        case Bars():
            return "bars"
        case _:
            assert_never(chart)


def _drawings(
    chart: Picture,
) -> tuple[Drawing, Drawing] | tuple[CurveDrawing, CurveDrawing] | tuple[BarsDrawing, BarsDrawing]:
    match chart:
        case Chart():
            return draw(chart, NARROW), draw(chart, WIDE)
        case Curves():
            return draw_curves(chart, curve_drawing.NARROW), draw_curves(chart, curve_drawing.WIDE)
        case Bars():
            return draw_bars(chart, bars_drawing.NARROW), draw_bars(chart, bars_drawing.WIDE)
        case _:
            assert_never(chart)


def _spoken(chart: Picture) -> str:
    """The picture in words, for those who cannot see it."""
    match chart:
        case Chart():
            return _spoken_points(chart)
        case Curves():
            return _spoken_curves(chart)
        case Bars():
            return "; ".join(f"{bar.name}: {bar.text}" for bar in chart.bars) + "."
        case _:
            assert_never(chart)


def _spoken_curves(picture: Curves) -> str:
    told = [f"{picture.y.title} by {picture.x.title}"]
    for curve in picture.curves:
        stops = (
            f"{stop.y:.3g}{picture.y.unit} at {stop.x:.3g}{picture.x.unit}"
            + (" (an estimate)" if stop.estimated else "")
            for stop in curve.stops
        )
        told.append(f"{curve.name}: {', '.join(stops)}")
    told += [f"{level.name}: {level.y:.3g}{picture.y.unit}" for level in picture.levels]
    told += [f"{post.curve}, {picture.posts_mean}: {post.x:.3g}{picture.x.unit}" for post in picture.posts]
    return "; ".join(told) + "."


def _spoken_points(chart: Chart) -> str:
    told = [
        f"{p.name}: {chart.x.title} {p.x:.3g}{chart.x.unit}, {chart.y.title} {p.y:.3g}{chart.y.unit}, "
        f"{chart.size_title} {NOT_MEASURED if p.size is None else f'{p.size:.3g}{chart.size_unit}'}"
        for p in chart.points
    ]
    front = ", ".join(p.name for p in chart.front())
    return "; ".join(told) + f". Beaten by no other in both: {front}."
