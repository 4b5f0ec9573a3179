"""The table of actions: what it brings, and what a user's file may change."""

from pathlib import Path

import pytest

from aerogel.chip.energy.bill import VALUE_BITS
from aerogel.chip.energy.blocks import BLOCKS, OPERATION_CLASS
from aerogel.chip.energy.table import load_table, parse_table
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.opcodes import FUNCTIONS, OPERATIONS
from aerogel.core.errors import ChipError, InputError

OWN = """
[[entry]]
key = "network/wire"
value = 0.05
unit = "pJ/bit/mm"
node = 16
volts = 0.8
rule = "wire"
source = "our layout"
grade = "published"
"""


def test_every_opcode_and_operation_has_a_price():
    table = load_table()
    assert set(BLOCKS) == set(Opcode)
    assert set(OPERATION_CLASS) == {*OPERATIONS, *FUNCTIONS}
    for values in set(VALUE_BITS) - {"f64"}:
        for kind in set(OPERATION_CLASS.values()):
            assert table.at(f"arithmetic/{values}/{kind}", 0.66) > 0


def test_every_entry_has_a_source_and_a_link_or_says_how_it_was_made():
    for entry in load_table():
        assert entry.grade == "published" or entry.note
        linked = "doi" in entry.source or "http" in entry.source
        assert linked or entry.grade != "published", entry.key
        assert entry.low < entry.value < entry.high, entry.key


def test_an_action_without_an_entry_is_an_error_not_0():
    with pytest.raises(ChipError, match=r"no entry 'network/wires'.*did you mean 'network/wire'"):
        load_table().entry("network/wires")


def test_a_users_file_goes_before_and_may_set_the_node(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text("node = 16\n" + OWN, encoding="utf-8")
    own, brought = load_table(path), load_table()
    assert own.at("network/wire", 0.8) == 0.05 and own.entry("network/wire").own
    assert own.node == 16 and brought.node == 12
    assert own.entry("network/switch") == brought.entry("network/switch")


def test_it_may_stand_in_a_fabrics_file():
    text = 'name = "mine"\nrows = 4\n' + "[energy]\nnode = 7\n" + OWN.replace("[[entry]]", "[[energy.entry]]")
    table = parse_table(text, "mine.toml", load_table())
    assert table.node == 7 and table.entry("network/wire").value == 0.05
    assert parse_table('name = "mine"', "mine.toml", load_table()) == load_table()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("value = 0.05", "value = 0"), "is 0: give what it costs"),
        (("value = 0.05", "value = 0.05\nlow = 0.06"), "outside its range 0.06 to 0.05"),
        (("value = 0.05", "value = true"), "value is True, not a number"),
        (("value = 0.05", "value = nan"), "not finite"),
        (("unit", "unti"), "has 'unti': did you mean 'unit'"),
        (('"our layout"', '" "'), "has no source"),
        (('source = "our layout"\n', ""), "lacks source"),
        (('"pJ/bit/mm"', '"pJ/bit"'), "is in 'pJ/bit', but what it replaces is in 'pJ/bit/mm'"),
        (('rule = "wire"', 'rule = "wires"'), "rule is 'wires'; there are 'logic', 'wire'"),
        (("node = 16", "node = 3"), "is for 3 nm; known are 7 to 65 nm"),
        (("volts = 0.8", "volts = 8"), "is for 8 V"),
        (('"published"', '"assumed"'), "is assumed: its note says how"),
    ],
)
def test_what_cannot_be_is_refused(change: tuple[str, str], message: str):
    with pytest.raises(ChipError, match=message):
        parse_table(OWN.replace(*change), "own.toml", load_table())


def test_what_is_no_table_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no TOML"):
        parse_table("[[entry", "own.toml")
    with pytest.raises(ChipError, match="has entries"):
        parse_table("entries = 1", "own.toml")
    with pytest.raises(ChipError, match=r"write \[\[entry\]\]"):
        parse_table("entry = 1", "own.toml")
    with pytest.raises(ChipError, match=r"node of own\.toml is 'x'"):
        parse_table('node = "x"', "own.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_table(tmp_path / "none.toml")
