"""Every contender computes every operation; what it delivers is checked before it is timed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.bench.einsum.cases import SQUARE, patterns_for, write_case

import aerogel as ag
from aerogel.bench.einsum.first_call import first_call
from aerogel.bench.einsum.operations import OPERATIONS
from aerogel.bench.einsum.peers import LIBRARIES, OWN, libraries_for
from aerogel.bench.einsum.problem import DTYPES
from aerogel.bench.einsum.side import Work, file_name, method_of
from aerogel.core.errors import MeasureError
from aerogel.measure import Case, Settings, compare

HERE = "aerogel.bench.einsum"


def does_everything(side: Any, name: str, folder: Path) -> None:
    for operation in OPERATIONS:
        if name not in libraries_for(operation, slow=True):
            continue
        for pattern in patterns_for(operation):
            for dtype in DTYPES:
                side.prepare(write_case(folder, operation, pattern, dtype))
                side.run()
    facts = side.facts()
    done = [operation for operation in OPERATIONS if name in libraries_for(operation, slow=True)]
    assert all(facts["how"][operation] for operation in done)
    assert max(facts["largest_error_roundings"].values()) < 16


@pytest.mark.parametrize("name", ["scipy", "scipy-sorted"])
def test_scipy(name: str, tmp_path: Path) -> None:
    from aerogel.bench.einsum.scipy_side import make

    side = make(str(tmp_path), 1, sort=name == "scipy-sorted")
    does_everything(side, name, tmp_path)
    assert side.facts()["in_order"]["spgemm"] is (name == "scipy-sorted")


def test_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from aerogel.bench.einsum.torch_side import make

    does_everything(make(str(tmp_path), 1), "torch", tmp_path)


@pytest.mark.skipif(not hasattr(ag, "einsum"), reason="aerogel has no einsum yet")
@pytest.mark.slow
def test_aerogel(tmp_path: Path) -> None:
    from aerogel.bench.einsum.own_side import make

    does_everything(make(str(tmp_path), 1), OWN, tmp_path)


@pytest.mark.skipif(not hasattr(ag, "einsum"), reason="aerogel has no einsum yet")
@pytest.mark.slow
def test_a_first_call_compiles_and_the_next_process_finds_the_code(tmp_path: Path) -> None:
    case = write_case(tmp_path, "spmv", SQUARE, "f64")
    found = first_call(tmp_path, "spmv", file_name(*case.values()), 1)
    assert found.compile_s > found.cached_s > 0 and found.compile_s > 10 * found.later_s
    with pytest.raises(MeasureError, match=r"the first call of x.npz failed"):
        first_call(tmp_path, "spmv", "x.npz", 1)


@pytest.fixture
def plain_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loops as Python runs them: numba itself is not installed beside aerogel."""
    fake: Any = ModuleType("numba")
    fake.prange, fake.__version__ = range, "none"
    fake.njit = lambda **_: lambda function: function
    fake.set_num_threads = lambda _: None
    monkeypatch.setitem(sys.modules, "numba", fake)
    mine = [f"{HERE}.numba_loops", f"{HERE}.numba_side"]
    for name in mine:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    for name in mine:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("plain_numba")
@pytest.mark.parametrize("threads", [1, 3])
def test_the_loops_for_numba(threads: int, tmp_path: Path) -> None:
    side = importlib.import_module(f"{HERE}.numba_side").make(str(tmp_path), threads)
    does_everything(side, "numba", tmp_path)
    assert all(side.facts()["in_order"].values())


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, library in LIBRARIES.items() if library.environment == "einsum"])
def test_the_libraries_of_the_other_environment(name: str, tmp_path: Path) -> None:
    from aerogel.bench.environments import ENVIRONMENTS, interpreter
    from aerogel.core.errors import MissingDependencyError

    try:
        interpreter(ENVIRONMENTS["einsum"])
    except MissingDependencyError:
        pytest.skip("the environment 'einsum' is not made: aerogel bench --prepare einsum")
    done = [operation for operation in OPERATIONS if name in libraries_for(operation, slow=True)]
    written = [
        write_case(tmp_path, operation, pattern, "f32")
        for operation in done
        for pattern in patterns_for(operation)
    ]
    cases = [Case(" ".join(case.values()), case) for case in written]
    settings = Settings(rounds=6, block_s=1e-4, warm_s=0.0, min_runs=1)
    found = compare([LIBRARIES[name].contender(name, tmp_path, 2)], cases, settings)
    errors: Any = found.facts(name).facts["largest_error_roundings"]
    assert set(errors) == set(done) and max(errors.values()) < 16


def test_a_wrong_result_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aerogel.bench.einsum.scipy_side import ScipySide, make

    monkeypatch.setattr(ScipySide, "spmv", lambda self, problem: Work(lambda: np.ones(17)))
    with pytest.raises(MeasureError, match="spmv square f64: the result is wrong: an entry is off by"):
        make(str(tmp_path), 1).prepare(write_case(tmp_path, "spmv", SQUARE, "f64"))


def test_what_a_library_is_said_to_lack_it_lacks_or_is_wrong_at() -> None:
    from aerogel.bench.einsum.own_side import OwnSide
    from aerogel.bench.einsum.scipy_side import ScipySide

    for operation in OPERATIONS:
        assert callable(getattr(OwnSide, method_of(operation))) and callable(
            getattr(ScipySide, method_of(operation))
        )
    assert libraries_for("spgemm") == [
        "aerogel",
        "scipy",
        "scipy-sorted",
        "torch",
        "pydata",
        "graphblas",
        "numba",
    ]
    assert libraries_for("triangles") == ["aerogel", "scipy", "graphblas", "numba"]
    assert "pydata" not in libraries_for("mttkrp") and "pydata" in libraries_for("mttkrp", slow=True)
