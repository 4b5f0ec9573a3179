"""A statement as files: CSV, one table or a folder of all; and XLSX, whose totals are sums to be followed."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aerogel.carbon.statement import Statement
from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.core.files import replace_file
from aerogel.core.folders import replace_folder, require_place
from aerogel.report.carbon_sheets import Sheet, Value, lines_sheet, sheets

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so may be taken for a formula by a spreadsheet that opens a CSV file."""


def require_table_target(path: Path) -> None:
    """InputError, before the work, where a CSV file, a folder of them or a workbook cannot be written."""
    require_place(path)
    require(
        path.suffix.lower() in (".csv", ".xlsx") or not path.is_file(),
        InputError,
        f"{path} is a file, and would become a folder of tables: name another, or one that ends in .csv",
    )
    if path.suffix.lower() == ".xlsx":
        _library()


def write_csv(found: Statement, path: Path) -> None:
    """To a name that ends in .csv the lines, of which all totals are sums; else a folder with every table."""
    if path.suffix.lower() == ".csv":
        replace_file(path, lambda file: _fill(file, lines_sheet(found)))
        return
    replace_folder(path, lambda folder: _fill_folder(folder, sheets(found)))


def _fill(file: Any, sheet: Sheet) -> None:
    file.write(csv_text(sheet).encode("utf-8"))


def _fill_folder(folder: Path, every: tuple[Sheet, ...]) -> None:
    for sheet in every:
        name = sheet.name.lower().replace(" ", "_").replace("-", "_")
        (folder / f"{name}.csv").write_text(csv_text(sheet), encoding="utf-8", newline="")


def csv_text(sheet: Sheet) -> str:
    """With a heading, and CRLF as RFC 4180 has it; what is not known is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(sheet.columns)
    writer.writerows([_safe(value) for value in row] for row in sheet.rows)
    return text.getvalue()


def _safe(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_xlsx(found: Statement, path: Path) -> None:
    """A workbook with a sheet for each table. MissingDependencyError without XlsxWriter."""
    library = _library()
    stored = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book: Workbook = library.Workbook(stored, options)
    book.set_properties({"title": "Energy and carbon inventory", "comments": found.inventory.method})
    for sheet in sheets(found):
        _add(book, sheet)
    book.close()
    replace_file(path, lambda file: _store(file, stored.getvalue()))


def _store(file: Any, content: bytes) -> None:
    file.write(content)


def _library() -> Any:
    try:
        import xlsxwriter
    except ImportError as error:
        raise MissingDependencyError(
            f"a workbook needs XlsxWriter ({error}): pip install 'aerogel[report]'"
        ) from error
    return xlsxwriter


def _add(book: Workbook, sheet: Sheet) -> None:
    page: Worksheet = book.add_worksheet(sheet.name[:31])
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    plain, wrapped = book.add_format({"valign": "top"}), book.add_format({"valign": "top", "text_wrap": True})
    page.write_string(0, 0, sheet.remark)
    for column, title in enumerate(sheet.columns):
        page.write_string(1, column, title, head)
        page.set_column(column, column, _width(sheet, column))
    for number, row in enumerate(sheet.rows, 2):
        for column, value in enumerate(row):
            _write(page, number, column, value, wrapped if isinstance(value, str) else plain)
    if sheet.name == "Totals":
        _sums(page, sheet, plain)
    page.freeze_panes(2, 1)
    if sheet.rows:
        page.autofilter(1, 0, len(sheet.rows) + 1, len(sheet.columns) - 1)
    page.set_landscape()
    page.fit_to_pages(1, 0)


def _write(page: Worksheet, row: int, column: int, value: Value, how: Any) -> None:
    if isinstance(value, str):
        page.write_string(row, column, value, how)
    elif value is not None:
        page.write_number(row, column, value, how)


def _sums(page: Worksheet, sheet: Sheet, how: Any) -> None:
    """Values and bounds as sums over the sheet of lines, so that they can be followed and checked: of a
    quantity in a scope and unit, of lines that have an upper bound."""
    # Columns of the sheet of lines: D quantity, E scope, F to H value and bounds, I unit.
    for number, row in enumerate(sheet.rows, 2):
        at = number + 1
        for name, lines in (("value", "F"), ("low", "G"), ("high", "H")):
            column = sheet.columns.index(name)
            value = row[column]
            if not isinstance(value, float | int):
                continue
            formula = f"={_sum_of(lines, at)}"
            if name == "value":
                # What has bounds alone, if it is a trifle, counts at its upper one.
                formula += f"+{_sum_of('H', at, _NO_VALUE)}"
            cast("Any", page).write_formula(number, column, formula, how, value)


_NO_VALUE = ',Lines!F:F,"="'


def _sum_of(column: str, at: int, more: str = "") -> str:
    """Of the lines of the quantity, scope and unit in row ``at`` of the totals."""
    same = f"Lines!D:D,B{at},Lines!E:E,C{at},Lines!I:I,G{at}"
    return f'SUMIFS(Lines!{column}:{column},{same},Lines!H:H,">=0"{more})'


def _width(sheet: Sheet, column: int) -> float:
    longest = max(
        (len(str(row[column])) for row in sheet.rows if row[column] is not None),
        default=0,
    )
    return float(min(max(longest, len(sheet.columns[column]), 6) + 2, 60))
