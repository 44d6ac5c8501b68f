"""What we promise of the world's entailment, multiple-choice and scene-graph files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipvil.core import UsageError
from clipvil.worlds import tabletop
from clipvil.worlds.tabletop.ask import asked
from clipvil.worlds.tabletop.books import BOOKS, TOGETHER
from clipvil.worlds.tabletop.choose import Choice, choice
from clipvil.worlds.tabletop.entail import LABELS, Hypothesis, hypotheses
from clipvil.worlds.tabletop.kinds import HUES
from clipvil.worlds.tabletop.scene import CHOICE, HYPOTHESIS, SHAPES, TEXTURES, TRAIN, Dice, Scene
from tests.command import run

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    tabletop.write(root, seed=3, train=80, val=20, tasks=tuple(BOOKS))
    return root


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [asked(0, TRAIN, k).scene for k in range(1_500)]


def rows(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def chosen(scenes: list[Scene]) -> list[tuple[Scene, Choice]]:
    return [(scene, choice(scene.things, Dice(0, CHOICE, k))) for k, scene in enumerate(scenes)]


def bags(texts: list[str]) -> np.ndarray:
    """How often each word is in each text, standardised, and a one."""
    words = sorted({word for text in texts for word in text.split()})
    place = {word: k for k, word in enumerate(words)}
    table = np.zeros((len(texts), len(words) + 1))
    for row, text in zip(table, texts, strict=True):
        for word in text.split():
            row[place[word]] += 1
    table[:, -1] = 1
    return table


def fitted(texts: list[str], right: np.ndarray) -> np.ndarray:
    """Held-out scores of a ridge regression on words, [len(texts), columns of `right`]."""
    table, half = bags(texts), len(texts) // 2
    scores = np.zeros_like(right)
    for train, test in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        gram = table[train].T @ table[train] + 3 * np.eye(table.shape[1])
        scores[test] = table[test] @ np.linalg.solve(gram, table[train].T @ right[train])
    return scores


@pytest.fixture(scope="module")
def told(scenes: list[Scene]) -> list[tuple[Scene, Hypothesis]]:
    pairs = list[tuple[Scene, Hypothesis]]()
    for start in range(0, len(scenes), TOGETHER):
        some = scenes[start : start + TOGETHER]
        made = hypotheses([scene.things for scene in some], Dice(0, HYPOTHESIS, start))
        pairs += [(scene, one) for scene, all in zip(some, made, strict=True) for one in all]
    return pairs


def test_a_hypothesis_has_the_label_that_the_picture_gives(
    told: list[tuple[Scene, Hypothesis]],
) -> None:
    for scene, one in told:
        _, shape, _, hue = one.text.removesuffix(".").split()
        colours = [HUES[t.colour] for t in scene.things if SHAPES[t.shape] == shape]
        shown = hue in [HUES[t.colour] for t in scene.things]
        match one.label:
            case "entailment":
                assert colours == [hue]
            case "contradiction":
                assert len(colours) == 1 and not shown
            case _:
                assert not colours and shown


def test_every_sentence_has_every_label_equally_often(
    scenes: list[Scene], told: list[tuple[Scene, Hypothesis]]
) -> None:
    assert len(told) > 2 * len(scenes), "most pictures have all three"
    labels = [{one.text for _, one in told if one.label == label} for label in LABELS]
    assert labels[0] == labels[1] == labels[2]
    counts = Counter((one.text, one.label) for _, one in told)
    assert all(len({counts[text, label] for label in LABELS}) == 1 for text in labels[0])


def test_a_picture_has_each_label_once_at_most(scenes: list[Scene]) -> None:
    for one in hypotheses([scene.things for scene in scenes[:50]], Dice(1, HYPOTHESIS, 0)):
        assert len({h.label for h in one}) == len(one) <= 3
    assert hypotheses([], Dice(0)) == [] and hypotheses([scenes[0].things], Dice(0)) == [[]]


def test_a_scorer_of_words_cannot_tell_labels(told: list[tuple[Scene, Hypothesis]]) -> None:
    """Learnt on some pictures, told on others: at chance, from the first to the last."""
    texts = [one.text for _, one in told]
    labels = np.array([LABELS.index(one.label) for _, one in told])
    scores = fitted(texts, np.eye(3)[labels])
    right, n = (scores.argmax(1) == labels).mean(), len(labels)
    assert abs(right - 1 / 3) < 3 * (2 / 9 / n) ** 0.5


def test_a_choice_is_true_and_no_other_is(scenes: list[Scene]) -> None:
    for scene, put in chosen(scenes):
        place = next(token[0] for token in put.question if isinstance(token, list))
        thing = scene.things[place]
        looks = [TEXTURES[thing.texture], SHAPES[thing.shape]]
        assert [tokens[3:5] == looks for tokens in put.answers] == [
            k == put.answer for k in range(4)
        ]
        assert [HUES[thing.colour] in tokens for tokens in put.rationales] == [
            k == put.rationale for k in range(4)
        ]


@pytest.mark.parametrize("which", ["answer", "rationale"])
def test_a_scorer_of_words_stays_at_chance(which: str, scenes: list[Scene]) -> None:
    seen, texts, right = chosen(scenes), list[str](), list[int]()
    for _, put in seen:
        for k, tokens in enumerate(put.answers if which == "answer" else put.rationales):
            texts.append(" ".join(str(t) for t in tokens if isinstance(t, str)))
            right.append(k == getattr(put, which))
    best = fitted(texts, np.array(right, float)[:, None]).reshape(-1, 4).argmax(1)
    hits = np.mean([b == getattr(put, which) for b, (_, put) in zip(best, seen, strict=True)])
    assert abs(hits - 1 / 4) < 3 * (3 / 16 / len(seen)) ** 0.5
    places = Counter(getattr(put, which) for _, put in seen)
    assert min(places.values()) > 0.2 * len(seen)


def test_one_set_of_pictures_serves_every_task(world: Path) -> None:
    pairs = {part: rows(world / f"snli_ve_{part}.jsonl") for part in ("train", "dev", "test")}
    pictures = {part: {row["Flickr30K_ID"] for row in some} for part, some in pairs.items()}
    assert min(map(len, pairs.values())) > 0
    assert not pictures["train"] & pictures["dev"]
    told = rows(world / "vcr1annots/train.jsonl")
    assert len(told) == 80
    assert {name for row in told for name in row["objects"]} == {"object"}, "no name tells a shape"
    for row in told:
        assert (world / row["img_fn"]).is_file()
        boxes = json.loads((world / "vcr1images" / row["metadata_fn"]).read_text())["boxes"]
        assert len(boxes) == len(row["objects"])
        assert all(0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 64 for x1, y1, x2, y2, _ in boxes)
    asked_gqa = json.loads((world / "testdev_balanced_questions.json").read_text())
    vqa = json.loads((world / "v2_OpenEnded_mscoco_val2014_questions.json").read_text())
    assert {int(k): v["question"] for k, v in asked_gqa.items()} == {
        row["question_id"]: row["question"] for row in vqa["questions"]
    }


def test_exchanged_colours_leave_labels_and_change_words(world: Path) -> None:
    shifted = world / "shifts/pairs"
    for name, text, label in (
        ("snli_ve_test.jsonl", "sentence2", "gold_label"),
        ("vcr1annots/val.jsonl", "rationale_choices", "rationale_label"),
    ):
        plain, pairs = rows(world / name), rows(shifted / name)
        assert [row[label] for row in plain] == [row[label] for row in pairs]
        assert [row[text] for row in plain] != [row[text] for row in pairs]
        assert "<" not in json.dumps(pairs)


def test_a_task_that_the_world_has_no_files_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="snli_ve"):
        tabletop.write(tmp_path, seed=0, train=1, val=1, tasks=("snli",))


def test_a_world_of_few_pictures_is_complete(tmp_path: Path) -> None:
    tabletop.write(tmp_path, seed=0, train=30, val=12, shifts=False, tasks=tuple(BOOKS))
    assert not (tmp_path / "snli_ve_dev.jsonl").exists(), "of three pictures none has its three"
    for task in BOOKS:
        run("data", "check", "--task", task, "--data", str(tmp_path))
