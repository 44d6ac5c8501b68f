"""Files to stored features: against the network alone, timm's own, and the original's loop.

    python benchmarks/encode.py PICTURES [--only CASE] [--sides SIDE ...] [--pairs] [--rounds 5]
                                [--quick]

PICTURES is a folder of photographs; those of 640x480 are taken, linked under many names. CASE is
`RN50 448` or `ViT-B/32 448`; both, one after the other, take twice as long. Weights are random. The
sides of the race, in milliseconds a picture:

original        the loop of CLIP-ViL's extraction from its description (arXiv 2107.06383): one
                picture at a time, fp32, Pillow's bicubic, normalised floats, one compressed npz
                each; its network is stood in for by timm's own, which computes the attention pool
                over all cells too
timm bf16       the network's own forward on batches that are ready, weights in bf16
forward bf16    our forward on batches of 8 bits that are ready, normalisation included
bf16, bf16 fast, fp32      `encode`, from files to a finished store; fast is decode=fast

With --pairs nothing races: every batch that `encode` hands to the network goes through it once more
alone, before or after, and `encode` is what is left of the time. Both sides so meet the same
machine; sides of a race are tens of seconds apart, in which the same forward pass may take half or
twice as long where others use the machine. It holds as `encode` does nothing else meanwhile.

Rows go to encode.csv, with the cosine of cells in bf16 to those in fp32.
"""

import argparse
import copy
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from races import Rounds, Taken, append, hardware, milliseconds, race, ratio
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torchvision.transforms import functional

from clipvil import encoders
from clipvil.encoders._options import decoding
from clipvil.encoders.base import Encoder
from clipvil.features.encode import encode

SIZE = (640, 480)
CASES = {
    "RN50 448": "timm:resnet50_clip.openai,weights=random,size=448,fit=squash",
    "ViT-B/32 448": "timm:vit_base_patch32_clip_quickgelu_224.openai,weights=random,size=448"
    ",fit=squash",
}
QUICK = {"tiny 64": "tiny:clip,size=64"}
MANY, SOME, FEW = 64, 16, 8  # pictures a round: in bf16, in fp32, and by the original's slow loop
TWICE = 2 * MANY  # from files in bf16, as a store costs something once
PAIRED = 12 * MANY  # a round of pairs, as the last shard is written when nothing else is to do


