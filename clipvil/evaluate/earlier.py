"""What a comparison's folder holds from before: cells of this or another one, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from clipvil.errors import UsageError
from clipvil.evaluate.compare import ASKED, Comparison
from clipvil.evaluate.result import ABOUT, RESULTS, About, Cell, read_about, read_records
from clipvil.evaluate.run import plainly, source_to_json
from clipvil.files import read_json, write_json
from clipvil.train.recipe import plain

STARTED = ".started.json"  # there until the results tell it, hidden from who looks for those


def check(comparison: Comparison) -> None:
    """See that the folder holds nothing but cells and results of this very comparison.

    More or other encoders, sizes and seeds are no other comparison: they join what is there.

    Raises
        UsageError: it is of another task, of other data or of another recipe; tells what differs
    """
    now = plainly(source_to_json(comparison.source) | {"recipe": plain(comparison.recipe)})
    cell = min(comparison.out.glob("cells/*/*/*/recipe.json"), default=None)
    if cell is not None:
        differ = different(read_json(cell, dict[str, Any]), now)
    else:
        tasks = sorted({record.task for record in told(comparison)} - {now["task"]})
        differ = [f"task {', '.join(tasks)}, not {now['task']}"] if tasks else []
    if differ:
        raise UsageError(
            f"{comparison.out} holds another comparison ({'; '.join(differ)}): name another --out"
        )


def different(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between what two cells are made from, as a person says it."""
    if before.get("task") != now["task"]:  # then all else is bound to differ
        return [f"task {before.get('task')}, not {now['task']}"]
    differ = [
        f"--{name} {before.get(name) or 'none'}, not {now[name] or 'none'}"
        for name in ("data", "limit")
        if before.get(name) != now[name]
    ]
    if before.get("given") != now["given"]:
        differ.append("other --file")
    ours, theirs = now["recipe"], before.get("recipe", {})
    fields = [k for k in {**theirs, **ours} if theirs.get(k) != ours.get(k)]
    if "model" in fields:
        return [*differ, f"model {theirs.get('model')}, not {ours['model']}"]
    return [*differ, f"other {', '.join(fields)} in the recipe"] if fields else differ


def told(comparison: Comparison) -> list[Cell]:
    """The cells that the folder's records tell of."""
    path = comparison.out / RESULTS
    if not path.is_file():
        return []
    try:
        return [record for record in read_records(path) if isinstance(record, Cell)]
    except ValueError:  # of another version: it is written anew
        return []


def left_out(comparison: Comparison) -> str:
    """What the report told until now and no longer will, and how to have it back; or nothing."""
    cells = told(comparison)
    of = [cell for cell in cells if cell.control is None]
    seeds = len({cell.seed.init for cell in of})
    lists: dict[str, tuple[dict[str, None], tuple[str, ...]]] = {
        "--encoders": (dict.fromkeys(cell.encoder for cell in of), comparison.encoders),
        "--shots": (dict.fromkeys(cell.shots for cell in of), comparison.shots),
        "--beside": (
            dict.fromkeys(str(cell.control) for cell in cells if cell.control in ASKED),
            tuple(comparison.beside),
        ),
    }
    gone = list[str]()
    back = list[str]()
    for option, (before, now) in lists.items():
        if lost := [name for name in before if name not in now]:
            gone += lost
            back.append(f"{option} {' '.join([*before, *(n for n in now if n not in before)])}")
    if seeds > comparison.seeds:
        gone.append(f"{seeds} seeds")
        back.append(f"--seeds {seeds}")
    if not gone:
        return ""
    return (
        f"{comparison.out}/report.html told of {', '.join(gone)} and no longer will; what is "
        f"trained stays, and {' '.join(back)} brings it back"
    )


def started(comparison: Comparison) -> str:
    """When the work that the folder's report will tell of began, interruptions or not."""
    note = comparison.out / STARTED
    if not note.is_file():
        write_json(note, datetime.now(UTC).isoformat(timespec="seconds"))
    moment: str = read_json(note, str)
    return moment


def again(comparison: Comparison, about: About, before: bytes | None) -> About:
    """`about`, as of the first run where this one found the very same records as `before`."""
    path = comparison.out / ABOUT
    if before is None or not path.is_file() or before != (comparison.out / RESULTS).read_bytes():
        return about
    first = read_about(path)
    same = (first.baseline, [e.name for e in first.encoders]) == (
        about.baseline, [e.name for e in about.encoders],
    )  # fmt: skip
    if not same:  # stopped between the two files
        return about
    return msgspec.structs.replace(about, started=first.started, command=first.command)
