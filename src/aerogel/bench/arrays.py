"""What contenders for any model share: inputs made from its signature, and an output that can be compared.

Nothing here needs more than NumPy, so that a runtime in an environment of its own can use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.cases import token_batch
from aerogel.core.errors import MeasureError
from aerogel.measure.resident import resident

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Fed:
    """An input: ``ids`` are below ``limit``, ``features`` are [rows, limit]."""

    name: str
    kind: Literal["ids", "mask", "features"]
    limit: int


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model is called with, in order, and the first of what it returns: ``over_tokens`` is [B, S, ...]
    with nothing of worth on padding. ``longest``: the most tokens of a sequence, None for any number."""

    inputs: tuple[Fed, ...]
    output: str
    over_tokens: bool
    longest: int | None = None

    @property
    def padded(self) -> bool:
        """Can it be given sequences of unequal lengths?"""
        return any(item.kind == "mask" for item in self.inputs)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(read: Mapping[str, Any]) -> Signature:
        inputs = tuple(Fed(**item) for item in read["inputs"])
        return Signature(inputs, read["output"], read["over_tokens"], read["longest"])

    def arrays(self, case: Mapping[str, Any]) -> Arrays:
        """The inputs of a case with ``lengths``: for a model of features, a row for every token."""
        made: Arrays = {}
        for place, item in enumerate(self.inputs):
            batch = token_batch(case, max(item.limit, 2))
            if item.kind == "ids":
                # Other ids beside a model's own (of segments, say) have few values.
                made[item.name] = batch.ids if place == 0 else batch.mask * (batch.ids % item.limit)
            elif item.kind == "mask":
                made[item.name] = batch.mask
            else:
                rows = int(batch.mask.sum())
                rng = np.random.default_rng(place)
                made[item.name] = rng.standard_normal((rows, item.limit), dtype=np.float32)
        return made


class ArrayRuntime(Protocol):
    """A way to run a model on arrays. ``bind`` is not timed."""

    def bind(self, arrays: Arrays) -> Any: ...

    def forward(self, inputs: Any) -> Any:
        """The timed part."""
        ...

    def to_numpy(self, found: Any, /) -> NDArray[Any]:
        """The first output."""
        ...

    def facts(self) -> dict[str, Any]: ...


class ArraySubject:
    """A contender (see ``measure.Contender``) around a runtime, for cases with ``lengths``.

    Of a case with ``texts`` its result is empty, which says that it was not judged by them.
    """

    def __init__(self, signature: Signature, runtime: ArrayRuntime) -> None:
        self._signature, self._runtime = signature, runtime
        self._arrays: Arrays | None = None
        self._inputs: Any = None
        self._texts = False
        self._counted: list[dict[str, Any]] = []

    def prepare(self, case: Mapping[str, Any]) -> None:
        self._texts = "texts" in case
        if not self._texts:
            self._arrays = self._signature.arrays(case)
            self._inputs = self._runtime.bind(self._arrays)
            self._counted += counted(self._runtime, self._inputs, case)

    def run(self) -> Any:
        return self._runtime.forward(self._inputs)

    def result(self) -> NDArray[Any]:
        if self._texts:
            return np.empty((0, 0), np.float32)
        if self._arrays is None:
            raise MeasureError("no case was prepared: there is no result")
        found = self._runtime.to_numpy(self.run())
        mask = next((self._arrays[i.name] for i in self._signature.inputs if i.kind == "mask"), None)
        if mask is None or not self._signature.over_tokens:
            return found
        return found * mask.reshape(*mask.shape, *(1,) * (found.ndim - 2)).astype(np.float32)

    def explain(self, *, energy: bool = False) -> Any:
        """The steps of the present case, their times and, if asked for, joules; of our own runtime alone."""
        return self._runtime.explain(self._inputs, energy=energy)  # pyright: ignore[reportAttributeAccessIssue]

    def facts(self) -> dict[str, Any]:
        return {**self._runtime.facts(), **work_facts(self._counted), **resident().to_json()}


def counted(runtime: Any, inputs: Any, case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Operations and bytes of a case, beside its lengths, where the runtime counts them (our own does)."""
    work = getattr(runtime, "work", None)
    return [] if work is None else [{"lengths": list(case["lengths"]), **work(inputs)}]


def work_facts(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``row_work`` looks for among the facts of a contender."""
    return {"work": found} if found else {}


def in_order(arrays: Arrays, names: Sequence[str]) -> list[NDArray[Any]]:
    """The arrays of these names."""
    return [arrays[name] for name in names]
