"""How labels pass through products of two activations: attention, whose heads go whole. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from aerogel.prune.structured.labels import as_ids, laid_along
from aerogel.prune.structured.tracing import Known, Tracing, Weight

_PRODUCT = "a product of two activations sums over its channels, and there is one head"


def slabs(tracing: Tracing, parts: list[torch.Tensor]) -> torch.Tensor | None:
    """Labels [batch, ...] of what is multiplied batch by batch: all of one batch index share one fate.

    One label per batch index, or None where no part differs along the batch: then there are no heads.
    """
    labels = tracing.labels
    varying = [0 in labels.varying(part) for part in parts]
    if not any(varying):
        return None
    heads = next(part for part, varies in zip(parts, varying, strict=True) if varies)
    for part, varies in zip(parts, varying, strict=True):
        if not varies:
            # One set of keys and values for all heads: it stays, and is read by fewer.
            labels.lock(part, "all heads share it")
            continue
        for axis in range(1, part.ndim):
            labels.pin(part, axis, _PRODUCT)
        labels.join(_first(part), _first(heads), "a head meets what has a fixed size")
    tracing.atoms.mark_heads(as_ids(_first(heads)))
    return _first(heads)


def _first(part: torch.Tensor) -> torch.Tensor:
    return part.reshape(part.shape[0], -1)[:, 0]


def of_activations(
    tracing: Tracing,
    x: torch.Tensor,
    y: torch.Tensor,
    out: torch.Tensor,
    known: tuple[Known | None, Known | None],
) -> None:
    """``x`` [batch, M, K] times ``y`` [batch, K, N]. ``known`` is what is known of each."""
    if any(isinstance(k, Weight) for k in known):
        for k in known:
            if isinstance(k, Weight):
                tracing.lock_weight(k, f"{k.name} is multiplied in a way that is not followed")
            elif k is not None:
                tracing.labels.lock(k, "it is multiplied by a weight in a way that is not followed")
        return
    fixed = torch.zeros((), dtype=torch.int32)
    a, b = (
        fixed.expand(t.shape) if k is None else k.reshape(t.shape)
        for t, k in zip((x, y), (k for k in known if not isinstance(k, Weight)), strict=True)
    )
    for part, other in ((a, known[1]), (b, known[0])):
        if other is None:
            tracing.labels.pin(part, 0, "it is multiplied by what has a fixed size")
    heads = slabs(tracing, [part for part, k in zip((a, b), known, strict=True) if k is not None])
    if heads is not None:
        tracing.put(out, laid_along(heads, 0, out.shape))
        return
    tracing.labels.pin(a, 2, _PRODUCT)
    tracing.labels.pin(b, 1, _PRODUCT)
    tall, wide = 1 in tracing.labels.varying(a), 2 in tracing.labels.varying(b)
    if tall and wide:
        tracing.labels.lock(a, _PRODUCT)
        tracing.labels.lock(b, _PRODUCT)
    tracing.put(out, None)
    if wide and not tall:
        tracing.put(out, b[:, :1].expand(*x.shape[:2], y.shape[2]).reshape(out.shape))
    elif tall and not wide:
        tracing.put(out, a[:, :, :1].expand(*x.shape[:2], y.shape[2]).reshape(out.shape))


def _attention(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """``args``: queries [batch, heads, tokens, width], keys and values with as many heads or a divisor."""
    result = out[0] if isinstance(out, list | tuple) else out
    parts: list[torch.Tensor] = []
    heads = args[0].shape[1]
    for value in args[:3]:
        labels = tracing.activation(value)
        if labels is None:
            labels = torch.zeros((), dtype=torch.int32).expand(value.shape)
        labels = labels.repeat_interleave(heads // labels.shape[1], 1)
        parts.append(labels.flatten(0, 1))
    together = slabs(tracing, parts)
    if together is not None:
        # Masks are [batch, 1 or heads, queries, keys].
        per_head = together.reshape(args[0].shape[0], heads, 1, 1)
        mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
        if isinstance(mask, torch.Tensor) and mask.ndim == 4 and mask.shape[1] > 1:
            known = tracing.of(mask)
            if isinstance(known, torch.Tensor):
                tracing.labels.join(
                    known, per_head.expand(known.shape), "its heads have a bias of fixed size"
                )
            else:
                tracing.lock_all((mask,), "it is a bias that is added in attention")
                tracing.labels.lock(together, "its heads have a bias of fixed size")
        tracing.put(result, per_head.expand(result.shape))
        return
    for part in parts[:2]:
        tracing.labels.lock(part, _PRODUCT)
    tracing.labels.pin(parts[2], 1, _PRODUCT)
    values = parts[2].unflatten(0, (-1, heads))[:, :, :1]
    tracing.put(result, values.expand(*result.shape[:3], values.shape[-1]).reshape(result.shape))


ATTENTION: dict[str, Callable[[Tracing, Any, tuple[Any, ...], dict[str, Any], Any], None]] = {
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
}
"""By the operation's name, without its overload. What runs as separate products is followed as those."""
