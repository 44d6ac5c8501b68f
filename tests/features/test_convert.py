"""Features of others come into a store as they were; what is broken is named and left out."""

import base64
import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given as given_any
from hypothesis import strategies as some
from PIL import Image

from clipvil import cli, files
from clipvil.features import convert as converting
from clipvil.features import legacy, plan, shards
from clipvil.features.convert import Given, convert
from clipvil.features.lookup import Lookup
from clipvil.features.store import Store, verify

D = 16
BUTD = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
LXMERT = ("img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf",
          "num_boxes", "boxes", "features")  # fmt: skip
R2R = ("scanId", "viewpointId", "image_w", "image_h", "vfov", "features")


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def text(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array)).decode()


def region_row(number: int, n: int) -> dict[str, Any]:
    return {
        "image_id": f"COCO_val2014_{number:012d}", "img_id": f"COCO_val2014_{number:012d}",
        "image_w": 640, "image_h": 480, "img_w": 640, "img_h": 480, "num_boxes": n,
        "boxes": text(np.abs(draw(n, 4, seed=number))), "features": text(draw(n, D, seed=number)),
        "objects_id": text(np.zeros(n)), "objects_conf": text(np.zeros(n)),
        "attrs_id": text(np.zeros(n)), "attrs_conf": text(np.zeros(n)),
    }  # fmt: skip


