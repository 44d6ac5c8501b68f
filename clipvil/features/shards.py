"""A shard: the features of some pictures in one safetensors file, their ids in a text beside it.

Source   https://huggingface.co/docs/safetensors (8 bytes of header length, JSON, data)
Tensors  values  fp16, bf16 or fp32 [sum N, D]: the cells of all pictures, row by row
         offsets int64 [n + 1]: picture i has the rows offsets[i] to offsets[i + 1] of `values`
         grid    int32 [n, 2]: rows, columns (N = rows x columns)
         size    int32 [n, 2]: width, height of the original, upright, in pixels
         affine  float32 [n, 4]: a, b, c, d; pixel (x, y) is at (a x + b, c y + d), in cells
         pooled  as values [n, P], where the encoder has it
         boxes   float32 [sum N, 4]: x1, y1, x2, y2 of a region in pixels, where cells are regions
An encoder's store has the first five. Converted ones may lack grid (regions lie in none), size and
affine, which their source did not tell.
Reading trusts nothing that the file's own size and the other tensors do not confirm.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipvil import files

Dtype = Literal["fp16", "bf16", "fp32"]
TORCH: Mapping[Dtype, torch.dtype] = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
}
BYTES: Mapping[Dtype, int] = {"fp16": 2, "bf16": 2, "fp32": 4}
# numpy has no bfloat16: its bits are read as integers and widened by `floats`
NUMPY: Mapping[str, str] = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "I32": "<i4", "I64": "<i8"}
FAILURES = "failures"  # key of the header's metadata: JSON {id: reason}
LONGEST_HEADER = 1 << 24  # bytes; ours have some hundreds, and a kilobyte for each broken picture


def name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:05d}.safetensors"


def ids_path(path: Path) -> Path:
    """The text with a shard's ids, one a line."""
    return path.with_suffix(".txt")


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's tensors, mapped and not read; `ids[i]` belongs to picture i."""

    ids: tuple[str, ...]
    values: NDArray[Any]  # [sum N, D]; bfloat16 as uint16
    offsets: NDArray[np.int64]  # [n + 1]
    grid: NDArray[np.int32] | None  # [n, 2]
    size: NDArray[np.int32] | None  # [n, 2]
    affine: NDArray[np.float32] | None  # [n, 4]
    pooled: NDArray[Any] | None  # [n, P]
    boxes: NDArray[np.float32] | None  # [sum N, 4]
    failures: Mapping[str, str]


def write(
    path: Path, ids: tuple[str, ...], tensors: Mapping[str, Tensor], failures: Mapping[str, str]
) -> None:
    """Write ids, then tensors; with the second file the shard is there, whole."""
    files.write_bytes(ids_path(path), "".join(f"{i}\n" for i in ids).encode())
    # one key only: the library writes several in any order
    metadata = {FAILURES: msgspec.json.encode(dict(sorted(failures.items()))).decode()}
    with files.atomic(path) as temporary:
        try:
            safetensors.torch.save_file(dict(tensors), temporary, metadata)
        except safetensors.SafetensorError as error:  # a full disk, most likely
            raise OSError(f"{path}: {error}") from error


def read(path: Path) -> Shard:
    """Map a shard, checked against its own size, its ids and itself.

    Raises
        ValueError: cut short, not a shard, or inconsistent; says where
    """
    try:
        arrays, metadata = mapped(path)
        text = ids_path(path).read_bytes().decode()
        failures = msgspec.json.decode(metadata.get(FAILURES, "{}"), type=dict[str, str])
        shard = Shard(
            ids=tuple(text.split("\n")[:-1]),
            values=arrays["values"],
            offsets=arrays["offsets"],
            grid=arrays.get("grid"),
            size=arrays.get("size"),
            affine=arrays.get("affine"),
            pooled=arrays.get("pooled"),
            boxes=arrays.get("boxes"),
            failures=failures,
        )
        check(shard)
    except KeyError as error:
        raise ValueError(f"{path} has no {error}") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error
    return shard


def mapped(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Every tensor of a safetensors file as a view of the mapped file, and its metadata."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, LONGEST_HEADER):
            raise ValueError("cut short, or not a shard")
        header: dict[str, Any] = msgspec.json.decode(file.read(length), type=dict[str, Any])
    metadata = msgspec.convert(header.pop("__metadata__", {}), dict[str, str])
    entries = {n: msgspec.convert(e, Entry) for n, e in header.items()}
    whole = np.asarray(np.memmap(path, np.uint8, "r"))
    arrays, expected = dict[str, NDArray[Any]](), 0
    for tensor, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        start, end = entry.data_offsets
        kind = np.dtype(NUMPY[entry.dtype])
        if start != expected or end - start != math.prod(entry.shape) * kind.itemsize:
            raise ValueError(f"{tensor} is not where its shape says")
        expected = end
        if 8 + length + end <= size:
            block = whole[8 + length + start : 8 + length + end]
            arrays[tensor] = block.view(kind).reshape(entry.shape)
    if 8 + length + expected != size:
        raise ValueError(f"{size} bytes where the header says {8 + length + expected}")
    return arrays, metadata


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def check(shard: Shard) -> None:
    """Refuse a shard whose tensors contradict each other."""
    n = len(shard.ids)
    shapes = {"offsets": (n + 1,), "grid": (n, 2), "size": (n, 2), "affine": (n, 4),
              "boxes": (len(shard.values), 4)}  # fmt: skip
    for tensor, shape in shapes.items():
        found = getattr(shard, tensor)
        if found is not None and found.shape != shape:
            raise ValueError(f"{tensor} is not {shape}, for {n} ids")
    if shard.values.ndim != 2 or (
        shard.pooled is not None and (shard.pooled.ndim != 2 or len(shard.pooled) != n)
    ):
        raise ValueError(f"values or pooled are not tables for {n} ids")
    counts = np.diff(shard.offsets)  # [n]
    if shard.offsets[0] != 0 or shard.offsets[-1] != len(shard.values) or (counts < 1).any():
        raise ValueError("offsets do not fit the values")
    grid = shard.grid
    if grid is not None and ((grid < 1).any() or (counts != grid.astype(np.int64).prod(1)).any()):
        raise ValueError("offsets do not fit the grids")


def floats(stored: NDArray[Any]) -> NDArray[Any]:
    """Stored values as numbers."""
    if stored.dtype == np.uint16:  # bfloat16: the upper half of a float32
        wide: NDArray[Any] = (stored.astype(np.uint32) << 16).view(np.float32)
        return wide
    return stored


def tensor(stored: NDArray[Any]) -> Tensor:
    """Stored values as torch's numbers, which it converts quickly; nothing may be written there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        values = torch.from_numpy(stored.view(np.int16) if stored.dtype == np.uint16 else stored)
    return values.view(torch.bfloat16) if stored.dtype == np.uint16 else values
