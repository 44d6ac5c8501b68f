"""A walk as it was chosen step by step, and what is lost on it: to a teacher, and by rewards.

Shapes   B walkers, R of them still at hand, T words, K neighbours of a viewpoint at most (choice K
         is to stop), H hidden width
Source   R2R-EnvDrop, arXiv:1904.04195 and its release (airsplay/R2R-EnvDrop, r2r_src/agent.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from clipvil.data.walks import Ground
from clipvil.metrics.path import NEAR
from clipvil.models._hearing import Hear


class State(NamedTuple):
    """Where walkers are in their walks and in their minds."""

    place: Int[Tensor, " B"]
    view: Int[Tensor, " B"]
    hidden: Float[Tensor, "B H"]
    cell: Float[Tensor, "B H"]
    heard: Float[Tensor, "B H"]  # the hidden state joined with the words attended to


class Use(NamedTuple):
    """What is used at every step of a walk; see `late` and `hearing`."""

    around: Callable[[Tensor], Tensor]
    ahead: Callable[[Tensor], Tensor]
    inward: Callable[[Tensor], Tensor]
    onward: Callable[[Tensor], Tensor]
    hear: Hear


class Told(NamedTuple):
    """What instructions are followed with, and whose of them."""

    rows: Int[Tensor, " R"]
    use: Use


@dataclass(slots=True)
class Walk:
    """What was chosen step by step; `place` and `view` of all walkers, from the start on.

    The rest is of R walkers, `rows` of the batch: those who have long stopped are left out, and
    `alive` tells who else chose at a step. `last` and `told` are of the rows of the last step.
    """

    place: list[Int[Tensor, " B"]]
    view: list[Int[Tensor, " B"]]
    rows: list[Int[Tensor, " R"]]
    choice: list[Int[Tensor, " R"]]
    alive: list[Bool[Tensor, " R"]]
    hidden: list[Float[Tensor, "R H"]]
    logits: list[Float[Tensor, "R K1"]]
    listened: list[Float[Tensor, "R T"]]
    last: State
    told: Told

    def halves(self) -> tuple[Walk, Walk]:
        """The first half of the walkers, and the others."""
        half = len(self.place[0]) // 2
        return self._of(0, half), self._of(half, half)

    def _of(self, first: int, count: int) -> Walk:
        here = [((rows >= first) & (rows < first + count)).nonzero()[:, 0] for rows in self.rows]

        def mine(parts: list[Tensor]) -> list[Tensor]:
            return [part[rows] for part, rows in zip(parts, here, strict=True)]

        return Walk(
            place=[place[first : first + count] for place in self.place],
            view=[view[first : first + count] for view in self.view],
            rows=[rows - first for rows in mine(self.rows)],
            choice=mine(self.choice),
            alive=mine(self.alive),
            hidden=mine(self.hidden),
            logits=mine(self.logits),
            listened=mine(self.listened),
            last=State(*(part[here[-1]] for part in self.last)),
            told=Told(self.told.rows[here[-1]], self.told.use),
        )


def imitated(gone: Walk) -> Float[Tensor, ""]:
    """Cross-entropy of the choices of a walk that a teacher led, summed over its steps."""
    lost = [
        F.cross_entropy(logits.float(), choice, reduction="none")[alive].sum()
        for logits, choice, alive in zip(gone.logits, gone.choice, gone.alive, strict=True)
    ]
    return torch.stack(lost).sum()


def rewarded(
    gone: Walk,
    ground: Ground,
    goal: Int[Tensor, " B"],
    critic: Callable[[Tensor], Tensor],
    after: Float[Tensor, " R"],
    *,
    discount: float,
    entropy: float,
) -> Float[Tensor, ""]:
    """Advantage actor-critic over one sampled walk each, a live step on average.

    Args
        critic: hidden states -> what they are worth, [R, 1]
        after: what is still to be earned by those who were going at the last step
        entropy: weight of what keeps choices open
    """
    stop = ground.places.shape[1]
    away = [ground.distance(place, goal) for place in gone.place]
    later = torch.zeros_like(away[0])  # what is still to be earned, of all walkers
    going = gone.alive[-1] & (gone.choice[-1] != stop)
    later[gone.rows[-1]] = after * going
    total, count = later.new_zeros(()), later.new_zeros(())
    for t in reversed(range(len(gone.choice))):
        rows, alive, stops = gone.rows[t], gone.alive[t].float(), gone.choice[t] == stop
        moved = (away[t] - away[t + 1])[rows].sign()
        ended = torch.where(away[t][rows] < NEAR, 2.0, -2.0)
        reward = torch.where(stops, ended, moved) * alive
        worth = discount * later[rows] + reward
        later = later.index_copy(0, rows, worth)
        policy = gone.logits[t].float().log_softmax(-1)
        chosen = policy.gather(1, gone.choice[t][:, None])[:, 0]
        value = critic(gone.hidden[t])[:, 0].float()
        # of what nobody can choose the logarithm is -inf, and has no gradient to speak of
        open_ = -(policy.exp() * policy.clamp_min(-1e4)).sum(-1)
        lost = -chosen * (worth - value).detach() + 0.5 * (worth - value) ** 2 - entropy * open_
        total, count = total + (lost * alive).sum(), count + alive.sum()
    return total / count
