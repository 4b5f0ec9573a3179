from __future__ import annotations

import json
from pathlib import Path

import pytest

from aerogel.bench import claims
from aerogel.bench.claims import Claim, at_least, at_most, kept, results, write
from aerogel.core.errors import InputError
from aerogel.core.target import named
from aerogel.measure import Ratio, machine


@pytest.mark.parametrize(
    ("low", "value", "high", "holds", "proven"),
    [(1.9, 2.0, 2.1, True, True), (1.7, 2.0, 2.1, True, False), (1.5, 1.7, 1.9, False, False)],
)
def test_a_claim_holds_by_its_estimate_and_is_proven_by_its_interval(
    low: float, value: float, high: float, holds: bool, proven: bool
) -> None:
    claim = at_least("ours over theirs", Ratio("ours", "theirs", value, low, high, 0.95), 1.8)
    assert (claim.holds, claim.proven) == (holds, proven)
    assert str(claim).startswith("ok" if holds else "FAIL")
    assert ("not proven" in str(claim)) == (holds and not proven)


def test_at_most_is_the_other_way_round_and_has_no_interval() -> None:
    assert at_most("import", 0.3, 0.3, "s").holds
    late = at_most("import", 0.31, 0.3, "s")
    assert not late.holds and late.proven is None
    assert str(late) == "FAIL import: 0.31 s (at most 0.3)"
    assert Claim("x", 1, 2, "s", "at most", 1, 3).proven is False


def test_claims_are_written_with_their_evidence(tmp_path: Path) -> None:
    path = tmp_path / "results" / "x.json"
    write(path, [at_most("import", 0.1, 0.3, "s")], {"quick": True})
    found = json.loads(path.read_text())
    assert found["quick"] is True
    assert found["claims"][0]["holds"] is True and found["claims"][0]["about"] == "import"


@pytest.mark.parametrize(
    ("target", "flags", "file"),
    [
        ("avx512", {"avx512_vnni"}, "speed.json"),
        ("avx512", set[str](), "speed_avx512.json"),
        ("avx2", {"avx_vnni"}, "speed_avx2.json"),
    ],
)
def test_each_kind_of_cpu_has_results_of_its_own(
    target: str, flags: set[str], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "current", lambda: named(target, flags))
    assert results("/there/speed.py") == Path("/there/results") / file


def test_an_earlier_result_is_kept_on_the_same_cpu_alone(tmp_path: Path) -> None:
    claim = Claim("one thing", 1.5, 1.2, "x", "at least", 1.1, 1.9)
    write(tmp_path / "r.json", [claim], {"cpu": machine().cpu})
    found = kept(tmp_path / "r.json", lambda document: [document["cpu"]])
    assert [Claim.from_json(one) for one in found["claims"]] == [claim]
    with pytest.raises(InputError, match="was measured on another: leave out --keep"):
        kept(tmp_path / "r.json", lambda document: ["another"])
    with pytest.raises(InputError, match="cannot be read"):
        kept(tmp_path / "none.json", lambda document: [])
