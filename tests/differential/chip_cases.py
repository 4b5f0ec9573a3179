"""Expressions for the chip, operands for them, and every way to compute them against the einsum interpreter.

Two machines compute each: the interpreter of dataflow graphs, and the whole way down: placed, routed, as
configuration words on the emulated device, whose array the simulator in machine code runs. Values are small
whole numbers and the fabric computes in float64, so that both must give the interpreter's numbers exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.chip.graph import cases
from tests.differential.einsum_cases import formats, spread

import aerogel as ag
from aerogel.chip.entry import ChipRun
from aerogel.chip.fabric.read import load
from aerogel.chip.graph.build import Plan, build, run
from aerogel.convert.pack import pack
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Access, accesses
from aerogel.einsum.parse import parse
from aerogel.formats.storage import Storage, check
from aerogel.tensor.tensor import Tensor

Array = NDArray[Any]
Order = tuple[str, ...]
Formats = Mapping[str, str]
EXACT = replace(load("onyx-like"), name="exact", values="f64")
"""The default fabric, but for arithmetic that rounds nothing away."""

EXPRESSIONS = {
    **cases.EXPRESSIONS,
    "SpM*SpV": "x(i) = B(i,j) * c(j)",
    "chain": "X(i,l) = B(i,j) * C(j,k) * D(k,l)",
    "fused residual": "X(i,j) = B(i,j) - C(i,k) * D(k,j)",
    "layer": "X(i,j) = relu(B(i,k) * C(k,j) + b(j))",
    "two products": "x(i) = B(i,j) * c(j) + D(i,k) * e(k)",
    "sum times": "X(i,j) = (B(i,j) + C(i,j)) * D(i,j)",
    "transposed": "X(i,j) = B(i,j) * B(j,i)",
    "twice": "X(i,j) = B(i,j) * B(i,j) + B(i,j)",
    "outer": "X(i,j) = b(i) * c(j)",
    "exp": "x(i) = exp(B(i,j)) * c(j)",
    "max": "X(i,j) = max(B(i,j), C(i,j))",
    "row max": "x(i) = reduce_max(j, B(i,j))",
    "row softmax": "X(i,j) = exp(B(i,j) - reduce_max(k, B(i,k)))"
    " / sum(l, exp(B(i,l) - reduce_max(k, B(i,k))))",
}
"""Those of the sparse abstract machine's evaluation, fused chains, and layers of networks."""
ROUNDED = ("exp", "row softmax")
"""Where a function is not exact: the chip has an exponential of its own, within 2 units of the last place."""


def accessed(text: str) -> dict[str, Access]:
    """How each tensor that is no scalar is accessed first."""
    found: dict[str, Access] = {}
    for access in accesses(parse(text).expr):
        if access.indices:
            found.setdefault(access.tensor, access)
    return found


def kinds_of(text: str) -> Iterator[dict[str, tuple[str, ...]]]:
    """Dense or compressed for every level of every operand: all combinations."""
    tensors = accessed(text)
    ways = [list(product(("dense", "compressed"), repeat=len(a.indices))) for a in tensors.values()]
    for chosen in product(*ways):
        yield dict(zip(tensors, chosen, strict=True))


def spelt(text: str, kinds: Mapping[str, tuple[str, ...]], order: Order) -> dict[str, str]:
    """Formats whose modes come in the order of loops: no operand is converted on its way to the graph."""
    found: dict[str, str] = {}
    for name, levels in kinds.items():
        indices = accessed(text)[name].indices
        modes = sorted(range(len(indices)), key=lambda mode: order.index(indices[mode]))
        found[name] = f"{','.join(levels)}@{','.join(map(str, modes))}"
    return found


def orders(name: str) -> list[Order]:
    return cases.orders(EXPRESSIONS[name])


# --- ways to compute -------------------------------------------------------------------------------------


def wanted(text: str, operands: Mapping[str, Any], plan: Plan) -> Array:
    """By the interpreter of einsums, on what is stored in the formats that the graph takes."""
    stored = plan.stored(operands)
    taken = {wanted.source: stored[name] for name, wanted in plan.operands.items() if not wanted.along}
    found = {name: spread(storage, 0) for name, storage in taken.items()}
    arrays = {name: array for name, (array, _) in found.items()}
    with np.errstate(all="ignore"):
        return np.asarray(interpret(parse(text), arrays, {name: mask for name, (_, mask) in found.items()}))


def by_graph(plan: Plan, operands: Mapping[str, Any]) -> Array:
    """By the interpreter of graphs, which knows no time."""
    return cases.dense(check(run(plan, operands), "the result"))


