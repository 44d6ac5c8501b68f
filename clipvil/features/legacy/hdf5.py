"""HDF5: one dataset a picture under its id, or `features` beside `ids` of the same length.

Source   https://docs.h5py.org
Datasets that point out of the file (external links and files, virtual ones) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from clipvil.features.legacy.base import FEATURES, LARGEST, Entry, Item, Legacy, fits, guarded, item

IDS = ("ids", "image_ids", "image_id")


def read(path: Path) -> Legacy:
    """Pictures of a file.

    Raises
        ValueError: not such a file, or h5py is not there
    """
    try:
        import h5py
    except ImportError:
        raise ValueError("reading .h5 needs h5py: pip install 'clipvil[h5]'") from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is not HDF5 or cut short") from error
    features = next((name for name in FEATURES if name in file), None)
    ids = next((name for name in IDS if name in file), None)
    if features is None or ids is None:
        return Legacy(format="HDF5", total=len(file), entries=datasets(file))
    names, table = own(file, ids), own(file, features)
    if names.ndim != 1 or table.ndim < 2 or len(names) != len(table):
        raise ValueError(f"{path}: {ids} {names.shape} do not tell the rows of {features}")
    return Legacy(format="HDF5", total=len(names), entries=rows(names, table))


def own(file: Any, name: str) -> Any:
    """A dataset that lies in this file.

    Raises
        ValueError: a group, or data that is elsewhere
    """
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError("a link to elsewhere, which is not followed")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ValueError("no dataset of this file")
    if not dataset.id.get_storage_size():
        raise ValueError("declared, and never written")
    if dataset.dtype.hasobject and name not in IDS:
        raise ValueError(f"values of type {dataset.dtype}")
    return dataset


def datasets(file: Any) -> Iterator[Entry]:
    """One dataset a picture."""

    def load(name: str) -> Item:
        dataset = own(file, name)
        fits(dataset.shape, dataset.dtype.itemsize, LARGEST)
        return item({"": dataset[()]})

    for name in file:
        yield Entry(name, name, guarded(partial(load, name)))


def rows(names: Any, table: Any) -> Iterator[Entry]:
    """One row a picture."""
    fits(table.shape[1:], table.dtype.itemsize, LARGEST)

    def load(number: int) -> Item:
        return item({"": table[number]})

    for number in range(len(names)):
        name = names[number]
        identity = name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name)
        yield Entry(identity, f"row {number + 1}", guarded(partial(load, number)))
