"""Graphs: wires that fit, forks that come by themselves, blocks that nothing needs."""

from __future__ import annotations

import pytest

from aerogel.chip.graph.blocks import Alu, Array, Fork, Repeat, Root, Scan, WriteValues
from aerogel.chip.graph.graph import Graph, Node, Port, Wire, verify
from aerogel.chip.graph.interpret import interpret
from aerogel.chip.graph.wiring import Wiring
from aerogel.core.errors import ChipError

ROOT, ARRAY, WRITE = Node("root", Root()), Node("array", Array("A")), Node("write", WriteValues("x"))


def wire(source: int, sink: int, port: int = 0) -> Wire:
    return Wire(Port(source, 0), Port(sink, port))


def test_a_graph_that_fits() -> None:
    graph = verify(Graph((ROOT, ARRAY, WRITE), (wire(0, 1), wire(1, 2))))
    assert graph.into(2) == (Port(1, 0),)
    assert graph.counts() == {"Root": 1, "Array": 1, "WriteValues": 1}


@pytest.mark.parametrize(
    ("nodes", "wires", "words"),
    [
        ((ROOT, WRITE), (wire(0, 1),), "root.ref sends references, but write.val takes values"),
        ((ROOT, ARRAY), (), "array.ref is fed by nothing"),
        ((ROOT, ARRAY, ARRAY), (wire(0, 1),), "two blocks are called array"),
        (
            (ROOT, ARRAY, Node("other", Array("B"))),
            (wire(0, 1), wire(0, 2)),
            "root.ref has two readers: put a Fork between",
        ),
        ((ROOT, Node("r2", Root()), ARRAY), (wire(0, 2), wire(1, 2)), "array.ref is fed twice"),
        ((ROOT,), (wire(0, 3),), "a wire names block 3, which is none"),
        ((ROOT, ARRAY), (wire(0, 1, 5),), "array has no port 5"),
    ],
)
def test_graphs_that_do_not_fit(nodes: tuple[Node, ...], wires: tuple[Wire, ...], words: str) -> None:
    with pytest.raises(ChipError, match=words):
        verify(Graph(nodes, wires))


def test_forks_and_names() -> None:
    wiring = Wiring()
    (ref,) = wiring.add(Root(), "root")
    (a,) = wiring.add(Array("A"), "array", ref)
    (b,) = wiring.add(Array("B"), "array", ref)
    (c,) = wiring.add(Alu("add"), "add", a, b)
    wiring.add(Scan("C", 0), "unused", ref)
    wiring.add(WriteValues("x"), "write", c)
    graph = wiring.graph()
    assert [node.name for node in graph.nodes] == [
        "root",
        "array",
        "array_2",
        "add",
        "write",
        "fork_root_ref",
    ]
    assert [node.block.ways for node in graph.nodes if isinstance(node.block, Fork)] == [2]


def test_cycles_are_found() -> None:
    wiring = Wiring()
    (a,) = wiring.add(Alu("add"), "one", None, None)
    (b,) = wiring.add(Alu("add"), "other", a, a)
    wiring.connect(b, Port(0, 0))
    wiring.connect(b, Port(0, 1))
    wiring.add(WriteValues("x"), "write", b)
    with pytest.raises(ChipError, match="a cycle other than through skips"):
        interpret(wiring.graph(), {})


def test_streams_that_do_not_belong_together() -> None:
    wiring = Wiring()
    (ref,) = wiring.add(Root(), "root")
    crd, refs = wiring.add(Scan("all", 0, "dense", 2), "scan", ref)
    (again,) = wiring.add(Repeat(), "repeat", crd, refs)
    (val,) = wiring.add(Array("A"), "array", again)
    wiring.add(WriteValues("x"), "write", val)
    with pytest.raises(ChipError, match="repeat: its streams do not belong together"):
        interpret(wiring.graph(), {})
