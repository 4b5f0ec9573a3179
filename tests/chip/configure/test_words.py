"""Configuration words: there and back, bit by bit, and everything else refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chip.configure.samples import FABRIC, designs

from aerogel.chip.configure.decode import decode
from aerogel.chip.configure.design import Design
from aerogel.chip.configure.encode import encode
from aerogel.chip.configure.from_mapping import names_of
from aerogel.chip.configure.layout import FIRST_PARAMETER, LAST_INPUT, WORD, Address, fields, table
from aerogel.chip.configure.words import HEADER, MAGIC, VERSION, checksum, fingerprint
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.core.errors import ChipError


@given(designs())
@settings(max_examples=15, deadline=None)
def test_a_design_comes_back_from_its_words(design: Design) -> None:
    words = encode(design, FABRIC)
    assert all(0 <= word < 1 << WORD for word in words)
    assert decode(words, FABRIC, names_of(design)) == design
    assert encode(decode(words, FABRIC), FABRIC) == words


@given(designs(), st.data())
@settings(max_examples=10, deadline=None)
def test_a_flipped_bit_is_refused(design: Design, data: st.DataObject) -> None:
    words = list(encode(design, FABRIC))
    at = data.draw(st.integers(0, len(words) - 1))
    words[at] ^= 1 << data.draw(st.integers(0, WORD - 1))
    with pytest.raises(ChipError, match=r"configuration words? \d+"):
        decode(words, FABRIC)


@given(designs(), st.data())
@settings(max_examples=20, deadline=None)
def test_words_with_a_right_checksum_mean_one_design_or_none(design: Design, data: st.DataObject) -> None:
    """What is accepted encodes to the very same words: no bit is looked over."""
    words = list(encode(design, FABRIC))[:-1]
    if len(words) == HEADER:
        return
    for _ in range(data.draw(st.integers(1, 3))):
        words[data.draw(st.integers(HEADER, len(words) - 1))] ^= 1 << data.draw(st.integers(0, WORD - 1))
    words.append(checksum(words))
    try:
        found = decode(words, FABRIC)
    except ChipError as error:
        assert "configuration word" in str(error)  # noqa: PT017 (either may happen)
    else:
        assert list(encode(found, FABRIC)) == words


@given(designs())
@settings(max_examples=10, deadline=None)
def test_truncated_and_longer_words_are_refused(design: Design) -> None:
    words = encode(design, FABRIC)
    for some in (words[:-1], words[: HEADER + 1], words[:3], (), (*words, 0)):
        if some != words:
            with pytest.raises(ChipError, match=r"truncated|follows|within its header|checksum"):
                decode(some, FABRIC)


def _framed(words: list[int]) -> list[int]:
    return [*words, checksum(words)]


def test_foreign_words_are_refused() -> None:
    words = list(encode(Design((), (), FABRIC.values), FABRIC))
    with pytest.raises(ChipError, match=r"word 0 .* no configuration"):
        decode(_framed([MAGIC ^ 1, *words[1:-1]]), FABRIC)
    with pytest.raises(ChipError, match=f"version {VERSION + 1}"):
        decode(_framed([MAGIC, VERSION + 1, *words[2:-1]]), FABRIC)
    with pytest.raises(ChipError, match="made for another fabric"):
        decode(words, replace(FABRIC, tracks=3))
    with pytest.raises(ChipError, match="computes bf16"):
        decode(_framed([*words[:4], 0x1002, words[5]]), FABRIC)
    with pytest.raises(ChipError, match="32 bits"):
        decode([*words[:-1], 1 << 32], FABRIC)


def test_the_fingerprint_is_of_what_words_depend_on() -> None:
    assert fingerprint(FABRIC) == fingerprint(replace(FABRIC, clock_hertz=1e9, name="other", buffer_bytes=1))
    assert fingerprint(FABRIC) != fingerprint(replace(FABRIC, fifo_depth=FABRIC.fifo_depth + 1))


def test_parameters_have_bits_of_their_own() -> None:
    for opcode, spec in OPCODES.items():
        taken: set[tuple[int, int]] = set()
        for field, parameter in zip(fields(opcode), spec.parameters, strict=True):
            bits = {(field.register, field.low + at) for at in range(field.bits)}
            assert field.bits == parameter.bits
            assert not bits & taken
            assert field.low + field.bits <= WORD
            assert FIRST_PARAMETER <= field.register < 16 <= LAST_INPUT
            taken |= bits
        assert opcode.name in table()


def test_an_address_is_four_bytes() -> None:
    assert Address.of(0x01020380) == Address(1, 2, 3, 0x80)
    assert Address(1, 2, 3, 0x80).word == 0x01020380
