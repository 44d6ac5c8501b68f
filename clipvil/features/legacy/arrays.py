"""Folders of numpy files: CLIP-ViL's captioning `.npz` (key `feat`) and its VQA `.npy`.

Source   https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
         https://github.com/clip-vil/CLIP-ViL: cocotalk_att/ID.npz [R, C, D] fp32,
         cocotalk_fc/ID.npy [P], COCO_*.npy [1, R, C, D]
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as layout
from numpy.typing import NDArray

from clipvil.features.legacy.base import BOXES, FEATURES, HEIGHTS, LARGEST, WIDTHS, Arrays

WANTED = {f"{name}.npy" for name in (*FEATURES, *BOXES, *WIDTHS, *HEIGHTS)}


def npy(path: Path) -> Arrays:
    """The array of a file."""
    with path.open("rb") as file:
        return {"": array(file, path.stat().st_size)}


def npz(path: Path) -> Arrays:
    """Those arrays of a file that say something of features; a single one under any name."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        wanted = [m for m in members if m.filename in WANTED] or members
        if len(wanted) > 1 and wanted is members:
            raise ValueError(f"none of {', '.join(FEATURES)} among its arrays")
        found = dict[str, Any]()
        for member in wanted:
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as file:
                found[name if member.filename in WANTED else ""] = array(file, member.file_size)
        return found


def array(file: IO[bytes], size: int) -> NDArray[Any]:
    """An array of `size` bytes with its header; holds no Python objects.

    Raises
        ValueError: objects, or a shape that its own bytes do not fill exactly
    """
    version = layout.read_magic(file)
    read = layout.read_array_header_1_0 if version == (1, 0) else layout.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are not read")
    length = math.prod(shape) * dtype.itemsize
    if file.tell() + length != size or length > LARGEST:
        raise ValueError(f"{shape} of {dtype} in {size:,} bytes")
    content = file.read(length)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
