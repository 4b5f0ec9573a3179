"""Random Loop IR programs on an emulated ARM processor, against the interpreter, bit for bit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from tests.emulated.arm import Emulated
from tests.loop.programs import Program, assert_same, programs

from aerogel.core.target import Target
from aerogel.loop.interpret import interpret


@pytest.mark.parametrize("threads", [1, 3])
@given(program=programs())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_programs(arm: Target, threads: int, program: Program) -> None:
    got, want = program.arguments(), program.arguments()
    interpret(program.module, want, threads=threads)
    Emulated(program.module, arm)(*got, threads=threads)
    assert_same(program, got, want)
