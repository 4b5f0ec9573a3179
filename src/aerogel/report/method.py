"""How the numbers of a table were obtained: machine, versions, contenders, timing, quality, size."""

from __future__ import annotations

import math

from aerogel.bench import Table
from aerogel.bench.quality import LOSS_BELOW
from aerogel.measure import Comparison, ContenderFacts, Machine
from aerogel.report.document import NOT_MEASURED, Cell, Grid, Note, Notes, Paragraph
from aerogel.report.wording import counted, megabytes

_BUSY = 1.5  # times the cores: what is timed keeps each of them busy once at most


def disturbance(about: Machine) -> Paragraph | None:
    """That other programs took the cores meanwhile, where the system's load says so."""
    if about.load_average is None or about.load_average <= _BUSY * about.usable_cores:
        return None
    return Paragraph(
        f"The machine was busy with other work: load average {about.load_average:.1f} on "
        f"{counted(about.usable_cores, 'core')}. On a quiet one latencies are shorter, intervals narrower.",
        "unproven",
    )


def method(table: Table) -> Notes:
    """One note for each kind of number in the report."""
    notes = [
        *machine_notes(table.comparison.machine),
        *timing_notes(table.comparison, table.threads),
        *_quality(table),
        *_error_note(table),
        Note(
            "Size",
            "As each runtime tells it: of aerogel the file where one was given, else the weights and tables "
            "that it holds in memory, packed for this CPU; of others the file or the weights they load.",
        ),
        memory_note(),
    ]
    return Notes(tuple(notes))


def machine_notes(about: Machine) -> tuple[Note, Note]:
    """Where, and with which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    return Note("Machine", _machine(about)), Note("Versions", versions)


def timing_notes(found: Comparison, threads: int | None) -> tuple[Note, ...]:
    """How contenders were timed; ``threads``: what each was given, None for its own default."""
    settings = found.settings
    level = f"{100 * settings.confidence:g} %"
    given = "its own default" if threads is None else counted(threads, "thread")
    return (
        Note(
            "Latency",
            f"Measured: each row in a process of its own with {given}, the others stopped meanwhile. "
            f"{settings.rounds} blocks of at least {settings.block_s:g} s for each row, in turns and every "
            f"other round backwards. The number is the median of the blocks' medians, in brackets the "
            f"{level} interval of that median, by order statistics.",
        ),
        Note(
            "Speed-up (x)",
            f"How many times the speed of {found.reference}, or of the row that is named: the median of the "
            f"ratios of blocks of one round, in brackets its {level} interval, widened by "
            f"{100 * settings.resolution:g} % for what two processes of one program differ by.",
        ),
        Note("Not proven", "The interval of the speed-up holds 1: the difference may be noise."),
    )


def memory_note() -> Note:
    return Note(
        "Memory",
        "Of the row's process with all that is in it, Python and libraries too: the most there was, and "
        "what there was in RAM when all was done. 1 MB is 10^6 bytes.",
    )


def _machine(about: Machine) -> str:
    memory = (
        "memory not known"
        if about.memory_bytes is None
        else f"{about.memory_bytes / 2**30:.1f} GiB of memory"
    )
    load = "" if about.load_average is None else f"; load average at the end {about.load_average:.1f}"
    return (
        f"{about.cpu or about.architecture}, {about.usable_cores} of {about.cores or 'unknown'} cores, "
        f"{memory}, {about.system} {about.kernel}, Python {about.python}{load}."
    )


def _quality(table: Table) -> list[Note]:
    if not table.qualities:
        return [Note("Quality", f"{NOT_MEASURED.capitalize()}: no texts were given to judge it by.")]
    texts = next(iter(table.qualities.values())).texts
    return [
        Note(
            "Top-10 overlap",
            f"Measured on {texts} texts: the share of each text's ten nearest other texts, by the cosine of "
            f"their vectors, that are the ten nearest of {table.dense} too, on average. Below {LOSS_BELOW} "
            f"it is called a loss. It has no interval: all texts were used.",
        ),
        Note(
            "Rank correlation",
            f"Spearman's, of the similarities of all pairs of these texts with those of {table.dense}.",
        ),
    ]


def _error_note(table: Table) -> list[Note]:
    if not table.errors:
        return []
    return [
        Note(
            "Relative error",
            f"The largest difference of the output from that of {table.dense}, over the largest value of "
            f"that, on a batch of unequal lengths.",
        )
    ]


def contenders(table: Table) -> Grid:
    """What ran: versions, threads, and what was measured once, so without an interval."""
    return Grid(
        "What was compared. Loading and memory were measured once, so they have no interval.",
        ("row", "version", "threads", "loading", "most memory", "memory in the end", "relative error"),
        tuple(_contender(table, facts) for facts in table.comparison.contenders),
        words=frozenset({0, 1}),
    )


def _contender(table: Table, found: ContenderFacts) -> tuple[Cell, ...]:
    row = found.contender.name
    version, threads = found.facts.get("version"), found.facts.get("threads")
    return (
        Cell(row, tone="own" if row in table.own else "plain"),
        Cell("not told" if version is None else str(version)),
        Cell("not told" if threads is None else str(threads)),
        Cell(f"{found.load_s:.2f} s"),
        Cell(_memory(_peak(found))),
        Cell(_memory(found.facts.get("resident_bytes"))),
        _error(table, row),
    )


def _peak(found: ContenderFacts) -> float | None:
    """The largest that was told: the process and its runtime look at different moments."""
    told = (found.peak_rss_bytes, found.facts.get("peak_bytes"))
    return max((v for v in told if isinstance(v, (int, float))), default=None)


def _memory(found: object) -> str:
    return megabytes(found) if isinstance(found, (int, float)) else NOT_MEASURED


def _error(table: Table, row: str) -> Cell:
    error = table.errors.get(row)
    if row == table.dense:
        return Cell("the truth here")
    if error is None:
        return Cell(NOT_MEASURED)
    return Cell(f"{error:.2g}") if math.isfinite(error) else Cell("not comparable")
