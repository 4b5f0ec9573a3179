"""How a call wants its vectors: how many numbers, of which precision, as an array, a tensor or a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.model.tensors import tensor
from aerogel.model.vectors import PRECISIONS, Precision, Vectors, normalized, quantized

_WHY = "convert_to_tensor=True or convert_to_numpy=False"


@dataclass(frozen=True)
class Form:
    """``features``: how many of a vector's first numbers are kept (None: all); ``unit``: then scaled to
    length 1; ``precision`` as ``quantized`` says; ``kind``: one array or tensor, or a list of tensors."""

    kind: Literal["numpy", "tensor", "list"] = "numpy"
    precision: Precision = "float32"
    features: int | None = None
    unit: bool = False

    def of(self, vectors: Vectors, *, single: bool) -> Any:
        """``vectors`` [texts, features] in this form; the only one alone where ``single``."""
        made = quantized(self.scaled(vectors), self.precision)
        made = made[0] if single else made
        if self.kind == "numpy":
            return made
        whole = tensor(np.ascontiguousarray(made), _WHY)
        return list(whole) if self.kind == "list" and not single else whole

    def scaled(self, vectors: Vectors) -> Vectors:
        cut = vectors[..., : self.features]
        return normalized(cut) if self.unit else cut

    def of_nothing(self) -> Any:
        """What no text gives: nothing, and nothing says how many features it has."""
        empty = np.zeros(0)
        if self.kind == "numpy":
            return empty
        return [] if self.kind == "list" else tensor(empty.astype(np.float32), _WHY)

    def require_libraries(self) -> None:
        """MissingDependencyError, before any work, where the form needs torch and there is none."""
        if self.kind != "numpy":
            tensor(np.zeros(0), _WHY)


def form(precision: object, features: object, *, to_numpy: bool, to_tensor: bool, unit: bool) -> Form:
    """The form of these arguments, None of a precision being float32; InputError where one cannot be."""
    known = precision is None or precision in PRECISIONS
    require(known, InputError, unknown("precision", precision, PRECISIONS))
    kind: Literal["numpy", "tensor", "list"] = "tensor" if to_tensor else "numpy" if to_numpy else "list"
    exact = cast("Precision", "float32" if precision is None else precision)
    return Form(kind, exact, kept_features(features), bool(unit))


def kept_features(given: object) -> int | None:
    """A number of features to keep; InputError unless it is a whole number from 1 on, or None."""
    whole = given is None or (isinstance(given, int) and not isinstance(given, bool) and given > 0)
    require(whole, InputError, f"truncate_dim={given!r}: give a whole number from 1 on, or None for all")
    return cast("int | None", given)
