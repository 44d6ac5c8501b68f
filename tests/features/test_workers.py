"""Several processes write the bytes that one writes; one that is killed costs its shard."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipvil import encoders
from clipvil.features import plan
from clipvil.features.encode import encode
from clipvil.features.manifest import MANIFEST
from clipvil.features.store import Store, verify
from tests.command import Started
from tests.features.test_killed import LIMIT, content, shards_in

COUNT = 60
SHARD = 6


@pytest.fixture(scope="module")
def folder(
    own: Path, draw: Callable[[Path, int], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Pictures, one of them broken, and the store that one process makes of them."""
    root = tmp_path_factory.mktemp("together")
    draw(root / "pictures", COUNT)
    (root / "pictures" / "broken.png").write_bytes(b"x")
    encoder = encoders.load(f"module:{own},delay=0.01")
    sources = plan.named(root / "pictures")
    encode(encoder, sources, root / "once", batch_size=4, shard_pictures=SHARD)
    return root


def start(own: Path, folder: Path, out: Path, processes: int) -> Started:
    command = ["encode", "--device", "cpu", "--encoder", f"module:{own},delay=0.01"]
    command += ["--images", str(folder / "pictures"), "--out", str(out), "--batch-size", "4"]
    return Started(*command, "--shard-pictures", str(SHARD), "--processes", str(processes))


def children(process: int) -> list[int]:
    """Worker processes of a process."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = re.search(r"^PPid:\s*(\d+)$", status.read_text(), re.MULTILINE)
        except OSError:  # gone meanwhile
            continue
        if parent is not None and int(parent[1]) == process:
            found.append(int(status.parent.name))
    return found


@pytest.fixture
def half_done(own: Path, folder: Path, tmp_path: Path) -> Iterator[Started]:
    """Two processes at work on the store `tmp_path / "store"`, some shards of it written."""
    process = start(own, folder, tmp_path / "store", 2)
    end = time.monotonic() + LIMIT
    while shards_in(tmp_path / "store") < 2 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    yield process
    process.kill()


def finishes(own: Path, folder: Path, store: Path, processes: int) -> None:
    """Asserts that the same command ends with the bytes that one process wrote at once."""
    ends(start(own, folder, store, processes), folder, store)


def ends(process: Started, folder: Path, store: Path) -> None:
    said = process.wait()
    assert process.poll() == 1 and said is not None and "1 could not be read" in said
    assert (
        "Traceback" not in said
        and content(store) == content(folder / "once")
        and verify(store) == []
    )


@pytest.mark.slow
def test_two_processes_write_what_one_writes(own: Path, folder: Path, tmp_path: Path) -> None:
    process = start(own, folder, tmp_path / "store", 2)
    while process.poll() is None and len(children(process.pid)) < 2:
        time.sleep(0.005)
    for worker in children(process.pid):
        os.kill(worker, signal.SIGINT)  # is its parent's to answer, even while it begins
    ends(process, folder, tmp_path / "store")


@pytest.mark.slow
def test_a_killed_process_is_noticed_and_costs_its_shard(
    own: Path, folder: Path, tmp_path: Path, half_done: Started
) -> None:
    workers = children(half_done.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    said = half_done.wait(LIMIT)
    assert half_done.poll() == 1 and said is not None
    assert "was killed" in said and "the same command goes on from here" in said
    assert not (tmp_path / "store" / MANIFEST).exists()
    with pytest.raises(ValueError, match="unfinished"):
        Store(tmp_path / "store")
    finishes(own, folder, tmp_path / "store", 1)


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(
    own: Path, folder: Path, tmp_path: Path, half_done: Started
) -> None:
    workers = children(half_done.pid)
    half_done.kill()
    end = time.monotonic() + LIMIT
    while any(alive(worker) for worker in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(workers) == 2 and not any(alive(worker) for worker in workers)
    finishes(own, folder, tmp_path / "store", 2)


def alive(process: int) -> bool:
    """Whether a process is there and not only waits to be buried."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(") ")[2][0] != "Z"


@pytest.mark.slow
def test_an_encoder_that_differs_in_every_process_is_refused(
    folder: Path, tmp_path: Path, draw: Callable[[Path, int], None]
) -> None:
    from tests.features.conftest import OWN

    random = tmp_path / "random.py"
    random.write_text(OWN.replace("torch.manual_seed(seed)", "torch.seed()"))
    process = start(random, folder, tmp_path / "store", 2)
    said = process.wait()
    assert process.poll() == 1 and said is not None and "another encoder in every process" in said
