"""What to read first of a pruned model: a sentence, four figures beside their dense controls, a picture."""

from __future__ import annotations

from aerogel.bench.render import milliseconds
from aerogel.measure import CaseResult
from aerogel.report.chart import Axis, Chart, Limit, Point
from aerogel.report.document import KeyFigure, KeyFigures, Pictures
from aerogel.report.wording import listed, megabytes, ratio_lines, shape_title, tone_of
from aerogel.trial.accuracy import Accuracy
from aerogel.trial.outcome import Outcome
from aerogel.trial.torch_memory import TorchMemory
from aerogel.trial.trade import DENSE, PRUNED, Trade

_OWN, _OTHER = "aerogel", "other runtimes"
_DRAWABLE = 1e12


def number(value: float) -> str:
    return f"{value:.4g}"


def share_of(own: float, other: float) -> str:
    """``38 %``, of another size."""
    return f"{100 * own / other:.0f} %" if other else "-"


def accuracy_of(found: Outcome) -> Accuracy | None:
    """Of what was written: the compiled program's where it was judged, too."""
    return found.file_accuracy or found.accuracy


def headline(found: Outcome) -> str:
    """How many zeros, what they cost, what they buy; first of all that nothing came of it, if so."""
    done = found.report
    words = [f"{100 * done.sparsity:.3g} % of {done.size:,} weights in linear layers are zero."]
    seen = accuracy_of(found)
    if seen is None:
        words.append("What that costs in quality was not measured.")
    else:
        numbers = [f"{n} is {number(seen.pruned[n])} (dense: {number(seen.dense[n])})" for n in seen.dense]
        words.append(f"{_upper(listed(numbers[:2]))}.")
    if found.trade is not None:
        case = _largest(found.trade)
        words.append(f"At {case.name} it has {found.trade.speedup(case, DENSE)} the speed of {DENSE}.")
    if found.missed and not found.written:
        words.insert(0, "Nothing was written: the pruned model is below its bound.")
    return " ".join(words)


def key_figures(found: Outcome) -> KeyFigures:
    """Quality, size, memory and latency of the pruned model, each beside the dense one."""
    figures = [*_quality(found), _size(found), *_measured(found)]
    return KeyFigures(f"{found.model} at {100 * found.report.sparsity:.3g} % zeros", tuple(figures))


def _quality(found: Outcome) -> list[KeyFigure]:
    seen = accuracy_of(found)
    if seen is None:
        return [KeyFigure("Quality", None, "dense", None, found.accuracy_missing or "", "loss")]
    kind = "compiled" if found.file_accuracy is not None else ""
    tone = "loss" if found.missed else "plain"
    return [
        KeyFigure(_upper(name), number(seen.pruned[name]), "dense", number(seen.dense[name]), kind, tone)
        for name in seen.judged_by[:2]
    ]


def _size(found: Outcome) -> KeyFigure:
    """Of the file where there is one; of a checkpoint, in which zeros take room, else."""
    order = ("file", "weights", "directory")
    written = sorted(found.written, key=lambda each: order.index(each.kind))
    if not written:
        return KeyFigure(
            "Size", None, "dense checkpoint", megabytes(found.checkpoint_bytes), "nothing written"
        )
    first = written[0]
    note = f"{share_of(first.bytes, found.checkpoint_bytes)} as large"
    if first.kind == "directory":
        return KeyFigure(
            "Checkpoint",
            megabytes(first.bytes),
            "dense",
            megabytes(found.checkpoint_bytes),
            f"{note}: its zeros take room, too; a .aero file leaves them out",
        )
    if first.kind == "weights":
        dense = megabytes(found.checkpoint_bytes)
        return KeyFigure("Weights, without zeros", megabytes(first.bytes), "dense", dense, note)
    if found.artefact_bytes is not None:
        note += f"; a dense file has {megabytes(found.artefact_bytes)}"
    return KeyFigure(
        "File", megabytes(first.bytes), "dense checkpoint", megabytes(found.checkpoint_bytes), note
    )


