"""Tasks with one right answer: perfect is 100, order is nothing, readers name what is spoilt."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil import tasks
from clipvil.core import Answer, Chose, Data, Example, Gold, Humans, Said, Task
from clipvil.evaluate.score import score
from clipvil.files import read_json, read_jsonl

NAMES = ("snli_ve", "entail", "gqa", "gqa@all", "gqa@ood", "vcr", "choose", "vqa2@cp")
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module", params=NAMES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Task, Path]:
    task, root = tasks.load(request.param), tmp_path_factory.mktemp("made")
    task.tiny(root)
    return task, root


def right(example: Example) -> Answer:
    match example.target:
        case Humans(answers=answers):
            return Said(answers[0])
        case Gold(indices=indices):
            then = tuple(Chose(k) for k in indices[1:] for _ in example.candidates[0])
            return Chose(indices[0], then=then)
        case _:
            raise AssertionError(example)


def read(task: Task, root: Path) -> list[Example]:
    return list(task.examples(Data(root), task.splits.report))


def test_perfect_answers_score_100(made: tuple[Task, Path]) -> None:
    task, root = made
    examples = read(task, root)
    figures = score(task, examples, [(e.id, right(e)) for e in examples]).figures
    values = {name: figure.value for name, figure in figures.items() if figure.value is not None}
    assert values.pop("distribution", 0) == 0
    assert set(values.values()) == {100}


def test_order_changes_nothing(made: tuple[Task, Path]) -> None:
    task, root = made
    examples = read(task, root)
    generator = random.Random(0)
    said = [(e.id, right(generator.choice(examples))) for e in examples]
    first = score(task, examples, said)
    generator.shuffle(examples)
    generator.shuffle(said)
    second = score(task, examples, said)
    assert second.plain() == first.plain()
    assert sorted(second.examples(), key=str) == sorted(first.examples(), key=str)


def test_ids_that_do_not_match_are_listed(made: tuple[Task, Path]) -> None:
    task, root = made
    examples = read(task, root)
    said = [(e.id, right(e)) for e in examples]
    count = min(len(said), 7)
    lost = ", ".join(name for name, _ in said[:count][:5])
    first = rf"{said[0][0]} \(rows 1, {len(said) + 1}\)"
    for spoilt, message in (
        (said[count:], f"{count} of {len(said)} examples have no prediction: {lost}"),
        (said + said[:count], f"{count} ids are predicted more than once: {first}"),
        ([*said, ("../../x", said[0][1])], "1 predicted ids are not among .*: ../../x"),
    ):
        with pytest.raises(ValueError, match=message):
            score(task, examples, spoilt)


def test_gzipped_files_are_read_like_plain_ones(made: tuple[Task, Path]) -> None:
    task, root = made
    first = read(task, root)
    paths = [root / f.name for f in task.files if f.split == task.splits.report]
    for path in filter(Path.is_file, paths):
        (root / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read(task, root) == first
    task.tiny(root)
    for path in root.glob("*.gz"):
        path.unlink()


# ---------------------------------------------------------------------------- hostile files


def rows(path: Path) -> Any:
    return list(read_jsonl(path)) if path.suffix == ".jsonl" else read_json(path)


def dump(path: Path, value: Any) -> None:
    lines = value if path.suffix == ".jsonl" else [value]
    path.write_text("\n".join(map(json.dumps, lines)))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in inside:
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def complaint(reader: Callable[[], object]) -> str | None:
    """What a reader says is wrong; anything but a ValueError is a bug."""
    try:
        reader()
    except ValueError as error:
        return str(error)
    return None


def reads_or_names(task: Task, root: Path, path: Path) -> None:
    said = complaint(lambda: read(task, root))
    assert said is None or path.name in said or "missing under" in said


@given(data=st.data())
def test_a_changed_value_is_read_or_named(made: tuple[Task, Path], data: st.DataObject) -> None:
    task, root = made
    file = next(f for f in task.files if f.split == task.splits.report and not f.optional)
    path = root / file.name
    before = path.read_bytes()
    try:
        value = rows(path)
        container, key = data.draw(st.sampled_from([*places(value)]))
        if data.draw(st.booleans()):
            container[key] = data.draw(JUNK)
        else:
            del container[key]
        dump(path, value)
        reads_or_names(task, root, path)
    finally:
        path.write_bytes(before)


@given(data=st.data())
def test_changed_bytes_are_read_or_named(made: tuple[Task, Path], data: st.DataObject) -> None:
    task, root = made
    file = next(f for f in task.files if f.split == task.splits.report and not f.optional)
    path = root / file.name
    before = path.read_bytes()
    try:
        start = data.draw(st.integers(0, len(before)))
        path.write_bytes(before[:start] + data.draw(st.binary(max_size=8)))
        reads_or_names(task, root, path)
    finally:
        path.write_bytes(before)


@given(data=st.data())
def test_spoilt_predictions_are_read_or_named(made: tuple[Task, Path], data: st.DataObject) -> None:
    task, root = made
    path = root / "said"
    task.write(path, {e.id: right(e) for e in read(task, root)})
    before = path.read_bytes()
    start = data.draw(st.integers(0, len(before)))
    junk = data.draw(st.binary(max_size=8) | JUNK.map(lambda value: json.dumps(value).encode()))
    path.write_bytes(before[:start] + junk + before[start + data.draw(st.integers(0, 4)) :])
    said = complaint(lambda: list(task.read(path)))
    assert said is None or str(path) in said
