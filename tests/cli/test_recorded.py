"""What commands put on record, and that they do so only when asked."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from aerogel.carbon.ledger import Ledger
from aerogel.cli.app import run as aerogel
from aerogel.cli.recorded import add_ledger, recorded, recording
from aerogel.core.errors import FormatError, InputError


@pytest.fixture(autouse=True)
def _no_ledger_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AEROGEL_LEDGER", "AEROGEL_PLACE"):
        monkeypatch.delenv(name, raising=False)


def _args(*words: str, role: str | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_ledger(parser, role=role)  # type: ignore[arg-type]
    return parser.parse_args(words)


def test_nothing_is_recorded_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    args = _args()
    assert not recording(args)
    with recorded(args, "usage", "x"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_block_is_recorded_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l.sqlite"
    with recorded(_args("--ledger", str(path), "--place", "fr"), "inference", "x", model="m") as record:
        record.did(8, "image")
    (run,) = Ledger(path).runs()
    assert (run.kind, run.label, run.model, run.place, run.scope) == ("inference", "x", "m", "FRA", "2")
    assert (run.units, run.unit) == (8, "image") and run.seconds >= 0
    assert str(path) in capsys.readouterr().err


def test_a_region_is_bought_computing_unless_said_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    for words in ((), ("--scope", "2")):
        with recorded(_args("--ledger", str(path), "--place", "aws/eu-west-1", *words), "usage", "x"):
            pass
    assert [run.scope for run in Ledger(path).runs()] == ["3.1", "2"]


def test_the_environment_asks_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_LEDGER", str(tmp_path / "l.sqlite"))
    monkeypatch.setenv("AEROGEL_PLACE", "POL")
    with recorded(_args(), "usage", "x"):
        pass
    assert Ledger().runs()[0].place == "POL"


def test_what_failed_used_energy_as_well(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with pytest.raises(ZeroDivisionError), recorded(_args("--ledger", str(path)), "usage", "x"):
        raise ZeroDivisionError
    assert len(Ledger(path).runs()) == 1


def test_a_ledger_that_cannot_be_used_is_said_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"no database" * 500)
    with pytest.raises(FormatError), recorded(_args("--ledger", str(path)), "usage", "x"):
        pytest.fail("the work was begun")
    with (
        pytest.raises(InputError, match="Atlantis"),
        recorded(_args("--ledger", str(tmp_path / "m"), "--place", "Atlantis"), "usage", "x"),
    ):
        pytest.fail("the work was begun")


def test_pairs(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with recorded(_args("--ledger", str(path), "--pair", "minilm", role="cost"), "pruning", "x"):
        pass
    assert (Ledger(path).runs()[0].pair, Ledger(path).runs()[0].role) == ("minilm", "cost")
    for words in (("--pair", "minilm"), ("--role", "dense")):
        with (
            pytest.raises(InputError, match="--pair"),
            recorded(_args("--ledger", str(path), *words), "usage", "x"),
        ):
            pass


def test_measure_records_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l.sqlite"
    words = [
        "measure",
        "--ledger",
        str(path),
        "--place",
        "FRA",
        "--items",
        "4",
        "--item",
        "token",
        "--",
        "true",
    ]
    assert aerogel(words) == 0
    (run,) = Ledger(path).runs()
    assert (run.label, run.units, run.unit, run.kind) == ("true", 4, "token", "usage")


def test_import_list_check_and_recover(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage, path = tmp_path / "usage.csv", tmp_path / "l.sqlite"
    usage.write_text("began,scope,place,kwh\n2026-10,2,FRA,412\n2026-10,3.1,unknown,\n")
    ledger = ["--ledger", str(path)]
    assert aerogel(["carbon", "import", str(usage), *ledger, "--dry-run"]) == 0 and not path.exists()
    capsys.readouterr()
    assert aerogel(["carbon", "import", str(usage), *ledger, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["added"], said["without_place"], said["without_energy"]) == (2, 1, 1)
    assert aerogel(["carbon", "import", str(usage), *ledger]) == 0
    assert "0 of 2 lines added" in capsys.readouterr().out
    assert aerogel(["carbon", "ledger", *ledger]) == 0
    assert "412 kWh" in capsys.readouterr().out
    assert aerogel(["carbon", "ledger", *ledger, "--check"]) == 0
    path.write_bytes(path.read_bytes()[:5000])
    assert aerogel(["carbon", "ledger", *ledger]) == 2
    assert aerogel(["carbon", "ledger", *ledger, "--check"]) == 1
    assert aerogel(["carbon", "ledger", *ledger, "--recover", str(tmp_path / "new.sqlite")]) == 0
    assert len(Ledger(tmp_path / "new.sqlite").runs()) == 2
