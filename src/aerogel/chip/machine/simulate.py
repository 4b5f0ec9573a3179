"""Running a netlist: the face of the simulator."""

from __future__ import annotations

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.sim.run import run
from aerogel.chip.machine.step import LIMIT, Arrays


def simulate(
    netlist: Netlist, arrays: Arrays, fabric: Fabric, *, limit: int = LIMIT, trace: tuple[int, int] = (0, 0)
) -> Run:
    """Runs ``netlist`` on ``arrays`` (what each segment holds; None for a result) until every cell is done.

    ``trace``: the events from one cycle to before another are kept. ChipError for a netlist or arrays that do
    not fit, for a fault that a cell finds in its data, for more than ``limit`` cycles; DeadlockError.
    """
    return run(netlist, arrays, fabric, limit, trace)
