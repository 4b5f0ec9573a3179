from __future__ import annotations

from tests.report.html_tree import tree
from tests.report.tables import made

from aerogel.bench.corpus import Passage
from aerogel.bench.demo import Answer, Demo
from aerogel.report import render
from aerogel.report.demo import demo_report, questions

ROWS = {"onnxruntime fp32": 0.02, "aerogel dense": 0.01}
SAME = dict.fromkeys(ROWS, Passage("Copy a <b>tree</b> & all.", "shutil.copytree"))
APART = {
    "onnxruntime fp32": Passage("Is it leap?", "calendar.isleap"),
    "aerogel dense": Passage("No.", "not.it"),
}


def found() -> Demo:
    answers = (Answer("How to copy?", SAME), Answer("Which years?", APART))
    return Demo(
        made(ROWS, dict.fromkeys(ROWS, 1.0)), answers, 2000, 90.0, {"torch eager": ("torch", "transformers")}
    )


def test_answers_are_grouped_by_what_they_say() -> None:
    same, apart = questions(found().answers).exchanges
    assert [(r.name, r.by) for r in same.replies] == [("shutil.copytree", "every row")]
    assert [(r.name, r.by) for r in apart.replies] == [
        ("calendar.isleap", "onnxruntime fp32"),
        ("not.it", "aerogel dense"),
    ]


def test_one_row_alone_is_named() -> None:
    (only,) = questions((Answer("q", {"aerogel dense": SAME["aerogel dense"]}),)).exchanges
    assert [r.by for r in only.replies] == ["aerogel dense"]


def test_the_page_has_answers_as_text_and_says_what_was_left_out() -> None:
    page = tree(render(demo_report(found())))
    asked = page.all("dl", class_="questions")[0]
    assert [n.text for n in asked.all("dt")] == ["How to copy?", "Which years?"]
    assert "Copy a <b>tree</b> & all." in asked.text and not asked.all("b")
    assert "torch eager: not compared, for want of torch and transformers." in page.text
    assert "2 questions to 2000 docstrings" in page.text
