"""Two stores of the same pictures: how far apart, which pictures most, what is in one only."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipvil import cli, encoders
from clipvil.encoders.base import Encoder
from clipvil.features import plan
from clipvil.features.convert import Given, convert
from clipvil.features.diff import compare
from clipvil.features.encode import encode
from clipvil.features.store import Store
from tests.command import run


def written(folder: Path, name: str, arrays: dict[str, object]) -> Store:
    (folder / f"{name}-npy").mkdir()
    for identity, array in arrays.items():
        np.save(folder / f"{name}-npy" / f"{identity}.npy", array)
    convert(Given(source=folder / f"{name}-npy", name=name, dtype="fp32"), folder / name)
    return Store(folder / name)


def test_against_numbers_worked_by_hand(tmp_path: Path) -> None:
    a = np.zeros((1, 2, 4), np.float32)
    a[0, 0], a[0, 1] = [1, 0, 0, 0], [0, 2, 0, 0]
    b = a.copy()
    b[0, 1] = [0, 0, 3, 0]  # at a right angle to (0, 2, 0, 0)
    first = written(tmp_path, "a", {"x": a, "y": a, "only": a})
    second = written(tmp_path, "b", {"x": a, "y": b, "other": a})
    rows = {row.id: row for row in compare(first, second)}
    assert rows.keys() == {"x", "y"}
    assert (rows["x"].cosine, rows["x"].lowest, rows["x"].largest) == (1, 1, 0)
    assert (rows["y"].cosine, rows["y"].lowest, rows["y"].largest) == (0.5, 0, 3)


def test_other_grids_are_said_picture_by_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 6, 32)).astype(np.float32)
    first = written(tmp_path, "a", {"x": noise, "y": noise})
    second = written(tmp_path, "b", {"x": noise, "y": noise.reshape(3, 4, 32)})
    rows = {row.id: row for row in compare(first, second)}
    assert rows["x"].cosine == pytest.approx(1) and rows["y"].cosine is None
    assert rows["y"].reason == "2x6 cells against 3x4 cells"
    narrow = written(tmp_path, "c", {"x": noise[..., :16]})
    with pytest.raises(ValueError, match=r"32 numbers and .* of 16"):
        next(compare(first, narrow))


def test_dtypes_of_one_encoder_agree_and_other_weights_do_not(
    encoder: Encoder,
    own: Path,
    draw: Callable[[Path, int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw(tmp_path / "pictures", 6)
    sources = plan.named(tmp_path / "pictures")
    encode(encoder, sources, tmp_path / "exact", dtype="fp32")
    encode(encoder, sources, tmp_path / "half", dtype="bf16")
    encode(encoders.load(f"module:{own},seed=1"), sources, tmp_path / "other")
    fewer = dict(list(sources.items())[1:])
    encode(encoder, fewer, tmp_path / "fewer")

    def diff(*given: str) -> tuple[int, dict[str, object]]:
        paths = [str(tmp_path / name) for name in given]
        status = cli.run("features", ["diff", *paths, "--json"])
        return status, json.loads(capsys.readouterr().out)

    status, near = diff("exact", "half")
    assert status == 0 and near["compared"] == 6 and near["dtypes"] == ["fp32", "bf16"]
    assert near["lowest cosine"] > 0.9999 and 0 < near["largest difference"] < 0.05
    assert near["lowest pooled cosine"] > 0.9999
    assert diff("exact", "other")[1]["cosine"] < 0.9
    status, part = diff("exact", "fewer")
    assert status == 1 and part["only in the first"] == list(sources)[:1]
    assert cli.run("features", ["diff", str(tmp_path / "exact"), str(tmp_path / "fewer")]) == 1
    out = capsys.readouterr().out
    assert "furthest apart" in out and "only in the first" in out
    run("features", "diff", str(tmp_path / "exact"), code=2)
