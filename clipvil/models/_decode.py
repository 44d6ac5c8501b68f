"""Captions from a model that tells the next word: the likeliest each time, by beams, or by lot.

Whatever tells words is a `Teller`; what it keeps in mind of a caption (keys and values) is its own.
Pictures whose captions have all ended leave the batch.

Shapes   P pictures, K captions of each that grow side by side, C where the likeliest is one more,
         T words said, L words at most, V words known: 0 begins and ends a caption and pads it, 1 is
         the unknown word
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor
from torch.nn import functional as F

END, UNKNOWN = 0, 1


class Teller(Protocol):
    """Captions that grow by a word a step; it begins with one caption a picture, and no word."""

    @property
    def pictures(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def advance(self, words: Int[Tensor, "P K"]) -> Float[Tensor, "P K V"]:
        """Logits of the word after these, which are said now; 0 begins."""
        ...

    def follow(self, rows: Int[Tensor, "P K"]) -> None:
        """Caption k of a picture goes on from its caption `rows[k]`; their number may change."""
        ...

    def keep(self, pictures: Int[Tensor, " Q"]) -> None:
        """Only these pictures go on, in this order; none of the first Q that stays moves."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a caption may be."""

    longest: int = 20  # words at most
    shortest: int = 0  # words at least, unless nothing else may be said
    no_repeat: int = 0  # words in a run that is not said twice; 0 allows all
    unknown: bool = False  # whether the unknown word may be said


Choice = Callable[[Float[Tensor, "P K V"], Int[Tensor, " P"], int], Int[Tensor, "P K"]]


def greedy(teller: Teller, limits: Limits) -> Int[Tensor, "P L"]:
    """The likeliest word each time."""
    return _grow(teller, limits, 1, lambda chance, going, step: chance.argmax(-1)).squeeze(1)


def sample(
    teller: Teller,
    limits: Limits,
    lots: Float64[Tensor, "P K L"],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    nucleus: float = 1.0,
    likeliest: bool = False,
) -> Int[Tensor, "P C L"]:
    """Words by lot: `lots` between 0 and 1 say where in the cumulated chances a word lies.

    Args:
        temperature: what logits are divided by
        top_k: how many of the likeliest words are drawn from; 0 is all
        nucleus: the fewest likeliest words whose chances reach this share are drawn from
        likeliest: whether one more caption of each picture, the last, is that of `greedy`
    """
    K = lots.shape[1]

    def choose(
        chance: Float[Tensor, "P C V"], going: Int[Tensor, " P"], step: int
    ) -> Int[Tensor, "P C"]:
        share = (chance[:, :K] / temperature).softmax(-1).double()
        order = None
        if top_k or nucleus < 1.0:
            size = share.shape[-1]
            share, order = share.topk(min(top_k or size, size))
            share = share / share.sum(-1, keepdim=True)
            before = share.cumsum(-1) - share
            share = share.masked_fill(before >= nucleus, 0.0)
        total = share.cumsum(-1)
        lot = lots[going, :, step].unsqueeze(-1) * total[..., -1:]
        place = torch.searchsorted(total, lot, right=True).clamp(max=total.shape[-1] - 1)
        drawn = (place if order is None else order.gather(-1, place)).squeeze(-1)
        return torch.cat([drawn, chance[:, K:].argmax(-1)], 1)

    return _grow(teller, limits, K + likeliest, choose)


def lots(ids: Sequence[str], seed: int, captions: int, longest: int) -> Float64[Tensor, "P K L"]:
    """Numbers from 0 to 1 that depend on a picture's id, not on what it is batched with."""
    drawn = [
        np.random.default_rng(
            [seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])]
        ).random((captions, longest))
        for name in ids
    ]
    return torch.from_numpy(np.stack(drawn))


def beam(
    teller: Teller, limits: Limits, beams: int, power: float = 0.0
) -> tuple[Int[Tensor, "P K L"], Float[Tensor, "P K"]]:
    """The best captions of each picture and their scores, best first; a score of -inf is none.

    Of all words after all captions that grow, the likeliest `2 K` are looked at: those among the
    first K that end a caption do, and K others go on. The search ends when none that grows can
    become one of the best K, or at the longest length, at which what grows counts as it is. A score
    is the sum of the words' log-probabilities, the end's too, over the number of words (the end is
    one) to the `power`.
    """
    P, K, L, device = teller.pictures, beams, limits.longest, teller.device
    told = torch.zeros(P, K, L, dtype=torch.long, device=device)
    worth = torch.full((P, K), -torch.inf, device=device)
    going, said = torch.arange(P, device=device), told.new_zeros(P, 1, 0)  # [P], [P, K, T]
    words, score = told.new_zeros(P, 1), worth.new_zeros(P, 1)
    for step in range(L):
        chance = _allowed(teller.advance(words), said, limits)
        score, row, words = _likeliest(score.unsqueeze(-1) + chance, 2 * K)
        ends = words == END
        done = torch.where(ends, score, -torch.inf)[:, :K] / (step + 1) ** power
        _collect(told, worth, going, _rows(said, row[:, :K]), done)
        on = ends.long().argsort(dim=1, stable=True)[:, :K]  # best first, those that end last
        score, row, words = (one.gather(1, on) for one in (score, row, words))
        score = score.masked_fill(words == END, -torch.inf)
        said = torch.cat([_rows(said, row), words.unsqueeze(-1)], -1)
        if step == L - 1:
            _collect(told, worth, going, said, score / L**power)
            break
        # a sum of log-probabilities only falls, and at the longest length it counts most
        stay = survivors(score.amax(1) / L**power <= worth[going].amin(1))
        if not len(stay):
            break
        teller.follow(row)
        if len(stay) < len(going):
            teller.keep(stay)
            going, said, words, score = (one[stay] for one in (going, said, words, score))
    return told.masked_fill_((worth == -torch.inf).unsqueeze(-1), END), worth


