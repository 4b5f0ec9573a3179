"""How the numbers of a table read: each with its interval, and what it proves or does not, in words."""

from __future__ import annotations

from aerogel.bench import DENSE, Table, milliseconds
from aerogel.bench.quality import LOSS_BELOW
from aerogel.measure import CaseResult, Ratio
from aerogel.report.document import NOT_MEASURED, Cell, Tone

NOT_PROVEN = "not proven"


def dense_control(table: Table) -> str:
    """The row a pruned one is set beside: aerogel's own dense program, else what all are compared with."""
    return DENSE.name if DENSE.name in table.own else table.comparison.reference


def is_loss(table: Table, row: str) -> bool | None:
    """None where quality was not measured."""
    judged = table.qualities.get(row)
    return None if judged is None else judged.top_overlap < LOSS_BELOW


def ratio_lines(ratio: Ratio) -> tuple[str, ...]:
    """``2.13x``, ``[2.02, 2.21]``, and ``not proven`` where the interval holds 1."""
    proven = () if ratio.proven else (NOT_PROVEN,)
    return f"{ratio.value:.2f}x", f"[{ratio.low:.2f}, {ratio.high:.2f}]", *proven


def latency(case: CaseResult, row: str, reference: str) -> Cell:
    """The median with its interval; how many times the reference's speed it is, with its interval."""
    timing = case.timing(row)
    low, high = (milliseconds(bound).removesuffix(" ms") for bound in timing.interval_s)
    around = f"[{low}, {high}]"
    if row == reference:
        return Cell(milliseconds(timing.median_s), (around, "1x: the reference"))
    ratio = case.speedup(row, over=reference)
    value, interval, *proven = ratio_lines(ratio)
    return Cell(milliseconds(timing.median_s), (around, f"{value} {interval}", *proven), tone_of(ratio))


def shape_title(case: CaseResult) -> str:
    """``8x128: 8 sequences of 128 tokens``; the name alone where the case is no such shape."""
    lengths = case.params.get("lengths")
    if not isinstance(lengths, list) or len(set(map(str, lengths))) != 1:
        return case.name
    sequences = "1 sequence" if len(lengths) == 1 else f"{len(lengths)} sequences"
    return f"{case.name}: {sequences} of {lengths[0]} tokens"


def tone_of(ratio: Ratio) -> Tone:
    return "plain" if ratio.proven else "unproven"


def size(table: Table, row: str) -> str | None:
    found = table.size_bytes(row)
    return None if found is None else megabytes(found)


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def overlap(table: Table, row: str) -> Cell:
    """The share of neighbours kept; under ``LOSS_BELOW`` it is called a loss."""
    judged = table.qualities.get(row)
    if judged is None:
        return Cell(NOT_MEASURED)
    shown = f"{judged.top_overlap:.2f}"
    if not is_loss(table, row):
        return Cell(shown)
    # Three digits where two would read 0.90 and yet be a loss.
    shown = shown if float(shown) < LOSS_BELOW else f"{judged.top_overlap:.4f}"
    return Cell(shown, (f"a loss: below {LOSS_BELOW}",), "loss")


def correlation(table: Table, row: str) -> Cell:
    judged = table.qualities.get(row)
    return Cell(NOT_MEASURED if judged is None else f"{judged.spearman:.3f}")


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
