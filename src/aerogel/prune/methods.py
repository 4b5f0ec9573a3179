"""The methods: presets of importance and recovery, under the names they are known by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """``importance``: a name in ``IMPORTANCES``; ``recovery``: what ``FITS`` does to each layer first."""

    importance: str
    recovery: tuple[str, ...] = ()


METHODS: dict[str, Preset] = {
    "magnitude": Preset("magnitude"),
    "wanda": Preset("wanda"),
    "sparsegpt": Preset("obs", ("obs",)),
}
