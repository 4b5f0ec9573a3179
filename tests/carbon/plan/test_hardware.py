"""The table of hardware: what it says, what it does not know, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.carbon.book import load_book
from aerogel.carbon.plan.assumed import ALONE_POWER, SERVER_POWER, UTILISATION, own_utilisation, power
from aerogel.carbon.plan.hardware import hardware_table
from aerogel.core.errors import InputError

TABLE = hardware_table()
HEAD = "key,name,form,year,watts,bf16,grade,source\n"


def test_every_entry_has_a_source_and_a_peak() -> None:
    assert len(TABLE) >= 15
    for one in TABLE:
        assert one.source and one.grade == "published" and 2016 < one.year <= 2026, one.key
        assert one.peaks and one.watts > 0 and not one.own, one.key
        if one.embodied is not None:
            assert f"embodied/{one.embodied}" in load_book(), one.key


@pytest.mark.parametrize(
    ("key", "dtype", "per_joule"),
    [("h100-sxm", "bf16", 989.4e12 / 700), ("t4", "fp16", 65e12 / 70), ("l4", "int8", 242.5e12 / 72)],
)
def test_performance_per_watt(key: str, dtype: str, per_joule: float) -> None:
    assert TABLE.find(key).per_joule(dtype) == pytest.approx(per_joule)


def test_peaks_are_dense_and_in_proportion() -> None:
    """Half the bits, twice the peak, of every tensor core here: a figure with 2:4 sparsity would show."""
    for one in TABLE:
        if "NVIDIA" in one.name and {"bf16", "int8"} <= set(one.peaks):
            assert one.peak("int8") / one.peak("bf16") == pytest.approx(2.0, rel=0.02), one.key


def test_a_dtype_that_is_not_known_is_an_error() -> None:
    with pytest.raises(InputError, match=r"V100 SXM2 in bf16 is not known \(known: fp32, fp16"):
        TABLE.find("v100-sxm2").peak("bf16")


def test_an_unknown_key_says_what_may_be_meant() -> None:
    with pytest.raises(InputError, match=r"did you mean .*h100-sxm"):
        TABLE.find("h100")
    with pytest.raises(InputError, match="there are v100-sxm2"):
        TABLE.find("abacus")


def test_named_hardware_comes_once() -> None:
    assert [h.key for h in TABLE.named(("l4", "t4", "l4"))] == ["l4", "t4"]
    assert len(TABLE.named(())) == len(TABLE)


def test_own_hardware_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "t4,ours,card,2026,50,200,measured,bench of May\nnew,N,chip,2026,9,1,assumed,me\n")
    table = hardware_table(path)
    assert table.find("t4").name == "ours" and table.find("t4").own
    assert table.find("new").peak("bf16") == 1e12 and table.find("l4").own is False


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,X,card,2026,0,1,assumed,me", "x: watts is '0', not a number above 0"),
        ("x,X,card,2026,50,fast,assumed,me", "bf16 is 'fast'"),
        ("x,X,rack,2026,50,1,assumed,me", "form 'rack' is none of module, card, chip"),
        ("x,X,card,2026,50,1,sure,me", "no grade is called 'sure'"),
        ("x,X,card,2026,50,1,assumed,", "source is empty"),
        ("x,X,card,,50,1,assumed,me", "year is empty"),
    ],
)
def test_errors_of_a_table_name_the_row(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(HEAD + row + "\n")
    with pytest.raises(InputError, match=said):
        hardware_table(path)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        hardware_table(tmp_path / "missing.csv")
    path = tmp_path / "own.csv"
    path.write_text("key,watts\nx,1\n")
    with pytest.raises(InputError, match="no column name, form, year, grade, source"):
        hardware_table(path)


def test_power_of_a_module_is_with_its_server_and_of_a_card_alone() -> None:
    watts, factor, covers = power(TABLE.find("h100-sxm"), server=True)
    assert factor is SERVER_POWER and "server" in covers
    assert watts.value == pytest.approx(700 * 1.38) and watts.high == pytest.approx(8400 / 8)
    watts, factor, covers = power(TABLE.find("l4"), server=True)
    assert factor is ALONE_POWER and watts.high == 72 and covers == "the accelerator alone"
    assert power(TABLE.find("h100-sxm"), server=False)[1] is ALONE_POWER


def test_measured_and_given_power_go_before_assumed() -> None:
    watts, factor, _ = power(TABLE.find("tpu-v4"), server=True)
    assert (watts.low, watts.value, watts.high) == (90, 170, 192) and factor.grade == "published"
    watts, factor, _ = power(TABLE.find("tpu-v4"), server=True, watts=300)
    assert watts.value == 300 and factor.own
    with pytest.raises(InputError, match="give watts above 0"):
        power(TABLE.find("tpu-v4"), server=True, watts=0)


def test_utilisation() -> None:
    assert UTILISATION.low < 0.38 and UTILISATION.high > 0.43  # of Llama 3
    assert own_utilisation(1.0).amount.low == 1.0
    for wrong in (0.0, 1.01, -1.0):
        with pytest.raises(InputError, match="utilisation"):
            own_utilisation(wrong)
