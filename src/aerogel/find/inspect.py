"""Inspect a model: where its zeros are, where they could be, and whether they would pay on this CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from aerogel.core.errors import AerogelError, InputError, UnsupportedError, require
from aerogel.find.activations import ActivationReport, measure_activations
from aerogel.find.controls import Control
from aerogel.find.cost import CostReport, count_costs, unit_of
from aerogel.find.paymap import PayMap, uses
from aerogel.find.result import Header, Inspection, Section
from aerogel.find.sensitivity import SensitivityReport, with_breakevens
from aerogel.find.skipped import Skipped
from aerogel.find.subject import Subject, open_subject
from aerogel.find.timing import Timing, measure_timing
from aerogel.find.verdict import Evidence, verdict
from aerogel.find.weights import WeightReport, measure_weights
from aerogel.measure import machine

if TYPE_CHECKING:
    import torch

BUDGET_S = 60.0
ACTIVATIONS = "activations"
# What is left for the end.
_END_S = 0.5

Say = Callable[[str], None]
Found = Callable[[Section], None]
S = TypeVar("S", bound=Section)


def inspect(
    model: str | Path | torch.nn.Module,
    example_inputs: Any = None,
    *,
    data: str | Path | Sequence[str] | None = None,
    budget_s: float = BUDGET_S,
    sensitivity: bool = False,
    progress: Say | None = None,
    found: Found | None = None,
) -> Inspection:
    """Where the zeros of a model are, in weights and activations; what it computes; and, measured on this
    CPU, from which share of zeros on its layers would be faster, with a verdict in words.

    ``model``: a Hugging Face directory, ``FILE.py:FUNCTION``, an .aero file; or a torch module with
    ``example_inputs``. ``data``: texts to feed it, or the path of a file of them (.txt, .jsonl, .csv, .tsv);
    by default docstrings of the standard library. ``budget_s``: about how many seconds it may take (half of
    it after a model that was slow to load); what there is no time for is left out and named. ``sensitivity``:
    also prune each layer alone, by several patterns and shares, and see how much the output changes, for at
    most as long again. ``progress``:
    told what is being done; ``found``: handed every section of the result as soon as it is there.

    A model that ``compile`` would refuse is inspected as far as possible: the result says why it would.
    Raises InputError for what cannot be inspected: a wrong path, no linear layer, weights that are NaN or
    infinite, data without texts.

        >>> found = aerogel.inspect("./all-MiniLM-L6-v2")    # doctest: +SKIP
        >>> print(found.verdict.reasons[0])                  # doctest: +SKIP
    """
    require(budget_s > 0, InputError, f"budget_s={budget_s!r}: give a number of seconds above 0")
    data = Path(data) if isinstance(data, str) else data
    began = perf_counter()
    run = _Run(progress or (lambda _: None), found or (lambda _: None), budget_s - _END_S)
    subject = open_subject(model, example_inputs, run.say)
    if sensitivity:
        from aerogel.find.torch_sensitivity import required_module

        required_module(subject)
    header = run.give(Header(subject.name, subject.kind, subject.refusal, subject.history))
    weights = run.give(measure_weights(subject.weights, run.say))
    activations = run.activations(subject, data)
    costs = run.costs(subject, weights, activations)
    timing = run.timing(subject, weights)
    changes = run.sensitivity(subject, data, budget_s, timing) if sensitivity else None
    said = run.give(verdict(evidence(subject, weights, timing)))
    seconds = perf_counter() - began
    return Inspection(
        header, weights, activations, costs, timing, changes, said, tuple(run.skipped), machine(), seconds
    )


class _Run:
    """One inspection: tells of its progress, hands out sections, and knows how much time is left."""

    def __init__(self, say: Say, found: Found, budget_s: float) -> None:
        self.say, self._found, self._budget_s = say, found, budget_s
        self._deadline = perf_counter() + budget_s
        self.skipped: list[Skipped] = []

    def left(self) -> float:
        return self._deadline - perf_counter()

    def give(self, section: S) -> S:
        self._found(section)
        return section

    def skip(self, what: str, why: str) -> None:
        self.skipped.append(self.give(Skipped(what, why)))

    def activations(self, subject: Subject, data: Any) -> ActivationReport | None:
        self.say("looking at activations")
        try:
            return self.give(measure_activations(subject, data))
        except UnsupportedError as error:
            self.skip(ACTIVATIONS, str(error))
        except AerogelError as error:
            if data is not None:
                raise  # the caller's data is what is wrong
            self.skip(ACTIVATIONS, str(error))
        return None

    def costs(
        self, subject: Subject, weights: WeightReport, activations: ActivationReport | None
    ) -> CostReport:
        return self.give(count_costs(subject, weights, activations.live if activations else {}))

    def sensitivity(
        self, subject: Subject, data: Any, seconds: float, timing: Timing
    ) -> SensitivityReport | None:
        from aerogel.find.torch_sensitivity import measure_sensitivity  # imports torch

        deadline = perf_counter() + seconds
        try:
            seen = measure_sensitivity(subject, data, lambda: deadline - perf_counter(), self.say)
            return self.give(with_breakevens(seen, uses(subject), timing.pay))
        except AerogelError as error:
            self.skip("sensitivity", str(error))
        return None

    def timing(self, subject: Subject, weights: WeightReport) -> Timing:
        # Where loading took long, on a busy machine, half of the time is still for measuring.
        self._deadline = max(self._deadline, perf_counter() + self._budget_s / 2)
        share = weights.total("linear").share if weights.sparse else 0.0
        return self.give(measure_timing(subject, share, self.left, self.say))


def evidence(subject: Subject, weights: WeightReport, timing: Timing) -> Evidence:
    """What the verdict needs of what was found."""
    tokens = timing.pay.columns[-1]
    int8, why = _int8(timing.pay)
    return Evidence(
        columns=tokens,
        unit="rows" if subject.graph is not None and unit_of(subject.graph) == "rows" else "tokens",
        largest=max((use.weights for use in uses(subject)), default=0),
        control=timing.pay.controls.name,
        rows=timing.pay.rows,
        estimates=timing.estimates,
        split=next((s for s in timing.splits if s.tokens == tokens), None),
        int8=int8,
        why_no_int8=why,
        sparse_share=weights.total("linear").share,
        gain=next((g for g in timing.gains if g.tokens == tokens), None),
        refused=subject.refusal is not None,
        whole_control=next((c for c in timing.controls if c.tokens == tokens), None),
        missing=timing.missing,
    )


def _int8(pay: PayMap) -> tuple[Control | None, str]:
    """The control at the shape that costs most, which is timed first; and why there is no int8."""
    controls = pay.controls
    if controls.layers and controls.layers[0].int8_speedup is not None:
        return controls.layers[0], ""
    if controls.layers:
        return None, "onnxruntime and onnx are not installed"
    return None, "nothing was large enough to time" if controls.missing is None else controls.missing.why
