"""Pictures of every kind, broken ones too; going on after an interruption; refusals."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipvil import cli, encoders, files
from clipvil.encoders.base import Encoder
from clipvil.features import encode as module
from clipvil.features import plan, shards
from clipvil.features.encode import encode
from clipvil.features.store import Store, verify
from tests.test_pictures import jpeg_bomb, png_bomb


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


@pytest.fixture
def twenty(draw: Callable[[Path, int], None], tmp_path: Path) -> Path:
    draw(tmp_path / "pictures", 20)
    return tmp_path / "pictures"


@pytest.fixture
def broken(twenty: Path) -> dict[str, str]:
    """Puts a broken picture of each kind among the others; id -> words of the reason."""
    whole = (twenty / "0" / "000.png").read_bytes()
    Image.open(twenty / "0" / "000.png").save(twenty / "cut.jpg")
    jpeg = (twenty / "cut.jpg").read_bytes()
    (twenty / "cut.jpg").write_bytes(jpeg[: len(jpeg) - 300])
    (twenty / "cut_png.png").write_bytes(whole[: len(whole) // 2])
    (twenty / "empty.jpg").write_bytes(b"")
    (twenty / "text.png").write_text("not a picture")
    (twenty / "bomb.png").write_bytes(png_bomb())
    (twenty / "bomb_jpeg.jpg").write_bytes(jpeg_bomb())
    os.mkfifo(twenty / "pipe.jpg")
    (twenty / "folder.jpg").mkdir()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(twenty / "range.tiff")
    (twenty / "gone.jpg").symlink_to(twenty / "nowhere.jpg")
    return {
        "cut": "damaged: image file is truncated",
        "cut_png": "damaged",
        "empty": "empty file",
        "text": "not a picture",
        "bomb": "over 89,478,485 pixels",
        "bomb_jpeg": "over 89,478,485 pixels",
        "pipe": "not a regular file",
        "range": "floating-point",
        "gone": "cannot be read: No such file",
    }


def test_broken_pictures_are_named_and_the_others_done(
    encoder: Encoder, twenty: Path, broken: dict[str, str], tmp_path: Path
) -> None:
    sources = plan.named(twenty)
    summary = encode(encoder, sources, tmp_path / "store", batch_size=4, shard_pictures=6)
    store = Store(tmp_path / "store")
    assert summary.failures == store.failures and summary.failures.keys() == broken.keys()
    for identity, words in broken.items():
        assert words in summary.failures[identity] and str(tmp_path) not in str(summary.failures)
    assert summary.pictures == len(store) == 20 and verify(tmp_path / "store") == []
    again = encode(encoder, sources, tmp_path / "store", batch_size=4, shard_pictures=6)
    assert again.encoded == 0 and again.failures == summary.failures


def test_a_store_of_broken_pictures_only_is_one(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(png_bomb())
    summary = encode(encoder, {"cut": tmp_path / "cut.png"}, tmp_path / "store")
    assert (summary.pictures, summary.bytes, len(Store(tmp_path / "store"))) == (0, 0, 0)


def test_it_goes_on_where_it_was(
    encoder: Encoder, twenty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = plan.named(twenty)
    encode(encoder, sources, tmp_path / "once", batch_size=3, shard_pictures=6)
    written, write = list[str](), shards.write

    def dies(path: Path, *rest: object) -> None:
        if path.name == shards.name(2) and not written:
            written.append("stopped")
            (path.parent / f".{path.name}.left").write_text("over")
            raise OSError("No space left on device")
        write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module.shards, "write", dies)
    with pytest.raises(OSError, match="No space"):
        encode(encoder, sources, tmp_path / "twice", batch_size=3, shard_pictures=6)
    with pytest.raises(ValueError, match="unfinished"):
        Store(tmp_path / "twice")
    (tmp_path / "twice" / shards.name(0)).write_bytes(b"damaged")
    summary = encode(encoder, sources, tmp_path / "twice", batch_size=3, shard_pictures=6)
    assert summary.encoded == 6 + 8, "the damaged shard and those that were missing"
    assert content(tmp_path / "twice") == content(tmp_path / "once")


def test_another_run_is_refused(encoder: Encoder, own: Path, twenty: Path, tmp_path: Path) -> None:
    sources, out = plan.named(twenty), tmp_path / "store"
    encode(encoder, sources, out, batch_size=4)
    fewer = dict(list(sources.items())[1:])
    renamed = {f"{identity}x": path for identity, path in sources.items()}
    for said, arguments, options in (
        ("another encoder", (encoders.load(f"module:{own},seed=1"), sources), {"batch_size": 4}),
        ("dtype fp16", (encoder, sources), {"dtype": "bf16", "batch_size": 4}),
        ("batch size 4", (encoder, sources), {"batch_size": 5}),
        ("20 pictures where there are 19", (encoder, fewer), {"batch_size": 4}),
        ("other names", (encoder, renamed), {"batch_size": 4}),
    ):
        with pytest.raises(ValueError, match=said):
            encode(*arguments, out, **options)
    with pytest.raises(ValueError, match="give a folder of its own"):
        encode(encoder, sources, twenty)
    with files.locked(out), pytest.raises(ValueError, match="another process"):
        encode(encoder, sources, out)


def test_names_that_cannot_be_ids_are_refused(encoder: Encoder, twenty: Path) -> None:
    (twenty / "0" / "000.jpg").write_bytes((twenty / "0" / "000.png").read_bytes())
    with pytest.raises(ValueError, match=r"0/000: .*000\.jpg and .*000\.png"):
        plan.named(twenty)
    (twenty / "0" / "000.jpg").rename(twenty / "two\nlines.jpg")
    with pytest.raises(ValueError, match="line break"):
        encode(encoder, plan.named(twenty), twenty / "store")
    (twenty / "none").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        plan.named(twenty / "none")


def test_odd_blanks_in_a_name_break_nothing(encoder: Encoder, twenty: Path) -> None:
    for name in ("Screenshot at 3.04.05\u202fPM", "joined\u200dup", "no\u00a0break"):
        (twenty / "0" / "000.png").rename(twenty / "0" / f"{name}.png")
        encode(encoder, plan.named(twenty), twenty / name, batch_size=4)
        assert f"0/{name}" in Store(twenty / name)
        (twenty / "0" / f"{name}.png").rename(twenty / "0" / "000.png")


def test_a_folder_that_cannot_be_read_is_named(encoder: Encoder, twenty: Path) -> None:
    deep, place = "d" * 200, os.open(twenty / "0", os.O_RDONLY)
    for _ in range(21):  # no path may be so long, not even for root, whom no permission stops
        os.mkdir(deep, dir_fd=place)
        outer, place = place, os.open(deep, os.O_RDONLY, dir_fd=place)
        os.close(outer)
    os.close(place)
    summary = encode(encoder, plan.named(twenty), twenty / "store", batch_size=4)
    ((identity, reason),) = summary.failures.items()
    assert identity.startswith(f"0/{deep}/") and identity.endswith(f"{deep}/")
    assert "cannot be read" in reason and summary.pictures == 20


def test_what_does_not_fit_the_disk_or_the_type_is_refused(
    encoder: Encoder, twenty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = plan.named(twenty)
    usage = type("Usage", (), {"free": 100})
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda path: usage)
        with pytest.raises(ValueError, match="100 bytes free"):
            encode(encoder, sources, tmp_path / "a")
    weight = encoder.network.network.patches.weight
    before = weight.detach().clone()
    try:
        for number, spoilt in enumerate((before * 1e6, before * float("nan"))):
            weight.data = spoilt
            with pytest.raises(ValueError, match=r"not finite in fp16.*bf16"):
                encode(encoder, sources, tmp_path / f"b{number}")
    finally:
        weight.data = before


HUNGRY = """
import torch
from torch import nn
from clipvil.encoders.base import Preprocessing

