"""``aerogel chip compile`` and ``simulate``: files in, words, pictures and results out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.configure.decode import decode
from aerogel.chip.fabric.read import load
from aerogel.chip.machine.step import step
from aerogel.cli import main

A = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]])
X = np.array([1.0, 10.0, 100.0])
PRODUCT = "y(i) = A(i,j) * x(j)"
OPERANDS = ("A=a.mtx", "x=x.npy", "--format", "A=csr")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # The same cycles, without machine code that would have to be compiled first.
    monkeypatch.setattr("aerogel.chip.entry.by_cycles", step)
    ag.write("a.mtx", ag.tensor(A, "csr"))
    np.save("x.npy", X)
    return tmp_path


def test_compile_writes_words_and_pictures(capsys: Capture) -> None:
    words = ("-o", "words.bin", "--draw", "fabric.svg", "--graph", "graph.dot", "--layout")
    assert main(["chip", "compile", PRODUCT, *OPERANDS, *words]) == 0
    shown = capsys.readouterr().out
    assert "loops: i > j" in shown and "wrote fabric.svg" in shown and "SCAN_COMPRESSED" in shown
    found = np.fromfile("words.bin", "<u4").tolist()
    assert len(list(decode(found, load("onyx-like")).cells())) == 12
    assert Path("fabric.svg").read_text(encoding="utf-8").startswith("<svg")
    assert Path("graph.dot").read_text(encoding="utf-8").startswith("digraph")


def test_simulate_writes_the_result(capsys: Capture) -> None:
    more = ("-o", "y.npy", "--vcd", "y.vcd", "--cycles", "0:50", "--cells", "--check", "--copies", "1")
    assert main(["chip", "simulate", PRODUCT, *OPERANDS, *more]) == 0
    # bf16 has 8 bits: 403 becomes 404.
    np.testing.assert_allclose(np.load("y.npy", allow_pickle=False), A @ X, rtol=2.0**-8)
    shown = capsys.readouterr().out
    assert "result   2, float64, dense" in shown and "bottleneck:" in shown and "bf16 allows" in shown
    assert Path("y.vcd").read_text(encoding="utf-8").startswith("$timescale")


def test_simulate_as_json(capsys: Capture) -> None:
    assert main(["chip", "simulate", PRODUCT, *OPERANDS, "--fabric", "onyx-large", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cycles"] >= found["array_cycles"] > 0
    assert found["fabric"] == "onyx-large" and found["pieces"] == 1 and found["difference"] is None
    assert found["energy"]["low"] < found["energy"]["joules"] < found["energy"]["high"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fabric", "onyx-lik"), "did you mean 'onyx-like'"),
        (("--order", "i,k"), "must name each index once"),
        (("--cycles", "0:5"), "give --vcd"),
        (("-o", "y.txt"), "ends in"),
    ],
)
def test_what_is_wrong_is_said(capsys: Capture, words: tuple[str, ...], said: str) -> None:
    assert main(["chip", "simulate", PRODUCT, *OPERANDS, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_graph_has_a_known_ending(capsys: Capture) -> None:
    assert main(["chip", "compile", PRODUCT, *OPERANDS, "--graph", "g.png"]) == 2
    assert "the name tells what to write" in capsys.readouterr().err


def test_what_does_not_fit_takes_turns(capsys: Capture) -> None:
    """A picture and a graph for each configuration, and their words one after another in one file."""
    terms = [f"{name}=b.mtx" for name in "ABCD"]
    ag.write("b.mtx", ag.tensor(A, "csr"))
    wanted = ("X(i,j) = A(i,j) + B(i,j) + C(i,j) + D(i,j)", *terms, "--fabric", "onyx-small", "--copies", "1")
    files = ("-o", "words.bin", "--draw", "fabric.svg", "--graph", "graph.txt")
    assert main(["chip", "compile", *wanted, *files]) == 0
    shown = capsys.readouterr().out
    assert "onyx-small has 8" in shown and "2 configurations take turns" in shown
    assert "1. X_1(i,j) = A(i,j) + B(i,j) + C(i,j)" in shown and "wrote fabric-2.svg" in shown
    assert Path("fabric-1.svg").exists() and "X_1" in Path("graph-2.txt").read_text(encoding="utf-8")
    words = np.fromfile("words.bin", "<u4").tolist()
    first = 6 + 2 * words[5] + 1
    for part in (words[:first], words[first:]):
        assert len(list(decode(part, load("onyx-small")).cells())) > 8
    assert main(["chip", "simulate", *wanted, "--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [part["assignment"] for part in found["earlier"]] == ["X_1(i,j) = A(i,j) + B(i,j) + C(i,j)"]
    assert found["turns"].startswith("needs ") and 0 < found["earlier_cycles"][0] < found["cycles"]
    assert found["difference"] < 0.01
