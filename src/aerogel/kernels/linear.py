"""Sparse and dense linear layers on tiled activations: y = W x + bias (+ residual), then an activation.

Weights are float32, or words of 4 int8 that meet quantised activations (see ``tile``).

One function per (packing, tile width) multiplies one group of 32 rows with one tile of columns. The
sums of 4 rows x ``width`` vectors stay in registers while the non-zeros of a block stream by; blocks of
columns keep the activations they need in the L1 cache. A *step* function, which every thread runs,
shares the tiles, or the groups by their work, and walks chunk of groups -> tile -> group, so that a chunk of
weights stays in the L2 cache for all tiles.

Order of summation of floats, the same at any number of threads: bias, residual, then the non-zeros block by
block, in packed order (by mask and column, or step by step), one fused multiply-add each. In a tile of one
vector the odd steps of dense blocks and of quads are summed apart and added at the end of the block.

Non-finite activations: a weight that is zero never meets one in ``panel``, unless the zeros were packed as
numbers (``dense``); in ``quad`` an infinity that a non-zero weight meets may become NaN (padding multiplies
it by 0).
"""

from __future__ import annotations

from collections.abc import Mapping

from aerogel.core.dtypes import DType
from aerogel.formats.panel import (
    DENSE,
    GENERAL,
    GROUP,
    HALVES,
    IN_ORDER,
    MASKS_OF_KIND,
    MENDED,
    PANEL,
    PARTS,
    RUN,
    WHOLE,
    Kind,
)
from aerogel.kernels.approx import Names, activation
from aerogel.kernels.layout import Layout, index, one, zero
from aerogel.kernels.tile import (
    ADDS,
    BIAS,
    BLOCK,
    BLOCK_AT,
    COLUMNS,
    FIRST,
    RESIDUAL,
    ROWS,
    TILES,
    Y_BASE,
    Element,
    Tile,
    Y,
    block_count,
    buffer,
    var,
)
from aerogel.loop.nodes import (
    I64,
    Assign,
    Binary,
    Block,
    Buf,
    Call,
    Cast,
    Compare,
    Define,
    Expr,
    For,
    Function,
    If,
    Let,
    Load,
    Param,
    Prefetch,
    Select,
    Stmt,
    ThreadCount,
    ThreadId,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)

# --- the buffers and numbers that every function of a layer takes -------------------------------

INDICES, RUNS = buffer("indices", DType.U16), buffer("runs", DType.U16)
STARTS, WORK = buffer("starts", DType.I64), buffer("work", DType.I64)

# Values asked for ahead of their use: what memory delivers to a core while one request is on its way.
AHEAD = 1024
# A thread may have so many times the tiles that would be its equal share.
UNEVEN = (9, 8)

GROUP_AT = var("group")
GROUPS, CHUNK, VECTORS = var("groups"), var("chunk"), var("vectors")


def kernel_params(tile: Tile) -> tuple[Param, ...]:
    """values, indices, runs, starts, bias, x, residual, y, what the tile adds, and numbers."""
    buffers = (tile.values, INDICES, RUNS, STARTS, BIAS, tile.x_buffer, RESIDUAL, Y, *tile.extra)
    return (*buffers, ROWS, COLUMNS, BLOCK, ADDS, GROUP_AT, FIRST, Y_BASE)


def step_params(tile: Tile) -> tuple[Param, ...]:
    """As ``kernel_params``, but for the whole layer."""
    buffers = (tile.values, INDICES, RUNS, STARTS, WORK, BIAS, tile.x_buffer, RESIDUAL, Y, *tile.extra)
    return (*buffers, ROWS, COLUMNS, BLOCK, ADDS, GROUPS, CHUNK, VECTORS)


def _ahead(tile: Tile, at: Expr) -> Prefetch:
    """Asks for the values that come soon. In a model the weights of a layer come from memory, and the CPU
    does not see early enough by itself where several streams lead: up to 1.5 times as fast at 16 columns."""
    return Prefetch(tile.values, var("v") + at + AHEAD)


