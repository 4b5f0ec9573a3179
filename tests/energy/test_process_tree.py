"""CPU time of a tree of processes: short ones, orphans, and what was there before."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from aerogel.energy import process_tree
from aerogel.energy.process_tree import ProcessTree, children_s

pytest.importorskip("psutil")
BURN = "import time; e = time.process_time() + {0}\nwhile time.process_time() < e: pass"


def burn(seconds: float) -> list[str]:
    return [sys.executable, "-S", "-c", BURN.format(seconds)]


def test_ended_children_are_exact_without_a_look() -> None:
    with ProcessTree() as tree:
        before = children_s()
        subprocess.run(burn(0.1), check=True)
        assert tree.cpu_s() == pytest.approx(children_s() - before)
        assert tree.cpu_s() >= 0.1
        assert tree.processes() == ()


def test_living_processes_and_their_children_are_seen() -> None:
    script = f"import subprocess, time\nsubprocess.run({burn(0.1)!r})\n"
    script += "print('burnt', flush=True)\ntime.sleep(60)"
    with ProcessTree() as tree:
        child = subprocess.Popen([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None and child.stdout.readline() == "burnt\n"
            tree.look()
            # The grandchild has ended: its time is its parent's now, and hundredths of seconds are kept.
            assert tree.cpu_s() >= 0.09
            assert [p.pid for p in tree.processes()] == [child.pid]
            assert tree.living == 1
        finally:
            child.kill()
            child.communicate()
        tree.look()
        assert tree.cpu_s() >= 0.1
        assert tree.living == 0


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come back on Linux alone")
def test_orphans_are_neither_lost_nor_left_over() -> None:
    orphan = f"import subprocess; subprocess.Popen({burn(0.15)!r}, start_new_session=True)"
    with ProcessTree() as tree:
        subprocess.run([sys.executable, "-S", "-c", orphan], check=True)
        deadline = time.monotonic() + 20
        tree.look()
        while tree.living and time.monotonic() < deadline:
            time.sleep(0.02)
            tree.look()
        tree.look()
        assert tree.cpu_s() >= 0.15
        assert max(p.cpu_seconds for p in tree.processes()) >= 0.1
    # They were waited for; other children of the test runner may still be there.
    for process in tree.processes():
        with pytest.raises(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


def test_children_from_before_are_left_out() -> None:
    before = subprocess.Popen(burn(60))
    try:
        with ProcessTree() as tree:
            time.sleep(0.05)
            tree.look()
            assert (tree.cpu_s(), tree.processes()) == (0.0, ())
    finally:
        before.kill()
        before.wait()


def test_names_hold_the_program_and_its_script_and_no_other_argument(tmp_path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('ready', flush=True)\nimport time\ntime.sleep(60)")
    words = [sys.executable, "-S", str(script), "--token=secret"]
    with ProcessTree() as tree:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            tree.look()
            (seen,) = tree.processes()
        finally:
            child.kill()
            child.communicate()
    assert "secret" not in seen.name
    assert seen.name.startswith("python")


def test_the_script_after_the_program_is_named(tmp_path) -> None:
    class Fake:
        def cmdline(self) -> list[str]:
            return ["/usr/bin/python3", "/home/me/train.py", "secret"]

    assert process_tree._name(Fake()) == "python3 train.py"


def test_without_psutil_ended_children_count_and_no_process_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with ProcessTree() as tree:
        assert not tree.detailed
        subprocess.run(burn(0.05), check=True)
        tree.look()
        assert tree.cpu_s() >= 0.05
        assert (tree.processes(), tree.living) == ((), 0)
