"""Follower: walks through a building as an instruction says, looking around at every step.

Shapes   B walkers, T words, K neighbours of a viewpoint at most (choice K is to stop), W width of a
         view, H hidden width, L steps
Source   R2R-EnvDrop, arXiv:1904.04195 and its release (airsplay/R2R-EnvDrop, r2r_src/agent.py and
         model.py), which arXiv:2107.06383 trained on CLIP's features
Known    words are not wrapped into marks of begin and end; the weights that the release makes for
         joining what is seen with the query, and never uses, are not here
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.core import Moves
from clipvil.data.walks import Ground, WalkBatch
from clipvil.models._dropout import Dropout, drop
from clipvil.models._hearing import hearing
from clipvil.models._late import late
from clipvil.models._looking import TILES, Eyes, Listen, facing, question
from clipvil.models._reading import read
from clipvil.models._speaker import Paths, Speaker
from clipvil.models._walked import State, Told, Use, Walk, imitated, rewarded
from clipvil.models.base import Loss, said

ANSWERS = (Moves,)
MANY = 0.75  # share of walkers still going, below which those who stopped are left out

Choosing = Literal["teacher", "both", "best"]  # both: it leads half, chance the others


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The published agent on R2R; RxR's has `longest=160, imitation=0.4`."""

    width: int = 512
    word_width: int = 256
    action_width: int = 64
    longest: int = 80  # words of an instruction that are read
    cut: bool = False  # longer instructions are cut there instead of refused
    steps: int = 35  # of a walk at most
    dropout: float = 0.5
    view_dropout: float = 0.3  # of the numbers of views
    imitation: float = 0.2  # weight of the teacher's choices beside the rewards'
    discount: float = 0.9
    entropy: float = 0.01  # weight of what keeps choices open
    speaker_dropout: float = 0.6
    channel_dropout: float = 0.4  # of whole channels, in buildings that nobody described
    undescribed: float = 0.6  # weight of the teacher's choices there


