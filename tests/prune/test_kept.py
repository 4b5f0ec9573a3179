"""A pruning that is killed goes on where it was: bit for bit what it would have made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.prune.encoder import batches, encoder

from aerogel.core.errors import FormatError, InputError
from aerogel.prune import PruneResult, prune
from aerogel.prune.kept import KeptLayers


class KilledError(Exception):
    pass


def killed_after(count: int) -> Any:
    seen: list[str] = []

    def progress(name: str) -> None:
        seen.append(name)
        if len(seen) == count:
            raise KilledError

    return progress


def same(found: PruneResult, wanted: PruneResult) -> None:
    ours, theirs = found.model.state_dict(), wanted.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert all((found.masks[n] == mask).all() for n, mask in wanted.masks.items())
    for ours_, theirs_ in zip(found.report.layers, wanted.report.layers, strict=True):
        assert (ours_.name, ours_.zeros, ours_.relative_error) == (
            theirs_.name, theirs_.zeros, theirs_.relative_error,
        )  # fmt: skip


CHOICES: dict[str, dict[str, Any]] = {
    "sparsegpt": {"method": "sparsegpt"},
    "wanda, refitted, by blocks": {"method": "wanda", "pattern": "block4x1", "repair": True},
    "int8": {"method": "sparsegpt", "precision": "int8"},
    "owl and admm": {"importance": "wanda", "budget": "owl", "recovery": "admm"},
    "gradient": {"importance": "gradient", "budget": "global"},
}


@pytest.mark.parametrize("case", CHOICES)
@pytest.mark.parametrize("done", [1, 5])
def test_what_was_done_is_not_done_again(case: str, done: int, tmp_path: Path) -> None:
    dense, data, choices = encoder(), batches(4), CHOICES[case]
    whole = prune(dense, 0.5, data=data, **choices)
    with pytest.raises(KilledError):
        prune(dense, 0.5, data=data, checkpoint=tmp_path / "it", progress=killed_after(done), **choices)
    files = len(list((tmp_path / "it").glob("*.safetensors")))
    assert files == done
    names: list[str] = []
    again = prune(dense, 0.5, data=data, checkpoint=str(tmp_path / "it"), progress=names.append, **choices)
    same(again, whole)
    assert (again.report.restored, whole.report.restored) == (done, 0)
    assert sorted(names) == sorted(layer.name for layer in whole.report.layers)
    told = f"{done} of {len(names)} layers had been pruned by a run that was interrupted"
    assert told in again.report.notes
    assert not [f for f in (tmp_path / "it").iterdir() if f.name.startswith(".")]


def test_a_run_that_ended_is_taken_over_whole(tmp_path: Path) -> None:
    dense, data = encoder(), batches(3)
    first = prune(dense, 0.5, method="sparsegpt", data=data, checkpoint=tmp_path, recovery="distill:3steps")
    again = prune(dense, 0.5, method="sparsegpt", data=data, checkpoint=tmp_path, recovery="distill:3steps")
    assert again.report.restored == len(first.report.layers)
    assert (tmp_path / "recovery.safetensors").exists()
    same(again, first)


def test_shares_that_were_measured_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense, data = encoder(), batches(3)
    with pytest.raises(KilledError):
        prune(dense, 0.5, method="sparsegpt", budget="owl", data=data, checkpoint=tmp_path,
              progress=killed_after(2))  # fmt: skip
    record = json.loads((tmp_path / "run.json").read_text())
    changed: Mapping[str, float] = dict.fromkeys(record["shares"], 0.25)
    (tmp_path / "run.json").write_text(json.dumps({**record, "shares": changed}))
    found = prune(dense, 0.5, method="sparsegpt", budget="owl", data=data, checkpoint=tmp_path)
    assert [layer.pruned / layer.units for layer in found.report.layers][3:] == pytest.approx(
        [0.25] * (len(found.report.layers) - 3), abs=0.02
    )


def test_another_run_is_told_apart(tmp_path: Path) -> None:
    dense, data = encoder(), batches(3)
    given: dict[str, Any] = {"method": "wanda", "data": data, "checkpoint": tmp_path}
    prune(dense, 0.5, **given)
    with pytest.raises(InputError, match="is of another pruning"):
        prune(dense, 0.6, **given)
    with pytest.raises(InputError, match="is of another pruning"):
        prune(dense, 0.5, **given | {"data": batches(4)})
    with pytest.raises(InputError, match="is of another pruning"):
        prune(dense, 0.5, **given | {"method": "sparsegpt"})
    with torch.no_grad():
        dense.layer[0].up.weight[0, 0] += 1
    with pytest.raises(InputError, match="is of another pruning"):
        prune(dense, 0.5, **given)


def test_spoilt_files_and_strange_folders_are_told(tmp_path: Path) -> None:
    dense, data = encoder(), batches(3)
    given: dict[str, Any] = {"method": "wanda", "data": data}
    prune(dense, 0.5, **given, checkpoint=tmp_path / "it")
    file = next((tmp_path / "it").glob("*.safetensors"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"is no layer of a pruning .*: delete"):
        prune(dense, 0.5, **given, checkpoint=tmp_path / "it")
    file.write_bytes(whole)
    (tmp_path / "it" / "run.json").write_text("[]")
    with pytest.raises(FormatError, match="is no record of a pruning"):
        prune(dense, 0.5, **given, checkpoint=tmp_path / "it")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(InputError, match=r"holds \['dear.txt'\], which pruning did not write"):
        prune(dense, 0.5, **given, checkpoint=tmp_path / "letters")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be a folder of layers"):
        prune(dense, 0.5, **given, checkpoint=tmp_path / "file")


def test_a_file_is_of_one_layer_of_one_run(tmp_path: Path) -> None:
    dense, data = encoder(), batches(3)
    prune(dense, 0.5, method="wanda", data=data, checkpoint=tmp_path)
    first, second = sorted(tmp_path.glob("*.safetensors"))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(FormatError, match="is of another layer, or of another run"):
        prune(dense, 0.5, method="wanda", data=data, checkpoint=tmp_path)


def test_no_folder_is_made_where_there_is_no_data(tmp_path: Path) -> None:
    prune(encoder(), 0.5, checkpoint=tmp_path / "it")
    assert not (tmp_path / "it").exists()
    assert KeptLayers.open(tmp_path / "it", "x") is None


CHILD = """
import sys, time
import torch
torch.set_num_threads(1)
from tests.prune.encoder import batches, encoder
from aerogel.prune import prune, recovery
recovery._SAVE_EVERY_S = 0.0
def slowly(*_):
    print("done", flush=True)
    time.sleep(0.02)
prune(encoder(), 0.5, method="sparsegpt", data=batches(4), checkpoint=sys.argv[1], progress=slowly,
      recovery="distill:60steps")
print("ended", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("wait_for", ["a layer", "training"])
def test_a_process_that_is_killed(wait_for: str, tmp_path: Path) -> None:
    """SIGKILL, in the middle of layers and in the middle of training: the same call makes the same model."""
    folder, root = tmp_path / "it", Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        deadline = time.monotonic() + 120
        while not _reached(folder, wait_for):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        out, _ = child.communicate()
    assert "ended" not in out
    dense, data = encoder(), batches(4)
    given: dict[str, Any] = {"method": "sparsegpt", "data": data, "recovery": "distill:60steps"}
    again = prune(dense, 0.5, **given, checkpoint=folder)
    assert again.report.restored > 0
    whole = prune(dense, 0.5, **given)
    same(again, whole)
    assert again.report.recovery is not None and again.report.recovery.steps == 60


def _reached(folder: Path, what: str) -> bool:
    if what == "training":
        return (folder / "recovery.safetensors").exists()
    return len(list(folder.glob("*.safetensors"))) >= 2
