"""Seconds of CPU a training step takes a question; rows in step.csv, beside a peer's where given.

    python benchmarks/step.py --mcan-vqa CHECKOUT --mmf CHECKOUT

Ours are MCAN and Pythia in their published sizes on cells 2,048 wide, forward, backward and the
optimizer. A peer's modules are imported from its checkout, which is no part of this repository:
MILVLG/mcan-vqa and facebookresearch/mmf (its Pythia, whose classes are taken out of their files, as
the package itself needs versions of long ago). Both sides take turns in every round; a row holds
the fastest round of each, and the ratio of the medians. At 196 cells and batch 16 a row also holds
what the published implementations took on one core of an AMD EPYC (Zen 4) with torch 2.15 in fp32:
another machine's figure is no race, so there the ratio tells little. `train.py` measures the same
models with their data: from the store, and over epochs.
"""

import argparse
import ast
import csv
import platform
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tabletop import cpu
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.data import LabelBatch
from clipvil.models import mcan, pythia
from clipvil.processes import keep_memory
from clipvil.train.pace import optimizer_of
from clipvil.train.recipe import Stage

WIDTH, WORDS, ANSWERS, LONGEST = 2_048, 18_000, 3_129, 14
PUBLISHED = {"mcan": 662, "pythia": 262}  # CPU ms a question, at the sizes below
PUBLISHED_AT = (196, 16)  # cells, batch
Step = Callable[[], None]


def questions(batch: int, cells: int) -> LabelBatch:
    """Full questions about full grids, so that no side gains by a mask."""
    torch.manual_seed(0)
    credit = torch.zeros(batch, ANSWERS)
    credit[torch.arange(batch), torch.randint(0, ANSWERS, (batch,))] = 1.0
    return LabelBatch(
        ids=("",) * batch,
        image=torch.randn(batch, cells, WIDTH),
        seen=torch.ones(batch, cells, dtype=torch.bool),
        grid=torch.tensor([[1, cells]]).expand(batch, 2),
        words=torch.randint(1, WORDS, (batch, LONGEST)),
        credit=credit,
    )


def stepping(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], half: bool
) -> Step:
    """One step of training."""
    model.train()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            total = loss()
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ours(module: Any, batch: LabelBatch, half: bool) -> Step:
    """A model of this package at its published size, with AdamW as `fit` makes it."""
    model = module.Model(module.Config(), image_width=WIDTH, num_words=WORDS, num_answers=ANSWERS)
    count = len(batch.ids)
    return stepping(
        model, optimizer_of(model, Stage()), lambda: model.loss(batch).total / count, half
    )


def peer_mcan(checkout: Path, batch: LabelBatch) -> Step:
    """mcan-vqa's small model as released: fp32, sigmoid and binary cross-entropy, Adam."""
    sys.path.insert(0, str(checkout))
    from core.model.net import Net  # type: ignore[import-not-found]

    sizes = SimpleNamespace(
        HIDDEN_SIZE=512, MULTI_HEAD=8, HIDDEN_SIZE_HEAD=64, FF_SIZE=2_048, LAYER=6, DROPOUT_R=0.1,
        FLAT_MLP_SIZE=512, FLAT_GLIMPSES=1, FLAT_OUT_SIZE=1_024, WORD_EMBED_SIZE=300,
        IMG_FEAT_SIZE=WIDTH, USE_GLOVE=False,
    )  # fmt: skip
    model, count = Net(sizes, None, WORDS, ANSWERS), len(batch.ids)

    def loss() -> Tensor:
        said = model(batch.image, batch.words)
        return F.binary_cross_entropy(said, batch.credit, reduction="sum") / count

    return stepping(model, torch.optim.Adam(model.parameters(), lr=1e-4), loss, False)