def _likeliest(
    score: Float[Tensor, "P K V"], count: int
) -> tuple[Float[Tensor, "P N"], Int[Tensor, "P N"], Int[Tensor, "P N"]]:
    """The best scores of each picture, whose captions they are of, and with which word."""
    _, K, V = score.shape
    flat = F.pad(score.flatten(1), (0, max(0, count - K * V)), value=-torch.inf)
    best, place = flat.topk(count)
    place = place.clamp(max=K * V - 1)
    return best, place // V, place % V


def _rows(said: Int[Tensor, "P K T"], rows: Int[Tensor, "P N"]) -> Int[Tensor, "P N T"]:
    return said.gather(1, rows.unsqueeze(-1).expand(-1, -1, said.shape[-1]))


def _collect(
    told: Int[Tensor, "P K L"],
    worth: Float[Tensor, "P K"],
    going: Int[Tensor, " Q"],
    said: Int[Tensor, "Q N T"],
    score: Float[Tensor, "Q N"],
) -> None:
    """Keep the best of what was collected and of what ended now, in place."""
    K, L = told.shape[1:]
    both = torch.cat([worth[going], score], 1)
    words = torch.cat([told[going], F.pad(said, (0, L - said.shape[-1]))], 1)
    worth[going], place = both.topk(K)
    told[going] = _rows(words, place)


def _grow(teller: Teller, limits: Limits, captions: int, choose: Choice) -> Int[Tensor, "P K L"]:
    """Captions that do not compete: `choose` takes the next word of each."""
    P, device = teller.pictures, teller.device
    told = torch.zeros(P, captions, limits.longest, dtype=torch.long, device=device)
    going, words = torch.arange(P, device=device), told.new_zeros(P, captions)
    ended = torch.zeros(P, captions, dtype=torch.bool, device=device)
    teller.follow(words)
    for step in range(limits.longest):
        chance = _allowed(teller.advance(words), told[going, :, :step], limits)
        words = choose(chance, going, step).masked_fill(ended, END)
        told[going, :, step] = words
        ended = ended | (words == END)
        stay = survivors(ended.all(1))
        if not len(stay):
            break
        if len(stay) < len(going):
            teller.keep(stay)
            going, words, ended = going[stay], words[stay], ended[stay]
    return told


def survivors(over: Bool[Tensor, " P"]) -> Int[Tensor, " Q"]:
    """Who goes on: the places of those that are over are taken by the last, so that few move."""
    count = int((~over).sum())
    stay = torch.arange(count, device=over.device)
    stay[over[:count]] = (~over[count:]).nonzero().squeeze(1) + count
    return stay


def _allowed(
    logits: Float[Tensor, "P K V"], said: Int[Tensor, "P K T"], limits: Limits
) -> Float[Tensor, "P K V"]:
    """Log-probabilities of the next word; those that it may not be have none."""
    chance = logits.float().log_softmax(-1)
    end = chance[..., END].clone()
    if not limits.unknown:
        chance[..., UNKNOWN] = -torch.inf
    if said.shape[-1] < limits.shortest:
        chance[..., END] = -torch.inf
    if limits.no_repeat and said.shape[-1] >= limits.no_repeat:
        chance.masked_fill_(_repeated(said, limits.no_repeat, chance.shape[-1]), -torch.inf)
    if limits.shortest or limits.no_repeat:
        stuck = chance.amax(-1) == -torch.inf
        chance[..., END] = torch.where(stuck, end, chance[..., END])
    return chance


def _repeated(said: Int[Tensor, "P K T"], length: int, words: int) -> Bool[Tensor, "P K V"]:
    """Words that would end a run of `length` words that was said before."""
    runs = said.unfold(2, length, 1)  # [P, K, T - length + 1, length]
    last = said[..., said.shape[-1] - length + 1 :].unsqueeze(2)
    again = (runs[..., :-1] == last).all(-1)
    found = torch.zeros(*said.shape[:2], words, dtype=torch.bool, device=said.device)
    found.scatter_(2, runs[..., -1].masked_fill(~again, END), True)
    found[..., END] = False
    return found
