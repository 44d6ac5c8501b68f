"""COCO captions: published files, official figures, and files as they must not be."""

import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipvil import cli
from clipvil.core import Answer, Data, References, Said, Task
from clipvil.evaluate.score import score
from clipvil.files import PictureIndex, read_json, read_jsonl, write_bytes, write_json, write_jsonl
from clipvil.metrics import _java, meteor
from clipvil.tasks.coco_caption import TASK, VARIANTS

CAPTIONS = "captions_val2014.json"
KARPATHY = VARIANTS["karpathy"]
NAMES = {f"bleu_{n}": f"Bleu_{n}" for n in range(1, 5)} | {"rouge_l": "ROUGE_L", "cider": "CIDEr"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    TASK.tiny(tmp_path)
    return tmp_path


# ---------------------------------------------------------------------------- what is read


def test_an_example_has_what_the_file_says(root: Path) -> None:
    first = TASK.examples(Data(root), "val")[0]
    assert first.id == "300"
    assert first.pictures == ("COCO_val2014_000000000300.jpg",)
    assert first.target == References(("A red square.", "there is a square that is red"))


def test_captions_come_in_any_order_of_pictures(root: Path) -> None:
    before = list(TASK.examples(Data(root), "val"))
    whole = read_json(root / CAPTIONS)
    whole["annotations"].sort(key=lambda row: (row["id"] % 2, -row["image_id"]))
    write_json(root / CAPTIONS, whole)
    assert list(TASK.examples(Data(root), "val")) == before


def test_files_may_be_gzipped_and_called_anything(root: Path) -> None:
    before = list(TASK.examples(Data(root), "val"))
    packed = root / "mine"
    write_bytes(packed, gzip.compress((root / CAPTIONS).read_bytes()))
    assert list(TASK.examples(Data(given={("annotations", "val"): packed}), "val")) == before


def test_test_captions_are_hidden(root: Path) -> None:
    examples = TASK.examples(Data(root), "test")
    assert all(example.target is None for example in examples)
    with pytest.raises(ValueError, match="400 cannot be scored: its captions are not public"):
        score(TASK, examples, [(example.id, Said("red")) for example in examples])


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_read_their_own_files(variant: str, tmp_path: Path) -> None:
    task = VARIANTS[variant]
    task.tiny(tmp_path)
    data, index = Data(tmp_path), PictureIndex(tmp_path)
    assert task.name == f"coco_caption@{variant}"
    clusters = list[set[str]]()
    for split in {file.split for file in task.files}:
        examples = task.examples(data, split)
        assert len(examples) == (6 if (variant, split) == ("karpathy", "train") else 3)
        assert all(index.find(example.pictures[0]).is_file() for example in examples)
        clusters.append({example.cluster for example in examples})
    assert sum(map(len, clusters)) == len(set.union(*clusters)), "splits share no picture"
    examples = task.examples(data, task.splits.report)
    said: dict[str, Answer] = {example.id: Said("a red square") for example in examples}
    task.write(tmp_path / "said", said)
    assert dict(task.read(tmp_path / "said")) == said
    assert score(task, examples, said.items()).figures["bleu_1"].value


# ---------------------------------------------------------------------------- how it is scored


@pytest.fixture(scope="session")
def published(shared: Path) -> tuple[Any, list[tuple[str, Answer]]]:
    """2,500 pictures of 2017, and one caption of each."""
    folder = shared / "coco_captions"
    given = {("annotations", "val"): folder / "captions_val2017_part.json"}
    examples = VARIANTS["2017"].examples(Data(given=given), "val")
    return examples, list(TASK.read(folder / "candidates_val2017_part.json"))


def test_the_published_part_scores_as_published(
    published: tuple[Any, list[tuple[str, Answer]]], expected: Path
) -> None:
    examples, said = published
    told = read_json(expected / "captions.json.gz")
    scored = score(TASK, examples, said)
    rows = {row["id"]: row for row in scored.examples()}
    for ours, theirs in NAMES.items():
        assert scored.figures[ours].value == pytest.approx(told["corpus"][theirs], abs=1e-9)
        each = [rows[image][ours] for image in told["image_ids"]]
        np.testing.assert_allclose(each, told["per_image"][theirs], atol=1e-9)
    assert scored.figures["plain_cider"].value == pytest.approx(1.869229, abs=1e-6)
    assert TASK.headline(scored.measured.columns).name == "cider"


def test_the_order_of_pictures_changes_nothing(
    published: tuple[Any, list[tuple[str, Answer]]],
) -> None:
    examples, said = published
    some = [example for example in examples[:300] if not example.target.captions[-1].endswith(" .")]
    answers = dict(said)
    before, after = (
        score(TASK, order, [(e.id, answers[e.id]) for e in order]) for order in (some, some[::-1])
    )
    for name, figure in before.figures.items():
        assert after.figures[name].value == pytest.approx(figure.value, abs=1e-12)


WORDS = st.lists(st.sampled_from(["red", "cat", "dog", "sits", "on"]), min_size=4, max_size=9)


@given(st.lists(WORDS.map(" ".join), min_size=2, max_size=6, unique=True))
def test_saying_what_people_said_is_the_best(captions: list[str]) -> None:
    from clipvil.tasks._captions import Captioned

    ids = [str(k) for k in range(len(captions))]
    alone = Captioned(ids=ids, pictures=ids, captions=[(caption,) for caption in captions])
    figures = score(TASK, alone, [(i, Said(c)) for i, c in zip(ids, captions, strict=True)]).figures
    for name in ("bleu_1", "bleu_4", "rouge_l"):
        assert figures[name].value == pytest.approx(1, abs=1e-8)
    beside = Captioned(ids=ids, pictures=ids, captions=[(c, "a boat") for c in captions])
    turned = Captioned(ids=ids, pictures=ids, captions=[("a boat", c) for c in captions])
    said = [(i, Said(c)) for i, c in zip(ids, captions, strict=True)]
    one, other = score(TASK, beside, said).figures, score(TASK, turned, said).figures
    for name, figure in one.items():
        assert other[name].value == pytest.approx(figure.value, abs=1e-12), "order of references"
    assert figures["cider"].value is not None and one["cider"].value is not None
    assert figures["cider"].value >= one["cider"].value - 1e-9


def test_predicted_pictures_are_scored_and_the_rest_counted(root: Path) -> None:
    examples = TASK.examples(Data(root), "val")
    scored = score(TASK, examples, [("300", Said("a red square")), ("302", Said("a blue square"))])
    assert scored.unanswered == 1 and len(scored.measured.ids) == 2
    with pytest.raises(ValueError, match=r"1 predicted ids are not among the 3 examples: 7$"):
        score(TASK, examples, [("7", Said("a red square"))])


# ---------------------------------------------------------------------------- the command


def options(root: Path, predictions: Path) -> list[str]:
    return ["coco_caption", "--predictions", str(predictions), "--annotations",
            str(root / CAPTIONS)]  # fmt: skip


def test_without_java_what_needs_it_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(root / "said", [{"id": 300, "answer": "a red square"}])
    monkeypatch.setenv("PATH", "")
    assert cli.run("score", [*options(root, root / "said"), "--json"]) == 0
    printed, aloud = capsys.readouterr()
    found = json.loads(printed)
    assert found["count"] == 1 and "2 examples without a prediction are left out" in aloud
    for name in ("meteor", "spice"):
        assert found["metrics"][name]["value"] is None
        assert "needs Java" in found["metrics"][name]["reason"]
    assert found["metrics"]["bleu_1"]["value"] == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.skipif(meteor.program() is None, reason=f"METEOR needs {_java.NEEDS}")
def test_the_command_scores_the_published_part_with_meteor(
    shared: Path, expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, told = shared / "coco_captions", read_json(expected / "captions.json.gz")
    given = ["coco_caption", "--predictions", str(folder / "candidates_val2017_part.json"),
             "--annotations", str(folder / "captions_val2017_part.json"), "--json",
             "--per-example", str(tmp_path / "each")]  # fmt: skip
    assert cli.run("score", given) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert found["meteor"]["value"] == pytest.approx(told["corpus"]["METEOR"], abs=1e-6)
    assert found["cider"]["value"] == pytest.approx(told["corpus"]["CIDEr"], abs=1e-9)
    each = {row["id"]: row["meteor"] for row in read_jsonl(tmp_path / "each")}
    ours = [each[image] for image in told["image_ids"]]
    np.testing.assert_allclose(ours, told["per_image"]["METEOR"], atol=1e-6)


def test_other_pictures_cannot_be_compared(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")  # Java takes long
    for name, image in (("ours", 300), ("theirs", 301)):
        write_jsonl(root / name, [{"id": image, "answer": "a red square"}])
    more = ["--compare", str(root / "theirs"), "--per-example", str(root / "each")]
    assert cli.run("score", [*options(root, root / "ours"), *more]) == 1
    assert "theirs is not of the same examples as " in capsys.readouterr().err
    assert not (root / "each").exists()


# ---------------------------------------------------------------------------- what is written


def test_the_published_api_takes_the_submission(root: Path) -> None:
    if importlib.util.find_spec("pycocotools") is None:
        pytest.skip("pycocotools, the published reader, is not there")
    from pycocotools.coco import COCO

    examples = TASK.examples(Data(root), "val")
    said = {e.id: Said(f"a “red” square\nno. {e.id}") for e in examples}
    TASK.write(root / "captions_val2014_mine_results.json", said)
    loaded = COCO(str(root / CAPTIONS)).loadRes(str(root / "captions_val2014_mine_results.json"))
    assert {str(i): loaded.imgToAnns[i][0]["caption"] for i in loaded.getImgIds()} == {
        i: answer.text for i, answer in said.items()
    }


# ---------------------------------------------------------------------------- hostile files


@pytest.mark.parametrize(
    ("key", "fields", "message"),
    [
        ("images", {"id": "x"}, "row 2: Expected `int`"),
        ("images", {"id": True}, "row 2: Expected `int`"),
        ("images", {"id": 300}, "more than once: 300"),
        ("images", {"id": 7}, "row 3: no picture has the id 301"),
        ("images", {"file_name": "../../x.jpg"}, "row 2: .*not inside the data folder"),
        ("images", {"file_name": "/etc/x.jpg"}, "row 2: .*not inside the data folder"),
        ("images", {"file_name": None}, "row 2: Expected `str`"),
        ("annotations", {"caption": 3}, "row 2: Expected `str`"),
        ("annotations", {"caption": ["a"]}, "row 2: Expected `str`"),
        ("annotations", {"image_id": 7}, "row 2: no picture has the id 7"),
        ("annotations", {"image_id": 1e400}, "Infinity|out of range|Expected|malformed"),
    ],
)
def test_spoilt_rows_are_named(root: Path, key: str, fields: dict[str, Any], message: str) -> None:
    whole = read_json(root / CAPTIONS)
    whole[key][1] |= fields
    (root / CAPTIONS).write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=message) as raised:
        TASK.examples(Data(root), "val")
    assert CAPTIONS in str(raised.value)


def test_a_picture_without_captions_is_named(root: Path) -> None:
    whole = read_json(root / CAPTIONS)
    del whole["annotations"][2:4]
    write_json(root / CAPTIONS, whole)
    with pytest.raises(ValueError, match=f"{CAPTIONS}: 1 pictures have no caption: 301"):
        TASK.examples(Data(root), "val")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"cocoid": "x"}, {"filename": "../x.jpg"}, {"split": 3}, {"sentences": []},
        {"sentences": [{}]}, {"sentences": [{"raw": 3}]}, {"sentences": None},
    ],
)  # fmt: skip
def test_spoilt_rows_of_karpathys_file_are_named(tmp_path: Path, spoilt: dict[str, Any]) -> None:
    KARPATHY.tiny(tmp_path)
    path = tmp_path / "dataset_coco.json"
    whole = read_json(path)
    whole["images"][4] |= spoilt
    write_json(path, whole)
    with pytest.raises(ValueError, match=r"dataset_coco\.json, row 5: "):
        KARPATHY.examples(Data(tmp_path), "test")


@pytest.mark.parametrize("cut", [0, 1, 40, 200, -3])
def test_a_truncated_file_is_named(root: Path, cut: int) -> None:
    (root / CAPTIONS).write_bytes((root / CAPTIONS).read_bytes()[:cut])
    with pytest.raises(ValueError, match=CAPTIONS):
        TASK.examples(Data(root), "val")


KEYS = ["images", "annotations", "id", "image_id", "file_name", "caption", "answer", "sentences"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(width=32) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


def problem(read: Callable[[], object]) -> str | None:
    """What is wrong, if that is said as it should be."""
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("task", [TASK, KARPATHY], ids=lambda task: task.name)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_whatever_is_in_a_file_it_reads_or_its_name_is_told(
    tmp_path: Path, task: Task, value: Any
) -> None:
    path = tmp_path / "f"
    path.write_text(json.dumps(value))
    given = Data(given={("annotations", "val"): path})
    for read in (lambda: task.examples(given, "val"), lambda: list(task.read(path))):
        assert str(path) in (problem(read) or str(path))
