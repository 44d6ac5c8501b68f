"""Three small encoders that ship with the package: `tiny:clip`, `tiny:supervised`, `tiny:random`.

One network, three sets of weights, made by `clipvil.pretrain.tiny_encoders` on the embedded world:
contrastive on captions (its text tower too), one label a picture, and untrained. Beside the weights
lies a JSON file with the recipe, the curve and what it cost.

Options  size=64 or size=64x96 (height x width, multiples of 8), weights=FILE, precision=fp32|bf16
Shapes   B batch, H x W pixels, R x C grid cells, D cell width, P pooled width, T words
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Bool, Float, Int
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from clipvil import registry
from clipvil.core import UsageError
from clipvil.encoders import _options, _weights
from clipvil.encoders.base import Card, Encoder, Preprocessing, hash_weights

NAMES: Final = ("clip", "supervised", "random")
OPTIONS: Final = ("size", "weights", "precision")
NATIVE: Final = (64, 64)  # height, width
WIDTH: Final = 128  # D, and P
STRIDE: Final = 8
LONGEST: Final = 40  # words of a caption that the text tower reads


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        """Features at `stride` times fewer places a side."""
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.short(x) + self.second_norm(self.second(inner)))


class AttentionPool(nn.Module):
    """The mean of the cells asks all cells once; knows no positions, so any grid will do."""

    def __init__(self, width: int = WIDTH, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, grid: Float[Tensor, "B R C D"]) -> Float[Tensor, "B P"]:
        """One vector a picture."""
        cells = grid.flatten(1, 2)  # [B, R * C, D]
        mean = cells.mean(1, keepdim=True)  # [B, 1, D]
        split = [
            linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear, x in ((self.query, mean), (self.key, cells), (self.value, cells))
        ]
        seen = F.scaled_dot_product_attention(*split)  # [B, heads, 1, D / heads]
        pooled: Tensor = self.out(seen.flatten(1)) + mean.squeeze(1)
        return pooled


class TinyNetwork(nn.Module):
    """Convolutions only: half a million parameters, one cell for every 8 x 8 pixels."""

    def __init__(self, *, attention: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 48, 4, 4, bias=False)
        self.norm = nn.BatchNorm2d(48)
        self.blocks = nn.Sequential(Block(48, 64, 1), Block(64, 96, 2), Block(96, WIDTH, 1))
        self.pool = AttentionPool() if attention else None

    def forward(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B R C D"], Float[Tensor, "B P"]]:
        """Cells, and one vector a picture: attention-pooled, or their mean."""
        x = F.relu(self.norm(self.stem(pixels)))
        grid: Tensor = self.blocks(x).permute(0, 2, 3, 1)  # [B, R, C, D]
        return grid, grid.mean((1, 2)) if self.pool is None else self.pool(grid)


class Words:
    """A closed vocabulary: 0 pads, 1 stands for every unknown word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._ids = {word: k for k, word in enumerate(self.words, 2)}

    def __len__(self) -> int:
        return len(self.words) + 2

    def __call__(self, texts: Iterable[str]) -> Int[Tensor, "B T"]:
        """Word ids, padded to the longest text."""
        rows = [[self._ids.get(w, 1) for w in tokens(text)][:LONGEST] or [1] for text in texts]
        longest = max(len(row) for row in rows)
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def tokens(text: str) -> list[str]:
    """Lower-case words of a text."""
    return re.findall(r"[a-z]+", text.lower())


class TextTower(nn.Module):
    """A two-layer transformer over words; the mean of what it says of the words, normalised."""

    def __init__(self, words: Words, width: int = WIDTH, heads: int = 4) -> None:
        super().__init__()
        self.words = words
        self.embed = nn.Embedding(len(words), width, padding_idx=0)
        self.place = nn.Parameter(0.02 * torch.randn(LONGEST, width))
        self.layers = nn.ModuleList(TextLayer(width, heads) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B P"]:
        """Embeddings of unit length; padding changes nothing."""
        real = ids != 0  # [B, T]
        x = self.embed(ids) + self.place[: ids.shape[1]]  # [B, T, P]
        for layer in self.layers:
            x = layer(x, real)
        x = self.norm(x) * real.unsqueeze(-1)
        mean = x.sum(1) / real.sum(1, keepdim=True)  # [B, P]
        return F.normalize(self.out(mean).float(), dim=-1)


class TextLayer(nn.Module):
    """Self-attention and a feed-forward part, each after a norm and with a short cut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self, x: Float[Tensor, "B T P"], real: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T P"]:
        """Words in the light of the others."""
        q, k, v = self.mix(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None])
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        fed: Tensor = x + self.feed(x)
        return fed


def build(name: str, options: Mapping[str, str]) -> Encoder:
    """An encoder of this family.

    Raises
        UsageError: unknown name or option, or a size that is not a multiple of the stride
        FileNotFoundError: no such weights file
        ValueError: weights of another network
    """
    if name not in NAMES:
        raise registry.unknown("tiny encoder", name, NAMES)
    source = f"tiny:{name}"
    _options.known(source, options, OPTIONS)
    size = _options.size(options) or NATIVE
    if any(side % STRIDE for side in size):
        raise UsageError(f"{source},size={options['size']}: sides are multiples of {STRIDE}")
    network = TinyNetwork(attention=name == "clip")
    _fill(network, Path(options["weights"]) if "weights" in options else shipped(name), "image.")
    card = Card(
        name=_options.named(source, options),
        width=WIDTH,
        pooled_width=WIDTH,
        layer="the last one",
        weights=hash_weights(network),
        preprocessing=Preprocessing(size=size, stride=STRIDE),
        parameters=sum(p.numel() for p in network.parameters()),
        options=_options.recorded(options),
    )
    return Encoder(card, network.to(_options.precision(options))).eval()


def text_tower(name: str, options: Mapping[str, str]) -> TextTower:
    """The text tower beside `tiny:clip`, in evaluation mode; its words lie in the file's header.

    Raises
        UsageError: another encoder than `clip`, or an unknown option
    """
    if name != "clip":
        raise UsageError(f"tiny:{name} has no text encoder; tiny:clip has")
    _options.known(f"tiny:{name}", options, OPTIONS)
    path = Path(options["weights"]) if "weights" in options else shipped(name)
    with safe_open(path, "pt") as file:
        tower = TextTower(Words(json.loads(file.metadata()["words"])))
    _fill(tower, path, "text.")
    return tower.eval()


def shipped(name: str) -> Path:
    """The weights that came with the package."""
    return Path(__file__).parent / "weights" / f"tiny_{name}.safetensors"


def _fill(network: nn.Module, path: Path, prefix: str) -> None:
    """Load one tower of a weights file, widened to fp32."""
    tensors = {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in _weights.read(path).items()
        if name.startswith(prefix)
    }
    _weights.fill(network, tensors, what=f"the {prefix.rstrip('.')} tower in {path.name}")
