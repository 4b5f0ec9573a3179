"""torch module in, program out: what ``aerogel.compile`` keeps, copies and lets one choose."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model import zoo
from tests.model.graphs import Draft, rows_of, tokens

import aerogel
from aerogel.core.errors import TargetError
from aerogel.core.target import available, current
from aerogel.formats.canonical import Encoded
from aerogel.model.compile import build
from aerogel.model.steps import LinearStep


def encoder_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    given = zoo.as_torch(zoo.batch((5, 2, 4)))
    return given["input_ids"], given["attention_mask"]


def test_a_module_and_its_program_agree() -> None:
    module = zoo.pooled("mean_tokens")
    program = aerogel.compile(module, encoder_inputs(), plan="quick")
    assert isinstance(program, aerogel.Program)
    ids, mask = (torch.cat([t, t.flip(0)]) for t in encoder_inputs())
    with torch.no_grad():
        expected = module(ids, mask)
    torch.testing.assert_close(program(ids, mask), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(program(input_ids=ids, attention_mask=mask), expected, rtol=1e-4, atol=1e-5)


def test_training_on_changes_no_program() -> None:
    module = zoo.mlp()
    x = torch.ones(3, 8)
    program = aerogel.compile(module, (x,), plan="quick")
    before = program(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    torch.testing.assert_close(program(x), before, rtol=0, atol=0)


def test_what_is_saved_is_what_was_compiled(tmp_path: Path) -> None:
    """Training on, or dropping the module, changes no file either; and its memory is let go."""
    module = zoo.hugging("BertModel")
    program = aerogel.compile(module, encoder_inputs(), plan="quick")
    program.save(tmp_path / "before.aero", embeddings="fp32")
    table = program.built.graph.weight("embeddings.word_embeddings.weight")
    assert np.shares_memory(table, program.built.constants)
    arrays = [p.detach().numpy() for p in module.parameters()]
    for weight in program.built.graph.weights.values():
        parts = weight.parts.values() if isinstance(weight, Encoded) else [weight]
        assert not any(np.shares_memory(part, array) for part in parts for array in arrays)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    program.save(tmp_path / "after.aero", embeddings="fp32")
    assert (tmp_path / "after.aero").read_bytes() == (tmp_path / "before.aero").read_bytes()


def test_zeros_are_not_stored() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False))
    full = aerogel.compile(module, (torch.ones(2, 64),), plan="quick")
    with torch.no_grad():
        module[0].weight[torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) < 0.9] = 0
    sparse = aerogel.compile(module, (torch.ones(2, 64),), plan="quick")
    nonzeros = int(torch.count_nonzero(module[0].weight))
    assert {p.many.nonzeros for p in sparse.built.packed.values()} == {nonzeros}
    assert sparse.nbytes < full.nbytes == full.built.constants.nbytes


def test_layers_are_called_as_in_the_module() -> None:
    program = aerogel.compile(zoo.hugging("BertModel"), encoder_inputs(), plan="quick")
    names = [e.layer for e in program.plan.layers]
    attention = "encoder.layer.0.attention"
    assert names[0] == " + ".join(f"{attention}.self.{n}" for n in ("query", "key", "value"))
    assert names[1] == f"{attention}.output.dense"
    assert len(names) == len(set(names)) and not any("(2)" in n for n in names)


def test_a_timed_plan_is_the_default_and_is_kept() -> None:
    module, x = zoo.mlp(), torch.ones(2, 8)
    program = aerogel.compile(module, (x,))
    assert program.plan.columns > 0
    again = aerogel.compile(module, (x,), plan=program.plan)
    assert again.plan is program.plan
    assert torch.equal(again(x), program(x))


def test_the_thread_count_is_what_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _rows()
    assert build(graph, plan="quick", threads=1).threads == 1
    monkeypatch.setenv("AEROGEL_NUM_THREADS", "1")
    assert build(graph, plan="quick").threads == 1
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    assert build(graph, plan="quick", threads=7).threads == 7


def _rows():
    d = rows_of(4)
    return d.graph(d.linear("x", 3))


@pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
def test_the_environment_names_the_target(target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_TARGET", target.name)
    program = build(_rows(), plan="quick")
    assert program.built.target == target == program.built.compiled.target
    assert program.plan.target == target.fingerprint
    assert program.built.layout.lanes * 32 == target.vector_bits


def test_an_unknown_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_TARGET", "z80")
    with pytest.raises(TargetError, match="'z80' is unknown"):
        build(_rows(), plan="quick")


def test_the_target_given_is_the_one_used() -> None:
    last = available()[-1]
    assert build(_rows(), plan="quick", target=last).built.target == last
    assert build(_rows(), plan="quick").built.target == current()


def test_stacked_weights_are_the_layers_one_below_the_other() -> None:
    d = Draft()
    graph = d.graph(d.attend(d.embedding()))
    program = build(graph, plan="quick")
    (step,) = (s for s in program.built.steps if isinstance(s, LinearStep))
    assert program.built.packed[step.name].many.rows == 24
    assert np.isfinite(program(**tokens((3, 1)))).all()


def test_it_says_how_long_it_took_when_asked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "aerogel"):
        build(_rows(), plan="quick")
    assert any("planned in" in m and "built in" in m for m in caplog.messages)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    build(_rows())
    assert capfd.readouterr() == ("", "")


def test_no_file_is_left_where_one_works(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build(_rows(), plan="quick")
    assert list(tmp_path.iterdir()) == []
