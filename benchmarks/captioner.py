"""Captioning on one core: ours, and as the original did it; rows in captioner.csv.

    OMP_NUM_THREADS=1 python benchmarks/captioner.py [--rounds 5] [--cells 196] [--layers 6]
                                                     [--precision fp32 bf16] [--only JOB ...]
                                                     [--original CHECKOUT]

The published size on cells 2,048 wide; the end is put down in all that is told, so that captions
get as long as they may. Both sides have the same weights and take turns.

Steps of training are over two pictures with five captions each. As many pictures are told of
together as `predict` and `evaluate` take: with two, most of a step is the reading of 108 MB of
weights, which serve all of them as well.

The original's way is written from its description (the captioning code that arXiv:2107.06383 used):
in training on words a picture's features are repeated for each caption before they are encoded;
in all that is told, at each step all words so far are read anew, and the cells' keys and values
projected anew for each caption; samples keep the graph of every step. It tells greedily of all
the pictures too. Of beams it grows those of two, and counts two, or a round would take a
minute: the cells' projections are nearly all of its time, and four together took a tenth less each
than two. What was measured of its own code, apart from this and on another day, stands in the last
column. Words must agree where both tell them; memory is the most that beams keep. The way has our
layers and their fused attention; with a checkout of ruotianluo/ImageCaptioning.pytorch its own code
runs in its place, at its size.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import published_captioner
import torch
from races import append, hardware, milliseconds, race, ratio
from torch import Tensor

from clipvil.answers.text import BATCH
from clipvil.data.captions import CaptionBatch
from clipvil.metrics.reward import Frequencies
from clipvil.models import captioner
from clipvil.models._decode import END, UNKNOWN
from clipvil.processes import keep_memory
from clipvil.train.pace import optimizer_of
from clipvil.train.recipe import Stage

WIDTH, WORDS, READ = 2_048, 9_487, 11
PICTURES, CAPTIONS = 2, 5  # of a step of training
BEAMED = 2  # of the pictures that are told of, those whose beams the original grows
RECORDED = {  # ms an item of the original's own code: a caption, a picture, a sampled caption
    ("train", "fp32"): 554, ("train", "bf16"): 344, ("greedy", "fp32"): 1_043,
    ("beam", "fp32"): 3_620, ("self_critical", "fp32"): 2_500,
}  # fmt: skip
Sides = dict[str, Callable[[], int]]
Tell = Callable[[captioner.Model, CaptionBatch], Tensor]


def pictures(count: int, cells: int) -> CaptionBatch:
    """Full grids and captions of about COCO's mean length."""
    torch.manual_seed(0)
    words = torch.randint(2, WORDS, (count, CAPTIONS, READ))
    return CaptionBatch(
        ids=tuple(map(str, range(count))),
        image=torch.randn(count, cells, WIDTH),
        seen=torch.ones(count, cells, dtype=torch.bool),
        grid=torch.tensor([[1, cells]]).expand(count, 2),
        words=words,
        frequencies=lambda: Frequencies(one.numpy() for one in words),
    )


def repeated(batch: CaptionBatch, times: int) -> CaptionBatch:
    """Each picture once a caption."""
    return replace(
        batch,
        ids=tuple(name for name in batch.ids for _ in range(times)),
        image=batch.image.repeat_interleave(times, 0),
        seen=batch.seen.repeat_interleave(times, 0),
        grid=batch.grid.repeat_interleave(times, 0),
        words=batch.words.flatten(0, 1).unsqueeze(1),
    )


def first(batch: CaptionBatch, count: int) -> CaptionBatch:
    """Some of the pictures."""
    return replace(
        batch,
        ids=batch.ids[:count],
        image=batch.image[:count],
        seen=batch.seen[:count],
        grid=batch.grid[:count],
        words=batch.words[:count],
    )


def stepping(
    model: captioner.Model, loss: Callable[[], Tensor], half: bool, items: int
) -> Callable[[], int]:
    """A step of training: forward, backward, optimizer."""
    optimizer = optimizer_of(model, Stage())

    def step() -> int:
        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            total = loss()
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return items

    return step


def again(model: captioner.Model, cells: Tensor, seen: Tensor, said: Tensor) -> Tensor:
    """Log-probabilities of the next word [R, V], everything so far read anew."""
    logits = model.next(model.states(cells, seen, said.unsqueeze(1))[:, 0, -1])
    chance = logits.float().log_softmax(-1)
    barred = torch.zeros_like(chance)
    barred[:, UNKNOWN] = -torch.inf
    return chance + barred


def old_greedy(model: captioner.Model, batch: CaptionBatch) -> Tensor:
    cells, said = model.look(batch), batch.words.new_zeros(len(batch.ids), 0)
    for _ in range(model.config.longest):
        word = again(model, cells, batch.seen, said).argmax(-1, keepdim=True)
        said = torch.cat([said, word], 1)
    return said


