"""The verb `compare`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipvil.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from clipvil.report import tables

WIDE = 160  # characters of a line in a file or a pipe


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Compare encoders on a task: encode, train, score, report; goes on where it was."""

    task: str
    """the task (see `clipvil list tasks`)"""
    data: Path
    """folder with the task's files and pictures"""
    encoders: tuple[str, ...]
    """encoders to compare, such as tiny:clip timm:resnet50_clip.openai; or features:STORE, features
    that stand in one's place"""
    model: str = "mcan"
    """the model that reads what an encoder saw"""
    recipe: str | None = None
    """how it is trained (see `clipvil list recipes`); by default the one of task and model"""
    shots: tuple[str, ...] = ("5%", "20%", "100%")
    """amounts of training data: shares and counts"""
    seeds: int = 3
    """repetitions of every cell"""
    baseline: str | None = None
    """the encoder that the others are compared with; by default the first"""
    beside: tuple[str, ...] = ()
    """more rows beside each encoder: probe (a linear one), zero-shot (where it has a text tower)"""
    store: Path | None = None
    """folder of feature stores; by default inside --out"""
    jobs: int | None = None
    """cells at a time, one thread each; by default one a core"""
    limit: int | None = None
    """test examples to answer at most"""
    file: tuple[str, ...] = ()
    """files under other names, as ROLE/SPLIT=PATH, such as questions/train=q.json"""
    dry_run: bool = False
    """print cells, minutes and disk, then stop"""
    json: bool = False
    """print the differences as JSON"""
    out: Path
    """folder for cells, results.jsonl and report.html"""

    def run(self) -> int:
        """Plan, tell, do."""
        from clipvil import api, progress

        comparison = api.plan(
            task=self.task, data=self.data, encoders=self.encoders, out=self.out, model=self.model,
            recipe=self.recipe, shots=self.shots, seeds=self.seeds, baseline=self.baseline,
            beside=self.beside, store=self.store, jobs=self.jobs, limit=self.limit,
            files=given(self.file),
        )  # fmt: skip
        tell_plan(comparison, api.estimate(comparison), as_json=self.json and self.dry_run)
        if self.dry_run:
            return 0
        records = api.run(comparison, api.command_line(sys.argv[1:]))
        tell_results(records, comparison, as_json=self.json)
        progress.say(f"wrote {self.out}/results.jsonl and {self.out}/report.html")
        return 0


def given(pairs: tuple[str, ...]) -> dict[tuple[str, str], Path]:
    """ROLE/SPLIT=PATH options as a mapping."""
    files = dict[tuple[str, str], Path]()
    for pair in pairs:
        name, equals, path = pair.partition("=")
        role, slash, split = name.partition("/")
        if not (equals and slash):
            raise UsageError(f"--file takes ROLE/SPLIT=PATH, not {pair!r}")
        files[role, split] = Path(path)
    return files


def tell_plan(comparison: object, estimate: object, *, as_json: bool) -> None:
    """Cells, minutes and disk, as lines or as one JSON object."""
    import json

    from clipvil import progress
    from clipvil.evaluate.compare import Comparison
    from clipvil.evaluate.estimate import Estimate

    assert isinstance(comparison, Comparison)
    assert isinstance(estimate, Estimate)
    if as_json:
        told = {
            "cells": estimate.cells,
            "trainings": estimate.trainings,
            "seconds": round(estimate.seconds),
            "feature_bytes": estimate.feature_bytes,
            "run_bytes": estimate.run_bytes,
            "pictures": dict(estimate.pictures),
        }
        print(json.dumps(told))
        return
    pictures = ", ".join(f"{count:,} for {name}" for name, count in estimate.pictures.items())
    beside = 3 + sum(map(len, comparison.beside.values()))
    several = progress.count
    rates = len(comparison.rates) if estimate.trainings else 0
    tried = f", as the first seed tries {rates} learning rates" if rates > 1 else ""
    parts = [
        f"{several(estimate.cells, 'cell')}: {several(len(comparison.encoders), 'encoder')} and "
        f"{beside} rows beside, {several(len(comparison.shots), 'size')}, "
        f"{several(comparison.seeds, 'seed')}",
        f"{several(estimate.trainings, 'training')}{tried}; the answer prior takes none",
        f"pictures to encode: {pictures}, {progress.duration(estimate.encode_seconds)}",
        f"training {progress.duration(estimate.train_seconds)}, answering "
        f"{progress.duration(estimate.answer_seconds)} with "
        f"{several(comparison.jobs, 'process', 'processes')}",
        f"disk: {progress.size(estimate.feature_bytes)} of features, "
        f"{progress.size(estimate.run_bytes)} of checkpoints",
        f"about {progress.duration(estimate.seconds)} in all",
    ]
    for line in parts:
        progress.say(line)


def tell_results(records: object, comparison: object, *, as_json: bool) -> None:
    """What was found, what to know before believing it, and the tables."""
    import json

    import msgspec

    from clipvil.evaluate.compare import Comparison
    from clipvil.evaluate.result import Difference
    from clipvil.report import tables, view, words

    assert isinstance(comparison, Comparison)
    assert isinstance(records, list)
    if as_json:
        differences = [r for r in records if isinstance(r, Difference)]
        print(json.dumps([msgspec.to_builtins(record) for record in differences]))
    else:
        console = terminal()
        for seen in view.comparisons(records, comparison.encoders):
            console.print(words.headline(seen))
            for caution in words.cautions(seen):
                console.print(caution)
            for made in tables.every(seen):
                console.print(drawn(made))
                if "relative" in made.head:
                    console.print(
                        "relative: the difference as a share of what the baseline "
                        "has over the answer prior"
                    )


def terminal() -> Console:
    """Where tables are printed: as wide as the window, or as any table where there is none."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


def drawn(made: tables.Table) -> Table:
    """A table for the terminal."""
    from rich.table import Table

    table = Table(title=made.caption, title_justify="left")
    for name in made.head:
        table.add_column(name, no_wrap=not table.columns)  # who it is stays whole
    for row in made.rows:
        table.add_row(*row)
    return table
