"""Features in the formats of others, read one picture at a time; one file a kind of format.

The kind follows from the name: a `.tsv` or `.h5` file, or a folder of `.npy`, `.npz` or `.pth`.
Nothing in them is unpickled but plain tensors and numbers, and every size is checked against the
file before it is believed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from clipvil import files
from clipvil.features.legacy import arrays, hdf5, torch_files, tsv
from clipvil.features.legacy.base import Entry as Entry
from clipvil.features.legacy.base import Item as Item
from clipvil.features.legacy.base import Legacy as Legacy
from clipvil.features.legacy.base import one

FOLDERS = {
    ".npy": ("folder of npy", arrays.npy),
    ".npz": ("folder of npz", arrays.npz),
    ".pth": ("folder of pth", torch_files.read),
    ".pt": ("folder of pth", torch_files.read),
}


def find(source: Path) -> Legacy:
    """The features in a file or folder.

    Raises
        FileNotFoundError: no such file or folder
        ValueError: not a format known here, or a folder of several
    """
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}")
    if source.is_dir():
        return folder(source)
    match source.suffix.lower():
        case ".tsv":
            return tsv.read(source)
        case ".h5" | ".hdf5":
            return hdf5.read(source)
        case other:
            known = ".tsv, .h5, or folders of .npy, .npz, .pth"
            raise ValueError(f"{source}: {other or 'no suffix'} is none of {known}")


def folder(source: Path) -> Legacy:
    """One file a picture; its id is the path under the folder without suffix."""
    paths = [path for path in files.walk(source) if path.suffix.lower() in FOLDERS]
    kinds = Counter(path.suffix.lower() for path in paths)
    if not kinds:
        raise ValueError(
            f"{source} holds no features in files {' '.join(FOLDERS)}: name their folder, or a "
            ".tsv or .h5 file; features of pictures are made by `clipvil encode`"
        )
    if len({FOLDERS[kind][0] for kind in kinds}) != 1:
        said = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        raise ValueError(f"{source} holds {said}: convert a folder of one kind at a time")
    name, load = FOLDERS[paths[0].suffix.lower()]
    return Legacy(
        format=name,
        total=len(paths),
        entries=(
            one(path.relative_to(source).with_suffix("").as_posix(), path, load) for path in paths
        ),
    )
