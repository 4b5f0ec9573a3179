"""Sparse and dense linear layers on tiled activations: y = W x + bias (+ residual), then an activation.

One function per (packing, tile width) multiplies one group of 32 rows with one tile of columns. The
sums of 4 rows x ``width`` vectors stay in registers while the non-zeros of a block stream by; blocks of
columns keep the activations they need in the L1 cache. A *step* function, which every thread runs,
shares the groups by their work, and walks chunk of groups -> tile -> group, so that a chunk of weights
stays in the L2 cache for all tiles.

Order of summation, the same at any number of threads: bias, residual, then the non-zeros block by block, in
packed order (by mask and column, or step by step), one fused multiply-add each. In a tile of one vector the
odd steps of dense blocks and of quads are summed apart and added at the end of the block.

Non-finite activations: a weight that is zero never meets one in ``panel``, unless the zeros were packed as
numbers (``dense``); in ``quad`` an infinity that a non-zero weight meets may become NaN (padding multiplies
it by 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.formats.panel import DENSE, GROUP, HALVES, MASKS_OF_KIND, PANEL, WHOLE, Kind
from aerogel.kernels.approx import Names, activation
from aerogel.kernels.layout import Layout, index, one, zero
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Binary,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Define,
    Expr,
    Fma,
    For,
    Function,
    If,
    Let,
    Load,
    Select,
    Stmt,
    ThreadCount,
    ThreadId,
    Type,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)

# --- the buffers and numbers that every function of a layer takes -------------------------------

VALUES = Buf("values", BufferType(DType.F32, const=True, align=4))
INDICES = Buf("indices", BufferType(DType.U16, const=True, align=2))
RUNS = Buf("runs", BufferType(DType.U16, const=True, align=2))
STARTS = Buf("starts", BufferType(DType.I64, const=True, align=8))
WORK = Buf("work", BufferType(DType.I64, const=True, align=8))
BIAS = Buf("bias", BufferType(DType.F32, const=True, align=4))
X = Buf("x", BufferType(DType.F32, const=True, align=4))
RESIDUAL = Buf("residual", BufferType(DType.F32, const=True, align=4))
Y = Buf("y", BufferType(DType.F32, align=4))

ROWS = Var("rows", I64)
COLUMNS = Var("columns", I64)
BLOCK = Var("block", I64)
ADDS = Var("adds", I64)  # 1: a residual is added, 0: ``residual`` is not read
GROUP_AT = Var("group", I64)
FIRST = Var("first", I64)
GROUPS = Var("groups", I64)
CHUNK = Var("chunk", I64)
VECTORS = Var("vectors", I64)

STREAMS = (VALUES, INDICES, RUNS, STARTS)
KERNEL_PARAMS = (*STREAMS, BIAS, X, RESIDUAL, Y, ROWS, COLUMNS, BLOCK, ADDS, GROUP_AT, FIRST)
STEP_PARAMS = (*STREAMS, WORK, BIAS, X, RESIDUAL, Y, ROWS, COLUMNS, BLOCK, ADDS, GROUPS, CHUNK, VECTORS)


def _var(name: str, type_: Type = I64) -> Var:
    return Var(name, type_)


def _load(buf: Buf, at: Expr) -> Expr:
    return Cast(Load(buf, at), I64)


# --- the register tile ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """4 rows x ``width`` vectors of sums, and where they live in y."""

    layout: Layout
    width: int

    @property
    def vec(self) -> Vec:
        return Vec(DType.F32, self.layout.lanes)

    @property
    def stride(self) -> int:
        """Elements from one feature of a tile to the next."""
        return self.width * self.layout.lanes

    @property
    def chains(self) -> int:
        """Independent sums per element. Four rows of one vector are too few to keep two multiply-add units
        of four cycles busy, so there even and odd steps are summed apart."""
        return 2 if self.width == 1 else 1

    def sum(self, row: int, j: int, chain: int = 0) -> Var:
        return _var(f"{'st'[chain]}{row}_{j}", self.vec)

    def row(self, row: int) -> Var:
        return _var(f"row{row}")

    def at(self, row: Expr, j: int) -> Expr:
        """Index in y (or residual) of vector j of ``row``."""
        return _var("y_base") + row * self.stride + j * self.layout.lanes

    def x(self, column: Expr, j: int) -> Expr:
        return VLoad(X, _var("x_base") + column * self.stride + j * self.layout.lanes, self.layout.lanes)

    def bases(self) -> Block:
        """Where this tile starts in x and in y."""
        lanes = self.layout.lanes
        return (
            Let(_var("x_base"), COLUMNS * FIRST * lanes),
            Let(_var("y_base"), ROWS * FIRST * lanes),
        )

    def clear(self) -> Block:
        zero_ = Broadcast(Const(0.0, F32), self.layout.lanes)
        return tuple(Define(self.sum(r, j), zero_) for r in range(PANEL) for j in range(self.width))

    def fetch(self) -> Block:
        """Sums of the first block start at bias (+ residual), those of later blocks at y.

        Rows beyond the matrix read the tile's first row, which no other thread writes; they are never
        stored."""
        within = tuple(
            Let(_var(f"in{r}"), Select(self.row(r) < ROWS, self.row(r), self.row(0))) for r in range(PANEL)
        )
        begin: list[Stmt] = []
        add: list[Stmt] = []
        resume: list[Stmt] = []
        for r in range(PANEL):
            begin.append(
                Let(_var(f"b{r}", self.vec), Broadcast(Load(BIAS, _var(f"in{r}")), self.layout.lanes))
            )
            for j in range(self.width):
                begin.append(Assign(self.sum(r, j), _var(f"b{r}", self.vec)))
                at = self.at(_var(f"in{r}"), j)
                add.append(Assign(self.sum(r, j), self.sum(r, j) + VLoad(RESIDUAL, at, self.layout.lanes)))
                resume.append(Assign(self.sum(r, j), VLoad(Y, at, self.layout.lanes)))
        first_block = Compare("eq", _var("b"), zero())
        begin.append(If(Compare("ne", ADDS, zero()), tuple(add)))
        return (*within, If(first_block, tuple(begin), tuple(resume)))

    def keep(self) -> Block:
        """Store the sums of the rows that exist."""
        return tuple(
            If(
                self.row(r) < ROWS,
                tuple(VStore(Y, self.at(self.row(r), j), self.sum(r, j)) for j in range(self.width)),
            )
            for r in range(PANEL)
        )

    def accumulate(self, row: int, weight: Expr, x: tuple[Expr, ...], chain: int = 0) -> Block:
        """sums[row] += weight * x, ``weight`` a scalar expression bound to a name first."""
        w = _var(f"w{row}{'st'[chain]}", self.vec)
        sums = tuple(self.sum(row, j, chain) for j in range(self.width))
        products = tuple(Assign(s, Fma(x[j], w, s)) for j, s in enumerate(sums))
        return (Let(w, Broadcast(weight, self.layout.lanes)), *products)

    def walk(self, counter: str, steps: Expr, body: Callable[[Expr, int], Block]) -> Block:
        """``body(i, chain)`` for i in 0 .. steps - 1, odd ones on the second chain if there is one."""
        i = _var(counter)
        if self.chains == 1:
            return (For(i, zero(), steps, body(i, 0)),)
        others = [(self.sum(r, j), self.sum(r, j, 1)) for r in range(PANEL) for j in range(self.width)]
        zero_ = Broadcast(Const(0.0, F32), self.layout.lanes)
        return (
            *(Define(other, zero_) for _, other in others),
            For(i, zero(), steps - 1, (*body(i, 0), *body(i + 1, 1)), step=2),
            If(Compare("eq", steps % 2, one()), body(steps - 1, 0)),
            *(Assign(sum_, sum_ + other) for sum_, other in others),
        )


def _advance(name: str, by: Expr) -> Assign:
    return Assign(_var(name), _var(name) + by)


def _cursors() -> Block:
    """v, c, r: where in values, indices and runs the group begins."""
    return tuple(Define(_var(name), Load(STARTS, GROUP_AT * 3 + i)) for i, name in enumerate(("v", "c", "r")))


def _block_count() -> Expr:
    return (COLUMNS + BLOCK - 1) // BLOCK


# --- panel ----------------------------------------------------------------------------------


def _mask_loop(tile: Tile, mask: int) -> Block:
    """All columns with one mask: one load of x serves every row of it."""
    rows = [r for r in range(PANEL) if mask >> r & 1]
    count = len(rows)
    i, n = _var(f"i{mask}"), _var(f"n{mask}")
    x = tuple(_var(f"x{j}", tile.vec) for j in range(tile.width))
    column = _var("k")
    body: list[Stmt] = [Let(column, _load(INDICES, _var("c") + i))]
    body += [Let(v, tile.x(column, j)) for j, v in enumerate(x)]
    for place, r in enumerate(rows):
        body += tile.accumulate(r, Load(VALUES, _var("v") + i * count + place), x)
    return (
        Let(n, _load(RUNS, _var("r") + mask)),
        For(i, zero(), n, tuple(body)),
        _advance("c", n),
        _advance("v", n * count),
    )


def _dense_loop(tile: Tile) -> Block:
    """A block without zeros: columns in order, no index."""
    n = _var("n0")

    def body(i: Expr, chain: int) -> Block:
        x = tuple(_var(f"x{j}{'st'[chain]}", tile.vec) for j in range(tile.width))
        out: list[Stmt] = [Let(v, tile.x(_var("b") * BLOCK + i, j)) for j, v in enumerate(x)]
        for r in range(PANEL):
            out += tile.accumulate(r, Load(VALUES, _var("v") + i * PANEL + r), x, chain)
        return tuple(out)

    return (Let(n, _load(RUNS, _var("r") + 15)), *tile.walk("i0", n, body), _advance("v", n * PANEL))


def _panel_block(tile: Tile) -> Block:
    """One panel in one block: the loops its kind calls for."""
    kind = _var("kind")

    def loops(of: int) -> Block:
        return tuple(s for mask in MASKS_OF_KIND[of] for s in _mask_loop(tile, mask))

    def is_(of: int) -> Expr:
        return Compare("eq", kind, index(of))

    general = loops(0)
    choose = If(
        is_(DENSE),
        _dense_loop(tile),
        (If(is_(WHOLE), loops(WHOLE), (If(is_(HALVES), loops(HALVES), general),)),),
    )
    rows = tuple(Let(tile.row(r), GROUP_AT * GROUP + _var("p") * PANEL + r) for r in range(PANEL))
    return (
        *rows,
        *tile.clear(),
        *tile.fetch(),
        Let(kind, _load(RUNS, _var("r"))),
        choose,
        _advance("r", index(16)),
        *tile.keep(),
    )


def _panel(tile: Tile) -> Block:
    panels = GROUP // PANEL
    left = (ROWS - GROUP_AT * GROUP + (PANEL - 1)) // PANEL
    return (
        *tile.bases(),
        *_cursors(),
        Let(_var("panels"), Select(left < panels, left, index(panels))),
        For(_var("b"), zero(), _block_count(), (For(_var("p"), zero(), _var("panels"), _panel_block(tile)),)),
    )


# --- quad -----------------------------------------------------------------------------------


def _quad_steps(tile: Tile) -> Block:
    """One quad in one block: four rows walk their own columns in step."""
    n = _var("n")

    def body(i: Expr, chain: int) -> Block:
        out: list[Stmt] = []
        for r in range(PANEL):
            column = _var(f"k{r}{'st'[chain]}")
            out.append(Let(column, _load(INDICES, _var("c") + i * PANEL + r)))
            x = tuple(tile.x(column, j) for j in range(tile.width))
            out += tile.accumulate(r, Load(VALUES, _var("v") + i * PANEL + r), x, chain)
        return tuple(out)

    rows: list[Stmt] = []
    for r in range(PANEL):
        place = _var(f"place{r}")
        rows.append(Let(place, _load(RUNS, _var("r") + (1 + r))))
        # A place without a row stands beyond the matrix.
        rows.append(Let(tile.row(r), Select(place < GROUP, GROUP_AT * GROUP + place, ROWS)))
    return (
        Let(n, _load(RUNS, _var("r"))),
        *rows,
        *tile.clear(),
        *tile.fetch(),
        *tile.walk("i", n, body),
        _advance("c", n * PANEL),
        _advance("v", n * PANEL),
        _advance("r", index(1 + PANEL)),
        *tile.keep(),
    )


def _quad(tile: Tile) -> Block:
    per_block = (
        Let(_var("quads"), _load(RUNS, _var("r"))),
        _advance("r", one()),
        For(_var("q"), zero(), _var("quads"), _quad_steps(tile)),
    )
    return (*tile.bases(), *_cursors(), For(_var("b"), zero(), _block_count(), per_block))


# --- activation -----------------------------------------------------------------------------


def finish(layout: Layout, name: str) -> Function:
    """``name`` (gelu, relu ...) in place on ``count`` elements of y from ``start``, a multiple of lanes."""
    start, count, at = _var("start"), _var("count"), _var("at")
    x = _var("value", Vec(DType.F32, layout.lanes))
    lets, result = activation(name, x, Names())
    body = (Let(x, VLoad(Y, at, layout.lanes)), *lets, VStore(Y, at, result))
    return Function(
        f"finish_{name}", (Y, start, count), (For(at, start, start + count, body, step=layout.lanes),)
    )


# --- functions ------------------------------------------------------------------------------


def kernel(layout: Layout, kind: Kind, width: int) -> Function:
    """``kind`` packing, tile of ``width`` vectors: y[group, tile] = W[group] x[tile] + bias (+ residual).

    Sizes: x columns * vectors * lanes, y and residual rows * vectors * lanes, bias rows elements.
    """
    tile = Tile(layout, width)
    match kind:
        case "panel":
            body = _panel(tile)
        case "quad":
            body = _quad(tile)
    return Function(f"{kind}_{width}", KERNEL_PARAMS, body)


def kernels(layout: Layout, kind: Kind) -> tuple[Function, ...]:
    """One function per tile width."""
    return tuple(kernel(layout, kind, width) for width in range(1, layout.width + 1))


def _share(name: str, part: Expr, parts: Expr) -> Block:
    """``name`` = the first group whose preceding work reaches part / parts of the whole."""
    at = _var(name)
    goal = _var(f"{name}_goal")
    behind = Load(WORK, at) < goal
    return (
        Let(goal, Load(WORK, GROUPS) * part // parts),
        Define(at, zero()),
        While(Binary("and", at < GROUPS, behind), (Assign(at, at + 1),)),
    )


def _by_width(layout: Layout, kind: Kind, args: tuple[Expr | Buf, ...]) -> Block:
    chain: Block = (Call(f"{kind}_{layout.width}", args),)
    for width in range(layout.width - 1, 0, -1):
        chain = (If(Compare("eq", _var("w"), index(width)), (Call(f"{kind}_{width}", args),), chain),)
    return chain


def step(layout: Layout, kind: Kind, fn: str | None = None) -> Function:
    """What every thread runs for one layer. ``fn``: an activation, applied in place to each
    finished group while it is still in the cache; then ``finish(layout, fn)`` is in the module too."""
    lanes = layout.lanes
    args = (*STREAMS, BIAS, X, RESIDUAL, Y, ROWS, COLUMNS, BLOCK, ADDS, _var("g"), _var("tile_first"))
    first, width = layout.tile_bounds(VECTORS, _var("tiles"), _var("t"))
    row, end = _var("row_lo"), _var("row_hi")
    stride = _var("w") * lanes
    finish: Block = ()
    if fn is not None:
        at = ROWS * _var("tile_first") * lanes + row * stride
        finish = (
            Let(row, _var("g") * GROUP),
            Let(end, Select(row + GROUP < ROWS, row + GROUP, ROWS)),
            Call(f"finish_{fn}", (Y, at, (end - row) * stride)),
        )
    group_loop = For(_var("g"), _var("at"), _var("upto"), (*_by_width(layout, kind, args), *finish))
    tile_loop = For(
        _var("t"),
        _var("tiles") * _var("side") // _var("sides"),
        _var("tiles") * (_var("side") + 1) // _var("sides"),
        (Let(_var("tile_first"), first), Let(_var("w"), width), group_loop),
    )
    upto = Select(_var("at") + CHUNK < _var("hi"), _var("at") + CHUNK, _var("hi"))
    chunk_loop = While(
        _var("at") < _var("hi"), (Let(_var("upto"), upto), tile_loop, Assign(_var("at"), _var("upto")))
    )
    body: Block = (
        Let(_var("tiles"), layout.tile_count(VECTORS)),
        *_grid(),
        If(
            _var("part") < _var("parts"),
            (
                *_share("lo", _var("part"), _var("parts")),
                *_share("hi", _var("part") + 1, _var("parts")),
                Define(_var("at"), _var("lo")),
                chunk_loop,
            ),
        ),
    )
    name = f"{kind}_step" if fn is None else f"{kind}_step_{fn}"
    return Function(name, STEP_PARAMS, body)


def _grid() -> Block:
    """Threads as parts (of the groups) x sides (of the tiles): sides only where groups are too few."""
    few = GROUPS < ThreadCount() * 2
    tiles = Select(_var("tiles") < 1, one(), _var("tiles"))
    fewer = Select(tiles < ThreadCount(), tiles, ThreadCount())
    return (
        Let(_var("sides"), Select(few, fewer, one())),
        Let(_var("parts"), ThreadCount() // _var("sides")),
        Let(_var("side"), ThreadId() % _var("sides")),
        Let(_var("part"), ThreadId() // _var("sides")),
    )


__all__ = ["KERNEL_PARAMS", "STEP_PARAMS", "Tile", "finish", "kernel", "kernels", "step"]
