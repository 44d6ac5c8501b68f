"""Pictures from their files: what an encoder sees in them is what an exact store has of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clipvil import encoders
from clipvil.data import live
from clipvil.data.live import Live, Shown
from clipvil.data.sight import Shuffled, Statistics, Stored
from clipvil.encoders.base import Encoder, Preprocessing, hash_weights
from clipvil.errors import UsageError
from clipvil.features.encode import encode
from clipvil.features.lookup import Lookup
from clipvil.features.store import Store
from tests import noise
from tests.noise import BROKEN, NAMES

READ = Preprocessing.read


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return noise.write(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoders.load("tiny:clip").freeze()


def test_it_gives_what_an_exact_store_has(
    encoder: Encoder, files: dict[str, Path], tmp_path: Path
) -> None:
    before = hash_weights(encoder.network)
    encode(encoder, files, tmp_path / "store", dtype="fp32")
    lookup, asked = Lookup([tmp_path / "store"]), [*NAMES, BROKEN]
    read, seen = Statistics.of(lookup, asked), live.statistics(encoder, files, asked)
    assert np.array_equal(read.mean, seen.mean)
    assert np.array_equal(read.deviation, seen.deviation)
    stored, looked = Stored(lookup, read), Live(encoder, files, seen)
    for one, other in zip(stored.look(asked), looked.look(asked), strict=True):
        assert torch.equal(one, other)
    assert looked.look([BROKEN]).grid.tolist() == [[1, 1]], "one empty cell"
    both = (Statistics.of(lookup, asked, pooled=True), stored, looked)
    stored, looked = Stored(lookup, both[0]), Live(encoder, files, both[0])
    torch.testing.assert_close(looked.pooled(asked), stored.pooled(asked), atol=1e-5, rtol=1e-5)
    assert both[1].pooled(asked) is both[2].pooled(asked) is None, "no statistics tell of them"
    swapped = [Shuffled(sight, asked, seed=1).look(asked) for sight in (stored, looked)]
    assert torch.equal(swapped[0].image, swapped[1].image)
    assert hash_weights(encoder.network) == before, "the same bytes after any use"


def test_what_stands_beside_a_picture_changes_nothing(
    encoder: Encoder, files: dict[str, Path]
) -> None:
    read = live.statistics(encoder, files, NAMES)
    sight = Live(encoder, files, read)
    twice = [*NAMES[:2], NAMES[1], BROKEN, BROKEN, NAMES[1], *NAMES[2:5]]
    looked = sight.look(twice)
    for row, name in enumerate(twice):
        own = sight.look([name])
        cells = int(own.seen.sum())
        assert torch.equal(looked.grid[row], own.grid[0]) and int(looked.seen[row].sum()) == cells
        torch.testing.assert_close(looked.image[row, :cells], own.image[0], atol=1e-4, rtol=1e-4)
    pixels, seen, sizes = Shown(encoder.preprocessing, files).look(NAMES)
    noisy = torch.where(seen.unsqueeze(-1), pixels, torch.tensor(77, dtype=torch.uint8))
    mean, deviation = torch.from_numpy(read.mean), torch.from_numpy(read.deviation)
    known, other = (live.cells(encoder, p, sizes, mean, deviation) for p in (pixels, noisy))
    assert torch.equal(known.image, other.image)


def test_regions_are_found_in_cells_and_not_in_pixels(
    encoder: Encoder, files: dict[str, Path], tmp_path: Path
) -> None:
    encode(encoder, files, tmp_path / "store")
    store = Store(tmp_path / "store")
    sight = Live(encoder, files, live.statistics(encoder, files, NAMES))
    for name, found in zip(NAMES, sight.affine(NAMES), strict=True):
        assert np.allclose(store.affine(store.ids[name]), found)
    with pytest.raises(UsageError, match="sight=live"):
        Shown(encoder.preprocessing, files).affine(NAMES)


def test_decoded_pictures_are_kept_as_long_as_there_is_room(
    encoder: Encoder,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = list[Path]()
    monkeypatch.setattr(
        Preprocessing, "read", lambda self, path: opened.append(path) or READ(self, path)
    )
    shown = Shown(encoder.preprocessing, files, room=2 * 64 * 64 * 3)
    for names, decoded in (("a0", 1), ("a0 a1 a1", 1), ("a1 a0", 0), ("a2", 1), ("a1", 1)):
        opened.clear()
        shown.look(names.split())
        assert len(opened) == decoded, names
    roomy = Shown(encoder.preprocessing, files)
    for _ in range(2):
        roomy.look([BROKEN, "a0"])
    assert capsys.readouterr().err.count("it counts as empty") == 1
