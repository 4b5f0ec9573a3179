"""Into how many parts each index is cut: as few as let every piece fit, and as many as copies need. ADR 0028.

A piece fits where references and coordinates of every operand and of the result can be told apart in words
of ``word_bits``, all arrays of a run have room in the global buffer (twice, where there are several runs: the
next one's operands come while one runs), and workspaces fit a memory tile. Indices of the result are cut
first: then pieces of the result do not meet. A summed index is cut only where nothing else helps, and only
where the result is a sum over it: the host adds the pieces' results up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.cuts import Cuts, balanced, by_weight, even, piece_numbers
from aerogel.chip.firmware.entries import entries
from aerogel.chip.firmware.foreseen import foreseen
from aerogel.chip.firmware.image import element_bytes
from aerogel.chip.firmware.linear import is_sum_over
from aerogel.chip.graph.build import Plan
from aerogel.chip.graph.wiring import SLACK, room
from aerogel.chip.machine.memory import vector_capacity
from aerogel.core.errors import ChipError
from aerogel.einsum.nodes import Access, accesses
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format

_LEAST_ROOM = 16
_WHOLE = 1000
"""Crowding of a result with room for every place: then there is no more to gain."""
_EACH = 2.0
"""Work of a coordinate of a dense level, even of one without entries, in stored entries."""


HELPS = 0.8
"""An index of the result is cut where that brings what is too much down to this part of it or less."""


@dataclass(frozen=True, slots=True)
class Short:
    """What does not fit: in words; the indices it depends on; how much there is of it, given cuts.

    ``freely``: whatever helps most is cut, though it were not what runs side by side.
    """

    what: str
    over: tuple[str, ...]
    amount: Callable[[Cuts], int]
    freely: bool = False


class UncutError(ChipError):
    """No cuts make a piece fit. ``why``: in words; ``copies``: of the graph, that run pieces at once."""

    def __init__(self, why: str, fabric: Fabric, copies: int) -> None:
        self.why = why
        self.larger = f"{'fewer copies, or ' if copies > 1 else ''}a larger fabric than {fabric.name}"
        super().__init__(f"{why}: give another order of loops, or {self.larger}")

    def instead(self, order: tuple[str, ...] | None) -> ChipError:
        """The same, with the order of loops that fits; None: none does."""
        if order is None:
            return ChipError(f"{self.why}; no other order of loops fits: give {self.larger}")
        return ChipError(f"{self.why}: give the order {','.join(order)}, which fits, or {self.larger}")


class Cutter:
    """Cuts for operands ``used``, by their names in ``plan``. ``copies``: how many pieces run at once;
    ``crowded``: cuts with which a result had no room."""

    def __init__(
        self,
        plan: Plan,
        used: Mapping[str, Storage],
        fabric: Fabric,
        copies: int,
        crowded: Cuts | None = None,
    ) -> None:
        self.plan, self.used, self.fabric, self.copies = plan, used, fabric, copies
        self.accesses: dict[str, Access] = {a.tensor: a for a in accesses(plan.assignment.expr)}
        self.most = (1 << fabric.word_bits) - 1
        out = plan.assignment.out.indices
        summed = [
            i for i in plan.order if i not in out and is_sum_over(plan.assignment.expr, i, self.full(i))
        ]
        self.allowed = [i for i in plan.order if i in out]
        self.summed = summed
        if plan.options.softmax:
            # A row depends on all of it.
            self.allowed = [i for i in self.allowed if i != out[plan.form.order[-1]]]
            self.summed = []
        self.places = {n: entries(s)[0] for n, s in used.items() if not s.format.dense}
        self.beside = next(iter((*self.allowed, *summed)), None)
        self.foreseen = (
            None if self.beside is None else foreseen(plan.assignment, self.places, plan.extents, self.beside)
        )
        self._known: dict[tuple[str, tuple[tuple[int, ...], ...]], list[int]] = {}
        self.most_crowding = None if crowded is None else max(_WHOLE, self.crowding(crowded) // 2)

    def cuts(self) -> Cuts:
        """The cuts; ChipError where none would do."""
        parts = dict.fromkeys(self.plan.order, 1)
        first = self.beside
        if first is not None:
            parts[first] = max(1, min(self.plan.extents[first], self.copies))
        lowest = dict(parts)
        while True:
            cuts = self.of(parts)
            short = self.short(cuts)
            if short is None:
                return self.fewer(parts, lowest)
            index = self.chosen(short, cuts)
            lowest[index] = parts[index]
            parts[index] = min(self.plan.extents[index], parts[index] * 2)

    def of(self, parts: Mapping[str, int]) -> Cuts:
        return Cuts({index: self.bounds(index, parts[index]) for index in self.plan.order}, self.beside)

    def fewer(self, parts: dict[str, int], lowest: Mapping[str, int]) -> Cuts:
        """With fewer parts where these still fit, the longest loops last; ``lowest``: where they may not."""
        for index in reversed(self.plan.order):
            # Those that run side by side stay a multiple of the copies.
            step = self.copies if index == self.beside else 1
            low, high = lowest[index] // step, -(-parts[index] // step)
            while high - low > 1:
                middle = (low + high) // 2
                if self.short(self.of({**parts, index: middle * step})) is None:
                    parts[index], high = middle * step, middle
                else:
                    low = middle
        return self.of(parts)

    def bounds(self, index: str, parts: int) -> tuple[int, ...]:
        """Parts that run side by side should be as much work each."""
        extent = self.plan.extents[index]
        if index != self.beside or parts in (1, extent):
            return even(extent, parts)
        if self.is_dense(index):
            return balanced(self.work(index), parts, _EACH)
        return by_weight(self.weights(index), parts)

    def work(self, index: str) -> NDArray[np.float64]:
        """At each coordinate: of a product of matrices, its products, else stored entries."""
        found = self.weights(index).astype(np.float64)
        return found if self.foreseen is None else found + self.foreseen.products

    def full(self, index: str) -> frozenset[str]:
        """The operands that store every coordinate of an index."""
        return frozenset(
            name
            for name, storage in self.used.items()
            for level, mode in zip(storage.format.levels, storage.format.order, strict=True)
            if level.full and self.accesses[name].indices[mode] == index
        )

    def is_dense(self, index: str) -> bool:
        """Whether a level of that index is dense somewhere but in operands that are dense altogether: then a
        long part costs time even where it is empty."""
        forms: list[tuple[Format, tuple[str, ...]]] = [(self.plan.form, self.plan.assignment.out.indices)]
        forms += [(s.format, self.accesses[n].indices) for n, s in self.used.items() if not s.format.dense]
        return any(
            level.full and names[mode] == index
            for form, names in forms
            for level, mode in zip(form.levels, form.order, strict=True)
        )

    def weights(self, index: str) -> NDArray[np.int64]:
        """How many entries the operands that are not dense have at each coordinate."""
        found = np.zeros(self.plan.extents[index], np.int64)
        for name, storage in self.used.items():
            modes = self.accesses[name].indices
            if index in modes and not storage.format.dense:
                found += np.bincount(self.places[name][modes.index(index)], minlength=len(found))
        return found

    # --- what fits ------------------------------------------------------------------------------------

    def short(self, cuts: Cuts) -> Short | None:
        """Something that does not fit these cuts."""
        found = self.short_workspace(cuts) or self.short_words(cuts) or self.short_buffer(cuts)
        return found or self.short_room(cuts)

    def short_workspace(self, cuts: Cuts) -> Short | None:
        capacity = vector_capacity(self.fabric)
        for over in self.plan.workspaces:
            extent = _product(cuts, over)
            if extent > capacity:
                what = f"a workspace of {extent} coordinates, of which a memory tile holds {capacity}"
                return Short(what, over, lambda cuts, over=over: _product(cuts, over))
        most = self.fabric.memory_words
        for over in self.plan.queues:
            if _queue(cuts, over) > most:
                what = f"a queue of {_queue(cuts, over)} tokens, of which a memory tile holds {most}"
                return Short(what, over, lambda cuts, over=over: _queue(cuts, over))
        return None

    def short_words(self, cuts: Cuts) -> Short | None:
        for index in self.plan.order:
            if cuts.size(index) > self.most:
                what = f"{cuts.size(index)} coordinates {index}, of which words tell {self.most} apart"
                return Short(what, (index,), lambda cuts, index=index: cuts.size(index))
        for name, storage in self.used.items():
            count = max(self.positions(name, storage, cuts))
            if count > self.most:
                what = (
                    f"{count} positions in {name}, where {self.fabric.word_bits} bits tell {self.most} apart"
                )
                over = self.accesses[name].indices
                return Short(what, over, lambda cuts, n=name, s=storage: max(self.positions(n, s, cuts)))
        dense = self.plan.form.dense
        out = self.plan.assignment.out.indices

        def amount(cuts: Cuts) -> int:
            return _product(cuts, out) if dense else max((cuts.size(i) for i in out), default=1)

        count = amount(cuts)
        if count > self.most:
            return Short(
                f"{count} positions in the result, of {self.most} that can be told apart", out, amount
            )
        if self.expected(cuts) > self.most:
            what = f"about {self.expected(cuts)} values in the result, of {self.most} that can be told apart"
            return Short(what, out, self.expected)
        return None

    def short_buffer(self, cuts: Cuts) -> Short | None:
        side, deep = min(self.copies, cuts.pieces), 2 if cuts.pieces > self.copies else 1
        count, budget = self.operands(cuts, side, deep) + self.least_room(cuts, side * deep), self.budget
        if count <= budget:
            return None
        what = f"{count} bytes of operands and result, for which the global buffer has {budget}"
        return Short(what, self.plan.order, self.bytes_of)

    def short_room(self, cuts: Cuts) -> Short | None:
        """Of results of which more are known than can be told beforehand: they were too many once."""
        if self.most_crowding is None or self.crowding(cuts) <= self.most_crowding:
            return None
        what = f"more values in the result than the {self.room(cuts)['vals']} there is room for"
        return Short(what, self.plan.order, self.crowding, freely=True)

    def crowding(self, cuts: Cuts) -> int:
        """Places of the result in a piece, for ``_WHOLE`` values of it that there is room for."""
        return _WHOLE * _product(cuts, self.plan.assignment.out.indices) // self.room(cuts)["vals"]

    def bytes_of(self, cuts: Cuts) -> int:
        """Of all operands and results that are in the buffer where there are many pieces."""
        known = self.plan.form.dense or self.foreseen is not None
        least = self.least_room(cuts, 2 * self.copies) if known else 0
        return self.operands(cuts, self.copies, 2) + least

    @property
    def budget(self) -> int:
        """Bytes of the global buffer that may be planned with: arrays leave gaps between them."""
        return self.fabric.buffer_bytes - self.fabric.buffer_bytes // 32

    def operands(self, cuts: Cuts, side: int, deep: int) -> int:
        """Bytes of operands for ``deep`` batches, one after the other, of ``side`` pieces each."""
        total = 0
        for name, storage in self.used.items():
            held = self.held(self.accesses[name].indices, cuts, side, deep)
            total += held * self.operand_bytes(name, storage, cuts)
        return total

    def held(self, modes: tuple[str, ...], cuts: Cuts, side: int, deep: int) -> int:
        """How many pieces of an operand are in the buffer at a time: copies share what is the same."""
        there = math.prod(cuts.parts(index) for index in modes)
        if self.beside is None or self.beside in modes:
            return min(there, side * deep)
        parts = cuts.parts(self.beside)
        # Batches begin where they begin: their pieces may be of one part more of the other indices.
        runs = deep if parts % side == 0 else -(-(side * deep - 1) // parts) + 1
        return min(there, max(1, runs))

    def positions(self, name: str, storage: Storage, cuts: Cuts) -> list[int]:
        """Of each level, at most how many positions a piece has; of a dense tensor, and where nothing is cut,
        exactly as many."""
        modes = self.accesses[name].indices
        sizes = [cuts.size(modes[mode]) for mode in storage.format.order]
        if storage.format.dense:
            return [1, *(math.prod(sizes[: k + 1]) for k in range(len(sizes)))]
        if all(cuts.parts(index) == 1 for index in modes):
            return [1, *storage.counts()]
        key = name, tuple(cuts.bounds[index] for index in modes)
        if key not in self._known:
            numbers, _ = piece_numbers(self.places[name], modes, cuts)
            most = int(np.bincount(numbers).max(initial=0))
            found = [1]
            for level, size in zip(storage.format.levels, sizes, strict=True):
                found.append(found[-1] * size if level.full else min(found[-1] * size, most))
            self._known[key] = found
        return self._known[key]

    def operand_bytes(self, name: str, storage: Storage, cuts: Cuts) -> int:
        counts = self.positions(name, storage, cuts)
        word = element_bytes("pos", self.fabric)
        total = counts[-1] * element_bytes("vals", self.fabric)
        for level, above, here in zip(storage.format.levels, counts, counts[1:], strict=False):
            total += 0 if level.full else (above + 1 + here) * word
        return total + 8 * (2 * len(counts) + 1)

    def expected(self, cuts: Cuts) -> int:
        """About how many values the result of a piece has; 0 where that cannot be told."""
        return 0 if self.foreseen is None or self.plan.form.dense else self.foreseen.entries(cuts)

    def least_room(self, cuts: Cuts, pieces: int) -> int:
        """Bytes for the results of ``pieces`` pieces: all of dense ones, as far as can be told of others, or
        else a share of the buffer."""
        if self.plan.form.dense or self.foreseen is not None:
            return pieces * self.result_bytes(self.result(cuts, max(_LEAST_ROOM, self.expected(cuts))))
        return self.budget // 4

    def room(self, cuts: Cuts) -> dict[str, int]:
        """Elements that each array of a piece's result may have, by ``pos0``, ``crd0`` ... and ``vals``."""
        side, deep = min(self.copies, cuts.pieces), 2 if cuts.pieces > self.copies else 1
        free = max(0, self.budget - self.operands(cuts, side, deep)) // (side * deep)
        low, high = _LEAST_ROOM, self.most + 1
        # As many as there is room for, if every level had so many.
        while high - low > 1:
            middle = (low + high) // 2
            if self.result_bytes(self.result(cuts, middle)) <= free:
                low = middle
            else:
                high = middle
        return self.result(cuts, low)

    def result(self, cuts: Cuts, most: int) -> dict[str, int]:
        """The elements of a result's arrays where no level that is not dense has more than ``most``."""
        out = self.plan.assignment.out.indices
        found: dict[str, int] = {}
        above = 1
        for at, (level, mode) in enumerate(zip(self.plan.form.levels, self.plan.form.order, strict=True)):
            size = cuts.size(out[mode])
            here = above * size if level.full else min(above * size, most)
            if not level.full:
                found[f"pos{at}"], found[f"crd{at}"] = above + 1, max(1, here)
            above = here
        return {**found, "vals": max(1, above)}

    def result_bytes(self, arrays: Mapping[str, int]) -> int:
        word, value = element_bytes("crd", self.fabric), element_bytes("vals", self.fabric)
        return sum(8 + count * (value if name == "vals" else word) for name, count in arrays.items())

    # --- what is cut ------------------------------------------------------------------------------------

    def chosen(self, short: Short, cuts: Cuts) -> str:
        """The index to cut next, that which helps most: of the result's, or else of those summed over."""
        now = short.amount(cuts)
        # Two halves of which both are in the buffer take as much of it: only four quarters take less.
        for times in (2, 4):
            helps: list[tuple[float, bool, int, str]] = []
            for candidates in (self.allowed, self.summed):
                helps += [self.help_of(index, short, cuts, now, times) for index in candidates]
                beside = [share for share, _, _, index in helps if index == self.beside]
                if beside and min(beside) <= HELPS and not short.freely:
                    # Every part of another index goes through this one again.
                    return str(self.beside)
                if helps and min(helps)[0] <= HELPS:
                    break
            if helps and min(helps)[0] < 1:
                return min(helps)[-1]
        over = ", ".join(short.over) or "nothing"
        raise UncutError(
            f"one piece has {short.what}; it would have to be cut over {over}, but over none of these can "
            "the results of pieces be put together",
            self.fabric,
            self.copies,
        )

    def help_of(
        self, index: str, short: Short, cuts: Cuts, now: int, times: int
    ) -> tuple[float, bool, int, str]:
        """To what share of ``now`` cutting an index ``times`` as often brings what does not fit, and the
        index; of equal shares what runs side by side is the least, then the longest."""
        share = 1.0
        if index in short.over and cuts.size(index) > 1:
            finer = {**cuts.bounds, index: even(self.plan.extents[index], times * cuts.parts(index))}
            share = round(short.amount(Cuts(finer, cuts.beside)) / now, 2)
        return share, index != self.beside, -cuts.size(index), index


def _product(cuts: Cuts, over: tuple[str, ...]) -> int:
    return math.prod(cuts.size(index) for index in over)


def _queue(cuts: Cuts, over: tuple[str, ...]) -> int:
    return room([cuts.size(index) for index in over]) + SLACK
