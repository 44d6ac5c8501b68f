"""The verb `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from clipvil.errors import at_least_one


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Answer and score the report split and its shifts with a trained run."""

    folder: tyro.conf.Positional[Path]
    """the run folder"""
    limit: int | None = None
    """answer the first so many examples of each test only, and write nothing"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Score once; a run that is scored already is read, not answered again."""
        import json

        at_least_one(limit=self.limit)
        from clipvil import api, progress
        from clipvil.evaluate.run import read_plan

        result = api.evaluate(self.folder, limit=self.limit)
        if self.json:
            print(json.dumps(result))
        else:
            units = {m.name: m.unit for m in read_plan(self.folder).source.load().metrics}
            for test, values in result.items():
                figures = ", ".join(
                    f"{name} {progress.figure(values[name], unit)}"
                    for name, unit in units.items()  # the headline first
                    if name in values
                )
                print(f"{test}: {figures}")
        if self.limit is None:
            progress.say(f"wrote {self.folder}/result.json and the answers beside it")
        return 0
