"""What is broken in features of others is named and left out; the rest goes on."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given as given_any
from hypothesis import strategies as some

from clipvil import cli
from clipvil.features.convert import Given, convert
from clipvil.features.store import Store, verify
from tests.features.legacy_files import BUTD, D, draw, region_row, text, write_tsv


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


def test_a_path_in_an_id_stays_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "fc").mkdir()
    np.save(tmp_path / "secret.npy", draw(7))
    rows = [region_row(0, 10), region_row(1, 10) | {"image_id": "../secret"}]
    np.save(tmp_path / "fc" / f"{rows[0]['image_id']}.npy", draw(7))
    write_tsv(tmp_path / "a.tsv", BUTD, rows)
    given = Given(source=tmp_path / "a.tsv", name="b", dtype="fp16", pooled=tmp_path / "fc")
    assert "no pooled vector" in convert(given, tmp_path / "store").failures["../secret"]
