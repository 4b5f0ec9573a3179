"""Every kind of 64-bit ARM processor that can be emulated here. All of this is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.core.target import Target, named

# Linux's names of what processors have besides. The emulator does not know i8mm; test_dot4 plays it.
KINDS: dict[str, tuple[str, ...]] = {"neon": (), "neon+dotprod": ("asimddp",)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=KINDS, scope="session")
def arm(request: pytest.FixtureRequest) -> Target:
    """Each kind of processor in turn."""
    return named("neon", KINDS[request.param])
