"""The captioner that arXiv:2107.06383 trained, run by its own code, as a side of a race.

The code is a checkout of ruotianluo/ImageCaptioning.pytorch, which needs the package `six`. The
weights are first ones and the end is put down where captions are told, so its words are its own.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from clipvil.data.captions import CaptionBatch
from clipvil.models._decode import END


def model_of(checkout: Path, image_width: int, words: int) -> Any:
    """Its transformer at the published size."""
    sys.path.insert(0, str(checkout))
    from captioning.models.TransformerModel import (  # type: ignore[import-not-found]
        TransformerModel,
    )

    return TransformerModel(SimpleNamespace(
        vocab_size=words - 1, vocab={}, input_encoding_size=512, rnn_size=2_048, num_layers=6,
        drop_prob_lm=0.5, max_length=20, fc_feat_size=image_width, att_feat_size=image_width,
        att_hid_size=512,
    ))  # fmt: skip


def side(
    checkout: Path, job: str, batch: CaptionBatch, words: int, beams: int
) -> Callable[[], int]:
    """A step of training in fp32 with Adam, or captions of the batch."""
    model = model_of(checkout, batch.image.shape[-1], words)
    if job != "train":
        model.model.generator.proj.bias.data[END] = -1e4
    optimizer = torch.optim.Adam(model.parameters())
    P, K = batch.words.shape[:2]
    none = torch.zeros(P, 0)  # of the vectors of whole pictures, which it does not read

    def tell(**chosen: Any) -> tuple[Tensor, Tensor]:
        told: tuple[Tensor, Tensor] = model(none, batch.image, None, opt=chosen, mode="sample")
        return told

    def learn(total: Tensor) -> int:
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return P * K

    def train() -> int:
        read = F.pad(batch.words, (1, 1), value=END)  # [P, K, T + 2]
        chance = model.train()(none, batch.image, read[..., :-1])
        return learn(F.nll_loss(chance.flatten(0, 1), read[..., 1:].flatten()))

    def self_critical() -> int:
        with torch.no_grad():
            model.eval()
            tell()
        model.train()
        said, chance = tell(sample_method="sample", sample_n=K)
        likely = chance.gather(2, said.unsqueeze(2)).squeeze(2)
        return learn((likely * torch.randn(P * K, 1)).sum())

    def captions() -> int:
        model.eval()
        with torch.inference_mode():
            tell(beam_size=beams, sample_n=1)
        return P

    return {"train": train, "self_critical": self_critical}.get(job, captions)
