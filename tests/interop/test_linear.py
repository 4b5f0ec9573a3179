"""``SparseLinear`` is ``torch.nn.Linear`` with the weights it has."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import aerogel as ag  # noqa: E402
from aerogel import interop  # noqa: E402


def pruned(inputs: int, outputs: int, *, bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(0)
    linear = torch.nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        linear.weight.mul_(torch.rand(outputs, inputs) < 0.3)
    return linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(), (7,), (2, 7)])
def test_it_computes_and_learns_what_the_dense_layer_does(bias: bool, shape: tuple[int, ...]) -> None:
    linear = pruned(6, 5, bias=bias)
    layer = interop.SparseLinear.of(linear)
    x = torch.randn(*shape, 6)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.testing.assert_close(layer(ours), linear(theirs))
    (layer(ours) ** 2).sum().backward()
    (linear(theirs) ** 2).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(layer.values.grad, linear.weight.grad[layer.weight.coordinates()])
    if bias:
        torch.testing.assert_close(layer.bias.grad, linear.bias.grad)


def test_it_trains_and_keeps_its_pattern() -> None:
    torch.manual_seed(0)
    mask = np.random.default_rng(0).random((4, 8)) < 0.5
    layer = interop.SparseLinear(ag.tensor(mask.astype(np.float32), "csr"))
    assert layer.values.shape == (int(mask.sum()),)
    x = torch.randn(64, 8)
    wanted = x @ torch.from_numpy(np.where(mask, 1.0, 0.0).astype(np.float32)).T
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((layer(x) - wanted) ** 2).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3
    torch.testing.assert_close(layer.weight.to_dense() != 0, torch.from_numpy(mask))


def test_its_state_is_saved() -> None:
    layer = interop.SparseLinear.of(pruned(6, 5))
    assert set(layer.state_dict()) == {"values", "bias"}
    again = interop.SparseLinear(layer.pattern)
    again.load_state_dict(layer.state_dict())
    x = torch.randn(3, 6)
    torch.testing.assert_close(again(x), layer(x))
    assert "in_features=6, out_features=5" in repr(layer)


def test_a_wrong_shape_is_told() -> None:
    layer = interop.SparseLinear(np.eye(3))
    with pytest.raises(ag.AerogelError, match="takes 3 numbers each"):
        layer(torch.ones(2, 4))
    with pytest.raises(ag.AerogelError, match="matrix"):
        interop.SparseLinear(ag.tensor(np.ones((2, 2, 2)), "csf"))
