"""Shortest paths from many places at once, by the rule of Bellman and Ford, in the semiring of min and plus.

    python examples/shortest_paths.py [GRAPH.mtx]

Under ``semiring="min_plus"`` a sum is a minimum, a product a sum, and what is not stored is infinitely far:
``d(j,s) + G(i,j) * d(i,s)`` is the better of the way known and the best way by one more road. Repeated until
nothing changes, it is every shortest path. The roads (lengths are the values of the file) are checked against
Dijkstra's algorithm in plain Python. Without an argument: a made-up town, a grid of streets some of which are
closed.
"""

from __future__ import annotations

import heapq
import sys
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import aerogel as ag

SIDE, SOURCES = 60, 8


def town() -> ag.Tensor:
    """Crossings in a grid with roads to four neighbours, a length for each way, one in ten ways closed."""
    rng = np.random.default_rng(0)
    at = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    pairs = np.concatenate(
        [np.stack([at[:, :-1], at[:, 1:]]).reshape(2, -1), np.stack([at[:-1], at[1:]]).reshape(2, -1)], 1
    )
    roads = np.concatenate([pairs, pairs[::-1]], axis=1)
    roads = roads[:, rng.random(roads.shape[1]) > 0.1]
    lengths = rng.integers(1, 100, roads.shape[1]).astype(np.float64)
    return ag.tensor((lengths, roads), "csr", shape=(at.size, at.size))


def bellman_ford(roads: ag.Tensor, sources: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
    """``far[v, s]``: how far v is from source s, inf where no road leads; and the number of rounds."""
    far = np.full((roads.shape[0], len(sources)), np.inf)
    far[sources, np.arange(len(sources))] = 0
    for rounds in range(1, roads.shape[0] + 1):
        new = ag.evaluate("n(j,s) = d(j,s) + G(i,j) * d(i,s)", G=roads, d=far, semiring="min_plus")
        if (new == far).all():
            return far, rounds
        far = new
    raise ag.AerogelError(
        "the graph has a way around that gets shorter each time: its lengths must not be negative"
    )


def dijkstra(roads: ag.Tensor, source: int) -> NDArray[np.float64]:
    (start, end), lengths = roads.coordinates()
    on: list[list[tuple[int, float]]] = [[] for _ in range(roads.shape[0])]
    for a, b, length in zip(start.tolist(), end.tolist(), lengths.tolist(), strict=True):
        on[a].append((b, length))
    far = np.full(roads.shape[0], np.inf)
    far[source] = 0
    queue = [(0.0, source)]
    while queue:
        at, node = heapq.heappop(queue)
        for other, length in on[node] if at <= far[node] else ():
            if at + length < far[other]:
                far[other] = at + length
                heapq.heappush(queue, (at + length, other))
    return far


def main(arguments: list[str]) -> int:
    try:
        roads = ag.read(arguments[0]) if arguments else town()
    except ag.AerogelError as error:
        print(error, file=sys.stderr)
        return 2
    sources = np.linspace(0, roads.shape[0] - 1, SOURCES).astype(np.int64)
    began = perf_counter()
    far, rounds = bellman_ford(roads, sources)
    seconds = perf_counter() - began
    print(
        f"{roads.shape[0]} places, {roads.nnz} roads, {SOURCES} sources: {rounds} rounds in {seconds:.2f} s"
    )

    began = perf_counter()
    expected = np.stack([dijkstra(roads, int(source)) for source in sources], axis=1)
    print(f"Dijkstra in Python: {perf_counter() - began:.2f} s")
    print("source  reached  mean way  longest way")
    for column, source in enumerate(sources):
        ways = far[np.isfinite(far[:, column]), column]
        print(f"{source:6d} {len(ways):8d} {ways.mean():9.1f} {ways.max():12.1f}")
    same = np.allclose(far, expected)
    print("all equal" if same else "they differ")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
