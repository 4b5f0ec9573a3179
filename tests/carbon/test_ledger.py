from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.carbon.ledgers import adding, some_run

from aerogel.carbon.ledger import Ledger, ledger_path
from aerogel.carbon.ledger_copy import Copy
from aerogel.carbon.ledger_recover import check, recover
from aerogel.core.errors import FormatError, InputError


def test_runs_come_back_as_they_were_added(tmp_path: Path) -> None:
    ledger, runs = Ledger(tmp_path / "new" / "l.sqlite"), [some_run(n) for n in range(9)]
    assert [ledger.add(runs[:4]), ledger.add(runs[4:]), ledger.add([])] == [4, 5, 0]
    assert ledger.runs() == Ledger(ledger.path).runs() == runs
    assert check(ledger).faults == ()


def test_a_run_is_kept_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    assert ledger.add([some_run(1), some_run(1)]) == 1
    assert ledger.add([some_run(1), some_run(2)]) == 1
    with pytest.raises(InputError, match="another run"):
        ledger.add([some_run(3), some_run(2, label="other")])
    assert ledger.runs() == [some_run(1), some_run(2)]


def test_a_span_of_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(n) for n in range(12)])
    assert [r.began_at.month for r in ledger.runs(since="2026-03-01", until="2026-06-01T00:00Z")] == [3, 4, 5]
    with pytest.raises(InputError, match="no time"):
        ledger.runs(since="march")


def test_no_ledger_is_an_error_not_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ledger"):
        Ledger(tmp_path / "l.sqlite").runs()
    with pytest.raises(InputError, match="folder"):
        Ledger(tmp_path).runs()


def test_rows_cannot_be_changed_or_removed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(1)])
    db = sqlite3.connect(ledger.path)
    for statement in ("DELETE FROM run", "UPDATE run SET body = '{}'"):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            db.execute(statement)
    db.close()


@pytest.mark.parametrize("statement", ["DELETE FROM run WHERE number = 2", "UPDATE run SET body = '{}'"])
def test_a_row_that_somebody_tampered_with_is_found(tmp_path: Path, statement: str) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(n) for n in range(4)])
    db = sqlite3.connect(ledger.path)
    db.execute("DROP TRIGGER run_is_not_removed")
    db.execute("DROP TRIGGER run_is_not_changed")
    db.execute(statement)
    db.commit()
    db.close()
    with pytest.raises(FormatError, match=r"row [12] "):
        ledger.runs()
    assert recover(ledger, tmp_path / "saved.sqlite").lost == ()
    assert Ledger(tmp_path / "saved.sqlite").runs() == [some_run(n) for n in range(4)]


def test_another_database_is_not_taken_for_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE run (number INTEGER)")
    db.close()
    for do in (Ledger(path).runs, lambda: Ledger(path).add([some_run(1)])):
        with pytest.raises(FormatError, match="not a ledger"):
            do()


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(1)])
    db = sqlite3.connect(ledger.path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(FormatError, match="update it"):
        ledger.add([some_run(2)])


def test_the_copy_catches_up_after_a_process_died_between_commit_and_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(1)])

    def dies(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Copy, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            ledger.add([some_run(2)])
    assert ledger.runs() == [some_run(1), some_run(2)]
    assert "lacks 1" in check(ledger).faults[0]
    ledger.add([some_run(3)])
    assert (
        check(ledger) == check(Ledger(ledger.path)) and check(ledger).copied == 3 and not check(ledger).faults
    )


def test_a_line_that_was_cut_short_in_the_copy_is_mended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(1), some_run(2)])
    whole = ledger.copy.path.read_bytes()
    ledger.copy.path.write_bytes(whole[:-40])
    assert ledger.runs() == [some_run(1), some_run(2)]
    ledger.add([some_run(3)])
    assert check(ledger).faults == () and ledger.copy.path.read_bytes().startswith(whole)


def test_a_database_that_is_older_than_its_copy_has_lost_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(1)])
    older = ledger.path.read_bytes()
    ledger.add([some_run(2)])
    ledger.path.write_bytes(older)
    for do in (ledger.runs, lambda: ledger.add([some_run(3)])):
        with pytest.raises(FormatError, match="has lost rows"):
            do()
    ledger.path.unlink()
    for do in (ledger.runs, lambda: ledger.add([some_run(3)])):
        with pytest.raises(FormatError, match="is lost"):
            do()
    saved = recover(ledger, tmp_path / "saved.sqlite")
    assert (saved.runs, saved.from_copy, saved.lost) == (2, 2, ())


def test_recovery_overwrites_nothing_and_says_what_is_in_neither(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    ledger.add([some_run(n) for n in (1, 2, 3)])
    with pytest.raises(InputError, match="there already"):
        recover(ledger, ledger.path)
    ledger.path.write_bytes(b"")
    lines = ledger.copy.path.read_bytes().splitlines(keepends=True)
    ledger.copy.path.write_bytes(lines[0] + lines[2])
    assert recover(ledger, tmp_path / "saved.sqlite").lost == (2,)
    assert Ledger(tmp_path / "saved.sqlite").runs() == [some_run(1), some_run(3)]


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    writers = [adding(path, name, 6) for name in ("a", "b", "c")]
    said = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    ledger = Ledger(path)
    assert sorted(run.id for run in ledger.runs()) == sorted(id_ for ids in said for id_ in ids)
    assert check(ledger) == check(ledger) and check(ledger).copied == 18 and not check(ledger).faults


@pytest.mark.parametrize("after", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_a_kill_loses_nothing_that_was_kept(tmp_path: Path, after: int) -> None:
    path = tmp_path / "l.sqlite"
    writer = adding(path, "a", 10_000)
    assert writer.stdout is not None
    kept = [writer.stdout.readline().strip() for _ in range(after)]
    writer.kill()
    kept += writer.stdout.read().split()
    writer.wait(timeout=30)
    writer.stdout.close()
    ledger = Ledger(path)
    found = {run.id for run in ledger.runs()}
    # One more may have been committed before it could be said.
    assert set(kept) <= found and len(found) <= len(kept) + 1
    ledger.add([some_run(1)])
    assert check(ledger).faults == ()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AEROGEL_LEDGER", str(tmp_path / "mine"))
    assert ledger_path() == tmp_path / "mine"
    monkeypatch.delenv("AEROGEL_LEDGER")
    assert ledger_path().parts[-2:] == ("aerogel", "ledger.sqlite")
