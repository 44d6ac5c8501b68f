"""The weights of `tiny:clip`, `tiny:supervised` and `tiny:random`, from scratch on one CPU core.

    python -m clipvil.pretrain.tiny_encoders clip --out RUN

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
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil.encoders.tiny import WIDTH, TextTower, TinyNetwork, Words
from clipvil.files import atomic, read_json, write_json
from clipvil.pretrain.views import Probe, Recipe, Views, moved, normal, rows_of, views
from clipvil.worlds.tabletop.describe import vocabulary
from clipvil.worlds.tabletop.scene import CAPTION, SHAPES

CHECKPOINT_SECONDS: Final = 300
LOG_EVERY: Final = 50  # steps; checkpoints are at these


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


def train(recipe: Recipe, out: Path) -> None:
    """Train to the end, from the last checkpoint if there is one; leaves weights and record."""
    started = time.process_time()
    torch.manual_seed(recipe.seed)
    model: Any = OBJECTIVES[recipe.objective]().to(memory_format=torch.channels_last)
    optimizer = _optimizer(model, recipe)
    log, spent = _resume(model, optimizer, recipe, out)
    data, probe = views(recipe), Probe(recipe)
    _say({"pictures": len(data.pixels), "cpu_s": round(time.process_time() - started)})
    saved, losses = time.monotonic(), list[float]()
    for step in range(log[-1]["step"] if log else 0, recipe.steps):
        losses.append(_step(model, optimizer, data, recipe, step))
        done = step + 1
        if done % LOG_EVERY == 0 or done == recipe.steps:
            now = spent + time.process_time() - started
            entry = {"step": done, "loss": round(float(np.mean(losses)), 4), "cpu_s": round(now)}
            if done % recipe.probe_every in (0, recipe.probe_every // 2) or done == recipe.steps:
                entry |= probe(model.image)
            log.append(entry)
            losses.clear()
            _say(entry)
            if time.monotonic() - saved > CHECKPOINT_SECONDS or done == recipe.steps:
                _keep(model, optimizer, log, out)
                saved = time.monotonic()
    export(model, {"recipe": asdict(recipe), "curve": log}, out, recipe.objective)


def _say(entry: dict[str, Any]) -> None:
    print(json.dumps(entry), flush=True)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; biases, scales and the temperature do not decay."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    kept = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )


def _step(
    model: Any, optimizer: torch.optim.Optimizer, data: Views, recipe: Recipe, step: int
) -> float:
    """Learn from one batch; its loss."""
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
    return float(loss.item())


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
        for part in torch.split(probe.pixels, recipe.batch):
            holder.image(normal(part))
    entry = {"step": 0, **probe(holder.image)}
    _say(entry)
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
    usual = Recipe(objective="")
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--groups", type=int, default=usual.groups)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = Recipe(objective=given.objective, steps=given.steps, groups=given.groups)
    given.out.mkdir(parents=True, exist_ok=True)
    (calibrate if given.objective == "random" else train)(recipe, given.out)


if __name__ == "__main__":
    main()