def _measured(found: Outcome) -> list[KeyFigure]:
    trade = found.trade
    if trade is None:
        why = found.trade_missing or ""
        if found.memory is not None:
            return [_torch_memory(found.memory), KeyFigure("Median latency", None, DENSE, None, why)]
        return [KeyFigure(name, None, DENSE, None, why) for name in ("Most memory", "Median latency")]
    own, other = trade.peak_bytes(PRUNED), trade.peak_bytes(DENSE)
    case = _largest(trade)
    ratio = trade.speedup(case, DENSE)
    value, interval, *proven = ratio_lines(ratio)
    level = f"{100 * ratio.confidence:g} % interval"
    return [
        KeyFigure(
            "Most memory",
            None if own is None else megabytes(own),
            DENSE,
            None if other is None else megabytes(other),
            "" if own is None or other is None else f"{share_of(own, other)} as much, loading included",
        ),
        KeyFigure(
            f"Median latency at {case.name}",
            milliseconds(case.timing(PRUNED).median_s),
            DENSE,
            milliseconds(case.timing(DENSE).median_s),
            f"{value} {', '.join((interval, level, *proven))}",
            tone_of(ratio),
        ),
    ]


def _torch_memory(found: TorchMemory) -> KeyFigure:
    own, other = (
        None if size is None else megabytes(size) for size in (found.pruned_bytes, found.dense_bytes)
    )
    return KeyFigure("Most memory, in torch", own, "dense", other, "torch holds zeros like other numbers")


def _largest(trade: Trade) -> CaseResult:
    return max(trade.comparison.cases, key=lambda case: case.timing(DENSE).median_s)


def picture(found: Outcome) -> Pictures | None:
    """Quality over speed for each shape, memory as area; None where one of them was not measured."""
    trade, seen = found.trade, found.accuracy
    if trade is None or seen is None:
        return None
    name = seen.judged_by[0]
    heights = {row: seen.dense[name] for row in trade.rows if "int8" not in row}
    heights[PRUNED] = (accuracy_of(found) or seen).pruned[name]
    if any(abs(value) > _DRAWABLE for value in heights.values()):
        return None
    x, y = _speed_axis(trade, list(heights)), Axis(name, "high")
    limit = _limit(found, seen.dense[name])
    groups = (_OWN, *((_OTHER,) if any(row not in (DENSE, PRUNED) for row in heights) else ()))
    charts = tuple(
        Chart(
            shape_title(case),
            x,
            y,
            tuple(_point(trade, case, row, height) for row, height in heights.items()),
            groups,
            size_title="of memory",
            size_unit=" MB",
            limit=limit,
            origin=1.0,
        )
        for case in trade.comparison.cases
    )
    return Pictures(charts, _caption(trade, name, list(heights)))


def _speed_axis(trade: Trade, rows: list[str]) -> Axis:
    ratios = [case.speedup(r, over=DENSE) for case in trade.comparison.cases for r in rows if r != DENSE]
    low = min([1.0, *(ratio.low for ratio in ratios)])
    high = max([1.0, *(ratio.high for ratio in ratios)])
    return Axis(f"times the speed of {DENSE}", "high", log=True, unit="x", low=low, high=high)


def _limit(found: Outcome, dense: float) -> Limit | None:
    """The stricter of both bounds."""
    keep, floor = found.asked.get("keep"), found.asked.get("floor")
    least = [keep * dense] if isinstance(keep, float) else []
    least += [floor] if isinstance(floor, float) and abs(floor) <= _DRAWABLE else []
    return Limit(max(least), "below the bound") if least else None


def _point(trade: Trade, case: CaseResult, row: str, height: float) -> Point:
    group = _OWN if row in (DENSE, PRUNED) else _OTHER
    peak = trade.peak_bytes(row)
    size = None if peak is None else peak / 1e6
    if row == DENSE:
        return Point(row, 1.0, height, group, size)
    ratio = case.speedup(row, over=DENSE)
    return Point(row, ratio.value, height, group, size, (ratio.low, ratio.high))


def _caption(trade: Trade, name: str, rows: list[str]) -> str:
    level = f"{100 * trade.comparison.settings.confidence:g} %"
    said = [
        "Right is faster, up is better. Area is the most memory the process held.",
        f"Strokes are {level} intervals of the speed-up.",
        f"All dense rows stand at the {name} of the dense torch module.",
    ]
    left_out = [row for row in trade.rows if row not in rows]
    if left_out:
        said.append(f"Not in the picture, as their {name} was not measured: {listed(left_out)}.")
    return " ".join(said)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
