"""The verb `score`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from clipvil.errors import UsageError, at_least_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clipvil.core import Answer, Data, Example, Task
    from clipvil.evaluate.score import Score

ROLES = ("questions", "annotations", "choices", "scene_graphs", "attentions", "connectivity", "ids")


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Score any system's predictions with the task's official metric."""

    task: tyro.conf.Positional[str]
    """name of the task"""
    predictions: Path
    """the task's official submission file, or JSONL rows {"id", "answer"}"""
    questions: Path | None = None
    """official questions file (vqa2, gqa)"""
    annotations: Path | None = None
    """official annotations file, or your own rows"""
    choices: Path | None = None
    """official file of valid and plausible choices (gqa)"""
    scene_graphs: Path | None = None
    """official scene graphs (gqa)"""
    attentions: Path | None = None
    """the system's attention maps (gqa)"""
    connectivity: Path | None = None
    """folder of the navigation graphs (r2r, rxr)"""
    ids: Path | None = None
    """the published list of the questions (vqa2@minival)"""
    json: bool = False
    """print one JSON object"""
    compare: Path | None = None
    """another system's predictions: the paired difference, its 95 % interval and p value"""
    per_example: Path | None = None
    """file for one JSON row an example: its id and each metric of it alone"""
    limit: int | None = None
    """score the first so many examples only, which is not the official figure"""

    def run(self) -> int:
        """Read, score, print."""
        import json

        from clipvil import files, progress, tasks

        at_least_one(limit=self.limit)
        task = tasks.load(self.task)
        data = self.data(task)
        given = [path for path in (self.predictions, self.compare) if path is not None]
        for path in given:
            if not path.exists():
                raise ValueError(f"no such file: {path}")
        examples = task.examples(data, task.splits.report)
        said = {path: [*task.read(path)] for path in given}  # both, before METEOR takes minutes
        if self.limit is not None and self.limit < len(examples):
            beyond = {example.id for example in examples[self.limit :]}
            examples = examples[: self.limit]
            said = {path: [one for one in s if one[0] not in beyond] for path, s in said.items()}
            progress.say(f"only the first {self.limit:,} examples: not the official figure")
        scored = scored_from(
            self.predictions, said[self.predictions], task, examples, thorough=True
        )
        if scored.unanswered:
            progress.say(f"{scored.unanswered:,} examples without a prediction are left out")
        gain = None
        if self.compare is not None:
            other = scored_from(self.compare, said[self.compare], task, examples)
            if other.measured.ids != scored.measured.ids:
                raise ValueError(
                    f"{self.compare} is not of the same examples as {self.predictions}"
                )
            gain = scored.minus(other)
        if self.json:
            print(json.dumps(scored.plain() | ({"difference": asdict(gain)} if gain else {})))
        else:
            print(table(scored))
            if gain is not None:
                print(f"  {self.predictions} minus {self.compare}: {gain}")
        if self.per_example is not None:
            files.write_jsonl(self.per_example, scored.examples())
            progress.say(f"wrote {len(scored.measured.ids):,} rows to {self.per_example}")
        return 0

    def data(self, task: Task) -> Data:
        """The files given, for the roles that the task has.

        Raises
            UsageError: a file is missing, or the task has no use for one
        """
        from clipvil.core import Data

        roles = {file.role: file for file in task.files if file.split == task.splits.report}
        given: dict[str, Path] = {
            role: path for role in ROLES if (path := getattr(self, role)) is not None
        }
        needed = [role for role, file in roles.items() if not file.optional and role not in given]
        if needed:
            official = "; ".join(f"{roles[role].name} from {roles[role].source}" for role in needed)
            raise UsageError(f"score {task.name} needs {options(needed)}: {official}")
        if given.keys() - roles.keys():
            useless = [role for role in given if role not in roles]
            raise UsageError(f"{task.name} has {options(roles)}, not {options(useless)}")
        return Data(given={(f.role, f.split): given[f.role] for f in task.files if f.role in given})


def scored_from(
    path: Path,
    said: Sequence[tuple[str, Answer]],
    task: Task,
    examples: Sequence[Example],
    *,
    thorough: bool = False,
) -> Score:
    """The score of what `path` said.

    Raises
        ValueError: it is not of these examples; names the file
    """
    from clipvil.evaluate.score import score  # takes a second: what is wrong is said before

    try:
        return score(task, examples, said, thorough=thorough)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def options(roles: Iterable[str]) -> str:
    """Roles as options."""
    return " and ".join(f"--{role.replace('_', '-')}" for role in roles)


def table(scored: Score) -> str:
    """Figures for a person."""
    from clipvil import progress

    task, count = scored.task, len(scored.measured.ids)
    lines = [f"{task.name} (version {task.version}), {count:,} examples"]
    width = max(map(len, scored.figures))
    for name, figure in scored.figures.items():
        value, told = "-", figure.reason
        if figure.value is not None:
            value, told = progress.figure(figure.value, figure.unit), figure.unit
        lines.append(f"  {name:{width}} {value:>9} {told}".rstrip())
    return "\n".join(lines)
