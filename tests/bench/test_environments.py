"""Environments of their own. Nothing here uses the network: what is installed is nothing, or fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aerogel.bench import environments, peers
from aerogel.bench.environments import (
    ENVIRONMENTS,
    Environment,
    announcement,
    environment,
    interpreter,
    prepare,
)
from aerogel.cli import main
from aerogel.core.errors import InputError, MissingDependencyError

HERE = (sys.version_info.major, sys.version_info.minor)
BARE = Environment("bare", (), (HERE,), 1000, {"SET_FOR_IT": "1"}, "It holds nothing")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "cache"))


def test_an_environment_is_made_once_with_an_interpreter_of_its_own() -> None:
    told: list[str] = []
    with pytest.raises(MissingDependencyError, match="aerogel bench --prepare bare"):
        interpreter(BARE)
    made = prepare(BARE, told.append)
    python = interpreter(BARE)
    assert made["folder"] == str(BARE.folder) and python.parent.parent == BARE.folder
    asked = "import sys; print(sys.prefix)"
    printed = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()) == BARE.folder
    assert told == [f"making an environment for bare with {sys.executable}"]
    assert [path.name for path in BARE.folder.parent.iterdir()] == ["bare"]


def test_an_environment_with_other_versions_is_not_used() -> None:
    prepare(BARE, lambda _: None)
    (BARE.folder / "aerogel-environment.json").write_text(json.dumps({"requirements": ["numpy==1.0"]}))
    with pytest.raises(MissingDependencyError, match=r"other versions .* aerogel bench --prepare bare"):
        interpreter(BARE)
    prepare(BARE, lambda _: None)
    assert interpreter(BARE).is_file()


@pytest.mark.slow
def test_what_pip_cannot_install_is_said_and_the_old_environment_stays(tmp_path: Path) -> None:
    prepare(BARE, lambda _: None)
    marked = BARE.folder / "old"
    marked.touch()
    broken = Environment("bare", (str(tmp_path / "absent.whl"),), (HERE,), 1000)
    with pytest.raises(
        MissingDependencyError, match=r"bare could not be installed \(exit status 1\).*absent"
    ):
        prepare(broken, lambda _: None)
    assert marked.exists()
    assert [path.name for path in BARE.folder.parent.iterdir()] == ["bare"]


def test_a_python_of_a_fitting_version_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"needs Python 3.7, and none is on the PATH"):
        prepare(Environment("old", (), ((3, 7),), 1000), lambda _: None)
    python = tmp_path / "python3.7"
    python.symlink_to(sys.executable)
    told: list[str] = []
    prepare(Environment("old", (), ((3, 7),), 1000), told.append)
    assert told == [f"making an environment for old with {python}"]


def test_what_will_be_installed_is_said_with_its_size() -> None:
    told = announcement(ENVIRONMENTS["deepsparse"])
    assert (
        "deepsparse==1.8.0" in told
        and "about 490 MB" in told
        and str(ENVIRONMENTS["deepsparse"].folder) in told
    )
    with pytest.raises(MissingDependencyError, match="environment 'x' is unknown: choose from deepsparse"):
        environment("x")


def test_the_command_says_what_it_does_and_then_does_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "deepsparse", BARE)
    assert main(["bench", "--prepare", "deepsparse", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["folder"] == str(BARE.folder)
    assert shown.err.startswith("installing ") and "about 0 MB" in shown.err
    assert main(["bench", "here", "--prepare", "deepsparse"]) == 2
    assert "leave MODEL out" in capsys.readouterr().err
    assert main(["bench"]) == 2
    assert "there is no model to time" in capsys.readouterr().err


def test_a_runtime_is_refused_before_any_work_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependencyError, match="aerogel bench --prepare deepsparse"):
        peers.require_runtimes(["deepsparse"])
    monkeypatch.setattr(peers, "_installed", lambda name: name != "openvino")
    with pytest.raises(
        MissingDependencyError, match=r"'openvino-default' needs openvino: .*aerogel\[peers\]"
    ):
        peers.require_runtimes(["onnxruntime", "openvino-default"])
    with pytest.raises(InputError, match="runtime 'x' is unknown"):
        peers.require_runtimes(["x"])


def test_no_environment_is_made_or_looked_for_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(environments, "_run", fail)
    monkeypatch.setattr(peers, "interpreter", fail)
    peers.require_runtimes(["torch", "onnxruntime"])
