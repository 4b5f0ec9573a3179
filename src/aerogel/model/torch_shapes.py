"""Reshapes: which axis of an activation became which, through any splitting and joining of neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aerogel.model.torch_program import Size
from aerogel.model.torch_values import Axis

# What neighbours are called when they are one axis. No others are ever joined.
_JOINED: dict[tuple[Axis, ...], Axis] = {
    ("B", "S"): "BS",
    ("S", "B"): "SB",
    ("B", "H"): "BH",
    ("H", "D"): "F",
    ("P", "H", "D"): "F",
}
_APART = {name: parts for parts, name in _JOINED.items() if name != "F"}
_Atoms = list[tuple[Axis, Size]]


@dataclass(frozen=True)
class Shape:
    """``axes`` of ``sizes``; features may be split into parts, heads and their dimensions (P, H, D)."""

    axes: tuple[Axis, ...]
    sizes: tuple[Size, ...]
    heads: int = 1


def reshaped(old: Shape, sizes: tuple[Size, ...], symbols: tuple[Size, Size] | None) -> Shape | None:
    """``old`` with other ``sizes``, None where its axes do not account for them. ``symbols``: the sizes of
    batch and sequence."""
    known = dict(zip("BS", symbols or (), strict=False)) | {"H": old.heads}
    atoms: _Atoms = []
    for axis, size in zip(old.axes, old.sizes, strict=True):
        atoms += [(part, known[part]) for part in _APART[axis]] if axis in _APART else [(axis, size)]
    for split in _splits(atoms, sizes):
        axes = _grouped(split, sizes)
        if axes is not None:
            heads = next((size for name, size in split if name == "H"), 1)
            kept = int(heads) if {"H", "BH"} & set(axes) else 1
            return Shape(axes, sizes, kept)
    return None


def _splits(atoms: _Atoms, sizes: tuple[Size, ...]) -> Iterator[_Atoms]:
    """``atoms`` as they are, then with their features split in each way that ``sizes`` could mean."""
    yield atoms
    place = next((i for i, (name, _) in enumerate(atoms) if name == "F"), None)
    if place is None:
        return
    whole = atoms[place][1]
    fixed = [size if isinstance(size, int) else 0 for size in sizes]
    for last in dict.fromkeys(size for size in fixed if size > 0 and whole % size == 0):
        yield [*atoms[:place], ("H", whole // last), ("D", last), *atoms[place + 1 :]]
    for parts, heads, last in zip(fixed, fixed[1:], fixed[2:], strict=False):
        if parts * heads * last == whole:
            named: _Atoms = [("P", parts), ("H", heads), ("D", last)]
            yield [*atoms[:place], *named, *atoms[place + 1 :]]


def _grouped(atoms: _Atoms, sizes: tuple[Size, ...]) -> tuple[Axis, ...] | None:
    """The name of each of ``sizes``, as many neighbouring atoms as multiply to it; None where none do."""
    left = list(atoms)
    axes: list[Axis] = []
    for size in sizes:
        while left and left[0][0] == "1" and size != 1:
            del left[0]
        if size == 1 and not (left and left[0][1] == 1):
            axes.append("1")
            continue
        names: list[Axis] = []
        product: Size = 1
        while left and (not names or product != size):
            name, own = left.pop(0)
            product = product * own
            names += [name] if name != "1" or size == 1 else []
        joined = names[0] if len(names) == 1 else _JOINED.get(tuple(names))
        if product != size or joined is None:
            return None
        axes.append(joined)
    return tuple(axes) if all(name == "1" for name, _ in left) else None
