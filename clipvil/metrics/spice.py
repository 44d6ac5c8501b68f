"""SPICE: how many of a caption's objects, attributes and relations the references have.

Source   arXiv:1607.08822, its own program as it comes with pycocoevalcap; the parser it needs
         (CoreNLP 3.6.0, 0.4 GB) is fetched by pycocoevalcap.spice.get_stanford_models
Shapes   N images
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.core import Totals
from clipvil.files import read_json, write_json
from clipvil.metrics import _java, ratio

JAR, PARSER = "spice/spice-1.0.jar", "spice/lib/stanford-corenlp-3.6.0-models.jar"
NEEDS = f"{_java.NEEDS} and CoreNLP 3.6.0 (pycocoevalcap.spice.get_stanford_models)"
COLUMNS = ("spice",)


class Parts(msgspec.Struct):
    """Precision, recall and F of one kind of tuples; only F is used here, null where undefined."""

    f: float | None


class Kinds(msgspec.Struct, rename={"whole": "All"}):
    """Figures by kind of tuples."""

    whole: Parts


class Scored(msgspec.Struct):
    """One image of the program's output."""

    image_id: int
    scores: Kinds


def program() -> Path | None:
    """The jar, where it, its parser and Java are there."""
    return _java.jar(JAR) if _java.jar(PARSER) else None


def statistics(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> NDArray[np.float64]:
    """SPICE [N, 1] of one caption an image, from tokens.

    Raises
        ChildProcessError: the program failed
    """
    jar = program()
    assert jar is not None, "asked for without looking whether it is there"
    images = [
        {"image_id": image, "test": " ".join(one), "refs": [*map(" ".join, several)]}
        for image, (one, several) in enumerate(zip(candidates, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder) / "asked.json", Path(folder) / "told.json"
        write_json(asked, images)
        _java.run("SPICE", jar, [str(asked), "-out", str(told), "-subset", "-silent"], memory="8G")
        scored: list[Scored] = read_json(told, list[Scored])
    of = {row.image_id: row.scores.whole.f for row in scored}
    if of.keys() != set(range(len(images))):
        raise ChildProcessError(f"SPICE failed: {len(of)} answers to {len(images)} captions")
    return np.array([[of[image]] for image in range(len(images))], np.float64)


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """SPICE, between 0 and 1: the mean over images."""
    return {"spice": ratio(totals["spice"], totals["count"])}
