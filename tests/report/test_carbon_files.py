"""A statement as files: numbers stay numbers, what is not known stays empty, totals are sums of lines."""

from __future__ import annotations

import csv
import re
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.carbon.cases import book, bought, factor, run, unmeasured

from aerogel.carbon.statement import Asked, Statement, statement
from aerogel.core.errors import InputError, MissingDependencyError
from aerogel.report.carbon_files import csv_text, require_table_target, write_csv, write_xlsx
from aerogel.report.carbon_sheets import PROJECTED, lines_sheet, sheets

NAMES = [
    "Totals",
    "Lines",
    "Runs",
    "Assumptions",
    "SCI",
    "VSME B3",
    "ESRS E1-5 and E1-6",
    "Cost",
    "Remarks",
    "Method",
    "Projected savings",
]
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def found() -> Statement:
    runs = [
        run(
            label='=HYPERLINK("http://example.invalid")',
            began="2026-05-01T00:00:00Z",
            units=10.0,
            unit="token",
            pair="p",
            role="dense",
        ),
        run(label="sparse", units=10.0, unit="token", pair="p", role="sparse", joules=1.8e6, low=1.8e6),
        bought(money=3.0, currency="EUR"),
        unmeasured(label="dark"),
    ]
    return statement(runs, book(factor("price/kwh", 0.2, "EUR/kWh")), Asked(yearly_units=100.0))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


Cells = dict[str, tuple[str | None, str | float | None]]


def workbook(path: Path) -> dict[str, Cells]:
    """(formula, value) by cell, by sheet."""
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        shared = [
            "".join(t.text or "" for t in item.iter(f"{MAIN}t"))
            for item in ET.fromstring(packed.read("xl/sharedStrings.xml")).iter(f"{MAIN}si")
        ]
        names = [s.attrib["name"] for s in ET.fromstring(packed.read("xl/workbook.xml")).iter(f"{MAIN}sheet")]
        return {
            name: _cells(ET.fromstring(packed.read(f"xl/worksheets/sheet{i}.xml")), shared)
            for i, name in enumerate(names, 1)
        }


def _cells(sheet: ET.Element, shared: list[str]) -> Cells:
    cells: Cells = {}
    for cell in sheet.iter(f"{MAIN}c"):
        formula, value = cell.find(f"{MAIN}f"), cell.find(f"{MAIN}v")
        text = None if value is None else value.text
        is_text = cell.attrib.get("t") == "s"
        said = None if text is None else shared[int(text)] if is_text else float(text)
        cells[cell.attrib["r"]] = (None if formula is None else formula.text, said)
    return cells


class TestCsv:
    def test_one_file_has_every_line(self, found: Statement, tmp_path: Path) -> None:
        write_csv(found, tmp_path / "lines.csv")
        rows = read(tmp_path / "lines.csv")
        assert len(rows) == len(found.inventory.lines)
        for row, line in zip(rows, found.inventory.lines, strict=True):
            assert row["run"] == line.run.id and row["quantity"] == line.quantity
            assert (float(row["value"]) if row["value"] else None) == line.amount.value
        dark = [row for row in rows if row["label"] == "dark" and row["quantity"] == "location"]
        assert [(row["value"], row["low"], row["high"]) for row in dark] == [("", "", "")]

    def test_a_folder_has_every_table(self, found: Statement, tmp_path: Path) -> None:
        write_csv(found, tmp_path / "tables")
        names = sorted(path.name for path in (tmp_path / "tables").iterdir())
        assert len(names) == len(NAMES) and "vsme_b3.csv" in names and "projected_savings.csv" in names
        factors = read(tmp_path / "tables" / "assumptions.csv")
        assert all(row["source"] and row["year"] and row["grade"] for row in factors)

    def test_totals_are_sums_of_lines(self, found: Statement, tmp_path: Path) -> None:
        write_csv(found, tmp_path / "t")
        lines = read(tmp_path / "t" / "lines.csv")
        for total in read(tmp_path / "t" / "totals.csv"):
            own = [
                row
                for row in lines
                if (row["quantity"], row["scope"], row["unit"])
                == (total["quantity"], total["scope"], total["unit"])
            ]
            known = [row for row in own if row["high"]]
            assert int(total["amounts"]) == len(own)
            assert int(total["of which not known"]) == len(own) - len(known)
            assert float(total["value"]) == pytest.approx(sum(float(row["value"]) for row in known))

    def test_a_label_is_no_formula(self, found: Statement) -> None:
        said = csv_text(lines_sheet(found))
        assert "'=HYPERLINK" in said and not re.search(r'(^|,)"?=', said, re.MULTILINE)


