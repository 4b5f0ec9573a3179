import os
from collections.abc import Callable

import pytest

from aerogel.bench.apart import apart
from aerogel.core.errors import InputError, MeasureError


def ignore(words: str, share: float) -> None:
    pass


def count(upto: int, tell: Callable[[str, float], None]) -> tuple[int, int]:
    for i in range(upto):
        tell(f"step {i}", i / upto)
    return os.getpid(), upto


def refuse(tell: Callable[[str, float], None]) -> None:
    raise InputError("the third layer has no name: give it one")


def vanish(tell: Callable[[str, float], None]) -> None:
    os._exit(3)


def test_the_result_and_what_was_told_arrive_from_another_process() -> None:
    told: list[tuple[str, float]] = []
    pid, upto = apart(count, 2, tell=lambda words, share: told.append((words, share)))
    assert pid != os.getpid()
    assert upto == 2
    assert told == [("step 0", 0.0), ("step 1", 0.5)]


def test_an_error_arrives_as_it_was_raised() -> None:
    with pytest.raises(InputError, match="the third layer has no name: give it one"):
        apart(refuse, tell=ignore)


def test_a_process_that_vanishes_is_an_error_that_says_so() -> None:
    with pytest.raises(MeasureError, match=r"vanish ended without a result \(exit status 3\)"):
        apart(vanish, tell=ignore)
