"""The verb `encode`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clipvil.errors import at_least_one


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Encode pictures into a feature store; interrupted, the same command goes on."""

    encoder: str
    """FAMILY:NAME,option=value such as timm:resnet50_clip.openai,size=448"""
    images: Path
    """folder of pictures; an id is the path under it without suffix"""
    out: Path
    """folder of the store"""
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    """how features are stored"""
    batch_size: int | None = None
    """pictures a forward pass; by default what suits the device"""
    shard_pictures: int = 2048
    """pictures a file at most: what an interruption can cost"""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one"""
    processes: int = 1
    """processes side by side, dealt out over the GPUs that there are; each holds the encoder"""
    limit: int | None = None
    """only the first so many pictures, by id"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Encode; 1 if a picture could not be read."""
        import json
        from dataclasses import asdict

        from clipvil import encoders, progress

        at_least_one(
            batch_size=self.batch_size, shard_pictures=self.shard_pictures,
            processes=self.processes, limit=self.limit,
        )  # fmt: skip
        encoders.parse(self.encoder)  # before the seconds that torch takes

        import torch

        from clipvil.encoders import base
        from clipvil.features import plan
        from clipvil.features.encode import encode
        from clipvil.features.workers import Team
        from clipvil.files import SHIFTS

        sources = dict(list(plan.named(self.images).items())[: self.limit])
        if (shifted := self.images / SHIFTS).is_dir():
            progress.say(f"left out the test sets in {shifted}: --images {shifted} encodes them")
        device = base.device(self.device)
        team, gpus = None, torch.cuda.device_count()
        if self.processes > 1:
            dealt = [f"cuda:{n % gpus}" for n in range(self.processes)] if gpus else []
            everywhere = device.type == "cuda" and device.index is None and gpus
            devices = dealt if everywhere else [str(device)] * self.processes
            team, device = Team(encoder=self.encoder, devices=tuple(devices)), torch.device("cpu")
        done = encode(
            encoders.load(self.encoder).to(device),
            sources,
            self.out,
            dtype=self.dtype,
            batch_size=self.batch_size,
            shard_pictures=self.shard_pictures,
            team=team,
        )
        rate = done.encoded / done.seconds
        if self.json:
            row = asdict(done) | {"path": str(done.path), "pictures_per_second": rate}
            print(json.dumps(row, indent=1))
        for identity, reason in done.failures.items():
            progress.say(f"left out {identity}: {reason}")
        took = progress.duration(done.seconds)
        now = f"{done.encoded:,} of them now, {progress.pace(rate)} in {took}"
        progress.say(
            f"wrote {done.path}: {done.pictures:,} pictures in {progress.size(done.bytes)}, "
            + (now if done.encoded else "all there already")
            + (f"; {len(done.failures)} could not be read" if done.failures else "")
        )
        return 1 if done.failures else 0
