"""A folder is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.core import folders
from aerogel.core.errors import InputError
from aerogel.core.folders import replace_folder, require_place


def new(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "new.txt").write_text("new")


def contents(folder: Path) -> list[str]:
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    (path / "old.txt").write_text("old")
    return path


def test_the_new_one_takes_the_place_of_the_old(old: Path) -> None:
    replace_folder(old, new)
    assert contents(old.parent) == ["place/deep/new.txt"]
    assert [f.name for f in old.parent.iterdir()] == ["place"]


def test_one_that_was_not_there_is_made_as_others_are(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    replace_folder(tmp_path / "place", new)
    assert contents(tmp_path / "place") == ["deep/new.txt"]
    assert (tmp_path / "place").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_link_stays_one(old: Path) -> None:
    link = old.with_name("link")
    link.symlink_to(old)
    replace_folder(link, new)
    assert link.is_symlink()
    assert contents(old) == ["deep/new.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_while_filling_changes_nothing(old: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        new(folder)
        raise error

    told = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(told, match="No space left on device" if told is InputError else None):
        replace_folder(old, fail)
    assert contents(old.parent) == ["place/old.txt"]


def test_what_goes_wrong_at_the_last_step_puts_the_old_one_back(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(self: Path, to: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(13, "Permission denied")
        return rename(self, to)

    monkeypatch.setattr(folders.Path, "rename", fail)
    with pytest.raises(InputError, match="place could not be written"):
        replace_folder(old, new)
    monkeypatch.undo()
    assert contents(old.parent) == ["place/old.txt"]


def test_a_place_in_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file or directory"):
        replace_folder(tmp_path / "none" / "place", new)


def test_a_place_is_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_place(tmp_path / "new", 1000)
    with pytest.raises(InputError, match=r"new cannot be written: there is no folder .*none"):
        require_place(tmp_path / "none" / "new")
    with pytest.raises(InputError, match=r"has \d+ MB free of 1000000000000 needed"):
        require_place(tmp_path / "new", 10**18)
    monkeypatch.setattr(folders.os, "access", lambda *_: False)
    with pytest.raises(InputError, match="may not be written to by this user"):
        require_place(tmp_path / "new")