def write_tsv(path: Path, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """As the published scripts write it."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter="\t", extrasaction="ignore")
        writer.writerows(rows)


def converted(source: Path, out: Path, **settings: Any) -> Store:
    convert(Given(**{"source": source, "name": "butd", "dtype": "fp32"} | settings), out)
    assert verify(out) == []
    return Store(out)


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


def test_a_spoilt_file_among_many_is_named(tmp_path: Path) -> None:
    for folder in ("npz", "pth"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "c"):
        np.savez_compressed(tmp_path / "npz" / f"{name}.npz", feat=draw(3, 4, D))
        torch.save(torch.from_numpy(draw(3, 4, D)), tmp_path / "pth" / f"{name}.pth")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("a", "b", "c"):
            file.create_dataset(name, data=draw(3, 4, D).astype("f8") * 1e-3, compression="gzip")
        place = file["b"].id.get_chunk_info(0).byte_offset
    for path in (tmp_path / "npz" / "b.npz", tmp_path / "pth" / "b.pth", tmp_path / "a.h5"):
        content = bytearray(path.read_bytes())
        at = place if path.suffix == ".h5" else 30
        content[at : at + 200] = bytes(200)
        path.write_bytes(content)
    for name in ("npz", "pth", "a.h5"):
        done = convert(
            Given(source=tmp_path / name, name="a", dtype="fp32"), tmp_path / f"{name}-store"
        )
        assert set(done.failures) == {"b"} and done.pictures == 2
        assert verify(done.path) == []


def test_broken_rows_are_named_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [region_row(k, 10) for k in range(12)]
    rows[1]["num_boxes"] = 11
    rows[2]["num_boxes"] = "many"
    rows[3]["features"] = text(draw(10, D)[:-1])
    rows[4]["features"] = rows[4]["features"][:-3] + "!"
    rows[5]["features"] = text(np.where(np.arange(D) == 3, np.nan, draw(10, D)).astype("<f4"))
    rows[6]["boxes"] = text(np.full((10, 4), np.inf, "<f4"))
    rows[7]["image_id"] = rows[0]["image_id"]
    rows[8]["features"] = text(draw(10, D + 4))
    rows[9]["features"] = text(1e6 * draw(10, D))
    rows[10]["image_id"] = "a\x07b"
    write_tsv(tmp_path / "a.tsv", BUTD, rows)
    with (tmp_path / "a.tsv").open("a") as file:
        file.write("cut\t640\t48")
    given = ["convert", str(tmp_path / "a.tsv"), "--out", str(tmp_path / "store"), "--name", "b"]
    assert cli.run("features", [*given, "--json"]) == 1
    row = json.loads(capsys.readouterr().out)
    assert row["pictures"] == 2 and len(row["failures"]) == 11
    said = {reason.partition(":")[0]: reason for reason in row["failures"].values()}
    assert [f"row {k}" for k in range(2, 12)] + ["row 13"] == sorted(
        said, key=lambda r: int(r.split()[1])
    )
    for number, words in (
        (2, "not 11 rows"), (4, "not 10 rows"), (6, "NaN"), (7, "finite boxes"),
        (8, "there before"), (9, "width 20 where the first picture has 16"),
        (10, "not finite in fp16"), (11, "no line of text"), (13, "3 fields"),
    ):  # fmt: skip
        assert words in said[f"row {number}"]
    assert verify(tmp_path / "store") == []
    assert cli.run("features", ["info", str(tmp_path / "store")]) == 0
    out = capsys.readouterr().out
    assert "converted from  bottom-up TSV" in out and "left out" in out


def test_a_row_written_again_whole_is_taken(tmp_path: Path) -> None:
    """As extraction that was interrupted and went on leaves it."""
    rows = [region_row(0, 10), region_row(1, 10), region_row(1, 10)]
    rows[1]["features"] = rows[1]["features"][:40]
    write_tsv(tmp_path / "a.tsv", BUTD, rows)
    convert(Given(source=tmp_path / "a.tsv", name="b", dtype="fp32"), tmp_path / "store")
    assert len(Store(tmp_path / "store")) == 2 and len(Store(tmp_path / "store").failures) == 1


def hidden_objects(folder: Path) -> None:
    np.save(folder / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)


def short_of_its_shape(folder: Path) -> None:
    np.save(folder / "a.npy", draw(100, D))
    whole = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(whole.replace(b"(100,", b"(999,"))


def code_in_pickle(folder: Path) -> None:
    torch.save({"features": Path("x")}, folder / "a.pth")


def a_view_of_one_number(folder: Path) -> None:
    torch.save(torch.zeros(1).expand(100, 1 << 24), folder / "a.pth")


def no_features_by_name(folder: Path) -> None:
    torch.save({"weights": torch.zeros(3, 3)}, folder / "a.pth")


def two_equal_axes(folder: Path) -> None:
    np.save(folder / "a.npy", draw(8, 3, 8))


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (hidden_objects, "Python objects"),
        (short_of_its_shape, r"\(999, 16\)"),
        (code_in_pickle, "alone"),
        (a_view_of_one_number, "would take"),
        (no_features_by_name, "none of features"),
        (two_equal_axes, "not .N, D."),
    ],
)
def test_what_cannot_be_believed_is_refused(
    save: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in")
    with pytest.raises(ValueError, match=said):
        convert(Given(source=tmp_path / "in", name="a", dtype="fp16"), tmp_path / "store")
    with pytest.raises(ValueError, match="unfinished"):
        Store(tmp_path / "store")


@given_any(where=some.integers(0, 5_000), byte=some.integers(0, 255), cut=some.integers(0, 3_000))
def test_no_damage_stops_or_misleads_a_conversion(
    tmp_path_factory: pytest.TempPathFactory, where: int, byte: int, cut: int
) -> None:
    root = tmp_path_factory.mktemp("damage")
    write_tsv(root / "a.tsv", BUTD, [region_row(k, 4) for k in range(6)])
    content = bytearray((root / "a.tsv").read_bytes())
    content[where % len(content)] = byte
    (root / "a.tsv").write_bytes(content[: len(content) - cut % len(content)])
    try:
        convert(Given(source=root / "a.tsv", name="b", dtype="fp32"), root / "store")
    except ValueError:
        return
    assert verify(root / "store") == []
    store = Store(root / "store")
    assert all(np.isfinite(store.read(k)).all() for k in range(len(store)))


def test_an_interrupted_conversion_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [region_row(k, 5 + k % 3) for k in range(23)]
    rows[4]["num_boxes"] = rows[9]["num_boxes"] = 3
    write_tsv(tmp_path / "a.tsv", BUTD, rows)
    monkeypatch.setattr(plan, "SHARD_PICTURES", 4)
    given = Given(source=tmp_path / "a.tsv", name="b", dtype="fp16")
    convert(given, tmp_path / "whole")
    step = converting.run(given, legacy.find(given.source), tmp_path / "cut")
    (tmp_path / "cut").mkdir()
    converting.begin(given, legacy.find(given.source), tmp_path / "cut")
    for _ in range(14):
        next(step)
    (tmp_path / "cut" / ".shard-00003.safetensors.x").write_text("half")
    done = convert(given, tmp_path / "cut")
    assert done.converted == 23 - 12 and len(done.failures) == 2
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "cut" / path.name).read_bytes() == path.read_bytes()
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == sorted(
        p.name for p in (tmp_path / "whole").iterdir()
    )
    with pytest.raises(ValueError, match="another dtype"):
        convert(Given(source=given.source, name="b", dtype="fp32"), tmp_path / "cut")
    assert convert(given, tmp_path / "cut").converted == 0


IN_PARTS = """
import sys
from pathlib import Path
from clipvil.features import plan
from clipvil.features.convert import Given, convert

plan.SHARD_BYTES = 1 << 20
root = Path(sys.argv[1])
convert(Given(source=root / "a.tsv", name="b", dtype="fp16"), root / sys.argv[2])
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    row = region_row(0, 36) | {"features": text(draw(36, 512))}
    write_tsv(tmp_path / "a.tsv", BUTD, [row | {"image_id": k} for k in range(1_000)])
    command = [sys.executable, "-c", IN_PARTS, str(tmp_path)]
    subprocess.run([*command, "whole"], check=True)
    with subprocess.Popen([*command, "cut"]) as running:
        while not (tmp_path / "cut" / shards.name(2)).is_file():
            assert running.poll() is None
            time.sleep(0.001)
        running.kill()
    assert not (tmp_path / "cut" / "manifest.json").is_file(), "killed too late to show anything"
    subprocess.run([*command, "cut"], check=True)
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "cut").iterdir())
    for name in names:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


