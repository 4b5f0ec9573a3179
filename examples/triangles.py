"""Triangles of a graph, counted by one product of three sparse matrices that is never formed.

    python examples/triangles.py [GRAPH.mtx]

With every edge once, in one direction, a triangle is a path of two edges that a third one closes:
``t = L(i,j) * L(j,k) * L(i,k)``. Multiplied step by step, L(i,j) * L(j,k) alone would have many times as
many numbers; fused, nothing is kept but the sum. ``n(i)`` counts the triangles at each node, which tells how
clustered the graph is. The counts are checked against Python's sets. Without an argument: the friends of
ego-Facebook in ../shared/data, or a graph made up here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import aerogel as ag

GRAPH = Path(__file__).parents[2] / "shared" / "data" / "graphs" / "ego-Facebook.mtx"
Edges = tuple[NDArray[np.int64], NDArray[np.int64]]


def made_up(nodes: int = 600, links: int = 9000) -> ag.Tensor:
    rng = np.random.default_rng(0)
    ends = tuple(rng.integers(0, nodes, (2, links)))
    return ag.tensor((np.ones(links), ends), "csr", shape=(nodes, nodes), duplicates="max")


def ordered(graph: ag.Tensor) -> Edges:
    """Every edge once, from the end with fewer neighbours: then no node starts many. Loops are left out."""
    (a, b), _ = graph.coordinates()
    place = np.argsort(np.argsort(np.bincount(a, minlength=graph.shape[0]), kind="stable"))
    ends = np.stack([np.where(place[a] < place[b], a, b), np.where(place[a] < place[b], b, a)])
    low, high = np.unique(ends[:, a != b], axis=1)
    return low, high


def by_sets(edges: Edges, nodes: int) -> int:
    after: list[set[int]] = [set() for _ in range(nodes)]
    for a, b in zip(*(ends.tolist() for ends in edges), strict=True):
        after[a].add(b)
    return sum(len(after[a] & after[b]) for a in range(nodes) for b in after[a])


def main(arguments: list[str]) -> int:
    path = Path(arguments[0]) if arguments else GRAPH
    try:
        graph = ag.read(path) if arguments or path.exists() else made_up()
    except ag.AerogelError as error:
        print(error, file=sys.stderr)
        return 2
    nodes = graph.shape[0]
    edges = ordered(graph)
    lower = ag.tensor((np.ones(len(edges[0])), edges), "csr", shape=graph.shape)
    began = perf_counter()
    count = ag.evaluate("t = L(i,j) * L(j,k) * L(i,k)", L=lower)
    first = perf_counter() - began
    began = perf_counter()
    count = int(ag.evaluate("t = L(i,j) * L(j,k) * L(i,k)", L=lower))
    seconds = perf_counter() - began
    print(f"{nodes} nodes, {lower.nnz} edges: {count} triangles")
    print(f"  aerogel, first call {first:.3f} s (compiles), then {seconds:.3f} s")

    began = perf_counter()
    expected = by_sets(edges, nodes)
    print(f"  Python's sets       {perf_counter() - began:.3f} s, {expected} triangles")

    both = lower + lower.T
    at = ag.evaluate("n(i) = S(i,j) * S(j,k) * S(i,k)", S=both) / 2
    degree = ag.einsum("ij->i", both)
    pairs = degree * (degree - 1) / 2
    print(f"of two neighbours of a node, {at.sum() / pairs.sum():.1%} know each other")
    print("  node  triangles  neighbours")
    for node in np.argsort(-at)[:3]:
        print(f"{node + 1:6d} {at[node]:10.0f} {degree[node]:11.0f}")
    return 0 if count == expected == round(at.sum() / 3) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
