"""What a data folder has for a task: official files, pictures, what is wrong or missing.

Computed for `data check`; plain data throughout, as it is printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from clipvil.core import Data, OfficialFile, Splits, Task
from clipvil.evaluate.splits import in_two
from clipvil.files import MissingFilesError, PictureIndex, count_rows, find
from clipvil.files.members import listed

SHOWN = 5  # missing pictures that are named


def inventory(task: Task, root: Path) -> dict[str, Any]:
    """The task's files, splits and pictures under a folder.

    It is `complete` where fitting, selecting and scoring can begin.
    """
    purposes, problems = task.splits, list[str]()
    try:
        index = PictureIndex(root)
    except ValueError as error:  # a zip that is not whole
        index = None
        problems.append(str(error))
    files = [file_row(file, root, purposes) for file in task.files]
    uses = Counter(row["path"] for row in files)
    # what serves every split, as navigation graphs do, does not tell that one of them is there
    present = {row["split"] for row in files if row["path"] and uses[row["path"]] == 1}
    splits, seen = dict[str, dict[str, Any]](), dict[str, Collection[str]]()
    told = (file.split for file in task.files)  # somebody's own task may tell of no files
    for split in dict.fromkeys((*told, purposes.fit, purposes.report)):
        if split in present or split not in purposes.hidden:
            splits[split], seen[split] = split_row(task, root, split, index)
    select = purposes.select
    if select in splits and select not in present and splits[select]["problem"]:
        del splits[select]  # then some of the fitting pictures are held back for selection
    needed = {purposes.fit, purposes.report} | ({select} & splits.keys())
    if both := in_two({split: seen[split] for split in splits if split in needed}):
        problems.append(both)
    readable = {split for split, row in splits.items() if row["problem"] is None}
    files = [row for row in files if row["path"] or row["split"] not in readable or row["optional"]]
    short = {split for split, row in splits.items() if row["missing"]}
    if index is not None and not index.count:  # of what cannot be read yet, they are missing too
        short |= splits.keys() - readable
    archives = pictures(task, root, short)
    complete = (
        not problems
        and all(row["problem"] is None for row in files if row["path"])
        and needed <= readable
        and not needed & short
    )
    return {"task": task.name, "data": str(root), "complete": complete, "problems": problems,
            "files": files, "archives": archives, "splits": splits}  # fmt: skip


def pictures(task: Task, root: Path, short: Collection[str]) -> list[dict[str, Any]]:
    """Where pictures come in, each once: what is there, or what splits in `short` lack."""
    serves, rows = dict[str, list[OfficialFile]](), list[dict[str, Any]]()
    for file in task.archives:
        serves.setdefault(file.name, []).append(file)
    for several in serves.values():
        row = file_row(several[0], root, task.splits)
        uses = (purpose(file.split, task.splits).partition(":")[0] for file in several)
        *more, last = dict.fromkeys(uses)
        if row["path"] or row["optional"] or any(file.split in short for file in several):
            told = f"{', '.join(more)} and {last}" if more else last
            rows.append(row | {"purpose": told})
    return rows


def purpose(split: str, purposes: Splits) -> str:
    """What a split is for."""
    if split in purposes.hidden:
        return "predictions to hand in: its answers are not public"
    uses = {"fitting": purposes.fit, "selection": purposes.select, "scoring": purposes.report}
    return " and ".join(use for use, of in uses.items() if of == split) or "more of the task"


def file_row(file: OfficialFile, root: Path, purposes: Splits) -> dict[str, Any]:
    """One official file: where it is, its size, its rows, and whether it can be read to its end."""
    row: dict[str, Any] = {
        "role": file.role, "split": file.split, "name": file.name, "optional": file.optional,
        "purpose": purpose(file.split, purposes), "source": file.source, "gate": file.gate or None,
        "download": file.download and list(file.download.urls),
        "download_bytes": file.download and file.download.bytes,
        "download_about": file.download and file.download.about,
        "path": None, "bytes": None, "rows": None, "whole": None, "problem": None,
    }  # fmt: skip
    try:
        path = find(Data(root), [replace(file, optional=False)])[file.role]
    except MissingFilesError:
        return row
    except ValueError as error:  # two candidates
        return row | {"path": str(root), "problem": str(error)}
    parts = [part for part in path.iterdir() if part.is_file()] if path.is_dir() else [path]
    size = sum(part.stat().st_size for part in parts) if parts else None  # a folder of folders
    row |= {"path": str(path), "bytes": size}
    try:
        return row | {"rows": num_rows(path), "whole": True}
    except (ValueError, OSError) as error:
        return row | {"whole": False, "problem": str(error)}


def num_rows(path: Path) -> int | None:
    """Rows of a file, or members of a zip.

    Raises
        ValueError: it is not whole
    """
    if path.suffix != ".zip":
        return count_rows(path, path.name)
    return sum(not info.is_dir() for info in listed(path))


def split_row(
    task: Task, root: Path, split: str, index: PictureIndex | None
) -> tuple[dict[str, Any], set[str]]:
    """A split's number of examples and which of its pictures are there; and where those are."""
    row: dict[str, Any] = {"examples": None, "pictures": None, "missing": 0, "named": [],
                           "problem": None}  # fmt: skip
    try:
        examples = task.examples(Data(root), split)
        wanted = dict.fromkeys(name for example in examples for name in example.pictures)
    except (ValueError, OSError) as error:
        return row | {"problem": str(error)}, set()
    missing, seen = list[str](), set[str]()
    for name in wanted:
        try:
            if index is not None:
                seen.add(str(index.find(name)))
                continue
        except (ValueError, FileNotFoundError):
            pass
        missing.append(name)
    row |= {"examples": len(examples), "pictures": len(wanted), "missing": len(missing)}
    return row | {"named": missing[:SHOWN]}, seen
