"""A user's own measure of a model: ``FILE.py:FUNCTION``, called with the dense and with the pruned one."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import math
import random
import sys
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aerogel.core.errors import InputError, require
from aerogel.model.loaded import Source
from aerogel.trial.accuracy import Accuracy, Tell

if TYPE_CHECKING:
    import torch

CONTRACT = (
    "FUNCTION(model) or FUNCTION(model, tokenizer) returns a number, or a dict of numbers by name, the higher"
    " the better (return minus a loss). model: the torch module in eval mode; tokenizer(texts): its inputs as"
    " a dict of tensors, so that model(**tokenizer(texts)) is its output"
)
SCORE = "score"
_SEED = 0


@dataclass(frozen=True)
class Tokenizer:
    """``tokenizer(texts)``: token ids and mask as torch tensors by name, cut to what the model takes and
    padded to the longest."""

    source: Source

    def __call__(
        self,
        texts: str | Sequence[str],
        *,
        padding: object = True,
        truncation: object = True,
        return_tensors: object = "pt",
        **others: object,
    ) -> dict[str, torch.Tensor]:
        """The options are those that others' tokenizers are called with; only these values are known."""
        import torch

        asked = (padding, truncation, return_tensors)
        known = padding in (True, "longest") and truncation is True and return_tensors == "pt" and not others
        require(
            known,
            InputError,
            f"this tokenizer always cuts and pads, to torch tensors: call tokenizer(texts), not with "
            f"padding, truncation, return_tensors={asked} {others or ''}",
        )
        arrays = self.source.tokenize([texts] if isinstance(texts, str) else list(texts))
        names = ("input_ids", "attention_mask")
        return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}


@dataclass(frozen=True)
class ByFunction:
    """Judges by a function of the user's, see ``CONTRACT``. Its prints go to stderr, random numbers begin at
    one seed for both models, and it must not change the model."""

    spec: str
    function: Callable[..., Any]
    source: Source

    @staticmethod
    def load(spec: str, source: Source) -> ByFunction:
        """Run the file and find the function; InputError for every way that can go wrong."""
        file, colon, name = spec.rpartition(":")
        named = bool(colon) and file.endswith(".py") and name.isidentifier()
        require(named, InputError, f"eval {spec!r} is not FILE.py:FUNCTION, such as check.py:accuracy")
        path = Path(file)
        require(path.is_file(), InputError, f"eval {spec!r}: there is no file {file!r}")
        with _reported(spec, path, "cannot be imported"):
            module = _imported(path)
        function = getattr(module, name, None)
        require(callable(function), InputError, f"eval {spec!r}: {file} has no function {name!r}")
        assert callable(function)
        found = ByFunction(spec, function, source)
        found.arguments(source.module)
        return found

    def arguments(self, module: torch.nn.Module) -> dict[str, Any]:
        """Besides the model: the tokenizer where the function takes one. InputError where it takes more."""
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # built in: it has no parameters that could be looked at
            return {}
        wants = "tokenizer" in signature.parameters
        lacking = f"eval {self.spec!r} takes a tokenizer, but {self.source.name} has no tokenizer.json"
        require(not wants or self.source.tokenizer_path is not None, InputError, lacking)
        more = {"tokenizer": Tokenizer(self.source)} if wants else {}
        try:
            signature.bind(module, **more)
        except TypeError as error:
            raise InputError(f"eval {self.spec!r} cannot be called ({error}): {CONTRACT}") from error
        return more

    def look(self, module: torch.nn.Module, which: str, tell: Tell) -> dict[str, float]:
        """The function's numbers. InputError, with the line of the file, where it fails or gives none."""
        import torch

        module.eval()
        before, more = _digest(module), self.arguments(module)
        torch.manual_seed(_SEED)
        random.seed(_SEED)
        np.random.seed(_SEED)  # noqa: NPY002  the user's function may use either kind
        path = Path(self.spec.rpartition(":")[0])
        with _reported(self.spec, path, f"failed on the {which} model"), torch.no_grad():
            returned = self.function(module, **more)
        module.eval()
        same = _digest(module) == before
        require(same, InputError, f"eval {self.spec!r} changed the weights of the {which} model: only look")
        tell(1.0)
        return self._numbers(returned, which)

    def accuracy(self, dense: dict[str, float], pruned: dict[str, float]) -> Accuracy:
        named = f"{', '.join(dense)} for the dense model, {', '.join(pruned)} for the pruned one"
        same = set(dense) == set(pruned)
        require(same, InputError, f"eval {self.spec!r} returned {named}: return the same names")
        return Accuracy(f"by {Path(self.spec).name}", dense, pruned, tuple(dense))

    def _numbers(self, returned: object, which: str) -> dict[str, float]:
        table = returned if isinstance(returned, Mapping) else {SCORE: returned}
        where = f"eval {self.spec!r} returned"
        advice = "return a number, or a dict of numbers by name"
        require(table, InputError, f"{where} an empty dict for the {which} model: {advice}")
        found: dict[str, float] = {}
        for name, value in table.items():
            require(
                isinstance(name, str), InputError, f"{where} a dict with the key {name!r}: name with text"
            )
            number = _number(value)
            of = "" if table is not returned else f" under {name!r}"
            if number is None:
                shown = "None" if value is None else f"a {type(value).__name__}"
                raise InputError(f"{where} {shown}{of} for the {which} model: {advice}")
            finite = f"{where} {number}{of} for the {which} model: it must be finite"
            require(math.isfinite(number), InputError, finite)
            found[str(name)] = number
        return found


def _number(value: object) -> float | None:
    """A number of Python, NumPy or torch (one element), as float; None for all else."""
    if not isinstance(value, str | bytes) and getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # pyright: ignore[reportAttributeAccessIssue]
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def _imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    require(spec and spec.loader, InputError, f"{path} cannot be imported")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: what lies beside the file can be imported, now and when the function is called.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _reported(spec: str, path: Path, what: str) -> Generator[None]:
    """What is raised inside, also an exit, becomes an InputError with the last line of it and where."""
    try:
        # What the file prints must not stand amid the result.
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        last = traceback.format_exception_only(error)[-1].strip()
        line = _line(error, path)
        at = "" if line is None else f" (line {line} of {path.name})"
        raise InputError(f"eval {spec!r} {what}: {last}{at}") from error


def _line(error: BaseException, path: Path) -> int | None:
    """The innermost line of the user's file that was running, or that cannot be read."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == path:
        return error.lineno
    own = path.resolve()
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == own]
    return lines[-1] if lines else None


def _digest(module: torch.nn.Module) -> bytes:
    """Equal for equal weights."""
    import torch

    digest = hashlib.sha256()
    for name, parameter in module.named_parameters():
        digest.update(name.encode())
        plain = parameter.detach().to("cpu").contiguous().view(-1).view(torch.uint8)
        digest.update(plain.numpy())  # pyright: ignore[reportArgumentType]  (an array is a buffer)
    return digest.digest()
