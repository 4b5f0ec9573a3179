"""The energy of counts: by hand for a few, and what must hold for any."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.chip.energy.bill import bill, machine_of
from aerogel.chip.energy.blocks import BLOCKS
from aerogel.chip.energy.calibrate import PUBLISHED_PICOJOULES, calibrate, published_point
from aerogel.chip.energy.model import Model, load_model, make_model, model_for
from aerogel.chip.energy.table import load_table
from aerogel.chip.fabric.fabric import Dram, Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.netlist import Opcode
from aerogel.core.errors import ChipError

FABRIC = Fabric(name="test")
COUNTS = Counts(
    cycles=1000,
    tokens={Kind.COORDINATE: 500, Kind.VALUE: 400},
    hops={Kind.COORDINATE: 1500, Kind.VALUE: 800},
    steps={Opcode.INTERSECT: 300, Opcode.ALU: 200, Opcode.LOCATE: 10},
    operations={"mul": 200, "add": 180, "relu": 5},
    memory_reads=700,
    memory_writes=300,
    buffer_reads=90,
    buffer_writes=60,
    dram_read_bytes=4096,
    dram_written_bytes=1024,
    configuration_words=50,
    processing_tiles=9,
    memory_tiles=6,
)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def test_the_published_point_is_met(model: Model):
    point = published_point()
    found = model.energy(point.counts, point.fabric, values=point.values)
    assert (
        found.joules / point.macs * 1e12 == pytest.approx(PUBLISHED_PICOJOULES) == pytest.approx(2.6455, 1e-4)
    )
    assert found.watts == pytest.approx(0.444, abs=1e-3)
    assert found.low == pytest.approx(found.joules) == pytest.approx(found.high)
    assert 0 < found.calibration.residual_picojoules < PUBLISHED_PICOJOULES
    assert f"residual {found.calibration.residual_picojoules:.2f} pJ" in str(found)


def test_by_hand(model: Model):
    table, factor = model.table, model.calibration.factor
    at = {key: table.at(key, FABRIC.volts) for key in table.entries}
    machine = machine_of(FABRIC, table)
    by_name = {(c.group, c.name): c.joules for c in model.energy(COUNTS, FABRIC).charges}
    assert by_name["arithmetic", "mul, bf16"] == pytest.approx(200e-12 * factor * at["arithmetic/bf16/mul"])
    assert by_name["arithmetic", "relu, bf16"] == pytest.approx(
        5e-12 * factor * at["arithmetic/bf16/compare"]
    )
    intersect = 2 * 16 * at["logic/register"] + 16 * at["logic/comparator"]
    assert by_name["blocks", "intersect"] == pytest.approx(300e-12 * factor * intersect)
    locate = 16 * at["logic/register"] + 16 * at["logic/adder"] + 256 * at["logic/multiplier"]
    assert by_name["blocks", "locate"] == pytest.approx(10e-12 * factor * locate)
    hop = 17 * (at["network/switch"] + at["network/wire"] * machine.area.pitch_mm)
    assert by_name["network", "hops, crd"] == pytest.approx(1500e-12 * factor * hop)
    # 4 KB is half of the 8 KB that the entry is for.
    word = 16 * at["memory/bit"] / 2**0.5
    assert by_name["memory tiles", "words read"] == pytest.approx(700e-12 * factor * word)
    # DRAM is not the chip's: no factor.
    assert by_name["DRAM", "bytes read, LPDDR4"] == pytest.approx(4096 * 64e-12)
    tile = machine.area.processing.clocked_bits * at["clock/bit"] * 1e-12 * factor
    assert by_name["clock", "cycles of processing tiles in use"] == pytest.approx(9000 * tile)
    assert by_name["clock", "cycles of processing tiles not in use"] == pytest.approx(375_000 * tile * 0.1)


def test_groups_are_the_whole_and_the_range_holds_it(model: Model):
    found = model.energy(COUNTS, FABRIC)
    assert sum(found.groups().values()) == pytest.approx(found.joules)
    assert found.chip_joules + found.dram_joules == pytest.approx(found.joules)
    assert found.low < found.joules < found.high
    document = found.to_json()
    assert document["joules"] == found.joules and "12 nm" in document["boundary"]
    assert all(part in found.boundary for part in ("LPDDR4", "without host", "bf16", "0.66 V", "500 MHz"))


numbers = st.integers(0, 10**6)
some = st.builds(
    Counts,
    cycles=numbers,
    tokens=st.dictionaries(st.sampled_from(Kind), numbers, max_size=3),
    hops=st.dictionaries(st.sampled_from(Kind), numbers, max_size=3),
    steps=st.dictionaries(st.sampled_from(Opcode), numbers, max_size=3),
    operations=st.dictionaries(st.sampled_from(["mul", "add", "exp", "min"]), numbers, max_size=3),
    memory_reads=numbers,
    buffer_writes=numbers,
    dram_read_bytes=numbers,
    configuration_words=numbers,
)


@settings(max_examples=8, deadline=None)
@given(some, some)
def test_energy_adds_up(a: Counts, b: Counts):
    model = load_model()
    both = model.energy(a + b, FABRIC).joules
    assert both == pytest.approx(model.energy(a, FABRIC).joules + model.energy(b, FABRIC).joules)


def test_whatever_was_counted_is_charged():
    """Every count more is energy more: nothing is silently 0."""
    table = load_table()

    def joules(counts: Counts) -> float:
        return sum(c.joules for c in bill(counts, machine_of(FABRIC, table), 1.0))

    base = joules(COUNTS)
    for name in COUNTS.__dataclass_fields__:
        if name == "idle":  # what an idle cell takes is its tile's clock and leakage, counted by cycles
            continue
        old = getattr(COUNTS, name)
        if isinstance(old, int):
            assert joules(replace(COUNTS, **{name: old + 1})) > base, name
        else:
            for key in old:
                assert joules(replace(COUNTS, **{name: {**old, key: old[key] + 1}})) > base, (name, key)


def test_what_has_no_price_is_an_error(model: Model):
    with pytest.raises(ChipError, match="no entry 'arithmetic/f64/mul'"):
        model.energy(COUNTS, FABRIC, values="f64")
    with pytest.raises(ChipError, match="operation 'hypot' was counted"):
        model.energy(replace(COUNTS, operations={"hypot": 1}), FABRIC)


def test_a_block_without_a_price_is_an_error(model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(BLOCKS, Opcode.LOCATE)
    with pytest.raises(ChipError, match="steps of LOCATE were counted"):
        model.energy(COUNTS, FABRIC)


def test_what_cannot_be_is_an_error(model: Model):
    with pytest.raises(ChipError, match="999 processing tiles were in use, of the 384"):
        model.energy(replace(COUNTS, processing_tiles=999), FABRIC)
    with pytest.raises(ChipError, match="1000 cycles take 2e-06 s on test, more than the 1e-06 s given"):
        model.energy(COUNTS, FABRIC, seconds=1e-6)


def test_volts_seconds_and_memory_do_what_they_should(model: Model):
    base = model.energy(COUNTS, FABRIC)
    high = model.energy(COUNTS, replace(FABRIC, volts=0.66 * 2**0.5))
    assert high.chip_joules == pytest.approx(2 * base.chip_joules)
    assert high.dram_joules == base.dram_joules
    waiting = model.energy(COUNTS, FABRIC, seconds=1.0)
    assert waiting.groups()["leakage"] > 1e5 * base.groups()["leakage"]
    # Ticks of a second at 500 MHz, of which a tenth is left, for every tile and bank.
    machine = waiting.machine
    bits = 384 * machine.area.processing.clocked_bits + 128 * machine.area.memory.clocked_bits
    bits += 32 * machine.area.bank.clocked_bits
    tick = model.table.at("clock/bit", FABRIC.volts) * 1e-12 * model.calibration.factor
    more = waiting.groups()["clock"] - base.groups()["clock"]
    assert more == pytest.approx((5e8 - 1000) * bits * tick * 0.1)
    hbm = model.energy(COUNTS, replace(FABRIC, dram=Dram("HBM3")))
    assert hbm.dram_joules == pytest.approx(base.dram_joules * 4.05 / 8)


def test_queues_at_inputs_are_charged_for_what_goes_through_and_what_stands(model: Model):
    base, queued = (model.energy(COUNTS, replace(FABRIC, input_queue=depth)) for depth in (0, 3))
    register = model.table.at("logic/register", FABRIC.volts) * 1e-12 * model.calibration.factor
    through = {c.name: c.joules for c in queued.charges if c.name.startswith("queues of inputs")}
    # Written and read: 16 bits, and the one that says whether it is a token.
    assert through == {
        "queues of inputs, crd": pytest.approx(500 * 2 * 17 * register),
        "queues of inputs, val": pytest.approx(400 * 2 * 17 * register),
    }
    assert not [c for c in base.charges if c.name.startswith("queues of inputs")]
    for group in ("clock", "leakage"):
        assert queued.groups()[group] > base.groups()[group]


def test_another_point_gives_another_factor():
    table = load_table()
    twice = replace(published_point(), picojoules=2 * PUBLISHED_PICOJOULES)
    assert make_model(table, twice).calibration.factor == pytest.approx(2 * calibrate(table).factor)


def test_the_range_is_that_of_its_parts(model: Model):
    """A run of DRAM alone is as uncertain as DRAM is."""
    counts = Counts(dram_read_bytes=10**9)
    found = model.energy(counts, FABRIC)
    assert found.low == pytest.approx(found.joules / 2) and found.high == pytest.approx(found.joules * 14 / 8)


def test_a_fabrics_own_file_has_its_energies(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[energy]\nnode = 7\n', encoding="utf-8")
    assert model_for(str(path)).table.node == model_for(path).table.node == 7
    assert model_for("onyx-like") is model_for(FABRIC) is load_model()
    other = tmp_path / "energies.toml"
    other.write_text("node = 16\n", encoding="utf-8")
    assert model_for(path, other).table.node == 16
    other.write_text("node = 10\n", encoding="utf-8")
    assert model_for(path, other).table.node == 10
