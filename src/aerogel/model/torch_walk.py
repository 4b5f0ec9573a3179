"""One forward pass over a traced graph: activations become operations, everything else waits to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.fx import Node
from torch.nn import functional

from aerogel.model.graph import Activation, ActivationFn, Lookup, Op, Value
from aerogel.model.torch_meaning import Meaning
from aerogel.model.torch_probe import content_arguments
from aerogel.model.torch_program import Program, Size
from aerogel.model.torch_source import module_path, op_name, origin, unsupported
from aerogel.model.torch_values import Act, Axis, Formula, Known, Norm, Part, Parts, Scores, TokenSum
from aerogel.model.torch_weights import Weights

ACTIVATIONS: dict[ActivationFn, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@dataclass
class Walk:
    """The state of the pass: what every activation node is known to be, and the operations made so far.
    ``lookups``: where each token embedding looks; ``symbols``: batch and length as ``sizes`` has them."""

    weights: Weights
    meaning: Meaning
    active: frozenset[Node]
    lookups: Mapping[Node, Lookup]
    sizes: Mapping[Node, tuple[Size, ...]]
    symbols: tuple[Size, Size] | None
    known: dict[Node, Known] = field(default_factory=dict[Node, Known])
    ops: list[Op] = field(default_factory=list[Op])
    tables: dict[tuple[Part, ...], str | None] = field(default_factory=dict[tuple[Part, ...], "str | None"])

    def emit(self, op: Op) -> Value:
        self.ops.append(op)
        return op.out

    def weight(self, node: Node, argument: Node, role: str) -> tuple[str, str]:
        """(name, note) of a constant argument; UnsupportedError where it is computed from inputs."""
        tensor = self.meaning.probe.constant(argument)
        if tensor is None:
            unsupported(node, f"its {role} {argument.name} depends on the model's inputs")
        return self.weights.add(tensor, ".".join(p for p in (module_path(node), role) if p))

    def constant(self, node: Node, role: str, tensor: torch.Tensor) -> str:
        """A weight the module does not hold, such as the ones of a layer norm without parameters."""
        return self.weights.add(tensor, ".".join(p for p in (module_path(node), f"{role}") if p))[0]


@dataclass(frozen=True)
class Call:
    """One aten call with its arguments by name, defaults filled in."""

    node: Node
    arguments: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    @property
    def first(self) -> Any:
        return next(iter(self.arguments.values()))


Handler = Callable[[Walk, Call], Known]


def call(node: Node) -> Call:
    schema: Any = getattr(node.target, "_schema", None)
    if schema is None:
        return Call(node, {f"_{i}": a for i, a in enumerate(node.args)} | dict(node.kwargs))
    given = dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
    return Call(node, {a.name: given.get(a.name, a.default_value) for a in schema.arguments})


def active_nodes(
    program: Program, features: Iterable[Node], symbols: tuple[Size, Size] | None
) -> frozenset[Node]:
    """The nodes holding activations: looked up per token, passed in as features, or computed from those."""
    active = set(features)
    for node in program.nodes:
        if node.op != "call_function" or "val" not in node.meta:
            continue
        if any(a in active for a in content_arguments(node)) or is_token_lookup(node, program.sizes, symbols):
            active.add(node)
    return frozenset(active)


def is_token_lookup(
    node: Node, sizes: Mapping[Node, tuple[Size, ...]], symbols: tuple[Size, Size] | None
) -> bool:
    """An embedding whose index has one entry per token: (B, S), (1, S) or (S,)."""
    if symbols is None or op_name(node) != "aten.embedding" or not isinstance(index := node.args[1], Node):
        return False
    batch, length = symbols
    return sizes[index] in ((batch, length), (1, length), (length,))


def same_ids(index: Node, sizes: Mapping[Node, tuple[Size, ...]]) -> Node:
    """The ids an index is only a copy, a cast or a view of the same shape of."""
    kept = ("to", "clone", "contiguous", "alias", "detach", "type_as", "long")
    while index.op == "call_function":
        source, name = index.args[0], op_name(index).removeprefix("aten.")
        same = name in ("view", "reshape") and sizes.get(index) == sizes.get(source)  # type: ignore[arg-type]
        if name not in kept and not same:
            break
        index = source  # type: ignore[assignment]
    return index


def act(walk: Walk, node: Node, argument: Any) -> Act:
    """The argument as a plain activation; UnsupportedError where it is anything else, or scaled."""
    found = walk.known.get(argument) if isinstance(argument, Node) else None
    if isinstance(found, Formula):
        found = walk.known[argument] = recognised(walk, argument, found)
    if not isinstance(found, Act):
        unsupported(node, f"its argument {argument} is not an activation")
    if found.scale != 1.0 or found.padding == "share":
        unsupported(
            node,
            f"its argument {argument} is an activation times a number, known only inside attention and means",
        )
    return found


def recognised(walk: Walk, node: Node, found: Formula) -> Act:
    """The activation function a spelt-out formula is, by its values; emits it."""
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    y = found.fn(x)
    for fn, exact in ACTIVATIONS.items():
        if torch.allclose(y.to(torch.float64), exact(x), rtol=1e-6, atol=1e-7):
            out = value_of(node, found.x.value.features, found.x.value)
            made = walk.emit(Activation(out, found.x.value.name, fn, origin(node)))
            return replace(found.x, value=made, scale=1.0, padding="any")
    return unsupported(node, f"a function of each element that is none of {list(ACTIVATIONS)}")


def value_of(node: Node, features: int, like: Value) -> Value:
    return Value(node.name, features, like.columns)


def features_of(walk: Walk, node: Node) -> int:
    size = walk.sizes[node][-1]
    if not isinstance(size, int):
        unsupported(node, f"its last dimension {size} is not a fixed number of features")
    return size


def is_plain(found: Act) -> bool:
    """Laid out with all features last, none split into heads."""
    return bool(found.axes) and found.axes[-1] == "F"


def axis_of(node: Node, dim: int, axes: tuple[Axis, ...]) -> int:
    if not -len(axes) <= dim < len(axes):
        unsupported(node, f"there is no dimension {dim} among {len(axes)}")
    return dim % len(axes)


def require_shape(walk: Walk, node: Node, known: Known) -> None:
    """What an operation is known to be has the shape torch gives it: a broadcast nobody meant ends here."""
    if node not in walk.sizes or isinstance(known, (Formula, Norm, Parts)):
        return
    batch, length = walk.symbols or (None, None)
    wanted: dict[Axis, Size | None] = {"B": batch, "S": length, "1": 1}
    match known:
        case Act():
            axes = known.axes
            wanted |= {"F": known.value.features, "H": known.heads}
            if "P" not in axes:
                wanted["D"] = known.value.features // known.heads
        case TokenSum():
            axes, wanted["F"] = known.axes, known.value.features
        case Scores():
            axes, wanted["H"] = ("B", "H", "S", "S"), known.heads
    sizes = walk.sizes[node]
    right = len(axes) == len(sizes) and all(s == wanted.get(a, s) for a, s in zip(axes, sizes, strict=True))
    if not right:
        unsupported(node, f"its result of shape {sizes} is not laid out as {axes}")
