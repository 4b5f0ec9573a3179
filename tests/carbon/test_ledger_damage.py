"""One of a ledger's two files is damaged at random: every row is read, or the error is clear; and all rows
can be had back."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.carbon.ledgers import some_run

from aerogel.carbon.ledger import Ledger
from aerogel.carbon.ledger_recover import check, recover
from aerogel.core.errors import FormatError

RUNS = [some_run(n) for n in range(40)]
_PAGE = 4096

Damage = Callable[[bytearray, int, random.Random], None]


def _flip(data: bytearray, at: int, draw: random.Random) -> None:
    data[at] ^= 1 << draw.randrange(8)


def _zero(data: bytearray, at: int, draw: random.Random) -> None:
    data[at : at + 512] = bytes(len(data[at : at + 512]))


def _noise(data: bytearray, at: int, draw: random.Random) -> None:
    data[at : at + 256] = draw.randbytes(len(data[at : at + 256]))


def _cut(data: bytearray, at: int, draw: random.Random) -> None:
    del data[at:]


def _insert(data: bytearray, at: int, draw: random.Random) -> None:
    data[at:at] = draw.randbytes(draw.randrange(1, 50))


def _delete(data: bytearray, at: int, draw: random.Random) -> None:
    del data[at : at + draw.randrange(1, 200)]


def _swap(data: bytearray, at: int, draw: random.Random) -> None:
    """Two pages of a disk in each other's place."""
    pages = max(1, len(data) // _PAGE)
    i, j = (_PAGE * draw.randrange(pages) for _ in range(2))
    data[i : i + _PAGE], data[j : j + _PAGE] = data[j : j + _PAGE], data[i : i + _PAGE]


DAMAGE: tuple[Damage, ...] = (_flip, _zero, _noise, _cut, _insert, _delete, _swap)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("sound") / "l.sqlite"
    for begin in range(0, len(RUNS), 10):
        Ledger(path).add(RUNS[begin : begin + 10])
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def _survives(sound: dict[str, bytes], folder: Path, seed: int) -> bool:
    """Whether damage was seen, of a kind and at a place by ``seed``; asserts what must hold either way."""
    draw = random.Random(seed)
    folder.mkdir()
    for name, data in sound.items():
        (folder / name).write_bytes(data)
    ledger = Ledger(folder / "l.sqlite")
    file = draw.choice((ledger.path, ledger.path, ledger.copy.path))
    data = bytearray(file.read_bytes())
    draw.choice(DAMAGE)(data, draw.randrange(len(data)), draw)
    file.write_bytes(data)
    error = _error(ledger)
    if error is not None:
        assert str(ledger.path) in str(error) and "--recover" in str(error)
        assert check(ledger).faults
    recovered = recover(ledger, folder / "saved.sqlite")
    assert recovered.lost == () and Ledger(folder / "saved.sqlite").runs() == RUNS
    _adds_or_refuses(ledger)
    return error is not None


def _error(ledger: Ledger) -> FormatError | None:
    try:
        found = ledger.runs()
    except FormatError as error:
        return error
    assert found == RUNS
    return None


def _adds_or_refuses(ledger: Ledger) -> None:
    """Never is a run taken and lost."""
    more = some_run(99)
    try:
        ledger.add([more])
    except FormatError:
        return
    assert ledger.runs() == [*RUNS, more]


def test_damage_is_seen_or_does_no_harm(sound: dict[str, bytes], tmp_path: Path) -> None:
    seen = [_survives(sound, tmp_path / str(seed), seed) for seed in range(8)]
    assert 0 < sum(seen) < 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_damages_lose_no_row(sound: dict[str, bytes], tmp_path: Path) -> None:
    seen = [_survives(sound, tmp_path / str(seed), seed) for seed in range(1000)]
    assert sum(seen) > 300
