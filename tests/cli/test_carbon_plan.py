"""``aerogel carbon plan``: what its commands print, as JSON and as text, and how they fail."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aerogel.bench.arrays import Fed, Signature
from aerogel.cli import carbon_plan_batch, main

Capture = pytest.CaptureFixture[str]
PLAN = ("carbon", "plan")
TRAINING = ("training", "--hardware", "h100-sxm", "--place", "FRA")


def run(capsys: Capture, *words: str, status: int = 0) -> str:
    assert main([*PLAN, *words]) == status
    return capsys.readouterr().out


def read(capsys: Capture, *words: str, status: int = 0) -> dict[str, Any]:
    return json.loads(run(capsys, *words, "--json", status=status))


def fail(capsys: Capture, *words: str) -> str:
    assert main([*PLAN, *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def test_training_by_operations(capsys: Capture) -> None:
    text = run(capsys, "training", "--flop", "5.76e23")
    lines = [line.split("  ") for line in text.splitlines()]
    assert lines[0][0] == "budget" and "5.76e+23 operations" in text
    assert "72.2 billion [51.8, 101]" in text and "32.2 billion" in text and "18.4 [9.47, 35.7]" in text
    assert "epoch (2024)" in text and "hoffmann-rounded (2022)" in text and "on NVIDIA" not in text


def test_training_on_hardware_at_a_place(capsys: Capture) -> None:
    found = read(capsys, *TRAINING, "--flop", "5.76e23", "--serve", "2e12")
    assert [law["key"] for law in found["laws"]] == ["epoch", "hoffmann-rounded"]
    (one,) = found["bills"]
    assert one["hours"]["value"] == pytest.approx(5.76e23 / (989.4e12 * 0.4 * 3600))
    assert one["energy"]["low"] < one["energy"]["value"] < one["energy"]["high"]
    assert {"plan/utilisation", "grid/FRA"} <= {factor["key"] for factor in one["factors"]}
    assert 0 < found["served"]["saved"] < 1
    text = run(capsys, *TRAINING, "--flop", "5.76e23", "--serve", "2e12")
    for words in ("device-hours", "electricity", "emitted", "making", "money", "assumed:", "Llama 3"):
        assert words in text


@pytest.mark.parametrize(
    ("budget", "quantity", "wanted"),
    [
        (("--hours", "1000"), "hours", 1000.0),
        (("--mwh", "10"), "energy", 10_000.0),
        (("--tonnes", "2"), "location", 2000.0),
        (("--money", "500", "--price", "0.2EUR/kWh"), "money", 500.0),
        (("--money", "500", "--price", "2.5USD/h", "--bought"), "money", 500.0),
    ],
)
def test_training_by_other_budgets(
    capsys: Capture, budget: tuple[str, ...], quantity: str, wanted: float
) -> None:
    found = read(capsys, *TRAINING, *budget)
    amount = found["bills"][0][quantity]
    assert amount["low"] == pytest.approx(wanted) == pytest.approx(amount["high"])
    flop = found["optima"][0]["flop"]
    assert flop["low"] < flop["value"] < flop["high"]


def test_training_narrowed_by_what_is_known(capsys: Capture, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[[factor]]\nkey = "grid/FRA"\nvalue = 30\nunit = "gCO2e/kWh"\nsource = "contract"\n'
        '[[factor]]\nkey = "pue/aws"\nvalue = 1.1\nunit = "kWh/kWh"\nsource = "bill"\n'
    )
    sure = ("--utilisation", "0.5", "--watts", "1000", "--facility", "aws", "--factors", str(own))
    one = read(capsys, *TRAINING, "--hours", "100", *sure)["bills"][0]
    assert one["energy"]["low"] == pytest.approx(110) == pytest.approx(one["energy"]["high"])
    assert one["location"]["value"] == pytest.approx(3.3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("training", "--flop", "1e20", "--hardware", "h100-sxm"), "give --place FRA, or world"),
        (("training", "--mwh", "1", "--place", "FRA"), "depends on the hardware"),
        (("training", "--mwh", "1", "--place", "Freedonia", "--hardware", "l4"), "'Freedonia' is not known"),
        (("training", "--flop", "-1"), "buys no training"),
        (("training", "--flop", "1e20", "--hardware", "t4", "--place", "FRA"), "bf16 is not known"),
        (("training", "--flop", "1e20", "--hardware", "h10", "--place", "FRA"), "did you mean"),
        ((*TRAINING, "--money", "9", "--bought"), "no price is known"),
        ((*TRAINING, "--hours", "9", "--bought", "--price", "0.1EUR/kWh"), "with --bought give one per h"),
        (("hardware", "--flop", "1e18", "--among", "t4", "--dtype", "fp8"), "nothing can be ranked"),
        (("hardware", "--hardware-table", "missing.csv"), "cannot be read"),
        (("model", "missing.csv", "--accuracy", "0.9"), "cannot be read"),
        (("when", "missing.csv", "--hours", "1", "--kwh", "1", "--place", "FRA"), "cannot be read"),
    ],
)
def test_errors_say_what_to_do(capsys: Capture, words: tuple[str, ...], said: str) -> None:
    assert said in fail(capsys, *words)


@pytest.mark.parametrize("words", [("training",), ("training", "--flop", "1", "--mwh", "1"), ("bogus",)])
def test_usage_errors(capsys: Capture, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*PLAN, *words])
    assert ended.value.code == 2


def test_a_price_must_be_one(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([*PLAN, *TRAINING, "--hours", "1", "--price", "cheap"])
    assert "0.12EUR/kWh" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["training", "model", "when", "where", "hardware", "batch"])
def test_help_has_an_example(capsys: Capture, command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*PLAN, command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"aerogel carbon plan {command}" in text.split("example:")[1] and "--json" in text


def test_help_of_the_group(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([*PLAN])
    assert "training" in capsys.readouterr().out


def test_hardware_listed_and_ranked(capsys: Capture) -> None:
    assert "NVIDIA, L4" in run(capsys, "hardware")
    text = run(capsys, "hardware", "--flop", "1e18", "--dtype", "int8")
    assert text.index("NVIDIA L4") < text.index("NVIDIA A100 SXM4")
    assert "left out, as not enough is known: NVIDIA V100 SXM2" in text and "may be least" in text
    found = read(capsys, "hardware", "--flop", "1e18", "--bytes", "1e16", "--among", "h100-sxm,h200-sxm")
    keys = [row["hardware"]["key"] for row in found["ranking"]]
    assert keys == ["h200-sxm", "h100-sxm"]  # alike but for the bandwidth


def test_model(capsys: Capture, tmp_path: Path) -> None:
    table = tmp_path / "models.csv"
    table.write_text(
        "model,accuracy,tested,joules_per_item,joules_low,joules_high,method\n"
        "dense,0.92,872,1.0,0.95,1.05,measured\n80 % zeros,0.91,872,0.5,0.45,0.55,measured\n"
        "90 % zeros,0.8,872,0.3,0.28,0.32,measured\n"
    )
    text = run(capsys, "model", str(table), "--accuracy", "0.9")
    assert text.startswith(
        "80 % zeros: by its measured value, not surely, reaches 0.9, and none that does may cost"
    )
    assert (
        read(capsys, "model", str(table), "--accuracy", "0.88", "--sure")["chosen"]["model"] == "80 % zeros"
    )
    assert "no model reaches 0.99" in run(capsys, "model", str(table), "--accuracy", "0.99", status=1)


def test_where(capsys: Capture) -> None:
    words = ("where", "--kwh", "100", "--among", "DEU,france,aws/eu-west-1,france")
    found = read(capsys, *words)["places"]
    assert [there["place"] for there in found] == ["FRA", "aws/eu-west-1", "DEU"]
    assert found[1]["energy"]["value"] == pytest.approx(114)  # the region tells whose building it is
    france = found[0]["emitted"]
    assert france["low"] < france["value"] < france["high"] and france["unit"] == "kgCO2e"
    text = run(capsys, *words)
    assert text.index("FRA") < text.index("DEU") and "grid/DEU" in text and "pue/aws" in text
    assert "'Atlantis' is not known" in fail(capsys, "where", "--among", "Atlantis")
    assert "give a number above 0" in fail(capsys, "where", "--among", "FRA", "--kwh", "0")


def test_when(capsys: Capture, tmp_path: Path) -> None:
    table = tmp_path / "hours.csv"
    rows = [
        f"2026-11-28T{h:02}:00Z,{p},{g}"
        for p, low in (("DEU", 300), ("FRA", 40))
        for h, g in enumerate([low] * 9)
    ]
    table.write_text("\n".join(["time,place,g_per_kwh", *rows, "2026-11-28T09:00Z,DEU,100"]) + "\n")
    words = ("when", str(table), "--place", "DEU", "--hours", "1", "--kwh", "12")
    found = read(capsys, *words)
    assert found["now"]["emitted"]["value"] == pytest.approx(3.6)
    best = found["by_place"][0]
    assert best["place"] == "FRA" and best["saved"]["value"] == pytest.approx(1 - 40 / 300) and best["proven"]
    assert found["by_place"][1]["runs"] == [{"begin": "2026-11-28 09:00Z", "end": "2026-11-28 10:00Z"}]
    text = run(capsys, *words, "--deadline", "2026-11-28T08:00Z", "--error", "0.1", "--pieces")
    assert "DEU at once" in text and "86.7 % [83.7, " not in text and "not counted" in text
    assert "does not fit" in fail(capsys, *words, "--deadline", "2026-11-28T00:30Z")
    work = ("when", str(table), "--hours", "1", "--kwh", "12")
    assert "several places (DEU, FRA): say where" in fail(capsys, *work)
    assert "no place 'Paris': it has DEU, FRA" in fail(capsys, *work, "--place", "Paris")


def test_batch(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    fed, ready = [Fed("x", "features", 8)], SimpleNamespace(name="fake.aero", program=_Program())
    monkeypatch.setattr(carbon_plan_batch, "signature_of", lambda graph: Signature(tuple(fed), "y", False))
    monkeypatch.setattr(carbon_plan_batch, "load_program", lambda args: ready)
    words = ("batch", "fake.aero", "--sizes", "8,1", "--seconds", "0.02")
    found = read(capsys, *words)
    assert [row["items"] for row in found["sizes"]] == [1, 8] and found["chosen"] in (1, 8)
    assert found["tokens"] == 1 and found["sizes"][0]["joules_per_item"]["unit"] == "J"
    text = run(capsys, *words, "--latency-ms", "0.000001", status=1)
    assert "no size keeps within 0.001 us" in text
    assert "takes no tokens but rows of features" in fail(capsys, *words, "--tokens", "4")
    fed[:] = [Fed("ids", "ids", 100)]
    assert read(capsys, *words)["tokens"] == 128
    assert read(capsys, *words, "--tokens", "5")["tokens"] == 5


class _Program:
    """What a compiled model looks like to the command."""

    built = SimpleNamespace(graph=None)

    def __call__(self, **inputs: Any) -> Any:
        return inputs


@pytest.mark.slow
def test_batch_of_a_model(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        "import torch\ndef mlp():\n    return torch.nn.Linear(8, 4), torch.ones(2, 8)\n"
    )
    found = read(capsys, "batch", f"{tmp_path / 'small.py'}:mlp", "--sizes", "1,8", "--seconds", "0.05")
    assert [row["items"] for row in found["sizes"]] == [1, 8] and found["chosen"] in (1, 8)
