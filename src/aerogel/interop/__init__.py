"""torch: gradients through sparse computations, which the same compiler computes.

    y = interop.einsum("ij,jk->ik", A, X)      # A: sparse, X: a torch tensor that requires a gradient
    y.sum().backward()

``einsum`` and ``evaluate`` are those of ``aerogel`` for torch tensors: what comes out is a torch tensor, or a
``Sparse``, whose values are one. The gradient of a sparse operand is computed where it stores something, and
nowhere else.
"""

from __future__ import annotations

import importlib.util

from aerogel.core.errors import MissingDependencyError, require

require(
    importlib.util.find_spec("torch") is not None,
    MissingDependencyError,
    "aerogel.interop follows gradients with torch, which is not installed: pip install 'aerogel[torch]'",
)

from aerogel.interop.entry import einsum, evaluate, spmm  # noqa: E402
from aerogel.interop.linear import SparseLinear  # noqa: E402
from aerogel.interop.sparse import Sparse, sparse  # noqa: E402

__all__ = ["Sparse", "SparseLinear", "einsum", "evaluate", "sparse", "spmm"]
