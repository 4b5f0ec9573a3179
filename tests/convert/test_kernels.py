"""The kernels of this floor everywhere: interpreted and native, one thread and several, at guard pages.

Whatever packing and converting run goes through a machine that compares the bits of all of these, in which a
read or write outside a buffer faults, and two threads at one element are an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.convert.tensors import Entries, held, same, some_values, with_padding
from tests.kernels.machine import Machine, Ready

from aerogel import native
from aerogel.convert import (
    assemble,
    blocks,
    buckets,
    chunks,
    dense,
    sort,
    sort_columns,
    survey,
    transpose,
    unpack,
)
from aerogel.convert.convert import convert
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.target import Target
from aerogel.formats.storage import check
from aerogel.formats.tensor_format import named
from aerogel.loop.nodes import Module

KERNELS = (
    assemble._kernel, assemble._count_kernel, buckets._kernel, blocks._merge_kernel, blocks._rows_kernel,
    dense._count_kernel, dense._take_kernel, dense._spread_kernel,
    sort._words_kernel, sort._pass_kernel, sort_columns._kernel, survey._kernel, transpose._kernel,
    unpack._kernel, unpack._gaps_kernel,
)  # fmt: skip


@pytest.fixture(params=["avx512", "avx2", "sse2"])
def ran(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The names of the kernels that have run everywhere."""
    machine, names, compile_ = Machine.named(request.param), set[str](), native.compile
    if machine.target is None:
        pytest.skip(f"this CPU lacks {request.param}")

    def everywhere(module: Module, target: Target | None = None) -> Any:
        if target is not None:
            return compile_(module, target)
        ready = Ready(module, machine.target)

        def run(*args: Any, threads: int = 1) -> None:
            names.add(module.name)
            machine.run(ready, *args)

        def launch(*args: Any, threads: int = 1) -> None:
            run(*[arg[0] if isinstance(arg, tuple) else arg for arg in args], threads=threads)

        run.launch = launch  # type: ignore[attr-defined]
        return run

    monkeypatch.setattr(native, "compile", everywhere, raising=False)
    monkeypatch.setattr(chunks, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(chunks, "WORTH_WAKING", 0)
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    for kernel in KERNELS:
        kernel.cache_clear()
    yield names
    for kernel in KERNELS:
        kernel.cache_clear()


def some(shape: tuple[int, ...], count: int, dtype: str = "float64", source: str = "int64") -> Entries:
    rng = np.random.default_rng(len(shape))
    coords = tuple(rng.integers(0, size, count).astype(source) for size in shape)
    return Entries(shape, coords, some_values(rng, count, dtype))


@pytest.mark.parametrize("count", [0, 33])
@pytest.mark.parametrize(
    ("name", "dtype", "op"),
    [
        ("csr", "float64", "add"), ("csc", "float32", "max"), ("coo", "bool", "add"),
        ("bitmap,compressed", "int64", "mul"), ("dense,bitmap", "int32", "last"), ("dense", "float64", "min"),
        ("compressed,compressed", "int32", "or"),
    ],
)  # fmt: skip
def test_packing_a_matrix(ran: set[str], name: str, dtype: str, op: Any, count: int) -> None:
    given = some((7, 9), count, dtype)
    storage = check(pack(given.coords, given.values, (7, 9), named(name, 2), duplicates=op, threads=3), "A")
    if name != "dense":
        assert same(held(storage), given.folded(op))
    sorting = {"by_column", "transpose"} if name in ("csr", "csc") else {"words", "sort_pass"}
    assert count < 33 or {"survey", "count", "assemble", *sorting} <= ran


@pytest.mark.parametrize("name", ["csf", "compressed_nonunique,singleton,compressed", "coo"])
def test_packing_of_three_modes(ran: set[str], name: str) -> None:
    given = some((4, 5, 3), 40, source="int32")
    assert same(
        held(pack(given.coords, given.values, given.shape, named(name, 3), threads=3)), given.folded()
    )


def test_sorting_columns(ran: set[str]) -> None:
    given = some((2**40, 2**25, 3), 12)
    assert same(
        held(pack(given.coords, given.values, given.shape, named("csf", 3), threads=2)), given.folded()
    )
    assert "words" not in ran and "sort_pass" in ran


@pytest.mark.parametrize("count", [0, 40])
def test_transposing(ran: set[str], count: int) -> None:
    given = some((6, 11), count).distinct()
    source = pack(given.coords, given.values, given.shape, named("csr", 2))
    assert same(held(check(convert(source, named("csc", 2), threads=3), "A")), given.folded())
    assert "transpose" in ran


@pytest.mark.parametrize("name", ["csr", "csf", "bitmap,bitmap", "bsr:2x3", "compressed,bitmap", "dense"])
def test_coordinates(ran: set[str], name: str) -> None:
    given = some((6, 9), 30).distinct()
    storage = pack(given.coords, given.values, given.shape, named(name, 2))
    columns, values = coordinates(storage, threads=3)
    found = {tuple(int(c[at]) for c in columns): values[at] for at in range(len(values))}
    assert same(found, held(storage))
    assert {"unpack", "unpack_gaps"} & ran


@pytest.mark.parametrize(("dtype", "block"), [("float64", "2x3"), ("bool", "1x4"), ("int32", "3x1")])
def test_blocks(ran: set[str], dtype: str, block: str) -> None:
    given = some((6, 12), 30, dtype).distinct()
    source = pack(given.coords, given.values, given.shape, named("csr", 2))
    blocked = check(convert(source, named(f"bsr:{block}", 2), threads=3), "A")
    assert same(with_padding(given.folded(), held(blocked), given.values.dtype.type(0)), held(blocked))
    back = check(convert(blocked, named("csr", 2), threads=3), "A")
    assert same(held(back), {where: value for where, value in given.folded().items() if value != 0})
    assert {"merge", "rows"} <= ran


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_into_dense_and_out_of_it(ran: set[str], dtype: str) -> None:
    given = some((5, 19), 30, dtype).distinct()
    expected = {where: value for where, value in given.folded().items() if value != 0}
    for name in ("csr", "bitmap,bitmap"):
        source = pack(given.coords, given.values, given.shape, named(name, 2))
        array = convert(source, named("dense", 2), threads=3)
        assert same(held(convert(array, named("csr", 2), threads=3)), expected)
    assert {"spread", "count", "take"} <= ran
