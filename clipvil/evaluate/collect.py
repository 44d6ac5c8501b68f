"""From run folders to records: answers are read back, measured and summarised."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from clipvil import progress
from clipvil.core import (
    Example,
    Measured,
)
from clipvil.evaluate import cell, splits
from clipvil.evaluate.compare import Comparison
from clipvil.evaluate.protocol import Shots, available, clusters, seeds
from clipvil.evaluate.result import About, EncoderCost, Seed
from clipvil.evaluate.run import Plan, answers_name, environment, read_known
from clipvil.evaluate.seen import Seen
from clipvil.evaluate.shown import shown
from clipvil.evaluate.summary import CellScores, Questions
from clipvil.files import read_json


def commit() -> str | None:
    """Commit of the code, where it runs from a checkout; a trailing + means changed since."""
    here = Path(__file__).parent
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--match="],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None


def collect(
    comparison: Comparison, plans: Sequence[Plan], *, programs: bool = True
) -> list[CellScores]:
    """What every scored cell answered on every test set, measured anew from its files.

    With `programs`, also by those metrics of other programs that a comparison has time for.
    """
    source = comparison.source
    task, here = source.load(), commit()
    scores = list[CellScores]()
    for shift, test in splits.tests(source):
        kinds = tuple(sorted(test.examples[0].strata))
        questions = Questions.of(test.examples, task.splits.report, shift, kinds)
        said = (dict(task.read(plan.folder / answers_name(task, shift))) for plan in plans)
        several: Iterable[Measured]
        if programs and task.compared is not None:
            several = task.compared(test.examples, [*said])
        else:
            several = (task.measure(test.examples, answers) for answers in said)
        for plan, measured in zip(plans, several, strict=True):
            scores.append(_scores(plan, measured, questions, comparison, here, test.examples))
    return scores


def _scores(
    plan: Plan,
    measured: Measured,
    questions: Questions,
    comparison: Comparison,
    here: str | None,
    examples: Sequence[Example],
) -> CellScores:
    fitted = cell.fitted_in(plan.folder)
    timing = read_json(plan.folder / "timing.json")
    made = read_json(plan.folder / "recipe.json")
    return CellScores(
        questions=questions,
        measured=measured,
        encoder=plan.arm.name,
        control=plan.arm.control,
        fingerprint=plan.arm.fingerprint,
        model=plan.recipe.model,
        shots=plan.shots,
        examples=len(read_json(plan.folder / "subset.json")["fit"]),
        seed=Seed(**made["seeds"]),
        recipe=f"{comparison.recipe_name}{selected(plan)}",
        commit=here,
        seconds=sum(timing.values()),
        device=read_json(plan.folder / "environment.json")["device"],
        learning_rate=plan.rate if fitted else None,
        epochs=fitted.epochs if fitted else None,
        loss=fitted.loss if fitted else None,
        converged=fitted.converged if fitted else None,
        coverage=read_known(plan).coverage(examples),
    )


def selected(plan: Plan) -> str:
    """The mark of a record whose weights were chosen on what it reports; else nothing."""
    if plan.recipe.select == "apart":
        return ""
    return f", selected on {splits.selected_on(plan.source, plan.recipe.select)}"


def about(
    comparison: Comparison,
    gathered: Mapping[str, Seen],
    plans: Sequence[Plan],
    command: str,
    started: str,
) -> About:
    """How the comparison came to be; `gathered` are the encoders by name."""
    source = comparison.source
    notes = list[str]()
    failed = {
        name: reason for some in gathered.values() for name, reason in some.found.failures.items()
    }
    if failed:
        notes.append(f"{len(failed)} pictures could not be read and were shown as empty.")
    if source.limit is not None:
        notes.append(f"Only the first {source.limit:,} test examples were answered.")
    task = source.load()
    fitting = clusters(splits.part(source, task.splits.fit).examples)
    select = splits.select(source, comparison.recipe.select)
    whole = available(fitting, None if select is None else clusters(select.examples))
    if any(Shots(shots).everything(whole) for shots in comparison.shots):
        assert seeds(Shots("100%"), whole, 1).data == 0
        notes.append("At 100 % the seeds vary initialisation and order only.")
    if comparison.recipe.select == "reported":
        notes.append(
            f"The best weights were chosen on {source.load().splits.report}, which is reported, as "
            "in published rows: scores are too good."
        )
    match comparison.recipe.sight:
        case "lora":
            rank = comparison.recipe.rank
            notes.append(f"Encoders learnt with the model, by LoRA of rank {rank}.")
        case "full":
            notes.append("Encoders learnt with the model, all weights of theirs.")
    notes += [f"{task.name}: {task.summary}"]
    processes = progress.count(comparison.jobs, "process", "processes")
    return About(
        command=command,
        task=source.task,
        data=str(source.data.root),
        versions=environment(),
        hardware=f"{platform.machine()}, {processes} of one thread",
        encoders=[_cost(name, some) for name, some in gathered.items()],
        baseline=comparison.baseline,
        started=started,
        notes=notes,
        examples=shown(comparison, plans),
    )


def _cost(name: str, seen: Seen) -> EncoderCost:
    card, found, grid = seen.card, seen.found, None
    if card is not None:
        stride, (height, width) = card.preprocessing.stride, card.preprocessing.size
        grid = (height // stride, width // stride)
    return EncoderCost(
        name=name,
        fingerprint=seen.fingerprint,
        parameters=None if card is None else card.parameters,
        width=seen.width,
        grid=grid,
        seconds_per_1000=None if found.seconds is None else 1000 * found.seconds,
        bytes_per_picture=found.bytes,
    )
