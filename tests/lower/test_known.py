"""The best-known kernels: as text in golden files, and what they compute on every machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from tests.differential.einsum_cases import spread
from tests.lower.known import KNOWN, Known
from tests.lower.machines import Fenced, Interpreted, assert_same

from aerogel.core.target import Target, available
from aerogel.formats.storage import Storage
from aerogel.loop.printer import show
from aerogel.lower.emit import module
from aerogel.lower.kernel import Listed
from aerogel.tensor.entry import evaluate, explain
from aerogel.tensor.listed import storage_of
from aerogel.tensor.tensor import Tensor

NARROW = Target("sse2", "x86_64", 128, 8, ("fma", "sse2"))
"""Short to read: two lanes, tiles of four vectors at most."""
every = pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)


@pytest.fixture(autouse=True)
def more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


def answer(known: Known, operands: dict[str, Storage]) -> Any:
    return np.asarray(known.answer(**{name: spread(s, 0)[0] for name, s in operands.items()}))


def dense(known: Known, prepared: Any, found: Storage | Listed, sizes: dict[str, int]) -> Any:
    if isinstance(found, Listed):
        found = storage_of(found, prepared.choice.scheduled, prepared.out, sizes)
    return spread(found, prepared.request.assignment.zero)[0]


# --- as text ----------------------------------------------------------------------------------


@every
def test_the_kernel_is_the_one_in_the_golden_file(known: Known, golden: Callable[[str, str], None]) -> None:
    operands = known.operands()
    prepared = known.prepared(operands)
    machine = Interpreted(prepared.choice.scheduled, NARROW)
    machine(known.used(prepared, operands), prepared.extents(operands), 1)
    asked = {name: Tensor(storage) for name, storage in operands.items()}
    parts = [explain(known.text, semiring=known.semiring, out_format=known.out, **asked) + "\n"]
    # The phases that ran, in the order in which they did.
    parts += [
        f"--- {phase}\n{show(module(prepared.choice.scheduled, phase, NARROW))}" for phase in machine.programs
    ]
    golden(f"lower/{known.name}.txt", "\n".join(parts))


@every
def test_the_same_request_gives_the_same_text(known: Known) -> None:
    """No counter outside a kernel: what was compiled before does not matter."""
    operands = known.operands()
    scheduled = known.prepared(operands).choice.scheduled
    again = known.prepared(known.operands()).choice.scheduled
    assert scheduled == again and hash(scheduled) == hash(again)
    phase = "run" if scheduled.assembly in {"dense", "pattern"} else "fill"
    assert show(module(scheduled, phase, NARROW)) == show(module(again, phase, NARROW))


# --- what they compute ------------------------------------------------------------------------


@every
def test_interpreted_and_fenced_on_every_target(known: Known) -> None:
    operands = known.operands(1)
    prepared = known.prepared(operands)
    scheduled, sizes = prepared.choice.scheduled, prepared.extents(operands)
    used = known.used(prepared, operands)
    for target in available():
        once = Interpreted(scheduled, target)(used, sizes, 1)
        np.testing.assert_allclose(dense(known, prepared, once, sizes), answer(known, operands), rtol=1e-13)
        for threads in (1, 3):
            assert_same(Interpreted(scheduled, target, 7)(used, sizes, threads), once, f"{target.name} slow")
            fences: tuple[Literal["end", "start"], ...] = ("end", "start")
            for at in fences:
                native = Fenced(scheduled, target, at)(used, sizes, threads)
                assert_same(native, once, f"{target.name}, {threads} threads, page at the {at}")


@every
@pytest.mark.parametrize(
    "sizes",
    [{"i": 0}, {"j": 0}, {"i": 1, "j": 1, "k": 1, "r": 1}, {"i": 70, "k": 130, "j": 3}, {"j": 140, "r": 70}],
    ids=str,
)
def test_other_sizes(known: Known, sizes: dict[str, int]) -> None:
    """One schedule, whatever the sizes: empty modes, single elements, many tiles."""
    if known.name == "triangles":
        sizes = dict.fromkeys("ijk", sizes.get("i", 5))
    prepared = known.prepared(known.operands())
    scheduled, target = prepared.choice.scheduled, available()[0]
    operands = known.operands(2, sizes)
    extents = prepared.extents(operands)
    used = known.used(prepared, operands)
    native = Fenced(scheduled, target)(used, extents, 2)
    np.testing.assert_allclose(dense(known, prepared, native, extents), answer(known, operands), rtol=1e-12)


@every
def test_through_the_front_door(known: Known) -> None:
    operands = known.operands(3)
    asked = {name: Tensor(storage) for name, storage in operands.items()}
    for threads in (1, 2):
        got = evaluate(known.text, semiring=known.semiring, out_format=known.out, threads=threads, **asked)
        array = spread(got.storage, got.fill)[0] if isinstance(got, Tensor) else got
        np.testing.assert_allclose(array, answer(known, operands), rtol=1e-13)
    if known.out is not None:
        assert isinstance(got, Tensor) and got.format.short == known.out
