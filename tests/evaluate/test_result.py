"""What we promise of records: the keys, null for what is not, and merging without surprises."""

import json
from pathlib import Path

import msgspec
import pytest

from clipvil.evaluate import result
from clipvil.evaluate.result import Cell, Difference, Seed

# as docs/ promise them to whoever reads results.jsonl
CELL = {
    "kind", "task", "version", "split", "shift", "metric", "value", "unit", "higher_is_better", "n",
    "low", "high", "encoder", "fingerprint", "model", "shots", "examples", "seed", "recipe",
    "commit", "seconds", "device",
}  # fmt: skip
DIFFERENCE = {
    "kind", "task", "split", "metric", "encoder", "baseline", "shots", "value", "low", "high", "p",
    "p_holm", "relative", "examples_needed",
}  # fmt: skip


def cell(value: float | None = 50.0, seconds: float = 3.0, data: int = 0) -> Cell:
    return Cell(
        task="vqa2", version=1, split="val", shift=None, metric="accuracy", value=value, unit="%",
        higher_is_better=True, n=9, low=40.0, high=60.0, encoder="tiny:clip", fingerprint="f",
        model="mcan", shots="20%", examples=100, seed=Seed(data=data, init=1, order=2),
        recipe=None, commit=None, seconds=seconds, device="cpu",
    )  # fmt: skip


def difference(p_holm: float | None = None) -> Difference:
    return Difference(
        task="vqa2", version=1, split="val", shift=None, metric="accuracy", encoder="tiny:clip",
        baseline="tiny:random", shots="20%", value=1.0, low=0.5, high=1.5, p=0.01, p_holm=p_holm,
        relative=None, examples_needed="> 100 %", family="primary", significant=None,
        seeds=[1.0, 1.0], model="mcan", unit="%", higher_is_better=True,
    )  # fmt: skip


def test_keys_are_those_promised(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    result.write_records(path, [cell(), difference()])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["cell", "difference"]
    assert rows[0].keys() >= CELL and rows[1].keys() >= DIFFERENCE
    assert rows[0]["seed"] == {"data": 0, "init": 1, "order": 2}
    assert result.read_records(path) == [cell(), difference()]


def test_what_is_not_a_number_is_null(tmp_path: Path) -> None:
    result.write_records(tmp_path / "r", [cell(value=float("nan"))])
    (back,) = result.read_records(tmp_path / "r")
    assert back.value is None


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r"
    result.write_records(path, [cell()])
    path.write_text(path.read_text() + '{"kind": "celery"}\n')
    with pytest.raises(ValueError, match=r"r, line 2: .*celery"):
        result.read_records(path)


def test_the_same_cell_of_two_machines_is_one() -> None:
    merged = result.merge({Path("a"): [cell(), difference()], Path("b"): [cell(seconds=9.0)]})
    assert merged == [cell(), difference()]
    assert len(result.merge({Path("a"): [cell()], Path("b"): [cell(data=1)]})) == 2
    assert len(result.merge({Path("a"): [difference(0.1)], Path("b"): [difference(0.2)]})) == 1


def test_different_figures_of_one_cell_name_both_files() -> None:
    with pytest.raises(ValueError, match=r"one/r and two/r disagree on vqa2 accuracy tiny:clip"):
        result.merge({Path("one/r"): [cell()], Path("two/r"): [cell(value=51.0)]})


def test_about_comes_back(tmp_path: Path) -> None:
    about = result.About(
        command="clipvil demo", task="vqa2", data="tabletop", versions={"clipvil": "0.1.0"},
        hardware="2 CPU cores", baseline="tiny:random",
        encoders=[result.EncoderCost(name="tiny:clip", grid=(3, 4))],
        examples=[result.Shown(id="1", question="?", picture=None, reference=["red"],
                               answers={"tiny:clip": "red"}, scores={"tiny:clip": 1.0})],
    )  # fmt: skip
    result.write_about(tmp_path / "about.json", about)
    assert result.read_about(tmp_path / "about.json") == about
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"command": 1}', type=result.About)
