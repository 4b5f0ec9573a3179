"""Lines of the global buffer in Loop IR: see ``machine/memory.py`` for what they cost."""

from __future__ import annotations

from aerogel.chip.machine.sim.arithmetic import STATE, state
from aerogel.chip.machine.sim.layout import C, S
from aerogel.chip.machine.sim.visit import CELLS, WINDOWS, eq, ne
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import I64, Binary, Call, Expr, Function, Load, Var

_BASE, _NOW, _WINDOW, _LINE = Var("base", I64), Var("now", I64), Var("window", I64), Var("line", I64)
_PLACE, _SIZE = Var("place", I64), Var("size", I64)


def fetching() -> tuple[Function, ...]:
    """The functions that cells call for words of segments which their tile does not hold."""
    return _fetch(), _look(), _flush()


def _share(code: Code, words: S) -> Expr:
    """The cycle in which the links that all tiles share have a line's turn; it is taken."""
    size, links = code.let(state(S.LINE), "size_of_line"), code.let(state(S.LINKS), "links")
    turn = code.let(Binary("max", state(words), _NOW * links), "turn")
    code.store(STATE, i64(words), turn + size)
    return code.let(turn // links, "cycle")


def _fetch() -> Function:
    """``fetch(base, window, line, now, cells, windows, state)``: asks for a line unless it is there."""
    code = Code()
    lines = code.let(Load(WINDOWS, _WINDOW + 1), "lines")
    slot = code.let(_WINDOW + 2 + _LINE % lines * 2, "slot")
    with code.if_(ne(Load(WINDOWS, slot), _LINE)):
        turn = _share(code, S.LINK_WORDS)
        free = Binary("max", _NOW, Load(CELLS, _BASE + C.FREE))
        start = code.let(Binary("max", free, turn), "start")
        code.store(CELLS, _BASE + C.FREE, start + state(S.LINE))
        code.store(WINDOWS, slot, _LINE)
        code.store(WINDOWS, slot + 1, start + state(S.LATENCY))
        code.store(STATE, i64(S.FETCHED), state(S.FETCHED) + state(S.LINE))
    return Function("fetch", (_BASE, _WINDOW, _LINE, _NOW, CELLS, WINDOWS, STATE), code.done())


def _look() -> Function:
    """``look(base, window, place, size, now, cells, windows, state)``: ``state[READY]`` is when a word of a
    segment of ``size`` words can be read."""
    code = Code()
    length = code.let(state(S.LINE), "length")
    line = code.let(_PLACE // length, "line_of")
    tables = (_NOW, CELLS, WINDOWS, STATE)
    code.add(Call("fetch", (_BASE, _WINDOW, line, *tables)))
    last = code.let(Load(WINDOWS, _WINDOW), "last")
    with code.if_(ne(line, last)):
        with code.if_(eq(line, last + 1) & ((line + 1) * length < _SIZE)):
            code.add(Call("fetch", (_BASE, _WINDOW, line + 1, *tables)))
        code.store(WINDOWS, _WINDOW, line)
    slot = _WINDOW + 2 + line % Load(WINDOWS, _WINDOW + 1) * 2
    code.store(STATE, i64(S.READY), Load(WINDOWS, slot + 1) + _PLACE % length)
    return Function("look", (_BASE, _WINDOW, _PLACE, _SIZE, *tables), code.done())


def _flush() -> Function:
    """``flush(base, now, cells, state)``: a full line of a result is sent."""
    code = Code()
    turn = _share(code, S.BACK_WORDS)
    free = Binary("max", _NOW + 1, Load(CELLS, _BASE + C.FREE))
    code.store(CELLS, _BASE + C.FREE, Binary("max", free, turn) + state(S.LINE))
    code.store(STATE, i64(S.SENT), state(S.SENT) + state(S.LINE))
    return Function("flush", (_BASE, _NOW, CELLS, STATE), code.done())
