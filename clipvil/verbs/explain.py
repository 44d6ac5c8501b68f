"""The verb `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from clipvil.errors import UsageError, at_least_one


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Show where each word of a caption looked, or how walks went and what they listened to.

    A captioner is asked about one picture; for a follower, some of its best, median and worst walks
    through a split become a page.
    """

    folder: tyro.conf.Positional[Path]
    """the run folder"""
    image: Path | None = None
    """the picture to caption"""
    data: Path | None = None
    """walks: folder of the task's files; by default the one it was trained from"""
    split: str | None = None
    """walks: the split; by default the one that scores are reported on"""
    images: Path | None = None
    """walks: folder of pictures <scan>/<viewpoint>/<NN> of the views; by default the data's"""
    limit: int | None = None
    """walks to go at most"""
    json: bool = False
    """print as JSON: attention and gradient of every word and cell, or every step of the walks"""
    out: Path | None = None
    """file to write; by default explained.png for a caption (.png, .svg or .pdf), walks.html for
    walks"""

    def run(self) -> int:
        """Draw, and say what was said."""
        import json

        at_least_one(limit=self.limit)
        from clipvil import api, progress

        if self.image is not None:
            if self.data or self.split or self.images or self.limit:
                raise UsageError("--image is one picture: the options of walks go without it")
            out = self.out or Path("explained.png")
            looks = api.explain(self.folder, self.image, out)
            print(json.dumps(looks.facts) if self.json else looks.caption)
        else:
            out = self.out or Path("walks.html")
            gallery = api.explain_walks(
                self.folder, out, data=self.data, split=self.split, images=self.images,
                limit=self.limit,
            )  # fmt: skip
            if self.json:
                print(json.dumps(gallery.facts))
        progress.say(f"wrote {out}")
        return 0
