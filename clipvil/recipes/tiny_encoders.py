"""The weights of `tiny:clip`, `tiny:supervised` and `tiny:random`, from scratch on one CPU core.

    python -m clipvil.recipes.tiny_encoders clip --out RUN

Same network, same pictures, same number of views for both trained encoders; only what they are told
differs: a caption, or the shape of the largest object. Pictures come in groups of eight with the
same colours, number and ground, and a group stays together in a batch, so that colour alone cannot
tell its captions apart. Interrupted, a run goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.encoders.base import Preprocessing
from clipvil.encoders.tiny import LONGEST, WIDTH, TextTower, TinyNetwork, Words
from clipvil.files import atomic, read_json, write_json
from clipvil.worlds.tabletop.describe import captions, vocabulary
from clipvil.worlds.tabletop.draw import OTHER, PLAIN, SKETCH, render
from clipvil.worlds.tabletop.scene import (
    CAPTION,
    COLOURS,
    ORDER,
    PRETRAIN,
    PROBE,
    SHAPES,
    Dice,
    Scene,
    group,
    sample,
)  # fmt: skip

GROUP: Final = 8
CHECKPOINT_SECONDS: Final = 300
PREPROCESSING: Final = Preprocessing(size=(64, 64), stride=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a run is; 2,700 steps of 256 pictures are 691k views."""

    objective: str
    steps: int = 2_700
    batch: int = 256
    groups: int = 5_000
    rate: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.05
    sketched: float = 0.15
    other_palette: float = 0.15
    jitter: int = 3  # pixels that a batch is moved by at most
    probe_every: int = 300
    probed: int = 2_500
    seed: int = 20_210


@dataclass(frozen=True, slots=True)
class Views:
    """What there is to learn from."""

    pixels: UInt8[Tensor, "N 3 H W"]
    captions: NDArray[np.int16]  # [N, 5, T], 0 pads
    labels: NDArray[np.int64]  # [N], the shape of the largest object


class Contrastive(nn.Module):
    """Pictures and captions in one space (arXiv:2103.00020)."""

    def __init__(self) -> None:
        super().__init__()
        self.image = TinyNetwork(attention=True)
        self.text = TextTower(Words(vocabulary()))
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def loss(self, pixels: Tensor, views: Views, rows: NDArray[np.int64], step: int) -> Tensor:
        """Each picture finds its caption among the batch's, and the other way round."""
        which = np.random.default_rng([step, CAPTION]).integers(
            views.captions.shape[1], size=len(rows)
        )
        ids = torch.from_numpy(views.captions[rows, which].astype(np.int64))  # [B, T]
        ids = ids[:, : int((ids != 0).sum(1).max())]
        seen = F.normalize(self.image(pixels)[1].float(), dim=-1)
        told = self.text(ids)
        logits = self.scale.clamp(max=math.log(100)).exp() * seen @ told.T  # [B, B]
        target = torch.arange(len(rows))
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Supervised(nn.Module):
    """One label a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.image = TinyNetwork(attention=False)
        self.head = nn.Linear(WIDTH, len(SHAPES))

    def loss(self, pixels: Tensor, views: Views, rows: NDArray[np.int64], step: int) -> Tensor:
        """Cross-entropy of the label."""
        logits = self.head(self.image(pixels)[1])
        return F.cross_entropy(logits.float(), torch.from_numpy(views.labels[rows]))


OBJECTIVES: Final = {"clip": Contrastive, "supervised": Supervised}


def picture(scene: Scene, recipe: Recipe) -> NDArray[np.uint8]:
    """A scene drawn in one of the styles; which one is the scene's own."""
    unit = np.random.default_rng([scene.salt, PRETRAIN]).random()
    style = SKETCH if unit < recipe.sketched else PLAIN
    if recipe.sketched <= unit < recipe.sketched + recipe.other_palette:
        style = OTHER
    return render(scene, style, PREPROCESSING.size[0]).transpose(2, 0, 1)


