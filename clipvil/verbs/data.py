"""The verb `data`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from clipvil.errors import UsageError

if TYPE_CHECKING:
    from clipvil.core import OfficialFile, Task
    from clipvil.files import PictureIndex

SHOWN = 5  # missing pictures that are named


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Check which of a task's files and pictures are there, or make the embedded world."""

    action: tyro.conf.Positional[Literal["check", "make"]]
    """check: what is there, what is missing and where to get it; make: write a made world"""
    world: tyro.conf.Positional[Literal["tabletop"] | None] = None
    """the world to make"""
    data: Path
    """the data folder"""
    task: str | None = None
    """the task whose files are checked"""
    seed: int = 0
    """decides the scenes that are made"""
    train: int = 4_000
    """pictures to make for training"""
    val: int = 500
    """pictures to make for scoring, in each drawing style"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Check or make."""
        if self.action == "make":
            return self.make()
        if self.task is None:
            raise UsageError("data check needs --task; `clipvil list tasks` shows them")
        return self.check(self.task)

    def make(self) -> int:
        """Write the embedded world in the official formats."""
        from clipvil import progress
        from clipvil.worlds import tabletop

        if self.world is None:
            raise UsageError("data make needs a world: tabletop")
        if self.train < 1 or self.val < 1:
            raise UsageError("--train and --val are at least 1")
        tabletop.write(
            self.data, seed=self.seed, train=self.train, val=self.val, size=64, shifts=True
        )
        progress.say(f"wrote the {self.world} world to {self.data}")
        return 0

    def check(self, name: str) -> int:
        """Print what is there; 1 if fitting or reporting could not be done with it."""
        import json

        from clipvil import tasks

        task = tasks.load(name)
        if not self.data.is_dir():
            raise ValueError(f"no data folder {self.data}")
        found = checked(task, self.data)
        if self.json:
            print(json.dumps(found, indent=1))
        else:
            print(told(found))
        return 0 if found["complete"] else 1


def checked(task: Task, root: Path) -> dict[str, Any]:
    """The task's files, splits and pictures under a folder, as plain data."""
    from clipvil.files import PictureIndex

    index = PictureIndex(root)
    purposes = task.splits
    files = [file_row(file, root) for file in task.files]
    present = {row["split"] for row in files if row["path"]}
    splits = dict[str, dict[str, Any]]()
    for split in dict.fromkeys(file.split for file in task.files):
        if split in present or split not in purposes.hidden:
            splits[split] = split_row(task, root, split, index)
    select = purposes.select
    if select in splits and select not in present and splits[select]["problem"]:
        del splits[select]  # then some of the fitting pictures are held back for selection
    needed = {purposes.fit, purposes.report} | ({select} & splits.keys())
    readable = {split for split, row in splits.items() if row["problem"] is None}
    files = [row for row in files if row["path"] or row["split"] not in readable or row["optional"]]
    complete = (
        all(row["problem"] is None for row in files if row["path"])
        and needed <= readable
        and not any(row["missing"] for split, row in splits.items() if split in needed)
    )
    return {"task": task.name, "data": str(root), "complete": complete, "files": files,
            "splits": splits}  # fmt: skip


def file_row(file: OfficialFile, root: Path) -> dict[str, Any]:
    """One official file: where it is, its size, its rows, and whether it can be read to its end."""
    from clipvil.core import Data
    from clipvil.files import MissingFilesError, find

    row: dict[str, Any] = {
        "role": file.role, "split": file.split, "name": file.name, "source": file.source,
        "optional": file.optional, "path": None, "bytes": None, "rows": None, "whole": None,
        "problem": None,
    }  # fmt: skip
    try:
        path = find(Data(root), [file]).get(file.role)
    except MissingFilesError:
        return row
    except ValueError as error:  # two candidates
        return row | {"path": str(root), "problem": str(error)}
    if path is None:
        return row
    row |= {"path": str(path), "bytes": path.stat().st_size}
    try:
        return row | {"rows": num_rows(path), "whole": True}
    except ValueError as error:
        return row | {"whole": False, "problem": str(error)}


def num_rows(path: Path) -> int | None:
    """Rows of a JSONL file, of an array, or of the longest array in an object; else None."""
    import msgspec

    from clipvil.files import read_json, read_rows

    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        return sum(1 for _ in read_rows(path, msgspec.Raw))
    if not name.endswith(".json"):
        return None
    value = read_json(path, list[msgspec.Raw] | dict[str, msgspec.Raw])
    if isinstance(value, list):
        return len(value)
    arrays = [raw for raw in value.values() if bytes(raw).startswith(b"[")]
    counts = [len(msgspec.json.decode(raw, type=list[msgspec.Raw])) for raw in arrays]
    return max(counts, default=len(value))


def split_row(task: Task, root: Path, split: str, index: PictureIndex) -> dict[str, Any]:
    """A split's number of examples, and which of its pictures are there."""
    from clipvil.core import Data

    try:
        examples = task.examples(Data(root), split)
    except (ValueError, OSError) as error:
        return {"examples": None, "pictures": None, "missing": 0, "named": [],
                "problem": str(error)}  # fmt: skip
    wanted = dict.fromkeys(name for example in examples for name in example.pictures)
    missing = list[str]()
    for name in wanted:
        try:
            index.find(name)
        except (ValueError, FileNotFoundError):
            missing.append(name)
    return {"examples": len(examples), "pictures": len(wanted), "missing": len(missing),
            "named": missing[:SHOWN], "problem": None}  # fmt: skip


def told(found: dict[str, Any]) -> str:
    """What was found, for a person."""
    from clipvil import progress

    lines = list[str]()
    for row in found["files"]:
        lines.append(f"{row['split']} {row['role']}: {row['name']}")
        if row["problem"]:
            lines.append(f"  wrong: {row['problem']}")
        elif row["path"]:
            rows = "" if row["rows"] is None else f", {row['rows']:,} rows"
            lines.append(f"  {row['path']}, {progress.size(row['bytes'])}{rows}, whole")
        else:
            needed = row["split"] in found["splits"] and not row["optional"]
            lines.append(f"  {'missing' if needed else 'not there'}; {row['source']}")
    for split, row in found["splits"].items():
        if row["problem"]:
            lines.append(f"{split}: cannot be read: {row['problem'].splitlines()[0]}")
            continue
        there = row["pictures"] - row["missing"]
        lines.append(f"{split}: {row['examples']:,} examples, {there:,} of {row['pictures']:,} "
                     "pictures found")  # fmt: skip
        if row["missing"]:
            lines.append(f"  missing: {', '.join(row['named'])}")
    lines.append("complete" if found["complete"] else "not complete")
    return "\n".join(lines)