def on_chip(text: str, operands: Mapping[str, Any], order: Order | None, **options: Any) -> ChipRun:
    """The whole way: words decoded by the device, and its array simulated."""
    settings: dict[str, Any] = {"fabric": EXACT, "copies": 1} | options
    return ag.chip.compile(text, order=order, **settings, **operands).simulate()


def array_of(run: ChipRun) -> Array:
    return run.output.to_numpy() if isinstance(run.output, Tensor) else np.asarray(run.output)


def agree(got: Array, want: Array, what: str, *, rounded: bool = False) -> None:
    """Equal, number for number; to a few units of the last place where a function is ``rounded``."""
    assert got.shape == want.shape, (what, got.shape, want.shape)
    np.testing.assert_allclose(
        np.asarray(got, np.float64), want, rtol=1e-14 if rounded else 0, atol=0, equal_nan=True, err_msg=what
    )


def differ(name: str, order: Order, operands: Mapping[str, Any], *, chip: bool = True) -> None:
    """Asserts that the graph, and where asked for the chip, give what the expression means."""
    text = EXPRESSIONS[name]
    plan = build(text, operands, order)
    want = wanted(text, operands, plan)
    forms = {n: t.format.short for n, t in operands.items() if isinstance(t, Tensor)}
    what = f"{text} {''.join(order)} {forms}"
    agree(by_graph(plan, operands), want, f"{what}: graph", rounded=name in ROUNDED)
    if chip:
        agree(array_of(on_chip(text, operands, order)), want, f"{what}: chip", rounded=name in ROUNDED)


# --- operands --------------------------------------------------------------------------------------------


def operands_of(name: str, forms: Formats, rng: np.random.Generator, filled: float = 0.4) -> dict[str, Any]:
    """Whole numbers, some of them negative."""
    arrays = cases.operands(EXPRESSIONS[name], rng, filled)
    signed = {n: a * rng.choice([1.0, 1.0, -1.0], a.shape) for n, a in arrays.items()}
    return cases.stored(signed, forms)


ODD = (0.0, -0.0, 1.0, -1.0, 2.0, -3.0)
SIZES = (0, 1, 1, 2, 3, 5)


def odd_tensor(rng: np.random.Generator, shape: tuple[int, ...], form: str, stored: float) -> Tensor:
    """Zeros of either sign may be stored; rows may be empty, and so may be the tensor."""
    mask = rng.random(shape) < stored
    if len(shape) > 1:
        mask[rng.random(shape[0]) < 0.3] = False
    values = rng.choice(ODD, shape)
    return Tensor(check(_packed(values, mask, shape, form), "operand"))


def _packed(values: Array, mask: NDArray[np.bool_], shape: tuple[int, ...], form: str) -> Storage:
    found = ag.tensor(np.zeros(shape), format=form).format
    if found.dense:
        mask, values = np.ones(shape, np.bool_), np.where(mask, values, 0.0)
    return pack(np.nonzero(mask), values[mask].reshape(-1), shape, found)


@st.composite
def odd_cases(draw: st.DrawFn) -> tuple[str, Order | None, dict[str, Any], dict[str, Any]]:
    """An expression, an order that a graph has, operands, and what else is asked for."""
    name = draw(st.sampled_from(sorted(EXPRESSIONS)))
    text = EXPRESSIONS[name]
    extents = {index: draw(st.sampled_from(SIZES)) for index in "ijkl"}
    if name == "transposed":
        extents["j"] = extents["i"]
    if name == "row softmax":
        extents["k"] = extents["l"] = extents["j"]
    order = draw(st.sampled_from([None, *orders(name)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    operands: dict[str, Any] = {}
    for access in accesses(parse(text).expr):
        shape = tuple(extents[i] for i in access.indices)
        if not shape:
            operands[access.tensor] = np.asarray(rng.choice(ODD))
            continue
        kinds = ",".join(draw(st.tuples(*[st.sampled_from(("dense", "compressed"))] * len(shape))))
        form = f"{kinds}@{','.join(map(str, draw(st.permutations(range(len(shape))))))}"
        stored = draw(st.sampled_from((0.0, 0.3, 0.6, 1.0)))
        operands.setdefault(access.tensor, odd_tensor(rng, shape, form, stored))
    options: dict[str, Any] = {"copies": draw(st.sampled_from((1, 1, 2, None)))}
    rank = len(parse(text).out.indices)
    if rank and draw(st.booleans()):
        options["out_format"] = draw(st.sampled_from(formats(rank)))
    return name, order, operands, options
