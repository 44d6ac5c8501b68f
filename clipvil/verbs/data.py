"""The verb `data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg

from clipvil.errors import UsageError, at_least_one

if TYPE_CHECKING:
    from clipvil.core import OfficialFile
    from clipvil.download.get import Outcome

QUIET: dict[str, Any] = {"help_behavior_hint": ""}  # an empty default tells nothing


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say what is there, what is missing and where to get it."""

    task: str
    """the task whose files are looked for (see `clipvil list tasks`)"""
    data: Path
    """the data folder"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Print what is there; 1 if fitting or reporting could not be done with it."""
        import json

        from clipvil import tasks

        task = tasks.load(self.task)
        if not self.data.is_dir():
            raise ValueError(f"no data folder {self.data}")
        from clipvil.evaluate.inventory import inventory  # after what is cheaply found wrong

        found = inventory(task, self.data)
        print(json.dumps(found, indent=1) if self.json else told(found))
        return 0 if found["complete"] else 1


@dataclass(frozen=True, kw_only=True)
class Get:
    """Download what may be had; goes on where it was."""

    task: str
    """the task whose files are fetched (see `clipvil list tasks`)"""
    data: Path
    """the data folder"""
    only: Annotated[tuple[str, ...], arg(**QUIET)] = ()
    """files, as ROLE or ROLE/SPLIT such as questions/val; all but the pictures by default"""
    from_: Annotated[str, arg(name="from", **QUIET)] = ""
    """address of a mirror that has the files under the names of their official address"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Download and say what came of each file; 1 if one is still missing."""
        import json

        from clipvil import tasks
        from clipvil.download import get as getting

        task = tasks.load(self.task)
        if not any(file.download or file.gate for file in task.files):
            raise UsageError(f"{self.task} has nothing to download: {task.files[0].source}")
        chosen = getting.wanted(task, self.only)
        outcomes = getting.get(chosen, self.data, base=self.from_)
        if self.json:
            files = [outcome.plain() for outcome in outcomes]
            print(json.dumps({"task": task.name, "data": str(self.data), "files": files}, indent=1))
        else:
            print(listed(outcomes))
            if not self.only and task.archives:
                print(offered(task.archives))
        return 1 if any(outcome.left_to_do for outcome in outcomes) else 0


