"""Merge the records of one or several folders into a page and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Merge the records of one or several folders into a page and tables.

    Reads results.jsonl (and about.json) of each folder and writes report.html, results.csv,
    table.md and table.tex.
    """

    folders: Positional[tuple[Path, ...]]
    """What `compare` or `demo` wrote, of one or several machines."""

    out: Path | None = None
    """Where to write; by default the first folder."""

    def run(self) -> int:
        """Read, merge, write; say what was written."""
        from clipvil.errors import UsageError
        from clipvil.evaluate import result, summary
        from clipvil.progress import say
        from clipvil.report import page

        if not self.folders:
            raise UsageError("name at least one folder with a results.jsonl")
        missing = [f for f in self.folders if not (f / result.RESULTS).is_file()]
        if missing:
            raise UsageError(f"no {result.RESULTS} in {', '.join(map(str, missing))}")
        paths = [folder / result.RESULTS for folder in self.folders]
        records = result.merge({path: result.read_records(path) for path in paths})
        if len(paths) > 1:
            records = summary.readjust(records)
        told = [result.read_about(about) for folder in self.folders for about in abouts(folder)]
        order = list(dict.fromkeys(record.task for record in records))
        told.sort(key=lambda about: order.index(about.task) if about.task in order else len(order))
        for path in page.write(self.out or self.folders[0], records, told):
            say(f"wrote {path}")
        return 0


def abouts(folder: Path) -> list[Path]:
    """How a folder came to be; that of `demo` holds a folder for each task."""
    from clipvil.evaluate.result import ABOUT

    own = folder / ABOUT
    if own.is_file():
        return [own]
    return sorted(folder.glob(f"*/{ABOUT}"))