def views(recipe: Recipe) -> Views:
    """Draw and describe all scenes."""
    words, number = Words(vocabulary()), recipe.groups * GROUP
    pixels = np.empty((number, 3, *PREPROCESSING.size), np.uint8)
    told = np.zeros((number, 5, LONGEST), np.int16)
    labels = np.empty(number, np.int64)
    scenes = (scene for k in range(recipe.groups) for scene in group(recipe.seed, k, GROUP))
    for row, scene in enumerate(scenes):
        pixels[row] = picture(scene, recipe)
        ids = words(captions(scene, Dice(recipe.seed, CAPTION, row))).numpy()
        told[row, :, : ids.shape[1]] = ids
        labels[row] = max(scene.things, key=lambda thing: thing.radius).shape
    return Views(torch.from_numpy(pixels), told, labels)


def normal(pixels: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Bytes as the network wants them."""
    mean = 255 * torch.tensor(PREPROCESSING.mean).view(3, 1, 1)
    std = 255 * torch.tensor(PREPROCESSING.std).view(3, 1, 1)
    return ((pixels.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def rows_of(recipe: Recipe, step: int) -> NDArray[np.int64]:
    """The pictures of a step: whole groups, each once an epoch."""
    held = recipe.batch // GROUP
    epoch, place = divmod(step, recipe.groups // held)
    order = np.random.default_rng([recipe.seed, ORDER, epoch]).permutation(recipe.groups)
    chosen = order[place * held : (place + 1) * held]
    rows: NDArray[np.int64] = (chosen[:, None] * GROUP + np.arange(GROUP)).reshape(-1)
    return rows


def moved(pixels: Tensor, recipe: Recipe, step: int) -> Tensor:
    """The whole batch moved by the same few pixels, its borders repeated."""
    most = recipe.jitter
    down, right = np.random.default_rng([recipe.seed, step]).integers(2 * most + 1, size=2)
    height, width = pixels.shape[-2:]
    wide = F.pad(pixels, (most,) * 4, mode="replicate")
    return wide[..., down : down + height, right : right + width]


class Probe:
    """Ridge regression from single cells to the shape and the colour of what lies there."""

    def __init__(self, recipe: Recipe) -> None:
        scenes = [sample(Dice(recipe.seed, PROBE, k)) for k in range(recipe.probed)]
        self.pixels = torch.from_numpy(np.stack([picture(s, recipe) for s in scenes]))
        cells = PREPROCESSING.size[0] // PREPROCESSING.stride
        found = {
            (k, int(t.y * cells), int(t.x * cells)): (t.shape, t.colour)  # the topmost stays
            for k, scene in enumerate(scenes)
            for t in scene.things
        }
        self.places = torch.tensor(list(found)).T  # picture, row, column
        self.labels = torch.tensor(list(found.values()))  # [things, 2]

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """Accuracy on the last fifth of the pictures, fitted on the others."""
        network.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            grids = [network(normal(part))[0].float() for part in self.pixels.split(250)]
        network.train()
        picture, row, column = self.places
        cells = torch.cat(grids)[picture, row, column].double()
        fitting = picture < 0.8 * len(self.pixels)
        cells = (cells - cells[fitting].mean(0)) / (cells[fitting].std(0) + 1e-6)
        cells = F.pad(cells, (0, 1), value=1.0)
        gram = cells[fitting].T @ cells[fitting] + 10 * torch.eye(cells.shape[1])
        scores = {}
        for name, kind in (("shape", 0), ("colour", 1)):
            labels = self.labels[:, kind]
            target = F.one_hot(labels, (len(SHAPES), len(COLOURS))[kind]).double()
            weights = torch.linalg.solve(gram, cells[fitting].T @ target[fitting])
            right = (cells[~fitting] @ weights).argmax(1) == labels[~fitting]
            scores[name] = round(right.double().mean().item(), 4)
        return scores


def train(recipe: Recipe, out: Path) -> None:
    """Train to the end, from the last checkpoint if there is one; leaves weights and record."""
    started = time.process_time()
    torch.manual_seed(recipe.seed)
    model: Any = OBJECTIVES[recipe.objective]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim >= 2]},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay,
    )  # fmt: skip
    log, spent = _resume(model, optimizer, recipe, out)
    data, probe = views(recipe), Probe(recipe)
    print(
        f"{len(data.pixels)} pictures after {time.process_time() - started:.0f} CPU s", flush=True
    )
    saved, losses = time.monotonic(), list[float]()
    for step in range(log[-1]["step"] if log else 0, recipe.steps):
        for part in optimizer.param_groups:
            part["lr"] = _rate(recipe, step)
        rows = rows_of(recipe, step)
        pixels = moved(normal(data.pixels[rows]), recipe, step)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.loss(pixels, data, rows, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
        optimizer.step()
        losses.append(loss.item())
        done = step + 1
        if done % 50 == 0 or done == recipe.steps:
            now = spent + time.process_time() - started
            entry = {"step": done, "loss": round(float(np.mean(losses)), 4), "cpu_s": round(now)}
            if done % recipe.probe_every in (0, recipe.probe_every // 2) or done == recipe.steps:
                entry |= probe(model.image)
            log.append(entry)
            losses.clear()
            print(json.dumps(entry), flush=True)
            if time.monotonic() - saved > CHECKPOINT_SECONDS or done == recipe.steps:
                _keep(model, optimizer, log, out)
                saved = time.monotonic()
    export(model, {"recipe": asdict(recipe), "curve": log}, out, recipe.objective)


def _rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    return recipe.rate * warm * (1 + math.cos(math.pi * step / recipe.steps)) / 2


def _keep(model: nn.Module, optimizer: torch.optim.Optimizer, log: list[Any], out: Path) -> None:
    """One checkpoint, whole or not at all: tensors, and the log as the file's header."""
    state = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    for k, moments in optimizer.state_dict()["state"].items():
        state |= {f"adam.{k}.{name}": tensor.contiguous() for name, tensor in moments.items()}
    with atomic(out / "checkpoint.safetensors") as path:
        save_file(state, path, {"log": json.dumps(log)})


def _resume(
    model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, out: Path
) -> tuple[list[dict[str, Any]], float]:
    """Load the checkpoint if there is one: the log so far, and the seconds it took."""
    resolved, path = out / "recipe.json", out / "checkpoint.safetensors"
    if resolved.exists() and read_json(resolved) != asdict(recipe):
        raise ValueError(f"{resolved} is another recipe's run; choose another folder")
    write_json(resolved, asdict(recipe), indent=1)
    if not path.exists():
        return [], 0.0
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        log: list[dict[str, Any]] = json.loads(file.metadata()["log"])
    tensors = load_file(path)
    model.load_state_dict(
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    )
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return log, float(log[-1]["cpu_s"])


def calibrate(recipe: Recipe, out: Path) -> None:
    """The untrained network: only its normalisation has seen pictures."""
    torch.manual_seed(recipe.seed)
    holder = Supervised()
    for module in holder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average over all batches
    probe = Probe(recipe)
    with torch.no_grad():
        for part in probe.pixels.split(recipe.batch):
            holder.image(normal(part))
    entry = {"step": 0, **probe(holder.image)}
    print(json.dumps(entry))
    export(holder, {"recipe": asdict(recipe), "curve": [entry]}, out, "random")


def export(model: nn.Module, record: dict[str, Any], out: Path, name: str) -> None:
    """Weights as they ship, halves (statistics whole), and beside them how they came about."""
    kept = {
        k: v.half() if v.is_floating_point() and "running" not in k else v
        for k, v in model.state_dict().items()
        if k.split(".")[0] in ("image", "text")
    }
    record |= {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    with atomic(out / f"tiny_{name}.safetensors") as path:
        save_file(
            {k: v.contiguous() for k, v in kept.items()}, path, {"words": json.dumps(vocabulary())}
        )
    write_json(out / f"tiny_{name}.json", record, indent=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("objective", choices=(*OBJECTIVES, "random"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Recipe(objective="").steps)
    parser.add_argument("--groups", type=int, default=Recipe(objective="").groups)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = Recipe(objective=given.objective, steps=given.steps, groups=given.groups)
    given.out.mkdir(parents=True, exist_ok=True)
    (calibrate if given.objective == "random" else train)(recipe, given.out)


if __name__ == "__main__":
    main()
