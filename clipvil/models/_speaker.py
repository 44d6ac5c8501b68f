"""Speaker: says in words what a walk through a building is, to give followers more to read.

Shapes   B walks of L steps, T words, W width of a view, H hidden width
Source   R2R-EnvDrop, arXiv:1904.04195 and its release (airsplay/R2R-EnvDrop, r2r_src/speaker.py)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.models._dropout import Dropout
from clipvil.models._hearing import attend
from clipvil.models._looking import TILES, Eyes, Listen, question

PADDING, UNKNOWN = 0, 1


class Paths(NamedTuple):
    """Walks by their steps: where one stood, looked along, and chose to go or stop."""

    place: Int[Tensor, "B L"]
    view: Int[Tensor, "B L"]
    choice: Int[Tensor, "B L"]
    alive: Bool[Tensor, "B L"]


class Speaker(nn.Module):
    """Reads the views chosen and what was around them, and says a word at a time."""

    def __init__(
        self, *, image_width: int, width: int, word_width: int, num_words: int, dropout: float
    ) -> None:
        super().__init__()
        H, seen = width, image_width + 4 * TILES
        self.begin, self.end = num_words, num_words + 1  # words of its own
        self.went = nn.LSTM(seen, H // 2, batch_first=True, bidirectional=True)
        self.around = question(H, image_width)
        self.join = nn.Linear(H + seen, H, bias=False)
        self.whole = nn.LSTM(H, H // 2, batch_first=True, bidirectional=True)
        self.embed = nn.Embedding(num_words + 2, word_width, padding_idx=PADDING)
        self.speak = nn.LSTM(word_width, H, batch_first=True)
        self.listen = Listen(H, H)
        self.word = nn.Linear(H, num_words + 2)
        self.dropout = Dropout(dropout)

    def watch(self, paths: Paths, eyes: Eyes) -> Float[Tensor, "B L H"]:
        """What was seen on the way; steps after the end are seen too, and are to be masked."""
        B, L = paths.place.shape
        place, view, choice = (x.flatten() for x in paths[:3])
        went, _ = self.went(eyes.ahead(place, view, choice).view(B, L, -1))
        went = self.dropout(went).flatten(0, 1)
        found = eyes.gather(self.around(went), place, view)
        joined = self.dropout(torch.tanh(self.join(torch.cat([found, went], -1))))
        whole, _ = self.whole(joined.view(B, L, -1))
        seen: Tensor = self.dropout(whole)
        return seen

    def forward(
        self,
        words: Int[Tensor, "B T"],
        seen: Float[Tensor, "B L H"],
        real: Bool[Tensor, "B L"],
        state: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], tuple[Tensor, Tensor]]:
        """Logits of the words that follow each of `words`, and the state after the last."""
        (B, T), L = words.shape, seen.shape[1]
        spoken, state = self.speak(self.dropout(self.embed(words)), state)
        state_ = self.dropout(spoken).flatten(0, 1)
        told = seen[:, None].expand(B, T, L, -1).flatten(0, 1)
        steps = real[:, None].expand(B, T, L).flatten(0, 1)
        joined, _ = self.listen(state_, lambda asks: attend(asks, told, steps))
        logits: Tensor = self.word(self.dropout(joined)).view(B, T, -1)
        return logits, state

    def loss(
        self, paths: Paths, eyes: Eyes, words: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Cross-entropy of every word and the end after them: its sum, and how many these are."""
        asked = F.pad(words, (1, 0), value=self.begin)
        wanted = F.pad(words, (0, 1), value=PADDING)
        last = (words != PADDING).sum(1, keepdim=True)
        wanted = wanted.scatter(1, last, self.end)
        logits, _ = self(asked, self.watch(paths, eyes), paths.alive)
        total = F.cross_entropy(
            logits.float().flatten(0, 1), wanted.flatten(), ignore_index=PADDING, reduction="sum"
        )
        return total, (wanted != PADDING).sum().float()

    def say(self, paths: Paths, eyes: Eyes, longest: int) -> Int[Tensor, "B T"]:
        """The likeliest word after another, until the end or `longest` words; 0 is padding."""
        seen, state = self.watch(paths, eyes), None
        word = torch.full_like(paths.place[:, :1], self.begin)
        spoken, ended = list[Tensor](), torch.zeros_like(word, dtype=torch.bool)
        never = torch.tensor([PADDING, UNKNOWN, self.begin], device=word.device)
        while len(spoken) < longest and not ended.all():
            logits, state = self(word, seen, paths.alive, state)
            word = logits[:, -1].index_fill(1, never, -torch.inf).argmax(1, keepdim=True)
            ended = ended | (word == self.end)
            spoken.append(word.masked_fill(ended, PADDING))
        return torch.cat(spoken, 1)
