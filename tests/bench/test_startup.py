from __future__ import annotations

import pytest

from aerogel.bench import startup
from aerogel.core.errors import MeasureError


def test_the_last_line_a_fresh_process_prints_is_taken() -> None:
    code = "import os, sys; print('first'); print(sys.argv[1], os.environ['SETTING'])"
    assert startup._python(code, "argument", SETTING="set") == "argument set"


def test_a_process_that_fails_is_shown() -> None:
    with pytest.raises(MeasureError, match="ZeroDivisionError"):
        startup._python("1 / 0")


def test_importing_is_timed_and_quick() -> None:
    assert 0 < float(startup._python(startup._IMPORT)) < 5
