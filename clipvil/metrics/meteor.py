"""METEOR 1.5, from statistics that its own program counts.

Source   http://www.cs.cmu.edu/~alavie/METEOR, doi:10.3115/v1/W14-3348; options as in
         https://github.com/tylin/coco-caption. The program comes with pycocoevalcap
Shapes   N images

The program aligns each caption with its best reference by word, stem, synonym and paraphrase and
counts; the figure is a formula of these counts. Over many captions it is that formula of their
sums, not a mean of figures, and so fits whoever adds up statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Totals
from clipvil.metrics import _java, ratio

NEEDS = _java.NEEDS
JAR = "meteor/meteor-1.5.jar"
SEPARATOR = "|||"
STAGES = {"exact": 1.0, "stem": 0.6, "synonym": 0.8, "paraphrase": 0.6}  # what a match is worth
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75  # as tuned for English rankings
SIDES = ("said", "told")
COLUMNS = tuple(
    f"meteor_{name}"
    for name in (
        "said", "told", "said_function", "told_function",
        *(f"{side}_{stage}{kind}" for stage in STAGES for kind in ("", "_function")
          for side in SIDES),
        "chunks", "said_matched", "told_matched",
    )
)  # fmt: skip


def program() -> Path | None:
    """The jar, where it and Java are there."""
    return _java.jar(JAR)


def statistics(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> NDArray[np.float64]:
    """Counts [N, K] in the order of `COLUMNS`, of one caption an image, from tokens.

    Raises
        ChildProcessError: the program failed
    """
    jar = program()
    assert jar is not None, "asked for without looking whether it is there"
    lines = [
        f" {SEPARATOR} ".join(["SCORE", *map(" ".join, several), " ".join(one)])
        for one, several in zip(candidates, references, strict=True)
    ]
    said = _java.run(
        "METEOR", jar, ["-", "-", "-stdio", "-l", "en", "-norm"],
        memory="2G", text="".join(f"{line}\n" for line in lines),
    )  # fmt: skip
    rows = [line.split() for line in said.splitlines()]
    if len(rows) != len(lines) or any(len(row) != len(COLUMNS) for row in rows):
        raise ChildProcessError(f"METEOR failed: {len(rows)} answers to {len(lines)} captions")
    counts = np.array(rows, np.float64)
    # in the sums, a caption that its reference repeats word by word counts as unbroken
    whole = (counts[:, -2:] == counts[:, :2]).all(1) & (counts[:, -3] == 1)
    counts[whole, -3] = 0
    return counts


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    """METEOR, between 0 and 1, from sums of counts; of one image's, its own figure."""
    count = {name: totals[name] for name in COLUMNS}
    precision, recall = (_share(count, side) for side in SIDES)
    mean = ratio(precision * recall, ALPHA * precision + (1 - ALPHA) * recall)
    matched = count["meteor_said_matched"] + count["meteor_told_matched"]
    broken = ratio(2 * count["meteor_chunks"], matched)
    value = np.nan_to_num(mean * (1 - GAMMA * broken**BETA))  # nothing matched: 0
    return {"meteor": np.where(totals["count"] > 0, value, np.nan)}


def _share(count: Totals, side: str) -> NDArray[np.float64]:
    """Precision or recall: matches over words, those of grammar counted less."""
    grammar = count[f"meteor_{side}_function"]
    matched = sum(
        worth * (DELTA * count[f"meteor_{side}_{stage}"]
                 + (1 - DELTA) * count[f"meteor_{side}_{stage}_function"])
        for stage, worth in STAGES.items()
    )  # fmt: skip
    words = DELTA * (count[f"meteor_{side}"] - grammar) + (1 - DELTA) * grammar
    return ratio(matched, words)
