"""R2R's and RxR's files, graphs and predictions as they must not be."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipvil.core import Data, Task
from clipvil.files import read_json, write_json, write_jsonl
from clipvil.graphs.connectivity import read_graph
from clipvil.tasks import r2r, rxr

TASKS = pytest.mark.parametrize("task", [r2r.TASK, rxr.TASK], ids=lambda task: task.name)


def change(file: Path, **fields: Any) -> None:
    """Spoil the second row of a file of rows."""
    rows = [*map(json.loads, file.read_text().splitlines())]
    inner = rows[0] if isinstance(rows[0], list) else rows
    inner[1] |= fields
    file.write_text("\n".join(map(json.dumps, rows)))


SPOILT = [
    ({"scan": "nowhere"}, "no navigation graph"),
    ({"scan": "../connectivity/tiny3"}, "is no name of a scan"),
    ({"scan": ""}, "is no name of a scan"),
    ({"scan": "a" * 999}, "is no name of a scan"),
    ({"scan": 3}, "Expected `str`"),
    ({"path": ["tiny3viewpoint0", "nowhere"]}, "no viewpoint nowhere"),
    ({"path": ["tiny3viewpoint0"]}, "a start and, unless it is hidden, a goal"),
    ({"path": []}, "a start and"),
    (
        {"path": [f"tiny3viewpoint{k}" for k in (0, 1, 3)]},
        "step 2 of the path leads over no edge, tiny3viewpoint1 to tiny3viewpoint3",
    ),
    ({"path": "tiny3viewpoint0"}, "Expected `array`"),
    ({"heading": float("nan")}, "malformed|invalid"),
    ({"heading": None}, "Expected `float`"),
]


@TASKS
@pytest.mark.parametrize(("fields", "message"), SPOILT, ids=lambda case: str(case)[:30])
def test_spoilt_rows_are_named(
    task: Task, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    task.tiny(tmp_path)
    (name,) = (f.name for f in task.files if (f.role, f.split) == ("annotations", "val_unseen"))
    change(tmp_path / name, **fields)
    place = "row 2" if task is r2r.TASK else "line 2"
    with pytest.raises(ValueError, match=f"{place}: .*({message})|{name}: .*malformed") as raised:
        task.examples(Data(tmp_path), "val_unseen")
    assert name in str(raised.value)


def test_an_id_is_there_once(tmp_path: Path) -> None:
    r2r.TASK.tiny(tmp_path)
    change(tmp_path / "R2R_train.json", path_id=10)
    with pytest.raises(ValueError, match=r"R2R_train\.json, row 2: path 10 is also row 1"):
        r2r.TASK.examples(Data(tmp_path), "train")
    rxr.TASK.tiny(tmp_path)
    change(tmp_path / "rxr_train_guide.jsonl", instruction_id=10)
    with pytest.raises(ValueError, match=r"line 2: instruction 10 is also line 1"):
        rxr.TASK.examples(Data(tmp_path), "train")


POSE = [1.0] * 16


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pose": [*POSE[:3], float("nan"), *POSE[4:]]}, "malformed|invalid"),
        ({"pose": [*POSE[:3], 1e300, *POSE[4:]]}, "is not in this world"),
        ({"pose": POSE[:3]}, "a pose has 16 numbers, not 3"),
        ({"pose": [None] * 16}, "Expected `float`"),
        ({"unobstructed": [True]}, "does not tell of all viewpoints"),
        ({"unobstructed": [0, 1, 0, 1]}, "Expected `bool`"),
        ({"image_id": "tiny1viewpoint0"}, "a viewpoint is there more than once"),
        ({"included": "yes"}, "Expected `bool`"),
    ],
)
def test_spoilt_graphs_are_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    r2r.TASK.tiny(tmp_path)
    change(tmp_path / "connectivity" / "tiny1_connectivity.json", **fields)
    with pytest.raises(ValueError, match=message) as raised:
        r2r.TASK.examples(Data(tmp_path), "train")
    assert "tiny1_connectivity.json" in str(raised.value)


def test_a_graph_has_viewpoints(tmp_path: Path) -> None:
    (tmp_path / "tiny1_connectivity.json").write_text("[]")
    with pytest.raises(ValueError, match=r"tiny1_connectivity\.json: no viewpoints"):
        read_graph(tmp_path, "tiny1")


def test_where_no_way_leads_is_told(tmp_path: Path) -> None:
    r2r.TASK.tiny(tmp_path)
    folder = tmp_path / "connectivity"
    rows = read_json(folder / "tiny1_connectivity.json")
    for one, other in ((1, 2), (2, 1)):
        rows[one]["unobstructed"][other] = False
    write_json(folder / "tiny1_connectivity.json", rows)
    graph = read_graph(folder, "tiny1")
    assert not graph.joined("tiny1viewpoint1", "tiny1viewpoint2")
    with pytest.raises(ValueError, match=r"R2R_train\.json, row 1: scan tiny1 has no way from"):
        r2r.TASK.examples(Data(tmp_path), "train")


@TASKS
def test_a_start_that_nothing_leads_from_is_told(task: Task, tmp_path: Path) -> None:
    task.tiny(tmp_path)
    rows = read_json(tmp_path / "connectivity" / "tiny3_connectivity.json")
    alone = rows[0] | {"image_id": "alone", "unobstructed": [False] * 5}
    for row in rows:
        row["unobstructed"].append(False)
    write_json(tmp_path / "connectivity" / "tiny3_connectivity.json", [*rows, alone])
    (name,) = (f.name for f in task.files if (f.role, f.split) == ("annotations", "val_unseen"))
    change(tmp_path / name, path=["alone", "tiny3viewpoint0"])
    with pytest.raises(ValueError, match=r"[rl]\w+ 2: .*no way to or from viewpoint alone"):
        task.examples(Data(tmp_path), "val_unseen")


@TASKS
@pytest.mark.parametrize(
    "spoilt",
    [
        {}, [], {"id": "1"}, {"id": "1", "answer": "a"}, {"id": "1", "answer": [1]},
        {"instr_id": "1", "trajectory": [["a", 0.0]]}, {"instr_id": "1", "trajectory": ["a"]},
        {"instr_id": "1", "trajectory": [["a", "0", 0]]}, {"instruction_id": 1, "path": [["a"]]},
        {"instr_id": "1", "trajectory": [["a", None, 0]]}, {"instruction_id": "x", "path": ["a"]},
    ],
    ids=str,
)  # fmt: skip
def test_spoilt_predictions_are_named(task: Task, spoilt: Any, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "said", [{"id": "1", "answer": ["a"]}, spoilt])
    with pytest.raises(ValueError, match="said, line 2: "):
        list(task.read(tmp_path / "said"))


KEYS = ["id", "answer", "instr_id", "trajectory", "instruction_id", "path", "scan", "heading"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(width=32) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


@TASKS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_whatever_is_in_a_file_it_reads_or_its_name_is_told(
    task: Task, tmp_path: Path, value: Any
) -> None:
    path, problems = tmp_path / "f", list[str]()
    path.write_text(json.dumps(value))
    given = Data(given={("annotations", "train"): path, ("connectivity", "train"): tmp_path})
    for read in (lambda: task.examples(given, "train"), lambda: list(task.read(path))):
        try:
            read()
        except ValueError as error:
            problems.append(str(error))
    assert all(str(path) in problem for problem in problems)