class Hungry(nn.Conv2d):
    preprocessing = Preprocessing(size=(32, 32), stride=8, fit="squash")

    def forward(self, pixels):
        if len(pixels) > 4:
            torch.empty(1 << 60)
        return super().forward(pixels).permute(0, 2, 3, 1)

def build():
    torch.manual_seed(0)
    return Hungry(3, 6, 8, 8)
"""


def test_too_little_memory_is_a_sentence_and_the_next_try_may_be_smaller(
    twenty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(HUNGRY)
    asked = ["--encoder", f"module:{tmp_path}/own.py", "--images", str(twenty), "--device", "cpu"]
    asked += ["--out", str(tmp_path / "store"), "--batch-size"]
    assert cli.run("encode", [*asked, "5"]) == 1
    said = capsys.readouterr().err
    assert "not enough memory: a smaller --batch-size" in said and "Traceback" not in said
    assert cli.run("encode", [*asked, "4"]) == 0, "nothing was finished that depends on its size"


def test_the_command_says_what_it_did(
    own: Path, twenty: Path, broken: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = ["--encoder", f"module:{own}", "--images", str(twenty), "--device", "cpu"]
    out = ["--out", str(tmp_path / "store")]
    assert cli.run("encode", [*options, *out, "--json"]) == 1, "some could not be read"
    captured = capsys.readouterr()
    assert "23 pictures to encode" in captured.err and "of disk" in captured.err
    row = json.loads(captured.out)
    assert row["pictures"] == 20 and row["failures"].keys() == broken.keys()
    assert "left out empty: empty file" in captured.err and "9 could not be read" in captured.err
    (twenty / "shifts").mkdir()
    assert cli.run("encode", [*options, "--out", str(tmp_path / "few"), "--limit", "3"]) == 0
    assert f"left out the test sets in {twenty}/shifts: " in capsys.readouterr().err
    assert len(Store(tmp_path / "few")) == 3
    assert cli.run("encode", [*options, *out, "--limit", "0"]) == 2
    assert cli.run("encode", [*options, *out, "--processes", "0"]) == 2
    assert cli.run("encode", ["--encoder", "x:y", *options[2:], *out]) == 2
    assert cli.run("encode", [*options, *out, "--device", "gpu"]) == 2
    assert cli.run("encode", [*options, *out, "--device", "cuda:99"]) == 2
    assert "--device cuda:99: " in capsys.readouterr().err
