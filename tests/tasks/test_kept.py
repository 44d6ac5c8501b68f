"""Large files are parsed once: what is kept is what was read, and never what has changed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil.columns import Interned, Joined, Numbered, Packed, Strings, Tuples
from clipvil.core import Data, Example
from clipvil.files import read_json, write_json
from clipvil.tasks import _kept
from clipvil.tasks._vqa2_files import FILES
from clipvil.tasks.vqa2 import TASK
from clipvil.tasks.vqa2 import examples as examples_of

examples = partial(examples_of, FILES)
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=5)


@given(TEXTS, st.lists(TEXTS, max_size=3), st.lists(st.integers(-9, 2**62), max_size=4))
def test_columns_are_put_together_as_they_were(
    texts: list[str], several: list[list[str]], numbers: list[int]
) -> None:
    made: list[Packed[object]] = [
        Strings(texts), Interned(texts), Tuples(several), Numbered("é{:03d}", numbers)
    ]  # type: ignore[list-item]  # fmt: skip
    for column in made:
        again = type(column).of({k: np.array(v) for k, v in column.arrays().items()})
        assert list(again) == list(column) and len(again) == len(column)
    known = Interned.of(Interned(texts).arrays())
    known.append("x")
    assert known[-1] == "x" and list(known)[:-1] == texts


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_joined_columns_are_one_after_another(parts: list[list[str]]) -> None:
    joined, flat = Joined(*parts), [text for part in parts for text in part]
    assert list(joined) == flat and len(joined) == len(flat)
    assert [joined[k] for k in range(-len(flat), len(flat))] == flat + flat
    assert list(joined[1:-1]) == flat[1:-1]
    with pytest.raises(IndexError):
        joined[len(flat)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    TASK.tiny(tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_kept, "WORTH", 0)
    return tmp_path / "data"


@pytest.fixture
def parsed() -> list[str]:
    """Splits that were parsed."""
    return []


@pytest.fixture
def read(root: Path, parsed: list[str]) -> Callable[[str], list[Example]]:
    def slowly(data: Data, split: str) -> object:
        parsed.append(split)
        return examples(data, split)

    reading = _kept.kept("vqa2", FILES, slowly)  # type: ignore[arg-type]
    return lambda split: list(reading(Data(root), split))


def test_the_second_time_nothing_is_parsed(
    read: Callable[[str], list[Example]], parsed: list[str], root: Path
) -> None:
    whole = read_json(root / ANNOTATIONS)
    for told in whole["annotations"][2]["answers"]:
        told["answer_id"] = 1  # twins, which are kept beside the columns
    write_json(root / ANNOTATIONS, whole)
    for split in ("val", "test"):
        first, second = read(split), read(split)
        assert first == second == list(examples(Data(root), split)), split
    assert parsed == ["val", "test"]


def test_what_has_changed_is_parsed_again(
    read: Callable[[str], list[Example]], parsed: list[str], root: Path
) -> None:
    before = read("val")
    whole = read_json(root / ANNOTATIONS)
    whole["annotations"][0]["answer_type"] = "number"
    write_json(root / ANNOTATIONS, whole)
    after = read("val")
    assert after != before and after == list(examples(Data(root), "val"))
    (root / ANNOTATIONS).write_text("{")
    with pytest.raises(ValueError, match=ANNOTATIONS):
        read("val")
    assert parsed == ["val"] * 3


@pytest.mark.parametrize("spoilt", [b"", b"no tensors", b"\xff" * 99, None])
def test_what_is_not_whole_is_not_believed(
    read: Callable[[str], list[Example]], parsed: list[str], spoilt: bytes | None
) -> None:
    before = read("val")
    (place,) = _kept.folder().iterdir()
    place.write_bytes(place.read_bytes()[:-40] if spoilt is None else spoilt)
    assert read("val") == before == read("val")
    assert parsed == ["val", "val"]


def test_a_cache_that_cannot_be_written_costs_time_only(
    read: Callable[[str], list[Example]], parsed: list[str], root: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (root.parent / "cache").write_text("a file where a folder should be")
    assert read("val") == read("val")
    assert parsed == ["val", "val"]
    assert "could not be written" in capsys.readouterr().err


def test_small_files_and_other_orders_are_not_kept(
    read: Callable[[str], list[Example]], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads((root / ANNOTATIONS).read_text())
    whole["annotations"].reverse()
    write_json(root / ANNOTATIONS, whole)
    read("val")
    monkeypatch.setattr(_kept, "WORTH", 1 << 26)
    read("test")
    assert not _kept.folder().exists()
