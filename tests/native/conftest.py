"""Every test here has a cache of its own, and says which targets this CPU has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aerogel.core.target import Target, available

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "native-cache"
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(folder))
    for name in (
        "AEROGEL_DUMP",
        "AEROGEL_PERF",
        "AEROGEL_NUM_THREADS",
        "AEROGEL_OVERSUBSCRIBE",
        "AEROGEL_TARGET",
    ):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(params=available(), ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    """Each target in turn."""
    return request.param


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads than cores."""
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


@pytest.fixture
def script() -> Script:
    """Runs Python text in a process of its own, warnings being errors."""

    def run(text: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