def old_beam(model: captioner.Model, batch: CaptionBatch) -> Tensor:
    """The best of each picture's beams, all of which go on to the longest length."""
    cells, P = model.look(batch), len(batch.ids)
    said, score = batch.words.new_zeros(P, 1, 0), torch.zeros(P, 1)
    for _ in range(model.config.longest):
        rows = said.shape[1]
        wide = cells.repeat_interleave(rows, 0), batch.seen.repeat_interleave(rows, 0)
        chance = again(model, *wide, said.flatten(0, 1)).view(P, rows, -1)
        total = score.unsqueeze(-1) + chance
        score, place = total.flatten(1).topk(model.config.beams)
        row, word = place // total.shape[-1], place % total.shape[-1]
        said = torch.cat([said[torch.arange(P).unsqueeze(1), row], word.unsqueeze(-1)], -1)
    return said[:, 0]


def old_self_critical(model: captioner.Model, batch: CaptionBatch) -> Tensor:
    """The greedy baseline, then samples whose every step stays in the graph."""
    with torch.no_grad():
        model.eval()
        old_greedy(model, batch)
        model.train()
    cells = model.look(batch).repeat_interleave(CAPTIONS, 0)
    seen = batch.seen.repeat_interleave(CAPTIONS, 0)
    said, gain = batch.words.new_zeros(len(cells), 0), torch.randn(len(cells))
    total = torch.zeros(())
    for _ in range(model.config.longest):
        chance = again(model, cells, seen, said)
        word = chance.detach().exp().multinomial(1)
        total = total - (chance.gather(1, word).squeeze(1) * gain).sum()
        said = torch.cat([said, word], 1)
    return total


def telling(
    model: captioner.Model, tell: Callable[[CaptionBatch], object], batch: CaptionBatch
) -> Callable[[], int]:
    """A side that decodes."""

    def side() -> int:
        model.eval()
        with torch.inference_mode():
            tell(batch)
        return len(batch.ids)

    return side


def before(job: str, batch: CaptionBatch) -> tuple[Tell, CaptionBatch]:
    """How the original tells, and of which of the pictures."""
    return (old_greedy, batch) if job == "greedy" else (old_beam, first(batch, BEAMED))


def sides(job: str, model: captioner.Model, batch: CaptionBatch, half: bool) -> Sides:
    """Ours, and the original's way in fp32."""
    count = PICTURES * CAPTIONS
    match job:
        case "train":
            wide = repeated(batch, CAPTIONS)
            new = stepping(model, lambda: model.loss(batch).total / count, half, count)
            old = stepping(model, lambda: model.loss(wide).total / count, False, count)
        case "self_critical":
            new = stepping(model, lambda: model.self_critical(batch).total, half, count)
            old = stepping(model, lambda: old_self_critical(model, batch), False, count)
        case _:
            tell, some = before(job, batch)
            new = telling(model, model.tell, batch)
            old = telling(model, lambda few: tell(model, few), some)
    return {"ours": new, "as before": old}


def agree(job: str, model: captioner.Model, batch: CaptionBatch) -> None:
    """Both ways tell the same words."""
    model.eval()
    tell, some = before(job, batch)
    with torch.inference_mode():
        ours, theirs = model.tell(batch)[0][:, 0], tell(model, some)
    assert torch.equal(ours[: len(theirs)], theirs), f"{job}: other words than the slow way"


def beam_bytes(config: captioner.Config, cells: int) -> int:
    """Keys and values that beams keep of a picture in fp32."""
    return 4 * 2 * config.layers * config.width * (cells + config.beams * config.longest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=196)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    jobs = ["train", "greedy", "beam", "self_critical"]
    parser.add_argument("--only", nargs="+", choices=jobs, default=jobs)
    parser.add_argument("--original", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    keep_memory()  # as `fit` does
    path = Path(__file__).with_suffix(".csv")
    for job in given.only:
        beams = 5 if job == "beam" else 1
        config = captioner.Config(layers=given.layers, width=given.width, beams=beams, longest=20)
        torch.manual_seed(0)
        model = captioner.Model(config, image_width=WIDTH, num_words=WORDS)
        if job != "train":
            model.next.bias.data[END] = -1e4
        told = job in ("greedy", "beam")
        batch = pictures(BATCH if told else PICTURES, given.cells)
        if told:
            agree(job, model, batch)
        for precision in ["fp32"] if told else given.precision:
            raced = sides(job, model, batch, precision == "bf16")
            if given.original is not None:
                some = first(batch, BEAMED) if job == "beam" else batch
                raced["as before"] = published_captioner.side(
                    given.original, job, some, WORDS, beams
                )
            taken = race(raced, given.rounds)
            times = ratio(taken, "as before", "ours")
            row = hardware() | {
                "job": job, "precision": precision, "pictures": str(len(batch.ids)),
                "cells": str(given.cells),
                "layers": str(given.layers), "width": str(given.width),
                **milliseconds(taken["ours"]),
                "before": "its way" if given.original is None else "its code",
                "as before ms": milliseconds(taken["as before"])["wall ms"],
                "times as fast, wall": f"{times.wall:.2f}", "CPU": f"{times.cpu:.2f}",
                "MB kept a picture": f"{beam_bytes(config, given.cells) / 1e6:.1f}",
                "recorded of the original ms": str(RECORDED.get((job, precision), "")),
            }  # fmt: skip
            append(path, row)
            print(
                f"{job} {precision}: {row['wall ms']} ms, the original's way "
                f"{row['as before ms']} ms ({times.wall:.2f} times as fast, "
                f"{times.cpu:.2f} by CPU time); "
                f"recorded of its own code {row['recorded of the original ms'] or 'nothing'}"
            )


if __name__ == "__main__":
    main()
