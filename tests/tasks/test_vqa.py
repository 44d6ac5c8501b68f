"""Own questions: where rows may be, what they may hold, which metric they get."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Data, Example, Humans, Said
from clipvil.evaluate.score import score
from clipvil.files import MissingFilesError, read_json, write_json, write_jsonl
from clipvil.tasks import _own
from clipvil.tasks.vqa import TASK

ROW = {"image": "a.jpg", "question": "What is it?", "answer": "a cat"}


def read(root: Path, split: str = "test") -> list[Example]:
    return list(TASK.examples(Data(root), split))


def test_rows_are_named_after_split_and_row(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ROW, ROW | {"id": 7}, ROW])
    write_jsonl(tmp_path / "train.jsonl", [ROW])
    examples = read(tmp_path)
    assert [example.id for example in examples] == ["test-0", "7", "test-2"]
    assert examples[0].pictures == ("a.jpg",) and examples[0].cluster == "a.jpg"
    assert examples[0].target == Humans(("a cat",))


def test_a_file_given_by_hand_keeps_its_own_name(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "val.jsonl", [ROW])
    write_jsonl(tmp_path / "mine.jsonl", [ROW])
    for name, wanted in (("val", "val-0"), ("mine", "test-0")):
        given = {("annotations", "test"): tmp_path / f"{name}.jsonl"}
        assert TASK.examples(Data(given=given), "test")[0].id == wanted


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"image": "../a.jpg"}, "'../a.jpg' is not inside"),
        (ROW | {"image": "b/../../a.jpg"}, "is not inside"),
        (ROW | {"image": "/etc/a.jpg"}, "'/etc/a.jpg' is not inside"),
        (ROW | {"image": ""}, "names no file"),
        (ROW | {"image": 3}, "Expected `str`"),
        (ROW | {"id": 1.5}, r"Expected `int \| str \| null`"),
        (ROW | {"answer": 3}, "Expected `str"),
        (ROW | {"answer": " "}, "no answer may be empty"),
        (ROW | {"answers": ["cat"]}, "not both"),
        ({"image": "a.jpg", "question": "?", "answers": []}, "needs `answers` or `answer`"),
        ({"image": "a.jpg", "question": "?", "answers": "cat"}, "Expected `array`"),
        ({"image": "a.jpg", "answer": "cat"}, "required field `question`"),
        ({"question": "?", "answer": "cat"}, "required field `image`"),
        (ROW | {"id": "test-0"}, "id 'test-0' is also that of line 1"),
        ([], "Expected `object`"),
    ],
)
def test_spoilt_rows_are_named(tmp_path: Path, row: Any, message: str) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ROW, row])
    with pytest.raises(ValueError, match=f"test.jsonl, line 2: .*{message}"):
        read(tmp_path)


@pytest.mark.parametrize("line", [b'{"image": "\xff"}', b"{", b"[" * 100_000, b'{"a": "\\ud800"}'])
def test_what_is_no_json_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "test.jsonl").write_bytes(json.dumps(ROW).encode() + b"\n\n" + line + b"\n")
    with pytest.raises(ValueError, match=r"test\.jsonl, line 3: "):
        read(tmp_path)


def test_paths_are_spelt_the_shortest_way(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ROW | {"image": "./b//../a.jpg"}])
    assert read(tmp_path)[0].cluster == "a.jpg"


def test_ten_answers_everywhere_get_the_vqa_accuracy(tmp_path: Path) -> None:
    ten = {"image": "a.jpg", "question": "?", "answers": ["red"] * 3 + ["blue"] * 7}
    write_jsonl(tmp_path / "test.jsonl", [ten, ten])
    scored = score(TASK, read(tmp_path), [("test-0", Said("Red.")), ("test-1", Said("blue"))])
    assert scored.figures.keys() == {"accuracy"}
    assert scored.figures["accuracy"].value == pytest.approx(95)


def test_otherwise_the_clean_answers_must_match(tmp_path: Path) -> None:
    ten = {"image": "a.jpg", "question": "?", "answers": ["red"] * 3 + ["blue"] * 7}
    write_jsonl(tmp_path / "test.jsonl", [ten, ROW, ROW])
    said = [("test-0", Said("Red.")), ("test-1", Said("the Cat")), ("test-2", Said("dog"))]
    scored = score(TASK, read(tmp_path), said)
    assert scored.figures.keys() == {"exact_match"}
    assert scored.figures["exact_match"].value == pytest.approx(200 / 3)
    assert TASK.headline(scored.measured.columns).name == "exact_match"


# ---------------------------------------------------------------------------- one file alone


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    rows = [ROW | {"image": f"{picture}.jpg"} for picture in range(20) for _ in range(2)]
    write_jsonl(tmp_path / "mine.jsonl", rows)
    return tmp_path


def test_one_file_is_split_by_picture(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {split: read(alone, split) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 32, "val": 4, "test": 4,
    }  # fmt: skip
    clusters = [{example.cluster for example in part} for part in parts.values()]
    assert len(set().union(*clusters)) == sum(map(len, clusters)) == 20
    assert capsys.readouterr().err.count("splits.json") == 1, "drawn once, then read"
    written = read_json(alone / "splits.json")
    assert clusters[1] == set(written["val"])


def test_the_draw_depends_on_the_pictures_alone(alone: Path, tmp_path: Path) -> None:
    first = [example.cluster for example in read(alone, "val")]
    rows = [json.loads(line) for line in (alone / "mine.jsonl").read_text().splitlines()]
    (alone / "splits.json").unlink()
    write_jsonl(alone / "mine.jsonl", rows[::-1])
    assert sorted(example.cluster for example in read(alone, "val")) == sorted(first)


def test_what_is_written_down_holds(alone: Path) -> None:
    read(alone)
    written = read_json(alone / "splits.json")
    moved = written["train"].pop()
    write_json(alone / "splits.json", written | {"val": [*written["val"], moved]})
    assert moved in {example.cluster for example in read(alone, "val")}
    write_json(alone / "splits.json", written)
    with pytest.raises(ValueError, match=f"in no split \\({moved}\\)"):
        read(alone, "val")
    write_json(alone / "splits.json", written | {"val": written["train"]})
    with pytest.raises(ValueError, match="listed twice"):
        read(alone, "val")


def test_a_folder_that_cannot_be_written_to_is_split_all_the_same(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_own, "write_json", refuse)
    assert len(read(alone, "val")) == 4
    assert "could not be written (Permission denied)" in capsys.readouterr().err


@pytest.mark.parametrize("spoilt", [{"answer": " "}, {"id": "3"}])
def test_nothing_is_split_before_every_row_is_good(alone: Path, spoilt: dict[str, str]) -> None:
    rows = [json.loads(line) for line in (alone / "mine.jsonl").read_text().splitlines()]
    rows[0]["id"] = "3"
    write_jsonl(alone / "mine.jsonl", [*rows, rows[-1] | spoilt])
    with pytest.raises(ValueError, match=r"mine\.jsonl, line 41: "):
        read(alone)
    assert not (alone / "splits.json").exists()


def test_a_split_that_is_there_twice_is_told(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ROW])
    (tmp_path / "test.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROW).encode()))
    with pytest.raises(ValueError, match=r"two candidates for test\.jsonl: .*jsonl and .*\.gz"):
        read(tmp_path)


def test_two_pictures_cannot_be_split(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [ROW, ROW | {"image": "b.jpg"}])
    with pytest.raises(ValueError, match="2 pictures cannot be split"):
        read(tmp_path)


def test_a_test_file_alone_is_not_split(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [ROW] * 2)
    assert len(read(tmp_path)) == 2
    with pytest.raises(MissingFilesError, match=r"train\.jsonl"):
        read(tmp_path, "train")
