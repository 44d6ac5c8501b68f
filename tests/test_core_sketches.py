"""The nouns of `core` hold every kind of task: the smallest captioning, choice and navigation ones.

The metrics are simplified; what is tested is that examples, answers, statistics and their
reduction can say what such a task must say.
"""

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clipvil.core import (
    Answer,
    Choices,
    Chose,
    Data,
    Episode,
    Example,
    Gold,
    Measured,
    Metric,
    Moves,
    OfficialFile,
    References,
    Region,
    Said,
    Segment,
    Splits,
    Tally,
    Task,
    Text,
    Totals,
    Walked,
)
from clipvil.evaluate.score import score
from clipvil.files import read_rows, write_bytes, write_json, write_jsonl
from clipvil.metrics import ratio

Reduced = dict[str, NDArray[np.float64]]
COMMON: Mapping[str, Any] = {
    "version": 1,
    "summary": "a sketch",
    "splits": Splits(fit="train", select=None, report="val"),
    "files": (OfficialFile(role="annotations", split="val", name="sketch.json", source="here"),),
    "tiny": lambda root: None,
}


def measured(columns: str, rows: Mapping[str, Sequence[float]]) -> Measured:
    return Measured(tuple(rows), tuple(columns.split()), np.array([*rows.values()], np.float64))


# ---------------------------------------------------------------------------- captions


def grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[k:] for k in range(n)), strict=False))


def caption_examples(data: Data, split: str) -> list[Example]:
    told = {"1": ("a red cat", "the cat is red"), "2": ("two dogs run",), "3": ("a boat",)}
    return [
        Example(id=i, cluster=i, pictures=(f"COCO_val2014_{int(i):012d}",), target=References(c))
        for i, c in told.items()
    ]


def caption_measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    """Clipped matches and guesses of two orders, two lengths; a mean kept as a sum and a count."""
    rows = {}
    for example in examples:
        answer, target = answers[example.id], example.target
        assert isinstance(answer, Said) and isinstance(target, References)
        words, told = answer.text.split(), [caption.split() for caption in target.captions]
        row = [float(len(words)), float(min(map(len, told)))]
        for n in (1, 2):
            most = Counter[tuple[str, ...]]()
            for one in told:
                most |= grams(one, n)
            row += [(grams(words, n) & most).total(), grams(words, n).total()]
        overlap = max(len({*words} & {*one}) / len({*words} | {*one}) for one in told)
        rows[example.id] = [*row, overlap, 1.0]
    return measured("length reference right_1 all_1 right_2 all_2 overlap count", rows)


def caption_reduce(totals: Totals) -> Reduced:
    precision = ratio(totals["right_1"], totals["all_1"]) * ratio(
        totals["right_2"], totals["all_2"]
    )
    brevity = np.exp(np.minimum(0, 1 - ratio(totals["reference"], totals["length"])))
    return {
        "bleu_2": brevity * np.sqrt(precision),
        "overlap": ratio(totals["overlap"], totals["count"]),
    }


def caption_read(path: Path) -> Iterator[tuple[str, Answer]]:
    for _, row in read_rows(path, dict[str, Any]):
        yield str(row["image_id"]), Said(row["caption"])


def caption_write(path: Path, answers: Mapping[str, Answer]) -> None:
    said = {i: a.text for i, a in answers.items() if isinstance(a, Said)}
    write_json(path, [{"image_id": int(i), "caption": text} for i, text in said.items()])


CAPTION = Task(
    name="caption",
    answer=Text(20),
    metrics=(Metric("bleu_2", ""), Metric("overlap", ""), Metric("meteor", "", needs="Java")),
    examples=caption_examples,
    measure=caption_measure,
    reduce=caption_reduce,
    read=caption_read,
    write=caption_write,
    partial=True,
    **COMMON,
)


def test_a_corpus_metric_comes_from_sums(tmp_path: Path) -> None:
    examples = CAPTION.examples(Data(), "val")
    said: dict[str, Answer] = {
        "1": Said("a red cat", others=(("a cat", -2.0),)), "2": Said("two dogs sit")
    }  # fmt: skip
    CAPTION.write(tmp_path / "said", said)
    scored = score(CAPTION, examples, CAPTION.read(tmp_path / "said"))
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert scored.unanswered == 1
    assert figures["bleu_2"] == pytest.approx((5 / 6 * 3 / 4) ** 0.5), "both captions as one text"
    assert figures["overlap"] == pytest.approx((1 + 2 / 4) / 2)
    assert figures["meteor"] is None
    assert scored.figures["meteor"].reason == "needs Java"
    each = [row["bleu_2"] for row in scored.examples()]
    assert each == pytest.approx([1, (2 / 3 * 1 / 2) ** 0.5])
    drawn = scored.measured.totals(np.array([[1.0, 1], [2, 0], [0, 2]]))
    assert CAPTION.reduce(drawn)["bleu_2"] == pytest.approx([figures["bleu_2"], *each])


