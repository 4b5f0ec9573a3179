"""A way to compile a model with aerogel: one row of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Variant:
    """``sparsity`` None is dense. ``file``: the model that has these zeros already, an .aero file or a
    directory; None to prune by magnitude. ``precision``: of the linear layers."""

    sparsity: float | None = None
    pattern: str = "unstructured"
    file: Path | None = None
    precision: Precision = "fp32"

    @property
    def name(self) -> str:
        """The row's name: ``aerogel dense``, ``aerogel 90 % block4x1 int8``."""
        if self.sparsity is None:
            zeros = "dense"
        else:
            zeros = f"{100 * self.sparsity:g} %" + (
                "" if self.pattern == "unstructured" else f" {self.pattern}"
            )
        return f"aerogel {zeros}" + ("" if self.precision == "fp32" else f" {self.precision}")


DENSE = Variant()
VARIANTS = (DENSE, Variant(0.5), Variant(0.8), Variant(0.9))
