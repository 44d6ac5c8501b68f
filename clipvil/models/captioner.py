"""Captioner: a transformer reads a picture's cells, another tells what they show, word by word.

Shapes   P pictures, N image tokens of width I, K captions of each, T words of a caption, L words at
         most, D model width, H heads of width W, V words known; 0 begins and ends a caption
Source   arXiv:1706.03762 with norms before each part, as arXiv:2107.06383 trained it (released in
         clip-vil/CLIP-ViL, caption); self-critical training arXiv:1612.00563
Known    the release encodes a picture once a caption, with other dropout each time; here once. Its
         norms divide by the unbiased deviation. It draws samples through dropout and learns from
         those very draws; here samples are drawn as captions are told later, without dropout, and
         the words are then read with it
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.core import Text, UsageError
from clipvil.data.captions import CaptionBatch
from clipvil.metrics.reward import Frequencies, prepare, rewards
from clipvil.models._decode import END, Limits, beam, greedy, lots, sample
from clipvil.models._dropout import Dropout
from clipvil.models._transformer import Reading, Sizes, Writing, waves
from clipvil.models.base import Loss

ANSWERS = (Text,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The published model, and how it tells."""

    width: int = 512
    heads: int = 8
    layers: int = 6  # of each of the two transformers
    expand: int = 4  # hidden width of the feed-forward parts, in model widths
    dropout: float = 0.1
    image_dropout: float = 0.5  # of the cells, once projected
    pooled: bool = False  # whether the encoder's vector of the whole picture stands by the cells
    tokenizer: str | None = None  # file of a byte-pair tokenizer, whose pieces are then the words
    positions: bool = False  # whether cells tell their row and column
    smoothing: float = 0.0  # share of the target that is spread over all words
    rare: int = 5  # a word that the captions have no more often than this is unknown
    read: int = 16  # words of a caption that are learnt from
    longest: int = 20  # words told at most
    shortest: int = 0  # words told at least
    no_repeat: int = 0  # words in a run that is not told twice; 0 allows all
    beams: int = 5  # captions that grow side by side; 1 takes the likeliest word each time
    length_power: float = 0.0  # of the number of words that a caption's score is divided by
    top_k: int = 0  # words are told by lot, out of so many likeliest ones; 0 draws no lots
    nucleus: float = 0.0  # by lot, out of the fewest with this share of the chances; 0 draws none
    samples: int = 5  # of a picture, in self-critical training
    baseline: Literal["greedy", "others"] = "greedy"  # what a sample is to beat: the likeliest
    # caption's reward, or the mean of the other samples'

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers", "expand", "read", "longest", "beams", "samples"):
            if getattr(self, name) < 1:
                raise UsageError(f"--config.{name} must be 1 or more")
        if self.width % self.heads or self.width % 4:  # sines and cosines of rows and columns
            raise UsageError(f"--config.width must be a multiple of 4 and of {self.heads} heads")
        for name in ("shortest", "no_repeat", "top_k"):
            if getattr(self, name) < 0:
                raise UsageError(f"--config.{name.replace('_', '-')} must be 0 or more")
        if not 0 <= self.nucleus <= 1:
            raise UsageError("--config.nucleus must be from 0 to 1")
        if self.baseline == "others" and self.samples < 2:
            raise UsageError("a sample is compared with others: --config.samples must be 2 or more")

    @property
    def sizes(self) -> Sizes:
        """Those of a layer."""
        return Sizes(width=self.width, heads=self.heads, expand=self.expand, dropout=self.dropout)

    @property
    def limits(self) -> Limits:
        """What a caption may be."""
        return Limits(longest=self.longest, shortest=self.shortest, no_repeat=self.no_repeat)


