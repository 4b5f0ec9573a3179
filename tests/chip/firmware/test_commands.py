"""Commands as words, and back; whatever is none is refused by its word."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.chip.configure.words import checksum
from aerogel.chip.firmware.commands import COMMANDS, Command, Load, Start, Wait, decode, encode, split
from aerogel.core.errors import ChipError

WORDS = st.integers(0, 2**32 - 1)


@st.composite
def commands(draw: Any) -> list[Command]:
    kinds = draw(st.lists(st.sampled_from(list(COMMANDS.values())), max_size=5))
    return [kind(*(draw(WORDS) for _ in fields(kind))) for kind in kinds]


@given(commands())
@settings(max_examples=25)
def test_commands_come_back(some: list[Command]) -> None:
    assert list(decode(encode(some))) == some


@given(commands(), st.data())
@settings(max_examples=25)
def test_damaged_commands_are_refused(some: list[Command], data: st.DataObject) -> None:
    words = list(encode(some))
    words[data.draw(st.integers(0, len(words) - 1))] ^= 1 << data.draw(st.integers(0, 31))
    with pytest.raises(ChipError, match=r"command word \d+"):
        decode(words)
    with pytest.raises(ChipError):
        decode(words[:-1])


def _framed(*words: int) -> list[int]:
    return [*words, checksum(words)]


def test_words_with_a_right_checksum_that_are_no_commands() -> None:
    magic, version, _, start, _ = encode([Start()])
    for words, said in (
        (_framed(magic ^ 1, version, 1, start), "word 0 .* these are no commands"),
        (_framed(magic, version + 1, 1, start), "version 2, but this device takes 1"),
        (_framed(magic, version, 2, start), "announces 2 commands, but there are 1"),
        (_framed(magic, version, 1, 99 << 16), "word 3 .* there is no command 99"),
        (_framed(magic, version, 1, Wait.code << 16 | 1), "Wait takes 1 arguments"),
        (_framed(magic, version, 1, Load.code << 16 | 3, 0, 0, 0), "Load takes 4 arguments, not 3"),
    ):
        with pytest.raises(ChipError, match=said):
            decode(words)
    with pytest.raises(ChipError, match="32 bits do not hold"):
        encode([Wait(-1)])


def test_an_address_in_dram_is_two_words() -> None:
    assert split(0x1_2345_6789) == (0x2345_6789, 1)
