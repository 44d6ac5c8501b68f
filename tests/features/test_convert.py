"""Features of others come into a store as they were."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from clipvil.features import legacy
from clipvil.features.convert import Given, convert
from clipvil.features.lookup import Lookup, stores_of
from clipvil.features.store import Store
from tests.command import run
from tests.features.legacy_files import (
    BUTD,
    LXMERT,
    R2R,
    D,
    converted,
    draw,
    region_row,
    text,
    write_tsv,
)


@pytest.mark.parametrize("names", [BUTD, LXMERT])
def test_regions_of_a_tsv_keep_their_boxes(names: tuple[str, ...], tmp_path: Path) -> None:
    counts = [36, 10, 100]
    write_tsv(tmp_path / "a.tsv", names, [region_row(k, n) for k, n in enumerate(counts)])
    store = converted(tmp_path / "a.tsv", tmp_path / "store")
    assert list(store.ids)[1] == "COCO_val2014_000000000001" and len(store) == 3
    for k, n in enumerate(counts):
        np.testing.assert_array_equal(store.read(k), draw(n, D, seed=k))
        np.testing.assert_array_equal(store.boxes(k), np.abs(draw(n, 4, seed=k)))
        assert store.size(k) == (640, 480) and store.cells(k) == n
        assert store.grid(k) is None and store.affine(k) is None, "regions lie in no grid"
    assert store.card is None and store.name == "butd" and store.width == D


def test_views_of_a_tsv(tmp_path: Path) -> None:
    row = {"scanId": "17DRP5sb8fy", "viewpointId": "0f37bd0737e349de9d536263a4bdd60d",
           "image_w": 640, "image_h": 480, "vfov": 60, "features": text(draw(36, D))}  # fmt: skip
    write_tsv(tmp_path / "a.tsv", R2R, [row])
    store = converted(tmp_path / "a.tsv", tmp_path / "store", dtype="fp16")
    assert list(store.ids) == ["17DRP5sb8fy_0f37bd0737e349de9d536263a4bdd60d"]
    np.testing.assert_allclose(store.read(0), draw(36, D), rtol=1e-3, atol=1e-3)
    assert store.size(0) is None, "a view's size is not that of a picture"


def test_captioning_folders_keep_the_pooled_vector(tmp_path: Path) -> None:
    for folder in ("att", "fc", "images"):
        (tmp_path / folder).mkdir()
    for k in (9, 25):
        np.savez_compressed(tmp_path / f"att/{k}.npz", feat=draw(3, 4, D, seed=k))
        np.save(tmp_path / f"fc/{k}.npy", draw(7, seed=k))
        Image.new("RGB", (80, 60)).save(tmp_path / f"images/COCO_train2014_{k:012d}.jpg")
    store = converted(tmp_path / "att", tmp_path / "a", pooled=tmp_path / "fc",
                      images=tmp_path / "images")  # fmt: skip
    for identity, k in store.ids.items():
        np.testing.assert_array_equal(
            store.read(k).reshape(3, 4, D), draw(3, 4, D, seed=int(identity))
        )
        np.testing.assert_array_equal(store.pooled(k), draw(7, seed=int(identity)))
        assert store.grid(k) == (3, 4) and store.size(k) == (80, 60)
        np.testing.assert_allclose(store.affine(k), [4 / 80, 0, 3 / 60, 0])
    plain = converted(tmp_path / "att", tmp_path / "b")
    assert plain.pooled(0) is None and plain.affine(0) is None and plain.boxes(0) is None


def grid_first(path: Path) -> None:
    torch.save(torch.from_numpy(draw(3, 4, D)).permute(2, 0, 1)[None].contiguous(), path)


def grid_last(path: Path) -> None:
    torch.save(torch.from_numpy(draw(3, 4, D)), path)


def grid_in_dict(path: Path) -> None:
    size = {"image_w": np.float64(80), "image_h": 60, "who": "me"}
    torch.save({"features": draw(3, 4, D), **size}, path)


@pytest.mark.parametrize("save", [grid_first, grid_last, grid_in_dict])
def test_pth_in_either_order_of_axes(save: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "7.pth")
    store = converted(tmp_path / "in", tmp_path / "store")
    np.testing.assert_array_equal(store.read(0).reshape(3, 4, D), draw(3, 4, D))
    assert store.grid(0) == (3, 4) and store.affine(0) is None
    assert store.size(0) == ((80, 60) if save is grid_in_dict else None)


def test_npy_of_pythia_and_openvqas_npz(tmp_path: Path) -> None:
    (tmp_path / "npy").mkdir()
    (tmp_path / "npz").mkdir()
    np.save(tmp_path / "npy" / "COCO_a.npy", draw(1, 3, 4, D))
    np.savez(tmp_path / "npz" / "a.npz", x=draw(5, D).T, bbox=np.ones((5, 4)),
             image_w=640, image_h=480)  # fmt: skip
    first = converted(tmp_path / "npy", tmp_path / "a")
    np.testing.assert_array_equal(first.read(0), draw(1, 3, 4, D).reshape(12, D))
    second = converted(tmp_path / "npz", tmp_path / "b")
    np.testing.assert_array_equal(second.read(0), draw(5, D))
    assert second.boxes(0).shape == (5, 4) and second.size(0) == (640, 480)


def test_hdf5_both_ways(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for k in (3, 8):
            file[str(k)] = draw(2, 3, D, seed=k)
        file["out"] = h5py.ExternalLink("/etc/passwd", "/")
        file.create_dataset("never", (2, 3, D), np.float32)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["features"] = draw(2, 5, D)
        file["ids"] = np.array([b"x", b"y"])
    convert(Given(source=tmp_path / "a.h5", name="a", dtype="fp32"), tmp_path / "a")
    first = Store(tmp_path / "a")
    np.testing.assert_array_equal(first.read(first.ids["8"]), draw(2, 3, D, seed=8).reshape(6, D))
    assert set(first.failures) == {"out", "never"} and "not followed" in first.failures["out"]
    second = converted(tmp_path / "b.h5", tmp_path / "b")
    np.testing.assert_array_equal(second.read(second.ids["y"]), draw(2, 5, D)[1])
    assert second.grid(0) is None


def test_parts_of_one_name_are_looked_up_together(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_tsv(tmp_path / f"{part}.tsv", BUTD, [region_row(len(part), 10)])
        converted(tmp_path / f"{part}.tsv", tmp_path / part)
    stores = [Store(tmp_path / part) for part in ("train", "val")]
    assert stores[0].fingerprint == stores[1].fingerprint
    lookup = Lookup([tmp_path / "train", tmp_path / "val"])
    assert lookup.grid("COCO_val2014_000000000005") == (1, 10) and lookup.width == D
    other = converted(tmp_path / "val.tsv", tmp_path / "other", name="other")
    assert other.fingerprint != stores[0].fingerprint
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text("[]")  # another program's
    own = stores_of(stores[0].fingerprint, tmp_path)
    assert own.keys() == {tmp_path / "train", tmp_path / "val"}


def test_what_is_no_source_says_so(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "b.csv").write_text("a")
    (tmp_path / "a.tsv").write_text("a\tb\n")
    (tmp_path / "both").mkdir()
    np.save(tmp_path / "both" / "a.npy", draw(2, 2))
    np.savez(tmp_path / "both" / "b.npz", feat=draw(2, 2))
    for name, said in (
        ("none", "holds no features"), ("both", "1 .npy, 1 .npz"), ("b.csv", "none of .tsv"),
        ("a.tsv", "2 fields"), ("c.tsv", "no file"),
    ):  # fmt: skip
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            legacy.find(tmp_path / name)
    run("features", "convert", str(tmp_path / "a.tsv"), code=2)
    run("features", "info", str(tmp_path), "--name", "x", code=2)