def _load(buf: Buf, at: Expr) -> Expr:
    return Cast(Load(buf, at), I64)


def _named(name: str, value: Expr, out: list[Stmt]) -> Var:
    out.append(Let(var(name, value.type), value))
    return var(name, value.type)


def _advance(name: str, by: Expr) -> Assign:
    return Assign(var(name), var(name) + by)


def _cursors() -> Block:
    """v, c, r: where in values, indices and runs the group begins."""
    return tuple(Define(var(name), Load(STARTS, GROUP_AT * 3 + i)) for i, name in enumerate(("v", "c", "r")))


# --- panel ----------------------------------------------------------------------------------


def _mask_loop(tile: Tile, mask: int, kind: int) -> Block:
    """All columns with one mask: one load of x serves every row of it."""
    rows = [r for r in range(PANEL) if mask >> r & 1]
    count = len(rows)
    i, n = var(f"i{mask}"), var(f"n{mask}")
    column = var("k")
    body: list[Stmt] = [Let(column, _load(INDICES, var("c") + i))]
    x = tuple(_named(f"x{j}", tile.x(column, j), body) for j in range(tile.width))
    for place, r in enumerate(rows):
        body += tile.accumulate(r, Load(tile.values, var("v") + i * count + place), x)
    # With many masks loops are short, most columns have one value: asking at each would take a load in six.
    short = kind in (GENERAL, PARTS, MENDED)
    ahead = _ahead(tile, zero() if short else i * count)
    if not short:
        body.append(ahead)
    return (
        Let(n, _load(RUNS, var("r") + mask)),
        *((ahead,) if short else ()),
        For(i, zero(), n, tuple(body)),
        _advance("c", n),
        _advance("v", n * count),
    )


def _dense_loop(tile: Tile) -> Block:
    """A block without zeros: columns in order, no index."""
    n = var("n0")

    def body(i: Expr, chain: int) -> Block:
        out: list[Stmt] = []
        at = BLOCK_AT * BLOCK + i
        x = tuple(_named(f"x{j}{'st'[chain]}", tile.x(at, j), out) for j in range(tile.width))
        for r in range(PANEL):
            out += tile.accumulate(r, Load(tile.values, var("v") + i * PANEL + r), x, chain)
        return (*out, *(() if chain else (_ahead(tile, i * PANEL),)))

    return (Let(n, _load(RUNS, var("r") + 15)), *tile.walk("i0", n, body), _advance("v", n * PANEL))


def _loops(tile: Tile, kind: int) -> Block:
    """Those of a panel and block of that kind, in the order of its values."""
    masks = tuple(s for mask in MASKS_OF_KIND[kind] for s in _mask_loop(tile, mask, kind))
    return (*masks, *(_dense_loop(tile) if kind in IN_ORDER else ()))


def _panel_block(tile: Tile) -> Block:
    """One panel in one block: the loops its kind calls for."""
    kind = var("kind")
    # Words come twice, as columns of their own, only where sums of pairs must fit 16 bits.
    others = (MENDED, PARTS) if tile.number is DType.I32 and tile.layout.pairs else ()
    choose: Block = _loops(tile, GENERAL)
    for of in (*others, HALVES, WHOLE, DENSE):
        choose = (If(Compare("eq", kind, index(of)), _loops(tile, of), choose),)
    rows = tuple(Let(tile.row(r), GROUP_AT * GROUP + var("p") * PANEL + r) for r in range(PANEL))
    return (
        *rows,
        *tile.clear(),
        *tile.fetch(),
        Let(kind, _load(RUNS, var("r"))),
        *choose,
        _advance("r", index(RUN)),
        *tile.keep(),
    )