@dataclass(frozen=True, kw_only=True)
class Make:
    """Write a made world in the official formats; goes on where it was."""

    world: Positional[Literal["tabletop"]]
    """the world to make"""
    data: Path
    """a new or an empty folder"""
    tasks: tuple[str, ...] = ("vqa2", "coco_caption", "snli_ve", "vcr", "gqa")
    """what it has files for, all about the same pictures; r2r, which is to be named, has houses of
    its own"""
    houses: int = 6
    """houses for r2r, a third of them unseen in training"""
    seed: int = 0
    """decides the scenes"""
    train: int = 4_000
    """pictures for training"""
    val: int = 500
    """pictures for scoring, in each drawing style"""

    def run(self) -> int:
        """Write it."""
        from clipvil import progress
        from clipvil.worlds import tabletop

        at_least_one(train=self.train, val=self.val)
        asked: dict[str, Any] = {
            "seed": self.seed, "train": self.train, "val": self.val, "tasks": [*self.tasks],
            "houses": self.houses,
        }  # fmt: skip
        tabletop.check(**asked)
        claim(self.data, asked)
        tabletop.write(self.data, **asked)
        progress.say(f"wrote the {self.world} world to {self.data}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Check which of a task's files are there, get those that may be had, or make a world."""

    action: OmitArgPrefixes[OmitSubcommandPrefixes[Check | Get | Make]]

    def run(self) -> int:
        """What the action gives."""
        return self.action.run()


def claim(folder: Path, asked: dict[str, Any]) -> None:
    """Note in a folder, hidden from who looks for data, what the world in it is made from.

    Raises
        UsageError: it holds anything but a world of the same, whole or unfinished
    """
    from clipvil.files import read_json, write_json

    note = folder / ".tabletop.json"
    if note.is_file():
        before = read_json(note, dict[str, Any])
        if differ := [name for name in asked if before.get(name) != asked[name]]:
            made = " ".join(option(name, before.get(name)) for name in differ)
            raise UsageError(
                f"{folder} holds a world made with {made}: give that again, or name another --data"
            )
    elif folder.exists() and any(not p.name.startswith(".") for p in folder.iterdir()):
        raise UsageError(
            f"{folder} holds something else than a world that this command began: name a new or "
            "an empty folder as --data"
        )
    else:
        write_json(note, asked)


def option(name: str, value: object) -> str:
    """An option as it is typed."""
    return f"--{name} {' '.join(value) if isinstance(value, list) else value}"


def listed(outcomes: Sequence[Outcome]) -> str:
    """What came of each file, for a person."""
    from clipvil import progress

    lines = list[str]()
    for outcome in outcomes:
        lines.append(f"{outcome.file.split} {outcome.file.role}: {outcome.file.name}")
        if outcome.path is not None:
            size = progress.size(outcome.path.stat().st_size)
            lines.append(f"  {outcome.state}: {outcome.path}, {size}")
        else:
            lines.append(f"  {outcome.state}: {outcome.said}")
    return "\n".join(lines)


def offered(archives: Sequence[OfficialFile]) -> str:
    """How pictures could be had, and how large they are."""
    from clipvil import progress

    sizes, lines = dict[str, list[int]](), dict[str, None]()
    for file in archives:
        if file.gate:
            lines[f"pictures: {file.gate}"] = None
        elif file.download is not None:
            size = file.download.bytes or file.download.about or 0
            sizes.setdefault(f"{file.role}/{file.split}", []).append(size)
    coming = [
        f"{what} ({progress.size(sum(several))})" if all(several) else what
        for what, several in sizes.items()
    ]
    if coming:
        lines[f"pictures come with --only {' '.join(coming)}"] = None
    return "\n".join(lines)


def told(found: dict[str, Any]) -> str:
    """What was found, for a person."""
    lines = [
        line for row in [*found["files"], *found["archives"]] for line in described(row, found)
    ]
    above = {row["name"] for row in found["files"] if not row["path"]}
    for split, row in found["splits"].items():
        if row["problem"]:
            first, *named = row["problem"].splitlines()
            rest = [line for line in named if line.split()[0] not in above]
            if named and not rest:
                first = "files that are told above are missing"
            lines += [f"{split}: cannot be read: {first}", *rest]
            continue
        there, wanted = row["pictures"] - row["missing"], row["pictures"]
        seen = f", {there:,} of {wanted:,} pictures found" if wanted else ""
        lines.append(f"{split}: {row['examples']:,} examples{seen}")
        if row["missing"]:
            lines.append(f"  missing: {', '.join(row['named'])}")
    lines += [f"wrong: {problem}" for problem in found["problems"]]
    lines.append("complete" if found["complete"] else "not complete")
    return "\n".join(lines)


def described(row: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Two lines on an official file."""
    from clipvil import progress

    head = f"{row['split']} {row['role']}: {row['name']}"
    if row["problem"]:
        return [head, f"  wrong: {row['problem']}"]
    if row["path"]:
        rows = "" if row["rows"] is None else f", {row['rows']:,} rows"
        size = "" if row["bytes"] is None else f", {progress.size(row['bytes'])}"
        return [head, f"  {row['path']}{size}{rows}, whole; for {row['purpose']}"]
    needed = row["split"] in found["splits"] and not row["optional"]
    size = row["download_bytes"] or row["download_about"]
    about = "" if row["download_bytes"] else "about "
    facts = [
        "missing" if needed else "not there",
        f"for {row['purpose']}",
        *([f"{about}{progress.size(size)} to download"] if size else []),
        row["source"],
        *([row["gate"]] if row["gate"] else []),
        *(
            ["--only {role}/{split} of `data get` fetches it".format(**row)]
            if row["download"]
            else []
        ),
    ]
    return [head, f"  {'; '.join(facts)}"]
