"""What we promise of the embedded world: official files, balanced questions, paired shifts."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipvil.core import UsageError
from clipvil.worlds import tabletop
from clipvil.worlds.tabletop import ask
from clipvil.worlds.tabletop.describe import captions, vocabulary
from clipvil.worlds.tabletop.draw import OTHER, PLAIN, SKETCH, render
from clipvil.worlds.tabletop.kinds import Question
from clipvil.worlds.tabletop.scene import (
    CAPTION,
    COLOURS,
    HELD_OUT,
    SHAPES,
    TRAIN,
    VAL,
    Dice,
    Scene,
    group,
    recolour,
    sample,
)

SHIFTS = ("style", "background", "pairs")
FILES = (
    "v2_OpenEnded_mscoco_{}_questions.json",
    "v2_mscoco_{}_annotations.json",
    "captions_{}.json",
)
Rows = list[dict[str, Any]]


def read(folder: Path, split: str) -> tuple[Rows, Rows, dict[str, Any]]:
    questions, annotations, told = (
        json.loads((folder / name.format(split)).read_text()) for name in FILES
    )
    return questions["questions"], annotations["annotations"], told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    tabletop.write(root, seed=5, train=10, val=8)
    return root


@pytest.fixture(scope="module")
def many() -> list[ask.Asked]:
    return [ask.asked(0, TRAIN, k) for k in range(1200)]  # 600 questions a kind


def shown(scene: Scene) -> set[tuple[int, int]]:
    return {(t.shape, t.colour) for t in scene.things}


# ---------------------------------------------------------------------------- files


def test_files_are_those_that_were_published(world: Path, shared: Path) -> None:
    def fields(row: dict[str, Any]) -> dict[str, type]:
        return {key: type(value) for key, value in row.items()}

    official = {
        name: json.loads((shared / "vqa_v2" / f"v2_{name}_part.json").read_text())
        for name in ("OpenEnded_mscoco_train2014_questions", "mscoco_train2014_annotations")
    }
    for name, theirs in official.items():
        ours = json.loads((world / f"v2_{name}.json").read_text())
        rows = "questions" if "questions" in theirs else "annotations"
        assert fields(ours[rows][0]) == fields(theirs[rows][0])
        assert theirs.keys() <= ours.keys()
    theirs = json.loads((shared / "coco_captions" / "captions_val2017_part.json").read_text())
    ours = json.loads((world / "captions_val2014.json").read_text())
    for rows in ("images", "annotations", "licenses"):
        assert fields(ours[rows][0]) == fields(theirs[rows][0])
    assert fields(ours["info"]) == fields(theirs["info"])


def test_every_file_and_no_other(world: Path) -> None:
    folders = {world: ("train2014", "val2014")} | {
        world / "shifts" / name: ("val2014",) for name in SHIFTS
    }
    expected = set()
    for folder, splits in folders.items():
        for split in splits:
            expected |= {folder / name.format(split) for name in FILES}
            images = read(folder, split)[2]["images"]
            expected |= {folder / split / image["file_name"] for image in images}
    assert {path for path in world.rglob("*") if path.is_file()} == expected


def test_ids_answers_and_captions(world: Path) -> None:
    pictures = set[int]()
    for split, num in (("train2014", 10), ("val2014", 8)):
        questions, annotations, told = read(world, split)
        ids = {image["id"] for image in told["images"]}
        assert len(ids) == num and not ids & pictures, "picture ids are unique over the splits"
        pictures |= ids
        assert len({q["question_id"] for q in questions}) == len(questions) == 3 * num
        assert [q["question_id"] for q in questions] == [a["question_id"] for a in annotations]
        assert all(q["question_id"] // 1000 == q["image_id"] for q in questions)
        assert Counter(c["image_id"] for c in told["annotations"]) == dict.fromkeys(ids, 5)
        for row in annotations:
            said = Counter(answer["answer"] for answer in row["answers"])
            assert [answer["answer_id"] for answer in row["answers"]] == list(range(1, 11))
            assert {a["answer_confidence"] for a in row["answers"]} <= {"yes", "maybe", "no"}
            assert said[row["multiple_choice_answer"]] == max(said.values())
        for image in told["images"]:
            assert image["file_name"] == f"COCO_{split}_{image['id']:012d}.jpg"
            with Image.open(world / split / image["file_name"]) as picture:
                assert picture.format == "JPEG" and picture.mode == "RGB"
                assert picture.size == (image["width"], image["height"]) == (64, 64)


def test_a_seed_gives_the_same_bytes_and_a_scene_depends_on_no_other(
    world: Path, tmp_path: Path
) -> None:
    tabletop.write(tmp_path, seed=5, train=4, val=8)
    paths = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    for path in paths:
        if "train2014" not in path.name or path.suffix == ".jpg":
            assert (tmp_path / path).read_bytes() == (world / path).read_bytes(), path
    for ours, theirs in zip(read(tmp_path, "train2014")[:2], read(world, "train2014")[:2],
                            strict=True):  # fmt: skip
        assert ours == theirs[: len(ours)]
    assert ask.asked(6, TRAIN, 0) != ask.asked(5, TRAIN, 0) != ask.asked(5, VAL, 0)


def test_another_world_in_the_same_place_replaces_it(tmp_path: Path) -> None:
    tabletop.write(tmp_path, seed=1, train=2, val=2, shifts=False)
    tabletop.write(tmp_path, seed=2, train=1, val=1, shifts=False, size=96)
    assert [image["width"] for image in read(tmp_path, "train2014")[2]["images"]] == [96]
    assert not list(tmp_path.rglob(".*")), "nothing half-written stays"


@pytest.mark.parametrize("wrong", [{"size": 32}, {"size": 129}, {"train": -1}, {"train": 10**6}])
def test_what_cannot_be_written_is_refused(wrong: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        tabletop.write(tmp_path, **({"seed": 0, "train": 1, "val": 1} | wrong))
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------- questions


def guessed(scenes: Sequence[ask.Asked], key: Callable[[Question], object]) -> dict[str, float]:
    """Accuracy a kind, on the second half, of the commonest answer of the first by `key`."""
    questions = [q for scene in scenes for q in scene.questions]
    half = len(questions) // 2
    seen = defaultdict[object, Counter[str]](Counter)
    fallback = defaultdict[str, Counter[str]](Counter)
    for q in questions[:half]:
        seen[q.kind, key(q)][q.answer] += 1
        fallback[q.kind][q.answer] += 1
    right = defaultdict[str, list[bool]](list)
    for q in questions[half:]:
        said = seen.get((q.kind, key(q)), fallback[q.kind])
        right[q.kind].append(said.most_common(1)[0][0] == q.answer)
    return {kind: float(np.mean(values)) for kind, values in right.items()}


# what a blind guess reaches, and some room for 600 questions' chance
BLIND = {"existence": 0.5, "comparison": 0.5, "count": 0.25, "relation": 0.25, "colour": 0.125,
         "shape": 0.1}  # fmt: skip


def test_kinds_are_equally_many_and_answers_balanced(many: list[ask.Asked]) -> None:
    questions = [q for scene in many for q in scene.questions]
    assert set(Counter(q.kind for q in questions).values()) == {600}
    said = {kind: Counter(q.answer for q in questions if q.kind == kind) for kind in ask.KINDS}
    assert said["existence"] == {"yes": 300, "no": 300} == said["comparison"]
    assert said["count"] == dict.fromkeys("0123", 150)
    assert len(said["colour"]) == len(COLOURS) and len(said["shape"]) == len(SHAPES)
    for kind in ("colour", "shape"):
        expected = 600 / len(said[kind])
        assert all(abs(n - expected) < 5 * expected**0.5 for n in said[kind].values())


@pytest.mark.parametrize(
    ("key", "slack"),
    [
        (lambda q: None, 0.06),  # the commonest answer of the kind
        (lambda q: frozenset(re.findall(r"\w+|<\d>", q.text)), 0.11),  # ... of the bag of words
        (lambda q: re.sub(rf"<\d>|{'|'.join(SHAPES)}", "", q.text), 0.08),  # ... of the wording
    ],
    ids=["kind", "words", "wording"],
)
def test_the_question_says_next_to_nothing_of_the_answer(
    many: list[ask.Asked], key: Callable[[Question], object], slack: float
) -> None:
    for kind, accuracy in guessed(many, key).items():
        assert accuracy < BLIND[kind] + slack, kind


def test_answers_are_true(many: list[ask.Asked]) -> None:
    checked = Counter[str]()
    for scene in many[:400]:
        things = scene.scene.things
        names = [(SHAPES[t.shape], COLOURS[t.colour]) for t in things]
        for q in scene.questions:
            text = ask.spell(q.text)
            words = [w.removesuffix("s").replace("crosse", "cross") for w in text[:-1].split()]
            words = ["cross" if w == "cros" else w for w in words]
            shapes = [w for w in words if w in SHAPES]
            colours = [w for w in words if w in COLOURS]
            if q.kind == "existence":
                there = any(set(shapes) <= {s} and set(colours) <= {c} for s, c in names)
                assert q.answer == ("yes" if there else "no"), text
            elif q.kind == "count" and shapes:
                assert q.answer == str([s for s, _ in names].count(shapes[0])), text
            elif q.kind == "colour" and shapes:
                assert [c for s, c in names if s == shapes[0]] == [ask.spell(q.answer)], text
            elif text.startswith("Are there more"):
                one, other = ([n[k] for n in names].count(w) for w, k in
                              [(w, 0) for w in shapes] + [(w, 1) for w in colours])  # fmt: skip
                assert one != other and q.answer == ("yes" if one > other else "no"), text
            elif text.startswith("Is the") and "left of" in text:
                a, b = (things[names.index(pair)] for pair in zip(shapes, colours, strict=True))
                assert q.answer == ("yes" if a.x < b.x else "no"), text
            else:
                continue
            checked[q.kind] += 1
    assert len(checked) == 5 and min(checked.values()) > 10


def test_people_are_right_nine_times_in_ten(many: list[ask.Asked]) -> None:
    right = [
        answer == q.answer
        for scene in many
        for q, said in zip(scene.questions, scene.answers, strict=True)
        for answer, _ in said
    ]
    assert np.mean(right) == pytest.approx(0.9, abs=0.01)


# ---------------------------------------------------------------------------- shifts


def test_shifts_show_the_same_scenes_and_questions(world: Path) -> None:
    questions, annotations, told = read(world, "val2014")
    for name in SHIFTS:
        folder = world / "shifts" / name
        shifted, answered, retold = read(folder, "val2014")
        assert retold["images"] == told["images"]
        if name != "pairs":
            assert (shifted, answered, retold) == (questions, annotations, told)
        for image in told["images"]:
            path = Path("val2014") / image["file_name"]
            assert (folder / path).read_bytes() != (world / path).read_bytes()
    hue = re.compile(rf"\ban? (?={'|'.join(COLOURS)})|\b(?:{'|'.join(COLOURS)})\b")
    for ours, theirs in zip(questions, read(world / "shifts/pairs", "val2014")[0], strict=True):
        assert ours["question_id"] == theirs["question_id"]
        assert hue.sub("", ours["question"]) == hue.sub("", theirs["question"])


def test_pairs_shows_what_no_other_picture_shows() -> None:
    scenes = [ask.asked(3, VAL, k) for k in range(300)]
    unseen, about = list[bool](), Counter[str]()
    for k, scene in enumerate(scenes):
        assert not shown(scene.scene) & HELD_OUT
        new = ask.unseen_pairs(scene, Dice(3, VAL, k, 9))
        assert sorted(new) == sorted(new.values()) == list(range(len(COLOURS)))
        pairs = shown(recolour(scene.scene, new))
        assert pairs & HELD_OUT
        unseen += [pair in HELD_OUT for pair in pairs]
        about.update(ask.spell(q.answer, new) for q in scene.questions if q.kind == "colour")
    assert np.mean(unseen) > 0.6
    assert max(about.values()) < 2.5 * sum(about.values()) / len(COLOURS), "as many of each colour"


def test_pre_training_shows_no_held_out_pair() -> None:
    for k in range(20):
        scenes = group(0, k)
        assert len({(len(s.things), s.ground) for s in scenes}) == 1
        assert len({tuple(sorted(t.colour for t in s.things)) for s in scenes}) == 1
        assert not any(shown(scene) & HELD_OUT for scene in scenes)


def test_held_out_pairs_leave_shapes_and_colours_equally_likely() -> None:
    drawn = np.zeros((len(SHAPES), len(COLOURS)))
    for k in range(1500):
        for thing in sample(Dice(k), alike=(0.0, 0.0)).things:
            drawn[thing.shape, thing.colour] += 1
    assert not drawn[tuple(zip(*HELD_OUT, strict=True))].any()
    for axis in (0, 1):
        totals = drawn.sum(axis)
        assert np.ptp(totals) < 6 * totals.mean() ** 0.5


# ---------------------------------------------------------------------------- pictures, captions


def test_captions_differ_and_stay_within_the_vocabulary() -> None:
    def words(texts: Iterable[str]) -> set[str]:
        return {word for text in texts for word in re.findall("[a-z]+", text.lower())}

    for k in range(100):
        scene = sample(Dice(k))
        told = captions(scene, Dice(k, CAPTION))
        assert len(told) == 5 and len(set(told)) > 2
        assert words(told) <= set(vocabulary())
    other = recolour(scene, {c: (c + 1) % len(COLOURS) for c in range(len(COLOURS))})
    for ours, theirs in zip(told, captions(other, Dice(k, CAPTION)), strict=True):
        assert len(ours.split()) == len(theirs.split())


@pytest.mark.parametrize("size", [64, 96, 128])
def test_things_are_where_the_scene_says_in_their_colour(size: int) -> None:
    scene = group(0, 3)[0]
    for style in (PLAIN, SKETCH, OTHER):
        pixels = render(scene, style, size)
        assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8
        assert np.array_equal(pixels, render(scene, style, size))
    empty = render(Scene((), scene.ground, scene.salt), PLAIN, size)
    changed = (np.abs(render(scene, PLAIN, size).astype(int) - empty).max(-1) > 60).mean()
    assert 0.01 < changed < 0.6
