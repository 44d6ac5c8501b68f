"""Captioners that others trained: weights of a published code base become a run of our captioner.

Source      https://github.com/ruotianluo/ImageCaptioning.pytorch, its model `transformer`, as
            clip-vil/CLIP-ViL has it (CLIP-ViL-Direct/caption); words are `ix_to_word` of the JSON
            that its prepro_labels.py wrote (`cocotalk.json`)
Allow-list  a tensor that is not known by name and shape is refused, and so is a file that lacks one
Known       its norms divide by the unbiased deviation and add 1e-6 to it, ours by the biased one of
            the variance plus 1e-5: the weights of the norms take up the first, the second is below
            what single precision shows of activations of about 1
Shapes      D model width, V rows of words
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipvil.data.sight import Statistics
from clipvil.evaluate.eyes import STATISTICS
from clipvil.evaluate.protocol import Seeds
from clipvil.evaluate.run import VOCABULARY, Plan, begin, write_statistics
from clipvil.files import read_json, write_json
from clipvil.models import captioner
from clipvil.train import keep

UNKNOWN = "UNK"
PLACES = "model.tgt_embed.1.pe"  # sines and cosines, which nobody learns
WORDS = ("model.tgt_embed.0.lut.weight", "model.generator.proj.weight", "model.generator.proj.bias")
ATTENTION = ("query", "key", "value", "merge")
TOLD = 8  # names that an error lists


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, out of safetensors or by torch's own safe loader.

    Raises
        ValueError: it holds anything else
    """
    if path.suffix == ".safetensors":
        return keep.load(path)[0]
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not a file of tensors alone") from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(f"{path} is not a file of tensors by their names")
    return dict(found)


def read_words(path: Path) -> list[str]:
    """The words by their numbers, from 1 on.

    Raises
        ValueError: they are not numbered so, or the unknown word is not among them
    """
    told = read_json(path, dict[str, Any]).get("ix_to_word")
    if not isinstance(told, dict) or not told:
        raise ValueError(f"{path} has no words: it needs `ix_to_word`")
    words = [told.get(str(number)) for number in range(1, len(told) + 1)]
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: `ix_to_word` should count from 1 to {len(told)}")
    if words.count(UNKNOWN) != 1:
        raise ValueError(f"{path}: `ix_to_word` should have the word {UNKNOWN} once")
    return [str(word) for word in words]


def names(layers: int) -> Iterator[tuple[str, str]]:
    """Published names of modules, and ours."""
    yield "att_embed.0", "image.0"
    for k in range(layers):
        for theirs, ours, norms in (
            (f"model.encoder.layers.{k}", f"reading.{k}", ("own", "forth")),
            (f"model.decoder.layers.{k}", f"writing.{k}", ("own", "guide", "forth")),
        ):
            for number, part in enumerate(ATTENTION):
                yield f"{theirs}.self_attn.linears.{number}", f"{ours}.own.{part}"
                if "guide" in norms:
                    yield f"{theirs}.src_attn.linears.{number}", f"{ours}.guide.{part}"
            yield f"{theirs}.feed_forward.w_1", f"{ours}.forth.0"
            yield f"{theirs}.feed_forward.w_2", f"{ours}.forth.3"
            for number, part in enumerate(norms):
                yield f"{theirs}.sublayer.{number}.norm", f"{ours}.before_{part}"
    yield "model.encoder.norm", "read"
    yield "model.decoder.norm", "written"
    yield "model.tgt_embed.0.lut", "embed"
    yield "model.generator.proj", "next"


def config_of(tensors: Mapping[str, Tensor], heads: int) -> tuple[captioner.Config, int]:
    """Sizes that the shapes tell, and the width of the cells that are read.

    Raises
        ValueError: what tells them is missing
    """
    layers = 0
    while f"model.encoder.layers.{layers}.feed_forward.w_1.weight" in tensors:
        layers += 1
    telling = ("att_embed.0.weight", "model.encoder.layers.0.feed_forward.w_1.weight")
    shapes = [tuple(tensors[name].shape) if name in tensors else () for name in telling]
    if any(len(shape) != 2 or not all(shape) for shape in shapes):
        raise ValueError(f"no captioner's weights: {' and '.join(telling)} should be matrices")
    (width, seen), (hidden, _) = shapes
    if width % heads or hidden % width:
        raise ValueError(f"width {width} does not go with {heads} heads and hidden width {hidden}")
    config = captioner.Config(width=width, heads=heads, layers=layers, expand=hidden // width)
    return config, seen


def converted(
    tensors: Mapping[str, Tensor], words: list[str], heads: int
) -> tuple[captioner.Config, int, dict[str, Tensor]]:
    """Our config, the width of the cells, and our weights; row 1 is the unknown word's.

    Raises
        ValueError: lists what is missing, what nobody knows, and what has another shape
    """
    config, seen = config_of(tensors, heads)
    model = captioner.Model(config, image_width=seen, num_words=len(words) + 1)
    wanted = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    ours = dict[str, str]()
    for theirs, own in names(config.layers):
        for leaf in ("weight", "bias"):
            if f"{own}.{leaf}" in wanted:
                norm = theirs.endswith(".norm")
                named = {"weight": "a_2", "bias": "b_2"}[leaf] if norm else leaf
                ours[f"{theirs}.{named}"] = f"{own}.{leaf}"
    assert sorted(ours.values()) == sorted(wanted)
    wrong = [f"{name} is missing" for name in ours if name not in tensors]
    wrong += [f"{name} is unknown" for name in tensors if name not in ours and name != PLACES]
    wrong += [
        f"{name} is {tuple(tensors[name].shape)}, not {wanted[own]}"
        for name, own in ours.items()
        if name in tensors and tuple(tensors[name].shape) != wanted[own]
    ]
    if wrong:
        more = f" and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
        raise ValueError(f"{len(wrong)} tensors do not fit: {'; '.join(wrong[:TOLD])}{more}")
    unknown = words.index(UNKNOWN) + 1
    rows = torch.tensor([0, unknown, *(n for n in range(1, len(words) + 1) if n != unknown)])
    made = dict[str, Tensor]()
    for name, own in ours.items():
        tensor = tensors[name].float()
        if name.endswith(".a_2"):
            tensor = tensor * math.sqrt((config.width - 1) / config.width)
        made[own] = tensor[rows] if name in WORDS else tensor
    return config, seen, made


def adopt(plan: Plan, checkpoint: Path, words: Path, heads: int, width: int) -> None:
    """Write a run of a plan whose model is the published one, of its sizes.

    Features go in as they are: the code base standardises nothing.

    Args
        width: of the encoder's cells

    Raises
        ValueError: what does not fit
    """
    known = read_words(words)
    try:
        config, seen, weights = converted(read(checkpoint), known, heads)
    except ValueError as error:
        raise ValueError(f"{checkpoint}: {error}") from error
    if seen != width:
        raise ValueError(
            f"{checkpoint} reads cells of width {seen}; those of {plan.arm.name} have {width}"
        )
    plan = replace(plan, recipe=replace(plan.recipe, config=config))
    begin(plan, plan.source.load().version, Seeds(0, 0, 0), {"fit": [], "select": []}, "")
    told = {"words": [word for word in known if word != UNKNOWN], "prior": ""}
    write_json(plan.folder / VOCABULARY, told)
    flat = Statistics(np.zeros(seen, np.float32), np.ones(seen, np.float32))
    write_statistics(plan.folder / STATISTICS, flat)
    keep.save_best(plan.folder, weights, {"from": checkpoint.name})
    write_json(plan.folder / "fitted.json", None)  # last: no step was taken here
