"""Attention of several heads, with dropout where no fused kernel draws it quickly.

Shapes   B batch, H heads, Q tokens that ask, K tokens that are told, W width of a head
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from clipvil.models._dropout import drop


def attend(
    query: Float[Tensor, "B H Q W"],
    key: Float[Tensor, "B H K W"],
    value: Float[Tensor, "B H K W"],
    mask: Bool[Tensor, "*shape"] | None,
    rate: float,
) -> Float[Tensor, "B H Q W"]:
    """What each asking token found; `mask`, of a shape that spreads to B H Q K, is what it sees."""
    if rate > 0.0 and query.device.type == "cpu":  # torch has no fused kernel for it either
        weight = query * query.shape[-1] ** -0.5 @ key.mT
        if mask is not None:
            weight = weight.masked_fill_(~mask, -1e9)
        found: Tensor = drop(weight.softmax(-1), rate) @ value
        return found
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
