"""Programs whose linear layers are 8-bit integers, against the slow interpreter of their graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.graphs import Draft, as_dict, quick, rows_of, tokens

import aerogel
from aerogel.core.errors import InputError
from aerogel.core.target import available
from aerogel.formats.canonical import Encoded
from aerogel.model.from_torch import from_torch
from aerogel.model.graph import Graph
from aerogel.model.quantised import quantised
from aerogel.model.reference import evaluate
from aerogel.model.torch_grid import scales_by_weight


class Mlp(torch.nn.Module):
    def __init__(self, inputs: int = 22, hidden: int = 40) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(inputs, hidden), torch.nn.Linear(hidden, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.nn.functional.gelu(self.first(x)))


def rows(count: int = 9, inputs: int = 22) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((count, inputs)).astype(np.float32))


def bert() -> torch.nn.Module:
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    config = transformers.BertConfig(**sizes, vocab_size=100, max_position_embeddings=40)
    return transformers.BertModel(config, add_pooling_layer=False).eval()


def near(found: np.ndarray, wanted: np.ndarray, share: float) -> None:
    """Off by at most that share of the largest number."""
    assert np.abs(found - wanted).max() <= share * np.abs(wanted).max()


def test_an_mlp_is_what_the_slow_interpreter_says() -> None:
    module, x = Mlp(), rows()
    graph = quantised(from_torch(module, (x,)))
    program = aerogel.compile(module, (x,), precision="int8")
    (wanted,) = evaluate(graph, {"x": x.numpy()}).values()
    # An element may round to the next step where float32 and float64 differ.
    near(program(x).numpy(), wanted, 2e-3)
    near(program(x).numpy(), module(x).detach().numpy(), 0.03)
    assert np.abs(program(x).numpy() - module(x).detach().numpy()).max() > 0


def test_an_encoder_with_sequences_of_unequal_length() -> None:
    module = bert()
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 100, (3, 20))
    mask = (np.arange(20) < np.array([[20], [7], [1]])).astype(np.int64)
    example = (torch.from_numpy(ids), torch.from_numpy(mask))
    program = aerogel.compile(module, example, precision="int8")
    found = program(ids, mask)
    with torch.no_grad():
        wanted = module(*example).last_hidden_state.numpy() * mask[..., None]
    (found,) = found.values() if isinstance(found, dict) else (found,)
    near(np.asarray(found), wanted, 0.1)
    assert np.corrcoef(np.asarray(found).ravel(), wanted.ravel())[0, 1] > 0.999


def test_the_same_bits_alone_and_in_a_batch_at_any_number_of_threads() -> None:
    x = rows(40)
    program = aerogel.compile(Mlp(), (x,), precision="int8", plan="quick")
    whole = program(x, threads=1).numpy()
    np.testing.assert_array_equal(program(x, threads=2).numpy(), whole)
    np.testing.assert_array_equal(np.concatenate([program(r[None]).numpy() for r in x]), whole)


def encoder() -> Graph:
    """Attention, norms, gelu, tanh: whatever stands between products of integers."""
    d = Draft()
    x = d.norm(d.embedding(24))
    x = d.norm(d.add(d.linear(d.attend(x), 24), x))
    x = d.norm(d.add(d.linear(d.activation(d.linear(x, 37)), 24), x))
    return quantised(d.graph(x, d.activation(d.linear(d.pool(x), 5), "tanh")))


def small() -> Graph:
    d = rows_of(22)
    return quantised(d.graph(d.linear(d.activation(d.linear("x", 37)), 5)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", [small, pytest.param(encoder, marks=pytest.mark.slow)])
def test_every_cpu_gives_the_same_bits_at_any_number_of_threads(
    make: Callable[[], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the dot product of bytes and without, in vectors of 4, 8 and 16; sums of integers are exact."""
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    graph = make()
    inputs = tokens((7, 3, 12)) if make is encoder else {"x": rows(21).numpy()}
    first = None
    for target in available():
        program = quick(graph, target)
        for threads in (1, 2, 3):
            results = as_dict(graph, program(**inputs, threads=threads))
            found = [array.view(np.uint32) for array in results.values()]
            first = found if first is None else first
            for a, b in zip(found, first, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{target.name}, {threads} threads")


def test_activations_next_to_infinity_are_never_wrong_numbers() -> None:
    """A sum beyond float32 before its row's scale is infinite; in the next layer it makes its row NaN."""
    program, x = quick(quantised(from_torch(Mlp(), (rows(),)))), rows(6)
    clean = program(x).numpy()
    for number in (3e38, -3e38, 1e36):
        huge = x.clone()
        huge[4] = number
        found, wanted = program(huge).numpy(), Mlp()(huge).detach().numpy()
        assert not np.isfinite(found[4]).all() or np.allclose(found[4], wanted[4], rtol=0.05)
        np.testing.assert_array_equal(np.delete(found, 4, 0), np.delete(clean, 4, 0))
    mixed = x.clone()
    mixed[4, ::2], mixed[4, 1::2] = 1e30, 1e-45
    zeroed = mixed.clone()
    zeroed[4, 1::2] = 0
    np.testing.assert_array_equal(program(mixed).numpy(), program(zeroed).numpy())


def test_a_grid_chosen_before_is_taken_over_exactly() -> None:
    module = Mlp()
    rng = np.random.default_rng(0)
    integers = rng.integers(-90, 91, (40, 22))
    scale = (0.01 * rng.random(40) + 0.001).astype(np.float32)
    module.first.weight.data = torch.from_numpy(integers.astype(np.float32) * scale[:, None])
    module.first.register_buffer("weight_scale", torch.from_numpy(scale))
    graph = from_torch(module, (rows(),))
    kept = quantised(graph, scales_by_weight(module))
    np.testing.assert_array_equal(kept.weight("first.weight"), graph.weight("first.weight"))
    assert not np.array_equal(quantised(graph).weight("first.weight"), graph.weight("first.weight"))


def test_a_grid_that_no_longer_fits_is_not_used() -> None:
    module = Mlp()
    module.first.register_buffer("weight_scale", torch.full((40,), 0.5))
    graph = from_torch(module, (rows(),))
    kept = quantised(graph, scales_by_weight(module))
    np.testing.assert_array_equal(kept.weight("first.weight"), quantised(graph).weight("first.weight"))


@pytest.mark.parametrize(
    "scale",
    [
        torch.full((40,), float("nan")),
        torch.full((40,), float("inf")),
        torch.full((40,), -0.1),
        torch.zeros(40),
        torch.full((40,), 1e-45),
        torch.full((40,), 1e300, dtype=torch.float64),
        torch.full((40,), 0.5, dtype=torch.bfloat16),
        torch.ones(40, dtype=torch.complex64),
        torch.ones(40, dtype=torch.bool),
        torch.ones(39),
        torch.ones(40, 1),
        torch.tensor(1.0),
        torch.ones(0),
    ],
)
def test_what_is_called_a_scale_and_is_none_changes_nothing(scale: torch.Tensor) -> None:
    module = Mlp()
    module.first.register_buffer("weight_scale", scale)
    assert scales_by_weight(module) == {}
    found, wanted = quantised(of_mlp(), as_given(scale)), quantised(of_mlp())
    np.testing.assert_array_equal(found.weight("first.weight"), wanted.weight("first.weight"))


@cache
def of_mlp() -> Graph:
    return from_torch(Mlp(), (rows(),))


def as_given(scale: torch.Tensor) -> dict[str, np.ndarray]:
    return {"first.weight": (scale.float() if scale.dtype == torch.bfloat16 else scale.real).numpy()}


def test_weights_next_to_infinity_are_refused_by_name_and_those_below_are_close() -> None:
    module, x = Mlp(), rows()
    x[:, 3] = 0
    clean = aerogel.compile(module, (x,), precision="int8", plan="quick")(x).numpy()
    with torch.no_grad():
        module.first.weight[2, 3] = 3e38
    found = aerogel.compile(module, (x,), precision="int8", plan="quick")(x).numpy()
    # Beside such a number the rest of its row counts as zero.
    module.first.weight.data[2] = 0
    wanted = aerogel.compile(module, (x,), precision="int8", plan="quick")(x).numpy()
    near(found, wanted, 1e-6)
    assert np.abs(wanted - clean).max() > 0
    module.first.weight.data[2, 3] = -3.4e38
    with pytest.raises(InputError, match=r"weight 'first.weight': a number reaches 3.4e\+38"):
        aerogel.compile(module, (x,), precision="int8", plan="quick")


def test_a_file_gives_the_same_program_again(tmp_path: Path) -> None:
    module, x = Mlp(64, 256), rows(5, 64)
    program = aerogel.compile(module, (x,), precision="int8")
    program.save(tmp_path / "int8.aero")
    aerogel.compile(module, (x,)).save(tmp_path / "fp32.aero")
    again = aerogel.load(tmp_path / "int8.aero")
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(program(x)))
    cached = aerogel.load(tmp_path / "int8.aero")
    np.testing.assert_array_equal(np.asarray(cached(x)), np.asarray(program(x)))
    sizes = [(tmp_path / name).stat().st_size for name in ("int8.aero", "fp32.aero")]
    assert sizes[0] < 0.4 * sizes[1]


