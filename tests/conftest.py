"""The golden fixture: generated text compared with a file that a person has read.

Tests may import what they share by its path: ``from tests.loop.programs import programs``.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

# Before NumPy is loaded. Matrices of tests are small: on busy cores the second thread of OpenBLAS makes them
# slower, twenty times where a test inverts hundreds.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden/ instead of comparing with it"
    )


def pytest_configure(config: pytest.Config) -> None:
    # `make test` draws half as many examples as `make test-all`, where a test does not say how many it needs.
    settings.register_profile("quick", max_examples=50)
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")


def pytest_collection_finish() -> None:
    # Interpreters and compilers make small objects by the million, and hardly a cycle: Python would look
    # through all that is alive every 70,000 of them.
    gc.set_threshold(10_000, 10, 10)
    _settle()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    yield
    if nextitem is None or nextitem.path != item.path:
        _settle()


def _settle() -> None:
    """What is left here stays to the end: no later collection looks through it again.

    Libraries, thousands of collected tests and their reports are millions of objects, and a test that calls
    ``gc.collect()`` would pay for them all.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Machine code made by one test is found by all others, and stays out of the user's cache."""
    base = tmp_path_factory.getbasetemp()
    # Of the processes that share the tests (pytest -n), each has a folder in that of all.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEROGEL_CACHE_DIR", str(shared / "native-cache"))
        yield


@pytest.fixture(autouse=True)
def little_work_takes_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of tests are small: else none would run on more than one thread."""
    monkeypatch.setattr("aerogel.model.effort.WORTH_THREADS_S", 0.0)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)`` compares ``text`` with ``tests/golden/name``; ``--update-golden`` writes it."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), (
            f"tests/golden/{name} does not exist: run pytest with --update-golden, then read it"
        )
        assert text == path.read_text(encoding="utf-8"), f"differs from tests/golden/{name} (--update-golden)"

    return compare
