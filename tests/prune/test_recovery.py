"""Recovery: better than before, every zero held, and the same after an interruption."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.prune.encoder import batches, encoder, error

from aerogel.core.errors import FormatError, InputError, UnsupportedError
from aerogel.prune import PruneResult, Schedule, prune, recover
from aerogel.prune import recovery as home
from aerogel.prune.batches import Call
from aerogel.prune.imitation import View, distance, view
from aerogel.prune.recovery import Step

STEPS = Schedule(steps=12)


def pruned(model: torch.nn.Module | None = None, share: float = 0.5) -> PruneResult:
    return prune(model or encoder(), share)


def weights(result: PruneResult) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in result.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_it_gets_better_on_other_data_and_every_zero_stays() -> None:
    dense, other = encoder(), batches(10, seed=5)
    result = pruned(dense)
    before = error(result.model, dense, other)
    found = recover(result, dense, batches(40), Schedule(steps=60, rate=4e-3))
    assert found.model is result.model
    assert error(found.model, dense, other) < 0.6 * before
    for name, mask in result.masks.items():
        weight = found.model.get_parameter(name).detach().numpy()
        assert (weight[~mask] == 0).all() and not np.signbit(weight[~mask]).any()
    assert found.report.sparsity == 0.5
    report = found.report.recovery
    assert report is not None and report.steps == 60 and not report.stopped_early
    assert report.last_loss < report.first_loss
    assert "recovery: 60 steps" in str(found.report)
    assert found.report.to_json()["recovery"]["steps"] == 60


def test_zeros_that_the_masks_would_allow_stay_too() -> None:
    model = encoder()
    with torch.no_grad():
        model.layer[0].up.weight[:8] = 0
    result = recover(pruned(model, 0.25), model, batches(), STEPS)
    assert int((result.model.layer[0].up.weight == 0).sum()) == 64
    assert {r.name: r.zeros for r in result.report.layers}["layer.0.up.weight"] == 64


def test_prune_recovers_when_told() -> None:
    dense, data = encoder(), batches(20)
    found = prune(dense, 0.5, method="sparsegpt", data=data, recovery="distill:20steps")
    plain = prune(dense, 0.5, method="sparsegpt", data=data)
    assert error(found.model, dense, data) < error(plain.model, dense, data)
    placed = prune(dense, 0.5, method="sparsegpt", data=data, recovery="distill:20steps", inplace=True)
    assert placed.model is dense
    same(weights(found), weights(placed))


def test_only_embedding_tables_and_the_teacher_stay_as_they_were() -> None:
    dense = encoder()
    dense.layer[0].norm.weight.requires_grad_(False)
    result = pruned(dense)
    before, teacher = weights(result), weights(replace(result, model=dense))
    recover(result, dense, batches(), STEPS)
    same(teacher, weights(replace(result, model=dense)))
    after = weights(result)
    unchanged = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert unchanged == ["table.weight", "pooler.weight", "pooler.bias"], "what the loss sees is trained"
    flags = {name: p.requires_grad for name, p in result.model.named_parameters()}
    assert [name for name, flag in flags.items() if not flag] == ["layer.0.norm.weight"]
    assert all(p.grad is None for p in result.model.parameters())
    assert result.model.training


def test_a_run_cut_short_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    dense, data, path = encoder(), batches(5), tmp_path / "it.safetensors"
    whole = recover(pruned(dense), dense, data, STEPS)
    part = recover(pruned(dense), dense, data, STEPS, checkpoint=path, progress=lambda step: step.step == 7)
    assert part.report.recovery is not None and part.report.recovery.stopped_early
    assert part.report.recovery.steps == 7
    rest = recover(pruned(dense), dense, data, STEPS, checkpoint=str(path))
    same(weights(whole), weights(rest))
    assert rest.report.recovery is not None and whole.report.recovery is not None
    assert rest.report.recovery.steps == 12
    assert rest.report.recovery.last_loss == whole.report.recovery.last_loss
    assert [file.name for file in tmp_path.iterdir()] == ["it.safetensors"]
    done = recover(pruned(dense), dense, data, STEPS, checkpoint=path)
    same(weights(whole), weights(done))


def test_the_checkpoint_is_whole_even_if_training_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "_SAVE_EVERY_S", 0.0)
    path, dense = tmp_path / "it.safetensors", encoder()

    def dies(step: Step) -> None:
        if step.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(pruned(dense), dense, batches(5), STEPS, checkpoint=path, progress=dies)
    monkeypatch.undo()
    rest = recover(pruned(dense), dense, batches(5), STEPS, checkpoint=path)
    same(weights(recover(pruned(dense), dense, batches(5), STEPS)), weights(rest))


def test_checkpoints_of_other_runs_and_broken_ones_are_refused(tmp_path: Path) -> None:
    path, dense = tmp_path / "it.safetensors", encoder()
    recover(pruned(dense), dense, batches(5), STEPS, checkpoint=path)
    with pytest.raises(InputError, match="is of another recovery: delete it"):
        recover(pruned(dense, 0.6), dense, batches(5), STEPS, checkpoint=path)
    with pytest.raises(InputError, match="is of another recovery"):
        recover(pruned(dense), dense, batches(6), STEPS, checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FormatError, match="is no checkpoint"):
        recover(pruned(dense), dense, batches(5), STEPS, checkpoint=path)


def test_what_the_teacher_did_is_kept_if_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []

    def trained() -> dict[str, torch.Tensor]:
        dense = encoder()
        dense.register_forward_pre_hook(lambda *_: runs.append(1))
        result = PruneResult(pruned().model, pruned().masks, pruned().report)
        return weights(recover(result, dense, batches(4), STEPS))

    kept = trained()
    assert len(runs) == 4
    monkeypatch.setattr(home, "CACHE_BYTES", 0)
    same(kept, trained())
    assert len(runs) == 4 + 12


def test_training_that_makes_it_worse_is_undone() -> None:
    dense, data = encoder(), batches(80)
    result = prune(dense, 0.5, method="sparsegpt", data=data, repair=True)
    before = weights(result)
    found = recover(result, dense, data, Schedule(steps=3, rate=0.5))
    report = found.report.recovery
    assert report is not None and report.undone and report.steps == 3
    assert report.unseen_before is not None and report.unseen_after is not None
    assert report.unseen_after > report.unseen_before
    same(before, weights(found))
    assert "which is worse, so it was undone" in str(found.report)


def test_batches_to_judge_by_are_not_trained_on() -> None:
    calls = [Call((torch.full((1,), float(i)),), {}, None) for i in range(100)]
    unseen, seen = home._shared_out(calls)
    assert [int(c.args[0]) for c in unseen] == [10, 30, 50, 70, 90]
    assert [int(c.args[0]) for c in seen] == [i for i in range(100) if i not in (10, 30, 50, 70, 90)]
    assert home._shared_out(calls[:59]) == ([], calls[:59])
    assert len(home._shared_out(calls * 10)[0]) == 12
    dense, data = encoder(), batches(80)
    report = recover(pruned(dense), dense, data, Schedule(steps=40, rate=4e-3)).report.recovery
    assert report is not None and not report.undone
    assert report.unseen_before is not None and report.unseen_after is not None
    assert report.unseen_after < report.unseen_before


def test_it_ends_early_once_nothing_is_gained() -> None:
    dense = encoder()
    schedule = Schedule(steps=500, rate=1e-12, patience=9)
    report = recover(pruned(dense), dense, batches(3), schedule).report.recovery
    assert report is not None and report.stopped_early and report.steps < 100


def test_it_ends_by_the_clock() -> None:
    dense = encoder()
    steps: list[Step] = []
    report = recover(pruned(dense), dense, batches(3), "distill:0.3s", progress=steps.append).report.recovery
    assert report is not None and report.seconds >= 0.3 and report.steps == len(steps) >= 1
    assert steps[-1].progress == 1.0 and not report.stopped_early


def test_models_without_blocks_or_tokens_recover() -> None:
    torch.manual_seed(0)
    dense = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    data = list(torch.randn(8, 20, 6))
    found = prune(dense, 0.5, method="sparsegpt", data=data, recovery=None)
    before = (found.model(data[0]) - dense(data[0])).square().mean().detach()
    found = recover(found, dense, data, Schedule(steps=60, rate=5e-3))
    assert (found.model(data[0]) - dense(data[0])).square().mean() < before


def test_what_cannot_be_trained_is_refused() -> None:
    half = torch.nn.Linear(4, 4).half()
    with pytest.raises(InputError, match=r"too narrow to train: recover the model as model\.float\(\)"):
        recover(pruned(half), half, [torch.ones(2, 4).half()], STEPS)
    dense = torch.nn.Linear(4, 4)
    with torch.no_grad():
        dense.bias[0] = float("inf")
    with pytest.raises(InputError, match="loss is nan at step 0: lower the rate"):
        recover(pruned(dense), dense, [torch.ones(2, 4)], STEPS)
    with pytest.raises(InputError, match="data is empty"):
        recover(pruned(dense), dense, [], STEPS)


class Counting(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).argmax(-1)


def test_outputs_that_have_no_gradient_are_refused() -> None:
    dense = Counting(4, 4)
    with pytest.raises(UnsupportedError, match="Counting gives a Tensor: recovery needs a tensor"):
        recover(pruned(dense), dense, [torch.ones(2, 4)], STEPS)


class Logits(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": torch.zeros(()), "logits": super().forward(x)}


def test_logits_are_compared_as_distributions() -> None:
    a, b = Logits(4, 3), Logits(4, 3)
    call = Call((torch.randn(5, 4),), {}, None)
    ours, theirs = view(a, call, []), view(b, call, [])
    p, q = (v.output.softmax(-1) for v in (theirs, ours))
    expected = (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(distance(ours, theirs, None), expected)


def test_distance_is_nought_for_equals_and_blind_to_padding() -> None:
    made = torch.Generator().manual_seed(0)
    state, output = torch.randn(2, 3, 5, 8, generator=made)
    mask = torch.arange(5)[None] < torch.tensor([[5], [3], [1]])
    one = View((state,), output, logits=False)
    assert float(distance(one, one, mask)) == pytest.approx(0, abs=1e-6)
    padded = View(tuple(torch.where(mask[..., None], s, 99.0) for s in (state,)),
                  torch.where(mask[..., None], output, -99.0), logits=False)  # fmt: skip
    assert float(distance(padded, one, mask)) == pytest.approx(0, abs=1e-6)
    other = View((state + 0.1,), output, logits=False)
    assert float(distance(other, one, mask)) > 1e-3
    assert float(distance(View((state,), output + 0.1, logits=False), one, mask)) > 1e-3


def test_a_deep_copy_of_the_result_is_as_sparse() -> None:
    result = pruned()
    twin = copy.deepcopy(result.model)
    assert all(
        int((twin.get_parameter(n).detach().numpy()[~m] != 0).sum()) == 0 for n, m in result.masks.items()
    )
