"""The files of a model of transformers: in a folder, in the hub's cache or on the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clipvil.core import UsageError
from clipvil.encoders import _weights

SHARDS = "model.safetensors.index.json"
WEIGHTS = (*_weights.HUB_FILES, SHARDS)
PICTURES = ("preprocessor_config.json", "processor_config.json")
BRING = (
    "config.json, preprocessor_config.json and the weights from {place} into a folder and add "
    "weights=FOLDER to the encoder's name"
)
NEEDED = ("image_mean", "image_std", "resample")
# what a processor does unless the file says otherwise
OTHERS = ("size", "do_normalize", "do_flip_channel_order", "rescale_offset", "include_top")
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # PIL's numbers


class Files:
    """Where a model's files are: in a folder, else in the hub's cache or on the hub."""

    def __init__(self, name: str, options: Mapping[str, str]) -> None:
        given = Path(options.get("weights", "")).expanduser()
        folders = [p for p in (given, Path(name).expanduser()) if str(p) != "." and p.is_dir()]
        self.name = name
        self.folder = folders[0] if folders else None

    def find(self, *names: str) -> Path:
        """The first of these files that there is.

        Raises
            FileNotFoundError: none of them; says what to bring
        """
        if self.folder is None:
            try:
                return _weights.from_hub(self.name, names, BRING)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"hf:{self.name}: {error}") from error
            except ValueError as error:  # no name that a repository could have
                raise UsageError(f"hf:{self.name} is no folder, and on no hub: {error}") from error
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise FileNotFoundError(f"no {' or '.join(names)} in {self.folder}")

    def tensors(self, file: str | None) -> dict[str, Tensor]:
        """Every tensor of the weights, of all shards where there are several."""
        whole = file is not None and not Path(file).expanduser().is_dir()
        path = Path(str(file)).expanduser() if whole else self.find(*WEIGHTS)
        if path.name != SHARDS:
            return _weights.read(path)
        shards = sorted(set(json.loads(path.read_text())["weight_map"].values()))
        if any(Path(shard).name != shard for shard in shards):
            raise ValueError(f"{path} names files outside its folder")
        return {n: t for shard in shards for n, t in _weights.read(self.find(shard)).items()}


def described(path: Path) -> dict[str, Any]:
    """How a model wants its pictures; what the file leaves out, as its processor has it."""
    text: dict[str, Any] = json.loads(path.read_text())
    found: dict[str, Any] = text.get("image_processor", text)
    if any(name not in found for name in (*NEEDED, "do_normalize")):
        own = processor(found)
        found = {n: getattr(own, n) for n in (*NEEDED, *OTHERS) if hasattr(own, n)} | found
    needed = NEEDED if found.get("do_normalize", True) else ("resample",)
    missing = [name for name in needed if found.get(name) is None]
    if missing:
        raise ValueError(f"{path} does not say {', '.join(missing)}")
    if found["resample"] not in INTERPOLATIONS:
        raise ValueError(f"{path}: resample {found['resample']} is neither bilinear nor bicubic")
    return found


def processor(found: Mapping[str, Any]) -> Any:
    """The class of transformers that reads such a file; none where it does not say."""
    import transformers

    old, new = found.get("feature_extractor_type", ""), found.get("image_processor_type", "")
    return getattr(transformers, new or old.replace("FeatureExtractor", "ImageProcessor"), None)


def normalisation(pictures: Mapping[str, Any]) -> dict[str, Any]:
    """Interpolation, mean and standard deviation of pixels between 0 and 1."""
    factor = pictures.get("rescale_factor", 1 / 255) if pictures.get("do_rescale", True) else 1
    scale = 255 * factor  # some count pixels from 0 to 2, some from -1 to 1
    lowest = 1 if pictures.get("rescale_offset") else 0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if pictures.get("do_normalize", True):
        mean, std = pictures["image_mean"], pictures["image_std"]
    times = 2 if pictures.get("include_top") else 1  # EfficientNet's are divided once more
    return {
        "interpolation": INTERPOLATIONS[pictures["resample"]],
        "mean": tuple((float(m) + lowest) / scale for m in mean),
        "std": tuple(float(s) ** times / scale for s in std),
    }


def native_size(config: Any, pictures: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) that the network was trained for.

    Raises
        ValueError: no file says it
    """
    said = getattr(config, "image_size", None) or pictures.get("crop_size") or pictures.get("size")
    if said is None:
        raise ValueError(f"neither config.json nor {PICTURES[0]} says a size of pictures")
    if isinstance(said, Mapping):
        edge = said.get("shortest_edge", 224)
        return int(said.get("height", edge)), int(said.get("width", edge))
    return pair(said)


def pair(size: Any) -> tuple[int, int]:
    """(height, width) of a number or of two."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
