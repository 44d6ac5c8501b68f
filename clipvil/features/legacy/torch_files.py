"""Folders of `.pth`: MMF's grid features [1, D, R, C], CLIP-ViL's [R, C, D], or a dict of arrays.

Source   https://github.com/facebookresearch/grid-feats-vqa
torch's own loader reads tensors, numbers and numpy arrays and refuses every other object.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipvil.features.legacy.base import BOXES, FEATURES, HEIGHTS, WIDTHS, Arrays, fits

WANTED = {*FEATURES, *BOXES, *WIDTHS, *HEIGHTS}
# numpy's own two helpers, under the names that numpy 1 and 2 write
ARRAY, SCALAR = np.zeros(0).__reduce__()[0], np.float32(0).__reduce__()[0]
NUMPY: list[Any] = [
    *((ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in "efdbhilBHIL?"),
]


def read(path: Path) -> Arrays:
    """The tensor of a file, or those of its dict that say something of features.

    Raises
        ValueError: other objects in it, or a tensor larger than the file
    """
    try:
        with torch.serialization.safe_globals(NUMPY):
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError("not a file of tensors, arrays and numbers alone") from error
    given = found if isinstance(found, dict) else {"": found}
    size = path.stat().st_size
    return {name: plain(v, size) for name, v in given.items() if name == "" or name in WANTED}


def plain(value: Any, size: int) -> Any:
    """A tensor or array as an array; numbers as they are."""
    if isinstance(value, Tensor):
        fits(tuple(value.shape), value.element_size(), size)  # a view may repeat what is stored
        if value.dtype == torch.bfloat16:
            value = value.float()
        return value.detach().numpy()
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise ValueError("holds Python objects, which are not read")
        return value
    if isinstance(value, int | float):
        return value
    raise ValueError(f"holds a {type(value).__name__} for features")