class Model(nn.Module):
    """Tells what a picture shows; `embed` are its word vectors, row 0 that of the beginning."""

    def __init__(
        self, config: Config, *, image_width: int, num_words: int, pooled_width: int | None = None
    ) -> None:
        super().__init__()
        D = config.width
        self.config = config
        self.image = nn.Sequential(
            nn.Linear(image_width, D), nn.ReLU(), Dropout(config.image_dropout)
        )
        self.whole = None  # what reads the pooled vector
        if pooled_width is not None:
            self.whole = nn.Sequential(
                nn.Linear(pooled_width, D), nn.ReLU(), Dropout(config.image_dropout)
            )
        self.reading = nn.ModuleList(Reading(config.sizes) for _ in range(config.layers))
        self.read = nn.LayerNorm(D)
        self.embed = nn.Embedding(num_words, D)
        self.dropout = Dropout(config.dropout)
        self.writing = nn.ModuleList(Writing(config.sizes) for _ in range(config.layers))
        self.written = nn.LayerNorm(D)
        self.next = nn.Linear(D, num_words)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def look(self, batch: CaptionBatch) -> Float[Tensor, "P N D"]:
        """The pictures' tokens, read once for all captions; cells not seen change nothing.

        They are the cells and, last, the pooled vector where it is read: `seen` tells of which.
        """
        cells: Tensor = self.image(batch.image)
        if self.config.positions:
            columns, number = batch.grid[:, 1:], torch.arange(cells.shape[1], device=cells.device)
            D = self.config.width
            place = torch.stack([number // columns, number % columns], -1).float()  # [P, N, 2]
            cells = cells + waves(place, D // 2).flatten(-2)
        if self.whole is not None:
            cells = torch.cat([cells, self.whole(batch.pooled).unsqueeze(1)], 1)
        for layer in self.reading:
            cells = layer(cells, self.seen(batch))
        read: Tensor = self.read(cells)
        return read

    def seen(self, batch: CaptionBatch) -> Bool[Tensor, "P N"]:
        """Which tokens of `look` are no padding."""
        return batch.seen if self.whole is None else F.pad(batch.seen, (0, 1), value=True)

    def spoken(self, words: Int[Tensor, "P K T"], first: int = 0) -> Float[Tensor, "P K T D"]:
        """Vectors of words whose places in their captions begin at `first`."""
        places = torch.arange(first, first + words.shape[-1], device=words.device)
        D = self.config.width
        vectors: Tensor = self.dropout(self.embed(words) * math.sqrt(D) + waves(places.float(), D))
        return vectors

    def states(
        self,
        cells: Float[Tensor, "P N D"],
        seen: Bool[Tensor, "P N"],
        words: Int[Tensor, "P K T"],
    ) -> Float[Tensor, "P K T+1 D"]:
        """What each next word is told from: the first from the beginning alone."""
        tokens = self.spoken(F.pad(words, (1, 0), value=END))
        for layer in self.writing:
            tokens = layer(tokens, layer.guide.tell(cells), seen)  # type: ignore[operator,union-attr]
        written: Tensor = self.written(tokens)
        return written

    def forward(self, batch: CaptionBatch) -> Float[Tensor, "P K T+1 V"]:
        """Logits of each next word of the captions, the end after the last one."""
        logits: Tensor = self.next(self.states(self.look(batch), self.seen(batch), batch.words))
        return logits

    def loss(self, batch: CaptionBatch) -> Loss:
        """Cross-entropy of each next word and of the end, summed; the weight is their number."""
        states = self.states(self.look(batch), self.seen(batch), batch.words)
        there = batch.words[..., :1] != END  # captions without words are padding
        real = F.pad(batch.words != END, (1, 0), value=True) & there  # [P, K, T + 1]
        target = F.pad(batch.words, (0, 1), value=END)[real]
        logits = self.next(states[real]).float()  # the words that there are, and no padding
        total = F.cross_entropy(
            logits, target, reduction="sum", label_smoothing=self.config.smoothing
        )
        return Loss(total, real.sum().float(), {})

    # ------------------------------------------------------------------------ telling

    def tell(self, batch: CaptionBatch) -> tuple[Int[Tensor, "P K L"], Float[Tensor, "P K"]]:
        """The best captions of each picture, best first, and their scores; -inf is none.

        With one beam it is the likeliest word each time, or one by lot that depends on the
        picture's id alone; the score is then left at 0.
        """
        config = self.config
        with at_rest(self):
            telling = Telling(self, self.look(batch), self.seen(batch))
            if config.top_k or config.nucleus:
                drawn = lots(batch.ids, 0, 1, config.longest).to(telling.device)
                share = config.nucleus or 1.0
                words = sample(telling, config.limits, drawn, top_k=config.top_k, nucleus=share)
            elif config.beams > 1:
                return beam(telling, config.limits, config.beams, config.length_power)
            else:
                words = greedy(telling, config.limits).unsqueeze(1)
            return words, torch.zeros(words.shape[:2], device=words.device)

    def self_critical(self, batch: CaptionBatch) -> Loss:
        """Samples that beat a baseline on CIDEr-D are made likelier, the others less so.

        The references are the batch's captions. Every word of a sample counts alike, its end too.

        Raises
            ValueError: a batch without document frequencies
        """
        if batch.frequencies is None:
            raise ValueError("self-critical training needs the captions of a training subset")
        words, better = self._tried(batch, batch.frequencies())
        states = self.states(self.look(batch), self.seen(batch), words[..., :-1])
        real = F.pad((words != END)[..., :-1], (1, 0), value=True)  # [P, K, L]
        chance = -F.cross_entropy(self.next(states[real]).float(), words[real], reduction="none")
        gain = better.unsqueeze(-1).expand(real.shape)[real]
        return Loss(-(chance * gain).sum(), real.sum().float(), {})

    def _tried(
        self, batch: CaptionBatch, frequencies: Frequencies
    ) -> tuple[Int[Tensor, "P K L"], Float[Tensor, "P K"]]:
        """Samples, and how much better than the baseline each is."""
        config = self.config
        limits = Limits(longest=config.longest, unknown=True)  # what is learnt is said
        seed = int(torch.randint(1 << 62, ()))  # of the state that checkpoints keep
        with at_rest(self):
            telling = Telling(self, self.look(batch), self.seen(batch))
            drawn = lots(batch.ids, seed, config.samples, config.longest).to(telling.device)
            tried = sample(telling, limits, drawn, likeliest=config.baseline == "greedy")
            words = tried[:, : config.samples]
        references = [
            prepare(told[told[:, 0] != END].numpy(), frequencies) for told in batch.words.cpu()
        ]
        reward = torch.from_numpy(rewards(tried.cpu().numpy(), references, frequencies))
        if config.baseline == "greedy":
            better = reward[:, :-1] - reward[:, -1:]
        else:
            others = (reward.sum(1, keepdim=True) - reward) / (config.samples - 1)
            better = reward - others
        return words, better.float().to(words.device)


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients, whatever the model is in the middle of."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
        # older torch takes weights that autocast rounded here again later, without gradients
        torch.clear_autocast_cache()


class Telling:
    """Captions that a model tells side by side; what it keeps in mind of words and cells.

    A caption that goes on from another takes note of where that one's words stand; none is moved.

    Memory   keys and values of a picture's cells once, whatever the captions: 2 layers N D numbers;
             of each caption's words: 2 layers L D numbers
    """

    def __init__(
        self, model: Model, cells: Float[Tensor, "P N D"], seen: Bool[Tensor, "P N"]
    ) -> None:
        self._model, self._seen, self.device = model, seen, cells.device
        told = [pair for layer in model.writing for pair in layer.guide.tell(cells)]  # type: ignore[operator,union-attr]
        memory: Tensor = torch.unflatten(torch.stack(told), 0, (-1, 2))
        self._memory = memory  # [layers, 2, P, H, N, W]
        self._past = self._room(1)
        self._places = seen.new_zeros(len(seen), 1, 0, dtype=torch.long)  # [P, K, T] of words

    def _room(self, captions: int) -> Float[Tensor, "layers 2 P H L S W"]:
        layers, _, P, H, _, W = self._memory.shape
        return self._memory.new_zeros(layers, 2, P, H, self._model.config.longest, captions, W)

    @property
    def pictures(self) -> int:
        """How many are still told about."""
        return self._memory.shape[2]

    def advance(self, words: Int[Tensor, "P K"]) -> Float[Tensor, "P K V"]:
        """Logits of the word after these, which are said now."""
        places = torch.arange(self._past.shape[-2], device=self.device)
        own = places[: words.shape[1]].expand_as(words).unsqueeze(-1)
        tokens = self._model.spoken(words.unsqueeze(-1), self._places.shape[-1])  # [P, K, 1, D]
        self._places = torch.cat([self._places, own], -1)
        heard = (self._places.unsqueeze(-1) == places).flatten(2).unsqueeze(1)  # [P, 1, K, T S]
        past = self._past[..., : self._places.shape[-1], :, :]
        for layer, memory, before in zip(self._model.writing, self._memory, past, strict=True):
            tokens = layer(tokens, (memory[0], memory[1]), self._seen, before, heard)
        logits: Tensor = self._model.next(self._model.written(tokens.squeeze(2)))
        return logits

    def follow(self, rows: Int[Tensor, "P K"]) -> None:
        """Caption k of a picture goes on from its caption `rows[k]`."""
        before = self._past
        if rows.shape[1] > before.shape[-2]:
            self._past = self._room(rows.shape[1])
            self._past[..., : before.shape[-2], :] = before
        said = self._places.shape[-1]
        self._places = self._places.gather(1, rows.unsqueeze(-1).expand(-1, -1, said))

    def keep(self, pictures: Int[Tensor, " Q"]) -> None:
        """Only these pictures go on; those whose place changes are moved, the others stay."""
        place = torch.arange(len(pictures), device=self.device)
        moves = place[pictures != place]
        for kept in (self._memory, self._past):
            kept[:, :, moves] = kept[:, :, pictures[moves]]
        Q = len(pictures)
        self._memory, self._past = self._memory[:, :, :Q], self._past[:, :, :Q]
        self._seen, self._places = self._seen[pictures], self._places[pictures]
