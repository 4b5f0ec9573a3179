"""A report on a pruned model: what the zeros cost and bought, each number beside its dense control."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aerogel.bench.quality import LOSS_BELOW
from aerogel.measure import CaseResult
from aerogel.prune.report import LayerReport, RecoveryReport
from aerogel.report.document import (
    NOT_MEASURED,
    Block,
    Cell,
    Grid,
    Note,
    Notes,
    Paragraph,
    Report,
    Section,
)
from aerogel.report.method import disturbance, machine_notes, memory_note, timing_notes
from aerogel.report.prune_figures import accuracy_of, headline, key_figures, number, picture, share_of
from aerogel.report.wording import counted, latency, listed, megabytes
from aerogel.trial.accuracy import NEIGHBOURS, RANKS, SAME
from aerogel.trial.outcome import Outcome
from aerogel.trial.outcome_text import metered_by
from aerogel.trial.trade import DENSE, PRUNED, Trade

_ABOUT = {
    "directory": ("a checkpoint, in which zeros take room, too",),
    "weights": ("the weights alone, without zeros",),
    "file": (),
}
_ACCURACY = {
    RANKS: "Spearman's, of the similarities of all pairs of texts with those of the dense model.",
    NEIGHBOURS: "Of each text's ten nearest other texts, the share that are the dense model's ten nearest.",
    SAME: "The share of answers that are the dense model's.",
}


def prune_report(found: Outcome) -> Report:
    """The whole report."""
    integers = ", the rest in 8 bits" if found.asked.get("precision") == "int8" else ""
    title = f"{found.model}, pruned to {100 * found.report.sparsity:.3g} % zeros{integers}"
    sections = [Section("What came out", tuple(_outcome(found)))]
    drawn = picture(found)
    if drawn is not None:
        sections.append(Section("Quality, speed and memory", (drawn,)))
    sections.append(Section("Quality", _quality(found)))
    if found.written:
        sections.append(Section("Size", (_sizes(found),)))
    sections.append(Section("Time and memory", _trade(found)))
    if found.spent is not None:
        sections.append(Section("What it took", _spent(found)))
    sections.append(Section("Layers", _layers(found)))
    sections.append(Section("How the numbers were obtained", (_method(found),)))
    return Report(title, headline(found), tuple(sections))


def _outcome(found: Outcome) -> list[Block]:
    said: list[Block] = [Paragraph(f"Below the bound: {words}.", "loss") for words in found.missed]
    if found.missed:
        forced = "written all the same (--force)" if found.written else "nothing was written"
        said.append(Paragraph(f"So {forced}. More recovery, fewer zeros or more texts may help.", "loss"))
    if found.trade is not None:
        busy = disturbance(found.trade.comparison.machine)
        said += [] if busy is None else [busy]
    said.append(key_figures(found))
    said += _losses(found)
    if found.report.recovery is not None:
        said.append(_recovery(found.report.recovery))
    said += [Paragraph(f"{note[:1].upper()}{note[1:]}.") for note in found.notes]
    return said


def _losses(found: Outcome) -> list[Paragraph]:
    """What other reports call a loss is called so here, whether or not a bound was given."""
    seen = accuracy_of(found)
    kept = None if seen is None else seen.pruned.get(NEIGHBOURS)
    if kept is None or kept >= LOSS_BELOW:
        return []
    words = f"A loss of quality: the {NEIGHBOURS} is {kept:.3f}, below {LOSS_BELOW}"
    return [
        Paragraph(f"{words}: more than one in ten of a text's nearest neighbours are others now.", "loss")
    ]


# --- quality ------------------------------------------------------------------------------------


def _quality(found: Outcome) -> tuple[Block, ...]:
    seen = found.accuracy
    if seen is None:
        words = f"{NOT_MEASURED.capitalize()}: {found.accuracy_missing}. The other numbers say what the zeros"
        return (Paragraph(f"{words} buy, and not what they cost.", "loss"),)
    columns = [seen] if found.file_accuracy is None else [seen, found.file_accuracy]
    grid = Grid(
        f"{seen.method[:1].upper()}{seen.method[1:]}. The higher the better.",
        ("", "dense", "pruned", "compiled")[: 2 + len(columns)],
        tuple(
            (
                Cell(name[:1].upper() + name[1:]),
                Cell(number(dense)),
                *(Cell(number(column.pruned[name])) for column in columns),
            )
            for name, dense in seen.dense.items()
        ),
    )
    rounded = "Compiled: the program that runs the .aero file, whose embedding tables are 8-bit integers."
    return (grid,) if found.file_accuracy is None else (grid, Paragraph(rounded))


# --- size, time and memory ----------------------------------------------------------------------


def _sizes(found: Outcome) -> Grid:
    rows: list[tuple[Cell, ...]] = []
    for written in found.written:
        dense = found.artefact_bytes if written.kind == "file" else found.checkpoint_bytes
        about = _ABOUT[written.kind]
        share = NOT_MEASURED if dense is None else share_of(written.bytes, dense)
        rows.append((
            Cell(written.path, about, "own"),
            Cell(NOT_MEASURED if dense is None else megabytes(dense)),
            Cell(megabytes(written.bytes)),
            Cell(share),
            Cell(share_of(written.bytes, found.checkpoint_bytes)),
        ))  # fmt: skip
    caption = (
        f"What was written, beside the same of the dense model, and beside its checkpoint of "
        f"{megabytes(found.checkpoint_bytes)}."
    )
    columns = ("", "dense", "pruned", "of the same, dense", "of the dense checkpoint")
    return Grid(caption, columns, tuple(rows))


def _trade(found: Outcome) -> tuple[Block, ...]:
    trade = found.trade
    if trade is None:
        return _no_trade(found)
    cases = trade.comparison.cases
    level = f"{100 * trade.comparison.settings.confidence:g} %"
    rows = Grid(
        f"Most memory, and median latency with its {level} interval; times the speed of {DENSE}. Columns are "
        f"sequences x tokens.",
        ("row", "most memory", *(case.name for case in cases)),
        tuple(
            (
                Cell(row, tone="own" if row in (DENSE, PRUNED) else "plain"),
                Cell(_peak(trade, row)),
                *(latency(case, row, DENSE) for case in cases),
            )
            for row in trade.rows
        ),
    )
    others = [row for row in trade.rows if row not in (DENSE, PRUNED)]
    return (rows, _over(trade, cases, others)) if others else (rows,)


def _no_trade(found: Outcome) -> tuple[Block, ...]:
    missing = found.trade_missing or ""
    if not missing.startswith("not compiled"):
        return (Paragraph(f"{NOT_MEASURED.capitalize()}: {missing}."),)
    said = Paragraph(f"{missing[:1].upper()}{missing[1:]}. So no speed is claimed.", "loss")
    if found.memory is None:
        return (said,)
    both = (found.memory.dense_bytes, found.memory.pruned_bytes)
    cells = (Cell(NOT_MEASURED if size is None else megabytes(size)) for size in both)
    caption = (
        "Most memory of the whole process in torch, loading included; torch holds zeros like other numbers."
    )
    return (said, Grid(caption, ("", "dense", "pruned"), ((Cell("in torch", tone="own"), *cells),)))


def _spent(found: Outcome) -> tuple[Block, ...]:
    """What making it took, and when that is paid back."""
    spent = found.spent
    if spent is None:
        return ()
    parts = (("Pruning", spent.pruning), ("Recovery", spent.recovery))
    rows = tuple((Cell(n), Cell(f"{r.seconds:.3g} s"), Cell(r.amount)) for n, r in parts if r is not None)
    before = " What runs that were interrupted took before is not in it." if spent.resumed else ""
    blocks: list[Block] = [Grid(f"{metered_by(spent.made)}.{before}", ("", "time", "energy"), rows)]
    if found.trade is None:
        words = "After how many calls that is paid back is not said, for no speed is claimed."
        return (*blocks, Paragraph(words))
    cases = [case.name for case in found.trade.comparison.cases]
    known = {(each.case, each.of): each for each in found.paybacks}
    sources = dict.fromkeys(e.source for e in found.paybacks if e.source and e.verdict != "not known")
    by = f" Energy: {listed(list(sources))}." if sources else ""
    caption = (
        f"Paid back, over {DENSE}, after so many calls, with bounds; columns are sequences x tokens.{by}"
    )
    paid = tuple((Cell(f"In {of}"), *(Cell(str(known[c, of])) for c in cases)) for of in ("time", "energy"))
    return (*blocks, Grid(caption, ("", *cases), paid, frozenset(range(1 + len(cases)))))


def _peak(trade: Trade, row: str) -> str:
    found = trade.peak_bytes(row)
    return NOT_MEASURED if found is None else megabytes(found)


def _over(trade: Trade, cases: Sequence[CaseResult], others: Sequence[str]) -> Grid:
    return Grid(
        f"Times the speed of the dense model on other runtimes: {PRUNED} over each.",
        ("over", *(case.name for case in cases)),
        tuple((Cell(row), *(Cell(str(trade.speedup(case, row))) for case in cases)) for row in others),
    )


# --- layers -------------------------------------------------------------------------------------


def _layers(found: Outcome) -> tuple[Block, ...]:
    layers = found.report.layers
    errors = [layer.relative_error for layer in layers if layer.relative_error is not None]
    worst = max(filter(math.isfinite, errors), default=0.0)
    caption = "Every layer that was pruned, and its share of zeros."
    if errors:
        caption += (
            " Off by: the change of its output on the texts it was calibrated on, root mean square, right "
            f"after it was pruned, before any recovery. Bars end at the worst, {100 * worst:.1f} %."
        )
    columns = ("layer", "shape", "zeros", *(("output off by",) if errors else ()))
    rows = tuple(_layer(layer, worst if errors else None) for layer in layers)
    return (Grid(caption, columns, rows),)


def _layer(layer: LayerReport, worst: float | None) -> tuple[Cell, ...]:
    name = Cell(layer.name.removesuffix(".weight"))
    shape, zeros = f"{layer.shape[0]} x {layer.shape[1]}", layer.sparsity
    cells = (name, Cell(shape), Cell(f"{100 * zeros:.1f} %", bar=(zeros, zeros)))
    if worst is None:
        return cells
    if layer.relative_error is None:
        return (*cells, Cell(NOT_MEASURED))
    off = f"{100 * layer.relative_error:.1f} %"
    if not worst > 0 or not math.isfinite(layer.relative_error):
        return (*cells, Cell(off))
    part = layer.relative_error / worst
    return (*cells, Cell(off, bar=(part, part)))


def _recovery(done: RecoveryReport) -> Paragraph:
    words = (
        f"Recovery: {counted(done.steps, 'step')} of training in {done.seconds:.0f} s, in which the kept "
        f"weights learn to do what the dense model does. Loss {done.first_loss:.4f} at first, "
        f"{done.last_loss:.4f} at last"
    )
    if done.unseen_before is not None and done.unseen_after is not None:
        words += f"; on texts it did not see {done.unseen_before:.4f} and {done.unseen_after:.4f}"
    if done.undone:
        return Paragraph(f"{words}, which is worse: so it was undone. Give it more time.", "loss")
    return Paragraph(f"{words}.")


# --- method -------------------------------------------------------------------------------------


def _method(found: Outcome) -> Notes:
    notes = [Note("Pruning", _asked(found))]
    if found.calibration is not None:
        notes.append(Note("Texts", _texts(found)))
    seen = accuracy_of(found)
    if seen is not None:
        notes += [
            Note(name[:1].upper() + name[1:], _ACCURACY[name]) for name in seen.dense if name in _ACCURACY
        ]
    if found.trade is not None:
        comparison = found.trade.comparison
        threads = found.asked.get("threads")
        notes += [
            *machine_notes(comparison.machine),
            *timing_notes(comparison, threads if isinstance(threads, int) else None),
            memory_note(),
        ]
    notes.append(Note("In all", f"{found.seconds:.0f} s, measuring included."))
    return Notes(tuple(notes))


def _asked(found: Outcome) -> str:
    done, asked = found.report, found.asked
    words = [f"Method {done.method}, pattern {done.pattern}, budget {asked.get('budget', 'uniform')}"]
    words.append(
        f"{100 * done.requested:.3g} % of the units asked for, {100 * done.sparsity:.3g} % zeros now"
    )
    if asked.get("precision") == "int8":
        words.append("what is kept rounded to 8 bits, with a scale per output")
    if asked.get("layers"):
        words.append(f"only layers in whose name {asked['layers']!r} is found")
    words.append("no recovery" if done.recovery is None else f"recovery for {asked.get('recover')}")
    if found.recipe is not None:
        words.append(f"as a recipe: {'; '.join(found.recipe.to_yaml().splitlines())}")
    if done.peak_bytes is not None:
        words.append(f"calibration held at most {done.peak_bytes / 2**20:.0f} MiB")
    return f"{'; '.join(words)}."


def _texts(found: Outcome) -> str:
    """Any record of what the model was calibrated on: of texts, or of a factory's inputs."""
    about = found.calibration or {}
    named = {"texts": "different ones", "batches": "batches", "calibration": "to calibrate on"}
    named |= {"training": "to train on", "held_out": "held out to judge by"}
    counts = [f"{about[key]:,} {words}" for key, words in named.items() if isinstance(about.get(key), int)]
    return f"{about.get('origin', 'not told')}: {', '.join(counts)}."
