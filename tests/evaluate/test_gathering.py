"""Who encodes a comparison's pictures changes no byte of their features."""

from pathlib import Path

import pytest

from clipvil import api
from clipvil.evaluate import gathering
from clipvil.evaluate.splits import all_pictures
from clipvil.evaluate.workers import Workers
from clipvil.worlds import tabletop


@pytest.mark.slow
def test_a_slow_encoder_is_shared_and_its_features_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabletop.write(tmp_path / "world", seed=3, train=30, val=10, shifts=False)
    stores = dict[float, dict[str, bytes]]()
    for worth in (0.0, 1e9):
        monkeypatch.setattr(gathering, "SHARED", worth)
        asked = {"task": "vqa2", "data": tmp_path / "world", "out": tmp_path / str(worth)}
        comparison = api.plan(encoders=["tiny:random"], jobs=2, **asked)
        with Workers(2) as workers:
            pictures = all_pictures(comparison.source)
            (seen,) = gathering.gather_all(comparison, pictures, workers).values()
        assert seen.found.seconds and not seen.found.failures
        (store,) = seen.found.stores
        stores[worth] = {
            file.name: file.read_bytes()
            for file in store.iterdir()
            if file.name.startswith(("shard", "manifest"))
        }
    assert len(stores[0.0]) >= 3 and stores[0.0] == stores[1e9]
