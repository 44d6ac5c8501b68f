"""Which cells each word of a caption looked at: by attention, and by gradient times input.

Attention   of the word that is told next to the cells, mean over layers and heads. Cells were read
            together before, so a cell stands for what it took from others too
Gradient    of the word's logit above the mean of all words', times the cell: what it adds against
            the mean cell of the training pictures, summed over channels; negative where the cell
            speaks against. Not of its probability, which moves little once a word is certain
Shapes      T words, N cells in R rows and C columns
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from clipvil import pictures
from clipvil.answers.text import Known
from clipvil.core import UsageError
from clipvil.data.captions import CaptionBatch
from clipvil.evaluate import eyes
from clipvil.evaluate.answer import restore
from clipvil.evaluate.predict import put
from clipvil.evaluate.run import read_known, read_plan
from clipvil.features.lookup import Affine
from clipvil.models import captioner

ONLY = "captions and walks are explained so far, and no answers to questions"


@dataclass(frozen=True, slots=True)
class Looks:
    """A caption and where each of its words looked.

    A pixel (x, y) of the picture is in the cell of column a x + b and row c y + d, for `affine`
    a, b, c, d.
    """

    caption: str
    words: tuple[str, ...]
    attention: Float[NDArray[np.float32], "T R C"]  # a word's cells sum to 1, or to what
    # the pooled vector leaves
    gradient: Float[NDArray[np.float32], "T R C"]
    affine: Affine

    @property
    def facts(self) -> dict[str, Any]:
        """The same as JSON-ready data."""
        return {
            "caption": self.caption,
            "affine": self.affine,
            "words": [
                {"word": word, "attention": looked.tolist(), "gradient": worth.tolist()}
                for word, looked, worth in zip(
                    self.words, self.attention, self.gradient, strict=True
                )
            ],
        }


def look(folder: Path, picture: Path) -> Looks:
    """What a trained captioner says of a picture, and where it looked.

    Raises
        UsageError: the run is no captioner's, or sees nothing
        ValueError: the picture cannot be read, or nothing is said of it
    """
    plan = read_plan(folder)
    if eyes.walks(plan):
        raise UsageError(f"{folder} walks through buildings: leave --image out for its walks")
    known = cast(Known, read_known(plan))
    model, statistics, encoder = restore(plan, known)
    if not isinstance(model, captioner.Model):
        raise UsageError(f"{folder} has no captioner: {ONLY}")
    if eyes.reads_only(plan):
        raise UsageError(f"{folder} was trained on features: nobody here can make a picture's")
    if plan.arm.encoder is None:
        raise UsageError(f"{folder} was trained without pictures: there is nothing to look at")
    pictures.require(picture)
    sight = eyes.sight(plan, statistics, {"it": picture}, encoder or eyes.encoder_of(plan))
    example = put(plan.source.load(), "", ())  # lots are drawn by its id
    data = known.data([example], ["it"], sight, targets=False)
    batch = data.batch(np.zeros(1, np.int64)).to(next(model.parameters()).device)
    told = model.tell(batch)[0][:, :1]  # [1, 1, L]
    told = told[..., : int((told != 0).sum())]
    if not told.shape[-1]:
        raise ValueError(f"{picture}: the caption has no words")
    attention, gradient = looked(model, batch, told)
    rows, columns = batch.grid[0].tolist()
    numbers = told[0, 0].tolist()
    return Looks(
        known.text(numbers),
        tuple(known.text([number]) for number in numbers),
        attention.view(-1, rows, columns).float().cpu().numpy(),
        gradient.view(-1, rows, columns).float().cpu().numpy(),
        sight.affine(["it"])[0],
    )


def looked(
    model: captioner.Model, batch: CaptionBatch, told: Int[Tensor, "1 1 T"]
) -> tuple[Float[Tensor, "T N"], Float[Tensor, "T N"]]:
    """Attention and gradient times input of each word told of one picture."""
    image = batch.image.clone().requires_grad_()
    with watched(model) as weights:
        logits = model(replace(batch, image=image, words=told))[0, 0, :-1]  # [T, V]
    worth = logits.gather(-1, told[0, 0].unsqueeze(1)).squeeze(1) - logits.mean(-1)
    slopes = [torch.autograd.grad(one, image, retain_graph=True)[0] for one in worth]
    gradient = (torch.cat(slopes) * image.detach()).sum(-1)
    cells = gradient.shape[1]  # the pooled vector comes after them
    attention = torch.stack([one[0, :, :-1, :cells].mean(0) for one in weights]).mean(0)
    return attention.detach(), gradient


@contextmanager
def watched(model: captioner.Model) -> Iterator[list[Float[Tensor, "1 H T+1 N"]]]:
    """What the words' layers look at while the model is called, a layer an entry."""
    found = list[Tensor]()

    def note(attention: Any, given: tuple[Any, ...]) -> None:
        asks, key, _, mask = given
        found.append(attention.weights(asks, key, mask))

    hooks = [
        layer.guide.register_forward_pre_hook(note)  # type: ignore[union-attr]
        for layer in model.writing
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
