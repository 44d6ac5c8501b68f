"""Pictures in zips are found and read like those in folders; hostile ones are refused."""

import json
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from clipvil import cli, tasks
from clipvil import pictures as opening
from clipvil.core import Data
from clipvil.download.unpack import unpack
from clipvil.evaluate import splits
from clipvil.features import plan, workers
from clipvil.features.plan import Picture
from clipvil.files import Member, PictureIndex, pictures
from tests.files.test_hostile import attempt, mutations


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The tiny files of VQA v2, the pictures of train and val packed as COCO's are."""
    tasks.load("vqa2").tiny(tmp_path)
    for split in ("train2014", "val2014"):
        folder = tmp_path / split
        folder.mkdir()
        for path in sorted(tmp_path.glob(f"COCO_{split}_*")):
            path.rename(folder / path.name)
    return tmp_path


def pack(root: Path, split: str, method: int = zipfile.ZIP_STORED) -> Path:
    """Put a folder of pictures into a zip and take it away."""
    archive = root / f"{split}.zip"
    with zipfile.ZipFile(archive, "w", method) as out:
        out.mkdir(split)
        for path in sorted((root / split).iterdir()):
            out.write(path, f"{split}/{path.name}")
            path.unlink()
    (root / split).rmdir()
    return archive


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips_are_as_good_as_folders(root: Path, method: int) -> None:
    source = splits.Source("vqa2", Data(root))
    folders = {k: splits._read(source, k, None) for k in ("train", "val")}
    named = plan.named(root)
    before = {name: np.asarray(opening.read(path)) for name, path in named.items()}
    sizes = {name: (opening.size(path), path.stat().st_size) for name, path in named.items()}
    for split in ("train2014", "val2014"):
        pack(root, split, method)
    splits._index.cache_clear()
    assert plan.named(root).keys() == named.keys(), "a store made of the one is good for the other"
    for name, path in plan.named(root).items():
        assert np.array_equal(np.asarray(opening.read(path)), before[name])
        assert (opening.size(path), path.stat().st_size) == sizes[name]
    for split, part in folders.items():
        assert splits._read(source, split, None).pictures == part.pictures
    splits._index.cache_clear()
    index = PictureIndex(root)
    for name in ("100", "COCO_train2014_000000000100", "train2014/COCO_train2014_000000000100.jpg"):
        assert isinstance(index.find(name), Member)


def test_the_same_store_comes_of_zips_and_folders(root: Path) -> None:
    def encoded(out: Path) -> dict[str, bytes]:
        given = ["--encoder", "tiny:random", "--images", str(root / "data"), "--out", str(out)]
        assert cli.run("encode", given) == 0
        return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".lock"}

    (root / "data").mkdir()
    (root / "train2014").rename(root / "data" / "train2014")
    folders = encoded(root / "folders")
    pack(root / "data", "train2014")
    assert encoded(root / "zips") == folders


def test_an_unpacked_picture_goes_before_its_zip(root: Path) -> None:
    folder = root / "val2014"
    kept = sorted(folder.iterdir())[0]
    content = kept.read_bytes()
    pack(root, "val2014")
    folder.mkdir()
    kept.write_bytes(content)
    found = [path for path in pictures(root) if path == kept]
    assert len(found) == 1 and not isinstance(found[0], Member)


def test_threads_and_other_processes_read_alike(root: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(40):
        pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "val2014" / f"{k}.png")
    before = {path.name: path.read_bytes() for path in (root / "val2014").iterdir()}
    pack(root, "val2014", zipfile.ZIP_DEFLATED)
    found = [path for path in pictures(root) if isinstance(path, Member)] * 5
    with ThreadPoolExecutor(8) as pool:
        for path, content in zip(found, pool.map(Path.read_bytes, found), strict=True):
            assert content == before[path.name]
    picture = Picture("0", found[0], (64, 48), (64, 64), 99)
    again = workers.understood(json.loads(json.dumps(workers.told(picture))))
    assert again == picture and again.path.read_bytes() == found[0].read_bytes()


def spoil(archive: Path, change: str) -> None:
    """Change the first member's entry in the archive's list."""
    content = bytearray(archive.read_bytes())
    place = content.index(b"PK\x01\x02")
    match change:
        case "encrypted":
            content[place + 8] |= 1
        case "bomb":  # declares less than it holds
            content[place + 24 : place + 28] = struct.pack("<I", 10)
        case "large":
            content[place + 24 : place + 28] = struct.pack("<I", (1 << 31) + 1)
        case "method":
            content[place + 10 : place + 12] = struct.pack("<H", 99)
        case "crc":
            content[place + 16] ^= 1
        case "place":
            content[place + 42 : place + 46] = struct.pack("<I", 1)
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [("encrypted", "encrypted in pack.zip"), ("bomb", "damaged in pack.zip"),
     ("large", "2,147,483,649 bytes in pack.zip"), ("method", "packed by method 99"),
     ("crc", "damaged in pack.zip"), ("place", "damaged in pack.zip")],
)  # fmt: skip
def test_hostile_members_are_refused_with_a_reason(
    tmp_path: Path, change: str, reason: str
) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "a.bmp")
    archive = tmp_path / "pack.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.write(tmp_path / "a.bmp", "pack/a.bmp")
    (tmp_path / "a.bmp").unlink()
    spoil(archive, change)
    (member,) = pictures(tmp_path)
    for look in (opening.read, opening.size):
        with pytest.raises(opening.BrokenPictureError, match=reason):
            look(member)


@settings(max_examples=100)
@given(mutate=mutations())
def test_mutated_zips_give_the_same_or_are_refused(
    mutate: Callable[[bytes], bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutated"
    folder.mkdir(exist_ok=True)
    archive, out = folder / "pack.zip", folder / "out"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", b"1" * 99)
        packed.writestr("b.json", b"[]")
    archive.write_bytes(mutate(archive.read_bytes()))
    for path in attempt(Path("pack.zip"), lambda: list(pictures(folder))) or ():
        assert attempt(Path("pack.zip"), path.read_bytes) in (None, b"1" * 99)
    if attempt(Path("pack.zip"), lambda: unpack(archive, "b.json", out) or True):
        assert out.read_bytes() == b"[]"


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/a.png", "..\\a.png"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as out:
        out.writestr(name, b"")
    with pytest.raises(ValueError, match=r"pack\.zip: the name of .* leads out of it"):
        PictureIndex(tmp_path)


def test_a_zip_that_is_cut_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as out:
        out.writestr("a.png", b"x" * 999)
    (tmp_path / "pack.zip").write_bytes((tmp_path / "pack.zip").read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"pack\.zip is not a whole zip"):
        PictureIndex(tmp_path)


def test_a_picture_of_nothing_is_empty(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as out:
        out.writestr("a.png", b"")
    (member,) = pictures(tmp_path)
    with pytest.raises(opening.BrokenPictureError, match="empty file"):
        opening.read(member)
