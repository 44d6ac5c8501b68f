"""Killed with SIGKILL at random instants, `clipvil encode` ends with the same bytes."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clipvil import encoders
from clipvil.features import plan
from clipvil.features.encode import encode
from clipvil.features.manifest import MANIFEST
from clipvil.features.store import Store, verify
from tests.command import Started

COUNT = 200
LIMIT = 60.0  # seconds that a run may take to begin, on a loaded machine


def start(own: Path, pictures: Path, out: Path) -> Started:
    command = ["encode", "--device", "cpu", "--encoder", f"module:{own},delay=0.002"]
    command += ["--images", str(pictures), "--out", str(out)]
    return Started(*command, "--batch-size", "4", "--shard-pictures", "10")


def shards_in(out: Path) -> int:
    return len(list(out.glob("shard-*.safetensors")))


def kill_once(own: Path, pictures: Path, out: Path, delay: float) -> None:
    """Let a run do some work, then kill it without warning."""
    before, begun = shards_in(out), time.monotonic()
    process = start(own, pictures, out)
    while process.poll() is None and time.monotonic() < begun + LIMIT:
        if shards_in(out) > before:
            break
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


def survives(own: Path, draw: Callable[[Path, int], None], root: Path, kills: int) -> None:
    draw(root / "pictures", COUNT)
    (root / "pictures" / "broken.png").write_bytes(b"x")
    (root / "pictures" / "0" / "cut.png").write_bytes(
        (root / "pictures" / "0" / "000.png").read_bytes()[:200]
    )
    encoder = encoders.load(f"module:{own},delay=0.002")
    sources = plan.named(root / "pictures")
    encode(encoder, sources, root / "once", batch_size=4, shard_pictures=10)
    instants, reached = random.Random(0), 0
    for _ in range(kills):
        kill_once(own, root / "pictures", root / "often", instants.uniform(0, 0.1))
        assert shards_in(root / "often") >= reached, "what was written stays"
        reached = shards_in(root / "often")
        if not (root / "often" / MANIFEST).exists():
            with pytest.raises(ValueError, match="unfinished"):
                Store(root / "often")
    assert reached > 0, "some work was done before a kill"
    last = start(own, root / "pictures", root / "often")
    said = last.wait()
    assert last.poll() == 1 and said is not None and "2 could not be read" in said
    assert content(root / "often") == content(root / "once")
    assert verify(root / "often") == []


@pytest.mark.slow
def test_many_kills_cost_no_byte(
    own: Path, draw: Callable[[Path, int], None], tmp_path: Path
) -> None:
    survives(own, draw, tmp_path, kills=16)
