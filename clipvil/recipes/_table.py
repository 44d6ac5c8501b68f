"""A row of a published table: a recipe and an encoder together, with what it costs and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row. Scores are on the scale on which `score` prints them; None is unknown.

    A figure stands here only where a source confirms it.
    """

    name: str
    task: str
    recipe: str
    encoder: str
    width: int  # of a vector that is stored
    vectors: int  # that are stored for all pictures
    schedule: str  # what is trained, in words
    published: Mapping[str, float | None]  # by name, the first is what the row is known by
    ours: float | None = None  # of that one, measured by this command
    digits: int  # of a score
    known: str = ""  # what the published row does differently

    @property
    def summary(self) -> str:
        """The row in one line."""
        disk = self.vectors * self.width * 2 / 1e9  # fp16
        (first, score), *others = self.published.items()
        beside = "".join(f", {name} {self.shown(s)}" for name, s in others if s is not None)
        return (
            f"{self.encoder.partition(',')[0]} in {self.recipe}: {self.schedule}, "
            f"{disk:.{int(disk < 10)}f} GB of "
            f"features; {first} published {self.shown(score)}{beside}, ours {self.shown(self.ours)}"
        )

    def shown(self, score: float | None) -> str:
        """A score, or that there is none."""
        return "unknown" if score is None else f"{score:.{self.digits}f}"
