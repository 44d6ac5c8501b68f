"""Fast pixels are near Pillow's, and near for every picture: odd ones fall back on Pillow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from clipvil import encoders, pictures
from clipvil.encoders.base import Fit, Preprocessing, normalised

MEAN, MOST = 0.01, 3  # of 255: how far fast pixels may be from Pillow's on photographs ...
TURNED_MEAN, TURNED_MOST = 0.25, 16  # ... and where Pillow resizes the height first


def apart(preprocessing: Preprocessing, path: Path) -> np.ndarray:
    """Differences between the fast pixels of a file and Pillow's."""
    fast = replace(preprocessing, decode="fast").read(path)
    exact = preprocessing.read(path)
    assert fast.size == exact.size and fast.affine == exact.affine
    assert fast.values.shape == exact.values.shape and fast.values.dtype == np.uint8
    return np.abs(fast.values.astype(int) - exact.values)


@pytest.mark.parametrize("side", [224, 448])
@pytest.mark.parametrize("fit", ["keep", "squash", "crop"])
def test_photographs_are_hardly_apart(shared: Path, side: int, fit: Fit) -> None:
    preprocessing = Preprocessing(size=(side, side), stride=32, fit=fit)
    photographs = sorted((shared / "coco_photos" / "images").glob("*.jpg"))
    wide = [path for path in photographs if sideways(path)]
    far = [apart(preprocessing, path) for path in wide[::3]]
    assert np.mean([d.mean() for d in far]) <= MEAN and max(d.max() for d in far) <= MOST
    bilinear = replace(preprocessing, interpolation="bilinear")
    assert max(apart(bilinear, path).max() for path in wide[:5]) <= MOST
    far = [apart(preprocessing, path) for path in set(photographs) - set(wide)]
    assert max(d.mean() for d in far) <= TURNED_MEAN and max(d.max() for d in far) <= TURNED_MOST


def sideways(path: Path) -> bool:
    width, height = pictures.size(path)
    return width > height


def test_decoding_alone_changes_no_pixel(shared: Path) -> None:
    for path in sorted((shared / "coco_photos" / "images").glob("*.jpg"))[::3]:
        plain = pictures.read_jpeg(path)
        assert plain is not None
        np.testing.assert_array_equal(plain, np.asarray(pictures.read(path)))


def noisy(width: int, height: int) -> Image.Image:
    smooth = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(smooth).resize((width, height), Image.Resampling.BILINEAR)


@pytest.mark.parametrize(
    "name",
    ["grey.jpg", "camera.jpg", "cmyk.jpg", "turned.jpg", "xmp.jpg", "two.mpo", "a.png", "a.gif"],
)
def test_odd_pictures_are_as_near(name: str, tmp_path: Path) -> None:
    picture, exif, more = noisy(60, 40), Image.Exif(), dict[str, Any]()
    mode = {"grey.jpg": "L", "cmyk.jpg": "CMYK"}.get(name, "RGB")
    if name in ("camera.jpg", "turned.jpg"):
        exif[pictures.ORIENTATION] = 6 if name == "turned.jpg" else 1
    if name == "xmp.jpg":
        more["xmp"] = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    if name == "two.mpo":
        more |= {"save_all": True, "append_images": [picture]}
    picture.convert(mode).save(tmp_path / name, exif=exif, **more)
    plain = pictures.read_jpeg(tmp_path / name)
    assert (plain is not None) == (name in ("grey.jpg", "camera.jpg"))
    if name in ("turned.jpg", "xmp.jpg"):
        assert pictures.size(tmp_path / name) == (40, 60)
    assert apart(Preprocessing(size=(32, 32), stride=8), tmp_path / name).max() <= MOST


@pytest.mark.parametrize("keep", [0, 10, 200, -50])
def test_broken_jpegs_have_one_reason(keep: int, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    noisy(60, 40).save(whole)
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole.read_bytes()[:keep])
    said = []
    for decode in ("exact", "fast"):
        with pytest.raises(pictures.BrokenPictureError) as caught:
            Preprocessing(size=(32, 32), stride=8, decode=decode).read(path)
        said.append(str(caught.value))
    assert said[0] == said[1]


@given(
    width=some.integers(1, 90), height=some.integers(1, 90), fit=some.sampled_from(
        ["keep", "squash", "crop"]
    ), decode=some.sampled_from(["exact", "fast"]),
)  # fmt: skip
def test_any_size_is_what_the_header_promised(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, fit: Fit, decode: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    noisy(width, height).save(path)
    preprocessing = Preprocessing(size=(32, 48), stride=8, fit=fit, decode=decode)
    seen, given = preprocessing.read(path), preprocessing(pictures.read(path))
    assert seen.values.shape == (3, *preprocessing.target(width, height)) and seen.size == (
        width,
        height,
    )
    np.testing.assert_array_equal(seen.values, given.values)


def test_every_family_knows_the_option_and_its_key_follows() -> None:
    plain, fast = (encoders.load(f"tiny:random{option}") for option in ("", ",decode=fast"))
    assert fast.preprocessing.decode == fast.card.preprocessing.decode == "fast"
    assert fast.card.name == "tiny:random,decode=fast"
    assert fast.card.fingerprint != plain.card.fingerprint
    same = encoders.load("tiny:random,decode=exact").card
    assert same.fingerprint == plain.card.fingerprint
    with pytest.raises(ValueError, match=r"unknown decode 'quick'; nearest: .*exact"):
        encoders.load("tiny:random,decode=quick")


def test_normalising_does_not_depend_on_the_layout() -> None:
    pixels = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    mean, std = torch.rand(3, 1, 1), torch.rand(3, 1, 1) + 0.5
    plain = normalised(pixels, mean, std)
    last = normalised(pixels.contiguous(memory_format=torch.channels_last), mean, std)
    assert torch.equal(plain, last) and torch.equal(plain, (pixels.float() - mean) / std)
    assert last.is_contiguous(memory_format=torch.channels_last) and plain.is_contiguous()
