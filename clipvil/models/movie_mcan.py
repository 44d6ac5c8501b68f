"""MoVie + MCAN: one branch attends to cells, one convolves them; three heads learn, one answers.

Shapes   B batch, N image tokens of width I, R rows, C columns, T words of width W, D model width,
         A answers
Source   MoVie arXiv:2004.11883, MCAN arXiv:1906.10770; their fusion as released in MMF
         (`movie_mcan`), which is what arXiv:2107.06383 calls MCAN in its VQA table
Known    the release attends to padded cells, convolves them and averages over them; here masks tell
         them, and `field` brings that back. Its frozen batch norms hold their first values, a
         factor of 0.999995, and each of its guided layers carries a third norm that nothing reads:
         both are left out
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clipvil.core import Choices, Labels
from clipvil.data.labels import LabelBatch
from clipvil.models import mcan
from clipvil.models._dropout import Dropout
from clipvil.models.base import Loss, said, soft_loss, spelled

ANSWERS = (Labels, Choices)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The published model."""

    width: int = 1_024
    heads: int = 8
    layers: int = 6  # of the attending branch
    expand: int = 4  # hidden width of the feed-forward parts, in model widths
    blocks: int = 4  # of the convolving branch
    narrow: int = 256  # width inside a block
    squeeze: int = 4  # what a block's gate divides the model width by
    flat: int = 2_048  # width in which the branches are added
    word_width: int = 300
    longest: int = 14  # words of a question that are read
    dropout: float = 0.1
    field: int | None = None  # rows and columns that cells are laid into, empty ones seen; as
    # released 32, and none where only real cells are seen

    @property
    def attention(self) -> mcan.Config:
        """The same sizes for the layers of MCAN."""
        return mcan.Config(
            width=self.width, heads=self.heads, expand=self.expand, dropout=self.dropout
        )


def laid(
    cells: Float[Tensor, "B N I"], grid: Int[Tensor, "B 2"], field: int | None
) -> tuple[Float[Tensor, "B R C I"], Bool[Tensor, "B R C"]]:
    """Cells as a rectangle, zeros where a picture has none; and where it has some.

    Raises
        ValueError: a picture has more rows or columns than the field
    """
    most = grid.amax(0).tolist()
    if field is not None and max(most) > field:
        raise ValueError(f"a grid of {most[0]} x {most[1]} cells in a field of {field} x {field}")
    R, C = most if field is None else (field, field)
    rows, columns = grid[:, :1, None], grid[:, 1:, None]  # [B, 1, 1]
    row = torch.arange(R, device=cells.device)[:, None]
    column = torch.arange(C, device=cells.device)
    real = (row < rows) & (column < columns)  # [B, R, C]
    index = (row * columns + column).masked_fill(~real, 0)
    found = torch.take_along_dim(cells, index.flatten(1).unsqueeze(-1), 1)  # [B, R C, I]
    rectangle = found.masked_fill(~real.flatten(1).unsqueeze(-1), 0.0)
    return rectangle.view(len(cells), R, C, -1), real


