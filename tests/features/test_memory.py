"""Ten thousand photographs' worth of files, some broken, take no more memory than some hundred."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from clipvil.features.manifest import MANIFEST
from clipvil.features.store import Store

COUNT = 10_000
EVERY = 100  # one of so many is broken
SHARD = 500  # pictures
GROWTH = 32 << 20  # bytes that may come after the first shard: allocators keep some


def resident(process: int) -> int:
    """Bytes of memory that a process holds now."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0  # it may have ended meanwhile


def link_photographs(photographs: list[Path], folder: Path) -> None:
    """Many names for small copies of some photographs; every hundredth is cut short."""
    copies = [folder / "few" / path.name for path in photographs]
    (folder / "few").mkdir(parents=True)
    for path, copy in zip(photographs, copies, strict=True):
        picture = Image.open(path)
        picture.resize((picture.width // 4, picture.height // 4)).save(copy, quality=90)
    for number in range(COUNT):
        path, whole = folder / "many" / f"{number:05d}.jpg", copies[number % len(copies)]
        path.parent.mkdir(exist_ok=True)
        if number % EVERY:
            os.link(whole, path)
        else:
            path.write_bytes(whole.read_bytes()[:1_000] if number else b"")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pictures(shared: Path, tmp_path: Path) -> None:
    photographs = sorted((shared / "coco_photos" / "images").glob("*.jpg"))
    link_photographs(photographs, tmp_path)
    command = [sys.executable, "-m", "clipvil.cli", "encode", "--encoder", "tiny:random,size=32"]
    command += ["--images", str(tmp_path / "many"), "--out", str(tmp_path / "store")]
    command += ["--device", "cpu", "--shard-pictures", str(SHARD)]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, stderr=said)
    held = list[tuple[int, int]]()  # shards there, bytes of memory
    while process.poll() is None:
        shards = len(list((tmp_path / "store").glob("shard-*.txt")))
        if not (tmp_path / "store" / MANIFEST).exists():  # libraries are paged in at the very end
            held.append((shards, resident(process.pid)))
        time.sleep(0.1)
    assert process.returncode == 1, (tmp_path / "said").read_text()
    store = Store(tmp_path / "store")
    assert len(store) + len(store.failures) == COUNT
    assert len(store.failures) == COUNT // EVERY
    first = max(memory for shards, memory in held if shards <= 2)
    later = max(memory for shards, memory in held if shards > COUNT // SHARD // 2)
    assert later - first <= GROWTH, f"{first >> 20} MB at first, {later >> 20} MB later"
