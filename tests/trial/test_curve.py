"""The points of a curve are of texts that nothing saw."""

from __future__ import annotations

import pytest

from aerogel.core.errors import InputError
from aerogel.trial.curve import Texts


def test_what_judges_is_not_trained_on() -> None:
    with pytest.raises(InputError, match="1 texts to judge by are also trained on"):
        Texts(("a",), ("b", "c"), ("c", "d"))
