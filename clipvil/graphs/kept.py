"""An atlas worked out once: it is kept in the user's cache, and read there while the files are so.

Files    $XDG_CACHE_HOME/clipvil/graphs/<sha256 of the files and their names>.safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipvil.files import atomic
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.connectivity import SUFFIX, read_graph
from clipvil.progress import say

FORMAT = 1  # to be raised whenever the arrays come to mean something else
ARRAYS = tuple(f.name for f in fields(Atlas) if f.name not in ("scans", "names", "isolated"))


def read_atlas(folder: Path, scans: Sequence[str] | None = None) -> Atlas:
    """The graphs of a folder of connectivity files: of all that are there, or of `scans`.

    Raises
        ValueError: a file is not there or not what it should be; names it
    """
    if scans is None:
        scans = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    if not scans:
        raise ValueError(f"no navigation graphs *{SUFFIX} in {folder}")
    place = kept(folder, scans)
    known = load(place)
    if known is None:
        known = Atlas.of(read_graph(folder, scan) for scan in scans)
        store(place, known)
    return known


def kept(folder: Path, scans: Sequence[str]) -> Path:
    """Where the atlas of some files is kept: another content has another place."""
    found = hashlib.sha256(str(FORMAT).encode())
    for scan in scans:
        path = folder / f"{scan}{SUFFIX}"
        content = path.read_bytes() if path.is_file() else b""
        found.update(json.dumps([scan, hashlib.sha256(content).hexdigest()]).encode())
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "clipvil" / "graphs" / f"{found.hexdigest()}.safetensors"


def store(place: Path, atlas: Atlas) -> None:
    """Keep an atlas; one that cannot be written costs time only."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(getattr(atlas, name)) for name in ARRAYS}
    words = json.dumps([atlas.scans, atlas.names, sorted(atlas.isolated)])
    content = save(arrays, {"words": words, "sha256": digest(words, arrays)})
    try:
        with atomic(place) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        say(f"{place} could not be written ({error.strerror}): the next time takes as long")


def load(place: Path) -> Atlas | None:
    """The atlas kept in a file; None where it is not there, or not what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(place, "np") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    if about.get("sha256") != digest(about.get("words", ""), arrays):
        return None
    scans, names, isolated = json.loads(about["words"])
    return Atlas(
        scans=tuple(scans), names=tuple(names),
        isolated=frozenset((scan, name) for scan, name in isolated), **arrays,
    )  # fmt: skip


def digest(words: str, arrays: dict[str, NDArray[Any]]) -> str:
    """sha256 of what is kept."""
    found = hashlib.sha256(words.encode())
    for name in sorted(arrays):
        found.update(name.encode() + arrays[name].tobytes())
    return found.hexdigest()
