"""Loss and gradients of a batch, by however many processes run this; the first writes them."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from clipvil import encoders
from clipvil.core import Data
from clipvil.data import LabelBatch, Statistics
from clipvil.encoders._tuning import Way
from clipvil.models import mcan
from clipvil.models._seeing import Seeing
from clipvil.tasks import r2r
from clipvil.train import keep
from clipvil.train.fit import Objective, accelerator_of, joined
from tests.models import captions, walking
from tests.models.tiny import ANSWERS, WORDS, rows, small, some

TRIED, WALKED = "self_critical", "imitate"
WAYS: tuple[Way | None, ...] = (None, "lora", "full")


def seeing(way: Way) -> Seeing:
    """A small model with an encoder, both with the weights of seed 0."""
    encoder = encoders.load("tiny:random")
    torch.manual_seed(0)
    config = mcan.Config(width=16, heads=2, layers=1, flat=24, word_width=12, dropout=0.1)
    width = encoder.card.width
    model = mcan.Model(config, image_width=width, num_words=WORDS, num_answers=ANSWERS)
    flat = Statistics(np.zeros(width, np.float32), np.ones(width, np.float32))
    return Seeing(model, encoder, flat, way=way, rank=2)


def asked() -> LabelBatch:
    """Eight questions about pictures of two sizes, pixels of noise."""
    torch.manual_seed(1)
    grid = torch.tensor([(32, 16), (24, 24)]).repeat(4, 1)
    counts = grid.prod(1, keepdim=True)
    image = torch.randint(0, 256, (8, int(counts.max()), 3), dtype=torch.uint8)
    return replace(some(8), image=image, seen=torch.arange(image.shape[1]) < counts, grid=grid)


def write(accelerator: Accelerator, out: Path, way: Way | None) -> None:
    """Loss and gradients of a model that reads features, or of one with its encoder."""
    model, batch = (small(), some(8)) if way is None else (seeing(way), asked())
    if way is not None:
        model.model.eval()  # dropout differs between processes
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    found_and_kept(accelerator, out / str(way), model, "loss", rows(batch, share))


def write_tried(accelerator: Accelerator, out: Path) -> None:
    """Loss and gradients of a captioner on CIDEr-D: what a picture draws is its own."""
    model, batch = captions.small(samples=3, longest=6), captions.some(8)
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    torch.manual_seed(3)
    found_and_kept(accelerator, out, model, "self_critical", captions.rows(batch, share))


def write_walked(out: Path) -> None:
    """Loss and gradients of a follower, which leaves its speaker's weights alone."""
    with tempfile.TemporaryDirectory() as folder:
        r2r.TASK.tiny(Path(folder))
        ready = walking.data(r2r.TASK.examples(Data(Path(folder)), "train"))
    model = walking.small(int(ready.batch(np.arange(len(ready))).words.max()) + 1)
    accelerator = accelerator_of(model)
    share = np.arange(accelerator.process_index, len(ready), accelerator.num_processes)
    found_and_kept(accelerator, out, model, WALKED, ready.batch(share))


def found_and_kept(
    accelerator: Accelerator, out: Path, model: nn.Module, name: str, batch: Any
) -> None:
    """Write loss and gradients of a process's share of a batch."""
    objective = accelerator.prepare(Objective(model, name))
    loss = joined(objective(batch), accelerator)
    accelerator.backward(loss)
    value = accelerator.reduce(loss.detach(), "mean")
    if accelerator.is_main_process:
        found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        facts = {"processes": accelerator.num_processes}
        keep.save(out, found | {"loss": value}, facts)


def main(out: Path) -> None:
    accelerator = Accelerator(cpu=True)
    for way in WAYS:
        write(accelerator, out, way)
    write_tried(accelerator, out / TRIED)
    write_walked(out / WALKED)
    accelerator.end_training()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
