"""What can go wrong between an expression and its result, through the public face: each is a clear report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aerogel as ag
from aerogel.chip.configure.encode import encode
from aerogel.chip.configure.from_mapping import design_of, names_of
from aerogel.chip.configure.words import checksum
from aerogel.chip.entry import ChipRun, CompiledChip
from aerogel.chip.fabric.read import load
from aerogel.chip.firmware import commands
from aerogel.chip.firmware.commands import Bind, Configure, Load, Poll, Start, Wait, split
from aerogel.chip.firmware.controller import execute
from aerogel.chip.firmware.device import Device, Symbols
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Segment
from aerogel.chip.machine.report import DeadlockError, FaultError
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.machine.step import step
from aerogel.chip.mapping.place_and_route import place_and_route
from aerogel.core.errors import ChipError, InputError

FABRIC = replace(load("onyx-like"), name="exact", values="f64")
PRODUCT = "X(i,j) = B(i,k) * C(k,j)"
BRIEF = partial(simulate, limit=20_000)
"""The array for a few cycles: what a wrong configuration says may never end."""


def sparse(*shape: int, seed: int = 1, filled: float = 0.4) -> ag.Tensor:
    rng = np.random.default_rng(seed)
    full = rng.integers(1, 5, shape) * (rng.random(shape) < filled)
    return ag.tensor(
        full.astype(np.float64), "csf" if len(shape) == 3 else "csr" if len(shape) == 2 else "sv"
    )


def compiled(text: str, fabric: Any = FABRIC, **options: Any) -> CompiledChip:
    return ag.chip.compile(text, fabric=fabric, copies=1, **options)


# --- queues --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "order"),
    [(PRODUCT, "ikj"), ("x(i) = B(i,j) * c(j)", "ij"), ("X(i,j) = B(i,j) + C(i,j)", "ij")],
)
def test_queues_of_one_token_are_enough_where_streams_only_part(text: str, order: str) -> None:
    operands: dict[str, Any] = {"B": sparse(5, 5), "C": sparse(5, 5, seed=2), "c": np.arange(5.0)}
    used = {name: value for name, value in operands.items() if f"{name}(" in text}
    run = compiled(text, replace(FABRIC, fifo_depth=1), order=order, **used).simulate(simulate=step)
    np.testing.assert_array_equal(np.asarray(run.output), np.asarray(ag.evaluate(text, **used)))


def test_queues_of_one_token_where_streams_meet_again() -> None:
    """Right, or a report of who waits for whom: never a wrong result, never a run without end."""
    stuck: list[DeadlockError] = []
    operands: dict[str, Any] = {"B": sparse(4, 4), "C": sparse(4, 4, seed=2)}
    wanted = np.asarray(ag.evaluate(PRODUCT, **operands))
    for order in ("kij", "kji", "jik"):
        chip = compiled(PRODUCT, replace(FABRIC, fifo_depth=1), order=order, **operands)
        try:
            found = np.asarray(chip.simulate(simulate=step).output)
        except DeadlockError as error:
            stuck.append(error)
        else:
            np.testing.assert_array_equal(found, wanted)
    assert stuck, "none of these is a test of the report"
    for report in stuck:
        assert report.waiting
        assert "waits for" in str(report) and "full channels: " in str(report)


def test_a_cell_that_waits_for_itself_is_a_ring() -> None:
    """Placed, routed, as words and on the device: the sum of a value and itself can never begin."""
    segments = (Segment("A.vals", "vals", 4), Segment("X.vals", "vals", 4, written=True))
    cells = (
        Cell(Opcode.ROOT, (), (), (0,), "root"),
        Cell(Opcode.SCAN_DENSE, (4,), (0,), (-1, 1), "scan"),
        Cell(Opcode.ARRAY, (0,), (1,), (2,), "array"),
        Cell(Opcode.ALU, (0,), (2, 4), (3,), "sum"),
        Cell(Opcode.FORK, (2,), (3,), (4, 5), "fork"),
        Cell(Opcode.WRITE_VALUES, (1,), (5,), (), "write"),
    )
    kinds = (Kind.REFERENCE, Kind.REFERENCE, *(Kind.VALUE,) * 4)
    netlist = Netlist(cells, tuple(map(Channel, kinds)), segments, "f64")
    design = design_of(place_and_route(netlist, FABRIC))
    words = np.asarray(encode(design, FABRIC), "<u4")
    device = Device(FABRIC, step, Symbols(names_of(design), tuple(part.name for part in segments)))
    raw, values = words.tobytes(), np.arange(4.0).tobytes()
    told: list[commands.Command] = [
        Load(*split(device.keep(raw)), 0, len(raw)),
        Wait(1),
        Configure(0, len(words)),
        Load(*split(device.keep(values)), 1 << 16, len(values)),
        Wait(2),
        Bind(0, 1 << 16, 4),
        Bind(1, 1 << 17, 4),
        Start(),
        Poll(),
    ]
    with pytest.raises(DeadlockError) as caught:
        execute(commands.encode(told), device)
    assert "sum (ALU) waits for a token from" in str(caught.value)
    assert "in a ring: sum" in str(caught.value)


# --- what does not fit -----------------------------------------------------------------------------------


def test_a_fabric_with_too_few_tiles() -> None:
    text = "X(i,j) = B(i,k,l) * C(j,k) * D(j,l) + E(i,j)"
    operands: dict[str, Any] = {"B": sparse(3, 3, 3), "C": sparse(3, 3), "D": sparse(3, 3), "E": sparse(3, 3)}
    with pytest.raises(
        ChipError, match=r"needs \d+ memory tiles, onyx-small has 8: .* choose a larger fabric"
    ):
        compiled(text, "onyx-small", order="iklj", **operands)


def test_a_fabric_with_too_few_tracks() -> None:
    # Below max nothing can be cut into parts that take turns.
    narrow = replace(load("onyx-like"), tracks=1)
    operands: dict[str, Any] = {name: sparse(3, 3) for name in "BCDE"}
    with pytest.raises(
        ChipError, match=r"wires find no way on onyx-like, tracks = 1: .* more tracks or tiles"
    ):
        compiled("X(i,j) = max(B(i,k) * C(k,j), max(D(i,j), E(i,j)))", narrow, order="ijk", **operands)


def test_more_copies_than_there_are_segments() -> None:
    with pytest.raises(ChipError, match="10000 copies have 90000 segments: there are 256"):
        ag.chip.compile(PRODUCT, B=sparse(3, 3), C=sparse(3, 3), copies=10000)


def test_a_workspace_larger_than_a_memory_tile_is_cut_or_refused() -> None:
    small = replace(FABRIC, name="narrow", memory_words=32, line_words=2)
    operands: dict[str, Any] = {"B": sparse(4, 4), "C": sparse(4, 100, seed=2)}
    chip = compiled("X(i,j) = relu(B(i,k) * C(k,j))", small, order="ikj", **operands)
    assert chip.cuts.parts("j") > 1
    run = chip.simulate(simulate=step)
    np.testing.assert_array_equal(
        np.asarray(run.output), np.maximum(np.asarray(operands["B"]) @ np.asarray(operands["C"]), 0)
    )
    # Here what is in the workspace is not in the result: pieces of it could not be put together.
    operands = {"b": sparse(4), "C": operands["C"]}
    with pytest.raises(
        ChipError,
        match=r"a workspace of 100 coordinates, of which .* holds 28; .* give the order j,k, which fits",
    ):
        compiled("x = sum(j, exp(b(k) * C(k,j)))", small, order="kj", **operands)
    assert compiled("x = sum(j, exp(b(k) * C(k,j)))", small, **operands).plan.order == ("j", "k")


def test_fibers_that_wait_for_others_are_cut_to_what_a_queue_holds() -> None:
    small = replace(FABRIC, name="narrow", memory_words=32, line_words=2)
    rng = np.random.default_rng(3)
    arrays = {"A": rng.random((1, 3)), "B": rng.random((3, 20, 1)), "D": rng.random((1, 20, 1))}
    operands = {name: ag.tensor(array, "csf") for name, array in arrays.items()}
    text = "X(i,j,k) = D(i,j,k) * relu(A(i,l) * B(l,j,k))"
    chip = compiled(text, small, order="lijk", **operands)
    # 20 rows of one and their stops take 42 tokens, a memory tile holds 32.
    assert (chip.plan.queues, chip.cuts.parts("j")) == ((("j", "k"), ("k",)), 2)
    wanted = arrays["D"] * np.einsum("il,ljk->ijk", arrays["A"], arrays["B"])
    np.testing.assert_allclose(np.asarray(chip.simulate().output), wanted, rtol=1e-6)


def test_words_too_narrow_for_a_summed_index_that_cannot_be_cut() -> None:
    narrow = replace(FABRIC, name="narrow", word_bits=8)
    with pytest.raises(ChipError, match=r"no other order of loops fits: give a larger fabric than narrow"):
        compiled("x = sum(j, exp(b(j)))", narrow, b=np.ones(300))


# --- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [40_000.0, -32_769.0, np.nan, np.inf])
def test_operands_that_int16_does_not_hold(value: float) -> None:
    vector = ag.tensor(np.array([1.0, value]), "sv")
    with pytest.raises(ChipError, match="vals of A has values that int16 does not hold: scale them"):
        compiled("y(i) = A(i)", replace(FABRIC, values="int16"), A=vector).simulate(simulate=step)


@pytest.mark.parametrize(
    "text", ["y(i) = A(i) * A(i)", "y = A(i)", "y(i) = A(i) * 200", "y(i) = 1 / (A(i) - 30000)"]
)
def test_results_that_int16_does_not_hold(text: str) -> None:
    vector = ag.tensor(np.array([30_000.0, 30_000.0]), "sv")
    chip = compiled(text, replace(FABRIC, values="int16"), A=vector)
    with pytest.raises(
        FaultError, match=r"cycle \d+: \w+ \(\w+\) stops: a result is out of range for int16"
    ) as caught:
        chip.simulate(simulate=step)
    assert caught.value.fault is Fault.OVERFLOW


# --- operands --------------------------------------------------------------------------------------------


def broken(**changes: Any) -> ag.Tensor:
    """A matrix in csr whose arrays do not belong together."""
    storage = sparse(4, 4).storage
    pos, crd = storage.levels[1]
    levels = ((), (changes.get("pos", pos), changes.get("crd", crd)))
    return ag.Tensor(replace(storage, levels=levels, values=changes.get("values", storage.values)))


def with_last(array: Any, value: int) -> Any:
    return np.append(array[:-1], value).astype(array.dtype)


@pytest.mark.parametrize(
    ("changes", "fault", "words"),
    [
        ({"crd": 99}, Fault.COORDINATE, "coordinate 99 is outside the extent it is set to"),
        ({"pos": 99}, Fault.SPAN, "pos and crd do not belong together"),
        ({"values": 1}, Fault.REFERENCE, "reference 1 is outside its array"),
    ],
)
def test_references_out_of_range(changes: dict[str, int], fault: Fault, words: str) -> None:
    storage = sparse(4, 4).storage
    arrays = {
        "pos": with_last(storage.levels[1][0], 99),
        "crd": with_last(storage.levels[1][1], 99),
        "values": storage.values[:1],
    }
    wrong = broken(**{name: arrays[name] for name in changes})
    for array in (step, simulate):
        chip = compiled(PRODUCT, order="ikj", B=wrong, C=np.ones((4, 4)))
        with pytest.raises(FaultError, match=words) as caught:
            chip.simulate(simulate=array)
        assert caught.value.fault is fault


def test_operands_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="index 'k' is 4 in mode 1 of B, but 5 in mode 0 of C"):
        compiled(PRODUCT, B=sparse(4, 4), C=sparse(5, 4))
    with pytest.raises(InputError, match="there is no fabric 'onyx-lik': did you mean 'onyx-like'"):
        compiled(PRODUCT, "onyx-lik", B=sparse(4, 4), C=sparse(4, 4))


# --- configurations --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chip() -> CompiledChip:
    return compiled("x(i) = B(i,j) * c(j)", B=sparse(4, 4), c=np.arange(4.0))


def run_with(chip: CompiledChip, words: Sequence[int]) -> ChipRun:
    """The same program with other words."""
    program = replace(chip.program, words=tuple(words))
    part = replace(chip.parts[0], translated=replace(chip.translated, program=program))
    other = replace(chip, parts=(part,))
    return other.simulate(simulate=BRIEF)


def test_a_configuration_cut_off_anywhere_is_refused(chip: CompiledChip) -> None:
    words = chip.configuration()
    for length in range(0, len(words), 7):
        with pytest.raises(ChipError, match=r"truncated|within its header"):
            run_with(chip, words[:length])
    with pytest.raises(ChipError, match="something follows it"):
        run_with(chip, (*words, 0))


def test_a_configuration_of_another_fabric_is_refused(chip: CompiledChip) -> None:
    other = compiled(
        "x(i) = B(i,j) * c(j)", replace(FABRIC, memory_words=1024), B=sparse(4, 4), c=np.arange(4.0)
    )
    with pytest.raises(ChipError, match=r"words 2 and 3 are the fingerprint .* made for another fabric"):
        run_with(chip, other.configuration())


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_configuration_is_refused(chip: CompiledChip, data: st.DataObject) -> None:
    words = list(chip.configuration())
    at = data.draw(st.integers(0, len(words) - 1))
    words[at] ^= 1 << data.draw(st.integers(0, 31))
    with pytest.raises(ChipError, match=r"configuration words? \d+"):
        run_with(chip, words)


def meddled(chip: CompiledChip, data: st.DataObject) -> None:
    """Some bits are others, and the checksum is right: whatever comes of it, it is a run or a ChipError."""
    words = list(chip.configuration())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(6, len(words) - 2))
        words[at] ^= 1 << data.draw(st.integers(0, 31))
    words[-1] = checksum(words[:-1])
    with suppress(ChipError):
        run_with(chip, words)


def test_a_result_of_which_less_is_written_is_refused(chip: CompiledChip) -> None:
    """Found by drawing thousands of wrong words."""
    words = list(chip.configuration())
    words[115] ^= 2
    words[-1] = checksum(words[:-1])
    with pytest.raises(
        ChipError, match=r"wrote 0 values of a dense piece .* that has 4: it was not configured"
    ):
        run_with(chip, words)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wrong_words_with_a_right_checksum(chip: CompiledChip, data: st.DataObject) -> None:
    meddled(chip, data)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(data=st.data())
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_wrong_words_with_a_right_checksum(chip: CompiledChip, data: st.DataObject) -> None:
    meddled(chip, data)
