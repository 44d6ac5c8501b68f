"""Pictures of every kind, broken ones too; going on after an interruption; refusals."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipvil import cli, encoders, files, pictures
from clipvil.encoders.base import Encoder
from clipvil.features import encode as module
from clipvil.features import plan, shards
from clipvil.features.encode import encode
from clipvil.features.store import Store, verify


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


def bomb() -> bytes:
    """A PNG of 50,000 x 50,000 pixels in a hundred bytes."""
    blocks = (
        b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(bytes(100)),
    )
    chunks = (struct.pack(">I", len(b) - 4) + b + struct.pack(">I", zlib.crc32(b)) for b in blocks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


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
    (twenty / "bomb.png").write_bytes(bomb())
    Image.fromarray(np.zeros((8, 8), np.float32)).save(twenty / "range.tiff")
    (twenty / "gone.jpg").symlink_to(twenty / "nowhere.jpg")
    return {
        "cut": "damaged: image file is truncated",
        "cut_png": "damaged",
        "empty": "empty file",
        "text": "not a picture",
        "bomb": "pixels",
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
    (tmp_path / "cut.png").write_bytes(bomb())
    summary = encode(encoder, {"cut": tmp_path / "cut.png"}, tmp_path / "store")
    assert (summary.pictures, summary.bytes, len(Store(tmp_path / "store"))) == (0, 0, 0)


def modes() -> dict[str, tuple[Image.Image, tuple[int, int, int]]]:
    """Pictures of one colour in every mode, and the colour that a person sees."""
    red = Image.new("RGB", (16, 16), (200, 40, 40))
    clear = Image.new("RGBA", (16, 16), (200, 40, 40, 0))
    grey16 = Image.fromarray(np.full((16, 16), 0x8040, np.uint16))
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE)
    grey = (128, 128, 128)
    return {
        "rgb.png": (red, (200, 40, 40)),
        "palette.png": (palette, (200, 40, 40)),
        "palette.gif": (palette, (200, 40, 40)),
        "cmyk.tif": (red.convert("CMYK"), (200, 40, 40)),
        "grey.png": (Image.new("L", (16, 16), 128), grey),
        "grey16.png": (grey16, grey),
        "grey16.tiff": (grey16, grey),
        "greyalpha.png": (Image.new("LA", (16, 16), (0, 0)), (255, 255, 255)),
        "clear.png": (clear, (255, 255, 255)),
        "half.png": (Image.new("RGBA", (16, 16), (0, 0, 0, 127)), grey),
        "bits.png": (Image.new("1", (16, 16), 1), (255, 255, 255)),
    }


@pytest.mark.parametrize("name", modes())
def test_every_mode_becomes_the_colour_one_sees(name: str, tmp_path: Path) -> None:
    picture, colour = modes()[name]
    picture.save(tmp_path / name)
    seen = pictures.read(tmp_path / name)
    assert seen.mode == "RGB" and np.abs(np.asarray(seen)[8, 8].astype(int) - colour).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation: int, tmp_path: Path) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255  # top left
    stored = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7}[orientation]
    undo = [
        lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1, ::-1], lambda a: a[::-1],
        lambda a: a.transpose(1, 0, 2), lambda a: np.rot90(a), lambda a: np.rot90(a, 2).transpose(
            1, 0, 2), lambda a: np.rot90(a, -1),
    ][stored]  # fmt: skip
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(undo(upright))).save(path, exif=exif)
    assert pictures.size(path) == (24, 16)
    seen = pictures.read(path)
    np.testing.assert_array_equal(np.asarray(seen), upright)
    np.testing.assert_array_equal(np.asarray(pictures.upright(seen)), upright)


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
    weight.data *= 1e6
    try:
        with pytest.raises(ValueError, match=r"not finite in fp16.*bf16"):
            encode(encoder, sources, tmp_path / "b")
    finally:
        weight.data = before


def test_the_command_says_what_it_did(
    own: Path, twenty: Path, broken: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = ["--encoder", f"module:{own}", "--images", str(twenty), "--device", "cpu"]
    out = ["--out", str(tmp_path / "store")]
    assert cli.run("encode", [*options, *out, "--json"]) == 1, "some could not be read"
    captured = capsys.readouterr()
    row = json.loads(captured.out)
    assert row["pictures"] == 20 and row["failures"].keys() == broken.keys()
    assert "left out empty: empty file" in captured.err and "7 could not be read" in captured.err
    assert cli.run("encode", [*options, "--out", str(tmp_path / "few"), "--limit", "3"]) == 0
    assert len(Store(tmp_path / "few")) == 3
    assert cli.run("encode", [*options, *out, "--limit", "0"]) == 2
    assert cli.run("encode", ["--encoder", "x:y", *options[2:], *out]) == 2
    assert cli.run("encode", [*options, *out, "--device", "gpu"]) == 2
