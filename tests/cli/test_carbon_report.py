"""``aerogel carbon report`` from the command line: files, answers for what runs leave open, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.carbon.cases import bought, run, unmeasured

from aerogel.carbon.ledger import Ledger
from aerogel.carbon.run import Run
from aerogel.cli import main


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setenv("AEROGEL_LEDGER", str(path))
    return path


def fill(ledger: Path, *runs: Run) -> None:
    Ledger(ledger).add(runs)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["carbon", "report", *words, "--json"]) == 0
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["carbon", "report", *words]) == 2
    return capsys.readouterr().err


def pair() -> tuple[Run, ...]:
    half = {"joules": 1.8e6, "low": 1.8e6, "high": 1.8e6}
    return (
        run(pair="p", role="dense", units=10.0, unit="token"),
        run(pair="p", role="sparse", units=10.0, unit="token", **half),
        run(pair="p", role="cost", kind="pruning"),
    )


def test_everything_at_once(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, *pair(), bought(money=2.0, currency="EUR"), unmeasured())
    page, book, tables = (tmp_path / name for name in ("r.html", "r.xlsx", "tables"))
    words = ["--html", str(page), "--xlsx", str(book), "--csv", str(tables), "--yearly-units", "1e6"]
    assert main(["carbon", "report", *words]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("5 runs on 2026-06-01: ")
    assert page.stat().st_size > 10_000 and book.stat().st_size > 5000
    assert (tmp_path / "r-savings.html").is_file() and (tables / "lines.csv").is_file()
    for name in ("r.html", "r-savings.html", "r.xlsx", "tables"):
        assert name in shown.err


def test_without_pairs_there_is_no_page_of_savings(ledger: Path, tmp_path: Path) -> None:
    fill(ledger, run())
    assert main(["carbon", "report", "--html", str(tmp_path / "r.html")]) == 0
    assert not (tmp_path / "r-savings.html").exists()


def test_json_has_every_figure(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, run(), bought())
    read = said(capsys)
    assert read["ledger"] == str(ledger)
    assert set(read["totals"]["location"]) == {"2", "3.1"}
    assert len(read["lines"]) == 12 + 1, "and money of the run in the union"
    assert {factor["key"] for factor in read["assumptions"]} >= {"grid/FRA", "pue/on-premises"}


def test_a_year_is_from_its_first_day_until_the_next(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, *(run(began=f"{year}-01-01T00:00:00Z") for year in (2025, 2026, 2027)))
    read = said(capsys, "--since", "2026-01-01", "--until", "2027-01-01")
    assert [each["began"] for each in read["runs"]] == ["2026-01-01T00:00:00Z"]
    assert (read["since"], read["until"]) == ("2026-01-01", "2027-01-01")


def test_a_run_from_nowhere_is_refused_until_it_is_placed(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, run(place=None, label="lost"))
    assert "it is not known where 'lost' ran" in refused(capsys)
    placed = said(capsys, "--place", "France")["totals"]["location"]["2"]["amount"]
    world = said(capsys, "--unknown-place", "world")["totals"]["location"]["2"]["amount"]
    assert placed["high"] < world["value"] < world["high"]


def test_answers_for_runs_that_do_not_say(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, run(facility=None, hardware=None, share=None))
    words = ("--facility", "on-premises", "--hardware", "server", "--share", "0.25")
    read = said(capsys, *words)
    keys = {factor["key"] for factor in read["assumptions"]}
    assert {"pue/on-premises", "embodied/server"} <= keys and "pue/unknown" not in keys


def test_own_factors_go_before_aerogels(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, run())
    own = tmp_path / "own.toml"
    own.write_text(
        '[[factor]]\nkey = "market/FRA"\nvalue = 0.0\nunit = "gCO2e/kWh"\n'
        'year = 2026\nsource = "contract 7"\n'
    )
    read = said(capsys, "--factors", str(own))
    assert read["totals"]["market"]["2"]["amount"]["value"] == 0.0
    assert read["totals"]["location"]["2"]["amount"]["value"] > 0.0
    assert [f["source"] for f in read["assumptions"] if f["own"]] == ["contract 7"]


def test_prices(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, run(), bought())
    read = said(capsys, "--price", "0.5EUR/kWh", "--price", "2USD/h")
    assert read["money"]["USD"]["amount"]["value"] == 2.0
    assert read["money"]["EUR"]["amount"]["value"] == pytest.approx(0.5 * 1.63)


def test_intensity_by_the_hour(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, run())
    table = tmp_path / "hours.csv"
    table.write_text("time,place,g_per_kwh\n2026-06-01T00:00Z,FRA,10\n2026-06-01T01:00Z,FRA,90\n")
    read = said(capsys, "--intensity", str(table))
    (line,) = [each for each in read["lines"] if each["quantity"] == "location"]
    assert line["value"] == pytest.approx(1.63 * 0.010)
    assert line["factors"][-1] == "grid/FRA at 2026-06-01T00:00:00Z (2026)"


def test_turnover_and_volumes(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, *pair())
    read = said(capsys, "--turnover", "2e6USD", "--yearly-units", "p=1000")
    (saving,) = read["projected_savings"]["pairs"]
    assert saving["yearly_units"] == 1000 and saving["verdict"] == "saves"
    rows = read["disclosures"][0]["rows"]
    assert rows[-1]["amount"]["unit"] == "tCO2e per million USD"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--turnover", "much"], "is not a turnover above 0"),
        (["--turnover", "0"], "is not a turnover above 0"),
        (["--turnover", "inf"], "is not a turnover above 0"),
        (["--yearly-units", "-1"], "is not a yearly volume"),
        (["--yearly-units", "=5"], "is not a yearly volume"),
        (["--price", "cheap"], "is not a price"),
        (["--share", "2"], "is not a fraction"),
    ],
)
def test_bad_answers_are_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["carbon", "report", *words])
    assert ended.value.code == 2 and told in capsys.readouterr().err


def test_bad_requests_are_told(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no ledger" in refused(capsys)
    fill(ledger, run())
    assert "end it in .html" in refused(capsys, "--html", str(tmp_path / "r.pdf"))
    assert "end it in .xlsx" in refused(capsys, "--xlsx", str(tmp_path / "r.ods"))
    assert "give either" in refused(capsys, "--yearly-units", "5", "--yearly-units", "p=5")
    assert "name it with --hardware" in refused(capsys, "--share", "0.5")
    fill(ledger, run(hardware=None, share=None))
    assert "no factor 'embodied/abacus'" in refused(capsys, "--hardware", "abacus")


def test_the_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["carbon"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in ("import", "report", "plan"))


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"]])
def test_an_unknown_command_of_a_group_ends_with_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["carbon", *words])
    assert ended.value.code == 2 and "usage: aerogel carbon" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["report"])
def test_every_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["carbon", name, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  aerogel carbon {name}" in capsys.readouterr().out
