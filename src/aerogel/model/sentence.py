"""An encoder with its pooling, as sentence-transformers describes it. Imports torch."""

from __future__ import annotations

import torch


class SentenceEncoder(torch.nn.Module):
    """An encoder with its pooling: (B, S) ids and mask -> (B, features), one vector per text."""

    def __init__(self, encoder: torch.nn.Module, pooling: str, normalized: bool) -> None:  # noqa: FBT001
        super().__init__()
        self.encoder, self.pooling, self.normalized = encoder, pooling, normalized

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        match self.pooling:
            case "first":
                vector = hidden[:, 0]
            case "max":
                vector = hidden.masked_fill(mask == 0, -torch.inf).amax(1)
            case _:
                vector = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        if self.normalized:
            vector = torch.nn.functional.normalize(vector, dim=1)
        return {"sentence_embedding": vector}
