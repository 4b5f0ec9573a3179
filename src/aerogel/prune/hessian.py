"""What calibration learns of a layer's inputs: their second moments. Imports torch."""

from __future__ import annotations

import torch

from aerogel.core.errors import InputError, require
from aerogel.prune.ledger import Ledger

_ATTEMPTS = 8
_SMALL = 256


def tokens(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """``x`` [..., width] as float32 rows [tokens, width], without those that ``mask`` leaves out.

    The mask [n, length] applies where x is [n, length, width] or [n * length, width]; an input of another
    shape (a pooler's, say: one row per sequence) has no padding.
    """
    rows = x.detach().reshape(-1, x.shape[-1]).float()
    if mask is None or len(rows) != mask.numel() or (x.ndim > 2 and x.shape[:-1] != mask.shape):
        return rows
    return rows[mask.reshape(-1)]


class Moments:
    """Sums of x x^T over the tokens x that a layer is fed, batch by batch, in float32.

    ``centred``: about the mean of x, for a layer whose bias can make up for a shift of the mean.
    ``paired``: also x y^T, where y is what the dense model feeds the same layer at the same token.
    """

    def __init__(self, width: int, device: torch.device, ledger: Ledger, *, centred: bool, paired: bool):
        self._sum = torch.zeros((width, width), device=device)
        self._cross = torch.zeros((width, width), device=device) if paired else None
        # Sums are about the first batch's mean: taking the rest of the mean out later costs no digits.
        self._shift = torch.zeros(width, device=device)
        self._total = torch.zeros(width, device=device, dtype=torch.float64)
        self._dense_total = torch.zeros_like(self._total)
        self._centred, self._ledger, self._factor = centred, ledger, None
        self.count, self.damping = 0, 0.0
        ledger.hold(self._sum, self._cross)

    def add(self, x: torch.Tensor, y: torch.Tensor | None, mask: torch.Tensor | None) -> None:
        """One batch: ``x``, and ``y`` where paired, [..., width]."""
        rows = tokens(x, mask)
        if self.count == 0 and self._centred and len(rows):
            self._shift = rows.mean(0)
        rows = rows - self._shift
        self._sum.addmm_(rows.T, rows)
        self._total += rows.sum(0)
        self.count += len(rows)
        if y is not None and self._cross is not None:
            dense = tokens(y, mask) - self._shift
            self._cross.addmm_(dense.T, rows)
            self._dense_total += dense.sum(0)

    def finish(self, name: str) -> None:
        """From sums to the Hessian H = 2/n sum x x^T; once, after the last ``add``."""
        require(self.count, InputError, f"layer {name!r} was fed no token: give data that reaches it")
        self.mean, self.dense_mean = self._total / self.count, self._dense_total / self.count
        self._sum /= self.count
        diagonal = self._sum.diagonal().double() + 2 * self._shift * self.mean + self._shift.double() ** 2
        self.norms = diagonal.clamp_min(0).sqrt().float()
        if self._cross is not None:
            self._cross /= self.count
        if self._centred:
            self._sum.addr_(self.mean.float(), self.mean.float(), alpha=-1)
            if self._cross is not None:
                self._cross.addr_(self.dense_mean.float(), self.mean.float(), alpha=-1)
        finite = bool(torch.isfinite(self._sum.diagonal().sum()))
        require(finite, InputError, f"layer {name!r} is fed NaN or infinity by this data: check the data")
        self._sum *= 2
        if self._cross is not None:
            # Only what it has over the Hessian is needed from here on.
            self._cross.mul_(2).sub_(self._sum)

    @property
    def hessian(self) -> torch.Tensor:
        """H, [width, width], not damped."""
        return self._sum

    def factor(self, damping: float) -> torch.Tensor:
        """M, lower triangular, with (H + d I)^-1 = M^T M: the leading j rows and columns of M serve the first
        j inputs alone. d is ``damping`` times the mean of H's diagonal, and ten times that as long as the
        matrix is not positive definite; it is ``self.damping`` then, for an H that is zero 1."""
        if self._factor is None:
            mean = float(self._sum.diagonal().double().mean())
            for attempt in range(_ATTEMPTS):
                self.damping = damping * 10**attempt * mean if mean > 0 else 1.0
                factor = _cholesky(self._sum, self.damping)
                if factor is not None:
                    break
            else:
                raise InputError(
                    "the inputs' covariance has no Cholesky factor, however damped: check the data"
                )
            self._ledger.hold(factor)
            self._factor = _invert_lower(factor)
        return self._factor

    def target(self, weight: torch.Tensor, damping: float) -> torch.Tensor:
        """The weight [outputs, width] that, on the inputs as they are, does best what ``weight`` does on the
        dense model's: W + W (C - H)(H + d I)^-1, where C = 2/n sum y x^T."""
        if self._cross is None:
            return weight
        factor = self.factor(damping)
        return weight + weight @ self._cross @ factor.T @ factor

    def shift(self, dense: torch.Tensor, pruned: torch.Tensor) -> torch.Tensor:
        """What to add to the bias: ``dense`` times the mean it met, less ``pruned`` times that it meets."""
        mean = self.mean + self._shift
        dense_mean = mean if self._cross is None else self.dense_mean + self._shift
        return _in_double(dense, dense_mean) - _in_double(pruned, mean)

    def release_factor(self) -> None:
        """Give up what only choosing needs: as large as the Hessian."""
        self._ledger.drop(self._factor)
        self._factor = None

    def release(self) -> None:
        """Give all matrices up."""
        self.release_factor()
        self._ledger.drop(self._sum, self._cross)
        self._sum = self._shift
        self._cross = None


def _in_double(weight: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """weight @ vector, some rows at a time: the whole in double would be twice the weight again."""
    return torch.cat([rows.double() @ vector for rows in weight.split(_SMALL)])


def _cholesky(hessian: torch.Tensor, damping: float) -> torch.Tensor | None:
    """Lower L with L L^T = hessian + damping I, or None; one matrix of memory besides the argument."""
    work = hessian.clone()
    work.diagonal().add_(damping)
    # Upper and column-major is lower and row-major: so LAPACK works in place.
    info = torch.zeros((), dtype=torch.int32, device=work.device)
    torch.linalg.cholesky_ex(work.mT, upper=True, out=(work.mT, info))
    return work if int(info) == 0 and bool(torch.isfinite(work.diagonal()).all()) else None


def _invert_lower(lower: torch.Tensor) -> torch.Tensor:
    """The inverse of a lower triangular matrix, in its place: by halves, so that it is matrix products; and
    these by strips, each put where what it replaces is not needed again."""
    size = len(lower)
    if size <= _SMALL:
        eye = torch.eye(size, device=lower.device, dtype=lower.dtype)
        return lower.copy_(torch.linalg.solve_triangular(lower, eye, upper=False))
    half = size // 2
    first, last = _invert_lower(lower[:half, :half]), _invert_lower(lower[half:, half:])
    below = lower[half:, :half]
    for stop in range(len(below), 0, -_SMALL):
        rows = slice(max(0, stop - _SMALL), stop)
        below[rows] = last[rows, :stop] @ below[:stop]
    for start in range(0, half, _SMALL):
        columns = slice(start, start + _SMALL)
        below[:, columns] = (below[:, start:] @ first[start:, columns]).neg_()
    return lower
