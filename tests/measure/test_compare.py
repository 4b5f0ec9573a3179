from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aerogel.core.errors import MeasureError
from aerogel.measure import Case, Contender, Progress, Settings, compare

QUICK = Settings(rounds=6, block_s=0.01, warm_s=0.0, call_timeout_s=20, load_timeout_s=60)


@pytest.fixture(autouse=True)
def _samples_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    have = os.environ.get("PYTHONPATH")
    here = str(Path(__file__).parent)
    source = str(Path(__file__).parents[2] / "src")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (here, source, have))))


def sample(name: str, kind: str, **args: object) -> Contender:
    return Contender(name, f"sample_contenders:{kind}", args)


def children() -> set[int]:
    """Processes whose parent we are."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(path.parent.name))
    return found


@pytest.fixture
def no_process_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def test_a_faster_contender_is_proven_faster_and_the_slower_one_slower() -> None:
    found = compare(
        [sample("slow", "Sleeper", seconds=0.009), sample("fast", "Sleeper", seconds=0.003)], settings=QUICK
    )
    ratio = found.case("default").speedup("fast", over="slow")
    assert ratio.verdict == "faster"
    assert ratio.at_least(1.5) and not ratio.at_least(5)
    assert 2 < ratio.value < 4
    assert found.case("default").speedup("slow", over="fast").verdict == "slower"


def test_the_same_contender_twice_is_not_proven_different() -> None:
    settings = Settings(rounds=8, block_s=0.03, warm_s=0.01, confidence=0.99)
    found = compare(
        [sample("a", "Sleeper", seconds=0.002), sample("b", "Sleeper", seconds=0.002)], settings=settings
    )
    ratio = found.case("default").speedup("a", over="b")
    assert ratio.verdict == "not proven"
    assert "not proven" in str(ratio)


def test_cases_switch_within_one_process_and_outputs_come_back() -> None:
    cases = [
        Case("small", {"factor": 1.0}, output=True),
        Case("large", {"factor": 3.0}),
        Case("checked", {"factor": 2.0}, timed=False, output=True),
    ]
    found = compare([sample("only", "Sleeper", seconds=0.004)], cases, QUICK)
    small, large, checked = found.cases
    np.testing.assert_array_equal(small.outputs["only"], np.array([[0.004, 1.0]], np.float32))
    np.testing.assert_array_equal(checked.outputs["only"], np.array([[0.004, 2.0]], np.float32))
    assert large.outputs == {} and checked.timings == ()
    assert large.timing("only").median_s > 2 * small.timing("only").median_s
    # One process for all cases: its runs add up, the untimed one before each block counted too.
    timed = sum(case.timing("only").runs for case in (small, large))
    assert found.facts("only").facts["runs"] == timed + 2 * QUICK.rounds


def test_blocks_alternate_and_progress_counts_up() -> None:
    seen: list[Progress] = []
    contenders = [sample("a", "Sleeper", seconds=0.001), sample("b", "Sleeper", seconds=0.001)]
    compare(contenders, settings=QUICK, progress=seen.append)
    assert "".join(p.contender for p in seen if p.stage == "block") == "abbaabbaabba"
    assert [p.done for p in seen] == list(range(1, len(seen) + 1))
    assert all(p.total == len(seen) for p in seen)
    assert all((p.seconds is not None) == (p.stage == "block") for p in seen)


def test_a_preview_comes_as_soon_as_its_contender_is_loaded() -> None:
    seen: list[Progress] = []
    contenders = [sample("a", "Sleeper", seconds=0.001), sample("b", "Sleeper", seconds=0.001)]
    preview = Case("first", {"factor": 5.0})
    found = compare(contenders, [Case("c")], QUICK, preview=preview, progress=seen.append)
    assert [(p.stage, p.contender) for p in seen[:4]] == [
        ("load", "a"),
        ("preview", "a"),
        ("load", "b"),
        ("preview", "b"),
    ]
    assert seen[1].seconds is not None and seen[1].seconds >= 0.005
    assert [case.name for case in found.cases] == ["c"]
    assert seen[-1].done == seen[-1].total == len(seen)


def test_others_are_stopped_while_one_runs(tmp_path: Path) -> None:
    stamp = str(tmp_path / "stamp")
    contenders = [sample("spinner", "Spinner", stamp=stamp), sample("watcher", "Watcher", stamp=stamp)]
    found = compare(contenders, settings=QUICK)
    # The spinner stamps every 2 ms when it may run; the watcher looks 50 ms after it began.
    assert found.facts("watcher").facts["least_age_s"] > 0.04


def test_environment_and_standard_output_are_the_contenders_own() -> None:
    talker = Contender("talker", "sample_contenders:Talker")
    sleeper = Contender("set", "sample_contenders:Sleeper", {"seconds": 0.001}, env={"SAMPLE_SETTING": "1"})
    found = compare([talker, sleeper], settings=QUICK)
    assert found.facts("set").facts["setting"] == "1"
    assert found.facts("talker").facts == {}


def test_results_are_json_and_name_the_machine() -> None:
    found = compare(
        [sample("a", "Sleeper", seconds=0.002), sample("b", "Product", size=64)],
        settings=QUICK,
        reference="b",
    )
    text = json.dumps(found.to_json(), allow_nan=False)
    loaded = json.loads(text)
    assert loaded["machine"]["python"] and loaded["machine"]["usable_cores"] >= 1
    assert loaded["reference"] == "b"
    (case,) = loaded["cases"]
    assert [s["contender"] for s in case["speedups"]] == ["a"]
    assert len(case["timings"][0]["block_medians_s"]) == QUICK.rounds
    assert all(c["peak_rss_bytes"] > 1 << 20 for c in loaded["contenders"])


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_is_the_contenders_own_and_not_its_parents() -> None:
    block = np.ones(400 << 20, np.uint8)
    found = compare([sample("a", "Sleeper", seconds=0.002)], settings=QUICK)
    assert block[-1] == 1
    assert (found.facts("a").peak_rss_bytes or 0) < 200 << 20


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise", "ValueError: cannot multiply"),
        ("die", "killed by signal 9"),
        ("exit", "exit status 7"),
    ],
)
@pytest.mark.usefixtures("no_process_left")
def test_a_contender_that_fails_is_named_with_its_last_words(how: str, said: str) -> None:
    contenders = [sample("good", "Sleeper", seconds=0.001), sample("bad", "Failing", how=how)]
    with pytest.raises(MeasureError, match="contender 'bad'") as caught:
        compare(contenders, settings=QUICK)
    assert said in str(caught.value)
    assert "| last words" in str(caught.value)


@pytest.mark.usefixtures("no_process_left")
def test_a_contender_that_hangs_is_ended() -> None:
    settings = Settings(rounds=6, block_s=0.01, warm_s=0.0, call_timeout_s=0.5)
    started = time.monotonic()
    with pytest.raises(MeasureError, match=r"contender 'stuck'.*gave no answer within"):
        compare([sample("stuck", "Failing", how="hang")], settings=settings)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("sample_contenders:refuses", "RuntimeError: no such model"),
        ("sample_contenders:absent", "absent"),
        ("absent_module:make", "No module named 'absent_module'"),
    ],
)
def test_a_contender_that_cannot_be_made_says_why(factory: str, said: str) -> None:
    with pytest.raises(MeasureError, match="contender 'bad'") as caught:
        compare([Contender("bad", factory)], settings=QUICK)
    assert said in str(caught.value)


def test_an_interpreter_that_does_not_exist_is_named(tmp_path: Path) -> None:
    contender = Contender("other", "sample_contenders:Talker", python=tmp_path / "python")
    with pytest.raises(MeasureError, match="contender 'other' cannot be started"):
        compare([contender], settings=QUICK)


@pytest.mark.usefixtures("no_process_left")
def test_an_observer_that_raises_ends_the_comparison_and_all_processes() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.stage == "block":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare([sample("a", "Sleeper", seconds=0.001)], settings=QUICK, progress=interrupt)


@pytest.mark.parametrize(
    ("names", "cases", "reference", "said"),
    [
        ([], ["x"], None, "nothing to compare"),
        (["a", "a"], ["x"], None, "two contenders are named a"),
        (["a"], ["x", "x"], None, "two cases are named x"),
        (["a"], ["x"], "b", "reference 'b' is not a contender"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    names: list[str], cases: list[str], reference: str | None, said: str
) -> None:
    contenders = [sample(name, "Sleeper", seconds=0.001) for name in names]
    with pytest.raises(MeasureError, match=said):
        compare(contenders, [Case(case) for case in cases], QUICK, reference=reference)


def test_descriptions_are_checked_where_they_are_made() -> None:
    with pytest.raises(MeasureError, match=r"package\.module:function"):
        Contender("a", "no_function")
    with pytest.raises(MeasureError, match="cannot be sent"):
        Contender("a", "m:f", {"x": object()})
    with pytest.raises(MeasureError, match="cannot be sent"):
        Case("c", {"x": float("nan")})
    with pytest.raises(MeasureError, match="neither timed nor checked"):
        Case("c", timed=False)
    with pytest.raises(MeasureError, match="use 6 or more"):
        Settings(rounds=5)
    with pytest.raises(MeasureError, match="probability"):
        Settings(confidence=1.0)


def test_asking_for_what_was_not_measured_names_what_was() -> None:
    found = compare([sample("a", "Sleeper", seconds=0.001)], settings=QUICK)
    with pytest.raises(MeasureError, match="no timing of 'b': it has a"):
        found.case("default").speedup("b", over="a")
    with pytest.raises(MeasureError, match="no case 'x': there are default"):
        found.case("x")


def test_another_interpreter_finds_its_own_libraries_and_is_lent_this_package_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What PYTHONPATH names here is built for this interpreter: there it would hide that one's own.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "numpy.py").write_text("raise RuntimeError('built for another Python')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    own = tmp_path / "own"
    own.mkdir()
    (own / "their_contender.py").write_text(
        "import os, sys, aerogel\n"
        "class Made:\n"
        "    def run(self): pass\n"
        "    def facts(self):\n"
        "        lent = os.path.dirname(os.path.dirname(aerogel.__file__))\n"
        "        return {'by': os.environ['BY'], 'beside': os.listdir(lent), 'lent': lent}\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nBY=another PYTHONPATH=$PYTHONPATH:{own} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    contender = Contender("other", "their_contender:Made", python=python)
    found = compare([contender], [Case("x")], settings=QUICK).facts("other").facts
    assert found["by"] == "another"
    assert found["beside"] == ["aerogel"]
    assert not Path(str(found["lent"])).exists()


def test_what_watches_sees_the_timed_runs_of_every_block_and_the_cpu_time_of_the_contender() -> None:
    class Watcher:
        """Tells the CPU seconds of its block."""

        def __init__(self, cpu_s: Callable[[], float]) -> None:
            self._cpu_s = cpu_s

        def __enter__(self) -> None:
            self._began_s, self._from_s = time.perf_counter(), self._cpu_s()

        def __exit__(self, *_: object) -> None:
            self.seconds, self.cpu_s = time.perf_counter() - self._began_s, self._cpu_s() - self._from_s

    made: list[Watcher] = []

    def watch(cpu_s: Callable[[], float]) -> Any:
        made.append(Watcher(cpu_s))
        return Watched(made[-1])

    class Watched:
        """Entering gives the watcher, as a meter gives itself."""

        def __init__(self, watcher: Watcher) -> None:
            self._watcher = watcher

        def __enter__(self) -> Watcher:
            self._watcher.__enter__()
            return self._watcher

        def __exit__(self, *_: object) -> None:
            self._watcher.__exit__()

    contenders = [sample("busy", "Burner", seconds=0.01), sample("idle", "Sleeper", seconds=0.01)]
    settings = replace(QUICK, block_s=0.03, min_runs=3)
    found = compare(contenders, settings=settings, watch=watch).case("default")
    assert [len(found.seen[name]) for name in ("busy", "idle")] == [6, 6]
    assert len(made) == 12
    for name, burns in (("busy", True), ("idle", False)):
        seen, timing = found.seen[name], found.timing(name)
        assert sum(block.runs for block in seen) == timing.runs
        for block, seconds in zip(seen, timing.block_medians_s, strict=True):
            assert block.by.seconds >= block.runs * seconds * 0.8
            # CPU time of the contender, not of this process, which waits.
            assert (block.by.cpu_s >= block.runs * 0.009) is burns