@pytest.fixture(scope="module")
def cells(found: Statement, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cells]:
    path = tmp_path_factory.mktemp("x") / "w.xlsx"
    write_xlsx(found, path)
    return workbook(path)


class TestWorkbook:
    def test_has_a_sheet_for_each_table_and_projections_last(self, cells: dict[str, Cells]) -> None:
        assert list(cells) == NAMES
        assert cells["Projected savings"]["A1"] == (None, PROJECTED)

    def test_totals_are_formulas_with_their_values(self, found: Statement, cells: dict[str, Cells]) -> None:
        sheet, lines = cells["Totals"], cells["Lines"]
        formulas = {at: cell for at, cell in sheet.items() if cell[0] is not None}
        assert len(formulas) >= 3 * 8
        for at, (formula, value) in formulas.items():
            column, row = at[0], at[1:]
            assert formula is not None
            sums = {"D": "F", "E": "G", "F": "H"}[column]
            same = f'Lines!D:D,B{row},Lines!E:E,C{row},Lines!I:I,G{row},Lines!H:H,">=0"'
            trifles = f'+SUMIFS(Lines!H:H,{same},Lines!F:F,"=")' if column == "D" else ""
            assert formula == f"SUMIFS(Lines!{sums}:{sums},{same}){trifles}"
            own = [
                str(number)
                for number in range(3, len(found.inventory.lines) + 3)
                if all(
                    lines[f"{there}{number}"][1] == sheet[f"{here}{row}"][1]
                    for there, here in (("D", "B"), ("E", "C"), ("I", "G"))
                )
                and f"H{number}" in lines
            ]
            # Where there is no value, its upper bound: that of a trifle.
            held = [lines.get(f"{sums}{number}", lines[f"H{number}"])[1] for number in own]
            added = sum(float(number or 0) for number in held)
            assert value == pytest.approx(added)

    def test_texts_are_texts_and_the_unknown_is_empty(self, cells: dict[str, Cells]) -> None:
        assert cells["Lines"]["B3"] == (None, '=HYPERLINK("http://example.invalid")')
        dark = [at[1:] for at, cell in cells["Lines"].items() if cell[1] == "dark"]
        assert dark and all(f"F{row}" not in cells["Lines"] or row == dark[4] for row in dark)

    def test_no_saving_is_among_the_lines_or_totals(self, cells: dict[str, Cells]) -> None:
        for name in ("Totals", "Lines", "VSME B3", "ESRS E1-5 and E1-6", "Cost"):
            assert not any("saved" in str(value) for _, value in cells[name].values())

    def test_needs_its_library(
        self, found: Statement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "xlsxwriter", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'aerogel\[report\]'"):
            write_xlsx(found, tmp_path / "w.xlsx")
        with pytest.raises(MissingDependencyError):
            require_table_target(tmp_path / "w.xlsx")


def test_every_row_is_as_wide_as_its_heading(found: Statement) -> None:
    every = sheets(found)
    assert [sheet.name for sheet in every] == NAMES and all(len(name) <= 31 for name in NAMES)
    for sheet in every:
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)
    assert all(
        len(row) == len(sheet.columns) for sheet in sheets(statement([], book())) for row in sheet.rows
    )


def test_targets_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    with pytest.raises(InputError, match="is a file, and would become a folder"):
        require_table_target(tmp_path / "plain")
    with pytest.raises(InputError, match="there is no folder"):
        require_table_target(tmp_path / "absent" / "t.csv")
    require_table_target(tmp_path / "new")


def test_an_old_folder_is_replaced_as_a_whole(found: Statement, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "old.csv").write_text("x")
    write_csv(found, tmp_path / "t")
    assert not (tmp_path / "t" / "old.csv").exists()
