"""What is written comes back; what is damaged, unfinished or another's is refused."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as some

from clipvil import cli, encoders, pictures, progress
from clipvil.encoders.base import Encoder
from clipvil.features import plan, shards
from clipvil.features.encode import encode
from clipvil.features.shards import Dtype
from clipvil.features.store import Store, verify


@pytest.fixture(scope="module")
def folder(
    encoder: Encoder, draw: Callable[[Path, int], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Twenty pictures and their store of three shards; only to be read."""
    root = tmp_path_factory.mktemp("twenty")
    draw(root / "pictures", 20)
    sources = plan.named(root / "pictures")
    encode(encoder, sources, root / "store", batch_size=4, shard_pictures=7)
    return root


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    for path in (folder / "store").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_every_picture_comes_back(encoder: Encoder, folder: Path) -> None:
    store = Store(folder / "store", card=encoder.card)
    sources = plan.named(folder / "pictures")
    assert list(sources)[:2] == ["0/000", "0/003"] and store.ids.keys() == sources.keys()
    buffer = np.full((40, 6), 7, np.float32)
    for identity, path in sources.items():
        shown = encoder.preprocessing(pictures.read(path))
        with torch.inference_mode():
            seen = encoder(torch.from_numpy(shown.values)[None])
        index = store.ids[identity]
        cells = store.cells(index)
        assert store.grid(index) == tuple(seen.grid.shape[1:3]) and store.size(index) == shown.size
        np.testing.assert_array_equal(store.affine(index), np.float32(shown.affine))
        wanted = seen.grid.flatten(0, 2).numpy()
        np.testing.assert_allclose(store.read(index), wanted, atol=2e-3)
        np.testing.assert_allclose(store.pooled(index), seen.pooled[0].numpy(), atol=2e-3)
        filled = store.read(index, buffer)
        assert filled.base is buffer and filled.shape == (cells, 6) and (buffer[cells:] == 7).all()
        np.testing.assert_array_equal(filled, store.read(index))
        buffer[:] = 7


@pytest.mark.parametrize(("dtype", "close"), [("fp16", 1e-3), ("bf16", 1e-2), ("fp32", 0)])
def test_dtypes_keep_what_they_can(
    encoder: Encoder, folder: Path, tmp_path: Path, dtype: Dtype, close: float
) -> None:
    sources = dict(list(plan.named(folder / "pictures").items())[:3])
    encode(encoder, sources, tmp_path / "a", dtype="fp32", batch_size=4)
    encode(encoder, sources, tmp_path / "b", dtype=dtype, batch_size=4)
    exact, store = Store(tmp_path / "a"), Store(tmp_path / "b")
    assert store.dtype == dtype
    for index in range(3):
        np.testing.assert_allclose(store.read(index), exact.read(index), rtol=close, atol=close)
        np.testing.assert_allclose(store.pooled(index), exact.pooled(index), rtol=close, atol=close)


def test_a_store_goes_to_another_process_by_its_path(folder: Path) -> None:
    store = Store(folder / "store")
    sent = pickle.dumps(store)
    assert len(sent) < 500 and pickle.loads(sent).ids == store.ids


def test_the_estimate_of_disk_is_near(encoder: Encoder, folder: Path) -> None:
    needed = plan.disk_needed(encoder.card, plan.named(folder / "pictures"))
    assert needed == pytest.approx(Store(folder / "store").bytes, rel=0.5)
    values = sum(Store(folder / "store").cells(i) * 6 * 2 + 4 * 2 for i in range(20))
    assert needed == values, "the rest are headers"


def test_a_whole_store_has_no_problems(folder: Path) -> None:
    assert verify(folder / "store") == []
    whole = Store(folder / "store").manifest
    assert [s.pictures for s in whole.shards] == [7, 7, 6] and whole.failures == {}


def test_any_flipped_bit_is_found(damaged: Path) -> None:
    path = damaged / shards.name(1)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert verify(damaged) == [f"{path} is not what was written: its hash differs"]
    (damaged / "shard-00002.txt").write_text("a\n")
    path.unlink()
    assert [p.rsplit("/")[-1] for p in verify(damaged)] == [
        "shard-00001.safetensors is missing",
        "shard-00002.txt is not what was written: its hash differs",
    ]


