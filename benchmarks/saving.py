"""What zeros save on this machine: MiniLM with 80 % of its weights zero against the same without, in turns.

    .venv/bin/python benchmarks/saving.py            # about 2 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/saving.py --quick    # shorter blocks: to see that it works

Writes benchmarks/results/saving.json. With a meter, energy is measured, and the saving proven or said not to
be; without one, time is measured and energy between the bounds of a named power model. Exit status 1 if a
sentence claims more than was measured, or if the zeros save no time.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from aerogel.bench import EncoderBench, Variant, compare_encoder
from aerogel.bench.demo import model_folder
from aerogel.bench.energy import EnergyPair, metered, table_energy
from aerogel.bench.told import show
from aerogel.measure import Settings

RESULTS = Path(__file__).parent / "results" / "saving.json"
SHAPES = ("1x16", "1x128", "8x128")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--model", type=Path, help="a Hugging Face directory, by default the demo's model")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quick = Settings(rounds=6, block_s=0.1, warm_s=0.0, min_runs=2)
    bench = EncoderBench(
        options.model or model_folder(),
        against=(),
        variants=(Variant(), Variant(0.8)),
        shapes=SHAPES[:1] if options.quick else SHAPES,
        energy=True,
    )
    table = compare_encoder(bench, settings=quick if options.quick else metered(Settings()), progress=show)
    found = table_energy(table)
    print("\n".join(found.lines()))
    said: dict[str, Any] = {
        "quick": options.quick,
        "machine": table.comparison.machine.to_json(),
        **found.to_json(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(said, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    faster = all(pair.saving.speedup.verdict == "faster" for pair in found.pairs)
    return 0 if all(map(honest, found.pairs)) and (faster or options.quick) else 1


def honest(pair: EnergyPair) -> bool:
    """Is nothing said of energy that no meter told?"""
    measured = all(r.method == "measured" for r in (*pair.saving.dense, *pair.saving.sparse))
    return measured or (
        pair.saving.verdict == "not measured" and str(pair.saving).startswith("energy not measured; time ")
    )


if __name__ == "__main__":
    sys.exit(main())
