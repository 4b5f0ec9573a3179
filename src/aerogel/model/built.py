"""What a program is made of; nothing in it changes while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.core.target import Target
from aerogel.kernels.layout import Layout
from aerogel.model.arena import Arena
from aerogel.model.graph import Graph
from aerogel.model.packings import Packings
from aerogel.model.steps import Step
from aerogel.native import Compiled
from aerogel.tune.plan import Plan


@dataclass(frozen=True)
class Built:
    """A graph, what it became on the way, and the machine code and constants at the end.
    ``constant_bytes``: as in ``Emitted``."""

    graph: Graph
    steps: tuple[Step, ...]
    arena: Arena
    packed: Mapping[str, Packings]
    constant_bytes: tuple[int, ...]
    compiled: Compiled
    constants: NDArray[np.uint8]
    plan: Plan
    target: Target
    layout: Layout
