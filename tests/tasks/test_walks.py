"""R2R and RxR: published files and figures, and walks that nobody can walk."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipvil.core import Answer, Data, Example, Segment, Task, Walked
from clipvil.evaluate.result import Seed
from clipvil.evaluate.score import score
from clipvil.evaluate.summary import CellScores, Questions, summarise
from clipvil.files import MissingFilesError, read_json, write_json, write_jsonl
from clipvil.tasks import r2r, rxr
from clipvil.tasks._walks import on_spot

# ours -> what the official evaluators' figures are called in the expected files
NAMES = {
    "spl": "spl", "success_rate": "success", "navigation_error": "nav_error",
    "oracle_success_rate": "oracle_success", "trajectory_length": "length", "ndtw": "ndtw",
    "sdtw": "sdtw", "cls": "cls",
}  # fmt: skip
TASKS = pytest.mark.parametrize("task", [r2r.TASK, rxr.TASK], ids=lambda task: task.name)


def published(shared: Path, split: str) -> Data:
    folder = shared / "vln"
    return Data(given={("annotations", split): folder / "R2R" / f"R2R_{split}.json",
                       ("connectivity", split): folder / "connectivity"})  # fmt: skip


# ---------------------------------------------------------------------------- official figures


@pytest.mark.parametrize("split", ["val_seen", "val_unseen"])
@pytest.mark.parametrize("agent", ["random", "shortest"])
def test_agents_score_as_the_official_evaluator_says(
    shared: Path, expected: Path, tmp_path: Path, split: str, agent: str
) -> None:
    told = read_json(expected / f"r2r_{split}.json.gz")[agent]
    write_json(tmp_path / "said", told["trajectories"])
    examples = r2r.TASK.examples(published(shared, split), split)
    scored = score(r2r.TASK, examples, r2r.TASK.read(tmp_path / "said"))
    rows = {row["id"]: row for row in scored.examples()}
    for ours, theirs in NAMES.items():
        assert scored.figures[ours].value == pytest.approx(told["summary"][theirs], abs=1e-6)
        each = [rows[official["instr_id"]][ours] for official in told["per_instruction"]]
        wanted = [float(official[theirs]) for official in told["per_instruction"]]
        np.testing.assert_allclose(each, wanted, atol=1e-6)
    r2r.TASK.write(tmp_path / "again", dict(r2r.TASK.read(tmp_path / "said")))
    assert read_json(tmp_path / "again") == told["trajectories"], "as it was submitted"


def test_long_paths_score_as_published_rules_say(
    shared: Path, expected: Path, tmp_path: Path
) -> None:
    told = read_json(expected / "long_path_metrics.json.gz")
    guides = [
        {"instruction_id": k, "scan": row["scan"], "path": row["reference"], "heading": 0.0,
         "language": "en-US", "instruction": "go"}
        for k, row in enumerate(told)
    ]  # fmt: skip
    write_jsonl(tmp_path / "guide", guides)
    said = [{"instruction_id": k, "path": row["prediction"]} for k, row in enumerate(told)]
    write_jsonl(tmp_path / "said", said)
    given = {("annotations", "val_unseen"): tmp_path / "guide",
             ("connectivity", "val_unseen"): shared / "vln" / "connectivity"}  # fmt: skip
    examples = rxr.TASK.examples(Data(given=given), "val_unseen")
    scored = score(rxr.TASK, examples, rxr.TASK.read(tmp_path / "said"))
    names = NAMES | {"spl": "spl_shortest", "spl_reference": "spl_reference"}
    for row, official in zip(scored.examples(), told, strict=True):
        for ours, theirs in names.items():
            assert row[ours] == pytest.approx(float(official[theirs]), abs=1e-6), official


def test_the_published_follower_scores_as_on_the_public_graphs(
    shared: Path, tmp_path: Path
) -> None:
    sample = read_json(shared / "vln" / "rxr_readme_sample.json")
    write_jsonl(tmp_path / "rxr_val_seen_guide.jsonl", [sample["guide"]])
    write_jsonl(tmp_path / "said", [sample["follower"]])
    given = {("connectivity", "val_seen"): shared / "vln" / "connectivity"}
    (example,) = rxr.TASK.examples(Data(tmp_path, given), "val_seen")
    assert example.id == "26" and example.strata == {"language": "en"}
    figures = score(rxr.TASK, [example], rxr.TASK.read(tmp_path / "said")).figures
    assert figures["ndtw"].value == pytest.approx(0.900267, abs=1e-6)
    assert figures["spl"].value == pytest.approx(0.948222, abs=1e-6)
    assert figures["ndtw/en"].value == figures["ndtw"].value


@pytest.mark.parametrize(("split", "paths"), [("train", 1_920), ("test", 693)])
def test_published_paths_lie_on_their_graphs(shared: Path, split: str, paths: int) -> None:
    examples = r2r.TASK.examples(published(shared, split), split)
    assert len({example.id.split("_")[0] for example in examples}) == paths
    for example in examples:
        episode = example.episode
        assert episode is not None and episode.floor is not None
        legs = zip(episode.path, episode.path[1:], strict=False)
        assert all(episode.floor.joined(*leg) for leg in legs)
        assert episode.floor is examples[0].episode.floor or example.cluster != examples[0].cluster


# ---------------------------------------------------------------------------- what is read


def test_an_example_has_what_the_files_say(tmp_path: Path) -> None:
    r2r.TASK.tiny(tmp_path)
    examples = r2r.TASK.examples(Data(tmp_path), "val_unseen")
    assert [example.id for example in examples] == ["30_0", "30_1", "30_2", "31_0", "31_1", "31_2"]
    second = examples[1]
    assert second.cluster == "tiny3" and second.text == (Segment("Go on to the wall."),)
    assert second.episode is not None and second.episode.heading == 1.5
    assert second.episode.path == tuple(f"tiny3viewpoint{k}" for k in range(4))


def test_instructions_come_in_three_languages(tmp_path: Path) -> None:
    rxr.TASK.tiny(tmp_path)
    examples = rxr.TASK.examples(Data(tmp_path), "train")
    assert [example.strata["language"] for example in examples] == ["en", "hi", "te"]
    assert examples[1].episode is not None and examples[1].episode.language == "hi-IN"
    assert examples[1].words == "अंत तक चलो।"


def test_guides_come_gzipped(tmp_path: Path) -> None:
    rxr.TASK.tiny(tmp_path)
    plain = tmp_path / "rxr_val_unseen_guide.jsonl"
    before = [example.words for example in rxr.TASK.examples(Data(tmp_path), "val_unseen")]
    plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    after = rxr.TASK.examples(Data(tmp_path), "val_unseen")
    assert [example.words for example in after] == before


def test_the_folder_of_graphs_is_found_and_asked_for(tmp_path: Path) -> None:
    r2r.TASK.tiny(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "connectivity").rename(tmp_path / "deep" / "connectivity")
    assert len(r2r.TASK.examples(Data(tmp_path), "train")) == 6
    (tmp_path / "deep" / "connectivity").rename(tmp_path / "graphs")
    with pytest.raises(MissingFilesError, match=r"connectivity  \(connectivity of train\)"):
        r2r.TASK.examples(Data(tmp_path), "train")


@TASKS
def test_the_paths_of_the_test_are_hidden(task: Task, tmp_path: Path) -> None:
    task.tiny(tmp_path)
    examples = task.examples(Data(tmp_path), task.splits.hidden[0])
    said = {e.id: on_spot(e.episode.path) for e in examples if e.episode is not None}
    with pytest.raises(ValueError, match="cannot be scored: its path is not public"):
        score(task, examples, said.items())


# ---------------------------------------------------------------------------- what is walked


@pytest.fixture(params=[r2r.TASK, rxr.TASK], ids=lambda task: task.name)
def walks(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Task, list[Example]]:
    task: Task = request.param
    task.tiny(tmp_path)
    return task, list(task.examples(Data(tmp_path), task.splits.report))


def followed(examples: list[Example]) -> dict[str, Answer]:
    return {e.id: on_spot(e.episode.path) for e in examples if e.episode is not None}


def test_a_perfect_walk_has_all_there_is(walks: tuple[Task, list[Example]]) -> None:
    task, examples = walks
    figures = score(task, examples, followed(examples).items()).figures
    for name in ("success_rate", "oracle_success_rate", "spl", "spl_reference", "ndtw", "sdtw",
                 "sdtw_inclusive", "cls"):  # fmt: skip
        assert figures[name].value == 1
    assert figures["navigation_error"].value == 0
    backwards = examples[::-1]
    assert score(task, backwards, followed(examples).items()).figures == figures


@given(turns=st.lists(st.tuples(st.integers(0, 3), st.floats(-4, 4)), max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_turning_changes_nothing_and_is_kept(
    walks: tuple[Task, list[Example]], tmp_path: Path, turns: list[tuple[int, float]]
) -> None:
    task, examples = walks
    straight = followed(examples)
    turned = dict[str, Answer]()
    for name, answer in straight.items():
        assert isinstance(answer, Walked)
        steps = [*answer.steps]
        for place, heading in turns:
            at = min(place, len(steps) - 1)
            steps.insert(at + 1, (steps[at][0], heading, 0.0))
        turned[name] = Walked(tuple(steps))
    assert score(task, examples, turned.items()).plain() == (
        score(task, examples, straight.items()).plain()
    )
    task.write(tmp_path / "said", turned)
    if task is r2r.TASK:
        assert dict(task.read(tmp_path / "said")) == turned


def test_what_cannot_be_walked_is_told_with_its_step(walks: tuple[Task, list[Example]]) -> None:
    task, examples = walks
    first, said = examples[0], followed(examples)
    assert first.episode is not None
    path = first.episode.path
    for viewpoints, message in (
        ([path[0], path[1], path[3]], f"{first.id}, step 2: nobody can walk from {path[1]} to"),
        ([path[0], path[0], "nowhere"], f"{first.id}, step 2: scan tiny3 has no viewpoint nowhere"),
        (path[1:], f"{first.id}: the walk begins at {path[1]}, not at {path[0]}"),
        ([], f"{first.id}: the walk is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            score(task, examples, (said | {first.id: on_spot(viewpoints)}).items())


def test_success_is_told_by_language(tmp_path: Path) -> None:
    rxr.TASK.tiny(tmp_path)
    examples = rxr.TASK.examples(Data(tmp_path), "val_unseen")
    answers: dict[str, Answer] = {}
    for example in examples:
        assert example.episode is not None
        path = example.episode.path
        english = example.episode.language == "en-IN"
        answers[example.id] = on_spot(path if english else path[:1])
    told = score(rxr.TASK, examples, answers.items()).figures
    assert [told[f"success_rate/{name}"].value for name in ("en", "hi", "te")] == [1, 0, 0]
    questions = Questions.of(examples, "val_unseen", None, ("language",))
    cell = CellScores(
        questions=questions, measured=rxr.TASK.measure(examples, answers), encoder="tiny:clip",
        model="follower", shots="100%", examples=3, seed=Seed(data=0, init=0, order=0),
    )  # fmt: skip
    records = summarise([cell], rxr.TASK, baseline="tiny:clip", replicates=2)
    success = {r.stratum: r.value for r in records if r.metric.startswith("success_rate/")}
    assert success == {"en": 1, "hi": 0, "te": 0}
    assert {r.metric for r in records if r.stratum == "te"} == {"ndtw/te", "success_rate/te"}
