"""MCAN: a question attends to itself, then a picture to itself and to the question, layer by layer.

Shapes   B batch, N image tokens of width I, T words of width W, D model width, H heads,
         F flattened width, A answers
Source   arXiv:1906.10770, equations 1-12 ("encoder-decoder"), and its released "small" setting
Known    the release tells padding by all-zero features; here the mask is given
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from clipvil.core import Choices, Labels
from clipvil.data.labels import LabelBatch
from clipvil.models._attention import attend
from clipvil.models._dropout import Dropout
from clipvil.models.base import Loss, said, soft_loss, spelled

ANSWERS = (Labels, Choices)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The published small model; the large one is `width=1024, flat=2048`."""

    width: int = 512
    heads: int = 8
    layers: int = 6
    expand: int = 4  # hidden width of the feed-forward parts, in model widths
    weigh: int = 512  # hidden width of what weighs tokens; the large model keeps it
    flat: int = 1024  # width in which question and picture are added
    word_width: int = 300
    longest: int = 14  # words of a question that are read
    dropout: float = 0.1


class Attention(nn.Module):
    """Multi-head attention of `asks` over `told`, with a mask over what is told."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        D = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.query, self.key, self.value = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, D)
        self.merge = nn.Linear(D, D)

    def forward(
        self,
        asks: Float[Tensor, "B Q D"],
        told: Float[Tensor, "B K D"],
        real: Bool[Tensor, "B K"],
    ) -> Float[Tensor, "B Q D"]:
        """What each asking token found."""
        query, key, value = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, T, D / H]
            for layer, tokens in ((self.query, asks), (self.key, told), (self.value, told))
        )
        rate = self.dropout if self.training else 0.0
        found = attend(query, key, value, real[:, None, None, :], rate)
        merged: Tensor = self.merge(found.transpose(1, 2).flatten(2))  # [B, Q, D]
        return merged


class Residual(nn.Module):
    """Dropout, sum and norm after a part, as in the original Transformer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dropout, self.norm = Dropout(config.dropout), nn.LayerNorm(config.width)

    def forward(
        self, before: Float[Tensor, "B T D"], part: Float[Tensor, "B T D"]
    ) -> Float[Tensor, "B T D"]:
        """`before` with `part` added."""
        after: Tensor = self.norm(before + self.dropout(part))
        return after


class Layer(nn.Module):
    """Self-attention, attention to a guide where there is one, and a feed-forward part."""

    def __init__(self, config: Config, *, guided: bool) -> None:
        super().__init__()
        D, hidden = config.width, config.expand * config.width
        self.own, self.after_own = Attention(config), Residual(config)
        self.guide = Attention(config) if guided else None
        self.after_guide = Residual(config) if guided else None
        self.forth = nn.Sequential(
            nn.Linear(D, hidden), nn.ReLU(), Dropout(config.dropout), nn.Linear(hidden, D)
        )
        self.after_forth = Residual(config)

    def forward(
        self,
        tokens: Float[Tensor, "B T D"],
        real: Bool[Tensor, "B T"],
        guide: tuple[Float[Tensor, "B G D"], Bool[Tensor, "B G"]] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The tokens, one layer on."""
        tokens = self.after_own(tokens, self.own(tokens, tokens, real))
        if self.guide is not None and self.after_guide is not None and guide is not None:
            tokens = self.after_guide(tokens, self.guide(tokens, *guide))
        after: Tensor = self.after_forth(tokens, self.forth(tokens))
        return after


class Flatten(nn.Module):
    """A weighted mean over tokens, the weights learnt; tokens that are not real weigh nothing."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        D = config.width
        self.weigh = nn.Sequential(
            nn.Linear(D, config.weigh),
            nn.ReLU(),
            Dropout(config.dropout),
            nn.Linear(config.weigh, 1),
        )
        self.merge = nn.Linear(D, config.flat)

    def forward(
        self, tokens: Float[Tensor, "B T D"], real: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B F"]:
        """One vector for all tokens."""
        weight = self.weigh(tokens).float().masked_fill(~real.unsqueeze(-1), -1e9).softmax(1)
        merged: Tensor = self.merge((weight * tokens).sum(1))  # [B, F]
        return merged


class Model(nn.Module):
    """Answers a question about a picture out of a closed list, or weighs a candidate for one."""

    def __init__(
        self,
        config: Config,
        *,
        image_width: int,
        num_words: int,
        num_answers: int,
        regions: bool = False,
    ) -> None:
        super().__init__()
        D, layers = config.width, range(config.layers)
        self.embed = nn.Embedding(num_words, config.word_width, padding_idx=0)
        self.point = nn.Linear(image_width, config.word_width, bias=False) if regions else None
        self.read = nn.LSTM(config.word_width, D, batch_first=True)
        self.image = nn.Linear(image_width, D)
        self.question_layers = nn.ModuleList(Layer(config, guided=False) for _ in layers)
        self.image_layers = nn.ModuleList(Layer(config, guided=True) for _ in layers)
        self.question_flat, self.image_flat = Flatten(config), Flatten(config)
        self.norm = nn.LayerNorm(config.flat)
        self.answer = nn.Linear(config.flat, num_answers)

    def forward(self, batch: LabelBatch) -> Float[Tensor, "B A"]:
        """Logits of the answers; cells that are not seen and padded words change nothing."""
        spoken = said(batch.words)  # [B, T]
        question, _ = self.read(spelled(batch, self.embed, self.point))  # [B, T, D]
        for layer in self.question_layers:
            question = layer(question, spoken)
        cells = self.image(batch.image)  # [B, N, D]
        for layer in self.image_layers:
            cells = layer(cells, batch.seen, (question, spoken))
        both = self.question_flat(question, spoken) + self.image_flat(cells, batch.seen)  # [B, F]
        logits: Tensor = self.answer(self.norm(both))
        return logits

    def loss(self, batch: LabelBatch) -> Loss:
        """Cross-entropy of every answer by itself, or among candidates, summed."""
        return soft_loss({"answer": self(batch)}, batch)
