"""Checkpoints: one safetensors file that holds everything a run needs to go on bit for bit.

Tensors and plain JSON only, written atomically in a single file: a kill leaves the old one or the
new one, and nothing from outside is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from clipvil.files import atomic

BEST = "best.safetensors"


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts whole or not at all."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        save_file(ready, temporary, metadata={"facts": json.dumps(facts, sort_keys=True)})


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and facts; a broken file is a ValueError that names it."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except OSError:
        raise
    except Exception as error:  # safetensors raises its own kind, which is no ValueError
        raise ValueError(f"{path} is not a checkpoint: {error}") from error


def save_best(run: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the best weights of a run, or of a stage of it."""
    save(run / BEST, {f"model.{name}": tensor for name, tensor in weights.items()}, facts)


def best(run: Path) -> dict[str, Tensor]:
    """The weights that `save_best` wrote."""
    return part(load(run / BEST)[0], "model.")


def pack(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Weights, optimizer state and random state as one flat set of tensors."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return tensors


def unpack(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: Optimizer) -> None:
    """Put back what `pack` took."""
    model.load_state_dict(part(tensors, "model."))
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in part(tensors, "optimizer.").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
