"""Calls of kernels: from many threads at once, with results that are too large, and what is kept."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from tests.differential.einsum_cases import spread
from tests.lower.known import KNOWN
from tests.lower.machines import arrays_of, assert_same

from aerogel.convert.pack import pack
from aerogel.core.errors import InputError
from aerogel.core.target import available
from aerogel.einsum.parse import parse
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.lower import kernel as kernels
from aerogel.lower.choose import Wanted
from aerogel.lower.kernel import Kernel
from aerogel.tensor.request import Prepared, Request, prepare

BY_NAME = {known.name: known for known in KNOWN}


@pytest.fixture(autouse=True)
def more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


def prepared(notation: str, operands: dict[str, Storage], out: str | None = None) -> Prepared:
    assignment = parse(notation)
    form = None if out is None else named(out, len(assignment.out.indices))
    return prepare(Request.of(assignment), operands, Wanted(form))


def vector(size: int, form: str = "sv", at: tuple[int, ...] = (0, 5)) -> Storage:
    return pack((np.array(at),), np.ones(len(at)), (size,), named(form, 1))


# --- callers at once --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["spgemm", "spmv_csr", "add_csr", "sddmm", "triangles", "add_dcsr", "mttkrp"]
)
def test_threads_of_python_call_one_kernel_at_once(name: str) -> None:
    """Each gets the bits it would have had alone, whatever it computes on, on one native thread or two."""
    known = BY_NAME[name]
    size = {"i": 60, "j": 60, "k": 60} if name != "mttkrp" else {}
    plan = known.prepared(known.operands(0, size))
    scheduled = plan.choice.scheduled
    kernel = Kernel(scheduled, available()[0])
    # Of other sizes too: workspaces of one must not serve the other.
    jobs = [known.operands(seed, {i: n + seed % 2 for i, n in size.items()}) for seed in range(4)]
    used = [known.used(plan, job) for job in jobs]
    extents = [plan.extents(job) for job in jobs]
    alone = [Kernel(scheduled, available()[0])(u, e, 1) for u, e in zip(used, extents, strict=True)]
    start, wrong = threading.Barrier(4), []

    def caller(number: int) -> None:
        try:
            start.wait()
            for turn in range(15):
                job = (number + turn) % 4
                found = kernel(used[job], extents[job], 1 + turn % 2)
                assert_same(found, alone[job], f"{name}, caller {number}, turn {turn}")
        except BaseException as error:  # noqa: BLE001
            wrong.append(error)

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert not wrong, wrong[0]


def test_workspaces_are_kept_and_left_clean() -> None:
    known = BY_NAME["spgemm"]
    operands = known.operands()
    plan = known.prepared(operands)
    kernel = Kernel(plan.choice.scheduled, available()[0])
    used, sizes = known.used(plan, operands), plan.extents(operands)
    first = kernel(used, sizes, 1)
    ((_, kept),) = kernel._spaces
    assert not kept[1].any() and not kept[2].any()
    assert_same(kernel(used, sizes, 1), first, "again")
    ((_, again),) = kernel._spaces
    assert again[0] is kept[0]
    kernel(used, sizes, 3)
    larger = known.operands(0, {"k": 200})
    kernel(known.used(plan, larger), plan.extents(larger), 1)
    assert len(kernel._spaces) == 1


def test_results_share_no_memory_with_each_other_or_with_operands_that_change() -> None:
    for known in KNOWN:
        operands = known.operands()
        plan = known.prepared(operands)
        used, sizes = known.used(plan, operands), plan.extents(operands)
        one, two = (plan.kernel(used, sizes, 1) for _ in range(2))
        for a, b in zip(arrays_of(one), arrays_of(two), strict=True):
            # Positions and coordinates may be an operand's: nothing writes to those.
            given = [array for s in used.values() for array in arrays_of(s)]
            shared = any(np.shares_memory(a, array) for array in given)
            assert shared or not np.shares_memory(a, b), known.name
        values = [arrays_of(found)[-1] for found in (one, two)]
        assert not np.shares_memory(*values)
        assert not any(np.shares_memory(values[0], s.values) for s in used.values())


# --- a call that is made again ------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{}, {"COPIED_BYTES": 0}, {"ROOM": 3}], ids=["", "in_place", "counted"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_call_made_again_is_filled_in_its_place(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], threads: int
) -> None:
    """The second time it is known how much each thread, or each row, makes: the same bits, in new memory."""
    for name, value in limits.items():
        monkeypatch.setattr(kernels, name, value)
    for known in KNOWN:
        operands = known.operands()
        plan = known.prepared(operands)
        kernel = Kernel(plan.choice.scheduled, available()[0])
        used, sizes = known.used(plan, operands), plan.extents(operands)
        count = threads if plan.choice.scheduled.parallel else 1
        call = kernel.call(used, sizes, count)
        found = [kernel.make(call) for _ in range(3)]
        for again in found[1:]:
            assert_same(again, found[0], known.name)
            assert not np.shares_memory(arrays_of(again)[-1], arrays_of(found[0])[-1]), known.name
            assert arrays_of(again)[-1].base is None, f"{known.name} keeps more than it holds"
        if plan.choice.scheduled.assembly == "rows":
            assert call.exact or call.counted is not None, known.name


def test_a_call_made_again_is_counted_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "ROOM", 3)
    known = BY_NAME["add_csr"]
    operands = known.operands()
    plan = known.prepared(operands)
    kernel = Kernel(plan.choice.scheduled, available()[0])
    call = kernel.call(known.used(plan, operands), plan.extents(operands), 1)
    first = kernel.make(call)
    del kernel._phases["count"]
    assert_same(kernel.make(call), first, "again")
    assert "count" not in kernel._phases


@pytest.mark.parametrize("name", ["spgemm", "add_csr", "add_dcsr", "multiply_csr"])
def test_threads_of_python_make_one_call_at_once(name: str) -> None:
    known = BY_NAME[name]
    operands = known.operands(0, {"i": 60, "j": 60, "k": 60})
    plan = known.prepared(operands)
    kernel = Kernel(plan.choice.scheduled, available()[0])
    used, sizes = known.used(plan, operands), plan.extents(operands)
    alone = Kernel(plan.choice.scheduled, available()[0])(used, sizes, 1)
    for _ in range(10):
        call, wrong = kernel.call(used, sizes, 2), list[BaseException]()
        start = threading.Barrier(4)

        def caller(
            call: kernels.Call = call,
            start: threading.Barrier = start,
            wrong: list[BaseException] = wrong,
        ) -> None:
            try:
                start.wait()
                for _ in range(4):
                    assert_same(kernel.make(call), alone, name)
            except BaseException as error:  # noqa: BLE001
                wrong.append(error)

        callers = [threading.Thread(target=caller) for _ in range(4)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        assert not wrong, wrong[0]


# --- results that are too large ---------------------------------------------------------------


def test_a_dense_result_beyond_all_memory_is_an_input_error() -> None:
    sparse = {"x": vector(2**24), "y": vector(2**24)}
    plan = prepared("C(i,j) = x(i) * y(j)", sparse, "dense")
    with pytest.raises(InputError, match=r"the result C .*ask for a sparse one with out_format="):
        plan.run(sparse, 1)
    found = prepared("C(i,j) = x(i) * y(j)", sparse, "dcsr").run(sparse, 1)
    assert found.shape == (2**24, 2**24) and found.stored == 4


@pytest.mark.parametrize("size", [2**31 + 3, 2**40, 2**62, 2**63 - 1])
def test_extents_beyond_every_index(size: int) -> None:
    sparse = {"x": vector(size, at=(0, 7, size - 1)), "y": vector(size, at=(7, size - 1))}
    for right, stored in (("x(i) * y(i)", 2), ("x(i) + y(i)", 3), ("x(i) - y(i)", 3)):
        found = prepared(f"z(i) = {right}", sparse).run(sparse, 2)
        assert found.format.short == "sv" and found.stored == stored and found.levels[0][1][-1] == size - 1
    if size < 2**40:
        return  # such a result might be had
    for notation in ("z(i) = x(i) + y(i)", "C(i,j) = x(i) * y(j)", "z(i) = exp(x(i))"):
        operands = sparse if "y" in notation else {"x": sparse["x"]}
        with pytest.raises(InputError, match="ask for a sparse one with out_format="):
            prepared(notation, operands, "dense").run(operands, 1)


def test_memory_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise MemoryError

    operands = {"x": vector(1000)}
    plan = prepared("C(i,j) = x(i) * x(j)", operands, "dense")
    monkeypatch.setattr(kernels.np, "zeros", nothing)
    with pytest.raises(InputError, match=r"the result C takes 8000000 bytes, which cannot be had"):
        plan.run(operands, 1)


# --- what is written --------------------------------------------------------------------------


def test_the_zero_of_a_semiring_stands_where_nothing_is_written() -> None:
    known = BY_NAME["spmv_min_plus"]
    operands = known.operands()
    empty = (
        {**operands, "A": pack(([], []), np.zeros(0), operands["A"].shape, named("csr", 2))} if 0 else None
    )
    assert empty is None
    A = pack((np.zeros(0, int), np.zeros(0, int)), np.zeros(0), operands["A"].shape, named("csr", 2))
    found = known.prepared(operands).run({**operands, "A": A}, 1)
    assert np.isinf(found.values).all() and found.fill == np.inf


def test_the_phases_that_run() -> None:
    """One pass where the rows can be bounded; else counted, then filled."""
    known = BY_NAME["add_csr"]
    operands = known.operands()
    plan = known.prepared(operands)
    kernel = Kernel(plan.choice.scheduled, available()[0])
    kernel(known.used(plan, operands), plan.extents(operands), 1)
    assert set(kernel._phases) == {"once"}


def test_more_room_than_there_is_makes_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "ROOM", 3)
    for name in ("add_csr", "spgemm", "multiply_csr"):
        known = BY_NAME[name]
        operands = known.operands()
        plan = known.prepared(operands)
        kernel = Kernel(plan.choice.scheduled, available()[0])
        found = [kernel(known.used(plan, operands), plan.extents(operands), threads) for threads in (1, 3)]
        assert {"count", "fill"} <= set(kernel._phases)
        assert_same(*found, name)
        want = known.answer(**{n: spread(s, 0)[0] for n, s in operands.items()})
        assert isinstance(found[0], Storage)
        np.testing.assert_allclose(spread(found[0], 0)[0], want)