def _panel(tile: Tile) -> Block:
    panels = GROUP // PANEL
    left = (ROWS - GROUP_AT * GROUP + (PANEL - 1)) // PANEL
    return (
        tile.base(),
        *_cursors(),
        Let(var("panels"), Select(left < panels, left, index(panels))),
        For(BLOCK_AT, zero(), block_count(), (For(var("p"), zero(), var("panels"), _panel_block(tile)),)),
    )


# --- quad -----------------------------------------------------------------------------------


def _quad_steps(tile: Tile) -> Block:
    """One quad in one block: four rows walk their own columns in step."""
    n = var("n")

    def body(i: Expr, chain: int) -> Block:
        out: list[Stmt] = []
        for r in range(PANEL):
            column = var(f"k{r}{'st'[chain]}")
            out.append(Let(column, _load(INDICES, var("c") + i * PANEL + r)))
            x = tuple(tile.x(column, j) for j in range(tile.width))
            out += tile.accumulate(r, Load(tile.values, var("v") + i * PANEL + r), x, chain)
        return (*out, *(() if chain else (_ahead(tile, i * PANEL),)))

    rows: list[Stmt] = []
    for r in range(PANEL):
        place = var(f"place{r}")
        rows.append(Let(place, _load(RUNS, var("r") + (1 + r))))
        # A place without a row stands beyond the matrix.
        rows.append(Let(tile.row(r), Select(place < GROUP, GROUP_AT * GROUP + place, ROWS)))
    return (
        Let(n, _load(RUNS, var("r"))),
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
        Let(var("quads"), _load(RUNS, var("r"))),
        _advance("r", one()),
        For(var("q"), zero(), var("quads"), _quad_steps(tile)),
    )
    return (tile.base(), *_cursors(), For(BLOCK_AT, zero(), block_count(), per_block))


# --- activation -----------------------------------------------------------------------------


def finish(layout: Layout, name: str) -> Function:
    """``name`` (gelu, relu ...) in place on ``count`` elements of y from ``start``, a multiple of lanes."""
    start, count, at = var("start"), var("count"), var("at")
    x = var("value", Vec(DType.F32, layout.lanes))
    lets, result = activation(name, x, Names())
    body = (Let(x, VLoad(Y, at, layout.lanes)), *lets, VStore(Y, at, result))
    return Function(
        f"finish_{name}", (Y, start, count), (For(at, start, start + count, body, step=layout.lanes),)
    )


# --- functions ------------------------------------------------------------------------------


def kernel(layout: Layout, kind: Kind, width: int, element: Element = "f32") -> Function:
    """``kind`` packing, tile of ``width`` vectors: y[group, tile] = W[group] x[tile] + bias (+ residual).

    Sizes: x columns * vectors * lanes, y and residual rows * vectors * lanes, bias rows elements; of an
    integer layer, scales and sums rows, x_scales and x_zeros vectors * lanes.
    """
    tile = TILES[element](layout, width)
    match kind:
        case "panel":
            body = _panel(tile)
        case "quad":
            body = _quad(tile)
    return Function(_name(tile, kind, str(width)), kernel_params(tile), body)


def kernels(layout: Layout, kind: Kind, element: Element = "f32") -> tuple[Function, ...]:
    """One function per tile width."""
    return tuple(kernel(layout, kind, width, element) for width in range(1, layout.width + 1))


def _name(tile: Tile, kind: Kind, what: str) -> str:
    return f"{kind}{tile.suffix}_{what}"