class Model(nn.Module):
    """Reads an instruction and chooses where to walk until it stops; a speaker says walks back."""

    partial = True  # an objective leaves weights alone, of the speaker or of all but it

    def __init__(self, config: Config, *, image_width: int, num_words: int) -> None:
        super().__init__()
        self.config = config
        H, seen = config.width, image_width + 4 * TILES
        self.embed = nn.Embedding(num_words, config.word_width, padding_idx=0)
        self.read = nn.LSTM(config.word_width, H // 2, batch_first=True, bidirectional=True)
        self.begin = nn.Linear(H, H)
        self.acted = nn.Linear(4 * TILES, config.action_width)
        self.around = question(H, image_width)
        self.step = nn.LSTMCell(config.action_width + seen, H)
        self.listen = Listen(H, H)
        self.ahead = question(H, image_width)
        self.critic = nn.Sequential(
            nn.Linear(H, H), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(H, 1)
        )
        self.dropout = Dropout(config.dropout)
        self.speaker = Speaker(
            image_width=image_width, width=H, word_width=config.word_width, num_words=num_words,
            dropout=config.speaker_dropout,
        )  # fmt: skip

    def hear(self, words: Int[Tensor, "B T"]) -> tuple[Told, Float[Tensor, "B H"], Tensor]:
        """An instruction, and the hidden state and cell that its ends leave."""
        real = said(words)
        known, end, cell = read(self.read, self.dropout(self.embed(words)), real)
        around, ahead = late(self.around.weight), late(self.ahead.weight)
        inward, onward = late(self.step.weight_ih), late(self.step.weight_hh)
        use = Use(around, ahead, inward, onward, hearing(self.dropout(known), real))
        rows = torch.arange(len(words), device=words.device)
        return Told(rows, use), torch.tanh(self.begin(end)), cell

    def forward(self, state: State, told: Told, eyes: Eyes) -> tuple[State, Tensor, Tensor]:
        """One look around: the mind after it, logits [B, K + 1], weight of each word [B, T]."""
        acted = self.dropout(torch.tanh(self.acted(facing(state.view))))
        asks = told.use.around(self.dropout(state.heard))
        found = eyes.gather(asks, state.place, state.view)
        gates = told.use.inward(torch.cat([acted, found], -1)) + told.use.onward(state.heard)
        enter, forget, new, leave = (gates + self.step.bias_ih + self.step.bias_hh).chunk(4, -1)
        cell = forget.sigmoid() * state.cell + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        heard, listened = self.listen(
            self.dropout(hidden), lambda asks: told.use.hear(asks, told.rows)
        )
        logits = eyes.fits(told.use.ahead(self.dropout(heard)), state.place, state.view)  # [B, K]
        # a stop is seen as nothing, so nothing speaks for or against it
        return (
            State(state.place, state.view, hidden, cell, heard),
            F.pad(logits, (0, 1)),
            listened,
        )

    def walk(self, batch: WalkBatch, eyes: Eyes, choosing: Choosing) -> Walk:
        """Go until everybody has stopped, or for so many steps as the config allows."""
        told, hidden, cell = self.hear(batch.words)
        state = State(batch.place, batch.view, hidden, cell, hidden)
        stop = eyes.ground.places.shape[1]
        gone = Walk([state.place], [state.view], [], [], [], [], [], [], state, told)
        rows = torch.arange(len(state.place), device=state.place.device)
        alive = torch.ones_like(rows, dtype=torch.bool)
        for _ in range(self.config.steps):
            if int(alive.sum()) <= MANY * len(alive):
                rows, state = rows[alive], State(*(part[alive] for part in state))
                told, alive = Told(told.rows[alive], told.use), alive[alive]
            state, logits, listened = self(state, told, eyes)
            match choosing:
                case "teacher":
                    choice = eyes.ground.teach(state.place, batch.goal[rows])
                case "both":
                    led = rows < len(batch.ids) // 2
                    taught = eyes.ground.teach(state.place, batch.goal[rows])
                    by_chance = torch.multinomial(logits.detach().float().softmax(-1), 1)[:, 0]
                    choice = torch.where(led, taught, by_chance)
                case "best":
                    choice = logits.argmax(1)
            choice = choice.masked_fill(~alive, stop)
            place, view = eyes.ground.move(state.place, state.view, choice)
            gone.rows.append(rows)
            gone.choice.append(choice)
            gone.alive.append(alive)
            gone.hidden.append(state.hidden)
            gone.logits.append(logits)
            gone.listened.append(listened)
            gone.place.append(gone.place[-1].index_copy(0, rows, place))
            gone.view.append(gone.view[-1].index_copy(0, rows, view))
            state = state._replace(place=place, view=view)
            alive = alive & (choice != stop)
            if not alive.any():
                break
        gone.last, gone.told = state, told
        return gone

    # ------------------------------------------------------------------ what is lost

    def loss(self, batch: WalkBatch) -> Loss:
        """The teacher's choices along its own way, and rewards along a sampled one, a walker each.

        Rewards are weighed by the live steps of the walkers at hand, as published, so that their
        sum over several processes is near that of one and not the same.
        """
        eyes = Eyes(batch.ground, self.config.view_dropout if self.training else 0.0)
        count = torch.tensor(float(len(batch.ids)), device=batch.words.device)
        led, reward = self._both(batch, eyes)
        parts = {"imitation": self.config.imitation * led, "reward": reward * count}
        return Loss(torch.stack([*parts.values()]).sum(), count, parts)

    def imitate(self, batch: WalkBatch) -> Loss:
        """The teacher's choices alone."""
        eyes = Eyes(batch.ground, self.config.view_dropout if self.training else 0.0)
        count = torch.tensor(float(len(batch.ids)), device=batch.words.device)
        return Loss(imitated(self.walk(batch, eyes, "teacher")), count, {})

    def describe(self, batch: WalkBatch) -> Loss:
        """The speaker's words for the way that an instruction was written for, a word each."""
        eyes = Eyes(batch.ground, self.config.view_dropout if self.training else 0.0)
        paths = self.led(batch.place, batch.view, batch.goal, batch.ground)
        total, words = self.speaker.loss(paths, eyes, batch.words)
        return Loss(total, words, {})

    def back_translate(self, batch: WalkBatch) -> Loss:
        """`loss`, and the same where nobody described the way: there the speaker's words are.

        The same channels are gone for speaker and follower, in all views and at all steps.
        """
        own, made = self.loss(batch), self.undescribed(batch)
        eyes = Eyes(batch.ground, channels=self.channels(batch.ground))
        with torch.no_grad():
            talking = self.speaker.training
            paths = self.led(made.place, made.view, made.goal, made.ground)
            words = self.speaker.eval().say(paths, eyes, self.config.longest)
            self.speaker.train(talking)
        made = WalkBatch(made.ids, words, made.place, made.view, made.goal, made.pairs, made.ground)
        led, reward = self._both(made, eyes)
        parts = own.parts | {
            "undescribed imitation": self.config.undescribed * led,
            "undescribed reward": reward * own.weight,
        }
        return Loss(torch.stack([*parts.values()]).sum(), own.weight, parts)

    def undescribed(self, batch: WalkBatch) -> WalkBatch:
        """As many walks that nobody described, from a random heading each."""
        if not len(batch.pairs):
            raise ValueError("these buildings have no way of 4 to 6 moves that is 5 m long")
        count, device = len(batch.ids), batch.words.device
        some = batch.pairs[torch.randint(len(batch.pairs), (count,), device=device)]
        view = 12 + torch.randint(12, (count,), device=device)
        return WalkBatch(
            batch.ids, batch.words, some[:, 0], view, some[:, 1], batch.pairs, batch.ground
        )

    def channels(self, ground: Ground) -> Float[Tensor, " W"]:
        """Zero for the channels that are gone in this batch; the others scaled up."""
        whole = torch.ones(ground.width, device=ground.scale.device)
        return drop(whole, self.config.channel_dropout if self.training else 0.0)

    def led(self, place: Tensor, view: Tensor, goal: Tensor, ground: Ground) -> Paths:
        """The teacher's way, until all are there or the steps are used up."""
        places, views, choices, alive = [place], [view], list[Tensor](), list[Tensor]()
        walking = torch.ones_like(place, dtype=torch.bool)
        while walking.any() and len(choices) < self.config.steps:
            choice = ground.teach(places[-1], goal)
            there = ground.move(places[-1], views[-1], choice)
            choices.append(choice)
            alive.append(walking)
            walking = walking & (choice != ground.places.shape[1])
            places.append(there[0])
            views.append(there[1])
        return Paths(*(torch.stack(some, 1) for some in (places[:-1], views[:-1], choices, alive)))

    def _both(self, batch: WalkBatch, eyes: Eyes) -> tuple[Tensor, Tensor]:
        """What is lost along the teacher's way, and along a sampled one by rewards.

        Both are walked at once: a step takes less than twice as long for twice the walkers.
        """
        led, sampled = self.walk(twice(batch), eyes, "both").halves()
        return imitated(led), self._rewarded(sampled, batch, eyes)

    def _rewarded(self, gone: Walk, batch: WalkBatch, eyes: Eyes) -> Float[Tensor, ""]:
        with torch.no_grad():
            after, _, _ = self(gone.last, gone.told, eyes)
            worth = self.critic(after.hidden)[:, 0].float()
        return rewarded(
            gone, batch.ground, batch.goal, self.critic, worth, discount=self.config.discount,
            entropy=self.config.entropy,
        )  # fmt: skip


def twice(batch: WalkBatch) -> WalkBatch:
    """The same episodes once more behind themselves."""
    return replace(
        batch, ids=batch.ids * 2, words=batch.words.repeat(2, 1), place=batch.place.repeat(2),
        view=batch.view.repeat(2), goal=batch.goal.repeat(2),
    )  # fmt: skip
