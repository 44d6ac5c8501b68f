"""On a disk that fills up nothing half written is taken for whole; with room, it goes on."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipvil import encoders
from clipvil.features import encode as module
from clipvil.features import plan
from clipvil.features.encode import encode
from clipvil.features.store import Store, verify
from tests.features.test_killed import content

SIZE = 4 << 20  # bytes of the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, with 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_costs_no_byte(
    draw: Callable[[Path, int], None], small_disk: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    draw(tmp_path / "pictures", 40)
    sources, encoder = plan.named(tmp_path / "pictures"), encoders.load("tiny:random")
    how = {"batch_size": 4, "shard_pictures": 8, "dtype": "fp32"}
    encode(encoder, sources, tmp_path / "whole", **how)
    needed = sum(path.stat().st_size for path in (tmp_path / "whole").iterdir())
    assert needed < SIZE, "the store fits the empty disk"

    ballast, store = small_disk / "ballast", small_disk / "store"
    ballast.write_bytes(bytes(SIZE - needed // 2))
    with pytest.raises(ValueError, match=r"needs 1\.\d MB and has .* free: make room"):
        encode(encoder, sources, store, **how)
    assert "pictures to encode" in capsys.readouterr().err
    assert not list(store.glob("*.safetensors")), "nothing was begun"

    # the disk was empty enough when the work began, and another program fills it
    monkeypatch.setattr(module, "require_space", lambda *arguments: None)
    with pytest.raises(OSError, match=r"(?i)no space left"):
        encode(encoder, sources, store, **how)
    written = len(list(store.glob("*.safetensors")))
    assert 0 < written < 5 and not list(store.glob(".shard-*")), "whole shards, and no rubbish"
    with pytest.raises(ValueError, match="unfinished"):
        Store(store)

    ballast.unlink()
    summary = encode(encoder, sources, store, **how)
    assert summary.encoded == 40 - 8 * written, "whole shards are not made again"
    assert content(store) == content(tmp_path / "whole") and verify(store) == []
