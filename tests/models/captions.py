"""A small captioner, pictures with captions, and decoders that are slow and obvious."""

from typing import Any

import torch
from torch import Tensor

from clipvil.data.captions import CaptionBatch
from clipvil.metrics.reward import Frequencies
from clipvil.models import captioner
from clipvil.models._decode import Limits

WIDTH, WORDS = 6, 12
SMALL = {"width": 16, "heads": 2, "layers": 2, "expand": 2, "dropout": 0.0, "image_dropout": 0.0}


def small(seed: int = 0, *, words: int = WORDS, **chosen: Any) -> captioner.Model:
    """A captioner with first weights of a seed, whose choices are scattered: ties are rare."""
    torch.manual_seed(seed)
    config = captioner.Config(**(SMALL | chosen))
    model = captioner.Model(config, image_width=WIDTH, num_words=words)
    with torch.no_grad():
        model.next.weight.mul_(3.0)
        model.next.bias.normal_()
    return model


def some(count: int = 8, *, words: int = WORDS, captions: int = 3) -> CaptionBatch:
    """Grids of 2 x 3, 3 x 1 and 1 x 2 cells, noise where padding is; one caption is missing."""
    torch.manual_seed(1)
    grid = torch.tensor([(2, 3), (3, 1), (1, 2)]).repeat(count, 1)[:count]
    told = torch.randint(1, words, (count, captions, 5))
    length = torch.randint(1, 6, (count, captions, 1))
    told = told.masked_fill(torch.arange(5) >= length, 0)
    told[-1, -1] = 0
    return CaptionBatch(
        ids=tuple(f"picture-{number}" for number in range(count)),
        image=torch.randn(count, 6, WIDTH),
        seen=torch.arange(6) < grid.prod(1, keepdim=True),
        grid=grid,
        words=told,
        frequencies=lambda: Frequencies(one.numpy() for one in told),
    )


def rows(batch: CaptionBatch, indices: Any) -> CaptionBatch:
    """Some pictures of a batch."""
    chosen = torch.arange(len(batch.ids))[indices]
    return CaptionBatch(
        tuple(batch.ids[int(i)] for i in chosen),
        batch.image[chosen],
        batch.seen[chosen],
        batch.grid[chosen],
        batch.words[chosen],
        batch.frequencies,
        None if batch.pooled is None else batch.pooled[chosen],
    )


def chances(model: captioner.Model, batch: CaptionBatch, said: list[int], limits: Limits) -> Tensor:
    """Log-probabilities of the word after some, for a batch of one picture: all of it anew."""
    words = torch.tensor([[said]], dtype=torch.long)  # [1, 1, T]
    once = CaptionBatch(batch.ids, batch.image, batch.seen, batch.grid, words)
    chance = model(once)[0, 0, -1].log_softmax(-1)
    allowed = set(range(len(chance)))
    if not limits.unknown:
        allowed.discard(1)
    if n := limits.no_repeat:
        runs = {tuple(said[k : k + n]) for k in range(len(said) - n + 1)}
        ending = tuple(said[len(said) - n + 1 :])
        allowed -= {word for word in allowed if word and (*ending, word) in runs}
    if len(said) < limits.shortest and allowed != {0}:
        allowed.discard(0)
    return torch.tensor([v if k in allowed else -torch.inf for k, v in enumerate(chance.tolist())])


def slow_greedy(model: captioner.Model, batch: CaptionBatch, limits: Limits) -> list[int]:
    said: list[int] = []
    while len(said) < limits.longest:
        word = int(chances(model, batch, said, limits).argmax())
        if word == 0:
            break
        said.append(word)
    return said


def slow_sample(
    model: captioner.Model,
    batch: CaptionBatch,
    limits: Limits,
    lots: list[float],
    top_k: int,
    nucleus: float,
    temperature: float,
) -> list[int]:
    said: list[int] = []
    for lot in lots:
        share = (chances(model, batch, said, limits) / temperature).exp().tolist()
        likely = list(range(len(share)))
        if top_k or nucleus < 1.0:
            likely.sort(key=lambda word: -share[word])
            likely = likely[: top_k or len(likely)]
            whole, kept, passed = sum(share[word] for word in likely), [], 0.0
            for word in likely:
                if passed < nucleus * whole:
                    kept.append(word)
                passed += share[word]
            likely = kept
        left = lot * sum(share[word] for word in likely)
        for word in likely:
            left -= share[word]
            if left < 0:
                break
        if word == 0:
            break
        said.append(word)
    return said


def slow_beam(
    model: captioner.Model, batch: CaptionBatch, limits: Limits, beams: int, power: float
) -> list[tuple[float, list[int]]]:
    """All that ended, and what was left at the longest length, best first."""
    growing: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, limits.longest + 1):  # to the end, whatever has ended before
        tried = [
            (score + value, [*said, word])
            for score, said in growing
            for word, value in enumerate(chances(model, batch, said, limits).tolist())
            if value > -torch.inf
        ]
        tried.sort(key=lambda one: -one[0])
        ended += [
            (score / length**power, said[:-1]) for score, said in tried[:beams] if said[-1] == 0
        ]
        growing = [one for one in tried[: 2 * beams] if one[1][-1] != 0][:beams]
    ended += [(score / limits.longest**power, said) for score, said in growing]
    return sorted(ended, key=lambda one: -one[0])[:beams]
