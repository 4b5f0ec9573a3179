from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from aerogel.bench.quality import Quality
from aerogel.bench.render import milliseconds, plain, rich_table
from aerogel.bench.table import Table
from aerogel.measure import CaseResult, Comparison, Contender, ContenderFacts, Settings, Timing, machine

SETTINGS = Settings(rounds=6)
TIMES = {"torch eager": 0.030, "onnxruntime fp32": 0.020, "onnxruntime int8": 0.010, "aerogel dense": 0.018}


def table(times: dict[str, float] | None = None, overlaps: dict[str, float] | None = None) -> Table:
    times = TIMES if times is None else times
    overlaps = (
        {"torch eager": 1.0, "onnxruntime int8": 0.91, "aerogel dense": 1.0} if overlaps is None else overlaps
    )
    facts = [ContenderFacts(Contender(name, "m:f"), 1.0, "3.11", 10, {"size_bytes": 9e7}) for name in times]
    facts[0] = ContenderFacts(Contender(next(iter(times)), "m:f"), 1.0, "3.11", 10, {})
    cases = [
        CaseResult(
            shape, {}, SETTINGS, tuple(Timing(n, (t * factor,) * 6, 60, 0.95) for n, t in times.items())
        )
        for shape, factor in (("1x16", 0.1), ("8x128", 7.0))
    ]
    checks = CaseResult("texts", {"texts": ["private"]}, SETTINGS, ())
    reference = "onnxruntime fp32" if "onnxruntime fp32" in times else next(iter(times))
    comparison = Comparison(machine(), SETTINGS, reference, tuple(facts), (checks, *cases))
    qualities = {name: Quality(300, overlap, overlap - 0.01) for name, overlap in overlaps.items()}
    own = frozenset(name for name in times if name.startswith("aerogel"))
    return Table(comparison, "torch eager" if overlaps else None, qualities, {"aerogel dense": 1e-6}, own)


def test_plain_text_shows_every_number_beside_its_interval() -> None:
    lines = plain(table()).splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("aerogel dense"))
    assert lines[row].split() == [
        "aerogel",
        "dense",
        "1.80",
        "ms",
        "126",
        "ms",
        "90.0",
        "MB",
        "1.00",
        "0.990",
    ]
    assert lines[row + 1].split() == ["1.11x", "[1.09,", "1.13]"] * 2
    text = "\n".join(lines)
    assert "times the speed of onnxruntime fp32" in text
    assert "on 300 texts" in text
    # onnxruntime fp32 was not judged, and torch's size was not told: missing is not zero.
    assert text.count("not known") == 3
    assert max(map(len, lines[2:-3])) <= 110


def test_without_texts_the_error_of_each_output_stands_beside_its_speed() -> None:
    found = replace(table(), qualities={}, errors={"torch eager": 0.0, "aerogel dense": 1.26e-3})
    rows = {line.split("  ")[0]: line.split()[-1] for line in plain(found).splitlines() if line}
    assert (rows["torch eager"], rows["onnxruntime fp32"], rows["aerogel dense"]) == ("-", "known", "1.3e-03")
    assert "from the outputs of torch eager on random input" in plain(found)
    assert "Output error" not in plain(table())
    assert "Output error" not in plain(replace(found, dense=None))


@pytest.mark.parametrize(
    ("threads", "wanted"),
    [
        (None, "its own process with its own settings, 6"),
        (1, "its own process on 1 thread, 6"),
        (4, "its own process on 4 threads, 6"),
    ],
)
def test_the_table_says_how_many_threads_all_were_given(threads: int | None, wanted: str) -> None:
    found = replace(table(), threads=threads)
    assert wanted in plain(found)
    assert found.to_json()["threads"] == threads


def test_what_is_not_proven_is_marked() -> None:
    same = table({"onnxruntime fp32": 0.02, "aerogel dense": 0.02}, {})
    lines = plain(same).splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("aerogel dense"))
    assert lines[row + 1].split() == ["?", "1.00x", "[0.98,", "1.02]"] * 2


def test_rich_shows_the_same_cells() -> None:
    console = Console(width=130, record=True, file=io.StringIO())
    console.print(rich_table(table()))
    text = console.export_text()
    for part in ("126 ms", "1.11x [1.09, 1.13]", "onnxruntime int8", "top-10", "0.91", "90.0 MB"):
        assert part in text


@pytest.mark.parametrize(
    ("times", "overlaps", "wanted"),
    [
        # int8 is faster everywhere, but worse: it dominates nothing.
        (TIMES, {"onnxruntime int8": 0.91, "aerogel dense": 1.0}, None),
        # Faster everywhere, and as good.
        (TIMES, {"onnxruntime int8": 0.91, "aerogel dense": 0.6}, "onnxruntime int8"),
        # Quality unknown: speed alone decides.
        (TIMES, {}, "onnxruntime int8"),
        # As fast, not faster.
        ({**TIMES, "aerogel dense": 0.010}, {}, None),
    ],
)
def test_domination_needs_speed_everywhere_and_quality(
    times: dict[str, float], overlaps: dict[str, float], wanted: str | None
) -> None:
    found = table(times, overlaps)
    assert found.dominated_by("aerogel dense") == wanted
    if wanted:
        assert found.headline().startswith(wanted)
        assert "every aerogel row" in found.headline()
        assert plain(found).startswith(found.headline())
    else:
        assert found.headline().startswith("No other runtime")


def test_the_headline_names_the_rows_that_are_dominated() -> None:
    found = table({**TIMES, "aerogel 90 %": 0.005}, {})
    assert "aerogel dense" in found.headline() and "aerogel 90 %" not in found.headline()
    assert table({"aerogel dense": 1.0}, {}).headline().startswith("Nothing else")


def test_the_headline_names_our_row_that_is_faster_than_most() -> None:
    judged = {"onnxruntime int8": 0.9, "aerogel dense": 1.0, "aerogel dense int8": 0.97}
    said = table({**TIMES, "aerogel dense int8": 0.005}, judged).headline()
    assert "aerogel dense int8 is faster at every shape, and no worse in quality, than " in said
    assert "onnxruntime int8" in said


def test_json_is_complete_and_keeps_texts_to_itself() -> None:
    text = json.dumps(table().to_json(), allow_nan=False)
    loaded = json.loads(text)
    assert "private" not in text
    rows = {row["name"]: row for row in loaded["rows"]}
    assert rows["aerogel dense"]["own"] and rows["aerogel dense"]["relative_error"] == 1e-6
    assert rows["aerogel dense"]["cases"]["8x128"]["speedup"]["verdict"] == "faster"
    assert rows["onnxruntime fp32"]["cases"]["8x128"]["speedup"] is None
    assert rows["onnxruntime fp32"]["quality"] is None and rows["torch eager"]["size_bytes"] is None
    assert loaded["comparison"]["settings"]["rounds"] == 6


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.00302, "3.02 ms"), (0.0173, "17.3 ms"), (0.146, "146 ms"), (1.5, "1500 ms")]
)
def test_milliseconds(seconds: float, shown: str) -> None:
    assert milliseconds(seconds) == shown
