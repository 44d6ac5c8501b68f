"""Rows that stand beside the encoders on demand: what they are, what they see, who has one."""

from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from PIL import Image

from clipvil import api, encoders, tasks
from clipvil.core import Said, UsageError
from clipvil.evaluate import answer, cell, compare, predict, splits
from clipvil.evaluate.compare import Comparison
from clipvil.evaluate.estimate import estimate
from clipvil.evaluate.run import Arm, Plan
from clipvil.features.lookup import Lookup, gather
from clipvil.files import read_json
from clipvil.report.view import CONTROLS
from clipvil.worlds import tabletop

NAMES = ("tiny:supervised", "tiny:clip")
ROWS = ("tiny:clip, linear probe", "tiny:clip, zero-shot")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    tabletop.write(folder / "data", seed=5, train=40, val=8, shifts=False)
    return folder


def asked(world: Path, *beside: str, out: str = "out") -> Comparison:
    return api.plan(
        task="vqa2", data=world / "data", encoders=NAMES, out=world / out, beside=beside,
        recipe="tabletop_mcan", shots=("50%", "100%"), seeds=2, store=world / "stores", jobs=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def seen(world: Path) -> list[Arm]:
    pictures = splits.all_pictures(asked(world).source)
    loaded = [encoders.load(name) for name in NAMES]
    return [
        Arm(name=name, encoder=name, fingerprint=encoder.card.fingerprint,
            stores=gather(encoder, pictures, world / "stores").stores)
        for name, encoder in zip(NAMES, loaded, strict=True)
    ]  # fmt: skip


def plan(world: Path, seen: list[Arm], name: str, shots: str = "100%") -> Plan:
    comparison = asked(world, "probe", "zero-shot")
    arm = next(arm for arm in compare.arms(comparison, seen) if arm.name == name)
    (made,) = compare.plans(comparison, arm, shots, 0)  # no grid of learning rates
    return made


def times(folder: Path) -> dict[Path, int]:
    """When each file was written; a lock is taken each time."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("[!.]*")}


def test_the_rows_are_those_that_were_asked_for(world: Path, seen: list[Arm]) -> None:
    rows = compare.arms(asked(world, "zero-shot", "probe"), seen)
    assert [arm.name for arm in rows[5:]] == [
        "tiny:clip, zero-shot", "tiny:supervised, linear probe", "tiny:clip, linear probe"
    ]  # fmt: skip
    assert all(arm.control in CONTROLS for arm in rows[2:])
    assert len(compare.arms(asked(world), seen)) == 5


def test_who_has_no_text_tower_has_no_zero_shot_row(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(world, "zero-shot").beside == {"zero-shot": ("tiny:clip",)}
    assert "no zero-shot row for tiny:supervised" in capsys.readouterr().err
    given = {"task": "vqa2", "data": world / "data", "out": world / "out"}
    with pytest.raises(UsageError, match="tiny:supervised has no text encoder"):
        api.plan(**given, encoders=["tiny:supervised"], beside=["zero-shot"])
    with pytest.raises(UsageError, match="nearest: probe"):
        api.plan(**given, encoders=["tiny:clip"], beside=["prob"])


def test_words_of_ones_own_have_no_nearest(world: Path) -> None:
    with pytest.raises(UsageError, match="closed list of answers"):
        compare.rows_beside(["zero-shot"], ["tiny:clip"], tasks.load("caption"))


@pytest.mark.parametrize("name", ROWS)
def test_a_cell_is_fitted_scored_and_left_alone(world: Path, seen: list[Arm], name: str) -> None:
    made = plan(world, seen, name)
    assert cell.fit_cell(made) is None, "no steps were taken"
    answer.score_cell(made)
    written = times(made.folder)
    assert 0 <= read_json(made.folder / "result.json")["val"]["accuracy"] <= 100
    cell.fit_cell(made)
    answer.score_cell(made)
    assert written == times(made.folder)


def test_a_probe_knows_more_than_the_prior(world: Path, seen: list[Arm]) -> None:
    found = list[float]()
    for name in ("answer prior", "tiny:clip, linear probe"):
        made = plan(world, seen, name)
        cell.fit_cell(made)
        answer.score_cell(made)
        found.append(read_json(made.folder / "result.json")["val"]["accuracy"])
    assert found[1] > found[0] + 5


def test_a_zero_shot_row_sees_no_picture_of_the_training_subset(
    world: Path, seen: list[Arm]
) -> None:
    """All that it takes from there is the list of answers."""
    made = plan(world, seen, "tiny:clip, zero-shot", "50%")
    cell.fit_cell(made)
    task = made.source.load()
    test = splits.part(made.source, task.splits.report)
    only = gather(encoders.load("tiny:clip"), test.files, world / "test-only")
    assert set(test.pictures) <= set(test.files)
    assert not any(n in Lookup(only.stores) for n in splits.part(made.source, "train").pictures)
    answer.score_cell(replace(made, arm=replace(made.arm, stores=only.stores)))
    said = dict(task.read(made.folder / "answers-val.json"))
    known = set(read_json(made.folder / "vocabulary.json")["answers"])
    assert {answer.text for answer in said.values() if isinstance(answer, Said)} <= known


def test_the_plan_counts_them(world: Path) -> None:
    loaded = [encoders.load(name) for name in NAMES]
    plain, more = (
        estimate(asked(world, *beside, out=f"plan{len(beside)}"), loaded)
        for beside in ((), ("probe", "zero-shot"))
    )
    assert (plain.cells, more.cells) == (5 * 2 * 2, 8 * 2 * 2)
    assert more.trainings == plain.trainings, "nothing in them takes steps"


@pytest.mark.parametrize("name", ROWS)
def test_a_picture_can_be_asked_about(world: Path, seen: list[Arm], name: str) -> None:
    made = plan(world, seen, name)
    cell.fit_cell(made)
    answer.score_cell(made)
    said = dict(made.source.load().read(made.folder / "answers-val.json"))
    test = splits.part(made.source, "val")
    some = [(e, test.files[n]) for e, n in zip(test.examples, test.pictures, strict=True)][:6]
    same = [Said(api.predict(made.folder, path, e.words)) == said[e.id] for e, path in some]
    assert sum(same) >= 5, "the store holds sixteen bits a number"
    with pytest.raises(ValueError, match=r"gone\.jpg: cannot be read"):
        api.predict(made.folder, world / "gone.jpg", "what?")


@pytest.mark.parametrize("name", ROWS)
def test_pictures_that_no_store_has_are_encoded_first(
    world: Path, seen: list[Arm], name: str, tmp_path: Path
) -> None:
    made = plan(world, seen, name)
    cell.fit_cell(made)
    tabletop.write(tmp_path / "data", seed=6, train=4, val=4, shifts=False)
    count = api.predict_split(made.folder, tmp_path / "said.json", data=tmp_path / "data", limit=9)
    said = dict(made.source.load().read(tmp_path / "said.json"))
    assert count == len(said) == 9
    assert len(set(said.values())) > 1
    assert list(made.folder.glob("stores-*"))


def test_a_picture_that_changed_is_encoded_as_it_is_now(
    world: Path, seen: list[Arm], tmp_path: Path
) -> None:
    """One that was mended by itself; of others the answers' own store anew, and never a user's."""
    encoder, noise = encoders.load("tiny:clip"), np.random.default_rng(0)
    files = {name: tmp_path / f"{name}.png" for name in "abc"}

    def draw(name: str) -> None:
        Image.fromarray(noise.integers(0, 256, (32, 32, 3), np.uint8)).save(files[name])

    def asked(mark: str | None) -> tuple[dict[str, str], set[Path]]:
        found = predict.features(run, encoder, files, mark)
        fresh = gather(encoder, files, Path(mkdtemp(dir=tmp_path)))
        now, right = Lookup(found.stores), Lookup(fresh.stores)
        assert all(np.allclose(now.read(n), right.read(n), atol=1e-2) for n in files if n in right)
        return dict(found.failures), {*found.stores}

    run = replace(plan(world, seen, ROWS[0]), folder=tmp_path / "run")
    for name in "ac":
        draw(name)
    files["b"].write_bytes(b"broken")
    user = tmp_path / "user"
    run = replace(run, arm=replace(run.arm, stores=gather(encoder, files, user).stores))
    before = contents(user)
    broken, first = asked("there")
    assert broken.keys() == {"b"}
    draw("b")
    whole, then = asked("there")
    assert whole == {} and first < then, "what was encoded is not encoded again"
    assert asked("there") == (whole, then)
    files["b"].write_bytes(b"broken again")
    assert [*asked("there")[0]] == ["b"]
    draw("a")
    assert first.isdisjoint(asked("there")[1])

    assert asked(None)[0].keys() == {"b"}
    assert contents(user) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
