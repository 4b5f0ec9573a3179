"""Fabrics by name and from files: what they say, and what is refused with which words."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from aerogel.chip.fabric.check import REAL, WHOLE, check
from aerogel.chip.fabric.fabric import Dram, Fabric
from aerogel.chip.fabric.read import NAMES, load, parse
from aerogel.core.errors import ChipError, InputError

ONYX = load()


def test_the_default_is_the_published_array() -> None:
    assert ONYX.name == "onyx-like" == NAMES[0]
    assert (ONYX.rows * ONYX.columns, ONYX.processing_tiles, ONYX.memory_tiles) == (512, 384, 128)
    assert ONYX.memory_words * ONYX.word_bits == 8 * 4096
    assert ONYX.buffer_bytes == ONYX.buffer_banks * 128 * 1024
    assert (ONYX.tracks, ONYX.fifo_depth, ONYX.input_queue, ONYX.links) == (5, 2, 0, 16)
    assert (ONYX.clock_hertz, ONYX.volts, ONYX.values) == (500e6, 0.66, "bf16")


def test_the_default_is_what_the_class_says_too() -> None:
    assert Fabric("onyx-like") == ONYX


@pytest.mark.parametrize("name", NAMES)
def test_every_fabric_is_called_as_its_file_and_is_sound(name: str) -> None:
    assert load(name).name == name
    assert check(load(name)) == load(name)


def test_the_small_one_has_24_and_8_tiles_and_the_large_one_wide_words() -> None:
    small, large = load("onyx-small"), load("onyx-large")
    assert (small.processing_tiles, small.memory_tiles) == (24, 8)
    assert (large.word_bits, large.values, large.dram.kind) == (32, "f32", "HBM2")
    assert small.dram.kind == "LPDDR4"
    assert small.dram.latency_seconds == ONYX.dram.latency_seconds


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_counted_as_they_stand(name: str) -> None:
    fabric = load(name)
    kinds = [fabric.is_memory(column) for _ in range(fabric.rows) for column in range(fabric.columns)]
    assert (kinds.count(True), kinds.count(False)) == (fabric.memory_tiles, fabric.processing_tiles)
    assert not fabric.is_memory(0)
    assert fabric.is_memory(3)


def test_a_file_of_two_lines_changes_one_number(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ntracks = 7\n[energy]\nmac = 1\n[dram]\nkind = "HBM3"\n', encoding="utf-8")
    wanted = replace(ONYX, name="mine", tracks=7, dram=replace(ONYX.dram, kind="HBM3"))
    assert load(file) == load(str(file)) == wanted


def test_a_file_says_what_it_is_based_on() -> None:
    text = 'name = "mine"\nbased_on = "onyx-small"\nvolts = 0.7'
    assert parse(text, "mine.toml") == replace(load("onyx-small"), name="mine", volts=0.7)


def test_every_number_has_a_range() -> None:
    numbers = {f.name for part in (Fabric, Dram) for f in fields(part)} - {"name", "values", "kind", "dram"}
    assert numbers == {*WHOLE, *REAL}


@pytest.mark.parametrize("name", sorted({*WHOLE, *REAL}))
def test_numbers_outside_their_range_are_refused_by_name(name: str) -> None:
    least, most = {**WHOLE, **REAL}[name]
    table = "[dram]\n" if name in {f.name for f in fields(Dram)} else ""
    for value in (least - 1 if name in WHOLE else least * 0.9, most * 2, "true", '"5"', "nan"):
        with pytest.raises(ChipError, match=rf"{name} of .*mine.toml is .*: it takes a"):
            parse(f'name = "mine"\n{table}{name} = {value}', "mine.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "x"\ntrakcs = 3', "x.toml has 'trakcs', .* did you mean 'tracks'"),
        (
            'name = "x"\n[dram]\nsort = 3',
            r"\[dram\] of x.toml has 'sort', .* there are bytes_per_second, kind,",
        ),
        ('name = "x"\ndram = 3', "dram of x.toml is no table"),
        ("tracks = 3", "x.toml has no name"),
        ('name = ""', "x.toml has no name"),
        ("name = 5", "x.toml has no name"),
        ('name = "x"\nbased_on = "onyx-smal"', "did you mean 'onyx-small'"),
        ('name = "x"\nbased_on = ["onyx-small"]', "based on"),
        ('name = "x"\nvalues = "fp16"', "values of x.toml is 'fp16': there are bf16, int16, f32, f64"),
        ('name = "x"\nvalues = ["f32"]', "values of x.toml is"),
        ('name = "x"\n[dram]\nkind = "DDR"', r"kind of \[dram\] of x.toml is 'DDR': there are LPDDR4"),
        ('name = "x"\ncolumns = 3', "48 processing and 0 memory tiles: both are needed"),
        ('name = "x"\nmemory_words = 16\nline_words = 32', "line_words of x.toml is 32, more than"),
        ('name = "x"\nbuffer_bytes = 4097', "32 banks do not divide it"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ChipError, match=words):
        parse(text, "x.toml")


def test_names_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no fabric 'onix-like': did you mean 'onyx-like'"):
        load("onix-like")
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"x.toml is no TOML: .*line 2"):
        parse('name = "x"\nrows = =', "x.toml")
    (tmp_path / "bits.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text in UTF-8"):
        load(tmp_path / "bits.toml")


def test_one_that_is_made_already_is_checked() -> None:
    assert load(ONYX) is ONYX
    with pytest.raises(ChipError, match="tracks of fabric 'onyx-like' is 0"):
        load(replace(ONYX, tracks=0))
