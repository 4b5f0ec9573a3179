"""Where zeros pay beside what they change: the right product, precision and number of columns."""

from __future__ import annotations

from tests.find.evidence import QUICK, SLOW, curve, pay_map, row

from aerogel.find.paymap import Use
from aerogel.find.sensitivity import PATTERNS, SHARES, Sensitivity, SensitivityReport, sweep, with_breakevens
from aerogel.find.tables import pays_words, sensitivity_sheet
from aerogel.tune.breakeven import Way


def report(*names: str) -> SensitivityReport:
    rows = [
        Sensitivity(name, (6, 8), share, share / 10, pattern)
        for name in names
        for pattern in ("unstructured", "block4x1")
        for share in (0.5, 0.8)
    ]
    return SensitivityReport("texts", tuple(rows), ())


def test_the_sweep_has_every_share_and_of_n_of_m_one() -> None:
    cases = list(sweep())
    assert len(cases) == len(set(cases)) == 3 * len(SHARES) + 1
    assert cases[0] == ("unstructured", 0.5)
    assert [share for name, share in cases if name == "2:4"] == [0.5]
    assert {name for name, _ in cases} == set(PATTERNS)


def test_a_layer_pays_where_the_product_pays_that_it_is_part_of() -> None:
    made = curve(QUICK)
    pay = pay_map((row(made, None),), None)
    use = Use(made.outputs, made.inputs, ("a.weight", "b.weight"), 1, pooled=False)
    found = with_breakevens(report("a.weight", "other.weight"), [use], pay)
    pays = found.pays_from("a.weight", "unstructured")
    assert pays is not None
    assert (pays.breakeven, pays.columns) == (pay.rows[0].over_dense, made.columns)
    assert found.pays_from("a.weight", "block4x1") is None, "it was not timed"
    assert found.pays_from("other.weight", "unstructured") is None
    json = found.to_json()["pays"]
    assert [(each["name"], each["pattern"], each["verdict"]) for each in json] == [
        ("a.weight", "unstructured", "pays")
    ]
    sheet = sensitivity_sheet(found, every_layer=True)
    assert sheet.columns[-1] == "faster"
    assert [line[-1] for line in sheet.rows][1:] == ["not measured"] * 3
    assert str(sheet.rows[0][-1]).startswith("from ")


def test_of_two_precisions_the_one_that_needs_fewer_zeros() -> None:
    rows = (row(curve(SLOW)), row(curve(QUICK, Way("unstructured", "int8"))))
    use = Use(rows[0].curve.outputs, rows[0].curve.inputs, ("a.weight",), 1, pooled=False)
    found = with_breakevens(report("a.weight"), [use], pay_map(rows, None))
    pays = found.pays_from("a.weight", "unstructured")
    assert pays is not None and pays.way == Way("unstructured", "int8")
    assert pays_words(found, found.curve("a.weight", "unstructured")).endswith(" in int8")
