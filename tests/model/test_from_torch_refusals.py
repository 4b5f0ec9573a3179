"""What the importer refuses: the operation, the line it comes from, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.model.agreement import imported  # noqa: E402
from tests.model.zoo import Over, hugging, masked, mean_tokens, mlp  # noqa: E402
from torch import nn  # noqa: E402

from aerogel.core.errors import MissingDependencyError, UnsupportedError  # noqa: E402
from aerogel.model.from_torch import from_torch  # noqa: E402


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda x, m: (x.mean(1), masked(x, m)),
            r"aten.mean .*zoo.py:\d+: .*averages over padding too",
        ),
        (lambda x, m: (x.sum(1), masked(x, m)), "sums over padding too"),
        (lambda x, m: (x.amax(1), masked(x, m)), "takes the maximum over padding too"),
        (lambda x, m: masked(x, m).sum(1), "not an activation"),
        (lambda x, m: masked(x, m).sum(1) / 3, "divides"),
        (lambda x, m: masked(x, m).sum(1, keepdim=True) / m.sum(1, keepdim=True), "is not laid out as"),
        (lambda x, m: (x * (1 - m[..., None])).sum(1), "no activation, scale or padding mask"),
        (lambda x, m: x.masked_fill(m[..., None] == 1, -1e9).amax(1), "places that are not the padding"),
        (lambda x, m: mean_tokens(x, m[:, :1].expand_as(m)), "no activation, scale or padding mask"),
        (lambda x, m: x[:, 1], "only the first token can be taken"),
        (lambda x, m: x.transpose(0, 1), r"output 'output' is laid out as \('S', 'B', 'F'\)"),
        (lambda x, m: x.view(-1, 2, 4), r"laid out as \('BS', 'H', 'D'\)"),
        (lambda x, m: x.flatten(1), "reshapes"),
        (lambda x, m: x + m[..., None], "neither an activation nor the bias"),
        (lambda x, m: x + x[:, :1], "combines"),
        (lambda x, m: x * 2, "an activation times a number"),
        (
            lambda x, m: torch.cumsum(x, 1),
            r"aten.cumsum \(.*zoo.py:\d+: .*does not know",
        ),
        (lambda x, m: x @ x.transpose(1, 2), "attention over"),
        (lambda x, m: m, "computed from no activation"),
        (lambda x, m: (x, 3), "output 'output_1' is the constant 3"),
    ],
)
def test_what_no_graph_can_say_is_refused(step: Callable[..., Any], message: str):
    with pytest.raises(UnsupportedError, match=message):
        imported(Over(step).eval())


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)


@pytest.mark.parametrize(
    ("inner", "shape", "name"),
    [
        (nn.Conv2d(3, 8, 3), (2, 3, 8, 8), "aten.conv2d"),
        (nn.LSTM(8, 4, batch_first=True), (2, 3, 8), "aten.lstm"),
        (nn.BatchNorm1d(8), (2, 8), "aten.batch_norm"),
        (nn.Softmax(-1), (2, 8), "aten.softmax"),
        (nn.Hardswish(), (2, 8), "aten.hardswish"),
    ],
    ids=["conv", "lstm", "batch norm", "softmax", "hardswish"],
)
def test_an_unknown_operation_is_named_with_its_line(inner: nn.Module, shape: tuple[int, ...], name: str):
    where = r"in module 'inner' \(.*test_from_torch_refusals.py:\d+: return self.inner\(x\)\)"
    with pytest.raises(UnsupportedError, match=f"{name} {where}"):
        from_torch(Wrapped(inner).eval(), torch.randn(shape))


def test_flow_that_depends_on_values_is_refused_with_its_line(capfd: pytest.CaptureFixture[str]):
    class Branch(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x) if x.sum() > 0 else x

    with pytest.raises(
        UnsupportedError, match=r"cannot be traced by torch.export at .*test_from_torch_refusals.py:\d+"
    ):
        from_torch(Branch(), torch.randn(2, 4))
    assert capfd.readouterr() == ("", "")


def test_training_mode_is_refused_where_it_matters_and_never_changed():
    module = hugging("BertModel", layers=1).train()
    with pytest.raises(UnsupportedError, match=r"dropout p=0.1 in training mode: call module.eval\(\) first"):
        imported(module)
    assert all(m.training for m in module.modules())
    harmless = mlp().train()
    from_torch(harmless, torch.randn(3, 8))
    assert all(m.training for m in harmless.modules())


def test_without_torch_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"aerogel\[torch\]"):
        from_torch(None, ())  # type: ignore[arg-type]