class Pool(nn.Module):
    """Weighted means over tokens, the weights learnt; tokens that are not real weigh nothing."""

    def __init__(self, config: Config, *, means: int) -> None:
        super().__init__()
        D = config.width
        self.weigh = nn.Sequential(
            nn.Linear(D, D // 2), nn.ReLU(), Dropout(config.dropout), nn.Linear(D // 2, means)
        )

    def forward(
        self, tokens: Float[Tensor, "B T D"], real: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B means D"]:
        """The means."""
        weight = self.weigh(tokens).float().masked_fill(~real.unsqueeze(-1), -1e9).softmax(1)
        means: Tensor = weight.to(tokens.dtype).mT @ tokens
        return means


class Gate(nn.Module):
    """Turns channels up and down by what the whole picture shows, then cells by their surround."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        D, small = config.width, config.width // config.squeeze
        self.channels = nn.Sequential(
            nn.Linear(D, small, bias=False), nn.ReLU(), nn.Linear(small, D, bias=False)
        )
        self.cells = nn.Conv2d(1, 1, kernel_size=7, padding=3, bias=False)

    def forward(
        self, cells: Float[Tensor, "B R C D"], real: Bool[Tensor, "B R C"]
    ) -> Float[Tensor, "B R C D"]:
        """The cells, gated; those that are not real are zero before and after."""
        cells = cells * self.channels(mean(cells, real)).sigmoid()[:, None, None]
        surround = self.cells(cells.mean(-1).unsqueeze(1))  # [B, 1, R, C]
        gated: Tensor = cells * surround.sigmoid().squeeze(1).unsqueeze(-1)
        return gated


def mean(cells: Float[Tensor, "B R C D"], real: Bool[Tensor, "B R C"]) -> Float[Tensor, "B D"]:
    """Mean over the real cells; the others are zero."""
    count = real.sum((1, 2), dtype=cells.dtype).unsqueeze(-1)
    return cells.sum((1, 2)) / count


class Block(nn.Module):
    """A bottleneck whose first convolution also reads the cells multiplied by the question."""

    def __init__(self, config: Config, inputs: int) -> None:
        super().__init__()
        D, narrow = config.width, config.narrow
        self.ask = nn.Linear(config.width, inputs)
        self.asked = nn.Linear(inputs, narrow)
        self.first = nn.Linear(inputs, narrow, bias=False)
        self.around = nn.Conv2d(narrow, narrow, kernel_size=3, padding=1, bias=False)
        self.last = nn.Linear(narrow, D, bias=False)
        self.gate = Gate(config)
        self.skip = nn.Identity() if inputs == D else nn.Linear(inputs, D, bias=False)

    def forward(
        self,
        cells: Float[Tensor, "B R C I"],
        real: Bool[Tensor, "B R C"],
        question: Float[Tensor, "B D"],
    ) -> Float[Tensor, "B R C D"]:
        """The cells, one block on; those that are not real are zero before and after."""
        empty = ~real.unsqueeze(-1)
        asked = cells * self.ask(question)[:, None, None]
        inside = (self.first(cells) + self.asked(asked)).relu().masked_fill(empty, 0.0)
        inside = self.around(inside.permute(0, 3, 1, 2)).relu().permute(0, 2, 3, 1)
        out = self.gate(self.last(inside).masked_fill(empty, 0.0), real)
        after: Tensor = (out + self.skip(cells)).relu()
        return after


class Fusion(nn.Module):
    """Both branches and the question, each branch without the other too: three ways to answer."""

    def __init__(self, config: Config, num_answers: int) -> None:
        super().__init__()
        D, F = config.width, config.flat
        self.attended = nn.ModuleList(nn.Linear(D, F) for _ in range(2))
        self.convolved = nn.ModuleList(nn.Linear(D, F) for _ in range(2))
        self.question = nn.ModuleList(nn.Linear(D, F) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(F) for _ in range(3))
        self.answers = nn.ModuleList(nn.Linear(F, num_answers) for _ in range(3))

    def forward(
        self,
        attended: Float[Tensor, "B D"],
        convolved: Float[Tensor, "B D"],
        question: Float[Tensor, "B D"],
    ) -> dict[str, Float[Tensor, "B A"]]:
        """Logits by what they read; `both` is what answers, the others help it to learn."""
        read = {
            "both": self.question[0](question)
            + self.convolved[0](convolved)
            + self.attended[0](attended),
            "convolved": self.convolved[1](convolved),
            "attended": self.question[1](question) + self.attended[1](attended),
        }
        heads = zip(self.norms, self.answers, read.items(), strict=True)
        return {name: answer(norm(flat)) for norm, answer, (name, flat) in heads}


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
        D, layers, inner = config.width, range(config.layers), config.attention
        self.field = config.field
        self.embed = nn.Embedding(num_words, config.word_width, padding_idx=0)
        self.point = nn.Linear(image_width, config.word_width, bias=False) if regions else None
        self.read = nn.LSTM(config.word_width, D, batch_first=True)
        self.question_layers = nn.ModuleList(mcan.Layer(inner, guided=False) for _ in layers)
        self.question_pool = Pool(config, means=2)
        self.image = nn.Linear(image_width, D)
        self.image_layers = nn.ModuleList(mcan.Layer(inner, guided=True) for _ in layers)
        self.image_pool = Pool(config, means=1)
        inputs = [image_width, *(D for _ in range(config.blocks - 1))]
        self.blocks = nn.ModuleList(Block(config, width) for width in inputs)
        self.norm = nn.LayerNorm(D)
        self.fusion = Fusion(config, num_answers)

    def logits(self, batch: LabelBatch) -> dict[str, Float[Tensor, "B A"]]:
        """Logits of the answers by branch; padded cells and words change nothing."""
        spoken = said(batch.words)  # [B, T]
        question, _ = self.read(spelled(batch, self.embed, self.point))  # [B, T, D]
        for layer in self.question_layers:
            question = layer(question, spoken)
        to_convolve, to_fuse = self.question_pool(question, spoken).unbind(1)  # each [B, D]

        field, real = laid(batch.image, batch.grid, self.field)
        image, seen = batch.image, batch.seen
        if self.field is not None:
            real = torch.ones_like(real)
            image, seen = field.flatten(1, 2), real.flatten(1)
        cells = self.image(image)  # [B, N, D]
        for layer in self.image_layers:
            cells = layer(cells, seen, (question, spoken))
        attended = self.image_pool(cells, seen).squeeze(1)  # [B, D]

        for block in self.blocks:
            field = block(field, real, to_convolve)  # [B, R, C, D]
        return self.fusion(attended, self.norm(mean(field, real)), to_fuse)  # type: ignore[no-any-return]

    def forward(self, batch: LabelBatch) -> Float[Tensor, "B A"]:
        """Logits of the answers."""
        return self.logits(batch)["both"]

    def loss(self, batch: LabelBatch) -> Loss:
        """Cross-entropy of every answer by itself, or among candidates, summed over branches."""
        return soft_loss(self.logits(batch), batch)
