"""Writes the results section of the README from benchmarks/results/*.json; with --check only compares.

    .venv/bin/python benchmarks/readme.py            # after the other scripts have run
    .venv/bin/python benchmarks/readme.py --check    # exit status 1 if the README says anything else

No figure stands in that section that a script has not measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- results: begin (made from benchmarks/results/*.json) -->", "<!-- results: end -->"

# How artefact.py calls the row of a first load.
FIRST = ", first load"

KERNELS = (
    "One thread, geometric mean over 1536 x 384, 384 x 1536, 3072 x 768 and 768 x 768 at 32, 128 and 512"
    " columns, against torch's dense product; the intervals are the means of the twelve."
)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, the first column to the left."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def interval(value: float, low: float | None, high: float | None, unit: str) -> str:
    shown = f"{value:.3g}{unit}"
    return shown if low is None or high is None else f"{shown} [{low:.3g}, {high:.3g}]"


def machine(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {facts['versions'][name]}" for name in ("torch", "onnxruntime", "llvmlite"))
    isa = facts["target"].split("/")[0]
    return f"{facts['cpu']}, {facts['usable_cores']} cores, {isa}, {facts['system']}; {versions}"


def encoder(data: Mapping[str, Any]) -> str:
    shapes = list(data["table"]["rows"][0]["cases"])
    reference = data["table"]["comparison"]["reference"]
    rows: list[list[str]] = []
    for row in data["table"]["rows"]:
        cells = [row["name"]]
        for shape in shapes:
            case = row["cases"][shape]
            ratio = case["speedup"]
            factor = (
                "1x" if ratio is None else f"{ratio['value']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}]"
            )
            unproven = "" if ratio is None or ratio["verdict"] != "not proven" else " not proven"
            cells.append(f"{case['median_s'] * 1e3:.2f} ms, {factor}{unproven}")
        quality = row["quality"]
        cells.append(f"{row['size_bytes'] / 1e6:.0f} MB" if row["size_bytes"] else "")
        cells.append(f"{quality['top_overlap']:.2f}" if quality else "")
        cells.append(f"{quality['spearman']:.3f}" if quality else "")
        rows.append(cells)
    head = ["all-MiniLM-L6-v2", *shapes, "size in use", "top-10 overlap", "rank correlation"]
    where = machine(data["table"]["comparison"]["machine"])
    note = f"Batch x tokens; times the speed of {reference}, with 95 % interval. Overlap and correlation:"
    note += f" against the dense model. Measured on {where}."
    return "\n\n".join([f"**{data['table']['headline']}**", table(head, rows), note])


def whole_encoder(data: Mapping[str, Any]) -> list[str]:
    return [encoder(data), claims(data, "claims")]


MEMORY = (
    "Kept for this CPU: packed weights in the user's cache folder, made by the first load and mapped by later"
    " ones. Memory: of a fresh process that loads the model from disk and runs it at 8 x 128 and 1 x 16."
    " Peak: the most that was ever resident, loading included (VmHWM; the median of {runs}); in brackets the"
    " first load ever, which also times kernels and generates code. At the end: what is resident after the"
    " last call, and how much of that is no page of a file. First answer: from before the import, in a"
    " process without torch, code and packing kept; to a text, tokenizing included."
)


def artefact(data: Mapping[str, Any]) -> str:
    files = {file["name"]: file for file in data["files"]["files"]}
    rows: list[list[str]] = []
    for name, runs in data["memory"].items():
        if name.endswith(FIRST):
            continue
        disk, (end, *_) = runs[0]["disk_bytes"], [run["phases"]["1x16"] for run in runs]
        peak = megabytes(statistics.median(run["peak_bytes"] for run in runs))
        kept = answer = ""
        if name in files:
            peak += (
                f" ({megabytes(statistics.median(r['peak_bytes'] for r in data['memory'][name + FIRST]))})"
            )
            kept = megabytes(files[name]["constants_bytes"])
            answer = f"{data['answers'][f'{name}, text']['median_s']:.2f} s"
        share = f"{100 * disk / data['checkpoint_bytes']:.0f} %"
        held = f"{megabytes(end['resident_bytes'])}, {megabytes(end['anonymous_bytes'])}"
        rows.append([name, f"{megabytes(disk)}, {share}", kept, peak, held, answer])
    head = [
        "all-MiniLM-L6-v2",
        "file, of the checkpoint",
        "peak memory",
        "at the end, no file's",
        "first answer",
    ]
    where = machine(data["files"]["comparison"]["machine"])
    times = max(len(runs) for runs in data["memory"].values())
    return "\n\n".join([table(head, rows), f"{MEMORY.format(runs=times)} Measured on {where}."])


def megabytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB"


def claims(data: Mapping[str, Any], name: str) -> str:
    rows = [
        [
            claim["about"],
            interval(claim["found"], claim["low"], claim["high"], unit(claim["unit"])),
            f"{claim['sense']} {claim['wanted']:g}",
            "yes" if claim["holds"] else "**no**",
        ]
        for claim in data[name]
    ]
    return table(["claim", "found", "aim", "holds"], rows)


ACCURACY = (
    "Against the dense model, on {judged:,} docstrings of Python's standard library that neither calibration"
    " (on {calibration}) nor recovery (on {training:,}) saw. Recovered rows are steps of one run: each is"
    " pruned from the one before, so its seconds count all training up to it."
)


def accuracy(data: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for point in data["points"]:
        after = f"{point['recovered_s']:.0f} s" if point["recovered_s"] else "one shot"
        found = point["quality"]
        cells = [f"{point['sparsity']:.0%}", point["method"], after]
        rows.append([*cells, f"{found['top_overlap']:.3f}", f"{found['spearman']:.3f}"])
    head = ["zeros", "pruned by", "recovery", "top-10 overlap", "rank correlation"]
    note = f"{ACCURACY.format(**data['texts'])} Measured on {machine(data['machine'])}."
    return "\n\n".join([table(head, rows), note])


ACCURACY_PARTS = tuple(f"accuracy_{p}" for p in ("resnet20", "resnet56", "sts", "sst2", "llama", "brown"))
BY_MODEL = (
    "Each model before and after, on the same test data; seeds, steps, seconds and hardware stand in"
    " `benchmarks/results/accuracy_*.json`. In brackets: 95 % of resampled test sets. The ResNets' published"
    " weights never saw images compressed like these, and the pruned models trained on some: a part of what"
    " they keep is that."
)
TRAINED_ON = " The dense ResNet-20, trained on alike for {steps} steps, itself gains {gain:.1f} points by it."
INTEGERS = (
    "One thread, geometric mean over the shapes and columns below; times include finding the grid of the"
    " activations, ours and onnxruntime's."
)
DECODE = (
    "One column, two threads, matrices of 512 MiB dense, against our own dense layer of the same number:"
    " streaming weights from memory is what binds. Where the CPU looks up bytes (AVX-512 VBMI), rows of 90 %"
    " zeros are stored sliced, and only what is left is multiplied."
)


def trained_on(found: Mapping[str, Any]) -> str:
    """What training alone did for a dense model, if it was measured."""
    rows = found.get("accuracy_resnet20", {}).get("rows", [])
    control = next((row for row in rows if row["steps"] and not row["sparsity"]), None)
    return "" if control is None else TRAINED_ON.format(steps=control["steps"], gain=-control["points"])


def integers(data: Mapping[str, Any]) -> str:
    rows = [
        [side, *(interval(r["value"], r["low"], r["high"], "x") for r in found.values())]
        for side, found in data["ratios"].items()
    ]
    head = ["weights", *(f"over {other}" for other in next(iter(data["ratios"].values())))]
    return "\n\n".join([INTEGERS, table(head, rows)])


def kernel_of_integers(data: Mapping[str, Any]) -> list[str]:
    where = machine(data["comparison"]["machine"])
    return [integers(data), claims(data, "claims"), f"Measured on {where}."]


QUALITY = (
    "Each row is an .aero file of all-MiniLM-L6-v2, loaded and judged: by Spearman's rank correlation with"
    " people's scores on the {pairs:,} pairs of STS-B dev, and by {judged:,} docstrings beside the dense"
    " model's vectors. Pruned in one shot unless it says trained, calibrated on {calibration} other"
    " docstrings. Intervals of 95 %: bootstrap over the pairs."
)


def sentences(data: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for row in data["rows"]:
        far, near = row["distance"], row["docstrings"]
        below = interval(far["value"], far["low"], far["high"], "")
        cells = [row["name"], f"{row['sts']:.3f}", below, f"{near['spearman']:.3f}"]
        rows.append([*cells, f"{near['top_overlap']:.3f}", megabytes(row["file_bytes"])])
    head = ["all-MiniLM-L6-v2", "STS-B", "below dense", "rank correlation", "top-10 overlap", "file"]
    return "\n\n".join([table(head, rows), QUALITY.format(**data["texts"])])


ROOFLINES = (
    "The nonzero roofline is the least time that the non-zeros' multiply-adds, the loads of activations and"
    " the bytes moved allow on this machine; of it each kernel reaches:"
)


def rooflines(data: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{found['share']:.0%}", ", ".join(f"{term} {n}" for term, n in found["binds"].items())]
        for name, found in data["rooflines"].items()
    ]
    return "\n\n".join([ROOFLINES, table(["weights", "of the roofline", "bound by, of 12 cases"], rows)])


ALGEBRA = (
    "Two threads, f64 and f32, real patterns with drawn values. Each case is over the best of SciPy, torch"
    " (MKL), PyData/sparse, GraphBLAS and loops written for numba in the same run. Everyone prepares operands"
    " beforehand and allocates results in the call, which is made again and again with the same operands: of"
    " these aerogel's tensors keep what a call found out, such as the size of its result"
    " (docs/adr/0025-what-a-call-costs.md says what calls with new ones take). An aim is set against the best"
    " library, or the one it names. The worst case is most often the smallest matrix, where a call costs more"
    " than the work. `benchmarks/results/einsum.json` has every time of everyone."
)


def algebra(data: Mapping[str, Any]) -> str:
    """The table of sparse algebra: one row for each operation."""
    rows: list[list[str]] = []
    for operation in data["operations"].values():
        found, first = operation["overall"], operation["first_call"]
        if found is None:
            continue
        mean, worst, rival = found["over_best_peer"], found["worst"], found["over_rival"]
        aim = f"{operation['claim']['wanted']:g} x"
        if rival is not None:
            aim += f" over {rival['over']}: {interval(rival['value'], rival['low'], rival['high'], ' x')}"
        rows.append(
            [
                found["title"],
                str(found["cases"]),
                interval(mean["value"], mean["low"], mean["high"], " x"),
                interval(worst["value"], worst["low"], worst["high"], " x") + f" {worst['case']}",
                aim,
                "yes" if operation["claim"]["holds"] else "**no**",
                f"{first['compile_s']:.2f} s" if first else "",
            ]
        )
    head = ["operation", "cases", "over the best", "worst case", "aim", "holds", "first call compiles in"]
    return table(head, rows)


ENERGY = (
    "The default estimate of power, without a meter, against published power of servers at known loads"
    " (SPECpower, RAPL): how many points its bounds hold, and how wide they are."
)
NO_METER = "all-MiniLM-L6-v2 dense and at 80 % zeros, on a machine without a meter; nothing more can be said:"


def energy(data: Mapping[str, Any]) -> str:
    """What a saving reads like, one line for each shape."""
    lines = [f"- {pair['case']}: {pair['text']}" for pair in data["pairs"]]
    return "\n".join([NO_METER, "", *lines])


CHIP = (
    "The chip ({fabric}) against this CPU, the best of aerogel, torch (MKL) and SciPy by that measure, two"
    " threads at most: how many times less the chip takes, by kernel, geometric mean over its cases. Time of"
    " the chip is simulated cycles over its clock, transfers included. Energy is a model on either side, so"
    " it has bounds alone: {calibration}. The published gains are those of the chip that was built, over its"
    " authors' CPUs and libraries."
)


def chip(data: Mapping[str, Any]) -> list[str]:
    """The published kernels beside ours; nothing where they were not compared."""
    compared = data["sections"].get("comparison")
    if compared is None:
        return []
    rows = [
        [kernel, *(_times(found[of]) for of in ("time", "energy", "product")), _published(found)]
        for kernel, found in compared["kernels"].items()
    ]
    head = ["kernel", "time", "energy", "energy x time", "published energy x time"]
    said = CHIP.format(fabric=compared["fabric"], calibration=compared["calibration"])
    about = compared["machine"]
    return [said, table(head, rows), f"Compared on {about['cpu']}, {about['usable_cores']} cores."]


def _times(ratio: Mapping[str, Any] | None) -> str:
    if ratio is None:
        return "not measured"
    if ratio["value"] is not None:
        return interval(ratio["value"], None, None, " x")
    return f"{ratio['low']:.3g} to {ratio['high']:.3g} x"


def _published(found: Mapping[str, Any]) -> str:
    gain = found["published_product_gain"]
    return "" if gain is None else f"{gain:g} x"


def unit(name: str) -> str:
    """What stands behind a number: units that the claim's own words do not say."""
    return f" {name}" if name == "x" or name.startswith("of ") else ""


