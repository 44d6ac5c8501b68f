"""What `clipvil score` promises for every task, on the files that its own `tiny` writes."""

import json
from collections import Counter
from pathlib import Path

import pytest

from clipvil import cli, tasks
from clipvil.core import Answer, Data, Task
from clipvil.files import find, read_jsonl
from clipvil.tasks.base import of_split
from tests.contract.test_tasks import NAMES, anything


@pytest.fixture(params=NAMES)
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    task = tasks.load(request.param)
    task.tiny(tmp_path)
    monkeypatch.setenv("PATH", "")  # Java takes long
    return task


def answers(task: Task, root: Path) -> dict[str, Answer]:
    examples = task.examples(Data(root), task.splits.report)
    return {example.id: anything(task, example) for example in examples}


def options(task: Task, root: Path) -> list[str]:
    official = of_split(task.files, task.splits.report)
    roles = Counter(file.role for file in official)
    found = {  # of a role in several parts the folder is given
        role: root if count > 1 else find(Data(root), [f for f in official if f.role == role])[role]
        for role, count in roles.items()
        if not all(file.optional for file in official if file.role == role)
    }
    given = [(f"--{role.replace('_', '-')}", str(path)) for role, path in found.items()]
    return [task.name, "--predictions", str(root / "said"), *(x for pair in given for x in pair)]


def test_figures_have_a_value_or_a_reason(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answers(task, tmp_path)
    task.write(tmp_path / "said", said)
    more = ["--json", "--per-example", str(tmp_path / "each"), "--compare", str(tmp_path / "said")]
    assert cli.run("score", [*options(task, tmp_path), *more]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == {"task", "version", "count", "metrics", "difference"}
    assert (printed["task"], printed["count"]) == (task.name, len(said))
    units = {metric.name: metric for metric in task.metrics}
    for name, figure in printed["metrics"].items():
        if figure["value"] is None:
            assert figure.keys() == {"value", "reason"} and figure["reason"]
        else:
            metric = units.get(name) or units[name.split("/")[0]]
            assert figure | {"value": None} == {
                "value": None, "unit": metric.unit, "higher_is_better": metric.higher_is_better
            }  # fmt: skip
    each = list(read_jsonl(tmp_path / "each"))
    assert [row["id"] for row in each] == [*said]
    assert all(set(row) - {"id"} <= units.keys() for row in each)
    difference = printed["difference"]
    assert (
        difference["value"] == 0 and printed["metrics"][difference["metric"]]["value"] is not None
    )


def test_what_is_written_for_people_names_every_figure(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task.write(tmp_path / "said", answers(task, tmp_path))
    assert cli.run("score", [*options(task, tmp_path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["metrics"]
    assert cli.run("score", options(task, tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [*figures]


def test_some_examples_alone_are_scored(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answers(task, tmp_path)
    task.write(tmp_path / "said", said)
    each = ["--limit", "1", "--per-example", str(tmp_path / "each")]
    assert cli.run("score", [*options(task, tmp_path), *each]) == 0
    assert "only the first 1 examples: not the official figure" in capsys.readouterr().err
    assert [row["id"] for row in read_jsonl(tmp_path / "each")] == [*said][:1]


def test_ids_that_do_not_match_are_told(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answers(task, tmp_path)
    first, *others = said
    unknown = str(10**9)
    for changed, message in (
        ({name: said[name] for name in others}, f"have no prediction: {first}"),
        (said | {unknown: said[first]}, f"1 predicted ids are not among .*: {unknown}"),
    ):
        task.write(tmp_path / "said", changed)
        code = cli.run("score", options(task, tmp_path))
        told = capsys.readouterr().err
        if task.partial and changed.keys() <= said.keys():
            assert code == 0 and "1 examples without a prediction are left out" in told
        else:
            assert code == 1
            assert message.split(" .*")[0] in told and message.split(": ")[1] in told