def test_a_tally_counts_what_columns_would() -> None:
    cells, generator = np.array([0, 5, -1, 5, 3]), np.random.default_rng(0)
    names = tuple("abcde")
    shown = np.array([cell == np.arange(6) for cell in cells], np.float64)  # [5, 6]
    dense = Measured(names, tuple("012345"), shown)
    tally = Measured(names, (), np.zeros((5, 0)), {"table": Tally(cells, (2, 3))})
    keep = np.array([True, True, False, True, False])
    weights = generator.integers(0, 4, (3, 2, 5)).astype(float)
    for one, other in ((tally, dense), (tally.where(keep), dense.where(keep))):
        for drawn in (None, weights[..., : len(one.ids)]):
            columns = [*other.totals(drawn).values()]
            flat = np.stack(columns, axis=-1)  # [..., 6]
            table = one.totals(drawn)["table"]
            np.testing.assert_array_equal(table, flat.reshape(*flat.shape[:-1], 2, 3))
    assert not tally.each(), "no example has a table by itself"


# ---------------------------------------------------------------------------- choices

ANSWERS, RATIONALES = 4, 4


def mention(*parts: str | int) -> tuple[Segment, ...]:
    return tuple(Segment(p) if isinstance(p, str) else Segment("", (p,)) for p in parts)


def choice_examples(data: Data, split: str) -> list[Example]:
    people = (Region((0, 0, 9, 9), "person"), Region((5, 0, 20, 9), "person"))
    return [
        Example(
            id=f"val-{k}",
            cluster="a film",
            pictures=("a_film/scene@1.jpg",),
            text=mention("Why does", 0, "look at", 1, "?"),
            candidates=(
                tuple(mention(1, f"said {n}") for n in range(ANSWERS)),
                tuple(mention(0, f"hears {n}") for n in range(RATIONALES)),
            ),
            regions=people,
            target=Gold((1, k)),
        )
        for k in range(3)
    ]


def choice_measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    rows = {}
    for example in examples:
        answer, target = answers[example.id], example.target
        assert isinstance(answer, Chose) and isinstance(target, Gold)
        right, reason = target.indices
        hit, why = answer.index == right, answer.then[right].index == reason
        rows[example.id] = [float(hit), float(why), float(hit and why), 1.0]
    return measured("q_a qa_r q_ar count", rows)


def choice_reduce(totals: Totals) -> Reduced:
    return {name: ratio(totals[name], totals["count"], 100) for name in ("q_a", "qa_r", "q_ar")}


def likeliest(scores: Iterable[float], then: tuple[Chose, ...] = ()) -> Chose:
    values = tuple(scores)
    return Chose(values.index(max(values)), values, then)


COLUMNS = [f"answer_{a}" for a in range(ANSWERS)] + [
    f"rationale_conditioned_on_a{a}_{r}" for a in range(ANSWERS) for r in range(RATIONALES)
]


