"""The outcome of ``aerogel prune`` as text: layers, then each number beside its dense control."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.bench.render import milliseconds
from aerogel.energy import Reading
from aerogel.measure import CaseResult
from aerogel.trial.accuracy import Accuracy
from aerogel.trial.outcome import Outcome
from aerogel.trial.payback import PayBack
from aerogel.trial.trade import DENSE, PRUNED, Trade

_NONE = "-"


def outcome_text(found: Outcome) -> str:
    """Lines to print."""
    parts = [
        str(found.report),
        _accuracy(found),
        _sizes(found),
        _trade(found),
        "\n".join(spent_lines(found)),
        _end(found),
    ]
    return "\n\n".join(part for part in parts if part)


def _accuracy(found: Outcome) -> str:
    shown = accuracy_text(found.accuracy, found.accuracy_missing, found.file_accuracy)
    in_file = any(written.kind == "file" for written in found.written)
    if found.accuracy is None or found.file_accuracy is not None or not in_file:
        return shown
    return f"{shown}\nJudged as a torch module; the file holds embedding tables as 8-bit integers."


def accuracy_text(seen: Accuracy | None, missing: str | None, compiled: Accuracy | None = None) -> str:
    """The numbers of both models, and how they were got; or why there are none (``missing``)."""
    if seen is None:
        return f"accuracy: not measured ({missing})"
    columns = [seen] if compiled is None else [seen, compiled]
    rows = [["accuracy", "dense", "pruned", "compiled"][: 2 + len(columns)]]
    rows += [
        [name, _number(dense), *(_number(column.pruned[name]) for column in columns)]
        for name, dense in seen.dense.items()
    ]
    return f"{grid(rows)}\n{seen.method[:1].upper()}{seen.method[1:]}."


def _sizes(found: Outcome) -> str:
    rows = [["size", "dense", "pruned", ""]]
    for written in found.written:
        if written.kind == "directory":
            cells = ["checkpoint", found.checkpoint_bytes, f"{written.path} (its zeros take room, too)"]
        elif written.kind == "file":
            cells = [".aero file", found.artefact_bytes, written.path]
        else:
            cells = ["weights", found.checkpoint_bytes, f"{written.path} (without zeros)"]
        rows.append([str(cells[0]), _megabytes(cells[1]), _megabytes(written.bytes), str(cells[2])])
    files = any(written.kind == "file" for written in found.written)
    more = f"\nThe dense checkpoint has {_megabytes(found.checkpoint_bytes)}." if files else ""
    return grid(rows, words=3) + more if found.written else ""


def _trade(found: Outcome) -> str:
    trade = found.trade
    if trade is None:
        return _no_trade(found)
    cases = trade.comparison.cases
    rows = [["", "peak memory", *(case.name for case in cases)]]
    rows += [
        [row, _megabytes(trade.peak_bytes(row)), *(_latency(case, row) for case in cases)]
        for row in trade.rows
    ]
    lines = [grid(rows), ""]
    lines += [
        _speedups(trade, over) for over in (DENSE, *(r for r in trade.rows if r not in (DENSE, PRUNED)))
    ]
    about, settings = trade.comparison.machine, trade.comparison.settings
    where = f"{about.cpu or about.architecture}, {about.usable_cores} cores"
    lines.append(
        f"Median latency of a call with its {100 * settings.confidence:g} % interval, at sequences x tokens; "
        f"memory of the whole process, loading included.\nMeasured on {where}; each in its own process, "
        f"{settings.rounds} blocks in turns."
    )
    return "\n".join(lines)


def _no_trade(found: Outcome) -> str:
    """A model that is not compiled has its memory shown, and no word of speed."""
    missing = found.trade_missing or ""
    if not missing.startswith("not compiled"):
        return f"time and memory: not measured ({missing})"
    said = f"time: {missing}; so no speed is claimed"
    if found.memory is None:
        return said
    rows = [
        ["peak memory", "dense", "pruned"],
        ["in torch", _megabytes(found.memory.dense_bytes), _megabytes(found.memory.pruned_bytes)],
    ]
    return (
        f"{grid(rows)}\nOf the whole process, loading included; torch holds zeros like other numbers.\n{said}"
    )


def spent_lines(found: Outcome) -> list[str]:
    """What pruning and recovery took, and after how many calls that is saved again."""
    spent = found.spent
    if spent is None:
        return []
    parts = [(name, r) for name, r in (("pruning", spent.pruning), ("recovery", spent.recovery)) if r]
    rows = [["it took", "time", "energy"], *([name, f"{r.seconds:.3g} s", r.amount] for name, r in parts)]
    lines = [grid(rows), f"{metered_by(spent.made)}."]
    if spent.resumed:
        lines.append("What runs that were interrupted took before is not in it.")
    if found.trade is None:
        return [*lines, "After how many calls that is paid back is not said, for no speed is claimed."]
    return [*lines, *(_paid_back(found.paybacks, of) for of in ("time", "energy"))]


def metered_by(reading: Reading) -> str:
    """How its energy is known, in a few words."""
    if reading.method == "measured":
        return f"Energy measured by {reading.source}"
    how = "not measured: bounds" if reading.joules is None else reading.method
    return f"Energy {how} under the power model {reading.model}" if reading.model else "Energy not measured"


def _paid_back(paybacks: Sequence[PayBack], of: str) -> str:
    here = [each for each in paybacks if each.of == of]
    sources = list(dict.fromkeys(each.source for each in here if each.source and each.verdict != "not known"))
    by = f" ({'; '.join(sources)})" if sources else ""
    said = list(dict.fromkeys(str(each) for each in here))
    if len(said) == 1:
        return f"Paid back in {of}{by}: {said[0]}."
    return f"Paid back in {of}{by}:\n  " + "\n  ".join(f"{each.case}: {each}" for each in here)


def _latency(case: CaseResult, row: str) -> str:
    timing = case.timing(row)
    low, high = (milliseconds(bound).removesuffix(" ms") for bound in timing.interval_s)
    return f"{milliseconds(timing.median_s)} [{low}, {high}]"


def _speedups(trade: Trade, over: str) -> str:
    ratios = (f"{case.name}: {trade.speedup(case, over)}" for case in trade.comparison.cases)
    return f"{PRUNED} over {over}: {'; '.join(ratios)}"


def _end(found: Outcome) -> str:
    written = [written.path for written in found.written]
    return end_text(found.missed, written, "--recover 10m, a lower --sparsity or more --data")


def end_text(missed: Sequence[str], written: Sequence[str], advice: str) -> str:
    """The bounds that are ``missed``, with what may help, and what was written."""
    lines = [f"below the bound: {words}" for words in missed]
    if missed:
        forced = "written all the same (--force)" if written else "nothing was written"
        lines.append(f"{forced}; {advice} may help")
    return "\n".join([*lines, *(f"wrote {path}" for path in written)])


def grid(rows: Sequence[Sequence[str]], words: int | None = None) -> str:
    """Rows of cells in columns; the first to the left, others to the right, and ``words``, a column, too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, words) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _megabytes(size: object) -> str:
    return f"{size / 1e6:.1f} MB" if isinstance(size, int) else _NONE
