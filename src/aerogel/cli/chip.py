"""``aerogel chip ...``: the accelerator, from text to cycles, energy and a comparison with this CPU."""

from __future__ import annotations

from aerogel.cli.group import Group

COMMAND = Group(
    about="Compile index notation for a sparse accelerator, and run it on a simulator of it, cycle by cycle.",
    example='aerogel chip simulate "y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy -o y.npy',
    commands={
        "compile": "the dataflow graph, its place on the fabric, and its configuration words",
        "simulate": "run it in full: the result, cycles, energy, and who waited for whom",
        "compare": "the published kernels on the chip and on this CPU",
        "sweep": "the same work on many fabrics: time, energy and area",
    },
)
