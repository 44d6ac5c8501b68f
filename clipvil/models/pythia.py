"""Pythia: a question weighs a picture's cells once; what it found times what it asked is answered.

Shapes   B batch, N image tokens of width I, T words of width W, L width of the LSTM, G glimpses,
         Q = G L width of a question, H hidden width, A answers
Source   arXiv:1807.09956, and its release in MMF with one encoding of the picture
Known    the release reads padded words; here the mask tells them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from clipvil.core import Choices, Labels
from clipvil.data.labels import LabelBatch
from clipvil.models.base import Loss, said, soft_loss, spelled

ANSWERS = (Labels, Choices)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The published model."""

    width: int = 5_000  # in which question and picture are multiplied
    read: int = 1_024  # width of the LSTM
    glimpses: int = 2  # weighted means of a question's words
    weigh: int = 512  # hidden width of what weighs words
    text: int = 300  # hidden width of the answer's second arm
    word_width: int = 300
    longest: int = 14  # words of a question that are read


class Scaled(torch.autograd.Function):
    """Weights of a given length along a direction, in fewer passes over memory than torch's own."""

    @staticmethod
    def forward(
        ctx: Any, direction: Float[Tensor, "O I"], length: Float[Tensor, ""]
    ) -> Float[Tensor, "O I"]:
        """The direction, scaled."""
        norm = direction.norm()
        ctx.save_for_backward(direction, length, norm)
        scaled: Tensor = direction * (length / norm)
        return scaled

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Float[Tensor, "O I"]
    ) -> tuple[Float[Tensor, "O I"], Float[Tensor, ""]]:
        """What the length's gradient takes, the direction's no longer has."""
        direction, length, norm = ctx.saved_tensors
        along = torch.dot(gradient.flatten(), direction.flatten()) / norm
        turned = gradient * (length / norm)
        return turned.add_(direction, alpha=-float(length * along / norm**2)), along


class Normed(nn.Module):
    """A linear map whose direction and length, one number, are learnt apart."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first = nn.Linear(inputs, outputs)
        self.direction, self.bias = first.weight, first.bias
        self.length = nn.Parameter(first.weight.detach().norm())

    @property
    def weight(self) -> Float[Tensor, "O I"]:
        """The map's matrix."""
        weight: Tensor = Scaled.apply(self.direction, self.length)
        return weight

    def forward(self, tokens: Float[Tensor, "*shape I"]) -> Float[Tensor, "*shape O"]:
        """The tokens, mapped."""
        return F.linear(tokens, self.weight, self.bias)


class Question(nn.Module):
    """An LSTM over the words, and a few weighted means of its states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.word_width, config.read, batch_first=True)
        self.weigh = nn.Sequential(
            nn.Linear(config.read, config.weigh),
            nn.ReLU(),
            nn.Linear(config.weigh, config.glimpses),
        )

    def forward(
        self, words: Float[Tensor, "B T W"], spoken: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B Q"]:
        """One vector a question; words that are not spoken weigh nothing."""
        states, _ = self.lstm(words)  # [B, T, L]
        weight = self.weigh(states).float().masked_fill(~spoken.unsqueeze(-1), -1e9).softmax(1)
        found: Tensor = weight.to(states.dtype).mT @ states  # [B, G, L]
        return found.flatten(1)


class Look(nn.Module):
    """A question-weighted mean of the cells; cells that are not seen weigh nothing."""

    def __init__(self, config: Config, *, image_width: int, question_width: int) -> None:
        super().__init__()
        self.image = Normed(image_width, config.width)
        self.question = Normed(question_width, config.width)
        self.weigh = Normed(config.width, 1)

    def forward(
        self,
        image: Float[Tensor, "B N I"],
        seen: Bool[Tensor, "B N"],
        question: Float[Tensor, "B Q"],
    ) -> Float[Tensor, "B I"]:
        """What the question found."""
        cells = self.image(image).relu()  # [B, N, H]
        # weighing the question instead of each cell's product with it saves a [B, N, H]
        asked = self.question(question).relu() * self.weigh.weight  # [B, H]
        logits = (cells @ asked.to(cells.dtype).unsqueeze(-1)).squeeze(-1) + self.weigh.bias
        weight = logits.float().masked_fill(~seen, -1e9).softmax(1)  # [B, N]
        found: Tensor = weight.to(image.dtype).unsqueeze(1) @ image  # [B, 1, I]
        return found.squeeze(1)


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
        H, Q = config.width, config.glimpses * config.read
        self.embed = nn.Embedding(num_words, config.word_width, padding_idx=0)
        self.point = nn.Linear(image_width, config.word_width, bias=False) if regions else None
        self.read = Question(config)
        self.look = Look(config, image_width=image_width, question_width=Q)
        self.image, self.question = Normed(image_width, H), Normed(Q, H)
        self.image_arm = nn.Sequential(Normed(H, H), nn.ReLU(), nn.Linear(H, num_answers))
        self.text_arm = nn.Sequential(
            Normed(H, config.text), nn.ReLU(), nn.Linear(config.text, num_answers)
        )

    def forward(self, batch: LabelBatch) -> Float[Tensor, "B A"]:
        """Logits of the answers; cells that are not seen and padded words change nothing."""
        question = self.read(spelled(batch, self.embed, self.point), said(batch.words))  # [B, Q]
        found = self.look(batch.image, batch.seen, question)  # [B, I]
        both = self.image(found).relu() * self.question(question).relu()  # [B, H]
        logits: Tensor = self.image_arm(both) + self.text_arm(both)
        return logits

    def loss(self, batch: LabelBatch) -> Loss:
        """Cross-entropy of every answer by itself, or among candidates, summed."""
        return soft_loss({"answer": self(batch)}, batch)
