"""Options that families share, out of the text after an encoder's name."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from clipvil import registry
from clipvil.core import UsageError
from clipvil.encoders.base import Decode, Encoder, Fit

Options = Mapping[str, str]


def known(source: str, options: Options, names: Collection[str]) -> None:
    """Refuse an option that the family does not have."""
    for name in options:
        if name not in names:
            raise registry.unknown(f"option of {source.partition(':')[0]}", name, names)
    if "seed" in options and options.get("weights") != "random":
        raise UsageError("seed belongs to weights=random")


def size(options: Options) -> tuple[int, int] | None:
    """`size=448` or `size=384x640`: (height, width) in pixels."""
    if "size" not in options:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", options["size"])
    if match is None:
        raise UsageError(f"size={options['size']}: write 448, or 384x640 (height x width)")
    return int(match[1]), int(match[2] or match[1])


def fit(options: Options, *, default: Fit) -> Fit:
    """`fit=keep`, `squash` or `crop`; see `Preprocessing`."""
    match options.get("fit", default):
        case "keep":
            return "keep"
        case "squash":
            return "squash"
        case "crop":
            return "crop"
        case other:
            raise registry.unknown("fit", other, ("keep", "squash", "crop"))


def integer(options: Options, name: str, default: int) -> int:
    """A whole number."""
    try:
        return int(options.get(name, default))
    except ValueError:
        raise UsageError(f"{name}={options[name]} is not a whole number") from None


def layer(options: Options, layers: int) -> int:
    """`layer=-2`: which of so many, counted from 0; the last one where nothing is said."""
    chosen = integer(options, "layer", -1)
    if not -layers <= chosen < layers:
        raise UsageError(f"there is no layer {chosen}: the network has {layers}")
    return chosen % layers


def seed(options: Options) -> int:
    """What random weights are drawn from."""
    return integer(options, "seed", 0)


def precision(options: Options) -> torch.dtype:
    """`precision=fp32` or `bf16`: what the network holds and computes in."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    chosen = options.get("precision", "fp32")
    if chosen not in kinds:
        raise registry.unknown("precision", chosen, kinds)
    return kinds[chosen]


def placeless(options: Options) -> bool:
    """`positions=zero`: whether position embeddings are zero instead of those of the weights."""
    if options.get("positions", "zero") != "zero":
        raise registry.unknown("positions", options["positions"], ("zero",))
    return "positions" in options


def decoding(encoder: Encoder, how: str) -> Encoder:
    """`decode=exact` or `fast`, of every family; see `Preprocessing`."""
    kinds: Mapping[str, Decode] = {"exact": "exact", "fast": "fast"}
    if how not in kinds:
        raise registry.unknown("decode", how, kinds)
    if how == "fast" and importlib.util.find_spec("simplejpeg") is None:
        raise UsageError("decode=fast needs the package simplejpeg: pip install 'clipvil[fast]'")
    if kinds[how] != encoder.preprocessing.decode:
        card = encoder.card
        encoder.card = replace(
            card,
            name=f"{card.name},decode={how}",
            preprocessing=replace(card.preprocessing, decode=kinds[how]),
            options={**card.options, "decode": how},
        )
        encoder.preprocessing = encoder.card.preprocessing
    return encoder


def channels(encoder: Encoder, order: str) -> Encoder:
    """`channels=rgb` or `bgr`, of every family: bgr shows red as blue, as published views did."""
    if order not in ("rgb", "bgr"):
        raise registry.unknown("order of channels", order, ("rgb", "bgr"))
    if order == "bgr" and not encoder.swapped:
        card = encoder.card
        options = {**card.options, "channels": order}
        encoder.card = replace(card, name=f"{card.name},channels={order}", options=options)
        encoder.swapped = True
    return encoder


def recorded(options: Options) -> dict[str, str]:
    """The options for the card: not a file's place decides features, its tensors do."""
    kept = {n: v for n, v in options.items() if n != "weights" or v == "random"}
    return dict(sorted(kept.items()))


def named(source: str, options: Options) -> str:
    """The encoder's name with what tells it from others of that name."""
    return ",".join([source, *(f"{n}={v}" for n, v in recorded(options).items())])
