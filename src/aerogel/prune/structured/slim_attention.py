"""``nn.MultiheadAttention`` with fewer heads than its width has room for. Imports torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from aerogel.core.errors import UnsupportedError, require


class SlimAttention(nn.Module):
    """Takes the place of an ``nn.MultiheadAttention`` some heads of which are gone: same arguments, same
    names of weights. ``head_dim`` is what it was; queries, keys and values are ``num_heads * head_dim`` wide.
    """

    in_proj_weight: nn.Parameter | None
    q_proj_weight: nn.Parameter | None
    k_proj_weight: nn.Parameter | None
    v_proj_weight: nn.Parameter | None
    in_proj_bias: nn.Parameter | None

    def __init__(self, dense: nn.MultiheadAttention) -> None:
        """``dense``: its weights cut already."""
        super().__init__()
        told = "an attention with bias_k, bias_v or add_zero_attn cannot lose heads"
        plain = dense.bias_k is None and dense.bias_v is None and not dense.add_zero_attn
        require(plain, UnsupportedError, told)
        self.embed_dim, self.head_dim = dense.embed_dim, dense.head_dim
        self.num_heads = dense.out_proj.weight.shape[1] // dense.head_dim
        self.batch_first, self.dropout = dense.batch_first, dense.dropout
        # torch's layers ask for this before they take a fast path of their own, which needs full heads.
        self._qkv_same_embed_dim = False
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias"):
            self.register_parameter(name, getattr(dense, name))
        self.out_proj = dense.out_proj
        self.training = dense.training

    @staticmethod
    def needed(dense: nn.MultiheadAttention) -> bool:
        """Whether heads of ``dense`` have been cut."""
        return dense.out_proj.weight.shape[1] != dense.embed_dim

    def forward(  # noqa: PLR0913, PLR0917  torch's signature
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,  # noqa: FBT001, FBT002
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,  # noqa: FBT001, FBT002
        is_causal: bool = False,  # noqa: FBT001, FBT002, ARG002  a hint about attn_mask, as torch has it
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As ``nn.MultiheadAttention``; weights, if asked for, are averaged over the heads left."""
        single = query.ndim == 2
        q, k, v = (self._heads(self._batch_led(t), k) for k, t in enumerate((query, key, value)))
        mask = self._mask(key_padding_mask, attn_mask, q)
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
            weights = torch.softmax(scores if mask is None else scores + mask, -1)
            mixed = functional.dropout(weights, drop, training=self.training) @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, drop)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if single:
            return out[0], None if weights is None else weights[0]
        return out if self.batch_first else out.transpose(0, 1), weights

    def _batch_led(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 2:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def _heads(self, x: torch.Tensor, which: int) -> torch.Tensor:
        """Queries (0), keys (1) or values (2) [batch, heads, tokens, head_dim]."""
        width = self.num_heads * self.head_dim
        own = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[which]
        rows = slice(which * width, (which + 1) * width)
        weight = own if self.in_proj_weight is None else self.in_proj_weight[rows]
        assert weight is not None, "torch has one weight for all three, or three"
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y = functional.linear(x, weight, bias)
        return y.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _mask(
        self, padding: torch.Tensor | None, pairs: torch.Tensor | None, q: torch.Tensor
    ) -> torch.Tensor | None:
        """One mask to add, [batch or 1, 1, queries or 1, keys]."""
        total = None
        for mask, axes in ((padding, (-2, -2)), (pairs, (0, 0))):
            if mask is None:
                continue
            told = "masks per head do not fit an attention that lost heads: give one for all heads"
            require(mask.ndim <= 2, UnsupportedError, told)
            added = mask.to(q.dtype)
            if mask.dtype == torch.bool:
                added = torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, float("-inf"))
            rows = added.unsqueeze(axes[0]).unsqueeze(axes[1])
            total = rows if total is None else total + rows
        return total
