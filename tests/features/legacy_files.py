"""Features in the formats of others, as the published scripts write them."""

import base64
import csv
from pathlib import Path
from typing import Any

import numpy as np

from clipvil.features.convert import Given, convert
from clipvil.features.store import Store, verify

D = 16
BUTD = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
LXMERT = ("img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf",
          "num_boxes", "boxes", "features")  # fmt: skip
R2R = ("scanId", "viewpointId", "image_w", "image_h", "vfov", "features")


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def text(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array)).decode()


def region_row(number: int, n: int) -> dict[str, Any]:
    return {
        "image_id": f"COCO_val2014_{number:012d}", "img_id": f"COCO_val2014_{number:012d}",
        "image_w": 640, "image_h": 480, "img_w": 640, "img_h": 480, "num_boxes": n,
        "boxes": text(np.abs(draw(n, 4, seed=number))), "features": text(draw(n, D, seed=number)),
        "objects_id": text(np.zeros(n)), "objects_conf": text(np.zeros(n)),
        "attrs_id": text(np.zeros(n)), "attrs_conf": text(np.zeros(n)),
    }  # fmt: skip


def write_tsv(path: Path, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """As the published scripts write it."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter="\t", extrasaction="ignore")
        writer.writerows(rows)


def converted(source: Path, out: Path, **settings: Any) -> Store:
    convert(Given(**{"source": source, "name": "butd", "dtype": "fp32"} | settings), out)
    assert verify(out) == []
    return Store(out)
