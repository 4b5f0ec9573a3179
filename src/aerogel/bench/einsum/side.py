"""What all contenders share: a prepared case is a call without arguments, and its result was checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import Problem, Result, load
from aerogel.core.errors import MeasureError

_METHODS = {"spmm32": "spmm", "spmm128": "spmm"}


@dataclass(frozen=True, slots=True)
class Work:
    """``call``: what is timed; it allocates its result. ``plain``: that result as it is judged."""

    call: Callable[[], Any]
    plain: Callable[[Any], Result] = np.asarray


def file_name(operation: str, data: str, dtype: str) -> str:
    """Of a case's operands and of what must come out."""
    return f"{operation} {data} {dtype}.npz"


def method_of(operation: str) -> str:
    """The method of a side that does this operation."""
    return _METHODS.get(operation, operation)


class Side:
    """One library. It has a method for each operation that it can do, which prepares operands in the
    library's own form; the method's docstring says how the operation is done.

    ``folder``: where the operands are; ``threads``: how many it may use, where it can.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._how: dict[str, str] = {}
        self._roundings: dict[str, float] = {}
        self._in_order: dict[str, bool] = {}
        self.run: Callable[[], Any] = _nothing

    def prepare(self, case: dict[str, Any]) -> None:
        """MeasureError where the result is wrong."""
        self.run = _nothing  # the old operands' memory first
        name = file_name(case["operation"], case["data"], case["dtype"])
        problem, wanted = load(self._folder / name)
        work = self.work(problem)
        try:
            found = work.plain(work.call())
            worst = wanted.roundings(found)
        except MeasureError as error:
            raise MeasureError(f"{name.removesuffix('.npz')}: {error}") from error
        operation = problem.operation
        if isinstance(found, Entries):
            self._in_order[operation] = found.in_order() is found and self._in_order.get(operation, True)
        self._roundings[operation] = max(worst, self._roundings.get(operation, 0.0))
        self.run = work.call

    def work(self, problem: Problem) -> Work:
        method = getattr(self, method_of(problem.operation))
        self._how[problem.operation] = " ".join((inspect.getdoc(method) or "").split())
        return method(problem)

    def version(self) -> str:
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        return {
            "version": self.version(),
            "threads": self._threads,
            "how": self._how,
            "largest_error_roundings": self._roundings,
            "in_order": self._in_order,
        }


def _nothing() -> None:
    """Before a case is prepared there is nothing to do."""
