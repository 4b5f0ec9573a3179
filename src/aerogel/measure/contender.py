"""What is timed: how a process of its own makes it, and the shapes it is timed at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from aerogel.core.errors import MeasureError, require

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Subject(Protocol):
    """What a contender's factory returns. Only ``run`` is required; see ``Contender``."""

    def run(self) -> object:
        """One unit of the work that is timed."""
        ...


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a comparison.

    ``factory`` names ``package.module:function``; it is called as ``function(**args)`` in a new process
    and returns an object with ``run()``, the work to time, and optionally

    - ``prepare(case: dict)``: switch to another case (a shape, say) without loading again;
    - ``result() -> numpy array``: the output of the present case, to check that it is right;
    - ``facts() -> dict``: what else is worth a line in the table (bytes, versions), as JSON.

    ``env`` is added to the environment of the process; ``python`` is the interpreter to use, by default
    this one. Another one finds its own libraries and is lent this package, but nothing else from here, so
    what the factory imports of aerogel must make do with NumPy of any version from 1.26 on.
    """

    name: str
    factory: str
    args: Mapping[str, Json] = field(default_factory=dict[str, Json])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    python: Path | None = None

    def __post_init__(self) -> None:
        require(self.name, MeasureError, f"a contender made by {self.factory!r} has no name: give it one")
        module, colon, function = self.factory.partition(":")
        require(
            module and colon and function.isidentifier(),
            MeasureError,
            f"contender {self.name!r}: factory {self.factory!r} is not of the form 'package.module:function'",
        )
        _require_json(self.args, f"the arguments of contender {self.name!r}")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to do: ``params`` go to every contender's ``prepare``.

    ``timed``: time ``run()`` of every contender, in turns. ``output``: fetch ``result()`` of every contender.
    """

    name: str
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    timed: bool = True
    output: bool = False

    def __post_init__(self) -> None:
        require(self.timed or self.output, MeasureError, f"case {self.name!r} is neither timed nor checked")
        _require_json(self.params, f"the parameters of case {self.name!r}")


def _require_json(value: Mapping[str, Json], what: str) -> None:
    try:
        json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MeasureError(f"{what} cannot be sent to another process as JSON: {error}") from error
