"""Weights: read from a file or a hub's cache, checked name by name before they are believed."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from clipvil.errors import out_of_memory

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order they are looked for
WRAPPERS = ("state_dict", "model")  # where training scripts put the tensors
PATIENCE = 5.0  # seconds to find out whether the hub answers
BRING = "it from {place} and add weights=FILE to the encoder's name"

Tensors = Mapping[str, Tensor]


def read(path: Path) -> dict[str, Tensor]:
    """Tensors by name from `.safetensors`, or from torch's format without running its code.

    Raises
        FileNotFoundError: no such file
        ValueError: not weights, or a pickle that holds more than tensors
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name the weights file in it")
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*TorchScript", UserWarning)  # it is refused below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        if out_of_memory(error):
            raise
        raise ValueError(f"{path} cannot be read as weights: {why(error)}") from error
    for key in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(f"{path} does not hold tensors by name")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def why(error: Exception) -> str:
    """Why a file holds no weights; torch's own advice would be to run what is in it."""
    said = str(error)
    if "TorchScript" in said:  # as OpenAI publishes CLIP
        return (
            "it is a TorchScript program, which is not run; where you trust it, make weights of it "
            "by torch.save(torch.jit.load(FILE, 'cpu').state_dict(), WEIGHTS)"
        )
    if other := re.search(r"GLOBAL (\S+)", said):
        return f"it holds a {other[1]}, and nothing but tensors is unpickled: save these alone"
    if isinstance(error, pickle.UnpicklingError):
        return "it is not in torch's format, or holds more than tensors"
    return said.splitlines()[0] if said else type(error).__name__


def from_hub(repository: str, names: Collection[str] = HUB_FILES, bring: str = BRING) -> Path:
    """A file of a hub repository: out of the hub's cache, else downloaded into it.

    Args
        bring: what a person downloads from {place}, and what for

    Raises
        FileNotFoundError: neither cached nor to be had; says which file and where to put it
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    repository, _, revision = repository.partition("@")
    for name in names:
        cached = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    problem = "the hub cannot be reached"
    if reachable(constants.ENDPOINT):
        for name in names:
            try:
                return Path(hf_hub_download(repository, name, revision=revision or None))
            except OSError as error:  # the hub's own errors all are; the next name may be there
                problem = f"the hub does not give them ({type(error).__name__})"
    place = f"{constants.ENDPOINT}/{repository}"
    raise FileNotFoundError(
        f"no {' or '.join(names)} here and {problem}: download {bring.format(place=place)}, or "
        f"bring a hub cache of it and set HF_HOME to its folder (now {constants.HF_HOME})"
    )


def reachable(endpoint: str) -> bool:
    """Whether the hub answers at once; its own client would try for half a minute."""
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=PATIENCE)
    except Exception:  # offline mode, no route, no name, a proxy: whatever client is installed
        return False
    return True


def fill(
    network: nn.Module,
    tensors: Tensors,
    *,
    what: str,
    unused: Collection[str] = (),
    convert: Callable[[Tensors, nn.Module], Tensors] | None = None,
) -> None:
    """Load `tensors` into `network`, every one of them or none.

    Args:
        what: how messages call the weights
        unused: prefixes of tensors that the network was built without
        convert: the source library's own renaming, tried where names or shapes do not fit

    Raises
        ValueError: tensors missing, unexpected or of another shape, with their counts
    """
    fitting = {n: t for n, t in tensors.items() if not n.startswith(tuple(unused))}
    if convert is not None and any(misfits(network, fitting)):
        try:
            # the converters look at the shape of what is there, so they get all of it
            converted = convert(dict(tensors), network)
        except (KeyError, RuntimeError, ValueError, AttributeError, IndexError, AssertionError):
            converted = tensors  # not the format that it knows; the counts below say so
        fitting = {n: t for n, t in converted.items() if not n.startswith(tuple(unused))}
    complain(what, len(network.state_dict()), *misfits(network, fitting))
    network.load_state_dict(dict(fitting), strict=False)


def misfits(network: nn.Module, tensors: Tensors) -> tuple[list[str], list[str], list[str]]:
    """Names that are missing, unexpected, and of another shape than the network's."""
    own = network.state_dict()
    # counters of batches seen in training; older files lack them and nothing reads them
    missing = [n for n in own if n not in tensors and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in tensors if n not in own]
    reshaped = [n for n, t in own.items() if n in tensors and tensors[n].shape != t.shape]
    return missing, unexpected, reshaped


def complain(
    what: str,
    total: int,
    missing: Sequence[str],
    unexpected: Sequence[str],
    reshaped: Sequence[str],
) -> None:
    """Refuse weights that do not fit.

    Raises
        ValueError: what, and how many of the network's tensors are concerned
    """
    if missing or unexpected or reshaped:
        counts = (
            f"{len(names)} {kind}" + (f" (first {names[0]})" if names else "")
            for kind, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("of another shape", reshaped),
            )
        )
        raise ValueError(f"{what}: of {total} tensors {', '.join(counts)}")
