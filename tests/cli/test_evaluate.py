"""``aerogel evaluate``: files in, a file out, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aerogel as ag
from aerogel.cli import main

A = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]])
X = np.array([1.0, 10.0, 100.0])
PRODUCT = "y(i) = A(i,j) * x(j)"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mtx", "a.mtx.gz", "a.tns", "a.tns.gz", "a.npz"):
        ag.write(name, ag.tensor(A, "csr"))
    np.save("a.npy", A)
    np.save("x.npy", X)
    return tmp_path


def succeed(*words: str) -> None:
    assert main(["evaluate", *words]) == 0


def fail(capsys: Capture, *words: str) -> str:
    assert main(["evaluate", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


@pytest.mark.parametrize("name", ["a.mtx", "a.mtx.gz", "a.tns", "a.tns.gz", "a.npz", "a.npy"])
def test_operands_of_every_kind_of_file(name: str) -> None:
    succeed(PRODUCT, f"A={name}", "x=x.npy", "-o", "y.npy")
    assert (np.load("y.npy", allow_pickle=False) == A @ X).all()


@pytest.mark.parametrize("suffix", [".mtx", ".mtx.gz", ".tns", ".tns.gz", ".npz", ".npy"])
def test_the_result_in_every_kind_of_file(suffix: str) -> None:
    succeed("C(i,j) = 2 * A(i,j)", "A=a.mtx", "-o", f"c{suffix}", "--out-format", "csr")
    assert (ag.read(f"c{suffix}").to_numpy() == 2 * A).all()


def test_it_says_what_came_out(capsys: Capture) -> None:
    succeed(PRODUCT, "A=a.mtx", "x=x.npy", "-o", "y.npy")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "result   2, float64, dense, 2 stored"
    assert lines[1].startswith("compile  ") and lines[2].startswith("run      ")
    assert lines[3] == "wrote    y.npy"


def shown_json(capsys: Capture, *words: str) -> dict[str, Any]:
    succeed(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_json(capsys: Capture) -> None:
    told = shown_json(capsys, "C(j,i) = 2 * A(i,j)", "A=a.mtx", "--out-format", "csr", "--threads", "1")
    assert told["result"] == {
        "shape": [3, 2], "dtype": "float64", "format": "csr", "stored": 3, "value": None,
    }  # fmt: skip
    assert told["run_s"] > 0 and told["compile_s"] >= 0 and told["written"] is None


def test_numbers_and_semirings(capsys: Capture) -> None:
    assert shown_json(capsys, "s = c * A(i,j)", "A=a.mtx", "c=0.5")["result"]["value"] == 4.5
    words = ("s = A(i,j) * x(j)", "A=a.mtx", "x=x.npy")
    assert shown_json(capsys, *words, "--semiring", "min_plus")["result"]["value"] == 4.0
    assert shown_json(capsys, "s = c / 0", "c=1.0")["result"]["value"] == "inf"


def test_formats_and_explanation(capsys: Capture) -> None:
    succeed(PRODUCT, "A=a.mtx", "x=x.npy", "--format", "A=csc", "--explain")
    out = capsys.readouterr().out
    assert "A: csc" in out and "loops:" in out and "result   2, float64" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((PRODUCT, "A=a.mtx"), "'x' is missing"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "z=x.npy"), "'z' is given but not used"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "x=x.npy"), "operand x is given twice"),
        ((PRODUCT, "A=no.mtx", "x=x.npy"), "no.mtx"),
        ((PRODUCT, "A=a.txt", "x=x.npy"), "the name tells what a file holds"),
        ((PRODUCT, "A=a.mtx", "x=3", "--format", "x=sv"), "it has no format"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "--format", "B=csr"), "there is no operand B"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "--format", "A=crs"), "did you mean 'csr'"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "--semiring", "plus_time"), "did you mean 'plus_times'"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "-o", "y.csv"), "ends in .npy"),
        ((PRODUCT, "A=a.mtx", "x=x.npy", "-o", "no/y.npy"), "there is no folder no"),
        (("y(i) = A(i,j * x(j)", "A=a.mtx", "x=x.npy"), "expected"),
        (("y(i) = A(j,i) * x(j)", "A=a.mtx", "x=x.npy"), "index 'j' is 2 in mode 0 of A, but 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(words: tuple[str, ...], told: str, capsys: Capture) -> None:
    assert told in fail(capsys, *words)


def test_an_array_of_objects_is_not_unpickled(capsys: Capture) -> None:
    np.save("o.npy", np.array([object()]), allow_pickle=True)
    assert "Python objects" in fail(capsys, "s = x(i)", "x=o.npy")


def test_an_operand_needs_a_name(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", PRODUCT, "a.mtx"])
    assert ended.value.code == 2 and "is no NAME=VALUE" in capsys.readouterr().err


def test_a_huge_sparse_result_is_not_spread(capsys: Capture) -> None:
    ag.write("big.tns", ag.tensor(([1.0], ([5], [7])), shape=(100_000, 100_000)))
    assert "write a .npz" in fail(capsys, "C(i,j) = 2 * A(i,j)", "A=big.tns", "-o", "c.npy")
    succeed("C(i,j) = 2 * A(i,j)", "A=big.tns", "-o", "c.npz")
    assert ag.read("c.npz").nnz == 1
