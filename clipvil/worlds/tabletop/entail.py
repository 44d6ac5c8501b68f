"""Hypotheses about pictures: entailed by one, neutral to another, contradicted by a third.

"The star is red." is entailed by a picture whose only star is red, and contradicted by one whose
only star is not, nor anything else there. A picture without a star is no evidence of either; that
something else is red in it keeps the colour alone from telling so. What is true of one picture is
said of two others as well: every sentence has every label equally often, exactly, and so the words
alone say nothing at all. They speak of half of the shapes: that there is something to be seen, a
small model learns the sooner the fewer words there are for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from clipvil.worlds.tabletop.kinds import HUES
from clipvil.worlds.tabletop.scene import SHAPES, Dice, Thing

SPOKEN_OF: Final = ("square", "triangle", "star", "heart", "moon")
LABELS: Final = ("entailment", "neutral", "contradiction")
Things = Sequence[Thing]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A sentence about a picture; `text` holds colours as `<3>`."""

    text: str
    label: str


def hypotheses(pictures: Sequence[Things], dice: Dice) -> list[list[Hypothesis]]:
    """At most three sentences about each of some pictures, with different labels.

    A sentence that finds no picture to contradict it, or none to be neutral to it, is not said.
    """
    true = list[tuple[int, Thing]]()
    for place, things in enumerate(pictures):
        alone = [t for t in things if SHAPES[t.shape] in SPOKEN_OF and _count(things, t) == 1]
        if alone:
            true.append((place, alone[dice.pick(len(alone))]))
    neutral = _spread(true, pictures, _neutral, dice)
    against = _spread(true, pictures, _contradicts, dice)
    made = [list[Hypothesis]() for _ in pictures]
    for (place, thing), unsure, wrong in zip(true, neutral, against, strict=True):
        text = f"The {SHAPES[thing.shape]} is {HUES[thing.colour]}."
        if unsure is not None and wrong is not None:
            for label, picture in zip(LABELS, (place, unsure, wrong), strict=True):
                made[picture].append(Hypothesis(text, label))
    return made


def _count(things: Things, one: Thing) -> int:
    """How many things have the shape of one."""
    return sum(thing.shape == one.shape for thing in things)


def _shown(things: Things, one: Thing) -> bool:
    """Whether something has the colour of one."""
    return any(thing.colour == one.colour for thing in things)


def _neutral(things: Things, said: Thing) -> bool:
    return _count(things, said) == 0 and _shown(things, said)


def _contradicts(things: Things, said: Thing) -> bool:
    return _count(things, said) == 1 and not _shown(things, said)


def _spread(
    true: Sequence[tuple[int, Thing]],
    pictures: Sequence[Things],
    fits: Callable[[Things, Thing], bool],
    dice: Dice,
) -> list[int | None]:
    """A picture of its own that fits, for as many sentences as possible."""
    if not true:
        return []
    from scipy.optimize import linear_sum_assignment

    table = [[fits(things, thing) for things in pictures] for _, thing in true]
    bad = float(len(pictures))  # costs more than all that fit together
    costs = [[dice.unit() if fit else bad for fit in row] for row in table]
    places = linear_sum_assignment(costs)[1].tolist()  # there are never more sentences
    return [place if row[place] else None for row, place in zip(table, places, strict=True)]
