"""Where a model comes from: a Hugging Face directory, or ``module.py:factory``."""

from __future__ import annotations

from pathlib import Path

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.model.loaded import Source


def load_model(spec: str) -> Source:
    """The model that ``spec`` names.

    ``FILE.py:FUNCTION``: the file is run, and FUNCTION() returns (torch module, example inputs). Otherwise
    a directory with ``config.json``, ``model.safetensors`` and, for texts, ``tokenizer.json``; where it has
    ``modules.json`` too (sentence-transformers), pooling and normalisation are part of the module. Pickled
    weights are refused, since unpickling can run anything. InputError or UnsupportedError say what is so.
    """
    file, colon, function = spec.rpartition(":")
    named = bool(colon) and file.endswith(".py")
    path = Path(file if named else spec)
    require(
        path.exists(), InputError, f"there is no {str(path)!r}: give a model's directory, or FILE.py:FUNCTION"
    )
    if path.suffix == ".py" and not named:
        raise InputError(f"{spec!r} names no function: write {spec}:FUNCTION, which returns (module, inputs)")
    require(
        path.is_file() if named else path.is_dir(),
        InputError,
        f"{str(path)!r} is neither a directory nor FILE.py",
    )
    try:
        # torch and transformers are optional, and slow to import: only what is asked for is.
        if named:
            from aerogel.model.factory import from_factory

            return from_factory(path, function)
        from aerogel.model.pretrained import from_directory

        return from_directory(path)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        raise MissingDependencyError(f'{spec!r} needs {error.name}: pip install "aerogel[bench]"') from error
