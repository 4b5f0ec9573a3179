"""``SparseLinear``: a layer that stores, multiplies and trains only the weights it has."""

from __future__ import annotations

import math
from typing import Any, cast

import torch

from aerogel.core.errors import InputError, require
from aerogel.interop.entry import einsum
from aerogel.interop.sparse import Sparse, sparse


class SparseLinear(torch.nn.Module):
    """``torch.nn.Linear`` with the weights of ``pattern`` (outputs x inputs) alone: ``values`` is trained.

    ``pattern``: anything ``sparse`` takes, such as a mask, a matrix of SciPy or an ``aerogel.Tensor``; what
    it stores is where weights are, explicit zeros among them. Of a dense array that is what is not zero.
    Weights start as those of ``torch.nn.Linear`` do, for as many inputs as an output has on average.
    """

    def __init__(self, pattern: Any, *, bias: bool = True, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.pattern = _matrix(pattern).pattern
        self.out_features, self.in_features = self.pattern.shape
        inputs = max(1.0, self.pattern.nnz / max(1, self.out_features))
        self.values = torch.nn.Parameter(torch.empty(self.pattern.nnz, dtype=dtype))
        start = torch.nn.Parameter(torch.empty(self.out_features, dtype=dtype)) if bias else None
        self.bias: torch.nn.Parameter | None = start
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))

    @classmethod
    def of(cls, linear: torch.nn.Linear) -> SparseLinear:
        """The same layer, of which the weights that are zero are left out."""
        weight = _matrix(linear.weight.detach())
        # None where the layer has none, whatever torch's annotation says.
        bias = cast("torch.Tensor | None", linear.bias)
        made = cls(weight.pattern, bias=bias is not None, dtype=linear.weight.dtype)
        with torch.no_grad():
            made.values.copy_(weight.values)
            if made.bias is not None and bias is not None:
                made.bias.copy_(bias)
        return made

    @property
    def weight(self) -> Sparse:
        return Sparse(self.pattern, self.values)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require(
            x.shape[-1] == self.in_features,
            InputError,
            f"x has shape {tuple(x.shape)}, but the layer takes {self.in_features} numbers each",
        )
        rows = x.reshape(-1, self.in_features)
        found = einsum("bi,oi->bo", rows, self.weight, out_format="dense")
        assert isinstance(found, torch.Tensor)
        found = found if self.bias is None else found + self.bias
        return found.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """What ``print`` shows between the parentheses."""
        share = self.pattern.density
        return f"in_features={self.in_features}, out_features={self.out_features}, density={share:.3g}"


def _matrix(x: Any) -> Sparse:
    made = sparse(x)
    made = sparse(made.detach(), "csr") if made.pattern.format.dense else made
    require(len(made.shape) == 2, InputError, f"a layer's weights are a matrix, not of shape {made.shape}")
    return made
