"""The error bars of compute-optimal planning: Epoch's fit done again, on bootstrap samples of its points.

    python benchmarks/scaling_law.py svg_extracted_data.csv [samples]

The points are Hoffmann's, as read off a figure by Besiroglu et al. (arXiv:2404.10102) and published at
github.com/Besiroglu/data; this project does not hold them. As there, the five of fewest tokens per parameter
are left out, and the logarithm of the loss is fitted under Huber's loss with delta 1e-3. Found are the
standard error of the best size's logarithm as a function of the budget, sqrt(least^2 + (exponent ln(C /
flop))^2), and how well that form holds. Needs SciPy. About 20 s for 1,500 samples on one core.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aerogel.carbon.plan.compute_optimal import EPOCH

RESULT = Path(__file__).parent / "results" / "scaling_law.json"
DELTA = 1e-3
LEFT_OUT = 5
BUDGETS = (1e20, 1e21, 1e22, 5.76e23, 1e25, 1e26)
Array = NDArray[np.float64]


def read(path: Path) -> tuple[Array, Array, Array]:
    """Parameters, tokens and loss of each point that is kept."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [
            (float(r["Model Size"]), float(r["Training FLOP"]), float(r["loss"]))
            for r in csv.DictReader(file)
        ]
    size, flop, loss = np.array(rows).T
    tokens = flop / 6 / size
    kept = np.argsort(tokens / size)[LEFT_OUT:]
    return size[kept], tokens[kept], loss[kept]


def fitted(size: Array, tokens: Array, loss: Array, start: Array) -> Array:
    """ln A, ln B, ln E, a, b of least Huber loss."""
    log_size, log_tokens, log_loss = np.log(size), np.log(tokens), np.log(loss)

    def of(point: Array) -> tuple[float, Array]:
        a, b, e, by_size, by_tokens = point
        terms = np.stack([a - by_size * log_size, b - by_tokens * log_tokens, np.full_like(log_size, e)])
        weights = np.exp(terms - terms.max(0))
        off = terms.max(0) + np.log(weights.sum(0)) - log_loss
        weights /= weights.sum(0)
        near = np.abs(off) <= DELTA
        slope = np.where(near, off, DELTA * np.sign(off)) * weights
        total = np.where(near, off**2 / 2, DELTA * (np.abs(off) - DELTA / 2)).sum()
        gradient = [slope[0], slope[1], slope[2], -slope[0] * log_size, -slope[1] * log_tokens]
        # The loss is tiny: scaled, or the optimiser stops before it has begun.
        return 1e4 * total, 1e4 * np.array([g.sum() for g in gradient])

    return np.asarray(minimize(of, start, jac=True, method="BFGS", options={"maxiter": 2000, "gtol": 1e-6}).x)


def log_size_at(points: Array) -> tuple[Array, Array]:
    """ln G and the exponent of C / 6: the logarithm of the best size is their line."""
    a, b, _, by_size, by_tokens = points.T
    both = by_size + by_tokens
    return (np.log(by_size) + a - np.log(by_tokens) - b) / both, by_tokens / both


def main(path: Path, samples: int) -> None:
    points = read(path)
    published = np.array([482.01, 2085.43, EPOCH.irreducible, EPOCH.size_exponent, EPOCH.data_exponent])
    start = np.concatenate([np.log(published[:3]), published[3:]])
    whole = fitted(*points, start)
    rng = np.random.default_rng(0)
    count = len(points[0])
    picked = [rng.integers(0, count, count) for _ in range(samples)]
    found = np.array([fitted(*(p[i] for p in points), whole) for i in picked])
    level, exponent = log_size_at(found)
    spread = np.cov(level, exponent)
    pivot = -spread[0, 1] / spread[1, 1]
    least = float(np.sqrt(spread[0, 0] - spread[0, 1] ** 2 / spread[1, 1]))
    result = {
        "points": count,
        "samples": samples,
        "fit": _constants(whole),
        "standard_errors": _errors(found),
        "flop": float(6 * np.exp(pivot)),
        "least": least,
        "exponent": float(np.sqrt(spread[1, 1])),
        "percentiles_5_95": {f"{c:g}": _percentiles(level, exponent, c) for c in BUDGETS},
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def _constants(point: Array) -> dict[str, float]:
    a, b, e, by_size, by_tokens = map(float, point)
    return {"A": np.exp(a), "B": np.exp(b), "E": np.exp(e), "a": by_size, "b": by_tokens}


def _errors(found: Array) -> dict[str, Any]:
    spread = {name: float(np.std(v)) for name, v in zip("ABE", np.exp(found[:, :3]).T, strict=True)}
    together = np.corrcoef(found.T)
    return spread | {
        "a": float(found[:, 3].std()),
        "b": float(found[:, 4].std()),
        "correlation_A_a": float(together[0, 3]),
        "correlation_B_b": float(together[1, 4]),
    }


def _percentiles(level: Array, exponent: Array, flop: float) -> list[float]:
    return [float(x) for x in np.percentile(np.exp(level + exponent * np.log(flop / 6)), [5, 95])]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1500)
