"""The order of loops that is chosen, against the cycles of every order by the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.chip.graph import cases

import aerogel as ag
from aerogel.chip.firmware.orders import Order
from aerogel.chip.graph.blocks import MatrixReduce, Merge, VectorReduce
from aerogel.chip.graph.build import build
from aerogel.chip.graph.flow import Sample, loads
from aerogel.chip.graph.graph import Port
from aerogel.chip.graph.interpret import interpret

DATA = Path(__file__).parents[4] / "shared" / "data"
WORSE = 1.5
"""Times the cycles of the best order, at the most."""


def _sparse(*shape: int, density: float = 0.1, seed: int = 0) -> ag.Tensor:
    random = np.random.default_rng(seed)
    full = np.where(random.random(shape) < density, random.integers(1, 5, shape), 0)
    return ag.tensor(full.astype(np.float64), "csr" if len(shape) == 2 else "csf")


def _dense(*shape: int) -> Any:
    return np.random.default_rng(1).integers(1, 5, shape).astype(np.float64)


def _cycles(text: str, order: Order | None, operands: dict[str, Any]) -> int:
    return ag.chip.compile(text, order=order, **operands).simulate().cycles


def _checked(text: str, operands: dict[str, Any], most: int) -> None:
    """Of the orders estimated best, and the one estimated worst, none is much better than the chosen one."""
    chip = ag.chip.compile(text, **operands)
    choice = chip.translated.choice
    assert choice is not None
    assert chip.plan.order == choice.best(1)[0]
    others = dict.fromkeys((*choice.best(most)[1:], *list(choice.cycles)[-1:]))
    best = min(_cycles(text, order, operands) for order in others)
    assert chip.simulate().cycles <= WORSE * best


def _naive(nested: Any, depth: int) -> int:
    """Payloads and innermost fibers of a nested list, and the end."""
    fibers = [nested] if depth else [[nested]]
    for _ in range(depth - 1):
        fibers = [item for fiber in fibers for item in fiber]
    return sum(map(len, fibers)) + (len(fibers) if depth else 0) + 1


@pytest.mark.parametrize("text", [*cases.EXPRESSIONS.values(), *cases.MORE])
def test_tokens_are_those_of_the_interpreter(text: str) -> None:
    tensors = cases.stored(cases.operands(text, np.random.default_rng(3)), {})
    plan = build(text, tensors)
    stored = plan.stored(tensors)
    streams = interpret(plan.graph, stored).streams
    found = {load.name: load for load in loads(plan, stored, Sample("", None), 1 << 20)}
    compared = 0
    for at, node in enumerate(plan.graph.nodes):
        if node.name in found and not isinstance(node.block, Merge | VectorReduce | MatrixReduce):
            ports = [*plan.graph.into(at), *(Port(at, port) for port in range(9))]
            told = [_naive(streams[p].nested, streams[p].depth) for p in ports if p in streams]
            assert found[node.name].tokens == max(told), node.name
            compared += 1
    assert compared


def test_a_sample_of_all_alike_counts_what_is_there() -> None:
    tensors = {"A": ag.tensor(np.ones((32, 5)), "csr"), "x": np.ones(5)}
    plan = build("y(i) = A(i,j) * x(j)", tensors, ("i", "j"))
    stored = plan.stored(tensors)
    kept = np.arange(32) < 8
    whole = loads(plan, stored, Sample("i", None), 1 << 20)
    some = loads(plan, stored, Sample("i", kept), 1 << 20)
    assert max(load.tokens for load in whole) == 32 * 5 + 32 + 1
    assert max(load.tokens for load in some) == 4 * (8 * 5 + 8 + 1)


SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "SpM*SpM": ("C(i,k) = A(i,j) * B(j,k)", {"A": _sparse(20, 30), "B": _sparse(30, 25, seed=2)}),
    "TTV": ("X(i,j) = T(i,j,k) * v(k)", {"T": _sparse(12, 9, 10), "v": _dense(10)}),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_operands(name: str) -> None:
    _checked(*SMALL[name], most=2)


def test_what_is_chosen_is_said_and_stays_the_same() -> None:
    text, operands = SMALL["SpM*SpM"]
    chip, again = ag.chip.compile(text, **operands), ag.chip.compile(text, **operands)
    assert chip.translated.choice == again.translated.choice
    assert chip.translated.choice is not None
    assert len(chip.translated.choice.cycles) + chip.translated.choice.refused == 6
    assert f"estimated cycles of orders: {' > '.join(chip.plan.order)} about" in chip.explain()
    assert "estimated" not in ag.chip.compile(text, order="ijk", **operands).explain()


REAL = {
    "SpMV": ("suitesparse/bcsstk13.mtx", "y(i) = A(i,j) * x(j)"),
    "SpMM": ("suitesparse/west0479.mtx", "X(i,r) = A(i,j) * D(j,r)"),
    "SpM*SpM": ("suitesparse/west0479.mtx", "C(i,k) = A(i,j) * A(j,k)"),
    "SDDMM": ("suitesparse/lp_e226.mtx", "X(i,j) = A(i,j) * L(i,r) * D(j,r)"),
    "MMAdd": ("suitesparse/bfwa62.mtx", "X(i,j) = A(i,j) + A(j,i)"),
    "TTV": ("tensors/kinship.tns", "X(i,j) = A(i,j,k) * v(k)"),
    "TTM": ("tensors/umls.tns", "X(i,j,r) = A(i,j,k) * E(k,r)"),
    "TTM of kinship": ("tensors/kinship.tns", "X(i,j,r) = A(i,j,k) * E(k,r)"),
    "MTTKRP": ("tensors/umls.tns", "X(i,r) = A(i,j,k) * D(j,r) * E(k,r)"),
    "InnerProd": ("tensors/umls.tns", "x = A(i,j,k) * A(i,j,k)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_operands(name: str) -> None:
    file, text = REAL[name]
    if not (DATA / file).exists():
        pytest.skip(f"{file} is not in {DATA}")
    tensor = ag.read(DATA / file)
    shape = tensor.shape
    given: dict[str, Any] = {"A": tensor.asformat("csr" if len(shape) == 2 else "csf")}
    made = {"x": shape[1:2], "v": shape[2:], "D": (shape[1], 16), "L": (shape[0], 16), "E": (shape[-1], 16)}
    given |= {key: _dense(*dims) for key, dims in made.items() if f"{key}(" in text}
    _checked(text, given, most=5)
