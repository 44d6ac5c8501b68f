"""Rows of candidates: what they say, what they point at, and how their logits become a choice."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clipvil import tasks
from clipvil.answers import choices
from clipvil.answers.choices import Known, likeliest
from clipvil.core import Chose, Data, Example, Gold, Region, Segment
from clipvil.data.choices import NEXT, ChoiceData, asked, every
from clipvil.data.sight import Blind, Grids
from clipvil.features.lookup import Affine
from clipvil.models import mcan

BOXES = ((0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 3.0, 2.0))


def put(name: str = "a", target: Gold | None = None) -> Example:
    """What is [1] doing? [1] sits / [0, 1] run / no; because / why."""
    return Example(
        id=name,
        cluster=name,
        text=(Segment("What is"), Segment("", (1,)), Segment("doing?")),
        candidates=(
            (
                (Segment("", (1,)), Segment("sits.")),
                (Segment("", (0, 1)), Segment("run")),
                (Segment("no"),),
            ),
            ((Segment("because"),), (Segment("why"),)),
        ),
        regions=(Region(BOXES[0], "dog"), Region(BOXES[1], "dining table")),
        target=target or Gold((1, 0)),
    )


class Shown:
    """Pictures of 2 x 3 cells of two numbers each, a pixel a cell; `b` has one row less."""

    width = 2

    def look(self, pictures: Sequence[str]) -> Grids:
        image = torch.arange(12.0).view(1, 6, 2).repeat(len(pictures), 1, 1)
        rows = torch.tensor([1 if name == "b" else 2 for name in pictures])
        seen = torch.arange(6) < 3 * rows.unsqueeze(1)
        return Grids(image, seen, torch.stack([rows, torch.full_like(rows, 3)], 1))

    def affine(self, pictures: Sequence[str]) -> list[Affine]:
        return [(1.0, 0.0, 1.0, 0.0)] * len(pictures)


def known_of(examples: Sequence[Example], longest: int) -> Known:
    return choices.learn(tasks.load("vcr"), examples, mcan.Config(longest=longest))


def data(*examples: Example, targets: bool = True, longest: int = 30) -> ChoiceData:
    known = known_of(examples, longest)
    names = [example.id for example in examples]
    return known.data(examples, names, Shown(), targets=targets)


def words(known: Known, row: torch.Tensor) -> list[str]:
    return [known.words[k - 2] for k in row.tolist() if k]


def test_a_row_is_the_question_and_a_candidate() -> None:
    first = [word for word, _ in asked(put(), ())[0]]
    question = ["what", "is", "dining", "table", "#1", "doing"]
    assert first == [*question, NEXT, "dining", "table", "#1", "sits"]
    assert [place for _, place in asked(put(), ())[0]] == [-1, -1, 1, 1, 1, *[-1] * 2, 1, 1, 1, -1]
    reason = [word for word, _ in asked(put(), (2,))[1]]
    assert reason == [*question, NEXT, "no", NEXT, "why"]
    assert list(every(put())) == [(), (0,), (1,), (2,)]


def test_reasons_are_learnt_after_the_right_answer_and_asked_after_every_one() -> None:
    learnt = data(put()).batch(np.array([0]))
    assert learnt.credit.squeeze(1).tolist() == [0, 1, 0, 1, 0]
    known = known_of([put()], 30)
    assert words(known, learnt.words[4])[-6:] == ["dining", "table", "#1", "run", NEXT, "why"]
    hidden = replace(put(), target=None)
    wanted = known.data([hidden], ["a"], Shown(), targets=False).asked(np.array([0]))
    assert len(wanted.words) == 3 + 3 * 2


def test_mentions_point_at_the_mean_of_the_cells_in_the_box() -> None:
    batch = data(put("a"), put("b")).batch(np.array([0, 1])).to(torch.device("cpu"))
    assert batch.points is not None
    for row, (cells, second) in {0: (6, [6.0, 7.0]), 5: (3, [3.0, 4.0])}.items():
        assert int(batch.seen[row].sum()) == cells + 2, "two regions behind the cells"
        torch.testing.assert_close(batch.image[row, cells], torch.tensor([0.0, 1.0]))
        torch.testing.assert_close(batch.image[row, cells + 1], torch.tensor(second))
        mentioned = batch.points[row][batch.words[row] != 0].tolist()
        assert mentioned == [-1, -1, *[cells + 1] * 3, -1, -1, *[cells + 1] * 3, -1]


def test_of_a_long_row_the_end_is_read() -> None:
    known = known_of([put()], 3)
    batch = known.data([put()], ["a"], Shown(), targets=True).batch(np.array([0]))
    assert words(known, batch.words[0]) == ["table", "#1", "sits"]
    assert batch.points is not None and batch.points[0].tolist() == [7, 7, -1]


def test_without_pictures_words_still_tell_the_regions_apart() -> None:
    known = known_of([put()], 30)
    batch = known.data([put()], ["a"], Blind(), targets=True).batch(np.array([0]))
    rows = batch.to(torch.device("cpu"))
    assert not rows.image.any() and "#0" in words(known, batch.words[1])


def test_words_that_training_did_not_have_are_one_word() -> None:
    known = replace(known_of([put()], 30), words=(NEXT,))
    batch = known.data([put()], ["a"], Shown(), targets=True).batch(np.array([0]))
    assert set(batch.words.unique().tolist()) == {0, 1, 2}


def test_a_choice_is_the_likeliest_row_of_each_question_put() -> None:
    logits = torch.tensor([0.0, 2.0, 1.0, 5.0, 4.0, -1.0, 3.0, 0.0, 0.0]).double()
    chose = likeliest(put(), logits)
    assert chose.index == 1 and [one.index for one in chose.then] == [0, 1, 0]
    assert chose.scores == pytest.approx(torch.tensor([0.0, 2.0, 1.0]).softmax(0).tolist())
    assert all(sum(one.scores) == pytest.approx(1) for one in (chose, *chose.then))


def test_the_prior_is_the_commonest_place_that_there_is() -> None:
    several = [put(str(k), Gold((place, 1))) for k, place in enumerate((2, 2, 0, 1))]
    known = known_of(several, 30)
    two = replace(put(), candidates=(put().candidates[0][:2], put().candidates[1]))
    answers = known.prior([put(), replace(two, id="b")])
    assert answers["a"] == Chose(2, then=(Chose(1),) * 3)
    assert answers["b"] == Chose(0, then=(Chose(1),) * 2)


def test_what_is_known_survives_its_file() -> None:
    known = known_of([put()], 30)
    facts = json.loads(json.dumps(known.facts))
    assert choices.read(tasks.load("vcr"), facts, mcan.Config(longest=30)) == known


def test_hidden_answers_are_not_learnt_from() -> None:
    with pytest.raises(ValueError, match="nothing is learnt from a"):
        known_of([replace(put(), target=None)], 30)


def test_vcr_has_eight_rows_to_learn_from_and_twenty_to_answer(tmp_path: Path) -> None:
    task = tasks.load("vcr")
    task.tiny(tmp_path)
    examples = task.examples(Data(tmp_path), "train")
    known = known_of(examples, 30)
    for targets, rows in ((True, 8), (False, 20)):
        some = known.data(examples, ["a"] * 3, Shown(), targets=targets)
        made = (some.batch if targets else some.asked)(np.arange(3))
        assert len(made.words) == 3 * rows and made.points is not None
    assert known.regions and known.first == ((0, 1, 2), (1, 2, 3))


def test_own_choices_have_no_regions_and_any_number(tmp_path: Path) -> None:
    task = tasks.load("choose")
    task.tiny(tmp_path)
    examples = list(task.examples(Data(tmp_path), "train"))
    examples[1] = replace(examples[1], candidates=(examples[1].candidates[0][:2],))
    known = known_of(examples, 30)
    batch = known.data(examples, ["a"] * 3, Shown(), targets=True).batch(np.arange(3))
    assert torch.bincount(batch.owner).tolist() == [3, 2, 3] and batch.points is None
    assert not known.regions
