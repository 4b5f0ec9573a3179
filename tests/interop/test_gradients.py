"""Gradients by the compiler against differences (gradcheck), and against torch on dense tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

import aerogel as ag  # noqa: E402
from aerogel import interop  # noqa: E402

SHAPES = {"i": 4, "j": 5, "k": 3, "l": 4, "r": 2}
FORMATS = {
    1: ("sv", "dense"),
    2: ("csr", "csc", "coo", "dcsr", "bitmap,bitmap", "compressed,dense", "dense"),
    3: ("csf", "coo", "dense,compressed,compressed", "compressed,compressed,compressed@2,0,1"),
}
EINSUMS = (
    "ij,jk->ik", "ji,jk->ki", "ij,j->i", "ij,i->j", "ij,ij->", "ij,ij->ij", "ij->i", "ij->", "ij->ji",
    "i,j->ij", "ii->i", "ii->", "ii,ij->j", "ij,ik,jk->ij", "ikj,jr,kr->ir", "ikj,ir,kr->jr", "ikj,k->ij",
    "ij,jk,kl->il",
)  # fmt: skip


def array(modes: str, rng: np.random.Generator, density: float = 1.0) -> np.ndarray[Any, Any]:
    shape = tuple(SHAPES[i] for i in modes)
    return np.where(rng.random(shape) < density, rng.uniform(0.5, 1.5, shape), 0.0)


def leaf(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def check_einsum(subscripts: str, form: str) -> None:
    """The first operand is sparse; its values and the dense operands require gradients."""
    rng = np.random.default_rng(len(subscripts))
    first, *others = subscripts.partition("->")[0].split(",")
    data = array(first, rng, 0.5)
    dense = [leaf(array(modes, rng)) for modes in others]
    own = interop.sparse(ag.tensor(data, form))
    values = own.values.clone().requires_grad_()

    def call(values: torch.Tensor, *dense: torch.Tensor) -> torch.Tensor:
        found = interop.einsum(subscripts, own.with_values(values), *dense)
        return found.to_dense() if isinstance(found, interop.Sparse) else found

    expected = torch.einsum(subscripts, torch.from_numpy(data), *dense)
    torch.testing.assert_close(call(values, *dense), expected)
    assert gradcheck(call, (values, *dense))


@pytest.mark.parametrize("subscripts", EINSUMS)
def test_an_einsum_with_a_sparse_operand(subscripts: str) -> None:
    rank = len(subscripts.partition("->")[0].split(",")[0])
    check_einsum(subscripts, FORMATS[rank][0])


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij,ik,jk->ij", "ii,ij->j", "ikj,jr,kr->ir"])
def test_an_operand_in_any_format(subscripts: str) -> None:
    for form in FORMATS[len(subscripts.partition(",")[0])][1:]:
        check_einsum(subscripts, form)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_two_sparse_operands_and_a_sparse_result(form: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (interop.sparse(ag.tensor(array(m, rng, 0.4), form)) for m in ("ij", "jk"))

    def call(va: torch.Tensor, vb: torch.Tensor) -> torch.Tensor:
        found = interop.einsum("ij,jk->ik", a.with_values(va), b.with_values(vb), out_format=form)
        assert isinstance(found, interop.Sparse) and found.pattern.format.short == form
        return found.values

    inputs = (a.values.clone().requires_grad_(), b.values.clone().requires_grad_())
    assert gradcheck(call, inputs) and gradgradcheck(call, inputs)


def test_an_operand_given_twice_gets_both_gradients() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    interop.einsum("ij,ij->", x, x).backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_the_second_derivative() -> None:
    a = ag.tensor(array("ij", np.random.default_rng(0), 0.5), "csr")
    x = leaf(array("j", np.random.default_rng(1)))
    assert gradgradcheck(lambda x: interop.evaluate("y(i) = A(i,j) * x(j) * x(j) * x(j)", A=a, x=x), (x,))


NOTATIONS = (
    "y(i) = A(i,j) * x(j) + b(i)",
    "y(i) = b(i) - 2 * A(i,j) * x(j)",
    "y(i) = relu(A(i,j) * x(j) - b(i))",
    "y(i) = exp(A(i,j) * x(j)) * b(i)",
    "y(i) = sum(j, A(i,j) * tanh(x(j))) / b(i)",
    "C(i,j) = A(i,j) * (b(i) + x(j))",
    "C(i,j) = sqrt(A(i,j)) * x(j)",
    "C(i,j) = A(i,j) / sum(k, A(i,k)) + A(i,j)",
    "s = A(i,j) ** 2 * b(i)",
    "y(i) = sigmoid(A(i,j) * A(l,j) * b(l))",
    "y(i) = sum(j, A(i,j) + b(i)) * b(i)",
    "y(i) = max(A(i,j) * x(j), b(i))",
)


@pytest.mark.parametrize("notation", NOTATIONS)
def test_an_expression(notation: str) -> None:
    rng = np.random.default_rng(len(notation))
    a = interop.sparse(ag.tensor(array("ij", rng, 0.5), "csr"))
    given: dict[str, torch.Tensor] = {"A": a.values.clone().requires_grad_()}
    given |= {
        name: leaf(array(modes, rng)) for name, modes in (("x", "j"), ("b", "i")) if f"{name}(" in notation
    }

    def call(*values: torch.Tensor) -> torch.Tensor:
        named: dict[str, Any] = dict(zip(given, values, strict=True))
        found = interop.evaluate(notation, **{**named, "A": a.with_values(named["A"])})
        return found.values if isinstance(found, interop.Sparse) else found

    assert gradcheck(call, tuple(given.values()))


@pytest.mark.parametrize("layout", ["sparse_csr", "sparse_coo"])
def test_a_sparse_tensor_of_torch_gets_its_gradient_in_its_own_layout(layout: str) -> None:
    rng = np.random.default_rng(3)
    data = torch.from_numpy(array("ij", rng, 0.5))
    x = leaf(array("jk", rng))
    with warnings.catch_warnings():
        # That its compressed layouts are young.
        warnings.simplefilter("ignore", UserWarning)
        a = data.to_sparse(layout=getattr(torch, layout)).requires_grad_()
        y = interop.spmm(a, x)
        (y * y).sum().backward()
    assert a.grad is not None and a.grad.layout == a.layout
    dense, other = data.clone().requires_grad_(), x.detach().clone().requires_grad_()
    ((dense @ other) ** 2).sum().backward()
    assert dense.grad is not None
    torch.testing.assert_close(a.grad.to_dense(), torch.where(data != 0, dense.grad, 0.0))
    torch.testing.assert_close(x.grad, other.grad)


def test_float32_stays_float32() -> None:
    a = interop.sparse(ag.tensor(np.eye(3, dtype=np.float32), "csr"))
    values, x = a.values.requires_grad_(), torch.ones(3, 2, requires_grad=True)
    y = interop.spmm(a, x)
    y.sum().backward()
    assert y.dtype == values.grad.dtype == x.grad.dtype == torch.float32


def test_a_gradient_has_the_type_of_its_operand() -> None:
    x = torch.ones(3, requires_grad=True)
    y = interop.spmm(ag.tensor(np.eye(3), "csr"), x)
    assert y.dtype == torch.float64
    y.sum().backward()
    assert x.grad.dtype == torch.float32


def test_constants_of_all_kinds_stay_writable_and_get_no_gradient() -> None:
    rng = np.random.default_rng(0)
    a, x = array("ij", rng), leaf(array("j", rng))
    scipy = pytest.importorskip("scipy.sparse")
    matrix = scipy.csr_array(a)
    for constant in (a, matrix, ag.tensor(a, "csr"), torch.from_numpy(a), torch.from_numpy(a).to_sparse()):
        y = interop.einsum("ij,j->i", constant, x)
        torch.testing.assert_close(y, torch.from_numpy(a) @ x)
        (grad,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(grad, torch.from_numpy(a.sum(0)))
    assert a.flags.writeable and matrix.data.flags.writeable


def test_whole_numbers_are_constants() -> None:
    x = leaf([1.0, 2.0])
    y = interop.einsum("i,i->", torch.tensor([3, 4]), x)
    y.backward()
    assert y.item() == 11 and x.grad.tolist() == [3.0, 4.0]


def test_what_does_not_matter_has_a_gradient_of_zero() -> None:
    x = leaf([1.0, -2.0])
    interop.evaluate("s = sum(i, sign(x(i)))", x=x).backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_an_expanded_upstream_gradient() -> None:
    x = leaf(np.ones((4, 5)))
    interop.einsum("ij->ij", x).sum().backward()
    assert (x.grad == 1).all()


def test_errors_say_what_to_do() -> None:
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(ag.AerogelError, match=r"operand 0 has values of type bfloat16: give it .float\(\)"):
        interop.einsum("i->", x.bfloat16())
    with pytest.raises(ag.AerogelError, match="index 'i' is 3 in mode 0 of t0, but 2"):
        interop.einsum("i,i->", x, torch.ones(2))
    with pytest.raises(ag.AerogelError, match="reduce_max"):
        interop.evaluate("s = reduce_max(i, x(i))", x=x).backward()
    with pytest.raises(ag.AerogelError, match="a matrix or a vector"):
        interop.spmm(np.eye(3), torch.ones(3, 1, 1))
