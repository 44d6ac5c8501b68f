"""Any vision tower of transformers: `hf:google/siglip2-base-patch16-224`, `hf:FOLDER`.

Source   https://github.com/huggingface/transformers
Names    a repository of the hub (`OWNER/NAME`, `OWNER/NAME@REVISION`), or a folder like one
Files    config.json, preprocessor_config.json, model.safetensors (or pytorch_model.bin, or shards)
Grid     the last block after its final norm, or the last map of a convolutional network; the tokens
         of class and registers are left out
Pooled   CLIP's projected embedding, else what the network itself pools, else the class token, else
         none

Position embeddings at another size are resampled by transformers (bicubic, to the true rectangle);
at the native size they are not touched. SigLIP 2 in its NaFlex variant takes patches, not pictures,
and is refused; its variants of one resolution are what `google/siglip2-*-patch*-*` holds.

Options  size=448 or size=384x640 (height x width), fit=keep|squash|crop, layer=-2,
         weights=FILE (tensors alone) or weights=FOLDER (all files), weights=random with seed=0,
         precision=bf16
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from clipvil.core import UsageError
from clipvil.encoders import _options, _shapes, _weights
from clipvil.encoders._hf_files import PICTURES, Files, described, native_size, normalisation
from clipvil.encoders._hf_grid import Vision, probe
from clipvil.encoders.base import Card, Encoder, Preprocessing, hash_weights

OPTIONS = ("size", "fit", "layer", "weights", "seed", "precision")
WHOLE = ("vision_model.", "vision_encoder.")  # what whole models call their vision half
NAFLEX = (
    "is SigLIP 2 NaFlex, which takes patches and not pictures: use a variant of one resolution, "
    "such as hf:google/siglip2-base-patch16-224"
)
REFUSED = {  # by the kind of model
    "siglip2": NAFLEX,
    "siglip2_vision_model": NAFLEX,
    "vit_mae": "hides patches at random, as it was trained: name the same weights in timm, such as "
    "timm:vit_base_patch16_224.mae",
    "groupvit_vision_model": "ends in groups of patches, which lie in no grid",
}


def build(name: str, options: Mapping[str, str]) -> Encoder:
    """The vision tower of the model `name`, with its own preprocessing.

    Raises
        UsageError: not a vision tower, or no such option, layer or size
        FileNotFoundError: files neither here nor to be had; says what to download to where
        ValueError: weights of another architecture, or files that say too little
    """
    source = f"hf:{name}"
    _options.known(source, options, OPTIONS)
    files = Files(name, options)
    config = configuration(source, files.find("config.json"))
    pictures = described(files.find(*PICTURES))
    tensors = None
    if options.get("weights") != "random":
        tensors = files.tensors(options.get("weights"))
    try:
        kind, settings = architecture(source, config, tensors or {})
        with torch.device("meta"):
            network = kind(config, **settings).eval()
    except ImportError as error:  # of what a kind alone needs, as DiNAT does natten
        raise UsageError(f"{source}: {str(error).strip().splitlines()[0]}") from error
    native = native_size(config, pictures)
    size = _options.size(options) or native
    taking, layers = probe(source, network, native, options)
    shape = _shapes.measure(source, Vision(network, taking), size)
    fit = _shapes.fit(source, options, any_size=shape.any_size)
    if tensors is not None:
        network = filled(source, kind, config, settings, tensors)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_options.seed(options))
            network = kind(config, **settings)
    preprocessing = Preprocessing(
        size=size, stride=shape.stride, fit=fit, **normalisation(pictures)
    )
    card = Card(
        name=_options.named(source, options),
        width=shape.width,
        pooled_width=shape.pooled,
        layer=f"{layers if taking.layer is None else taking.layer + 1} of {layers}",
        weights=hash_weights(network),
        preprocessing=preprocessing,
        parameters=sum(p.numel() for p in network.parameters()),
        options=_options.recorded(options),
    )
    network.to(_options.precision(options))  # after the hash: it names the weights' source
    encoder = Encoder(card, Vision(network, taking)).eval()
    if pictures.get("do_flip_channel_order"):  # MobileViT has seen blue for red
        encoder = _options.channels(encoder, "bgr")
    return encoder


def configuration(source: str, path: Path) -> Any:
    """The vision half of a model's configuration.

    Raises
        UsageError: unknown to transformers, patches for pictures, or another activation than the
            weights were trained with
    """
    try:
        with quiet():
            whole: Any = transformers.AutoConfig.from_pretrained(str(path))
    except ValueError as error:
        raise UsageError(f"{source}: {str(error).splitlines()[0]}") from error
    config = getattr(whole, "vision_config", None) or whole
    if config.model_type in REFUSED:
        raise UsageError(f"{source} {REFUSED[config.model_type]}")
    if config is not whole and hasattr(whole, "projection_dim"):
        config.projection_dim = whole.projection_dim  # the model's, whatever its half says
    if "openai/clip" in source and config.hidden_act != "quick_gelu":
        raise UsageError(
            f"{source}: OpenAI's weights were trained with QuickGELU and {path.name} says "
            f"hidden_act={config.hidden_act}"
        )
    return config


def architecture(
    source: str, config: Any, tensors: Mapping[str, Tensor]
) -> tuple[Any, dict[str, bool]]:
    """The class of a vision tower, with its projection where it has one, and what to build it with.

    Raises
        UsageError: transformers has none, or it takes something else than pictures
    """
    name = type(config).__name__.removesuffix("Config") + "Model"
    kinds = [getattr(transformers, full, None) for full in (f"{name}WithProjection", name)]
    # of BLIP-2, the one with a projection takes the whole model's configuration
    kind: Any = next((k for k in kinds if getattr(k, "config_class", None) is type(config)), None)
    if getattr(kind, "main_input_name", None) != "pixel_values":
        raise UsageError(f"{source} is a {config.model_type}, which is no vision tower")
    if "add_pooling_layer" not in inspect.signature(kind).parameters:
        return kind, {}
    with torch.device("meta"):
        trained = [n for n in kind(config).state_dict() if n.startswith("pooler.")]
    # classifiers were trained on the class token and left the pooling layer out
    kept = all(any(n.endswith(own) for n in tensors) for own in trained)
    return kind, {} if kept else {"add_pooling_layer": False}


def filled(
    source: str, kind: Any, config: Any, settings: Mapping[str, bool], tensors: dict[str, Tensor]
) -> Any:
    """The network with its weights, by transformers' own renaming; every one of them or none.

    Raises
        ValueError: tensors missing, unexpected or of another shape, with their counts
    """
    with torch.device("meta"):
        names = list(kind(config, **settings).state_dict())
    if not any(n.startswith(WHOLE) for n in names):  # BLIP's vision half alone does not say so
        half = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith(WHOLE)}
        tensors = half or tensors
    with quiet():
        network, told = kind.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to count them
            dtype=torch.float32,
            **settings,
        )
    own = {n.partition(".")[0] for n in network.state_dict()}
    # heads and text towers are left out; a block more than the configuration says is not
    unexpected = [
        n
        for n in told["unexpected_keys"]
        if own & {p.partition(".")[0] for p in (n, n.removeprefix(f"{kind.base_model_prefix}."))}
        and not n.endswith("position_ids")  # counters that older versions wrote
    ]
    _weights.complain(
        f"these weights are not those of {source}",
        len(network.state_dict()),
        sorted(told["missing_keys"]),
        sorted(unexpected),
        sorted(name for name, *_ in told["mismatched_keys"]),
    )
    return network


@contextmanager
def quiet() -> Iterator[None]:
    """No tables and bars from transformers: what they tell becomes our error."""
    log = transformers.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
