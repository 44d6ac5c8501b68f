"""The verb `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Show where each word of a captioner's caption looked, as a strip of pictures."""

    folder: tyro.conf.Positional[Path]
    """the run folder"""
    image: Path
    """the picture"""
    json: bool = False
    """print the caption, and attention and gradient of every word and cell, as JSON"""
    out: Path = Path("explained.png")
    """file for the strip: .png, .svg or .pdf"""

    def run(self) -> int:
        """Draw, and say what was said."""
        import json

        from clipvil import api, progress

        looks = api.explain(self.folder, self.image, self.out)
        print(json.dumps(looks.facts) if self.json else looks.caption)
        progress.say(f"wrote {self.out}")
        return 0
