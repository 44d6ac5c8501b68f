"""What open_clip knows of a model, and its files: in a folder, in the hub's cache or on the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import constants
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor

from clipvil import registry
from clipvil.core import UsageError
from clipvil.encoders import _weights

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
CONFIG = "open_clip_config.json"
BRING = "all files from {place} into a folder and name openclip:local-dir:FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a model before it is built."""

    name: str
    model: dict[str, Any]  # open_clip's own configuration
    pictures: dict[str, Any]  # how it wants its pictures
    repository: str | None = None  # of the hub
    files: tuple[str, ...] = WEIGHTS  # of that repository
    file: Path | None = None  # of a local folder


def find(name: str) -> Found:
    """What open_clip records about a model: architecture, preprocessing, where its weights are.

    Raises
        UsageError: unknown model or tag, or weights of another activation than the model's
        FileNotFoundError: no such folder, or nothing known of that repository
    """
    kind, _, place = name.partition(":")
    if kind == "local-dir":
        config = Path(place).expanduser() / CONFIG
        if not config.is_file():
            raise FileNotFoundError(f"no {CONFIG} in {place}")
        file = next((config.with_name(n) for n in WEIGHTS if config.with_name(n).is_file()), None)
        return described(name, config, file=file)
    if kind == "hf-hub":
        return described(name, _weights.from_hub(place, (CONFIG,), BRING), repository=place)
    model, _, tag = name.partition("/")
    config = open_clip.get_model_config(model)
    if config is None:
        raise registry.unknown("open_clip model", model, open_clip.list_models())
    pictures = asdict(open_clip.transform.PreprocessCfg())
    if not tag:
        return Found(name=name, model=config, pictures=pictures)
    known = open_clip.get_pretrained_cfg(model, tag)
    if not known:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise registry.unknown(f"open_clip weights of {model}", tag, tags)
    if known.get("quick_gelu") and not config.get("quick_gelu"):
        # open_clip loads them with a warning into a network with another activation
        raise UsageError(
            f"the weights {tag} of {model} were trained with QuickGELU and that model computes "
            f"GELU: use openclip:{model}-quickgelu/{tag}"
        )
    repository, _, file = known["hf_hub"].rpartition("/")
    return Found(
        name=name,
        model=config,
        pictures=pictures | known,
        repository=repository,
        files=(f"{file.removesuffix('.bin')}.safetensors", file) if file else WEIGHTS,
    )


def described(
    name: str, path: Path, *, repository: str | None = None, file: Path | None = None
) -> Found:
    """A model by the file that open_clip writes beside its weights."""
    text = json.loads(path.read_text())
    pictures = asdict(open_clip.transform.PreprocessCfg()) | text.get("preprocess_cfg", {})
    return Found(
        name=name, model=text["model_cfg"], pictures=pictures, repository=repository, file=file
    )


def tensors(found: Found, options: Mapping[str, str], prefix: str) -> dict[str, Tensor]:
    """One tower's tensors out of the file that is given, lies in the folder, or is on the hub."""
    if "weights" in options:
        path = Path(options["weights"]).expanduser()
    elif found.file is not None:
        path = found.file
    elif found.repository is not None:
        try:
            path = _weights.from_hub(found.repository, found.files)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"openclip:{found.name}: {error}") from error
    else:
        known = open_clip.list_pretrained_tags_by_model(found.name)
        tags = f"name one of its tags ({', '.join(known)}) or " if known else ""
        raise FileNotFoundError(f"no weights for openclip:{found.name}: {tags}add weights=FILE")
    whole = convert_to_custom_text_state_dict(_weights.read(path))
    return {n.removeprefix(prefix): t for n, t in whole.items() if n.startswith(prefix)}


def tokenizer(name: str, repository: str | None) -> Callable[[Sequence[str]], Tensor]:
    """open_clip's tokenizer; one of a repository of the hub comes out of its cache, or from there.

    Raises
        FileNotFoundError: it is neither cached nor to be had
    """
    settings = {}
    if repository is not None and not name.startswith("local-dir:"):
        _weights.from_hub(repository, ("tokenizer.json", "tokenizer_config.json"), BRING)
        settings["local_files_only"] = not _weights.reachable(constants.ENDPOINT)
    try:
        read = open_clip.get_tokenizer(
            name.partition("/")[0] if ":" not in name else name, **settings
        )
    except OSError as error:
        raise FileNotFoundError(f"the tokenizer of openclip:{name}: {error}") from error
    return lambda texts: read(list(texts))
