"""Plans as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Factor
from aerogel.carbon.intensities import clock
from aerogel.carbon.plan.batch import BatchSize, BatchStudy
from aerogel.carbon.plan.compute_optimal import CONFIDENCE, Optimum
from aerogel.carbon.plan.ranking import Ranking
from aerogel.carbon.plan.rightsize import Choice
from aerogel.carbon.plan.served import Served
from aerogel.carbon.plan.when_where import Schedule, Shifting, joined
from aerogel.carbon.plan.where import There
from aerogel.carbon.plan.work import Bill

_SCALES: Mapping[str, Sequence[tuple[float, str]]] = {
    "kWh": ((1e6, "GWh"), (1e3, "MWh"), (1, "kWh"), (1e-3, "Wh")),
    "kgCO2e": ((1e3, "t CO2e"), (1, "kg CO2e"), (1e-3, "g CO2e")),
    "L": ((1e3, "m3"), (1, "L")),
    "J": ((1e3, "kJ"), (1, "J"), (1e-3, "mJ"), (1e-6, "uJ")),
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "us")),
    "h": ((1, "h"),),
}
_COUNTS = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_MOST_PIECES = 6


def spelled(amount: Amount) -> str:
    """In a unit that keeps figures short: "445 MWh [225, 1,270]"; "unknown" stays so."""
    scales = _SCALES.get(amount.unit)
    size = amount.value if amount.value is not None else amount.high
    if scales is None or not math.isfinite(size):
        return str(amount)
    scale, unit = next((s for s in scales if abs(size) >= s[0]), scales[-1])
    return str(amount.scaled(1 / scale, unit))


def counted(amount: Amount) -> str:
    """A large number in words: "72.2 billion [51.6, 101]"; operations as 5.76e+23."""
    value = amount.value
    assert value is not None
    if amount.unit == "FLOP":
        bounds = "" if amount.low == amount.high else f" [{amount.low:.3g}, {amount.high:.3g}]"
        return f"{value:.3g}{bounds}"
    scale, word = next((s for s in _COUNTS if value >= s[0]), (1.0, ""))
    return str(amount.scaled(1 / scale, word)).replace("  ", " ")


def _bare(amount: Amount) -> str:
    """Without its unit, which stands elsewhere."""
    return str(Amount(amount.value, amount.low, amount.high, "")).replace("  ", " ")


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Rows of words under each other; all but the first column's ends are ragged."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def optimum_text(optima: Sequence[Optimum], served: Served | None = None) -> str:
    """A column for each law; the first is the one to plan with."""
    first = optima[0]
    rows = [
        ("", *(f"{o.law.key} ({o.law.year})" for o in optima)),
        ("parameters", *(counted(o.parameters) for o in optima)),
        ("tokens", *(counted(o.tokens) for o in optima)),
        ("tokens each", *(_bare(o.tokens_per_parameter) for o in optima)),
        ("loss", *(f"{o.loss:.3f} nats per token" for o in optima)),
    ]
    lines = [f"budget       {counted(first.flop)} operations", columns(rows)]
    lines.append(f"in brackets: {100 * CONFIDENCE:.0f} % of what the fit's errors and the budget leave open")
    if served is not None:
        lines.append(_served_text(served))
    return "\n".join(lines)


def _served_text(served: Served) -> str:
    size, tokens = Amount.exact(served.parameters, ""), Amount.exact(served.tokens, "")
    many = counted(Amount.exact(served.served_tokens, ""))
    return (
        f"to serve {many} tokens as well: {counted(size)} parameters on {counted(tokens)} tokens reach the "
        f"same loss with {100 * served.saved:.0f} % fewer operations in all ({served.total_flop:.3g} instead "
        f"of {served.compute_optimal_flop:.3g})"
    )


def bill_text(found: Bill) -> str:
    """What the work takes on one kind of hardware."""
    hardware = found.machine.hardware
    money = "not known: give a price" if found.money is None else str(found.money)
    rows = [
        ("device-hours", spelled(found.hours)),
        ("electricity", f"{spelled(found.energy)} (of the computers {spelled(found.computer)})"),
        ("emitted", f"{spelled(found.location)} by location; {spelled(found.market)} by market"),
        ("making", f"{spelled(found.embodied)}, its share"),
        ("water", f"{spelled(found.water)} on site"),
        ("money", money),
    ]
    head = f"on {hardware.name} in {found.machine.dtype}; energy of {found.covers}"
    return f"{head}\n{columns(rows, '  ')}"


def assumed_text(factors: Iterable[Factor], notes: Iterable[str] = ()) -> str:
    """Every factor with its source, each once."""
    lines = [f"  {factor}" for factor in {f.key: f for f in factors}.values()]
    return "\n".join(["assumed:", *lines, *(f"  note: {note}" for note in dict.fromkeys(notes))])


def ranking_text(found: Ranking) -> str:
    """Hardware from the least energy on; "may be least": within its bounds it may take no more than the
    first."""
    rivals = found.rivals()
    rows = [("", "electricity", "device-hours", "operations per joule at peak", "year", "")]
    for effort in found.efforts:
        hardware = effort.machine.hardware
        rows.append(
            (
                hardware.name,
                spelled(effort.energy),
                spelled(effort.hours),
                f"{hardware.per_joule(effort.machine.dtype):.3g}",
                str(hardware.year),
                "may be least" if effort in rivals else "",
            )
        )
    lines = [columns(rows)]
    if found.left_out:
        lines.append(f"left out, as not enough is known: {', '.join(name for name, _ in found.left_out)}")
    same = "if each reaches the same share of its peak and of its power; measured, orders change"
    return "\n".join([*lines, f"in this order {same}"])


def choice_text(choice: Choice) -> str:
    """Which model, how sure that is, and the others."""
    rows = [("", "accuracy", "cost of one item", "")]
    order = sorted((*choice.enough, *choice.without_cost), key=lambda c: c is not choice.chosen)
    for one in order:
        mark = "chosen" if one is choice.chosen else "may cost as little" if one in choice.rivals else ""
        rows.append((one.model, _bare(one.accuracy), spelled(one.cost), mark))
    return f"{_choice_sentence(choice)}\n{columns(rows)}" if order else _choice_sentence(choice)


def _choice_sentence(choice: Choice) -> str:
    near = choice.nearest
    if choice.chosen is None and choice.without_cost:
        return f"no model of known cost reaches {choice.wanted:g}"
    if choice.chosen is None:
        nearest = f"the most accurate is {near.model} with {_bare(near.accuracy)}"
        return f"no model reaches {choice.wanted:g}; {nearest}"
    sure = "surely" if choice.surely_accurate else "by its measured value, not surely,"
    cheapest = "and none that does may cost less" if not choice.rivals else "not proven to cost least"
    return (
        f"{choice.chosen.model}: {sure} reaches {choice.wanted:g}, {cheapest} "
        f"({choice.chosen.method}; cost {spelled(choice.chosen.cost)} per item)"
    )


def shifting_text(found: Shifting) -> str:
    """The best time at each place, against running at once at home."""
    rows: list[Sequence[str]] = [("", "when", "g per kWh", "emitted", "less than at once")]
    rows.append(_schedule_row(found, found.now, "at once"))
    rows += [_schedule_row(found, schedule, "") for schedule in found.by_place]
    lines = [columns(rows)]
    lines += [f"{place}: not possible by the deadline (or the table has gaps)" for place in found.impossible]
    lines.append(
        "what moving data and waiting machines take is not counted; where the gain is small, so is the "
        "reason to shift"
    )
    return "\n".join(lines)


def _schedule_row(found: Shifting, schedule: Schedule, label: str) -> tuple[str, ...]:
    spans = [f"{clock(s.begin)} to {clock(s.end)}" for s in joined(schedule.slots)]
    more = f" and {len(spans) - _MOST_PIECES} more" if len(spans) > _MOST_PIECES else ""
    saved = "" if label else _saved_text(found, schedule)
    intensity = _bare(schedule.intensity)
    place = f"{schedule.place}{' ' + label if label else ''}"
    return (place, ", ".join(spans[:_MOST_PIECES]) + more, intensity, spelled(schedule.emitted), saved)


def _saved_text(found: Shifting, schedule: Schedule) -> str:
    share = found.saved(schedule)
    if share.value is None:
        return "unknown"
    bounds = "" if share.low == share.high else f" [{_percent(share.low)}, {_percent(share.high)}]"
    unsure = "" if found.proven(schedule) or share.value <= 0 else ", not proven"
    return f"{_percent(share.value)}{bounds}{unsure}"


def _percent(share: float) -> str:
    return "-inf %" if math.isinf(share) else f"{100 * share:.3g} %"


def where_text(found: Sequence[There]) -> str:
    """Places from the cleanest on; "may be least": its bounds reach below the first one's upper one."""
    best = found[0]
    rows = [("", "emitted", "electricity", "")]
    for there in found:
        rival = there is not best and there.emitted.low <= best.emitted.high
        rows.append(
            (there.place, spelled(there.emitted), spelled(there.energy), "may be least" if rival else "")
        )
    return columns(rows)


