"""What looking, reading and back-translation bring on unseen houses.

    python examples/follow_houses.py OUT

Draws houses, encodes their views by `tiny:clip`, and trains four followers a seed: one that sees
and reads, one that sees no picture, one that reads no instruction, and one that is then taught by a
speaker too, with as many instructions' steps of its own. Prints success on unseen houses beside a
walker at random, with 95 % intervals over houses and seeds, and the differences. Whatever is
finished is not done again.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipvil import encoders, recipes, tasks
from clipvil.core import Answer, Data, Example, Measured, Walked
from clipvil.evaluate import statistics
from clipvil.evaluate.answer import score_cell
from clipvil.evaluate.cell import fit_cell
from clipvil.evaluate.run import Arm, Plan, answers_name
from clipvil.evaluate.splits import Source, all_pictures
from clipvil.features.lookup import gather
from clipvil.files import read_json, write_json
from clipvil.graphs.connectivity import Graph
from clipvil.train.recipe import Recipe
from clipvil.worlds import tabletop

ENCODER, METRIC = "tiny:clip", "success_rate"
SPLITS = ("train", "val_seen", "val_unseen")
MOVES = 5  # of who walks at random, as in R2R's own baseline
HOUSES, SEED = 96, 41
IMITATE, SPEAK, REWARD = 600, 200, 60  # steps
PAIRS = (
    ("sees", "at random"),
    ("sees no picture", "at random"),
    ("reads no instruction", "at random"),
    ("sees", "sees no picture"),
    ("sees", "reads no instruction"),
    ("sees, back-translated", "sees"),
)


def taught(*, back: bool) -> Recipe[Any]:
    """The small follower, led by the teacher and then by rewards, or by rewards and a speaker.

    The settings that served the seeing follower best on the houses of another seed, of six tried.
    """
    small = recipes.load("r2r_follower_small")
    config = replace(small.config, width=64, dropout=0.0, view_dropout=0.4)
    first = replace(small.stages[0], batch=64, learning_rate=4e-3, weight_decay=1.0)

    def stage(objective: str, steps: int) -> Any:
        return replace(
            first, objective=objective, epochs=1.0, least_steps=steps, most_steps=steps,
            validations=1 if objective == "describe" else 2,
        )  # fmt: skip

    last = stage("back_translate" if back else "loss", REWARD)
    speaker = [stage("describe", SPEAK)] if back else []
    stages = (stage("imitate", IMITATE), *speaker, replace(last, learning_rate=1e-3))
    return replace(small, config=config, stages=stages, rates=())


def unread(houses: Path, where: Path) -> Data:
    """The same walks, every one of them told by the same word."""
    given = dict[tuple[str, str], Path]()
    for split in SPLITS:
        path = where / f"R2R_{split}.json"
        rows = read_json(houses / path.name, list[dict[str, Any]])
        for row in rows:
            row["instructions"] = ["Walk."] * len(row["instructions"])
        write_json(path, rows)
        given["annotations", split] = path
    return Data(houses, given)


def at_random(examples: Sequence[Example], seed: int) -> dict[str, Answer]:
    """Walks of some moves to any neighbour."""
    dice = np.random.default_rng(seed)
    walks: dict[str, Answer] = {}
    for example in examples:
        episode = example.episode
        assert episode is not None and isinstance(episode.floor, Graph)
        floor, place = episode.floor, episode.path[0]
        steps = [(place, episode.heading, 0.0)]
        for _ in range(MOVES):
            places = [one for one in floor.viewpoints if floor.joined(place, one)]
            place = places[dice.integers(len(places))]
            steps.append((place, 0.0, 0.0))
        walks[example.id] = Walked(tuple(steps))
    return walks


def main() -> None:
    """Train, walk, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--houses", type=int, default=HOUSES)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    houses, runs = given.out / "houses", given.out / "runs"
    if not (houses / "R2R_train.json").is_file():
        tabletop.write(houses, seed=SEED, train=0, val=0, tasks=("r2r",), houses=given.houses)
    told, task = Source("r2r", Data(houses)), tasks.load("r2r")
    mute = Source("r2r", unread(houses, given.out / "unread"))
    encoder = encoders.load(ENCODER)
    stores = gather(encoder, all_pictures(told), given.out / "stores").stores
    seen = Arm(name=ENCODER, encoder=ENCODER, fingerprint=encoder.card.fingerprint, stores=stores)
    blind = Arm(name="text only", control="text")
    examples = task.examples(told.data, "val_unseen")
    clusters = [example.cluster for example in examples]
    agents = {
        "sees": (told, seen, taught(back=False)),
        "sees no picture": (told, blind, taught(back=False)),
        "reads no instruction": (mute, seen, taught(back=False)),
        "sees, back-translated": (told, seen, taught(back=True)),
    }
    found: dict[str, list[Measured]] = {
        "at random": [task.measure(examples, at_random(examples, k)) for k in range(given.seeds)]
    }
    for seed in range(given.seeds):
        for name, (source, arm, recipe) in agents.items():
            plan = Plan(
                source=source, recipe=recipe, arm=arm, shots="100%", repetition=seed,
                rate=recipe.stages[0].learning_rate, folder=runs / f"{name} {seed}",
            )  # fmt: skip
            if name == "sees, back-translated":
                begun_alike(runs / f"sees {seed}", plan.folder)
            fit_cell(plan)
            score_cell(plan)
            said = dict(task.read(plan.folder / answers_name(task, None)))
            found.setdefault(name, []).append(task.measure(examples, said))
    rows = list[dict[str, Any]]()
    for name, some in found.items():
        drawn = statistics.bootstrap(some, clusters, task.reduce)
        values = np.array([statistics.values(one, task.reduce)[METRIC] for one in some])
        reps = np.stack([one[METRIC] for one in drawn])
        rows.append(printed(name, statistics.estimate(values, reps, len(set(clusters)))))
    for ours, theirs in PAIRS:
        gain = statistics.difference(found[ours], found[theirs], clusters, task.reduce, METRIC)
        rows.append(printed(f"{ours}, less {theirs}", gain))
    (given.out / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def begun_alike(run: Path, other: Path) -> None:
    """The first stage of two runs that begin alike is trained once."""
    stage, copy = run / "stage-1", other / "stage-1"
    if not copy.is_dir():
        begun = other / "stage-1.copy"
        shutil.rmtree(begun, ignore_errors=True)
        shutil.copytree(stage, begun)
        begun.rename(copy)


def printed(name: str, estimate: statistics.Estimate) -> dict[str, Any]:
    """Print a figure in percent with its interval."""
    seeds = [round(100 * seed, 1) for seed in estimate.seeds]
    low, high = (
        100 * (end if end is not None else np.nan) for end in (estimate.low, estimate.high)
    )
    print(f"{name:40} {100 * estimate.value:6.1f} % ({low:.1f} to {high:.1f})  seeds {seeds}")
    return {
        "what": name, "metric": METRIC, "value": estimate.value, "low": estimate.low,
        "high": estimate.high, "p": estimate.p, "seeds": estimate.seeds,
    }  # fmt: skip


if __name__ == "__main__":
    main()
