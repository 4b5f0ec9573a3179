"""torch module -> graph -> steps -> plan -> one native program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.core.target import Target, current
from aerogel.model.assemble import assemble
from aerogel.model.calibrate import calibrated
from aerogel.model.graph import Graph
from aerogel.model.load import load
from aerogel.model.program import Program
from aerogel.model.quantised import quantised
from aerogel.model.texts import Texts
from aerogel.tune.plan import Plan

if TYPE_CHECKING:
    import torch

__all__ = ["build", "compile", "load"]

Progress = Callable[[str], None]
Precision = Literal["fp32", "int8"]


def compile(  # noqa: A001, PLR0913 (the package's verb: ag.compile; all but three by name)
    model: torch.nn.Module,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    plan: Plan | Literal["timed", "quick"] = "timed",
    texts: Texts | None = None,
    provenance: Mapping[str, Any] | None = None,
    calibration: Iterable[Any] | None = None,
) -> Program:
    """Compile a torch module into one native program for this CPU.

    ``example_inputs``: what the module is called with (a tuple of tensors, or a dict by name); an encoder
    from transformers needs none. Every batch, sequence or leading dimension stays free unless
    ``dynamic_shapes`` (as in ``torch.export``) says otherwise. Zeros in the weights are skipped wherever that
    is measured to be faster: prune first. ``precision``: ``int8`` computes linear layers in 8-bit integers,
    weights with a scale per output, activations with a scale and a zero point per token, found as they come;
    a quarter of the size, and faster where the CPU multiplies integers faster. ``calibration``, with
    ``int8``: batches as the program takes them (each an array or tensor, a tuple, or a dict by name), or
    texts if ``texts`` is given: some hundred like those to come. What a layer makes for such layers alone
    then has one range for all tokens, found on them (``static``), and is stored as integers at once: faster,
    but what lies beyond the range is cut off. ``plan``: ``timed`` times the
    kernels for each kind of layer on this CPU (some seconds for a small encoder); ``quick`` decides by the
    share of zeros; or a Plan made before, which gives the same program again. ``threads``: how many a call
    uses unless it says otherwise, None for all cores. ``texts``: the model's tokenizer, for ``encode``;
    ``provenance``: what to record in a saved file.

    Raises UnsupportedError naming the operation and source line of what cannot be compiled, InputError for
    unusable arguments or non-finite weights.

        >>> program = aerogel.compile(model, (ids, mask))    # doctest: +SKIP
        >>> hidden = program(ids, mask)                      # doctest: +SKIP
    """
    known = precision in get_args(Precision)
    require(known, InputError, unknown("precision", precision, get_args(Precision)))
    what = f"model is a {type(model).__name__}: give a torch.nn.Module"
    require(callable(getattr(model, "named_parameters", None)), InputError, what)
    told = "calibration is for programs of 8-bit integers: add precision='int8', or leave it out"
    require(calibration is None or precision == "int8", InputError, told)
    from aerogel.model.from_torch import from_torch

    graph = from_torch(model, example_inputs, dynamic_shapes)
    if precision == "int8":
        from aerogel.model.torch_grid import scales_by_weight

        graph = quantised(graph, scales_by_weight(model))
    if calibration is not None:
        graph = calibrated(graph, calibration, texts, threads=threads)
    return build(graph, threads=threads, plan=plan, texts=texts, provenance=provenance)


def build(
    graph: Graph,
    *,
    threads: int | None = None,
    plan: Plan | Literal["timed", "quick"] = "timed",
    target: Target | None = None,
    texts: Texts | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Program:
    """The program for a graph; arguments as for ``compile``."""
    return Program(assemble(graph, plan, target or current()), threads, texts, provenance)