def batch_text(study: BatchStudy) -> str:
    """A row for each size, and which to take."""
    head = ("items", "one call", "19 of 20 within", "time per item", "energy per item", "CPU time per item")
    rows: list[Sequence[str]] = [head]
    for size in study.sizes:
        times = (size.call_s, size.late_s, size.item_s)
        energy = spelled(size.joules)
        rows.append((str(size.items), *map(_seconds, times), energy, _seconds(size.cpu_s)))
    how = study.sizes[0]
    return f"{columns(rows)}\n{_batch_sentence(study)}\n{how.method}: {how.source}"


def _batch_sentence(study: BatchStudy) -> str:
    best = study.chosen
    if best is None:
        assert study.latency_s is not None
        least = min(s.wait_s(study.arrivals_per_s) for s in study.sizes)
        return f"no size keeps within {_seconds(study.latency_s)}: the quickest takes {_seconds(least)}"
    if not study.measured:
        unproven = "energy not measured, so nothing is proven of it"
        return f"{best.items} at a time take least time per item; {unproven}"
    if study.rivals:
        named = ", ".join(str(size.items) for size in study.rivals)
        return f"{best.items} at a time took least energy per item; not proven against {named}"
    return f"{best.items} at a time take least energy per item{_against_one(study, best)}"


def _against_one(study: BatchStudy, best: BatchSize) -> str:
    first = study.sizes[0]
    if first is best or not first.joules.value or best.joules.value is None:
        return ""
    return f", {100 * (1 - best.joules.value / first.joules.value):.0f} % less than {first.items}"


def _seconds(seconds: float) -> str:
    return spelled(Amount.exact(seconds, "s"))
