"""Views of viewpoints from TSV, HDF5 and stores become the same table, or it is said why not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from clipvil.encoders.base import Encoder
from clipvil.features.encode import encode
from clipvil.features.store import Store
from clipvil.features.views import Viewpoint, collect
from clipvil.files import locked
from tests.features.legacy_files import R2R, D, converted, draw, text, write_tsv

PLACES = [("a", "one"), ("a", "two"), ("b", "one")]

Write = Callable[[Path, dict[Viewpoint, Any]], Path]


def tsv(folder: Path, views: dict[Viewpoint, Any]) -> Path:
    rows = [
        {"scanId": scan, "viewpointId": viewpoint, "image_w": 640, "image_h": 480, "vfov": 60,
         "features": text(values)}
        for (scan, viewpoint), values in views.items()
    ]  # fmt: skip
    write_tsv(folder / "views.tsv", R2R, rows)
    return folder / "views.tsv"


def hdf5(folder: Path, views: dict[Viewpoint, Any]) -> Path:
    with h5py.File(folder / "views.h5", "w") as file:
        for (scan, viewpoint), values in views.items():
            file[f"{scan}_{viewpoint}"] = values
    return folder / "views.h5"


def store(folder: Path, views: dict[Viewpoint, Any]) -> Path:
    return converted(tsv(folder, views), folder / "store").path


FORMATS = pytest.mark.parametrize("write", [tsv, hdf5, store])


def some(places: list[Viewpoint] = PLACES) -> dict[Viewpoint, Any]:
    return {place: draw(36, D, seed=k) for k, place in enumerate(places)}


@FORMATS
def test_every_format_gives_the_same_table(tmp_path: Path, write: Write) -> None:
    views = some([*PLACES, ("c", "other")])
    asked = PLACES[::-1]
    found = collect([write(tmp_path, views)], asked, tmp_path / "kept")
    assert found.width == D and isinstance(found.values, np.memmap)
    for row, place in zip(found.values, asked, strict=True):
        np.testing.assert_array_equal(row, views[place].astype(np.float16))


@FORMATS
def test_what_is_lacking_is_counted_by_scan(tmp_path: Path, write: Write) -> None:
    source = write(tmp_path, some([("a", "one")]))
    asked = [*PLACES, ("b", "two")]
    with pytest.raises(ValueError, match=r"lack 3 of 4 viewpoints, in scans b \(2\), a \(1\)"):
        collect([source], asked, tmp_path / "kept")
    assert not [*(tmp_path / "kept").glob("*.npy")], "no half table is left"


def test_pictures_of_views_are_put_together(encoder: Encoder, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    pictures = {}
    for scan, viewpoint in PLACES:
        for view in range(36):
            path = tmp_path / "views" / scan / viewpoint / f"{view:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
            pictures[f"views/{scan}/{viewpoint}/{view:02d}"] = path
    names = [*pictures]
    halves = [tmp_path / "one", tmp_path / "two"]
    for half, some in zip(halves, (names[:50], names[50:]), strict=True):
        encode(encoder, {name: pictures[name] for name in some}, half)
    found = collect(halves, PLACES, tmp_path / "kept")
    first = Store(halves[0])
    pooled = first.pooled(first.ids["views/a/two/07"])
    np.testing.assert_array_equal(found.values[1, 7], np.asarray(pooled, np.float16))
    with pytest.raises(ValueError, match=r"lack 2 of 3 viewpoints in part, in scans a \(1\), b"):
        collect(halves[:1], PLACES, tmp_path / "kept")
    shifted = {
        f"shifts/style/{name}": pictures[other]
        for name, other in zip(names, names[::-1], strict=True)
    }
    encode(encoder, shifted, tmp_path / "shifted")
    both = [*halves, tmp_path / "shifted"]
    with pytest.raises(ValueError, match="viewpoint one of scan a is there more than once"):
        collect(both, PLACES, tmp_path / "kept")
    np.testing.assert_array_equal(
        collect(both, PLACES, tmp_path / "kept", pictures).values, found.values
    )
    other = collect(both, PLACES, tmp_path / "kept", shifted).values
    np.testing.assert_array_equal(other, found.values[::-1, ::-1])


def test_who_comes_second_waits_for_the_table(tmp_path: Path) -> None:
    source = tsv(tmp_path, some())
    with ThreadPoolExecutor(1) as other:
        with locked(tmp_path / "kept"):
            asked = other.submit(collect, [source], PLACES, tmp_path / "kept")
            assert wait([asked], timeout=0.2).not_done
        assert asked.result().width == D


def test_a_table_is_made_once_and_anew_for_other_files(tmp_path: Path) -> None:
    source = tsv(tmp_path, some())
    collect([source], PLACES, tmp_path / "kept")
    (table,) = (tmp_path / "kept").glob("*.npy")
    before = table.stat().st_mtime_ns
    collect([source], PLACES, tmp_path / "kept")
    assert table.stat().st_mtime_ns == before
    views = {place: values + 1 for place, values in some().items()}
    again = collect([tsv(tmp_path, views)], PLACES, tmp_path / "kept")
    np.testing.assert_array_equal(again.values[0], views["a", "one"].astype(np.float16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda views: views | {("a", "two"): draw(36, D + 4)}, "viewpoint two of scan a: .* 36 v"),
        (lambda views: views | {("a", "two"): draw(36, D) * 1e6}, "half precision"),
        (
            lambda views: views | {("a", "two"): draw(36, D) * np.inf},
            r"views\.tsv, row 2: .*infinite",
        ),
    ],
)
def test_broken_views_are_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect([tsv(tmp_path, change(some()))], PLACES, tmp_path / "kept")


def test_a_viewpoint_that_is_there_twice_is_named(tmp_path: Path) -> None:
    sources = [tsv(tmp_path, some()), hdf5(tmp_path, some())]
    with pytest.raises(ValueError, match="viewpoint one of scan a is there more than once"):
        collect(sources, PLACES, tmp_path / "kept")


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    source = tsv(tmp_path, some())
    with pytest.raises(FileNotFoundError, match="no features"):
        collect([tmp_path / "nothing.tsv"], PLACES, tmp_path / "kept")
    with pytest.raises(ValueError, match="no viewpoints"):
        collect([source], [], tmp_path / "kept")
    with pytest.raises(ValueError, match=f"{D} numbers wide, the model reads 512"):
        collect([source], PLACES, tmp_path / "kept").fits(512)
