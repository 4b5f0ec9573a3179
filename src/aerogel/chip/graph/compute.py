"""The values of an expression all of whose loops are wired: arithmetic, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never, get_args

from aerogel.chip.graph.blocks import Alu, AluConstant, AluFunction, Function, Operation
from aerogel.chip.graph.graph import Port
from aerogel.chip.graph.wiring import Wiring
from aerogel.core.errors import ChipError
from aerogel.einsum.nodes import Access, Binary, BinaryOp, Expr, Number, Reduce, Unary, UnaryOp

OPERATIONS: Mapping[str, Operation] = {op: op for op in get_args(Operation)}
FUNCTIONS: Mapping[str, Function] = {op: op for op in get_args(Function)}
"""What a processing tile can do."""
MOST_POWER = 8
"""Up to which whole power values are multiplied with themselves."""


def computed(wiring: Wiring, expr: Expr, values: Mapping[Access, Port]) -> Port:
    """The stream of ``expr``'s values, from those of its operands."""
    match expr:
        case Access():
            return values[expr]
        case Unary(op=op, a=a):
            return _function(wiring, op, computed(wiring, a, values))
        case Binary(op="pow", a=a, b=Number(value=power)):
            return _power(wiring, computed(wiring, a, values), float(power))
        case Binary(op=op, a=Number(value=number), b=b):
            block = AluConstant(_operation(op), float(number), reverse=True)
            return wiring.add(block, op, computed(wiring, b, values))[0]
        case Binary(op=op, a=a, b=Number(value=number)):
            block = AluConstant(_operation(op), float(number))
            return wiring.add(block, op, computed(wiring, a, values))[0]
        case Binary(op=op, a=a, b=b):
            left, right = computed(wiring, a, values), computed(wiring, b, values)
            return wiring.add(Alu(_operation(op)), op, left, right)[0]
        case Number(value=value):
            raise ChipError(
                f"{value} alone has no stream: write it beside an operand, as in A(i) * 0 + {value}"
            )
        case Reduce():
            raise ChipError(f"the sum over {expr.index} has not been wired")
        case _:
            assert_never(expr)


def _operation(op: BinaryOp) -> Operation:
    if op not in OPERATIONS:
        raise ChipError(f"no block computes {op}: there are {', '.join(OPERATIONS)}")
    return OPERATIONS[op]


def _function(wiring: Wiring, op: UnaryOp, a: Port) -> Port:
    """A function of one value: a block of its own, or what it is made of."""
    match op:
        case "sigmoid":
            return _sigmoid(wiring, a)
        case "tanh":
            # tanh(a) = 2 sigmoid(2 a) - 1
            (double,) = wiring.add(AluConstant("mul", 2.0), "double", a)
            (scaled,) = wiring.add(AluConstant("mul", 2.0), "double", _sigmoid(wiring, double))
            return wiring.add(AluConstant("sub", 1.0), "tanh", scaled)[0]
        case _:
            if op not in FUNCTIONS:
                raise ChipError(f"no block computes {op}: there are {', '.join(FUNCTIONS)}, sigmoid and tanh")
            return wiring.add(AluFunction(FUNCTIONS[op]), op, a)[0]


def _sigmoid(wiring: Wiring, a: Port) -> Port:
    """1 / (1 + exp(-a))"""
    (negative,) = wiring.add(AluFunction("neg"), "neg", a)
    (small,) = wiring.add(AluFunction("exp"), "exp", negative)
    (one,) = wiring.add(AluConstant("add", 1.0), "one_more", small)
    return wiring.add(AluFunction("reciprocal"), "sigmoid", one)[0]


def _power(wiring: Wiring, a: Port, power: float) -> Port:
    match power:
        case 1.0:
            return a
        case 0.5:
            return wiring.add(AluFunction("sqrt"), "sqrt", a)[0]
        case -1.0:
            return wiring.add(AluFunction("reciprocal"), "reciprocal", a)[0]
        case _:
            pass
    if power != int(power) or not 1 < power <= MOST_POWER:
        raise ChipError(
            f"no block computes a power of {power:g}: 0.5, -1 and 1 to {MOST_POWER} can be computed"
        )
    (found,) = wiring.add(AluFunction("square"), "square", a)
    for _ in range(int(power) - 2):
        (found,) = wiring.add(Alu("mul"), "power", found, a)
    return found