@given(length=some.integers(0, 2000), place=some.integers(0, 700), byte=some.integers(0, 255))
def test_no_damage_is_read_as_features(folder: Path, length: int, place: int, byte: int) -> None:
    """Cut short or overwritten in its header, a shard is refused or is still consistent."""
    content = bytearray((folder / "store" / shards.name(0)).read_bytes())
    content[place] = byte
    other = folder / "damaged" / shards.name(0)
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(content[: max(1, len(content) - length)])
    shards.ids_path(other).write_bytes((folder / "store" / "shard-00000.txt").read_bytes())
    shard, said = None, ""
    try:
        shard = shards.read(other)
    except ValueError as error:
        said = str(error)
    if shard is None:
        assert said.startswith(str(other))
    else:
        assert length == 0 and shard.offsets[-1] == len(shard.values)


@pytest.mark.parametrize(
    ("tensor", "change"),
    [
        ("offsets", lambda a: a[::-1].copy()),
        ("offsets", lambda a: a + 1),
        ("offsets", lambda a: a[:-1].copy()),
        ("grid", lambda a: a * -1),
        ("values", lambda a: a[:-1].copy()),
        ("pooled", lambda a: a[:-1].copy()),
        ("affine", lambda a: a[:, :2].copy()),
    ],
)
def test_contradictions_inside_a_shard_are_refused(
    damaged: Path, tensor: str, change: Callable[[object], object]
) -> None:
    path = damaged / shards.name(0)
    tensors = safetensors.numpy.load_file(path)
    tensors[tensor] = change(tensors[tensor])
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(ValueError, match=str(path)):
        Store(damaged)


def test_an_unfinished_store_says_so(damaged: Path) -> None:
    (damaged / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"unfinished.*run the same command again"):
        Store(damaged)
    with pytest.raises(FileNotFoundError, match="no feature store"):
        Store(damaged / "nowhere")


def test_a_folder_of_stores_names_them(folder: Path) -> None:
    with pytest.raises(ValueError, match=f"is a folder of stores: name .*{folder / 'store'}"):
        Store(folder)


def test_another_version_is_refused(damaged: Path) -> None:
    content = json.loads((damaged / "manifest.json").read_text())
    (damaged / "manifest.json").write_text(json.dumps(content | {"version": 2}))
    with pytest.raises(ValueError, match="version 2, this clipvil reads 1"):
        Store(damaged)


def test_a_manifest_names_files_beside_it_only(folder: Path, damaged: Path) -> None:
    place = damaged / "manifest.json"
    elsewhere = folder / "store" / shards.name(1)
    place.write_text(place.read_text().replace(shards.name(1), str(elsewhere)))
    with pytest.raises(ValueError, match="no file beside it"):
        Store(damaged)
    assert "no file beside it" in verify(damaged)[0]


def test_hashing_tells_how_far_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert verify(folder / "store") == []
    assert "shards hashed: 3 of 3" in capsys.readouterr().err


def test_the_store_of_another_encoder_is_refused(folder: Path, own: Path) -> None:
    other = encoders.load(f"module:{own},seed=1").card
    with pytest.raises(ValueError, match=r"options .*'seed': '1'"):
        Store(folder / "store", card=other)


def test_info_and_verify_of_the_command(
    folder: Path, damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("features", ["info", str(folder / "store"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["pictures"], row["width"], row["pooled width"], row["shards"]) == (20, 6, 4, 3)
    (damaged / shards.name(0)).unlink()
    assert cli.run("features", ["verify", str(folder / "store"), str(damaged)]) == 1
    out = capsys.readouterr().out
    assert "whole" in out and "is missing" in out
    assert cli.run("features", ["info", str(damaged)]) == 1
    assert cli.run("features", ["info", str(folder / "store")]) == 0
    assert "pictures        20" in capsys.readouterr().out
