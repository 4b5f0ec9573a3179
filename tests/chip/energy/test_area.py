"""Areas: sums, and how they follow from a fabric's numbers."""

from dataclasses import replace

import pytest

from aerogel.chip.energy.area import area
from aerogel.chip.energy.table import load_table
from aerogel.chip.fabric.fabric import Fabric

FABRIC, TABLE = Fabric(name="test"), load_table()


def test_the_whole_is_the_sum_of_its_parts():
    found = area(FABRIC, TABLE)
    rows = found.rows()
    assert [count for _, count, _, _ in rows] == [384, 128, 32]
    assert found.mm2 == pytest.approx(sum(together for *_, together in rows))
    assert found.memory_bits == 8 * (4 << 20) + 128 * 2048 * 16
    array = sum(together for name, _, _, together in rows if "tile" in name)
    assert found.pitch_mm**2 * 512 == pytest.approx(array)


def test_clocked_registers_by_hand():
    # A switch: 20 outputs of 17 bits, half of a queue of 2; 3 inputs with queues of 2; 3 words of datapath.
    assert area(FABRIC, TABLE).processing.clocked_bits == 20 * 17 + 3 * 17 * 2 + 3 * 16


@pytest.mark.parametrize(
    "change",
    [
        {"tracks": 6},
        {"fifo_depth": 4},
        {"input_queue": 1},
        {"word_bits": 32},
        {"values": "f32"},
        {"rows": 17},
    ],
)
def test_more_takes_more(change: dict[str, int]):
    assert area(replace(FABRIC, **change), TABLE).mm2 > area(FABRIC, TABLE).mm2


def test_a_smaller_node_is_smaller_but_memory_cells_are_the_tables():
    small = area(FABRIC, replace(TABLE, node=7.0))
    assert small.processing.um2 < area(FABRIC, TABLE).processing.um2 / 2
    assert small.memory.memory_um2 == area(FABRIC, TABLE).memory.memory_um2
