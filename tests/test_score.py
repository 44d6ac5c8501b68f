"""`clipvil score` on published data, as a person runs it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipvil import cli, tasks
from clipvil.core import Answer, Data, Metric, Said
from clipvil.evaluate.score import score
from clipvil.files import read_json, read_jsonl, write_json, write_jsonl
from tests.command import run as printed_by
from tests.command import told

TASK = tasks.load("vqa2")


def test_the_command_scores_published_data(shared: Path, tmp_path: Path) -> None:
    folder = shared / "vqa_v2"
    annotations = folder / "v2_mscoco_train2014_annotations_part.json"
    rows = read_json(annotations)["annotations"]
    said = [{"question_id": r["question_id"], "answer": r["multiple_choice_answer"]} for r in rows]
    write_json(tmp_path / "said.json", said)
    write_jsonl(tmp_path / "no.jsonl", [{"id": r["question_id"], "answer": "no"} for r in said])
    command = [
        "score", "vqa2",
        "--predictions", str(tmp_path / "said.json"),
        "--questions", str(folder / "v2_OpenEnded_mscoco_train2014_questions_part.json"),
        "--annotations", str(annotations),
        "--json", "--per-example", str(tmp_path / "each.jsonl"),
        "--compare", str(tmp_path / "no.jsonl"),
    ]  # fmt: skip
    printed = json.loads(printed_by(*command))
    difference = printed.pop("difference")
    figures = {name: figure["value"] for name, figure in printed["metrics"].items()}
    soft = figures.pop("soft_accuracy")
    assert soft >= figures["accuracy"]
    assert {name: round(value, 2) for name, value in figures.items()} == {
        "accuracy": 96.75, "accuracy/number": 96.44, "accuracy/other": 93.85,
        "accuracy/yes-no": 100.0,
    }  # fmt: skip
    assert printed | {"metrics": None} == {
        "task": "vqa2", "version": 1, "count": 6_000, "metrics": None,
    }  # fmt: skip
    assert printed["metrics"]["accuracy"] | {"value": None} == {
        "value": None, "unit": "%", "higher_is_better": True,
    }  # fmt: skip
    each = list(read_jsonl(tmp_path / "each.jsonl"))
    assert sum(row["accuracy"] for row in each) / 6_000 == pytest.approx(figures["accuracy"])
    assert difference["low"] < difference["value"] < figures["accuracy"] > difference["high"]
    assert difference["p"] < 0.01


# ---------------------------------------------------------------------------- ids


@pytest.fixture
def root(tmp_path: Path) -> Path:
    TASK.tiny(tmp_path)
    return tmp_path


def answers(root: Path) -> dict[str, Answer]:
    return {example.id: Said("red") for example in TASK.examples(Data(root), "val")}


def test_ids_must_match(root: Path) -> None:
    examples = TASK.examples(Data(root), "val")
    said = answers(root)
    for pairs, message in (
        (
            [*said.items()] * 2,
            "6 ids are predicted more than once: 200000 .rows 1, 7., .*, 202000 .rows 5, 11., ...$",
        ),
        ([*said.items()][1:], "1 of 6 examples have no prediction: 200000$"),
        ([*said.items(), ("9", Said("x"))], "1 predicted ids are not among the 6 examples: 9$"),
        ([("0", Said("x"))], "6 examples: 0; none is of 200000, .*$"),
        ([], "6 of 6 examples have no prediction"),
    ):
        with pytest.raises(ValueError, match=message):
            score(TASK, examples, pairs)


def test_a_partial_scorer_leaves_out_what_was_not_answered(root: Path) -> None:
    examples = TASK.examples(Data(root), "val")
    some = dict([*answers(root).items()][:2])
    scored = score(replace(TASK, partial=True), examples, some.items())
    assert scored.unanswered == 4
    assert scored.measured.ids == tuple(some)
    assert scored.plain()["count"] == 2
    with pytest.raises(ValueError, match="nothing to score"):
        score(replace(TASK, partial=True), examples, [])


def test_what_could_not_be_computed_has_a_reason(root: Path) -> None:
    meteor = Metric("meteor", "", needs="Java")
    idle = Metric("exact_match", "%")
    task = replace(TASK, metrics=(*TASK.metrics, meteor, idle))
    printed = score(task, task.examples(Data(root), "val"), answers(root).items()).plain()
    assert printed["metrics"]["meteor"] == {"value": None, "reason": "needs Java"}
    assert "exact_match" not in printed["metrics"]


# ---------------------------------------------------------------------------- the command


def run(root: Path, *given: str) -> int:
    return cli.run("score", given)


@pytest.fixture
def files(root: Path) -> dict[str, str]:
    TASK.write(root / "said.json", answers(root))
    return {
        "--predictions": str(root / "said.json"),
        "--questions": str(root / "v2_OpenEnded_mscoco_val2014_questions.json"),
        "--annotations": str(root / "v2_mscoco_val2014_annotations.json"),
    }


def options(files: dict[str, str], **changed: Any) -> list[str]:
    return [word for pair in (files | changed).items() for word in pair]


def test_figures_are_printed_for_people(
    root: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("score", ["vqa2", *options(files)]) == 0
    said = capsys.readouterr().out
    assert "vqa2 (version 1), 6 examples" in said
    assert "accuracy/yes-no      0.00 %" in said


def test_bad_usage_is_told(
    root: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: path for name, path in files.items() if name != "--annotations"}
    for given, code, message in (
        (["vqa3", *options(files)], 2, "unknown task 'vqa3'; nearest: vqa, vqa2"),
        (["vqa2", *options(few)], 2,
         "score vqa2 needs --annotations: v2_mscoco_val2014_annotations.json from https://visual"),
        (["vqa2", *options(files, **{"--choices": "x"})], 2,
         "vqa2 has --questions and --annotations, not --choices"),
        (["vqa2", *options(files, **{"--questions": "x"})], 1, "no such file: x"),
        (["vqa2", *options(files, **{"--predictions": "x"})], 1, "no such file: x"),
        (["vqa2", *options(files, **{"--predictions": files["--questions"]})], 1, "line 1: "),
    ):  # fmt: skip
        assert cli.run("score", given) == code
        assert message in capsys.readouterr().err


# ---------------------------------------------------------------------------- data check


def test_data_check_tells_what_is_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["check", "--task", "vqa2", "--data", str(root)]
    assert cli.run("data", given) == 0
    assert capsys.readouterr().out.endswith("complete\n")
    (root / "v2_mscoco_train2014_annotations.json").write_text('{"annotations": [')
    (root / "v2_mscoco_val2014_annotations.json").unlink()
    (root / "COCO_train2014_000000000100.jpg").unlink()
    assert cli.run("data", [*given, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    files = {(row["role"], row["split"]): row for row in found["files"]}
    assert files["questions", "train"]["rows"] == 6 and files["questions", "train"]["whole"]
    assert files["annotations", "train"]["whole"] is False
    missing = files["annotations", "val"]
    assert missing["path"] is None and missing["source"].startswith("https://")
    assert found["splits"]["test"] == {
        "examples": 6, "pictures": 3, "missing": 0, "named": [], "problem": None,
    }  # fmt: skip
    assert not found["complete"]


def test_data_check_counts_pictures(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "COCO_val2014_000000000200.jpg").unlink()
    assert cli.run("data", ["check", "--task", "vqa2", "--data", str(root)]) == 1
    said = capsys.readouterr().out
    assert "val: 6 examples, 2 of 3 pictures found" in said
    assert "missing: COCO_val2014_000000000200" in said


def test_data_check_reads_a_file_that_is_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks.load("vqa").tiny(tmp_path)
    rows = [row for split in ("train", "val") for row in read_jsonl(tmp_path / f"{split}.jsonl")]
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.jsonl").unlink()
    write_jsonl(tmp_path / "mine.jsonl", rows)
    assert cli.run("data", ["check", "--task", "vqa", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "train: 4 examples" in said and "val: 1 examples" in said and "missing" not in said


def test_data_check_does_without_a_selection_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks.load("vqa").tiny(tmp_path)
    (tmp_path / "val.jsonl").unlink()
    given = ["check", "--task", "vqa", "--data", str(tmp_path)]
    assert cli.run("data", given) == 0
    assert "val.jsonl\n  not there; " in capsys.readouterr().out
    (tmp_path / "val.jsonl").write_text("{}\n")
    assert cli.run("data", given) == 1
    assert "val: cannot be read" in capsys.readouterr().out


def test_a_world_is_made_where_there_is_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["make", "tabletop", "--data", str(tmp_path / "world"), "--val", "1"]
    assert cli.run("data", [*given, "--train", "2", "--tasks", "nothing"]) == 2
    assert cli.run("data", [*given, "--train", "2", "--tasks"]) == 2
    assert not (tmp_path / "world").exists()
    made = [*given, "--train", "2", "--tasks", "vqa2"]
    assert cli.run("data", made) == 0
    missing = next((tmp_path / "world").rglob("*2014_000000000002.jpg"))
    whole = missing.read_bytes()
    missing.unlink()
    assert cli.run("data", made) == 0, "it goes on"
    assert missing.read_bytes() == whole
    capsys.readouterr()
    assert cli.run("data", [*given, "--train", "1", "--tasks", "vqa2"]) == 2
    assert "holds a world made with --train 2: give that" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.jsonl").write_text("{}")
    assert cli.run("data", ["make", "tabletop", "--data", str(tmp_path / "own")]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["train.jsonl"]


def test_data_needs_to_be_told_what() -> None:
    for given, code, message in (
        (["check", "--data", "."], 2, "--task STR"),
        (["check", "--task", "vqa2", "--data", "nowhere"], 1, "no data folder nowhere"),
        (["make", "--data", "."], 2, "{tabletop}"),
        (["make", "tabletop", "--data", ".", "--train", "0"], 2, "at least 1"),
    ):
        assert message in told("data", *given, code=code)[1]