def section() -> str:
    """The whole section, between the markers."""
    parts: list[str] = []
    found = {
        p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted((HERE / "results").glob("*.json"))
    }
    if "encoder" in found:
        parts += ["### A whole encoder", *whole_encoder(found["encoder"])]
    if "accuracy" in found:
        parts += ["### What zeros cost", accuracy(found["accuracy"]), claims(found["accuracy"], "claims")]
    measured = [part for part in ACCURACY_PARTS if part in found]
    if measured:
        parts += [f"### What zeros cost, by model\n\n{BY_MODEL}{trained_on(found)}"]
        parts += [claims(found[part], "claims") for part in measured]
    if "sts" in found:
        parts += ["### Quality beside zeros and integers", sentences(found["sts"])]
        parts += [claims(found["sts"], "claims")]
    if "artefact" in found:
        parts += ["### What a file costs", artefact(found["artefact"]), claims(found["artefact"], "claims")]
    if "pruning" in found:
        parts += ["### What pruning costs", claims(found["pruning"], "claims")]
    if "int8" in found:
        parts += ["### The kernel of 8-bit integers by itself", *kernel_of_integers(found["int8"])]
    if "decode" in found:
        parts += ["### One column", DECODE, claims(found["decode"], "claims")]
    if "kernels" in found:
        where = machine(found["kernels"]["comparison"]["machine"])
        parts += ["### The linear kernel by itself", KERNELS, claims(found["kernels"], "claims")]
        if "rooflines" in found["kernels"]:
            parts.append(rooflines(found["kernels"]))
        parts.append(f"Measured on {where}. With `AEROGEL_TARGET=avx2` on it, against the same aims:")
        parts.append(claims(found["kernels"], "avx2_claims"))
    parts += _without_avx512(found)
    parts += _beyond_models(found)
    return "\n\n".join(parts) or "Not measured yet: run `make bench` on an idle machine."