def cells_and_pooled(network: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """What timm itself computes of a picture, without what we leave out of it."""
    timms = getattr(network, "network", None)
    if timms is None:
        return cast(Callable[[Tensor], tuple[Tensor, Tensor]], network)

    def forward(pixels: Tensor) -> tuple[Tensor, Tensor]:
        final, grids = timms.forward_intermediates(pixels)
        return grids[-1].permute(0, 2, 3, 1), timms.forward_head(final)

    return forward


def original(encoder: Encoder, paths: list[Path], out: Path) -> Callable[[], int]:
    way, network = encoder.preprocessing, cells_and_pooled(encoder.network)

    def side() -> int:
        for path in paths:
            rows, columns = way.size
            bicubic = Image.Resampling.BICUBIC
            picture = Image.open(path).convert("RGB").resize((columns, rows), bicubic)
            tensor = functional.to_tensor(picture)
            normal = torch.stack([functional.normalize(tensor, list(way.mean), list(way.std))])
            with torch.no_grad():
                grid, pooled = network(normal)
            features = {"feat": grid[0].numpy(), "pooled": pooled[0].numpy()}
            np.savez_compressed(out / path.stem, **features)
        return len(paths)

    return side


def ours(encoder: Encoder, paths: list[Path], out: Path, batch: int) -> Callable[[], int]:
    sources, number = {path.stem: path for path in paths}, count()

    def side() -> int:
        encode(encoder, sources, out / str(next(number)), batch_size=batch)
        return len(paths)

    return side


def batches(encoder: Encoder, paths: list[Path], batch: int) -> list[Tensor]:
    """Pixels [B, 3, H, W], their channels last."""
    pixels = [torch.from_numpy(encoder.preprocessing.read(path).values) for path in paths]
    return [
        torch.stack(pixels[k : k + batch]).contiguous(memory_format=torch.channels_last)
        for k in range(0, len(pixels), batch)
    ]


def pairs(
    encoder: Encoder, paths: list[Path], out: Path, batch: int, rounds: int
) -> dict[str, list[Taken]]:
    """`encode`, and the network alone on the very same batches."""
    taken: dict[str, list[Taken]] = {"forward bf16": [], "from files": []}
    alone, seen = list[Taken](), count()

    def again(pixels: Tensor) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        encoder.forward(pixels)  # not a call: that would come here again
        alone.append(Taken(time.perf_counter() - wall, time.process_time() - cpu))

    def before(_: object, given: tuple[Tensor]) -> None:
        if next(seen) % 4 == 0:  # of the calls before and after two batches
            again(*given)

    def after(_: object, given: tuple[Tensor], __: object) -> None:
        if next(seen) % 4 == 3:
            again(*given)

    hooks = encoder.register_forward_pre_hook(before), encoder.register_forward_hook(after)
    side = ours(encoder, paths, out, batch)
    for number in range(rounds + 1):
        alone.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        items = side()
        whole = Taken(time.perf_counter() - wall, time.process_time() - cpu)
        network = Taken(sum(one.wall for one in alone), sum(one.cpu for one in alone))
        if number:
            rest = Taken(whole.wall - network.wall, whole.cpu - network.cpu)
            taken["forward bf16"].append(Taken(*(spent / items for spent in network)))
            taken["from files"].append(Taken(*(spent / items for spent in rest)))
    for hook in hooks:
        hook.remove()
    return taken


def forward(network: Callable[[Tensor], object], ready: list[Tensor]) -> Callable[[], int]:
    def side() -> int:
        with torch.inference_mode():
            for pixels in ready:
                network(pixels)
        return sum(map(len, ready))

    return side


@contextmanager
def linked(photographs: list[Path], names: int) -> Iterator[tuple[list[Path], Path]]:
    """So many names for some photographs, and a folder to write to."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copies = [Path(shutil.copy(path, root)) for path in photographs]
        paths = [root / f"{number:04d}.jpg" for number in range(names)]
        for number, path in enumerate(paths):
            os.link(copies[number % len(copies)], path)
        out = root / "out"
        out.mkdir()
        yield paths, out


def measure(name: str, spec: str, paths: list[Path], out: Path, asked: argparse.Namespace) -> None:
    exact, half = encoders.load(spec), encoders.load(f"{spec},precision=bf16")
    fast = decoding(copy.deepcopy(half), "fast")
    alone = copy.deepcopy(half).to(memory_format=torch.channels_last)
    timms = getattr(alone.network, "network", alone.network)
    ready = batches(half, paths[:MANY], asked.batch)
    with torch.inference_mode():
        normal = [((x.float() - alone.mean) / alone.std).bfloat16() for x in ready]
        wide, narrow = exact(ready[0]).grid, half(ready[0]).grid.float()
    cosine = cosine_similarity(wide, narrow, dim=-1)  # [B, R, C]
    sides = {
        "original": original(exact, paths[:FEW], out),
        "timm bf16": forward(timms, normal),
        "forward bf16": forward(alone, ready),
        "bf16": ours(half, paths, out, asked.batch),
        "bf16 fast": ours(fast, paths, out, asked.batch),
        "fp32": ours(exact, paths[:SOME], out, asked.batch),
    }
    rounds = 1 if asked.quick else asked.rounds
    if asked.pairs:
        for how, encoder in {"bf16": half, "bf16 fast": fast}.items():
            if how not in (asked.sides or [how]):
                continue
            paired = pairs(encoder, paths, out, asked.batch, rounds)
            files = paired.pop("from files")
            report(name, asked, {**paired, f"{how}, in pairs": files}, cosine)
    else:
        report(name, asked, race({k: sides[k] for k in asked.sides or sides}, rounds), cosine)


def report(name: str, asked: argparse.Namespace, taken: Rounds, cosine: Tensor) -> None:
    """Rows of the sides' times."""
    for side, times in taken.items():
        row = hardware() | {"encoder": name, "batch": str(asked.batch), "side": side}
        row |= milliseconds(times)
        for other in ("original", "timm bf16", "forward bf16"):
            faster = ratio(taken, other, side) if other in taken else None
            row[f"times {other}, wall"] = f"{faster.wall:.3f}" if faster else ""
            row[f"times {other}, CPU"] = f"{faster.cpu:.3f}" if faster else ""
        row["cosine to fp32, mean"] = f"{cosine.mean():.6f}" if "bf16" in side else ""
        row["least"] = f"{cosine.min():.6f}" if "bf16" in side else ""
        append(Path(__file__).with_suffix(".csv"), row)
        against = ", ".join(f"{key} {row[key]}" for key in row if "wall" in key and row[key])
        print(f"{name}: {side}: {against}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--only", choices=CASES, help="one of the networks")
    parser.add_argument("--sides", nargs="+", help="some of the sides; all where none is named")
    parser.add_argument("--pairs", action="store_true", help="each batch again without the files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="see that it runs, on a tiny encoder")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = sorted(asked.pictures.glob("*.jpg"))
    photographs = [path for path in found if Image.open(path).size == SIZE]
    cases = {asked.only: CASES[asked.only]} if asked.only else CASES
    for name, spec in (QUICK if asked.quick else cases).items():
        with linked(photographs, PAIRED if asked.pairs else TWICE) as (paths, out):
            measure(name, spec, paths, out, asked)


if __name__ == "__main__":
    main()
