"""The page itself: well formed, escaped, needing nothing else, readable in the light and in the dark."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from tests.report.html_tree import Node, tree
from tests.report.tables import measured

from aerogel.core import files
from aerogel.core.errors import InputError, MissingDependencyError
from aerogel.report import (
    Axis,
    Cell,
    Chart,
    Exchange,
    Grid,
    KeyFigure,
    KeyFigures,
    Limit,
    Note,
    Notes,
    Paragraph,
    Pictures,
    Point,
    Questions,
    Reply,
    Report,
    Section,
    page,
    render,
    require_target,
    write,
)
from aerogel.report.encoder import encoder_report

EVIL = "<script>alert('x')</script> & \"quoted\" ]]> </style> <!-- {{ 7 * 7 }}"


def every_part(text: str) -> Report:
    """A report with every kind of block, ``text`` wherever text can stand."""
    points = (Point(text, 1, 1, text, 4.0), Point(text + "2", 2, 0.5, text, None, (1.5, 3.0)))
    axes = Axis(text, "high", log=True, unit="x"), Axis(text, "high")
    chart = Chart(text, *axes, points, (text,), text, text, Limit(0.9, text), 1.0)
    blocks = (
        Paragraph(text, "loss"),
        Grid(text, (text, text), ((Cell(text, (text,), "own"), Cell(text, (), "unproven")),)),
        KeyFigures(text, (KeyFigure(text, text, text, None, text), KeyFigure(text, None, text, text))),
        Pictures((chart, chart), text),
        Questions((Exchange(text, (Reply(text, text, text),)),)),
        Notes((Note(text, text),)),
    )
    return Report(text, text, (Section(text, blocks), Section(text, blocks)))


def small() -> Report:
    return Report("Title", "First line.", (Section("Part", (Paragraph("text"),)),))


def own_text(found: Node, text: str) -> int:
    return sum(text in c for n in found.walk() for c in n.children if isinstance(c, str))


def test_all_text_stays_text() -> None:
    rendered = render(every_part(EVIL))
    found = tree(rendered)
    assert not found.all("script")
    assert "<script" not in rendered and "<!--" not in rendered.replace("<!DOCTYPE", "")
    assert "49" not in found.all("title")[0].text, "text is no template"
    assert found.all("h1")[0].text == EVIL
    assert own_text(found, EVIL) > 40
    assert len(found.all("style")) == 1


@pytest.mark.parametrize("make", [lambda: every_part(EVIL), lambda: encoder_report(measured(), "t"), small])
def test_the_page_needs_nothing_else_and_runs_nothing(make: Callable[[], Report]) -> None:
    rendered = render(make())
    found = tree(rendered)
    for node in found.walk():
        assert node.tag not in {"script", "iframe", "object", "embed", "link", "img", "base", "form", "audio"}
        for name, value in node.attributes.items():
            assert not name.startswith("on"), f"{name} would run"
            assert name not in {"src", "href", "srcset", "action", "xlink:href", "style"}
            assert "url(" not in value and "//" not in value
    style = found.all("style")[0].text
    assert "url(" not in style and "@import" not in style and "http" not in style
    policy = found.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert len(rendered.encode()) < 400_000


def test_ids_are_unique_and_every_name_of_a_picture_or_table_is_there() -> None:
    found = tree(render(every_part("text")))
    ids = [n.attributes["id"] for n in found.walk() if "id" in n.attributes]
    assert len(set(ids)) == len(ids) > 10
    named = [i for n in found.walk() for i in n.attributes.get("aria-labelledby", "").split()]
    assert named and set(named) <= set(ids)


def test_pictures_have_words_and_tables_have_headings() -> None:
    found = tree(render(encoder_report(measured(), "t")))
    pictures = found.all("svg")
    assert len(pictures) == 6, "three shapes, each for wide and for narrow pages"
    for picture in pictures:
        assert picture.attributes["role"] == "img"
        assert picture.all("title")[0].text
        said = picture.all("desc")[0].text
        assert "aerogel 80 %: times the speed of onnxruntime fp32" in said and "MB" in said
    for table in found.all("table"):
        assert table.all("caption")[0].text
        heads, body = table.all("thead")[0], table.all("tbody")[0]
        columns = heads.all("th", scope="col")
        assert len(columns) > 3
        for row in body.all("tr"):
            assert len(row.all("th", scope="row")) == 1
            assert len(row.all("th")) + len(row.all("td")) == len(columns)
    assert [n.attributes["lang"] for n in found.all("html")] == ["en"]
    assert len(found.all("h1")) == len(found.all("main")) == 1


def test_the_first_line_comes_first() -> None:
    found = tree(render(encoder_report(measured("avx2"), "t")))
    first = next(n for n in found.all("body")[0].walk() if n.tag == "p")
    assert first.text == "onnxruntime fp32: faster at every shape than aerogel dense."


def test_no_number_in_a_picture_is_nan() -> None:
    for picture in tree(render(every_part("text"))).all("svg"):
        for node in picture.walk():
            for name in ("d", "x", "y", "width", "height", "viewBox"):
                numbers = re.sub(r"[MLHVhvaZ ]|-?\d+(\.\d+)?", "", node.attributes.get(name, ""))
                assert numbers == "", f"{name} of <{node.tag}>: {node.attributes[name]}"


def test_what_was_not_measured_is_said_and_not_zero() -> None:
    found = tree(render(every_part("text")))
    assert [n.text for n in found.all("strong")] == ["text", "not measured"] * 2
    assert "text: not measured" in [n.text for n in found.all("span", class_="control")]


def test_a_number_stays_with_its_unit_in_cells_and_docstrings_stay_as_they_are() -> None:
    grid = Grid("c", ("row", "n"), ((Cell("50 % of 3 things"), Cell("2.5 ms")),))
    asked = Questions((Exchange("q", (Reply("n", "x = 5 % 3", "all"),)),))
    rendered = render(Report("t", "h", (Section("s", (grid, asked)),)))
    assert "50\xa0% of 3 things" in rendered and "2.5\xa0ms" in rendered
    assert "x = 5 % 3" in rendered


def test_characters_that_html_forbids_are_replaced() -> None:
    broken = render(Report("a\x00b\x1b\ud800c\x85", "h\x0b", ()))
    assert "a\ufffdb\ufffd\ufffdc\ufffd" in broken and "h\ufffd" in broken
    broken.encode()
    tree(broken)


def test_the_same_report_gives_the_same_page() -> None:
    assert render(encoder_report(measured(), "t")) == render(encoder_report(measured(), "t"))


def test_a_small_page_reads_as_it_should(golden: Callable[[str, str], None]) -> None:
    rendered = render(every_part("text"))
    body = rendered[rendered.index("</head>") :]
    blanks = re.sub(r"\n\s*\n+", "\n", body)
    golden("report/every_part.html", blanks)


# ---------------------------------------------------------------------------------------- colours


def colours(css: str) -> tuple[dict[str, str], dict[str, str]]:
    """Those of light and dark, by name."""
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    read = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    assert set(read[0]) == set(read[1])
    return read[0], read[1]


def luminance(colour: str) -> float:
    """WCAG 2.2: relative luminance of sRGB."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    a, b = sorted((luminance(one), luminance(other)))
    return (b + 0.05) / (a + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_as_wcag_aa_asks(dark: bool) -> None:
    css = (Path(page.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    colour = colours(css)[dark]
    texts = ("ink", "soft", "own", "other", "third", "fourth", "loss", "unproven")
    for ground in ("paper", "card", "shade"):
        for text in texts:
            found = contrast(colour[text], colour[ground])
            assert found >= 4.5, f"--{text} on --{ground}: {found:.2f}"


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


# ---------------------------------------------------------------------------------------- writing


def test_a_report_is_written_whole_and_its_size_told(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    assert write(small(), path) == path.stat().st_size
    assert path.read_text(encoding="utf-8") == render(small())
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_a_full_disk_is_one_error_and_the_old_report_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match=r"r\.html could not be written \(No space left on device\)"):
        write(small(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent/r.html", "there is no folder"),
        ("file.html/r.html", "there is no folder"),
        ("folder.html", "is a folder: name a file in it"),
        ("report.json", r"end it in \.html"),
        ("report", r"end it in \.html"),
        ("a\0b.html", "holds a NUL"),
        ("a" * 300 + ".html", "a" * 300),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_and_at_writing(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file.html").write_text("")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match=message):
        write(small(), tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.html", "folder.html"]


def test_a_folder_that_takes_no_files_is_found_out_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**where: Path) -> IO[bytes]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(page.tempfile, "TemporaryFile", refused)
    with pytest.raises(InputError, match=r"nothing can be written to .* \(Permission denied\)"):
        require_target(tmp_path / "r.html")


def test_asking_leaves_nothing_behind(tmp_path: Path) -> None:
    require_target(tmp_path / "r.HTM")
    assert list(tmp_path.iterdir()) == []


def test_without_jinja_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for ask in (lambda: require_target(tmp_path / "r.html"), lambda: render(small())):
        with pytest.raises(MissingDependencyError, match=r"pip install 'aerogel\[report\]'"):
            ask()
    monkeypatch.undo()
    render(small())
