"""Patterns from files: what is read, what is left out, and what the public data has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aerogel.bench.einsum import data
from aerogel.bench.einsum.data import pattern_of, read_patterns
from aerogel.bench.einsum.operations import OPERATIONS
from aerogel.core.errors import InputError

SHARED = Path(__file__).parents[4] / "shared" / "data"

SYMMETRIC = "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 3\n1 1\n2 1\n3 2\n"
DIRECTED = "%%MatrixMarket matrix coordinate pattern general\n3 3 2\n1 2\n2 3\n"
BOTH_WAYS = "%%MatrixMarket matrix coordinate pattern general\n3 3 2\n1 2\n2 1\n"


def folder(at: Path) -> Path:
    for name, text in {
        "suitesparse/s.mtx": SYMMETRIC,
        "graphs/directed.mtx": DIRECTED,
        "graphs/both.mtx": BOTH_WAYS,
        "tensors/t.tns": "1 1 1 5\n2 3 4 1\n2 3 4 2\n",
    }.items():
        (at / name).parent.mkdir(exist_ok=True)
        (at / name).write_text(text)
    (at / "kg_tensors").mkdir()
    triples = np.array([[0, 1, 2], [2, 0, 1]], np.int32)
    names = np.array(["a", "b", "c"])
    np.savez(at / "kg_tensors" / "WN18RR.npz", train=triples, entities=names, relations=names[:2])
    return at


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    found = {pattern.name: pattern for pattern in read_patterns(folder(tmp_path)).every}
    assert {name: (p.shape, p.stored, p.undirected) for name, p in found.items()} == {
        "s": ((3, 3), 5, False),
        "directed": ((3, 3), 2, False),
        "both": ((3, 3), 2, True),
        "t": ((2, 3, 4), 2, False),
        "WN18RR": ((3, 2, 3), 2, False),
    }
    assert [coord.tolist() for coord in found["s"].coords] == [[0, 0, 1, 1, 2], [0, 1, 0, 2, 1]]


def test_small_ones_are_listed_as_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LEAST_STORED", {"matrix": 3, "graph": 2, "tensor": 2})
    found = read_patterns(folder(tmp_path))
    assert found.too_small() == {"matrix": {"both": 2, "directed": 2}, "graph": {}, "tensor": {}}
    assert [p.name for p in found.of(OPERATIONS["spmv"])] == ["s"]
    assert [p.name for p in found.of(OPERATIONS["triangles"])] == ["both"]
    assert [p.name for p in found.of(OPERATIONS["ttv"])] == ["WN18RR", "t"]


def test_a_folder_without_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --data"):
        read_patterns(tmp_path)


def test_places_that_stand_twice_count_once() -> None:
    pattern = pattern_of("x", (2, 3), ([1, 0, 1], [2, 1, 2]))
    assert [coord.tolist() for coord in pattern.coords] == [[0, 1], [1, 2]]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED}, the public data, is not there")
def test_the_public_data() -> None:
    found = read_patterns(SHARED)
    named = {name: [p.name for p in found.of(operation)] for name, operation in OPERATIONS.items()}
    assert named["triangles"] == ["cora", "ego-Facebook", "email-Enron"]
    assert named["ttv"] == ["umls", "kinship", "WN18RR", "splatt_med"]
    assert len(named["spmv"]) == 10 and named["spmv"][-1] == "email-Enron"
    assert "email-Enron" not in named["spgemm"]
    small = found.too_small()
    assert {"karate", "rajat19", "cora"} <= set(small["matrix"]) and set(small["tensor"]) == {"nations"}
    assert not small["graph"] and "cryg2500" not in small["matrix"]
