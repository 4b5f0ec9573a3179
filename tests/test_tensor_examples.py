"""The examples of sparse tensors run as a reader would run them, on data made up or small."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import aerogel as ag

EXAMPLES = Path(__file__).parents[1] / "examples"
TESTED = (
    "cora_gcn.py", "cp_als.py", "pagerank.py", "ratings_als.py", "shortest_paths.py", "triangles.py",
)  # fmt: skip

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    """Where there is no data: examples then make some up."""
    return tmp_path / "absent"


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """An example sets how many threads torch has."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(script: str, *arguments: str | Path, data: tuple[str, Path] | None = None) -> int:
    """The exit status of a script's ``main``; ``data``: what its constant for a path is to be."""
    spec = importlib.util.spec_from_file_location(script.removesuffix(".py"), EXAMPLES / script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look names up
    spec.loader.exec_module(module)
    if data is not None:
        setattr(module, *data)
    return module.main([str(argument) for argument in arguments])


def graph(path: Path, nodes: int = 60) -> Path:
    rng = np.random.default_rng(3)
    links = np.triu(rng.random((nodes, nodes)) < 0.2, 1).astype(float)
    ag.write(path, ag.tensor(links + links.T, "csr"))
    return path


@pytest.mark.parametrize("script", ["pagerank.py", "triangles.py"])
def test_graphs(script: str, tmp_path: Path, absent: Path, capsys: Capture) -> None:
    """Each checks its own result, and says by its status whether it is right."""
    assert run(script, data=("GRAPH", absent)) == 0
    assert run(script, graph(tmp_path / "g.mtx")) == 0
    assert "60 nodes" in capsys.readouterr().out
    assert run(script, absent / "no.mtx") == 2
    assert "no.mtx" in capsys.readouterr().err


def test_shortest_paths(tmp_path: Path, capsys: Capture) -> None:
    assert run("shortest_paths.py", graph(tmp_path / "g.mtx")) == 0
    assert "all equal" in capsys.readouterr().out


@pytest.mark.slow
def test_shortest_paths_in_a_town(capsys: Capture) -> None:
    assert run("shortest_paths.py") == 0


def test_a_tensor_of_rank_four_is_found(absent: Path, capsys: Capture) -> None:
    assert run("cp_als.py", "--rank", "4", data=("TENSOR", absent)) == 0
    explained = float(capsys.readouterr().out.splitlines()[-1].rpartition(" ")[2].rstrip("%"))
    assert explained > 65


@pytest.mark.parametrize(
    ("name", "line"), [("u.data", "{}\t{}\t{:.0f}\t0"), ("ratings.csv", "{},{},{:.1f},0")]
)
def test_ratings_of_a_file(name: str, line: str, tmp_path: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 40, (800, 2)), axis=0)
    likes, liked = rng.normal(size=(2, 40))
    values = np.clip(np.round(3 + likes[pairs[:, 0]] + liked[pairs[:, 1]]), 1, 5)
    lines = [line.format(7 * u + 1, i + 1, v) for (u, i), v in zip(pairs, values, strict=True)]
    header = ["userId,movieId,rating,timestamp"] if name.endswith(".csv") else []
    (tmp_path / name).write_text("\n".join([*header, *lines]))
    assert run("ratings_als.py", tmp_path / name, "--rank", "1") == 0
    assert "40 users, 40 items" in capsys.readouterr().out


@pytest.mark.slow
def test_tastes_that_are_there_are_found(absent: Path, capsys: Capture) -> None:
    assert run("ratings_als.py", data=("RATINGS", absent)) == 0
    added, tastes = (float(text.split()[-1]) for text in capsys.readouterr().out.splitlines()[-2:])
    assert tastes < 0.75 * added


def test_a_graph_network_learns(absent: Path, one_torch_thread: None, capsys: Capture) -> None:
    """Its gradients are right, or its status is 1; better than one subject in four by chance."""
    assert run("cora_gcn.py", "--epochs", "40", "--seeds", "1", data=("CORA", absent)) == 0
    mean = capsys.readouterr().out.splitlines()[-2]
    assert float(mean.split()[-1].rstrip("%")) > 45


@pytest.mark.slow
def test_cora_to_its_usual_accuracy(one_torch_thread: None, capsys: Capture) -> None:
    cora = EXAMPLES.parent.parent / "shared" / "data" / "cora" / "cora.npz"
    if not cora.exists():
        pytest.skip(f"Cora is not at {cora}")
    assert run("cora_gcn.py", "--seeds", "2") == 0
    mean = capsys.readouterr().out.splitlines()[-2]
    assert float(mean.split()[-1].rstrip("%")) > 79