def classes(checkout: Path) -> SimpleNamespace:
    """MMF's classes by name, each executed without the imports of the file that it stands in."""
    import typing

    from torch.nn.utils import weight_norm  # type: ignore[attr-defined]
    from torchvision.models import resnet
    from torchvision.ops.misc import FrozenBatchNorm2d

    space: dict[str, Any] = {
        "torch": torch, "nn": nn, "weight_norm": weight_norm, "OrderedDict": OrderedDict,
        "FrozenBatchNorm2d": FrozenBatchNorm2d, "Bottleneck": resnet.Bottleneck, **vars(typing),
    }  # fmt: skip
    for name in ("layers", "attention", "embeddings"):
        tree = ast.parse((checkout / "mmf/modules" / f"{name}.py").read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.decorator_list:
                try:
                    exec(compile(ast.Module([node], []), name, "exec"), space)
                except NameError:  # a class of another model, which needs what is not here
                    continue
    return SimpleNamespace(**space)


class PeerPythia(nn.Module):
    """MMF's modules wired as its Pythia is, with one encoding of the picture."""

    def __init__(self, mmf: SimpleNamespace) -> None:
        super().__init__()
        multiply = ("non_linear_element_multiply", {"dropout": 0, "hidden_dim": 5_000})
        self.embed = nn.Embedding(WORDS, 300)
        self.text = mmf.AttentionTextEmbedding(
            1_024, 300, 1, 0, conv1_out=512, conv2_out=2, kernel_size=1, padding=0
        )
        self.image = mmf.ImageFeatureEmbedding(
            WIDTH,
            2_048,
            modal_combine=dict(zip(("type", "params"), multiply, strict=True)),
            normalization="softmax",
            transform={"type": "linear", "params": {"out_dim": 1}},
        )
        self.both = mmf.ModalCombineLayer(multiply[0], WIDTH, 2_048, **multiply[1])
        self.answer = mmf.ClassifierLayer(
            "logit", 5_000, ANSWERS, img_hidden_dim=5_000, text_hidden_dim=300
        )

    def forward(self, batch: LabelBatch) -> Tensor:
        question = self.text(self.embed(batch.words))
        found, _ = self.image(batch.image, question, None)
        logits: Tensor = self.answer(self.both(found, question))
        return logits


def peer_pythia(checkout: Path, batch: LabelBatch) -> Step:
    """MMF's Pythia: fp32, Adam."""
    model = PeerPythia(classes(checkout))

    def loss() -> Tensor:
        said = F.binary_cross_entropy_with_logits(model(batch), batch.credit)
        return said * ANSWERS

    return stepping(model, torch.optim.Adam(model.parameters(), lr=1e-4), loss, False)


MODELS = {"mcan": mcan, "pythia": pythia}
PEERS = {"mcan": peer_mcan, "pythia": peer_pythia}


def side(name: str, peer: Path | None, given: argparse.Namespace, pipe: Connection) -> None:
    """In a process of its own: CPU milliseconds a question of one step, whenever asked."""
    torch.set_num_threads(1)
    batch = questions(given.batch, given.cells)
    if peer is not None:
        step = PEERS[name](peer, batch)
    else:
        keep_memory()  # as `fit` does
        step = ours(MODELS[name], batch, given.precision == "bf16")
    while pipe.recv():
        start = time.process_time()
        step()
        pipe.send(1_000 * (time.process_time() - start) / given.batch)


def race(name: str, peer: Path | None, given: argparse.Namespace) -> dict[str, list[float]]:
    """CPU milliseconds a question of each side, round by round; the first round is not counted."""
    context, pipes = get_context("spawn"), dict[str, Connection]()
    for what in ("fp32", "bf16", *(["peer"] if peer is not None else [])):
        pipes[what], theirs = context.Pipe()
        told = argparse.Namespace(**vars(given), precision=what)
        of = peer if what == "peer" else None
        context.Process(target=side, args=(name, of, told, theirs), daemon=True).start()
    times = {what: list[float]() for what in pipes}
    for round_ in range(given.rounds + 1):
        for what, pipe in pipes.items():
            pipe.send(True)
            taken = pipe.recv()
            if round_:
                times[what].append(taken)
    for pipe in pipes.values():
        pipe.send(False)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mcan-vqa", type=Path)
    parser.add_argument("--mmf", type=Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cells", type=int, default=196)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    rows = list[list[Any]]()
    machine = date.today(), cpu(), platform.python_version(), torch.__version__
    for name, checkout in (("mcan", given.mcan_vqa), ("pythia", given.mmf)):
        times = race(name, checkout, given)
        peers = statistics.median(times["peer"]) if "peer" in times else None
        theirs = f"{min(times['peer']):.0f}" if "peer" in times else None
        known = PUBLISHED[name] if (given.cells, given.batch) == PUBLISHED_AT else None
        for precision in ("fp32", "bf16"):
            best, middle = min(times[precision]), statistics.median(times[precision])
            told = f"{best:.0f}", theirs, peers and f"{peers / middle:.2f}"
            published = known, known and f"{known / middle:.2f}"
            rows.append([*machine, name, precision, given.cells, given.batch, *told, *published])
            beside = "" if peers is None else f"; the peer in fp32 {told[1]}, ratio {told[2]}"
            if known is not None:
                beside += f"; published took {known} on another machine, ratio {published[1]}"
            print(f"{name} {precision}: {told[0]} ms a question{beside}")
    new = not given.csv.is_file()
    with given.csv.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["date", "processor", "python", "torch", "model", "precision", "cells",
                             "batch", "ms", "peer fp32 ms", "ratio of medians",
                             "published ms", "ratio to published"])  # fmt: skip
        writer.writerows(rows)


if __name__ == "__main__":
    main()
