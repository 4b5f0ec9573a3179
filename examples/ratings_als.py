"""Who would like what: ratings explained by tastes, fitted by alternating least squares.

    python examples/ratings_als.py [u.data | ratings.csv | RATINGS.tns] [--rank 4]

A rating is the mean of all, what this user adds, what this item adds, and a product of their tastes:
``mean + a(u) + b(i) + sum(r, P(u,r) * Q(i,r))``. With one side fixed, each user is a small ridge
regression, and index notation makes all of them at once from the sparse matrix: ``G(u,r,s) = M(u,i) *
F(i,r) * F(i,s)`` and ``h(u,r) = (R(u,i) - M(u,i) * b(i)) * F(i,r)``, where M has a one for each rating R,
and F is Q with ones before it. How much a and b are drawn to 0 follows from how much ratings of one user,
or item, differ.

A tenth of the ratings is kept for the test. Files of MovieLens (u.data, ratings.csv) and .tns are read.
Without an argument: the 100,000 ratings of splatt_med in ../shared/data. Its modes have no names; the
last, by which ratings differ most, is taken for the user. What user and item do not explain is nearly
noise there, and tastes find nothing in it, as the table shows. With --made-up (or without data): ratings
that do come from tastes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import aerogel as ag

RATINGS = Path(__file__).parents[2] / "shared" / "data" / "tensors" / "splatt_med.tns"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ratings:
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    value: Array

    def part(self, chosen: NDArray[np.bool_]) -> Ratings:
        return Ratings(self.user[chosen], self.item[chosen], self.value[chosen])


def made_up() -> Ratings:
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, 800, 40_000), rng.integers(0, 500, 40_000)
    user, item = np.unique(np.stack([user, item]), axis=1)
    tastes = (rng.normal(size=(800, 3))[user] * rng.normal(size=(500, 3))[item]).sum(1) / 2
    value = 3.5 + rng.normal(size=800)[user] / 3 + rng.normal(size=500)[item] / 3 + tastes
    return Ratings(user, item, np.clip(value + rng.normal(size=len(user)) / 2, 1, 5))


def load(path: Path) -> Ratings:
    """User, item and rating in the first three columns; of a .tns item, user and rating in the last three."""
    if path.suffix == ".tns":
        (*_, item, user), value = ag.read(path).coordinates()
        return Ratings(user, item, value)
    split, header = (",", 1) if path.suffix == ".csv" else (None, 0)
    user, item, value = np.loadtxt(path, delimiter=split, skiprows=header, usecols=(0, 1, 2), unpack=True)
    return Ratings(*(np.unique(ids, return_inverse=True)[1] for ids in (user, item)), value)


def ridge(ids: NDArray[np.int64], value: Array) -> float:
    """Variance among ratings of one id over that between ids (analysis of variance): what best draws their
    means to 0."""
    count, total = np.bincount(ids), np.bincount(ids, value)
    groups = (count > 0).sum()
    explained = (total[count > 0] ** 2 / count[count > 0]).sum()
    within = ((value**2).sum() - explained) / max(1, len(ids) - groups)
    each = (len(ids) - (count**2).sum() / len(ids)) / max(1, groups - 1)
    between = ((explained - len(ids) * value.mean() ** 2) / max(1, groups - 1) - within) / each
    return float(within / max(between, 1e-3))


def fit(train: Ratings, users: int, items: int, rank: int, draw: float) -> tuple[float, Array, Array]:
    """The mean, and for each user and item what it adds, followed by its tastes."""
    mean = float(train.value.mean())
    where, shape = (train.user, train.item), (users, items)
    ones = ag.tensor((np.ones(len(train.value)), where), "csr", shape=shape)
    rest = ag.tensor((train.value - mean, where), "csr", shape=shape)
    own = np.random.default_rng(0).normal(0, 0.3, (items, 1 + rank))
    own[:, 0] = 0
    sides = {"u": (np.zeros((users, 1 + rank)), ridge(train.user, train.value))}
    sides["i"] = (own, ridge(train.item, train.value))
    for _ in range(12):
        for this, other in ("ui", "iu"):
            fixed = sides[other][0]
            features = np.concatenate([np.ones((len(fixed), 1)), fixed[:, 1:]], axis=1)
            text = f"G({this},r,s) = M(u,i) * F({other},r) * F({other},s)"
            gram = ag.evaluate(text, M=ones, F=features, out_format="dense")
            text = f"h({this},r) = (R(u,i) - M(u,i) * b({other})) * F({other},r)"
            target = ag.evaluate(text, R=rest, M=ones, b=fixed[:, 0].copy(), F=features, out_format="dense")
            towards_0 = np.diag([sides[this][1], *[draw] * rank])
            solved = np.linalg.solve(gram + towards_0, target[..., None])[..., 0]
            sides[this] = (solved, sides[this][1])
    return mean, sides["u"][0], sides["i"][0]


def predicted(model: tuple[float, Array, Array], at: Ratings) -> Array:
    mean, user, item = model
    u, i = user[at.user], item[at.item]
    return mean + u[:, 0] + i[:, 0] + (u[:, 1:] * i[:, 1:]).sum(1)


def error(prediction: Array | float, at: Ratings, scale: tuple[float, float]) -> float:
    return float(np.sqrt(np.mean((np.clip(prediction, *scale) - at.value) ** 2)))


def mean_of(ids: NDArray[np.int64], train: Ratings, of: NDArray[np.int64], count: int) -> Array:
    """The mean rating of each id, where it has one, else that of all."""
    number = np.bincount(ids, minlength=count)
    total = np.bincount(ids, train.value, count)
    return np.where(number > 0, total / np.maximum(number, 1), train.value.mean())[of]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ratings", nargs="?", type=Path)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--made-up", action="store_true")
    given = parser.parse_args(arguments)
    path = given.ratings or RATINGS
    try:
        known = made_up() if given.made_up or not (given.ratings or path.exists()) else load(path)
    except (ag.AerogelError, OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    users, items = int(known.user.max()) + 1, int(known.item.max()) + 1
    scale = float(known.value.min()), float(known.value.max())
    chance = np.random.default_rng(0).random(len(known.value))
    train, choose, test = (
        known.part(chance >= 0.2),
        known.part((chance >= 0.1) & (chance < 0.2)),
        known.part(chance < 0.1),
    )

    began = perf_counter()
    # How much tastes are drawn to 0 is chosen on a tenth of the ratings that is neither fitted nor tested.
    draws = (2.0, 5.0, 15.0, 50.0)
    models = {draw: fit(train, users, items, given.rank, draw) for draw in draws}
    best = min(draws, key=lambda draw: error(predicted(models[draw], choose), choose, scale))
    seconds = perf_counter() - began
    rows = {
        "mean of all": error(train.value.mean(), test, scale),
        "mean of the user": error(mean_of(train.user, train, test.user, users), test, scale),
        "mean of the item": error(mean_of(train.item, train, test.item, items), test, scale),
        "what user and item add": error(predicted(fit(train, users, items, 0, 1.0), test), test, scale),
        f"and {given.rank} tastes": error(predicted(models[best], test), test, scale),
    }
    print(f"{users} users, {items} items, {len(known.value)} ratings: {len(draws)} fits in {seconds:.1f} s")
    print(f"error on {len(test.value)} unseen ratings (root mean square)")
    for name, value in rows.items():
        print(f"  {name:<24} {value:.4f}")
    *means, _, ours = rows.values()
    return 0 if ours < min(means) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
