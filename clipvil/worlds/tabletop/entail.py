"""Hypotheses about a scene: entailed by it, neutral to it, or contradicting it.

Weight is not to be seen, only its sign: in this world striped things are heavy and dotted ones are
light; of plain ones nobody can say. A picture has three hypotheses, one a label, or none. Which
thing a sentence is about is named by what says nothing of its texture, and heavy and light
exchange the labels: so the words alone say nothing at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clipvil.worlds.tabletop.kinds import HUES
from clipvil.worlds.tabletop.scene import SHAPES, Dice, Thing

LABELS: Final = ("entailment", "neutral", "contradiction")
PLAIN: Final = 0  # texture
SAYINGS: Final = (  # of heavy and of light things
    ("The {} is heavy.", "The {} weighs a lot.", "It takes strong arms to lift the {}."),
    ("The {} is light.", "The {} weighs little.", "A child could lift the {}."),
)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A sentence about a scene; `text` holds colours as `<3>`."""

    text: str
    label: str


def hypotheses(things: Sequence[Thing], dice: Dice) -> tuple[Hypothesis, ...]:
    """Three sentences with the three labels, or none where a label finds nothing to speak of."""
    named = [(thing, name) for thing in things for name in _names(things, thing)]
    plain = [pair for pair in named if pair[0].texture == PLAIN]
    marked = [pair for pair in named if pair[0].texture != PLAIN]
    if not plain or not marked:
        return ()
    made = []
    for label in LABELS:
        some = plain if label == "neutral" else marked
        thing, name = some[dice.pick(len(some))]
        light = dice.pick(2)  # of plain things either may be said
        if label != "neutral":
            light = (thing.texture - 1) ^ (label == "contradiction")
        said = SAYINGS[light]
        made.append(Hypothesis(said[dice.pick(len(said))].format(name), label))
    return tuple(made)


def _names(things: Sequence[Thing], thing: Thing) -> list[str]:
    """How to call a thing so that no other is meant, its texture kept secret."""
    names = []
    if sum(other.shape == thing.shape for other in things) == 1:
        names.append(SHAPES[thing.shape])
    if sum(other.colour == thing.colour for other in things) == 1:
        names.append(f"{HUES[thing.colour]} object")
    return names
