"""What is read of a powercap tree, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.energy.trees import Tree, as_ordinary_user, laptop, open_folder

from aerogel.energy import files
from aerogel.energy.rapl import tree as survey


def labels(root: Path) -> list[str]:
    found = survey(root)
    assert found.obstacle == ""
    return [zone.label for zone in found.zones]


def test_one_package(tmp_path: Path) -> None:
    energy = Tree(tmp_path).zone("intel-rapl:0", "package-0", 7)
    (zone,) = survey(tmp_path).zones
    assert zone.label == zone.part == "package-0"
    assert zone.energy.resolve() == energy
    assert zone.look().uj == 7


def test_two_packages_each_with_memory(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for number in (0, 1):
        tree.zone(f"intel-rapl:{number}", f"package-{number}")
        tree.zone(f"intel-rapl:{number}:0", "dram")
    assert labels(tmp_path) == ["package-0", "package-0 dram", "package-1", "package-1 dram"]


def test_levels_are_never_added(tmp_path: Path) -> None:
    laptop(tmp_path)
    found = survey(tmp_path)
    assert [zone.label for zone in found.zones] == ["package-0", "package-0 dram"]
    assert [zone.energy.parent.name for zone in found.zones] == ["intel-rapl:0", "intel-rapl:0:2"]
    assert set(found.left_out) == {
        "intel-rapl:0:0 (core)",
        "intel-rapl:0:1 (uncore)",
        "intel-rapl:1 (psys)",
        "intel-rapl-mmio:0 (package-0)",
    }


def test_a_package_that_only_the_second_interface_shows_is_read_there(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zone("intel-rapl:0", "package-0")
    tree.zone("intel-rapl-mmio:0", "package-0")
    tree.zone("intel-rapl-mmio:1", "package-1")
    assert labels(tmp_path) == ["package-0", "package-1"]


def test_a_package_is_read_by_one_interface_though_it_names_its_dies(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zone("intel-rapl:0", "package-0-die-0")
    tree.zone("intel-rapl-mmio:0", "package-0")
    assert labels(tmp_path) == ["package-0-die-0"]


@pytest.mark.parametrize("harm", [Path.unlink, lambda name: name.write_bytes(b"\xff")])
def test_a_zone_without_a_name_is_an_obstacle(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    """It may be a package, and then the others are not all."""
    tree = Tree(tmp_path)
    tree.zone("intel-rapl:0", "package-0")
    harm(tree.zone("intel-rapl:1", "package-1").parent / "name")
    found = survey(tmp_path)
    assert found.zones == ()
    assert found.obstacle == "RAPL zones without a name that can be read: intel-rapl:1"


def test_dies_of_a_package_are_one_part(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for die in range(3):
        tree.zone(f"intel-rapl:{die}", f"package-0-die-{die}")
    assert {zone.part for zone in survey(tmp_path).zones} == {"package-0"}
    assert labels(tmp_path) == ["package-0-die-0", "package-0-die-1", "package-0-die-2"]


def test_nothing_there(tmp_path: Path) -> None:
    found = survey(tmp_path)
    assert found.zones == ()
    assert found.obstacle.startswith("no RAPL counters here: a virtual machine")
    assert found.advice == ""


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "sys/class").mkdir(parents=True)
    (tmp_path / "sys/class/powercap").write_text("")
    assert survey(tmp_path).obstacle.startswith("no RAPL counters here")


def test_hidden_by_a_container(tmp_path: Path) -> None:
    """Docker mounts an empty folder over /sys/devices/virtual/powercap; the links to it stay."""
    energy = Tree(tmp_path).zone("intel-rapl:0", "package-0")
    for file in energy.parent.iterdir():
        file.unlink()
    energy.parent.rmdir()
    found = survey(tmp_path)
    assert "are hidden, as containers do" in found.obstacle
    assert "systempaths=unconfined" in found.advice


def test_without_a_package_nothing_is_measured(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zone("intel-rapl:0", "psys")
    tree.zone("intel-rapl:1", "dram")
    assert survey(tmp_path).obstacle == (
        "RAPL counts no CPU package here, only intel-rapl:0 (psys), intel-rapl:1 (dram)"
    )


def test_unreadable_comes_with_the_command_that_grants_it() -> None:
    with open_folder() as root:
        tree, package, dram = laptop(root)
        package.chmod(0o400)
        dram.chmod(0o400)
        with as_ordinary_user():
            found = survey(tree.root)
    files = [f"{root}/sys/class/powercap/{name}/energy_uj" for name in ("intel-rapl:0", "intel-rapl:0:2")]
    assert found.zones == ()
    assert found.obstacle == f"package-0: {files[0]} may not be read by this user"
    assert found.advice == f"until the next boot: sudo chmod a+r {files[0]} {files[1]}"


def test_one_unreadable_counter_of_two_measures_nothing() -> None:
    """Half of the packages would be a number that is silently wrong."""
    with open_folder() as root:
        Tree(root).zone("intel-rapl:0", "package-0")
        Tree(root).zone("intel-rapl:1", "package-1").chmod(0o400)
        with as_ordinary_user():
            found = survey(root)
    assert found.zones == ()
    assert found.obstacle.startswith("package-1: ")
    assert found.advice.endswith("intel-rapl:1/energy_uj")


@pytest.mark.parametrize("text", ["", "abc", "-5", "1.5", "1 2", "9" * 30, "\u00b2", "0x10", "\x00"])
@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
def test_garbage_is_no_number(tmp_path: Path, file: str, text: str) -> None:
    energy = Tree(tmp_path).zone("intel-rapl:0", "package-0")
    (energy.parent / file).write_text(text, encoding="utf-8")
    found = survey(tmp_path)
    assert found.zones == ()
    assert found.obstacle.startswith("package-0: ") and file in found.obstacle
    assert found.advice == ""


def test_bytes_are_no_number(tmp_path: Path) -> None:
    Tree(tmp_path).zone("intel-rapl:0", "package-0").write_bytes(b"\xff\xfe")
    assert survey(tmp_path).obstacle.endswith("energy_uj holds no number")


def test_a_value_beyond_the_range_is_garbage(tmp_path: Path) -> None:
    Tree(tmp_path).zone("intel-rapl:0", "package-0", uj=10**10 + 1, range_uj=10**10)
    assert survey(tmp_path).obstacle.endswith("shows 10000000001, more than its range of 10000000000")


@pytest.mark.parametrize("range_uj", [0, 1, 3_999_999_999])
def test_a_range_that_is_soon_used_up_is_refused(tmp_path: Path, range_uj: int) -> None:
    Tree(tmp_path).zone("intel-rapl:0", "package-0", uj=0, range_uj=range_uj)
    assert survey(tmp_path).obstacle.endswith("too small a range to follow")


@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
def test_a_missing_file_is_an_obstacle(tmp_path: Path, file: str) -> None:
    energy = Tree(tmp_path).zone("intel-rapl:0", "package-0")
    (energy.parent / file).unlink()
    assert "No such file" in survey(tmp_path).obstacle


def test_a_failing_device_is_an_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tree(tmp_path).zone("intel-rapl:0", "package-0")
    read = files.read_text

    def fail(path: Path) -> str:
        if path.name == "energy_uj":
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(files, "read_text", fail)
    found = survey(tmp_path)
    assert found.obstacle.endswith("energy_uj cannot be read: Input/output error")
    assert found.advice == ""