def choice_read(path: Path) -> Iterator[tuple[str, Answer]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                values = iter([float(row[name]) for name in COLUMNS])
                first = [*itertools.islice(values, ANSWERS)]
                then = [likeliest(itertools.islice(values, RATIONALES)) for _ in first]
                yield row["annot_id"], likeliest(first, tuple(then))
    else:
        for _, row in read_rows(path, dict[str, Any]):
            yield row["id"], Chose(row["answer"], then=tuple(map(Chose, row["rationale"])))


def choice_write(path: Path, answers: Mapping[str, Answer]) -> None:
    lines = [["annot_id", *COLUMNS]]
    for name, answer in answers.items():
        assert isinstance(answer, Chose)
        values = [*answer.scores, *(s for then in answer.then for s in then.scores)]
        lines.append([name, *map(repr, values)])
    write_bytes(path, "".join(",".join(line) + "\n" for line in lines).encode())


CHOICE = Task(
    name="choice",
    answer=Choices(),
    metrics=(Metric("q_ar", "%"), Metric("q_a", "%"), Metric("qa_r", "%")),
    examples=choice_examples,
    measure=choice_measure,
    reduce=choice_reduce,
    read=choice_read,
    write=choice_write,
    **COMMON,
)


def test_a_choice_may_carry_the_choice_that_follows(tmp_path: Path) -> None:
    examples = CHOICE.examples(Data(), "val")
    assert examples[0].words == "Why does  look at  ?"
    assert examples[0].regions[examples[0].text[1].regions[0]].name == "person"
    rows = [
        {"id": "val-0", "answer": 1, "rationale": [0, 0, 0, 0]},  # both right
        {"id": "val-1", "answer": 0, "rationale": [0, 1, 0, 0]},  # the rationale only
        {"id": "val-2", "answer": 1, "rationale": [2, 0, 2, 2]},  # the answer only
    ]
    write_jsonl(tmp_path / "rows", rows)
    scored = score(CHOICE, examples, CHOICE.read(tmp_path / "rows"))
    values = {name: figure.value for name, figure in scored.figures.items()}
    assert values == pytest.approx({"q_ar": 100 / 3, "q_a": 200 / 3, "qa_r": 200 / 3})
    sure = likeliest([0.1, 0.7, 0.1, 0.1], tuple(likeliest([0.4, 0.4, 0.1, 0.1]) for _ in range(4)))
    CHOICE.write(tmp_path / "said.csv", {"val-0": sure})
    assert dict(CHOICE.read(tmp_path / "said.csv")) == {"val-0": sure}


# ---------------------------------------------------------------------------- navigation


@dataclass(frozen=True)
class Corridor:
    """Viewpoints in a row, two metres apart."""

    places: str = "abcdefgh"
    asked: list[str] = field(default_factory=list)

    def distance(self, start: str, end: str) -> float:
        return 2.0 * abs(self.places.index(start) - self.places.index(end))


def walk_examples(data: Data, split: str) -> list[Example]:
    floor = Corridor()
    return [
        Example(
            id=f"7_{k}",
            cluster="scan",
            text=(Segment("Go on."),),
            episode=Episode("scan", tuple(path), heading=0.5, language="en-IN", floor=floor),
        )
        for k, path in enumerate(["abc", "cde"])
    ]


def walk_measure(examples: Sequence[Example], answers: Mapping[str, Answer]) -> Measured:
    rows = {}
    for example in examples:
        answer, episode = answers[example.id], example.episode
        assert isinstance(answer, Walked) and episode is not None and episode.floor is not None
        distance, goal = episode.floor.distance, episode.path[-1]
        seen = [viewpoint for viewpoint, _, _ in answer.steps]
        length = sum(distance(one, two) for one, two in itertools.pairwise(seen))
        shortest = distance(episode.path[0], goal)
        success = distance(seen[-1], goal) < 3
        ends = [min(distance(v, r) for v in seen) for r in episode.path]
        near = float(np.exp(-np.mean(ends) / 3))
        weight = shortest / max(length, shortest)
        rows[example.id] = [distance(seen[-1], goal), success, success * weight, near, 1.0]
    return measured("error success weighted near count", rows)


def walk_reduce(totals: Totals) -> Reduced:
    names = {"navigation_error": "error", "success_rate": "success", "spl": "weighted"}
    return {name: ratio(totals[column], totals["count"]) for name, column in names.items()}


def walk_read(path: Path) -> Iterator[tuple[str, Answer]]:
    for _, row in read_rows(path, dict[str, Any]):
        if "trajectory" in row:
            yield row["instr_id"], Walked(tuple((v, h, e) for v, h, e in row["trajectory"]))
        else:
            yield row["id"], Walked(tuple((v, 0.0, 0.0) for v in row["answer"]))


def walk_write(path: Path, answers: Mapping[str, Answer]) -> None:
    walks = {i: a.steps for i, a in answers.items() if isinstance(a, Walked)}
    write_json(path, [{"instr_id": i, "trajectory": steps} for i, steps in walks.items()])


WALK = Task(
    name="walk",
    answer=Moves(15),
    metrics=(
        Metric("success_rate", ""), Metric("spl", ""), Metric("navigation_error", "m", False),
    ),
    examples=walk_examples,
    measure=walk_measure,
    reduce=walk_reduce,
    read=walk_read,
    write=walk_write,
    **COMMON,
)  # fmt: skip


def test_a_walk_is_measured_on_the_graph_that_its_episode_carries(tmp_path: Path) -> None:
    examples = WALK.examples(Data(), "val")
    assert examples[0].episode is not None and examples[1].episode is not None
    assert examples[0].episode.floor is examples[1].episode.floor
    write_jsonl(tmp_path / "rows", [{"id": "7_0", "answer": list("abcdc")},
                                    {"id": "7_1", "answer": list("cba")}])  # fmt: skip
    said = dict(WALK.read(tmp_path / "rows"))
    WALK.write(tmp_path / "said", said)
    assert dict(WALK.read(tmp_path / "said")) == said
    scored = score(WALK, examples, said.items())
    values = {name: figure.value for name, figure in scored.figures.items()}
    assert values == pytest.approx({"success_rate": 0.5, "spl": 0.25, "navigation_error": 4})
    assert not scored.figures["navigation_error"].higher_is_better
    assert [row["spl"] for row in scored.examples()] == [0.5, 0]
