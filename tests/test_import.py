"""``import aerogel``: quick, and it brings in nothing that is not asked for."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import aerogel
from aerogel.core.errors import AerogelError

HEAVY = ("torch", "transformers", "scipy", "llvmlite", "onnx", "onnxruntime", "safetensors", "rich")


def python(code: str) -> str:
    """What a fresh process prints; warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "then", ["", "aerogel.AerogelError; aerogel.__version__; dir(aerogel)", "aerogel.Plan"]
)
def test_nothing_heavy_is_loaded(then: str) -> None:
    assert python(f"import sys, aerogel\n{then}\nprint([n for n in {HEAVY!r} if n in sys.modules])") == "[]"


def test_a_program_needs_neither_torch_nor_scipy() -> None:
    """Compiling a torch module needs torch; the machinery behind it does not."""
    code = "import sys, aerogel; aerogel.compile, aerogel.Program"
    assert (
        python(f"{code}\nprint([n for n in ('torch', 'transformers', 'scipy') if n in sys.modules])") == "[]"
    )


def test_an_einsum_needs_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, aerogel as ag; print(ag.einsum('ij,j->i', ag.tensor([[0, 2], [3, 0]], 'csr'), [1, 1]))"
    )
    found = python(f"{code}\nprint([n for n in ('torch', 'transformers', 'scipy') if n in sys.modules])")
    assert found.splitlines() == ["[2 3]", "[]"]


@pytest.mark.parametrize("name", ["tensor", "einsum"])
def test_a_function_named_like_a_folder_stays_one(name: str) -> None:
    """Importing a folder binds its name; whatever came first, what the name holds can be called."""
    code = f"""
        import inspect, sys
        import aerogel
        before = aerogel.{name}
        import aerogel.{name}
        again = aerogel.{name}
        assert again is sys.modules["aerogel.{name}"] and callable(again)
        print(again.__doc__ == before.__doc__, inspect.signature(again) == inspect.signature(before))
    """
    assert python(textwrap.dedent(code)) == "True True"


def test_a_folder_that_is_called_is_the_function() -> None:
    code = """
        import aerogel.einsum.parse
        import aerogel.tensor.make
        import aerogel as ag
        print(ag.einsum("i,i", ag.tensor([1.0, 2.0]), [3.0, 4.0]), aerogel.einsum.parse.parse("y = x"))
    """
    assert python(textwrap.dedent(code)).startswith("11.0 Assignment(")


def test_it_is_quick() -> None:
    """0.3 s on a quiet machine; NumPy, which it needs, is not counted."""
    code = """
        import numpy, time
        began = time.process_time()
        import aerogel
        aerogel.compile, aerogel.Plan
        print(time.process_time() - began)
    """
    assert min(float(python(textwrap.dedent(code))) for _ in range(2)) < 1.0


def test_everything_public_is_there() -> None:
    listed = dir(aerogel)
    assert set(aerogel.__all__) <= set(listed) and listed == sorted(listed)
    for name in aerogel.__all__:
        assert getattr(aerogel, name) is not None
    assert aerogel.AerogelError is AerogelError
    assert aerogel.Program.__module__ == "aerogel.model.program"
    assert aerogel.compile.__name__ == "compile" and aerogel.compile.__doc__


def test_an_unknown_attribute_is_told() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'complie': it has .*\bcompile\b"):
        aerogel.complie  # noqa: B018
    assert not hasattr(aerogel, "no_such_thing")


def test_star_import_gives_what_is_listed() -> None:
    assert python("from aerogel import *\nprint(compile.__module__, Plan.__module__)") == (
        "aerogel.model.compile aerogel.tune.plan"
    )
