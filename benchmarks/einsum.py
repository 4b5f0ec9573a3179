"""All claims about sparse algebra (ag.einsum, ag.evaluate): against the libraries that people use for it.

    .venv/bin/aerogel bench --prepare einsum          # once: numba, PyData/sparse and GraphBLAS, 520 MB
    .venv/bin/python benchmarks/einsum.py             # about 10 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/einsum.py --quick     # about 2: two patterns each, f64, short blocks
    .venv/bin/python benchmarks/einsum.py --all       # longer blocks; what takes a library very long, too
    .venv/bin/python benchmarks/einsum.py --only spmv --only ttm --keep    # the other results stay

Twelve operations on the patterns of real matrices (of 12,000 entries or more), undirected graphs (10,000) and
tensors (5,000); the smaller ones are listed as left out. In float64 and float32, on two threads.
Everyone holds operands in the form that suits them, made before; everyone allocates the result within the
call. Every result was compared with that of NumPy and SciPy in float64 before it was timed. Blocks last
0.02 s rather than half a second: the shortest call takes microseconds, and there are over a thousand pairs
of a case and a library.

The claims are about the geometric mean, over an operation's cases, of our speed over that of the best
library of each case, whichever it is; of triangle counts over GraphBLAS, of transposition and COO to CSR
over SciPy, with the ratio to the best beside it. SciPy and torch leave the columns of a product's rows
unsorted, which is less work than we and the others do: their ratio counts, and the one to those who sort
stands beside it.

Also measured: the first call of an operation (compiling, then with code cached), and calls on tensors so
small that all of the time is overhead. Writes benchmarks/results/einsum.json. Exit status 1 if a claim does
not hold or an operation could not be measured.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aerogel.bench.claims import Claim, at_least, kept, write
from aerogel.bench.einsum.data import read_patterns
from aerogel.bench.einsum.operations import OPERATIONS
from aerogel.bench.einsum.peers import LIBRARIES, OWN, not_timed
from aerogel.bench.einsum.problem import DTYPES
from aerogel.bench.einsum.run import TINY, Measured, Plan, measure
from aerogel.bench.einsum.summary import Overall, Row, overall
from aerogel.bench.render import aligned
from aerogel.bench.told import show
from aerogel.measure import Settings, machine

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "einsum.json"
DATA = HERE.parents[1] / "shared" / "data"
FULL = Settings(rounds=6, block_s=0.02, warm_s=0.005, min_runs=1)
LONG = Settings(rounds=8, block_s=0.1, warm_s=0.02, min_runs=2)
QUICK = Settings(rounds=6, block_s=0.005, warm_s=0.0, min_runs=1)
# Over the best library of each case, or over the operation's rival, as a geometric mean.
WANTED = {
    "spmv": 1.0,
    "spmm32": 1.3,
    "spmm128": 1.3,
    "spgemm": 1.2,
    "sddmm": 3.0,
    "add3": 2.0,
    "transpose": 1.0,
    "coo_to_csr": 1.0,
    "triangles": 1.0,
    "ttv": 2.0,
    "ttm": 2.0,
    "mttkrp": 3.0,
}


def section(operation: str, measured: Measured, settings: Settings) -> dict[str, Any]:
    """All that was found of one operation."""
    rows = [row for row in measured.rows if row.operation == operation]
    found = overall(operation, [row for row in rows if row.data != TINY])
    first = measured.first_calls.get(operation)
    return {
        "title": OPERATIONS[operation].title,
        "computes": OPERATIONS[operation].notation,
        "claim": claim_of(found).to_json() if found else None,
        "overall": found.to_json() if found else None,
        "first_call": first.to_json() if first else None,
        "call_on_tiny_s": {row.dtype: _medians(row) for row in rows if row.data == TINY},
        "left_out": dict(OPERATIONS[operation].left_out),
        "settings": asdict(settings),
        "libraries": measured.facts.get(operation, {}),
        "cases": [row.to_json() for row in rows if row.data != TINY],
    }


def _medians(row: Row) -> dict[str, float]:
    return {t.contender: t.median_s for t in (*([row.own] if row.own else []), *row.peers)}


def claim_of(found: Overall) -> Claim:
    title = OPERATIONS[found.operation].title
    over = f"{found.rival.over} in" if found.rival else "the best library of"
    about = f"{title}: over {over} each of {found.cases} cases, geometric mean"
    return at_least(about, found.rival or found.mean, WANTED[found.operation])


def case_table(operation: str, rows: list[Row]) -> str:
    """Microseconds of everyone."""
    names = [n for n in LIBRARIES if any(n in _medians(row) for row in rows)]
    head = [OPERATIONS[operation].title, "type", "entries", *names, "best other", "over it"]
    lines = [head]
    for row in rows:
        medians = _medians(row)
        cells = [
            f"{medians[n] * 1e6:.1f}" + ("*" if n in row.unordered else "") if n in medians else ""
            for n in names
        ]
        best = row.best.contender if row.best else ""
        lines.append([row.data, row.dtype, f"{row.stored}", *cells, best, str(row.ratio or "")])
    unsorted = any(row.unordered for row in rows)
    note = ["* microseconds, columns of a row unsorted"] if unsorted else ["microseconds"]
    return "\n".join([*aligned(lines, left=(0, 1, len(head) - 2)), *note])


def overview(operations: dict[str, Any]) -> str:
    """A line for each operation that aerogel was timed on."""
    head = [
        "operation",
        "cases",
        "over the best",
        "of those who sort",
        "worst",
        "",
        "compile",
        "cached",
        "a tiny call",
    ]
    lines = [head]
    for found in operations.values():
        total, first = found["overall"], found["first_call"]
        if total is None:
            continue
        ends = [_ratio(total[name]) for name in ("over_best_peer", "over_best_ordered_peer", "worst")]
        times = [f"{first['compile_s']:.2f} s", f"{first['cached_s'] * 1e3:.1f} ms"] if first else ["", ""]
        tiny = f"{found['call_on_tiny_s']['f64'][OWN] * 1e6:.1f} us"
        lines.append([found["title"], str(total["cases"]), *ends, total["worst"]["case"], *times, tiny])
    return "\n".join(aligned(lines, left=(0, 5))) if len(lines) > 1 else "aerogel was not timed."


def _ratio(ratio: dict[str, Any]) -> str:
    return f"{ratio['value']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    about = "only this operation; repeatable"
    parser.add_argument("--only", choices=tuple(OPERATIONS), action="append", metavar="OP", help=about)
    about = "what an earlier run found of other operations stays in the output"
    parser.add_argument("--keep", action="store_true", help=about)
    about = "so many patterns of each kind, from the smallest to the largest; by default all (half an hour)"
    parser.add_argument("--patterns", type=int, metavar="N", help=about)
    about = f"only these, by default all: {', '.join(LIBRARIES)}"
    parser.add_argument("--libraries", metavar="A,B", help=about)
    about = "longer blocks, and also what takes a library very long"
    parser.add_argument("--all", action="store_true", help=about)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="matrices and tensors")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> int:
    asked = options()
    earlier = kept(asked.output, lambda d: [d["machine"]["cpu"]])["operations"] if asked.keep else {}
    patterns = read_patterns(asked.data)
    settings = QUICK if asked.quick else LONG if asked.all else FULL
    names = tuple(asked.libraries.split(",")) if asked.libraries else tuple(LIBRARIES)
    plan = Plan(
        patterns,
        settings,
        names,
        slow=asked.all,
        patterns=asked.patterns or (2 if asked.quick else None),
        dtypes=DTYPES[: 1 if asked.quick else 2],
    )
    wanted = asked.only or list(OPERATIONS)
    measured = measure(plan, wanted, show)
    found = {name: section(name, measured, settings) for name in wanted if name not in measured.failed}
    operations = {name: (earlier | found)[name] for name in OPERATIONS if name in earlier | found}
    for name in found:
        print(f"\n{case_table(name, [row for row in measured.rows if row.operation == name])}")
    print(f"\n{overview(operations)}\n")
    claims = [Claim.from_json(section["claim"]) for section in operations.values() if section["claim"]]
    for claim in claims:
        print(claim)
    for name, reason in measured.failed.items():
        print(f"FAIL {name} could not be measured: {reason}")
    evidence = {
        "machine": machine().to_json(),
        "threads": plan.threads,
        "left_out_small": patterns.too_small(),
        "not_timed": not_timed(),
        "failed": measured.failed,
        "operations": operations,
    }
    write(asked.output, claims, evidence)
    return 0 if not measured.failed and all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
