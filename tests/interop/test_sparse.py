"""``Sparse``: values in the order of their places, whatever they are made from."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import aerogel as ag  # noqa: E402
from aerogel import interop  # noqa: E402
from aerogel.interop.sparse import aligned  # noqa: E402

DATA = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]])


@pytest.mark.parametrize(
    "form", ["csr", "csc", "coo", "dcsr", "bitmap,bitmap", "dense,bitmap", "bsr:1x3", "dense"]
)
def test_it_is_what_it_was_made_from(form: str) -> None:
    made = interop.sparse(ag.tensor(DATA, form))
    assert (made.to_dense().numpy() == DATA).all()
    assert (made.detach().to_numpy() == DATA).all()
    assert made.shape == (2, 3) and len(made.values) == made.nnz


def test_coordinates_in_any_order() -> None:
    values = torch.tensor([4.0, 2.0, 3.0], requires_grad=True)
    made = interop.sparse((values, ([1, 0, 1], [2, 1, 0])), "csr", shape=(2, 3))
    assert (made.to_dense().detach().numpy() == DATA).all()
    (made.values * torch.arange(1.0, 4.0)).sum().backward()
    assert values.grad.tolist() == [3.0, 1.0, 2.0]
    with pytest.raises(ag.AerogelError):
        interop.sparse((values, ([1, 1, 1], [2, 2, 0])))
    with pytest.raises(ag.AerogelError, match="give one for each"):
        interop.sparse((values, ([1, 1], [2, 0])))
    with pytest.raises(ag.AerogelError, match="stores zeros between values"):
        interop.sparse((values, ([1, 0, 1], [2, 1, 0])), "compressed,dense")


def test_other_values_for_the_same_places() -> None:
    made = interop.sparse(ag.tensor(DATA, "csr"), values=torch.tensor([1.0, 2.0, 3.0]))
    assert made.to_dense().tolist() == [[0, 1, 0], [2, 0, 3]]
    assert [crd.tolist() for crd in made.coordinates()] == [[0, 1, 1], [1, 0, 2]]
    with pytest.raises(ag.AerogelError, match="give a vector of them"):
        made.with_values(torch.ones(4))
    assert "2 x 3, torch.float32, csr, 3 stored" in repr(made)


def test_gradients_flow_through_to_dense() -> None:
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    made = interop.sparse(ag.tensor(DATA, "csr"), values=values)
    (made.to_dense() * torch.from_numpy(DATA)).sum().backward()
    assert values.grad.tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("shape", [(5, 6), (2**40, 2**40)])
def test_values_are_found_again_by_their_places(shape: tuple[int, int]) -> None:
    """A gradient sparser than its operand and in another order; the larger shape overflows 64 bits."""
    wanted = ag.tensor((np.ones(4), ([0, 1, 1, 3], [2, 0, 4, 1])), "dcsr", shape=shape)
    have = ag.tensor((np.ones(2), ([3, 1], [1, 4])), "dcsc", shape=shape)
    found = aligned(torch.tensor([7.0, 8.0]), have.storage, wanted.storage)
    assert found.tolist() == [0.0, 0.0, 8.0, 7.0]


def test_values_that_torch_holds_are_not_made_read_only() -> None:
    made = interop.sparse(ag.tensor(DATA, "csr"))
    interop.spmm(made, torch.ones(3))
    made.values.mul_(2)
    assert (made.to_dense().numpy() == 2 * DATA).all()
