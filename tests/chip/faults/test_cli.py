"""``aerogel chip``: bad input gets exit status 2, and one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aerogel as ag
from aerogel.cli import main

PRODUCT = "y(i) = A(i,j) * x(j)"
OPERANDS = ("A=a.mtx", "x=x.npy")
Capture = pytest.CaptureFixture[str]

EITHER: list[tuple[tuple[str, ...], str]] = [
    (("", *OPERANDS), "expected the output, as in y(i) = ..."),
    (("y(i) = A(i,j", *OPERANDS), "expected ',' or ')' in A(...), found the end"),
    ((PRODUCT, "A=a.mtx"), "no tensor was given for x"),
    ((PRODUCT, *OPERANDS, "z=x.npy"), "operand 'z' is given but not used: leave it out"),
    ((PRODUCT, *OPERANDS, "A=a.mtx"), "operand A is given twice"),
    ((PRODUCT, "A=a.mtx", "x=none.npy"), "none.npy cannot be read"),
    ((PRODUCT, "A=a.mtx", "x=short.npy"), "index 'j' is 3 in mode 1 of A, but 2 in mode 0 of x"),
    ((PRODUCT, "A=a.mtx", "x=complex.npy"), "complex numbers are not supported"),
    ((PRODUCT, "A=outside.mtx", "x=x.npy"), "outside.mtx, line 3: coordinate 9 of mode 0 is outside 1 .. 3"),
    ((PRODUCT, *OPERANDS, "--fabric", "onyx"), "did you mean 'onyx-like'"),
    ((PRODUCT, *OPERANDS, "--fabric", "none.toml"), "none.toml cannot be read"),
    ((PRODUCT, *OPERANDS, "--fabric", "cut.toml"), "cut.toml is no TOML"),
    ((PRODUCT, *OPERANDS, "--fabric", "typo.toml"), "did you mean 'rows'"),
    ((PRODUCT, *OPERANDS, "--fabric", "zero.toml"), "rows of zero.toml is 0: it takes a whole number"),
    ((PRODUCT, *OPERANDS, "--fabric", "tiny.toml"), "needs 4 memory tiles, tiny has 1"),
    ((PRODUCT, *OPERANDS, "--copies", "9999"), "9999 copies have"),
    ((PRODUCT, *OPERANDS, "--order", "i"), "must name each index once: i, j"),
    ((PRODUCT, *OPERANDS, "--semiring", "plus"), "semiring 'plus' is unknown"),
    (("y(i) = sin(x(i))", "x=x.npy"), "no block computes sin"),
    (("y(i) = x(j)", "x=x.npy"), "index 'i' of the output is in no operand"),
]
"""Of ``compile`` and of ``simulate``."""
SIMULATE: list[tuple[tuple[str, ...], str]] = [
    ((PRODUCT, *OPERANDS, "--cycles", "0:5"), "give --vcd"),
    ((PRODUCT, *OPERANDS, "--vcd", "none/a.vcd"), "none/a.vcd cannot be written: there is no folder none"),
    ((PRODUCT, *OPERANDS, "-o", "none/y.npy"), "there is no folder none"),
    ((PRODUCT, *OPERANDS, "-o", "y.xyz"), "y.xyz: the name tells what to write"),
    ((PRODUCT, *OPERANDS, "--energy", "none.toml"), "none.toml cannot be read: No such file or directory"),
    ((PRODUCT, *OPERANDS, "--energy", "cut.toml"), "cut.toml is no TOML"),
    ((PRODUCT, "A=a.mtx", "x=large.npy", "--fabric", "int.toml"), "vals of x has values that int16 does not"),
]
COMPILE: list[tuple[tuple[str, ...], str]] = [
    ((PRODUCT, *OPERANDS, "--graph", "g.png"), "g.png: the name tells what to write: .svg, .dot, .txt"),
    ((PRODUCT, *OPERANDS, "--draw", "f.png"), "pictures are SVG"),
    ((PRODUCT, *OPERANDS, "-o", "none/words.bin"), "none/words.bin could not be written"),
]
USAGE: list[tuple[tuple[str, ...], str]] = [
    (("chip", "simulat"), "invalid choice: 'simulat'"),
    (("chip", "simulate"), "the following arguments are required: ASSIGNMENT"),
    (("chip", "simulate", PRODUCT, "A"), "'A' is no NAME=VALUE, such as A=a.mtx"),
    (("chip", "simulate", PRODUCT, *OPERANDS, "--copies", "0"), "'0' is not a whole number from 1 on"),
    (("chip", "simulate", PRODUCT, *OPERANDS, "--cycles", "5:1"), "'5:1' are no cycles from A to before B"),
    (("chip", "compile", PRODUCT, *OPERANDS, "--unknown"), "unrecognized arguments: --unknown"),
]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ag.write("a.mtx", ag.tensor(np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]), "csr"))
    vectors = {"x": np.ones(3), "short": np.ones(2), "large": np.full(3, 1e9), "complex": np.ones(3) * 1j}
    for name, vector in vectors.items():
        np.save(f"{name}.npy", vector)
    texts = {
        "outside.mtx": "%%MatrixMarket matrix coordinate real general\n3 3 1\n9 9 1\n",
        "cut.toml": "rows = ",
        "typo.toml": 'name = "t"\nrowz = 3\n',
        "zero.toml": 'name = "t"\nrows = 0\n',
        "tiny.toml": 'based_on = "onyx-small"\nname = "tiny"\nrows = 1\ncolumns = 4\n',
        "int.toml": 'based_on = "onyx-like"\nname = "int"\nvalues = "int16"\n',
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")


def refused(capsys: Capture, words: tuple[str, ...], said: str) -> None:
    assert main(["chip", *words]) == 2
    shown = capsys.readouterr()
    # Stages that were begun are told before; then one line.
    *before, last = shown.err.splitlines()
    assert last.startswith("aerogel: ") and said in last
    assert before in ([], ["compiling for the fabric"])
    assert shown.out == ""


@pytest.mark.parametrize("command", ["compile", "simulate"])
@pytest.mark.parametrize(("words", "said"), EITHER)
def test_what_is_wrong_is_said_in_a_line(
    capsys: Capture, command: str, words: tuple[str, ...], said: str
) -> None:
    refused(capsys, (command, *words), said)


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [("simulate", *case) for case in SIMULATE] + [("compile", *case) for case in COMPILE],
)
def test_what_is_wrong_with_one_of_them(
    capsys: Capture, command: str, words: tuple[str, ...], said: str
) -> None:
    refused(capsys, (command, *words), said)


@pytest.mark.parametrize(("words", "said"), USAGE)
def test_wrong_usage(capsys: Capture, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
