"""Files: found by official name, read a row at a time, pictures under any spelling."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from clipvil.core import Data, OfficialFile
from clipvil.files import (
    MissingFilesError,
    PictureIndex,
    atomic,
    find,
    read_json,
    read_rows,
    write_bytes,
    write_rows,
)

FILE = OfficialFile(role="questions", split="val", name="questions.json", source="https://x.org")
EXTRA = replace(FILE, role="choices", name="choices.json", optional=True)


@pytest.mark.parametrize(
    ("content", "key", "places"),
    [
        (b'[{"a": 1}, {"a": 2}]', "", ["row 1", "row 2"]),
        (b' \n[{"a": 1}, {"a": 2}]', "", ["row 1", "row 2"]),
        (b'{"info": [], "rows": [{"a": 1}, {"a": 2}]}', "rows", ["row 1", "row 2"]),
        (b'[{"a": 1}, {"a": 2}]', "rows", ["row 1", "row 2"]),
        (b'{"a": 1}\n\n{"a": 2}\n', "", ["line 1", "line 3"]),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_rows_come_with_their_place(
    tmp_path: Path, content: bytes, key: str, places: list[str], pack: object
) -> None:
    assert callable(pack)
    write_bytes(tmp_path / "f", pack(content))
    rows = list(read_rows(tmp_path / "f", dict[str, int], key))
    assert rows == [(places[0], {"a": 1}), (places[1], {"a": 2})]


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"[1, 2]" * 99, mtime=0)[:-9], b"[1", b"[" * 100_000, b"\xff", b'["\xff"]'],
)
def test_spoilt_files_are_named(tmp_path: Path, content: bytes) -> None:
    write_bytes(tmp_path / "spoilt", content)
    with pytest.raises(ValueError, match="spoilt"):
        list(read_rows(tmp_path / "spoilt"))
    with pytest.raises(ValueError, match="spoilt"):
        read_json(tmp_path / "spoilt")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_official_files_are_found_anywhere(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "questions.json.gz", b"")
    assert find(Data(tmp_path), [FILE, EXTRA]) == {
        "questions": tmp_path / "a" / "questions.json.gz"
    }
    write_bytes(tmp_path / "b" / "questions.json", b"")
    with pytest.raises(ValueError, match=r"two candidates for questions\.json: .*a.*b"):
        find(Data(tmp_path), [FILE])
    given = {("questions", "val"): tmp_path / "b" / "questions.json"}
    assert find(Data(tmp_path, given), [FILE])["questions"] == tmp_path / "b" / "questions.json"


def test_missing_files_tell_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"questions\.json .*https://x\.org"):
        find(Data(tmp_path), [FILE, EXTRA])
    with pytest.raises(ValueError, match="no such file: nowhere"):
        find(Data(given={("questions", "val"): Path("nowhere")}), [FILE])


def test_shifts_hold_other_pictures_of_the_same_names(tmp_path: Path) -> None:
    for place in ("val2014", "shifts/sketch", "shifts/sketch/shifts"):
        write_bytes(tmp_path / place / "COCO_val2014_000000000007.jpg", b"")
    assert PictureIndex(tmp_path).find("7").parent == tmp_path / "val2014"
    shifted = PictureIndex(tmp_path / "shifts" / "sketch")
    assert shifted.find("7").parent == tmp_path / "shifts" / "sketch"


def test_pictures_answer_to_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "images" / "val" / "COCO_val2014_000000000007.jpg"
    write_bytes(path, b"")
    index = PictureIndex(tmp_path)
    for name in (
        "7", "000000000007", "COCO_train2014_000000000007.jpg", path.stem, path.name,
        f"images/val/{path.name}", f"val/{path.stem}",
    ):  # fmt: skip
        assert index.find(name) == path
    for name in ("8", f"other/{path.name}", f"../{path.name}", str(path), ""):
        with pytest.raises(FileNotFoundError):
            index.find(name)


def test_a_name_with_a_folder_is_not_another_folders_picture(tmp_path: Path) -> None:
    for place in ("a/1.jpg", "x/a/1.jpg", "b/2.jpg"):
        write_bytes(tmp_path / place, b"")
    index = PictureIndex(tmp_path)
    assert index.find("a/1.jpg") == tmp_path / "a" / "1.jpg", "the whole path wins"
    with pytest.raises(FileNotFoundError):
        index.find("a/2.jpg")
    with pytest.raises(ValueError, match="two pictures are called 1"):
        index.find("1")


def test_rows_are_written_as_the_name_promises(tmp_path: Path) -> None:
    rows = [{"id": "a", "answer": "ein Hügel"}, {"id": "b", "answer": "two\nlines"}]
    for name in ("rows.json", "rows.jsonl"):
        write_rows(tmp_path / name, iter(rows))
        assert [row for _, row in read_rows(tmp_path / name)] == rows
    assert json.loads((tmp_path / "rows.json").read_text()) == rows
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2
