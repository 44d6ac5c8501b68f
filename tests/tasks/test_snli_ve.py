"""SNLI-VE's rows in both spellings, and as they must not be."""

from pathlib import Path
from typing import Any

import pytest

from clipvil.core import Data, Example, Humans, Said
from clipvil.evaluate.score import score
from clipvil.files import read_jsonl, write_jsonl
from clipvil.tasks.snli_ve import TASK

ROW = {
    "Flickr30K_ID": "4754019742", "captionID": "4754019742.jpg#4", "gold_label": "contradiction",
    "pairID": "4754019742.jpg#4r1c", "sentence1": "Two women.", "sentence2": "A man talks.",
}  # fmt: skip
FILE = "snli_ve_test.jsonl"


def read(root: Path, *rows: Any) -> list[Example]:
    write_jsonl(root / FILE, rows)
    return list(TASK.examples(Data(root), "test"))


def without(row: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


@pytest.mark.parametrize(
    "spelling",
    [
        {"Flickr30K_ID": "4754019742"},
        {"Flickr30K_ID": "4754019742.jpg"},
        {"Flikr30kID": "4754019742"},
        {"Flikr30kID": "4754019742.jpg"},
    ],
)
def test_a_picture_may_be_spelt_in_any_way(tmp_path: Path, spelling: dict[str, str]) -> None:
    (example,) = read(tmp_path, without(ROW, "Flickr30K_ID") | spelling)
    assert example.pictures == ("4754019742",) and example.cluster == "4754019742"
    assert example.id == "4754019742.jpg#4r1c"
    assert example.words == "A man talks.", "the caption is not told"
    assert example.target == Humans(("contradiction",))


def test_pairs_that_the_release_leaves_out_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undecided = ROW | {"gold_label": "-", "pairID": "1"}
    genome = ROW | {"Flickr30K_ID": "vg_len16", "pairID": "2"}
    assert [e.id for e in read(tmp_path, undecided, ROW, genome)] == [ROW["pairID"]]
    assert f"{FILE}: 2 pairs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"gold_label": "maybe"}, "line 2: gold_label 'maybe'"),
        (ROW | {"gold_label": 1}, "line 2: Expected `str`"),
        (without(ROW, "sentence2"), "line 2: .*required field `sentence2`"),
        (without(ROW, "Flickr30K_ID"), "line 2: a pair needs `Flickr30K_ID` or `Flikr30kID`"),
        (ROW | {"Flickr30K_ID": "../../x"}, r"line 2: '\.\./\.\./x' is not a picture's name"),
        (ROW | {"Flickr30K_ID": "/etc/x.jpg"}, "line 2: '/etc/x' is not a picture's name"),
        (ROW | {"Flickr30K_ID": ".jpg"}, "line 2: '' is not a picture's name"),
        (ROW, f"pairs that are there more than once: {ROW['pairID']}"),
        ([], "line 2: Expected `object`"),
    ],
)
def test_spoilt_rows_are_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"{FILE}.*{message}"):
        read(tmp_path, ROW, row)


def test_each_label_has_its_recall(tmp_path: Path) -> None:
    TASK.tiny(tmp_path)
    examples = TASK.examples(Data(tmp_path), "test")
    said = [(example.id, Said("neutral")) for example in examples]
    figures = score(TASK, examples, said).figures
    assert {name: figure.value for name, figure in figures.items()} == {
        "accuracy": pytest.approx(100 / 3), "recall/entailment": 0, "recall/neutral": 100,
        "recall/contradiction": 0,
    }  # fmt: skip


def test_a_label_that_nobody_has_is_null(tmp_path: Path) -> None:
    examples = read(tmp_path, ROW)
    figures = score(TASK, examples, [(examples[0].id, Said("neutral"))]).figures
    assert figures["recall/contradiction"].value == 0
    assert figures["recall/neutral"].value is None
    assert figures["recall/neutral"].reason == "there is nothing to compute it from"


def test_an_unknown_label_is_an_error_and_not_a_wrong_answer(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "said", [{"id": 1, "answer": "neutral"}, {"id": 2, "answer": "Neutral"}])
    with pytest.raises(ValueError, match="said, line 2: 'Neutral' is none of entailment"):
        list(TASK.read(tmp_path / "said"))


@pytest.mark.parametrize("name", ["snli_ve_dev_part", "snli_ve_full_fields_sample"])
def test_published_rows_read(shared: Path, name: str) -> None:
    path = shared / "snli_ve" / f"{name}.jsonl"
    examples = TASK.examples(Data(given={("annotations", "dev"): path}), "dev")
    rows = list(read_jsonl(path))
    assert [e.id for e in examples] == [row["pairID"] for row in rows]
    assert [e.words for e in examples] == [row["sentence2"] for row in rows]
    right = [(row["pairID"], Said(row["gold_label"])) for row in rows]
    values = {figure.value for figure in score(TASK, examples, right).figures.values()}
    assert values == {100.0}
