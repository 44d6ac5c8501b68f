"""The attention pool of CLIP's ResNets, asked for the one answer that is kept.

Source   https://github.com/openai/CLIP (arXiv 2103.00020, section 2.4), where every cell asks and
         all answers but that of the cells' mean are thrown away
Shapes   B batch, N the mean and the cells behind it, D their width, H heads, K width of a head

With one query a head, `query . (W x + b)` is `(query W) . x + query . b`, and as its weights add up
to one, the mean of `V x + c` is `V` of the mean of x, plus c: cells need no keys and no values.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F


def timms(pool: Any, cells: Float[Tensor, "B D R C"]) -> Float[Tensor, "B E"]:
    """What timm's `AttentionPool2d` gives, its projection left out."""
    place = resample_abs_pos_embed(
        pool.pos_embed[None], [*cells.shape[2:]], old_size=pool.feat_size, num_prefix_tokens=1
    )
    seen: Tensor = pool.drop(pooled(placed(cells, place), pool.q, pool.k, pool.v, pool.num_heads))
    return seen


def openclips(pool: Any, cells: Float[Tensor, "B D R C"]) -> Float[Tensor, "B P"]:
    """What open_clip's `AttentionPool2d` gives."""
    tokens = placed(cells, pool.positional_embedding[None])
    answer = pooled(tokens, pool.q_proj, pool.k_proj, pool.v_proj, pool.num_heads)
    projected: Tensor = pool.c_proj(answer)
    return projected


def placed(
    cells: Float[Tensor, "B D R C"], place: Float[Tensor, "1 N D"]
) -> Float[Tensor, "B N D"]:
    """Cells row by row behind their mean, position embeddings added."""
    rows = cells.flatten(2).transpose(1, 2)  # [B, R * C, D]
    return torch.cat([rows.mean(1, keepdim=True), rows], 1) + place.to(rows.dtype)


def pooled(
    tokens: Float[Tensor, "B N D"], query: nn.Linear, key: nn.Linear, value: nn.Linear, heads: int
) -> Float[Tensor, "B E"]:
    """What the first token sees in all of them, head by head."""
    width = tokens.shape[2]
    keys, values = (layer.weight.view(heads, -1, width) for layer in (key, value))  # [H, K, D]
    asked = query(tokens[:, 0]).view(len(tokens), heads, -1)  # [B, H, K]
    folded = torch.einsum("bhk,hkd->bhd", asked, keys)
    scale = keys.shape[1] ** -0.5
    # the same for all tokens, so it decides nothing: but every weight has to have a gradient
    constant = scale * (asked * key.bias.view(heads, -1)).sum(2, keepdim=True)
    looked = F.scaled_dot_product_attention(
        folded, tokens, tokens, constant.expand(-1, -1, tokens.shape[1]), scale=scale
    )  # [B, H, D]
    return torch.einsum("bhd,hkd->bhk", looked, values).flatten(1) + value.bias