def test_zeros_in_words_make_the_file_smaller_still(tmp_path: Path) -> None:
    module, x = Mlp(64, 512), rows(5, 64)
    live = np.random.default_rng(0).random((512, 16)) < 0.2
    module.first.weight.data *= torch.from_numpy(live.repeat(4, axis=1))
    program = aerogel.compile(module, (x,), precision="int8")
    weight = program.built.graph.weights["first.weight"]
    assert isinstance(weight, Encoded)
    assert weight.encoding == "words8"
    (wanted,) = evaluate(program.built.graph, {"x": x.numpy()}).values()
    near(program(x).numpy(), wanted, 2e-3)


def test_explain_knows_integers() -> None:
    x = rows()
    program = aerogel.compile(Mlp(), (x,), precision="int8")
    kernels = [step.kernel for step in program.explain(x.numpy()).steps]
    assert "quantise" in kernels
    assert "linear int8 dense" in kernels


def test_a_weight_that_is_not_finite_is_refused() -> None:
    module = Mlp()
    module.last.weight.data[2, 3] = float("nan")
    with pytest.raises(InputError, match=r"last.weight. holds 1 NaN or infinite"):
        aerogel.compile(module, (rows(),), precision="int8")


def test_numbers_that_are_not_finite_spoil_their_own_row() -> None:
    x = rows(6)
    program = aerogel.compile(Mlp(), (x,), precision="int8")
    clean = program(x).numpy()
    x[2, 5] = float("inf")
    found = program(x).numpy()
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(clean, 2, 0))
