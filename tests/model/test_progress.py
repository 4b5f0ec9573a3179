"""Progress of long calls: who sees it, and when."""

from __future__ import annotations

import sys

import pytest

from aerogel.model import progress
from aerogel.model.progress import counted


class Terminal:
    """A stderr at which somebody sits; keeps what is written."""

    def __init__(self, terminal: bool) -> None:
        self.terminal, self.text = terminal, ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


class Clock:
    """One second later each time it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "perf_counter", found)
    return found


def shown(monkeypatch: pytest.MonkeyPatch, wanted: bool | None, terminal: bool, steps: int = 20) -> str:
    stderr = Terminal(terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    with counted("texts", steps, wanted) as tell:
        for done in range(1, steps + 1):
            tell(done)
    return stderr.text


@pytest.mark.usefixtures("clock")
def test_lines_where_nobody_sits_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    lines = shown(monkeypatch, True, False).splitlines()
    # A second a step and another to ask whether five are over: not every step is a line, the last is.
    assert lines[0] == "texts: 2 of 20" and lines[-1] == "texts: 20 of 20" and 3 < len(lines) < 12
    assert shown(monkeypatch, None, False) == shown(monkeypatch, False, False) == ""
    assert shown(monkeypatch, False, True) == ""
    assert shown(monkeypatch, None, True).startswith("texts: 2 of 20\n")


def test_nothing_of_what_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 1000.0)
    assert shown(monkeypatch, True, True) == shown(monkeypatch, True, False) == ""


@pytest.mark.usefixtures("clock")
def test_a_bar_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    for name in ("NO_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = shown(monkeypatch, None, True)
    assert "texts" in text and "20/20" in text


@pytest.mark.usefixtures("clock")
def test_an_interrupt_takes_the_bar_away(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    stopped: list[bool] = []
    monkeypatch.setattr(progress._Bar, "close", lambda self: stopped.append(True))
    monkeypatch.setattr(sys, "stderr", Terminal(True))
    with pytest.raises(KeyboardInterrupt), counted("texts", 3, None):
        raise KeyboardInterrupt
    assert stopped == [True]
