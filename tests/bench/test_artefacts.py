"""Files compared with each other: what each costs, measured in processes of their own."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.model.graphs import Draft, quick, rows_of

from aerogel.bench import artefacts
from aerogel.bench.artefacts import compare_artefacts
from aerogel.core.errors import FormatError, InputError, MeasureError
from aerogel.measure import Settings
from aerogel.model.graph import Graph

QUICK = Settings(rounds=6, block_s=0.005, warm_s=0.0, min_runs=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "artefacts-cache"))


def encoder() -> Graph:
    d = Draft()
    return d.graph(d.pool(d.attend(d.norm(d.embedding(16)))))


def halved(graph: Graph) -> Graph:
    random, weights = np.random.default_rng(0), dict(graph.weights)
    for name in {op.weight for op in graph.linears()}:
        weights[name] = graph.weight(name) * (random.random(weights[name].shape) >= 0.5).astype(np.float32)
    return replace(graph, weights=weights)


def save(folder: Path, name: str, graph: Graph) -> Path:
    quick(graph).save(folder / f"{name}.aero")
    return folder / f"{name}.aero"


@pytest.mark.slow
def test_files_of_an_encoder_are_compared_at_shapes(tmp_path: Path) -> None:
    paths = {
        "half": save(tmp_path, "half", halved(encoder())),
        "dense": save(tmp_path, "dense", encoder()),
    }
    heard: list[str] = []
    found = compare_artefacts(
        paths, ["2x7"], settings=QUICK, against="dense", threads=1, progress=lambda p: heard.append(p.stage)
    )
    assert [f.name for f in found.files] == ["half", "dense"] and "block" in heard
    for name, path in paths.items():
        assert found.file(name).disk_bytes == path.stat().st_size
    assert found.disk_ratio("half") == paths["half"].stat().st_size / paths["dense"].stat().st_size < 1
    assert found.differences["2x7"]["dense"] == 0.0
    assert 1e-3 < (found.differences["2x7"]["half"] or 0) < 10
    assert found.speedup("half", "2x7").over == "dense"
    if sys.platform == "linux":
        assert 0.5 < (found.peak_ratio("half") or 0) < 2
        facts = found.file("half")
        assert (facts.peak_bytes or 0) >= (facts.resident_bytes or 0) > (facts.anonymous_bytes or 0) > 0
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    half, dense = read["files"]
    assert half["cases"]["2x7"]["speedup"]["contender"] == "half"
    assert dense["cases"]["2x7"]["speedup"] is dense["disk_ratio"] is dense["peak_ratio"] is None
    with pytest.raises(MeasureError, match="there are half, dense"):
        found.file("none")


def test_files_that_take_numbers_are_compared_on_arrays(tmp_path: Path) -> None:
    d = rows_of(6)
    graph = d.graph(d.linear("x", 5))
    rows = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    found = compare_artefacts({"only": save(tmp_path, "m", graph)}, {"three": {"x": rows}}, settings=QUICK)
    assert found.against == "only"
    output = found.comparison.case("three").outputs["only"]
    np.testing.assert_array_equal(output, quick(graph)(rows).ravel())


def test_a_subject_gives_all_outputs_flat(tmp_path: Path) -> None:
    d = rows_of(4)
    a, b = d.linear("x", 3), d.linear("x", 2)
    rows = np.ones((2, 4), np.float32)
    np.savez(tmp_path / "in.npz", x=rows)
    subject = artefacts.make(str(save(tmp_path, "m", d.graph(a, b))), threads=1)
    subject.prepare({"arrays": str(tmp_path / "in.npz")})
    wanted = quick(d.graph(a, b))(rows).values()
    np.testing.assert_allclose(subject.result(), np.concatenate([w.ravel() for w in wanted]), rtol=1e-6)


def test_differences_that_say_nothing_are_none() -> None:
    one = np.array([1.0, -4.0])
    assert artefacts._difference(np.array([1.0, -4.5]), one) == 0.125
    for found, wanted in ((np.ones(3), one), (one, 0 * one), (one * np.nan, one), (one, one * np.inf)):
        assert artefacts._difference(found, wanted) is None


def test_what_cannot_be_compared_is_refused_before_anything_starts(tmp_path: Path) -> None:
    dense = save(tmp_path, "dense", encoder())
    d = rows_of(6)
    mlp = save(tmp_path, "mlp", d.graph(d.linear("x", 5)))
    rows = {"x": np.ones((1, 6), np.float32)}
    with pytest.raises(InputError, match="no file to compare"):
        compare_artefacts({}, ["1x4"])
    with pytest.raises(InputError, match="against='b' is none of the files: a"):
        compare_artefacts({"a": dense}, ["1x4"], against="b")
    with pytest.raises(InputError, match="nothing to time"):
        compare_artefacts({"a": dense}, [])
    with pytest.raises(InputError, match="not of the form BATCHxTOKENS"):
        compare_artefacts({"a": dense}, ["8by4"])
    with pytest.raises(InputError, match="takes 40 tokens, shape 1x41 has 41"):
        compare_artefacts({"a": dense}, ["1x41"])
    with pytest.raises(InputError, match=r"m takes x \(features\): shapes fit token ids alone"):
        compare_artefacts({"m": mlp}, ["1x4"])
    with pytest.raises(InputError, match="case 'c' has inputs y, but m takes x"):
        compare_artefacts({"m": mlp}, {"c": {"y": rows["x"]}})
    with pytest.raises(InputError, match="case 'c' has inputs x, but a takes ids, mask"):
        compare_artefacts({"m": mlp, "a": dense}, {"c": rows})
    (tmp_path / "bad.aero").write_bytes(b"nothing at all")
    with pytest.raises(FormatError, match="truncated or damaged"):
        compare_artefacts({"a": tmp_path / "bad.aero"}, ["1x4"])
    with pytest.raises(InputError, match="could not be read"):
        compare_artefacts({"a": tmp_path / "none.aero"}, ["1x4"])


def test_what_the_program_refuses_is_told(tmp_path: Path) -> None:
    d = rows_of(6)
    mlp = save(tmp_path, "mlp", d.graph(d.linear("x", 5)))
    with pytest.raises(MeasureError, match="needs floats with 6 features last"):
        compare_artefacts({"m": mlp}, {"c": {"x": np.ones((1, 7), np.float32)}}, settings=QUICK)
