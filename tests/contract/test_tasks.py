"""What every task promises, on the files that its own `tiny` writes."""

from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

import numpy as np
import pytest

from clipvil import tasks
from clipvil.core import (
    Answer,
    Choices,
    Chose,
    Data,
    Example,
    Labels,
    Moves,
    Said,
    Task,
    Text,
    Walked,
)
from clipvil.evaluate.score import score
from clipvil.files import PictureIndex

NAMES = tasks.names()


def anything(task: Task, example: Example) -> Answer:
    """Some answer of the task's kind."""
    match task.answer:
        case Labels():
            return Said(next(iter(task.answer.credit(example))))
        case Text():
            return Said("red")
        case Choices():
            following = example.candidates[1:2]
            return Chose(0, then=tuple(Chose(0) for _ in example.candidates[0] if following))
        case Moves():
            assert example.episode is not None
            return Walked(((example.episode.path[0], example.episode.heading, 0.0),))
        case _:
            assert_never(task.answer)


@pytest.fixture(params=NAMES)
def task(request: pytest.FixtureRequest) -> Task:
    return tasks.load(request.param)


@pytest.fixture
def data(task: Task, tmp_path: Path) -> Data:
    task.tiny(tmp_path)
    return Data(tmp_path)


def test_what_can_be_fetched_is_the_official_file_or_a_zip_with_it(task: Task) -> None:
    """`data get` names what it fetches by the last part of the address."""
    for file in (*task.files, *task.archives):
        for url in file.download.urls if file.download else ():
            address = urlsplit(url)
            name = address.path.rpartition("/")[2]
            assert address.scheme == "https" or address.netloc == "images.cocodataset.org"
            assert name in (file.name, f"{file.name}.gz") or (
                file.download and file.download.member.rpartition("/")[2] == file.name
                and name.endswith(".zip")
            )  # fmt: skip
            assert file.source.startswith("https://") and not file.gate


def test_a_task_is_called_like_its_file(task: Task) -> None:
    assert task.name in NAMES
    assert task.version >= 1 and task.summary and "\n" not in task.summary
    named = [metric.name for metric in task.metrics]
    assert len(set(named)) == len(named) > 0


def test_every_split_reads(task: Task, data: Data) -> None:
    splits = {file.split for file in task.files}
    purposes = task.splits
    assert {purposes.fit, purposes.report} | {purposes.select} - {None} <= splits
    for split in sorted(splits):
        examples = task.examples(data, split)
        ids = [example.id for example in examples]
        assert len(ids) == len(set(ids)) == len(examples) > 0, "ids are unique"
        assert [example.id for example in examples[1:]] == ids[1:], "a slice is what it says"
        assert examples[-1].id == ids[-1]
        assert all(example.cluster for example in examples)
        if split not in purposes.hidden:
            assert all(
                example.target is not None or example.episode is not None for example in examples
            ), "it can be scored"


def test_splits_share_no_cluster(task: Task, data: Data) -> None:
    fit, report = (task.examples(data, split) for split in (task.splits.fit, task.splits.report))
    assert not {example.cluster for example in fit} & {example.cluster for example in report}


def test_pictures_are_found(task: Task, data: Data) -> None:
    assert data.root is not None
    index = PictureIndex(data.root)
    for split in (task.splits.fit, task.splits.report):
        for example in task.examples(data, split):
            assert all(index.find(name).is_file() for name in example.pictures)


def test_measured_are_all_examples_in_order(task: Task, data: Data) -> None:
    examples = task.examples(data, task.splits.report)
    answers = {example.id: anything(task, example) for example in examples}
    measured = task.measure(examples, answers)
    assert measured.ids == tuple(example.id for example in examples)
    assert measured.rows.shape == (len(examples), len(measured.columns))
    values = task.reduce(measured.totals())
    assert set(values) <= {metric.name for metric in task.metrics}
    assert task.headline(measured.columns).name in values


def test_a_missing_answer_is_an_error(task: Task, data: Data) -> None:
    examples = task.examples(data, task.splits.report)
    answers = {example.id: anything(task, example) for example in examples}
    del answers[examples[0].id]
    with pytest.raises(KeyError):
        task.measure(examples, answers)


def test_metrics_of_replicates_are_those_of_each(task: Task, data: Data) -> None:
    examples = task.examples(data, task.splits.report)
    measured = task.measure(examples, {e.id: anything(task, e) for e in examples})
    weights = np.random.default_rng(0).integers(0, 3, (2, 3, len(examples))).astype(float)
    weights[0, 0] = 0  # nothing drawn: no value, and no warning
    together = task.reduce(measured.totals(weights))
    for name, values in together.items():
        assert values.shape == (2, 3)
        alone = task.reduce(measured.totals(weights[1, 2]))[name]
        np.testing.assert_allclose(values[1, 2], alone)
        assert np.isnan(values[0, 0])


def test_what_is_written_can_be_read(task: Task, data: Data, tmp_path: Path) -> None:
    examples = task.examples(data, task.splits.report)
    answers = {example.id: anything(task, example) for example in examples}
    task.write(tmp_path / "answers", answers)
    assert [name for name, _ in task.read(tmp_path / "answers")] == [*answers]
    first = score(task, examples, answers.items()).plain()
    assert score(task, examples, task.read(tmp_path / "answers")).plain() == first


def test_labels_earn_what_they_promise(task: Task, data: Data) -> None:
    if not isinstance(task.answer, Labels):
        return
    examples = task.examples(data, task.splits.fit)
    for example in examples:
        credits = task.answer.credit(example)
        assert credits and all(0 < credit <= 1 for credit in credits.values())