WITHOUT_AVX512 = (
    "The same scripts on a CPU with AVX2 alone, every runtime included, against the same aims, which were set"
    " for AVX-512."
)


def _without_avx512(found: Mapping[str, Any]) -> list[str]:
    """What was measured on a CPU with AVX2 alone."""
    parts: list[str] = []
    if "encoder_avx2" in found:
        parts += whole_encoder(found["encoder_avx2"])
    if "int8_avx2" in found:
        parts += kernel_of_integers(found["int8_avx2"])
    return ["### Without AVX-512", WITHOUT_AVX512, *parts] if parts else []


def _beyond_models(found: Mapping[str, Any]) -> list[str]:
    """Sparse algebra, energy, the chip."""
    parts: list[str] = []
    if "einsum" in found:
        facts = found["einsum"]["machine"]
        where = f"{facts['cpu']}, {facts['usable_cores']} cores, {facts['target'].split('/')[0]}"
        parts += ["### Sparse algebra", ALGEBRA, algebra(found["einsum"]), f"Measured on {where}."]
    if "power" in found:
        parts += ["### Energy", ENERGY, claims(found["power"], "claims")]
    if "meter_overhead" in found:
        parts += ["What metering costs:", claims(found["meter_overhead"], "claims")]
    if "saving" in found:
        parts.append(energy(found["saving"]))
    if "chip" in found:
        parts += ["### The chip, simulated", claims(found["chip"], "claims"), *chip(found["chip"])]
    return parts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the README is not up to date"
    )
    options = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    wanted = f"{before}{BEGIN}\n\n{section()}\n\n{END}{after}"
    if options.check:
        print(
            "README.md is up to date"
            if text == wanted
            else "README.md is not what benchmarks/readme.py writes"
        )
        return int(text != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
