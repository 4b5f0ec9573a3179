"""How large activations are: their distribution in little memory, however many there are. Imports torch."""

from __future__ import annotations

import numpy as np
import torch

_SHIFT = 15
_BINS = 2**16
_LARGEST = float(torch.finfo(torch.float32).max)


class Magnitudes:
    """Counts of |x| by the first 16 bits after the sign of its float32: 8 of exponent, 8 of mantissa.

    Bits of non-negative floats ascend as the floats do, so this is a histogram whose bins are 1/256 of their
    place wide, at any scale, in half a megabyte. Exact zeros are counted for themselves.
    """

    def __init__(self) -> None:
        self._counts = torch.zeros(_BINS, dtype=torch.int64)
        self.zeros = self.values = 0

    def add(self, x: torch.Tensor) -> None:
        """Count the values of ``x``, float32 and finite, of any shape."""
        bits = x.detach().abs().contiguous().view(torch.int32) >> _SHIFT
        self._counts += torch.bincount(bits.reshape(-1), minlength=_BINS).cpu()
        self.zeros += int((x == 0).sum())
        self.values += x.numel()

    @property
    def zero_share(self) -> float | None:
        """The share of values that are exactly 0, of either sign; None where there were no values."""
        return self.zeros / self.values if self.values else None

    def quantile(self, share: float) -> float:
        """The t for which |x| <= t of ``share`` of the values: 0 where as many are 0 anyhow, and where there
        are no values. Between the edges of a bin values are taken to be spread evenly."""
        wanted = share * self.values
        if wanted <= self.zeros:
            return 0.0
        below = self._counts.cumsum(0)
        # The first bin that reaches a number above 0 is not empty.
        at = int(np.searchsorted(below.numpy(), wanted))
        inside = int(self._counts[at])
        before = int(below[at]) - inside
        low, high = _edge(at), min(_edge(at + 1), _LARGEST)
        return low + (high - low) * (wanted - before) / inside


def _edge(place: int) -> float:
    """The smallest float whose bits start so."""
    return float(torch.tensor(place << _SHIFT, dtype=torch.int32).view(torch.float32))
