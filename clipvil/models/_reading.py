"""An LSTM over words both ways that padding does not touch.

Where a processor takes gradients words are not packed: that of each slice of packed words is as
large as all of them. Padding shuts a gate instead, and the cell stays as it is; rows of about one
length are read together.

Shapes   B rows, T words, E width of a word, H width of what both ways leave together
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SHUT = 1e4  # what shuts a gate, or opens it, whatever else goes in
TOGETHER = 16  # rows

Read = tuple[Tensor, Tensor, Tensor]


def read(lstm: nn.LSTM, words: Float[Tensor, "B T E"], real: Bool[Tensor, "B T"]) -> Read:
    """What a layer both ways makes of each word, and hidden state and cell where the ways end.

    `real` words come first. Gives [B, T, H], of which that of padding means nothing, and twice
    [B, H], first what the way back leaves.
    """
    if words.device.type != "cpu" or not torch.is_grad_enabled():
        return packed(lstm, words, real)
    lengths = real.sum(1)
    order = lengths.argsort()
    parts = [padded(lstm, words[rows], lengths[rows]) for rows in torch.split(order, TOGETHER)]
    told, ends, cells = zip(*parts, strict=True)
    whole = [F.pad(some, (0, 0, 0, words.shape[1] - some.shape[1])) for some in told]
    back = order.argsort()
    return torch.cat(whole)[back], torch.cat(ends)[back], torch.cat(cells)[back]


def padded(lstm: nn.LSTM, words: Float[Tensor, "B T E"], lengths: Int[Tensor, " B"]) -> Read:
    """The same of rows that are read together, up to the longest."""
    size, words = lstm.hidden_size, words[:, : int(lengths.max())]
    blocked = torch.arange(words.shape[1]) >= lengths[:, None]  # [B, T]
    tokens = torch.cat([words, blocked.unsqueeze(-1)], -1)  # [B, T, E + 1]
    gate = words.new_tensor([-SHUT, SHUT, 0.0, 0.0]).repeat_interleave(size)  # enter, forget, ...
    none = words.new_zeros(1, len(words), size)
    made, cells = list[Tensor](), list[Tensor]()
    for way in ("", "_reverse"):
        inward, *others = (
            getattr(lstm, f"{name}_l0{way}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        weights = [torch.cat([inward, gate[:, None]], 1), *others]
        steps, _, cell = torch.lstm(
            tokens.flip(1) if way else tokens, [none, none], weights, True, 1, 0.0, lstm.training,
            False, True,
        )  # fmt: skip
        made.append(steps.flip(1) if way else steps)
        cells.append(cell[0])
    ends = [made[1][:, 0], made[0][torch.arange(len(words)), lengths - 1]]
    return torch.cat(made, -1), torch.cat(ends, -1), torch.cat(cells[::-1], -1)


def packed(lstm: nn.LSTM, words: Float[Tensor, "B T E"], real: Bool[Tensor, "B T"]) -> Read:
    """The same as torch does it."""
    some = pack_padded_sequence(words, real.sum(1).cpu(), batch_first=True, enforce_sorted=False)
    made, (hidden, cell) = lstm(some)
    told, _ = pad_packed_sequence(made, batch_first=True, total_length=words.shape[1])
    return told, torch.cat([*hidden.flip(0)], -1), torch.cat([*cell.flip(0)], -1)
