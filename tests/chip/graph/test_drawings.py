"""Graphs as text, for Graphviz, and as pictures: the same bytes for the same graph, everything on it, nothing
on top of anything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.chip.graph import cases

from aerogel.chip.graph.blocks import Fork
from aerogel.chip.graph.build import Options, build
from aerogel.chip.graph.dot import dot
from aerogel.chip.graph.graph import Graph
from aerogel.chip.graph.layers import arranged
from aerogel.chip.graph.printer import label, text
from aerogel.chip.graph.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


def graph(name: str, order: str | None = None, options: Options = Options()) -> Graph:  # noqa: B008 (frozen)
    expression = cases.EXPRESSIONS[name]
    tensors = cases.stored(cases.operands(expression, np.random.default_rng(1)), {})
    return build(expression, tensors, tuple(order) if order else None, options=options).graph


GRAPHS = {
    "product": graph("SpM*SpM", "ikj"),
    "skips": graph("SpMV", "ij", Options(skips=True)),
    "bits": graph("SpMV", "ij", Options(bits=True)),
    "lanes": graph("MTTKRP", "ijkl", Options(lanes=3)),
    "softmax": graph("SDDMM", "ijk", Options(softmax=True)),
    "outer": graph("SpM*SpM", "kij"),
}


@pytest.mark.parametrize("name", ["product", "skips"])
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"chip/{name}.txt", text(GRAPHS[name]))
    golden(f"chip/{name}.dot", dot(GRAPHS[name]))


@pytest.mark.parametrize("name", GRAPHS)
def test_text_has_a_line_for_each_block(name: str) -> None:
    lines = text(GRAPHS[name]).splitlines()
    assert [line.split(" = ")[0] for line in lines] == [node.name for node in GRAPHS[name].nodes]


@pytest.mark.parametrize("name", GRAPHS)
def test_graphviz_gets_every_block_and_wire(name: str) -> None:
    found = dot(GRAPHS[name])
    assert found.count("->") == len(GRAPHS[name].wires)
    assert len(re.findall(r'^  "[^"]+" \[', found, re.MULTILINE)) == len(GRAPHS[name].nodes)


@pytest.mark.parametrize("name", GRAPHS)
def test_pictures_have_every_block_and_wire(name: str) -> None:
    picture = svg(GRAPHS[name])
    assert picture == svg(GRAPHS[name])
    root = ET.fromstring(picture)
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    for node in GRAPHS[name].nodes:
        wanted = node.name if isinstance(node.block, Fork) else f"{node.name}: {label(node.block)}"
        assert wanted in titles
    assert sum(" to " in title for title in titles) == len(GRAPHS[name].wires)
    high, wide = float(root.attrib["height"]), float(root.attrib["width"])
    for x, y, width, height in _boxes(root):
        assert x >= 0
        assert y >= 0
        assert x + width <= wide
        assert y + height <= high


@pytest.mark.parametrize("name", GRAPHS)
def test_no_box_lies_on_another(name: str) -> None:
    boxes = _boxes(ET.fromstring(svg(GRAPHS[name])))
    assert len(boxes) == sum(not isinstance(node.block, Fork) for node in GRAPHS[name].nodes)
    for (x, y, wide, high), (u, v, wider, higher) in combinations(boxes, 2):
        assert x + wide <= u or u + wider <= x or y + high <= v or v + higher <= y


@pytest.mark.parametrize("name", GRAPHS)
def test_wires_go_down(name: str) -> None:
    """But for skips, which go back."""
    drawn = GRAPHS[name]
    layout = arranged(drawn, [10.0] * len(drawn.nodes), 2.0, 3.0)
    back = [w for w in drawn.wires if layout.depth[w.source.block] >= layout.depth[w.sink.block]]
    assert len(back) == (2 if name == "skips" else 0)
    for layer in layout.layers:
        places = [layout.x[key] for key in layer]
        assert places == sorted(places)


def _boxes(root: ET.Element) -> list[tuple[float, float, float, float]]:
    return [
        (
            float(box.attrib["x"]),
            float(box.attrib["y"]),
            float(box.attrib["width"]),
            float(box.attrib["height"]),
        )
        for box in root.iter(f"{SVG}rect")
        if "x" in box.attrib
    ]
