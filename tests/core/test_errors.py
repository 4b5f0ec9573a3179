"""One tree of errors, each also what Python calls such a thing."""

from __future__ import annotations

import pytest

from aerogel.core import errors
from aerogel.core.errors import AerogelError, InputError, refuse, require

KINDS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, AerogelError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_error_is_one_of_ours_and_says_when(kind: type[AerogelError]) -> None:
    with pytest.raises(AerogelError, match=r"^what is so$") as caught:
        refuse(kind, "what is so")
    assert type(caught.value) is kind and kind.__doc__


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InputError", ValueError),
        ("FormatError", ValueError),
        ("UnsupportedError", NotImplementedError),
        ("NativeError", RuntimeError),
        ("CacheError", errors.NativeError),
        ("TargetError", RuntimeError),
        ("MissingDependencyError", ImportError),
    ],
)
def test_errors_are_what_python_calls_them(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_require_raises_unless_it_holds() -> None:
    require(True, InputError, "not raised")
    require([1], InputError, "not raised")
    for nothing in (False, 0, [], None):
        with pytest.raises(InputError, match=r"^told$"):
            require(nothing, InputError, "told")