def _share(name: str, part: Expr, parts: Expr) -> Block:
    """``name`` = the first group whose preceding work reaches part / parts of the whole."""
    at = var(name)
    goal = var(f"{name}_goal")
    behind = Load(WORK, at) < goal
    return (
        Let(goal, Load(WORK, GROUPS) * part // parts),
        Define(at, zero()),
        While(Binary("and", at < GROUPS, behind), (Assign(at, at + 1),)),
    )


def by_width(tile: Tile, kind: Kind, here: Mapping[Param, Expr | Buf]) -> Block:
    """The kernel for group ``g`` and the ``w`` vectors from ``tile_first`` on; ``here``: what stands for
    its other parameters, where it is not called the same."""
    args = {GROUP_AT: var("g"), FIRST: var("tile_first"), **here}
    given = tuple(args.get(param, param) for param in kernel_params(tile))
    chain: Block = (Call(_name(tile, kind, str(tile.width)), given),)
    for width in range(tile.width - 1, 0, -1):
        call = Call(_name(tile, kind, str(width)), given)
        chain = (If(Compare("eq", var("w"), index(width)), (call,), chain),)
    return chain


def step(layout: Layout, kind: Kind, fn: str | None = None, element: Element = "f32") -> Function:
    """What every thread runs for one layer. ``fn``: an activation, applied in place to each
    finished group while it is still in the cache; then ``finish(layout, fn)`` is in the module too."""
    lanes = layout.lanes
    tile = TILES[element](layout, layout.width)
    row, end = var("row_lo"), var("row_hi")
    stride = var("w") * lanes
    finish: Block = ()
    if fn is not None:
        at = ROWS * var("tile_first") * lanes + row * stride
        finish = (
            Let(row, var("g") * GROUP),
            Let(end, Select(row + GROUP < ROWS, row + GROUP, ROWS)),
            Call(f"finish_{fn}", (Y, at, (end - row) * stride)),
        )
    group = (*by_width(tile, kind, {Y_BASE: ROWS * var("tile_first") * lanes}), *finish)
    name = _name(tile, kind, "step" if fn is None else f"step_{fn}")
    return Function(name, step_params(tile), over_groups(layout, group))


def over_groups(layout: Layout, group: Block) -> Block:
    """Runs ``group`` for this thread's share of groups ``g`` and tiles, ``w`` vectors from ``tile_first``."""
    first, width = layout.tile_bounds(VECTORS, var("tiles"), var("t"))
    tile_loop = For(
        var("t"),
        var("tiles") * var("side") // var("sides"),
        var("tiles") * (var("side") + 1) // var("sides"),
        (
            Let(var("tile_first"), first),
            Let(var("w"), width),
            For(var("g"), var("at"), var("upto"), group),
        ),
    )
    upto = Select(var("at") + CHUNK < var("hi"), var("at") + CHUNK, var("hi"))
    chunk_loop = While(
        var("at") < var("hi"), (Let(var("upto"), upto), tile_loop, Assign(var("at"), var("upto")))
    )
    return (
        Let(var("tiles"), layout.tile_count(VECTORS)),
        *_grid(),
        If(
            var("part") < var("parts"),
            (
                *_share("lo", var("part"), var("parts")),
                *_share("hi", var("part") + 1, var("parts")),
                Define(var("at"), var("lo")),
                chunk_loop,
            ),
        ),
    )


def _grid() -> Block:
    """Threads as parts (of the groups) x sides (of the tiles).

    Where tiles share evenly, each thread keeps to its own columns, as steps before and after do: what it
    reads it mostly wrote itself. (Tried on Zen 4, MiniLM with 90 % zeros: at 128 columns 1.1 to 1.5 times as
    fast, at 1024 as fast or 1.3 times.) Else threads share the groups, and the tiles if groups are few."""
    few = GROUPS < ThreadCount() * 2
    tiles = Select(var("tiles") < 1, one(), var("tiles"))
    longest = (tiles + (ThreadCount() - 1)) // ThreadCount() * ThreadCount()
    even = longest * UNEVEN[1] <= tiles * UNEVEN[0]
    fewer = Select(tiles < ThreadCount(), tiles, ThreadCount())
    return (
        Let(var("sides"), Select(Binary("or", few, even), fewer, one())),
        Let(var("parts"), ThreadCount() // var("sides")),
        Let(var("side"), ThreadId() % var("sides")),
        Let(var("part"), ThreadId() // var("sides")),
    )
