"""What a mask, position or count computed in torch means, proved on cases: padding in every place, holes,
and the greatest length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import Node

from aerogel.model.graph import FromConstant, FromInput, FromPosition, FromUnpadded, Lookup
from aerogel.model.torch_probe import Case, Probe
from aerogel.model.torch_source import unsupported
from aerogel.model.torch_values import Part

# Where there is no position table to say how long a sequence may be, masks are tried up to this length.
UNBOUNDED_LENGTH = 512
# Scores this far below others vanish in float32's softmax; models write -10000, -65504, -3.4e38 or -inf.
_EXCLUDED = -9999.0

_MASKS = (
    ((1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 0, 0), (0, 0, 1, 1, 1, 1), (1, 0, 1, 1, 0, 1), (0, 1, 0, 0, 0, 0)),
    ((1, 1), (0, 1), (1, 0)),
)


@dataclass(frozen=True)
class Meaning:
    """Cases to try on. ``ids``: token inputs holding ids and the size of the table each indexes."""

    probe: Probe
    mask: Node | None
    ids: dict[Node, int]
    longest: int
    cases: tuple[Case, ...]

    def lookup(self, node: Node, names: dict[Node, str], rows: int) -> Lookup:
        """Which row of its table each real token reads, for an index of shape (B or 1, S) or (S,)."""
        if node in names:
            return FromInput(names[node])
        tried = [(c, self.probe.run(node, c).expand(c.batch, c.length)) for c in self.cases]
        roots = self.probe.roots(node) & self.ids.keys()
        first = int(tried[0][1][0, 0])
        if all(bool((index == first)[c.mask].all()) for c, index in tried):
            self._same_for_every_id(node, roots, first)
            return FromConstant(first)
        if not roots and all(
            bool((index == torch.arange(c.length) + first)[c.mask].all()) for c, index in tried
        ):
            self._positions_to_the_end(node, first, rows)
            return FromPosition(first)
        for root in sorted(roots, key=names.__getitem__):
            if (padding := self._unpadded(node, root)) is not None:
                return FromUnpadded(names[root], padding)
        return unsupported(
            node, "token positions are known as offset + 0, 1, 2 ..., or as counted over non-padding ids"
        )

    def _same_for_every_id(self, node: Node, roots: frozenset[Node], row: int) -> None:
        for root in roots:
            index = self.probe.run(node, self._every_id(root))
            if not bool((index == row).all()):
                unsupported(node, "the row looked up depends on the ids in a way that is not known")

    def _every_id(self, root: Node) -> Case:
        """A case in which each id of an input occurs."""
        length = self.cases[0].length
        ids = torch.arange(-(-self.ids[root] // length) * length) % self.ids[root]
        blank = blank_case(self.mask, self.ids, len(ids) // length, length)
        return filled_case(blank, root, ids.reshape(-1, length))

    def _positions_to_the_end(self, node: Node, offset: int, rows: int) -> None:
        case = blank_case(self.mask, self.ids, 2, rows - offset)
        index = self.probe.run(node, case).expand(case.batch, case.length)
        if not bool((index == torch.arange(case.length) + offset).all()):
            unsupported(node, f"positions stop being {offset} + 0, 1, 2 ... before the table's end")

    def _unpadded(self, node: Node, root: Node) -> int | None:
        """The padding id of RoBERTa's rule, None where the node follows another rule."""
        last = self.ids[root] - 1
        case = filled_case(self.cases[0], root, torch.full_like(self.cases[0].inputs[root], last))
        padding = int(self.probe.run(node, case).reshape(-1)[0]) - 1
        for tried in (*self.cases, self._every_id(root)):
            ids = tried.inputs[root]
            for variant in (ids, torch.where(tried.mask, ids, padding)):
                case = filled_case(tried, root, variant)
                real = variant != padding
                expected = real.cumsum(1) * real + padding
                got = self.probe.run(node, case).expand(case.batch, case.length)
                if not torch.equal(got.to(torch.int64), expected.to(torch.int64)):
                    return None
        return padding

    def weights(self, node: Node) -> Literal["one", "mask", "share"] | None:
        """What a factor (B, S, 1 or F) does to real tokens: nothing; nothing, but padding becomes 0;
        the same and division by the count; None where it does something else."""
        found: set[str] = {"one", "mask", "share"}
        for case in self.cases:
            factor = self._per_token(node, case)
            if factor is None or factor.dtype == torch.bool:
                return None
            factor = factor.to(torch.float32)
            mask = case.mask.to(torch.float32)[..., None]
            wanted = {"one": torch.ones_like(mask), "mask": mask, "share": mask / mask.sum(1, keepdim=True)}
            found &= {
                kind for kind, want in wanted.items() if torch.allclose(factor, want, rtol=1e-5, atol=0)
            }
        return next((k for k in ("one", "mask", "share") if k in found), None)  # type: ignore[return-value]

    def selects(self, node: Node) -> Literal["padding", "tokens", "none"] | None:
        """Which positions a bool (B, S) or (B, S, 1 or F) is true at; None where it is another set."""
        found: set[str] = {"padding", "tokens", "none"}
        for case in self.cases:
            chosen = self._per_token(node, case)
            if chosen is None or chosen.dtype != torch.bool:
                return None
            mask = case.mask[..., None]
            wanted = {"padding": ~mask, "tokens": mask, "none": torch.zeros_like(mask)}
            found &= {kind for kind, want in wanted.items() if bool((chosen == want).all())}
        return next((k for k in ("none", "padding", "tokens") if k in found), None)  # type: ignore[return-value]

    def counts(self, node: Node) -> Literal["count", "inverse"] | None:
        """Whether it is the number of real tokens of each sequence, (B,), (B, 1) or (B, F), or 1 / that."""
        if self._reads_ids(node):
            return None
        found: set[str] = {"count", "inverse"}
        for case in self.cases:
            got = self.probe.run(node, case)
            if not isinstance(got, torch.Tensor) or got.ndim not in (1, 2, 3):
                return None
            got = got.to(torch.float64)
            flat = got.reshape(got.shape[0], -1)
            count = case.mask.sum(1, keepdim=True).to(torch.float64)
            if flat.shape[0] not in (1, case.batch):
                return None
            wanted = {"count": count, "inverse": 1 / count}
            found &= {
                k
                for k, want in wanted.items()
                if torch.allclose(flat, want.expand(case.batch, flat.shape[1]))
            }
        return next(iter(sorted(found)), None)  # type: ignore[return-value]

    def _reads_ids(self, node: Node) -> bool:
        """Trial inputs prove things about masks; about ids they would not, there being too many."""
        return not self.probe.roots(node) <= {self.mask}

    def _per_token(self, node: Node, case: Case) -> torch.Tensor | None:
        if self._reads_ids(node):
            return None
        got = self.probe.run(node, case)
        if not isinstance(got, torch.Tensor) or got.ndim not in (2, 3):
            return None
        got = got if got.ndim == 3 else got[..., None]
        if got.shape[0] not in (1, case.batch) or got.shape[1] not in (1, case.length):
            return None
        return got

    def attention(self, node: Node, parts: Sequence[Part], heads: int) -> NDArray[np.float32] | None:
        """Proves that real queries see exactly the real tokens; the additive bias [heads, 2 * longest - 1] by
        j - i + longest - 1, None where it is 0."""
        for part in parts:
            if self._reads_ids(part.node):
                unsupported(
                    node, "an attention mask computed from ids: pass the padding mask as an input of its own"
                )
        table: NDArray[np.float32] | None = None
        for case in reversed(self.cases):  # the longest first: it gives the whole table
            scores = self._scores(node, parts, heads, case)
            seen = scores > _EXCLUDED
            if case.mask.all() and not seen.all():
                causal = bool((seen == torch.ones(case.length, case.length).tril().bool()).all())
                unsupported(node, "causal attention" if causal else "attention that leaves out real tokens")
            wanted = case.mask[:, None, None, :].expand_as(seen)
            # What padding itself attends to is nobody's question, unless the token at position 0 is pooled.
            asking = case.mask | (torch.arange(case.length) == 0)
            queries = asking[:, None, :, None].expand_as(seen)
            if bool(((seen != wanted) & queries).any()):
                hint = (
                    "pass the mask to every attention" if self.mask else "pass the padding mask as an input"
                )
                unsupported(node, f"which keys attention sees is not the padding mask: {hint}")
            table = self._toeplitz(node, scores, seen & queries, table)
        assert table is not None
        return np.broadcast_to(table, (heads, table.shape[1])) if table.any() else None

    def _scores(self, node: Node, parts: Sequence[Part], heads: int, case: Case) -> torch.Tensor:
        total = torch.zeros(case.batch, 1, case.length, case.length)  # as many heads as the parts differ in
        for part in parts:
            got = self.probe.run(part.node, case)
            match part.kind:
                case "add" if got.dtype != torch.bool:
                    total = total + got
                case "add" | "keep":
                    total = total.masked_fill(~got, -torch.inf)
                case "drop":
                    total = total.masked_fill(got, -torch.inf)
        square = (case.length, case.length)
        if total.shape not in ((case.batch, 1, *square), (case.batch, heads, *square)):
            unsupported(node, f"an attention mask of shape {tuple(total.shape)}")
        return total

    def _toeplitz(
        self, node: Node, scores: torch.Tensor, seen: torch.Tensor, table: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        length = int(scores.shape[-1])
        where = torch.arange(length)[None, :] - torch.arange(length)[:, None] + self.longest - 1
        if table is None:
            table = np.zeros((int(scores.shape[1]), 2 * self.longest - 1), np.float32)
            table[:, where[:, 0].numpy()] = scores[0, :, :, 0].numpy()
            table[:, where[0].numpy()] = scores[0, :, 0].numpy()
        expected = torch.from_numpy(table)[:, where]
        if bool(((scores != expected) & seen).any()):
            unsupported(node, "an attention bias that depends on more than the distance of key and query")
        return table


def blank_case(mask: Node | None, ids: dict[Node, int], batch: int, length: int) -> Case:
    """No padding; ids all 2, or the last one of a smaller table."""
    real = torch.ones(batch, length, dtype=torch.bool)
    inputs = {node: torch.full((batch, length), min(2, rows - 1)) for node, rows in ids.items()}
    return Case(real, inputs | ({mask: _as(mask, real)} if mask is not None else {}))


def filled_case(case: Case, node: Node, value: torch.Tensor) -> Case:
    """The same case with other content of one input."""
    return Case(case.mask, {**case.inputs, node: value})


def cases(mask: Node | None, ids: dict[Node, int], longest: int | None) -> tuple[Case, ...]:
    """Short cases with padding everywhere it can be, then, where it is known, one of the greatest length."""
    found: list[Case] = []
    random = torch.Generator().manual_seed(0)
    for pattern in _MASKS:
        real = torch.tensor(pattern, dtype=torch.bool)[:, :longest]
        real[:, 0] |= ~real.any(1)  # what a sequence without any token means is nobody's question
        if mask is None:
            real = torch.ones_like(real)
        inputs = {n: torch.randint(rows, real.shape, generator=random) for n, rows in ids.items()}
        found.append(Case(real, inputs | ({mask: _as(mask, real)} if mask is not None else {})))
    return tuple(found) if longest is None else (*found, blank_case(mask, ids, 2, longest))


def _as(node: Node, value: torch.Tensor) -> torch.Tensor:
    return value.to(node.meta["val"].dtype)
