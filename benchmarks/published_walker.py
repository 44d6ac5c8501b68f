"""How R2R-EnvDrop's agent works, written from its description, on the weights of our follower.

At every step each walker's features are put together in numpy, views in single precision with 128
angles behind each; all walkers look at all of that until the last has stopped; torch's own layers
and dropout are used at every step, and the led and the sampled walk are two. Graphs are ours: the
simulator is not run, and takes no time here.

Shapes   B walkers, K neighbours of a viewpoint at most, W width of a view, F = W + 128
Source   arXiv:1904.04195 and its release (airsplay/R2R-EnvDrop, r2r_src)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from clipvil.data.walks import Ground, WalkBatch
from clipvil.graphs.views import VIEWS, elevation_of, heading_of
from clipvil.models import follower
from clipvil.models._looking import TILES, facing
from clipvil.models._reading import packed
from clipvil.models._walked import imitated, rewarded
from clipvil.models.base import said

Seen = tuple[NDArray[np.float32], list[NDArray[np.float32]]]  # of one walker: [36, F], and K x [F]


def tiled(heading: float, elevation: float) -> NDArray[np.float32]:
    """Sine and cosine of both angles, repeated."""
    four = [np.sin(heading), np.cos(heading), np.sin(elevation), np.cos(elevation)]
    return np.array(four * TILES, np.float32)


class Rooms:
    """The environment: features of every viewpoint in single precision, as a TSV gives them."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.views = ground, ground.views.float().numpy()
        headings, elevations = heading_of(np.arange(VIEWS)), elevation_of(np.arange(VIEWS))
        self.angles = [
            np.stack([tiled(h - own, e) for h, e in zip(headings, elevations, strict=True)])
            for own in headings
        ]
        names = ("places", "free", "seen", "heading", "elevation")
        self.graph = {name: getattr(ground, name).numpy() for name in names}

    def observe(self, place: int, view: int) -> Seen:
        """What one walker sees, and what lies towards each neighbour."""
        shown, graph = self.views[place], self.graph
        ahead = [
            np.concatenate([
                shown[graph["seen"][place, k]],
                tiled(graph["heading"][place, k] - heading_of(np.array(view)),
                      graph["elevation"][place, k]),
            ])
            for k in np.flatnonzero(graph["free"][place])
        ]  # fmt: skip
        return np.concatenate([shown, self.angles[view]], -1), ahead

    def look(self, place: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """What all see, [B, 36, F] and [B, K + 1, F]; a stop, and what is not there, is zeros."""
        seen = [self.observe(*both) for both in zip(place.tolist(), view.tolist(), strict=True)]
        width = seen[0][0].shape[1]
        around = np.empty((len(seen), VIEWS, width), np.float32)
        ahead = np.zeros((len(seen), self.ground.places.shape[1] + 1, width), np.float32)
        for row, (mine, towards) in enumerate(seen):
            around[row] = mine
            for k, one in enumerate(towards):
                ahead[row, k] = one
        return torch.from_numpy(around), torch.from_numpy(ahead)


@dataclass(frozen=True)
class Agent:
    """The network, on a follower's weights."""

    model: follower.Model
    rooms: Rooms

    def dim(self, features: Tensor) -> Tensor:
        """Numbers of views dropped in place, those of angles not."""
        views = features[..., : self.rooms.ground.width]
        views[:] = F.dropout(views, self.model.config.view_dropout, self.model.training)
        return features

    def drop(self, tokens: Tensor) -> Tensor:
        return F.dropout(tokens, self.model.config.dropout, self.model.training)

    def walk(self, batch: WalkBatch, *, led: bool) -> follower.Walk:
        """All go on until the last has stopped, led or by chance."""
        model, ground = self.model, self.rooms.ground
        real, stop = said(batch.words), ground.places.shape[1]
        known, end, cell = packed(model.read, self.drop(model.embed(batch.words)), real)
        known, hidden = self.drop(known), torch.tanh(model.begin(end))
        heard, place, view = hidden, batch.place, batch.view
        rows, alive = torch.arange(len(place)), torch.ones(len(place), dtype=torch.bool)
        steps: dict[str, list[Any]] = {
            name: [] for name in ("rows", "choice", "alive", "hidden", "logits", "listened")
        }
        places, views = [place], [view]
        for _ in range(model.config.steps):
            hidden, cell, heard, logits, weight = self.step(place, view, cell, heard, known, real)
            if led:
                choice = ground.teach(place, batch.goal)
            else:
                choice = torch.multinomial(logits.detach().softmax(-1), 1)[:, 0]
            choice = choice.masked_fill(~alive, stop)
            for name, one in zip(steps, (rows, choice, alive, hidden, logits, weight), strict=True):
                steps[name].append(one)
            place, view = ground.move(place, view, choice)
            places.append(place)
            views.append(view)
            alive = alive & (choice != stop)
            if not alive.any():
                break
        state: Any = (place, view, cell, heard, known, real)
        return follower.Walk(places, views, **steps, last=state, told=state)

    def step(
        self, place: Tensor, view: Tensor, cell: Tensor, heard: Tensor, known: Tensor, real: Tensor
    ) -> tuple[Tensor, ...]:
        """Hidden state, cell, what was heard, logits and weights of words after one look."""
        model, (around, ahead) = self.model, self.rooms.look(place, view)
        around, ahead = self.dim(around), self.dim(ahead)
        acted = self.drop(torch.tanh(model.acted(facing(view))))
        asks = model.around(self.drop(heard)).unsqueeze(2)
        weight = torch.bmm(around, asks).softmax(1)
        found = torch.bmm(weight.mT, around).squeeze(1)
        hidden, cell = model.step(torch.cat([acted, found], -1), (heard, cell))
        state = self.drop(hidden)
        fits = torch.bmm(known, model.listen.query(state).unsqueeze(2)).squeeze(2)
        listened = fits.masked_fill(~real, -torch.inf).softmax(-1)
        told = torch.bmm(listened.unsqueeze(1), known).squeeze(1)
        heard = torch.tanh(model.listen.join(torch.cat([told, state], -1)))
        logits = torch.bmm(ahead, model.ahead(self.drop(heard)).unsqueeze(2)).squeeze(2)
        free = F.pad(self.rooms.ground.free[place], (0, 1), value=True)
        return hidden, cell, heard, logits.masked_fill(~free, -torch.inf), listened

    def loss(self, batch: WalkBatch) -> tuple[Tensor, int]:
        """What is lost on both walks, and the steps that were taken."""
        led, sampled = self.walk(batch, led=True), self.walk(batch, led=False)
        model = self.model
        with torch.no_grad():
            after = model.critic(self.step(*sampled.last)[0])[:, 0]
        lost = rewarded(
            sampled, batch.ground, batch.goal, model.critic, after,
            discount=model.config.discount, entropy=model.config.entropy,
        )  # fmt: skip
        steps = sum(int(alive.sum()) for walk in (led, sampled) for alive in walk.alive)
        return model.config.imitation * imitated(led) / len(batch.ids) + lost, steps
