"""Energy, carbon, water and money of what ran: kept in a ledger, worked out from factors.

A ``Run`` says what happened; a ``Factor`` says what a unit of it costs, with year, source and range; an
``Amount`` is a number with bounds. Nothing here reads a meter or asks the network.
"""

from __future__ import annotations

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.run import Run

__all__ = ["Amount", "Book", "Factor", "Run"]
