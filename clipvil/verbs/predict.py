"""The verb `predict`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from clipvil.errors import UsageError, at_least_one


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How captions are told, where not as the run was trained to tell them."""

    beams: int | None = None
    """captions that grow side by side; 1 takes the likeliest word each time"""
    length_power: float | None = None
    """power of the number of words that a caption's score is divided by"""
    longest: int | None = None
    """words at most"""
    shortest: int | None = None
    """words at least"""
    no_repeat: int | None = None
    """words in a run that is not told twice; 0 allows all"""
    top_k: int | None = None
    """words by lot, out of so many likeliest ones; 0 draws no lots"""
    nucleus: float | None = None
    """words by lot, out of the fewest with this share of the chances; 0 draws none"""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Answer with a trained run: a question about a picture, a split, or captions of a folder."""

    folder: tyro.conf.Positional[Path]
    """the run folder"""
    image: Path | None = None
    """a picture to answer a question about, or to tell a captioner's caption of"""
    text: str | None = None
    """the question; captioners are asked none"""
    choices: tuple[str, ...] = ()
    """what to choose from, where the task has choices"""
    images: Path | None = None
    """folder of pictures to write captions of"""
    data: Path | None = None
    """folder of the task's files and pictures; by default the one it was trained from"""
    split: str | None = None
    """the split to answer; by default the one that scores are reported on"""
    limit: int | None = None
    """examples to answer at most"""
    out: Path | None = None
    """file for the answers to a split or a folder, in the task's official submission format; for
    tasks of one's own that is rows of id and answer, a JSON array in .json, else one a line"""
    config: Telling = Telling()

    def run(self) -> int:
        """Answer and say where the answers went."""
        at_least_one(limit=self.limit)
        from clipvil import api, progress
        from clipvil.evaluate.predict import ways

        tell = {name: value for name, value in asdict(self.config).items() if value is not None}
        if self.image is not None:
            if self.images or self.data or self.split or self.limit or self.out:
                raise UsageError(
                    "--image is one picture, whose answer is printed: leave out --images, --data, "
                    "--split, --limit and --out"
                )
            print(api.predict(self.folder, self.image, self.text or "", self.choices, tell=tell))
            return 0
        if self.text is not None or self.choices:
            raise UsageError("--text and --choices are about one picture: give --image as well")
        if self.out is None:
            raise UsageError(f"give {ways(self.folder)}")
        if self.images is not None:
            if self.data is not None or self.split is not None:
                raise UsageError("--images is a folder by itself: no --data, no --split")
            count = api.predict_folder(
                self.folder, self.out, self.images, limit=self.limit, tell=tell
            )
            progress.say(f"wrote {count:,} captions to {self.out}")
            return 0
        count = api.predict_split(
            self.folder, self.out, data=self.data, split=self.split, limit=self.limit, tell=tell
        )
        progress.say(f"wrote {count:,} answers to {self.out}")
        return 0
