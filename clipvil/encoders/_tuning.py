"""What is learnt of an encoder inside a model: small products beside its weights, or all of them.

Source   LoRA, arXiv:2106.09685
Way      torch's parametrizations: the weight is the sum wherever the network reads it. Wrappers
         around layers miss networks that read `.weight` themselves, as timm's EVA does
Shapes   O outputs, I inputs (a convolution's kernel flattened), K rank
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from clipvil.core import UsageError
from clipvil.encoders.base import Encoder

Way = Literal["lora", "full"]

ATTENTION = ("attn", "attention")  # in the names of its modules, in every library so far


def tune(encoder: Encoder, way: Way, rank: int) -> None:
    """Let be learnt of an encoder what its cells depend on: products of `rank`, or every weight.

    Raises
        UsageError: LoRA has nowhere to go or no such rank; or weights too coarse to be trained
    """
    encoder.requires_grad_(True)
    used = reached(encoder)
    encoder.freeze()
    if way == "lora":
        add(encoder.network, rank, used)
        return
    encoder.frozen = False
    for name, parameter in encoder.network.named_parameters():
        if parameter.dtype != torch.float32:
            raise UsageError(
                f"{encoder.card.name} is too coarse to be trained in full: leave out its "
                "precision, a stage has its own"
            )
        parameter.requires_grad_(name in used)


def learnt(encoder: Encoder) -> dict[str, nn.Parameter]:
    """The weights of an encoder that are trained, by name."""
    return {name: p for name, p in encoder.named_parameters() if p.requires_grad}


def restore(encoder: Encoder, tensors: Mapping[str, Tensor]) -> Encoder:
    """Put what was learnt into an encoder that `tune` made ready for it, and freeze it so.

    Raises
        ValueError: tensors of another encoder or another way of training
    """
    wanted = learnt(encoder)
    if wanted.keys() != tensors.keys():
        raise ValueError(f"these are not the trained weights of {encoder.card.name}")
    encoder.load_state_dict(dict(tensors), strict=False)
    merge(encoder.network)
    return encoder.freeze()


def reached(encoder: Encoder) -> set[str]:
    """Names of the network's parameters that its cells depend on: the pooled vector may have more.

    One black picture tells; nothing is computed where the encoder is on torch's meta device.
    """
    named = dict(encoder.network.named_parameters())
    black = torch.zeros(
        1, 3, *encoder.preprocessing.size, dtype=torch.uint8, device=encoder.mean.device
    )
    grid = encoder(black).grid
    gradients = torch.autograd.grad(grid.sum(), [*named.values()], allow_unused=True)
    return {name for name, found in zip(named, gradients, strict=True) if found is not None}


# ---------------------------------------------------------------------------- LoRA


class LowRank(nn.Module):
    """A weight plus `up @ down`, which begins at zero."""

    def __init__(self, weight: Float[Tensor, "O ..."], rank: int) -> None:
        super().__init__()
        device = weight.device  # in fp32, whatever the weight is in: what is learnt is small
        self.down = nn.Parameter(torch.empty(rank, weight[0].numel(), device=device))  # [K, I]
        self.up = nn.Parameter(torch.zeros(len(weight), rank, device=device))  # [O, K]
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))  # as the paper's own code draws it

    def forward(self, weight: Float[Tensor, "O ..."]) -> Float[Tensor, "O ..."]:
        """The weight that the network computes with."""
        return weight + (self.up @ self.down).view(weight.shape).to(weight.dtype)


def add(network: nn.Module, rank: int, used: Collection[str]) -> None:
    """Let a product of `rank` be learnt beside the weights of a network's attention.

    Where nothing attends (ResNets), 1x1 convolutions take its place.

    Args
        used: names of the parameters that what is read of the network depends on

    Raises
        UsageError: no such layer, or no such rank
    """
    if rank < 1:
        raise UsageError(f"the rank of LoRA is at least 1, not {rank}")
    layers = [found for found in attending(network) if ".".join(found) in used]
    layers = layers or [found for found in pointwise(network) if ".".join(found) in used]
    if not layers:
        raise UsageError(
            "LoRA learns beside attention or 1x1 convolutions, and this encoder has neither on "
            "the way to its cells: train it in full"
        )
    for name, weight in layers:
        module = network.get_submodule(name)
        product = LowRank(getattr(module, weight), rank)
        # unsafe spares a trial computation; shape and type are the weight's by construction
        parametrize.register_parametrization(module, weight, product, unsafe=True)


def attending(network: nn.Module) -> Iterator[tuple[str, str]]:
    """(module, weight) of the linear layers of a network's attention."""
    for name, module in network.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            yield name, "in_proj_weight"
        elif isinstance(module, nn.Linear) and any(word in name.lower() for word in ATTENTION):
            yield name, "weight"


def pointwise(network: nn.Module) -> Iterator[tuple[str, str]]:
    """(module, weight) of a network's 1x1 convolutions."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            yield name, "weight"


def merge(network: nn.Module) -> None:
    """Make the sums the weights, as if there had been no products: nothing is computed twice."""
    for module in [*network.modules()]:
        for weight in [*getattr(module, "parametrizations", ())]:
            parametrize.remove_parametrizations(module, weight)
