"""The verb `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Answer and score the report split and its shifts with a trained run."""

    folder: tyro.conf.Positional[Path]
    """the run folder"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Score once; a run that is scored already is read, not answered again."""
        import json

        from clipvil import api, progress

        result = api.evaluate(self.folder)
        if self.json:
            print(json.dumps(result))
        else:
            for test, values in result.items():
                figures = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
                print(f"{test}: {figures}")
        progress.say(f"wrote {self.folder}/result.json and the answers beside it")
        return 0
