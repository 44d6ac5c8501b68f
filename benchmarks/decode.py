"""JPEG files to pixels of the network's size: exact, fast, and as the original scripts did it.

    python benchmarks/decode.py PICTURES [--rounds 9] [--quick] [--threads 1]

PICTURES is a folder of photographs; those of 640x480 are taken, as they are and saved again at
quality 90 with halved colours. The original's way is written from its description (arXiv
2107.06383): Pillow opens, converts and resizes bicubically, then a tensor in 0..1 is normalised and
stacked; ours leaves 8 bits, and normalises inside the network. Rows go to decode.csv.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from races import append, hardware, milliseconds, race, ratio
from torchvision.transforms import functional

from clipvil.encoders.base import Preprocessing
from clipvil.processes import keep_memory

SIZE = (640, 480)
SIDES = (224, 448)


def original(path: Path, side: int, way: Preprocessing) -> torch.Tensor:
    """[1, 3, side, side], normalised."""
    picture = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    tensor = functional.normalize(functional.to_tensor(picture), list(way.mean), list(way.std))
    return torch.stack([tensor])


def over(paths: list[Path], read: Callable[[Path], object]) -> Callable[[], int]:
    """A side of a race: read all files."""

    def side() -> int:
        for path in paths:
            read(path)
        return len(paths)

    return side


def measure(paths: list[Path], kind: str, rounds: int) -> None:
    for side in SIDES:
        exact = Preprocessing(size=(side, side), stride=32, fit="squash")
        fast = replace(exact, decode="fast")
        sides = {
            "original": over(paths, lambda path, way=exact, s=side: original(path, s, way)),
            "exact": over(paths, exact.read),
            "fast": over(paths, fast.read),
        }
        taken = race(sides, rounds)
        pairs = [(exact.read(path).values, fast.read(path).values) for path in paths]
        apart = [np.abs(a.astype(int) - b) for a, b in pairs]
        for name in sides:
            times = ratio(taken, "original", name)
            row = hardware() | {"files": f"{len(paths)} {kind}", "side": str(side), "way": name}
            row |= milliseconds(taken[name])
            row |= {"times as fast, wall": f"{times.wall:.2f}", "CPU": f"{times.cpu:.2f}"}
            fastest = name == "fast"
            row["pixels apart, mean"] = f"{np.mean(apart):.4f}" if fastest else ""
            row["most"] = str(max(d.max() for d in apart)) if fastest else ""
            append(Path(__file__).with_suffix(".csv"), row)
            print(f"{kind}, {side}: {name} {row['wall ms']} ms, {times.wall:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    keep_memory()  # as `encode` does
    found = [p for p in sorted(asked.pictures.glob("*.jpg")) if Image.open(p).size == SIZE]
    paths, rounds = (found[:2], 1) if asked.quick else (found, asked.rounds)
    measure(paths, "as they are", rounds)
    with tempfile.TemporaryDirectory() as folder:
        again = [Path(folder) / path.name for path in paths]
        for path, copy in zip(paths, again, strict=True):
            Image.open(path).save(copy, quality=90, subsampling="4:2:0")
        measure(again, "at quality 90, 4:2:0", rounds)


if __name__ == "__main__":
    main()
