"""PageRank of a graph in one line of index notation, iterated until it stands still.

    python examples/pagerank.py [GRAPH.mtx]

A page's rank is what a reader who follows links, and starts anew with probability 0.15, spends on it:
``y(i) = 0.85 * A(j,i) * share(j) + rest``. Neither a transposed nor a scaled matrix is ever made: the
notation says which way links are followed, and the compiler walks the matrix as it is stored. The result is
checked against NumPy. Without an argument: the e-mails of Enron in ../shared/data, or a graph made up here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import aerogel as ag

GRAPH = Path(__file__).parents[2] / "shared" / "data" / "graphs" / "email-Enron.mtx"
FOLLOW = 0.85


def made_up(nodes: int = 2000, links: int = 12_000) -> ag.Tensor:
    """A graph in which early nodes are linked to more often."""
    rng = np.random.default_rng(0)
    ends = (rng.integers(0, nodes, links), (nodes * rng.random(links) ** 3).astype(int))
    return ag.tensor((np.ones(links), ends), "csr", shape=(nodes, nodes), duplicates="max")


def pagerank(links: ag.Tensor, tolerance: float = 1e-10) -> tuple[NDArray[np.float64], int]:
    """The rank of every node, which sum to 1, and how many steps it took."""
    nodes = links.shape[0]
    degree = ag.einsum("ij->i", links)
    rank = np.full(nodes, 1 / nodes)
    steps, change = 0, 1.0
    while change > tolerance:
        share = np.where(degree > 0, rank / np.maximum(degree, 1), 0.0)
        # Readers on pages without links, and those who start anew, go anywhere.
        rest = (1 - FOLLOW * rank[degree > 0].sum()) / nodes
        new = ag.evaluate(f"y(i) = {FOLLOW} * A(j,i) * share(j) + rest", A=links, share=share, rest=rest)
        change, rank, steps = np.abs(new - rank).sum(), new, steps + 1
    return rank, steps


def by_numpy(links: ag.Tensor, steps: int) -> NDArray[np.float64]:
    (source, target), _ = links.coordinates()
    nodes = links.shape[0]
    degree = np.bincount(source, minlength=nodes)
    rank = np.full(nodes, 1 / nodes)
    for _ in range(steps):
        new = FOLLOW * np.bincount(target, (rank / np.maximum(degree, 1))[source], nodes)
        rank = new + (1 - new.sum()) / nodes
    return rank


def main(arguments: list[str]) -> int:
    path = Path(arguments[0]) if arguments else GRAPH
    try:
        links = ag.read(path) if arguments or path.exists() else made_up()
    except ag.AerogelError as error:
        print(error, file=sys.stderr)
        return 2
    began = perf_counter()
    rank, steps = pagerank(links)
    seconds = perf_counter() - began
    print(f"{links.shape[0]} nodes, {links.nnz} links: {steps} steps in {seconds:.2f} s")

    (source, target), _ = links.coordinates()
    into, out = (np.bincount(ends, minlength=links.shape[0]) for ends in (target, source))
    print("  node    rank  links to it  links from it")
    for node in np.argsort(-rank)[:5]:
        print(f"{node + 1:6d} {rank[node]:7.5f} {into[node]:12d} {out[node]:14d}")
    error = np.abs(rank - by_numpy(links, steps)).max()
    print(f"largest difference from NumPy: {error:.1e}")
    return 0 if error < 1e-9 and abs(rank.sum() - 1) < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
