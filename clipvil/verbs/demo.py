"""The verb `demo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipvil.errors import UsageError

if TYPE_CHECKING:
    from clipvil.evaluate.compare import Comparison
    from clipvil.evaluate.result import Record

ENCODERS = ("tiny:clip", "tiny:supervised")
BASELINE = "tiny:supervised"
SEED = 1_107  # of the demo's scenes, drawn for nothing else: recipes were chosen on other seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A task with scenes of its own, as a comparison in a folder named after it."""

    task: str
    recipe: str
    scenes: Mapping[str, int]  # how many of what `tabletop.write` makes
    encoders: tuple[str, ...] = ENCODERS
    shots: tuple[str, ...] = ("100%",)
    seeds: int = 3
    steps: int | None = None  # a shorter training than the recipe's


QUESTIONS = Column(
    task="vqa2",
    recipe="tabletop_mcan",
    scenes={"train": 4_000, "val": 400},
    shots=("20%", "100%"),
)
OTHERS = (
    Column(task="snli_ve", recipe="snli_ve_pythia_small", scenes={"train": 1_000, "val": 300}),
    Column(task="vcr", recipe="vcr_pythia_small", scenes={"train": 1_000, "val": 250}),
    Column(
        task="coco_caption",
        recipe="coco_caption_captioner_small",
        scenes={"train": 1_000, "val": 200},
    ),
    Column(task="r2r", recipe="r2r_follower_tiny", scenes={"train": 0, "val": 0, "houses": 6}),
)
QUICK = Column(
    task="vqa2",
    recipe="tabletop_mcan",
    scenes={"train": 400, "val": 100},
    encoders=(*ENCODERS, "tiny:random"),
    shots=("20%", "100%"),
    seeds=2,
    steps=40,
)


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Show the main job on the embedded world, offline, in minutes on a laptop."""

    quick: bool = False
    """questions only, a minute instead of minutes: too few pictures and seeds to tell the encoders
    apart"""
    out: Path | None = None
    """folder for the worlds, the cells, results.jsonl and report.html; by default `demo`, or
    `demo-quick` with --quick"""
    jobs: int | None = None
    """cells at a time, one thread each; by default one a core"""

    def run(self) -> int:
        """Write the worlds, compare the embedded encoders on every task, report."""
        from clipvil import api, progress
        from clipvil.evaluate.workers import Workers
        from clipvil.verbs.compare import tell_results

        out = self.out or Path("demo-quick" if self.quick else "demo")
        columns = (QUICK,) if self.quick else (QUESTIONS, *OTHERS)
        command = "clipvil demo" + (" --quick" if self.quick else "")
        plans = [planned(column, out / column.task, self.jobs) for column in columns]
        with Workers(plans[0].jobs) as workers:
            for number, comparison in enumerate(plans, 1):
                if len(plans) > 1:
                    progress.say(f"{number} of {len(plans)}: {comparison.source.task}")
                records = api.run(comparison, command, workers=workers, programs=False)
                if comparison is plans[0]:
                    tell_results(records, comparison, as_json=False)
        together(out, plans)
        return 0


def planned(column: Column, out: Path, jobs: int | None) -> Comparison:
    """A column's world, written, and the comparison on it, not started."""
    from clipvil import api

    recipe = column.recipe
    return api.plan(
        task=column.task,
        data=world(out / "tabletop", column),
        encoders=column.encoders,
        baseline=BASELINE,
        recipe=recipe if column.steps is None else api.shortened(recipe, column.steps),
        shots=column.shots,
        seeds=column.seeds,
        jobs=jobs,
        out=out,
    )


def world(root: Path, column: Column) -> Path:
    """The folder with a column's files.

    Raises
        UsageError: those of another demo are there
    """
    from clipvil import progress
    from clipvil.files import read_json, write_json
    from clipvil.worlds import tabletop

    shifts = column.task == "vqa2"
    asked: dict[str, Any] = {"seed": SEED, **column.scenes, "shifts": shifts}
    made = root.with_suffix(".json")  # what a finished world was made from
    if made.is_file() and read_json(made) != asked:
        raise UsageError(f"{root.parent} holds another demo: take another --out, or remove it")
    if not made.is_file():
        progress.say(f"drawing the embedded world for {column.task}")
        tabletop.write(root, tasks=(column.task,), **asked)
        write_json(made, asked)
    return root


def together(out: Path, plans: Sequence[Comparison]) -> None:
    """All comparisons in one results.jsonl and on one page; every task side by side."""
    from clipvil import progress
    from clipvil.evaluate import result, summary
    from clipvil.report import page, tables, view, words
    from clipvil.verbs.compare import drawn, terminal

    folders = [comparison.out for comparison in plans]
    found = {f / result.RESULTS: result.read_records(f / result.RESULTS) for f in folders}
    records: list[Record] = summary.readjust(result.merge(found))
    result.write_records(out / result.RESULTS, records)
    page.write(out, records, [result.read_about(folder / result.ABOUT) for folder in folders])
    views = view.comparisons(records, ENCODERS)
    console = terminal()
    for seen in views[1:]:
        console.print(f"{seen.task}: {words.headline(seen)}")
    if len(views) > 1:
        console.print(drawn(tables.overview(views)))
    progress.say(f"wrote {out}/results.jsonl and {out}/report.html")