GROWTH = """
import resource, sys
from pathlib import Path
from clipvil.features import plan
from clipvil.features.convert import Given, convert

plan.SHARD_BYTES = 1 << 20
peaks = []
for name in ("first", "small", "large"):
    given = Given(source=Path(sys.argv[1]) / f"{name}.tsv", name="b", dtype="fp16")
    convert(given, Path(sys.argv[1]) / name)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[2] - peaks[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    row = region_row(0, 36) | {"features": text(draw(36, 512))}
    for name, count in (("first", 40), ("small", 40), ("large", 800)):
        rows = [row | {"image_id": k} for k in range(count)]
        write_tsv(tmp_path / f"{name}.tsv", BUTD, rows)
    assert (tmp_path / "large.tsv").stat().st_size > 75e6
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 10_000, "kB; the shard in hand takes one thousand"


def test_parts_of_one_name_are_looked_up_together(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_tsv(tmp_path / f"{part}.tsv", BUTD, [region_row(len(part), 10)])
        converted(tmp_path / f"{part}.tsv", tmp_path / part)
    stores = [Store(tmp_path / part) for part in ("train", "val")]
    assert stores[0].fingerprint == stores[1].fingerprint
    lookup = Lookup([tmp_path / "train", tmp_path / "val"])
    assert lookup.cells("COCO_val2014_000000000005") == 10 and lookup.width == D
    other = converted(tmp_path / "val.tsv", tmp_path / "other", name="other")
    assert other.fingerprint != stores[0].fingerprint


def test_what_is_no_source_says_so(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "b.csv").write_text("a")
    (tmp_path / "a.tsv").write_text("a\tb\n")
    (tmp_path / "both").mkdir()
    np.save(tmp_path / "both" / "a.npy", draw(2, 2))
    np.savez(tmp_path / "both" / "b.npz", feat=draw(2, 2))
    for name, said in (
        ("none", "holds not one of"), ("both", "1 .npy, 1 .npz"), ("b.csv", "none of .tsv"),
        ("a.tsv", "2 fields"), ("c.tsv", "no file"),
    ):  # fmt: skip
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            legacy.find(tmp_path / name)
    assert cli.run("features", ["convert", str(tmp_path / "a.tsv")]) == 2
    assert cli.run("features", ["info", str(tmp_path), "--name", "x"]) == 2


def test_a_path_in_an_id_stays_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "fc").mkdir()
    np.save(tmp_path / "secret.npy", draw(7))
    rows = [region_row(0, 10), region_row(1, 10) | {"image_id": "../secret"}]
    np.save(tmp_path / "fc" / f"{rows[0]['image_id']}.npy", draw(7))
    write_tsv(tmp_path / "a.tsv", BUTD, rows)
    given = Given(source=tmp_path / "a.tsv", name="b", dtype="fp16", pooled=tmp_path / "fc")
    assert "no pooled vector" in convert(given, tmp_path / "store").failures["../secret"]
    assert files.sha256(tmp_path / "store" / shards.name(0))
