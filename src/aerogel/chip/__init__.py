"""The accelerator: from a scheduled einsum to a dataflow graph, a fabric, configuration words and cycles.

``aerogel.chip.compile("y(i) = A(i,j) * x(j)", A=A, x=x).simulate()``; loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aerogel.chip.entry import CompiledChip, compile
    from aerogel.chip.fabric.fabric import Fabric
    from aerogel.chip.graph.build import Options as GraphOptions
    from aerogel.chip.run import ChipRun

__all__ = ["ChipRun", "CompiledChip", "Fabric", "GraphOptions", "compile"]

_HOME = {
    "ChipRun": "aerogel.chip.run",
    "CompiledChip": "aerogel.chip.entry",
    "Fabric": "aerogel.chip.fabric.fabric",
    "GraphOptions": "aerogel.chip.graph.build",
    "compile": "aerogel.chip.entry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"aerogel.chip has no attribute {name!r}: it has {', '.join(__all__)}")
    # There is more than one kind of options inside.
    return getattr(import_module(_HOME[name]), {"GraphOptions": "Options"}.get(name, name))
