"""A model made by a function of a Python file. Imports torch."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

from aerogel.core.errors import InputError, require
from aerogel.model.loaded import Source


def from_factory(file: Path, function: str) -> Source:
    require(file.is_file(), InputError, f"there is no file {str(file)!r}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    require(spec and spec.loader, InputError, f"{str(file)!r} cannot be imported")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: what lies beside the file can be imported, by it and by the classes it defines.
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules.setdefault(file.stem, module)
    try:
        spec.loader.exec_module(module)
        require(hasattr(module, function), InputError, f"{file} has no {function!r}")
        made = getattr(module, function)()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file}:{function} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return _checked(made, file, function)


def _checked(made: object, file: Path, function: str) -> Source:
    pair = isinstance(made, tuple) and len(made) == 2
    require(
        pair, InputError, f"{file}:{function} must return (module, example inputs), not {type(made).__name__}"
    )
    assert isinstance(made, tuple)
    module, inputs = made
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{file}:{function} returned a {type(module).__name__} first: return a torch module")
    examples = (
        inputs
        if isinstance(inputs, dict)
        else tuple(inputs)
        if isinstance(inputs, list | tuple)
        else (inputs,)
    )
    return Source(module.eval(), examples, None, None, f"{file.stem}:{function}")
