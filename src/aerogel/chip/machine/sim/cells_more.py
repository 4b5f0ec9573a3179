"""``step_more.py`` in Loop IR: skips, bit vectors, the matrix reducer, lanes. See there for what and why."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.sim.visit import Visit

MORE: dict[Opcode, Callable[[Visit], None]] = {}
