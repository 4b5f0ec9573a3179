"""A tensor as a sum of few rank-one tensors (CP), fitted by alternating least squares.

    python examples/cp_als.py [TENSOR.tns] [--rank 16] [--sweeps 20]

``X(i,j,k)`` is approximated by ``sum(r, A(i,r) * B(j,r) * C(k,r))``. Each sweep solves for one factor after
the other. All the work is in the product of the sparse tensor with the two other factors, MTTKRP:
``M(i,r) = X(i,j,k) * B(j,r) * C(k,r)``, one fused loop over what is stored. How much of X is explained
follows from what is at hand; at the end it is checked against the dense tensor. Without an argument: umls in
../shared/data, which relates medical concepts to each other, or a tensor made up here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import aerogel as ag

TENSOR = Path(__file__).parents[2] / "shared" / "data" / "tensors" / "umls.tns"
Factors = list[NDArray[np.float64]]
MTTKRP = (
    "M(i,r) = X(i,j,k) * B(j,r) * C(k,r)",
    "M(j,r) = X(i,j,k) * A(i,r) * C(k,r)",
    "M(k,r) = X(i,j,k) * A(i,r) * B(j,r)",
)


def made_up() -> ag.Tensor:
    """Four blocks of ones, a tenth of it noise: rank 4, nearly."""
    rng = np.random.default_rng(0)
    x = np.zeros((40, 30, 20))
    for _ in range(4):
        x[np.ix_(*(rng.choice(n, n // 3, replace=False) for n in x.shape))] = 1
    return ag.tensor(np.where(rng.random(x.shape) < 0.1, 0.0, x), "csf")


def fit(x: ag.Tensor, rank: int, sweeps: int) -> tuple[Factors, list[float]]:
    """The factors, and after each sweep what part of x they explain: 1 - |x - approximation| / |x|."""
    rng = np.random.default_rng(0)
    factors: Factors = [rng.random((size, rank)) for size in x.shape]
    square = float(ag.evaluate("s = X(i,j,k) * X(i,j,k)", X=x))
    fits: list[float] = []
    for _ in range(sweeps):
        for mode, text in enumerate(MTTKRP):
            others = [m for m in range(3) if m != mode]
            product = ag.evaluate(text, X=x, out_format="dense", **{"ABC"[m]: factors[m] for m in others})
            gram = np.prod([factors[m].T @ factors[m] for m in others], axis=0)
            factors[mode] = product @ np.linalg.pinv(gram)
        # |x - a|^2 = |x|^2 - 2 x.a + |a|^2, of which x.a is in the last product.
        norm = np.prod([f.T @ f for f in factors], axis=0).sum()
        left = square - 2 * (product * factors[2]).sum() + norm
        fits.append(1 - np.sqrt(max(left, 0.0) / square))
    return factors, fits


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("tensor", nargs="?", type=Path, help="a tensor of three modes")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--sweeps", type=int, default=20)
    given = parser.parse_args(arguments)
    path = given.tensor or TENSOR
    try:
        x = ag.read(path) if given.tensor or path.exists() else made_up()
    except ag.AerogelError as error:
        print(error, file=sys.stderr)
        return 2
    began = perf_counter()
    factors, fits = fit(x, given.rank, given.sweeps)
    seconds = perf_counter() - began
    print(f"{' x '.join(map(str, x.shape))}, {x.nnz} stored, rank {given.rank}: {seconds:.2f} s")
    print("sweep  explained")
    for sweep in sorted({1, 2, 5, 10, given.sweeps} & set(range(1, given.sweeps + 1))):
        print(f"{sweep:5d} {fits[sweep - 1]:9.2%}")

    if x.size > 10_000_000:
        print("too large to be checked densely")
        return 0
    dense = x.to_numpy()
    found = 1 - np.linalg.norm(dense - np.einsum("ir,jr,kr->ijk", *factors)) / np.linalg.norm(dense)
    print(f"by NumPy, densely: {found:.2%}")
    return 0 if abs(found - fits[-1]) < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
