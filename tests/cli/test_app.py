"""The command line's frame: dispatch, help, exit statuses, errors as one line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from aerogel.cli import app, main
from aerogel.cli.command import Command
from aerogel.core.errors import InputError


def plant(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    """Make ``aerogel doctor`` do ``run`` instead."""
    module = types.ModuleType("aerogel.cli.doctor")
    module.COMMAND = Command("about", "aerogel doctor", lambda parser: None, run)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "aerogel.cli.doctor", module)


@pytest.mark.parametrize("name", list(app.COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"example:\n  aerogel {name}" in text
    assert "--json" in text


def test_a_command_with_many_options_says_first_what_it_must_have(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prune"])
    first, second = capsys.readouterr().err.splitlines()
    assert first == "usage: aerogel prune MODEL --sparsity S -o OUT [options]"
    assert second.endswith("the following arguments are required: MODEL, -o/--output")


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in app.COMMANDS)


@pytest.mark.parametrize(
    "words", [["nonsense"], ["doctor", "--nonsense"], ["--nonsense"], ["doctor", "more"]]
)
def test_bad_usage_ends_with_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: aerogel" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("aerogel 0.")


@pytest.mark.parametrize("status", [0, 1])
def test_the_status_is_the_commands(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    plant(monkeypatch, lambda args: status)
    assert main(["doctor"]) == status


def fail(args: argparse.Namespace) -> int:
    raise InputError("the shape is\n    wrong: give another")


def test_an_error_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AEROGEL_DEBUG", raising=False)
    plant(monkeypatch, fail)
    assert main(["doctor"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "aerogel: InputError: the shape is wrong: give another\n")


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_DEBUG", "1")
    plant(monkeypatch, fail)
    with pytest.raises(InputError):
        main(["doctor"])


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    plant(monkeypatch, broken)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_an_interrupt_is_status_130_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    plant(monkeypatch, interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "aerogel: interrupted\n"


LATE = """
import sys
class Late:
    def find_spec(self, name, path, target=None):
        if name == "aerogel.cli.command":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Late())
from aerogel.cli import main
sys.exit(main(["doctor"]))
"""


def test_an_interrupt_while_the_command_loads_is_told_alike() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "aerogel: interrupted\n")


def test_little_is_loaded_before_an_interrupt_can_be_caught() -> None:
    code = "import sys, aerogel.cli; print([n for n in ('numpy', 'argparse', 'json') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's disk that is always full")
@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"], ["--help"], ["doctor", "--help"]])
def test_a_full_disk_behind_stdout_is_one_line_and_status_2(words: list[str]) -> None:
    command = [sys.executable, "-m", "aerogel", *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("aerogel: InputError: the result cannot be written to standard output (No")
    assert done.stderr.count("\n") == 1


def test_no_stdout_at_all_is_no_failure() -> None:
    command = ["sh", "-c", '"$0" -m aerogel doctor >&-', sys.executable]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_is_quiet() -> None:
    command = [sys.executable, "-m", "aerogel", "doctor"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
