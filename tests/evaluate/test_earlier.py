"""What a comparison finds in its folder: another one is refused, what is left out is told."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clipvil import api, tasks
from clipvil.errors import UsageError
from clipvil.evaluate import earlier
from clipvil.evaluate.compare import Comparison, plans
from clipvil.evaluate.protocol import Seeds
from clipvil.evaluate.result import (
    ABOUT,
    RESULTS,
    About,
    Cell,
    EncoderCost,
    Seed,
    write_about,
    write_records,
)
from clipvil.evaluate.run import Arm, begin
from clipvil.files import write_json
from clipvil.recipes import load


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data, and another one; a comparison whose first cell was begun."""
    root = tmp_path_factory.mktemp("earlier")
    for name in ("data", "other"):
        tasks.load("vqa2").tiny(root / name)
    plan = plans(asked(root), Arm(name="tiny:clip"), "20%", 0)[0]
    begin(plan, 1, Seeds(0, 0, 0), {}, "")
    return root


def asked(root: Path, **given: Any) -> Comparison:
    usual: dict[str, Any] = {"task": "vqa2", "data": root / "data", "encoders": ["tiny:clip"]}
    return api.plan(**(usual | {"out": root / "out", "recipe": "tabletop_mcan"} | given))


def test_another_comparison_is_refused_before_anything_is_done(root: Path) -> None:
    for given, differs in (
        ({"task": "gqa"}, "task vqa2, not gqa"),
        ({"data": root / "other"}, f"--data {root}/data, not {root}/other"),
        ({"limit": 5}, "--limit none, not 5"),
        ({"files": {("questions", "train"): root / "q.json"}}, "other --file"),
        ({"recipe": "vqa2_pythia"}, "model mcan, not pythia"),
        ({"recipe": replace(load("tabletop_mcan"), rates=(1e-3,))}, "other rates in the recipe"),
    ):
        with pytest.raises(UsageError, match="name another --out") as e:
            asked(root, **given)
        assert differs in str(e.value)


def test_a_comparison_of_nothing_is_refused(root: Path) -> None:
    for given in ({"limit": -5}, {"limit": 0}, {"jobs": 0}, {"seeds": 0}):
        with pytest.raises(UsageError, match=f"--{next(iter(given))}: at least 1"):
            asked(root, **given)


def test_more_of_the_same_joins_what_is_there(root: Path) -> None:
    asked(root, encoders=["tiny:random", "tiny:clip"], shots=["7"], seeds=1, beside=["probe"])


def cell(encoder: str, seed: int, shots: str, task: str = "vqa2") -> Cell:
    return Cell(
        task=task, version=1, split="val", shift=None, metric="accuracy", value=1.0, unit="%",
        higher_is_better=True, n=9, low=None, high=None, encoder=encoder, fingerprint=None,
        model="mcan", shots=shots, examples=9, seed=Seed(data=0, init=seed, order=0), recipe=None,
        commit=None, seconds=None, device=None,
    )  # fmt: skip


def test_what_the_report_told_and_will_not_is_said(root: Path, tmp_path: Path) -> None:
    cells = [cell(name, k, "20%") for name in ("tiny:clip", "tiny:random") for k in range(2)]
    write_records(tmp_path / RESULTS, cells)
    now = replace(asked(root, shots=["20%"], seeds=2), out=tmp_path)
    said = earlier.left_out(replace(now, seeds=1))
    assert "told of tiny:random, 2 seeds and no longer will" in said
    assert "--encoders tiny:clip tiny:random --seeds 2 brings it back" in said
    assert "--shots 20% 5%" in earlier.left_out(replace(now, shots=("5%",)))
    assert earlier.left_out(replace(now, encoders=("tiny:random", "tiny:clip"))) == ""
    with pytest.raises(UsageError, match="task vqa2, not gqa"):
        asked(root, task="gqa", out=tmp_path)


def test_what_was_interrupted_keeps_when_it_was_begun(root: Path, tmp_path: Path) -> None:
    now = replace(asked(root), out=tmp_path)
    before = datetime.now(UTC).replace(microsecond=0)
    first = earlier.started(now)
    assert before <= datetime.fromisoformat(first) <= datetime.now(UTC)
    write_json(tmp_path / earlier.STARTED, "2026-11-22T13:33:24+00:00")
    assert earlier.started(now) == "2026-11-22T13:33:24+00:00"


def test_the_same_again_keeps_when_it_was_begun(root: Path, tmp_path: Path) -> None:
    now = replace(asked(root), out=tmp_path)
    first, later = (
        About(
            command=f"command {hour}", task="vqa2", data="data", versions={}, hardware="",
            encoders=[EncoderCost(name="tiny:clip")], baseline="tiny:clip", started=f"{hour}:00",
        )
        for hour in (1, 2)
    )  # fmt: skip
    write_records(tmp_path / RESULTS, [cell("tiny:clip", 0, "20%")])
    before = (tmp_path / RESULTS).read_bytes()
    assert earlier.again(now, later, before) == later, "stopped before it told how it came to be"
    write_about(tmp_path / ABOUT, first)
    assert earlier.again(now, later, before) == first
    assert earlier.again(now, later, b"other records") == later
    other = msgspec.structs.replace(later, baseline="tiny:random")
    assert earlier.again(now, other, before) == other
