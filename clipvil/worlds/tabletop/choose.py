"""A question about one thing, four answers to choose from, then four rationales.

The wrong choices are drawn as the right one was, never by changing it a little: all four are
equally likely to be right as far as their words go, so a scorer of words alone stays at chance.
Answers name texture and shape, which scenes draw independently and evenly; rationales a colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from clipvil.worlds.tabletop.kinds import HUES
from clipvil.worlds.tabletop.scene import COLOURS, SHAPES, TEXTURES, Dice, T, Thing

CHOICES: Final = 4
Token = str | list[int]  # a word, or things by their places in the scene
_LOOKS: Final = tuple(product(range(len(TEXTURES)), range(len(SHAPES))))
_QUESTIONS: Final = (
    ["What", "is"],
    ["What", "do", "you", "call"],
    ["What", "kind", "of", "thing", "is"],
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is put; colours as `<3>`, `answer` and `rationale` the places of the right ones."""

    question: list[Token]
    answers: list[list[Token]]
    answer: int
    rationales: list[list[Token]]
    rationale: int


def choice(things: Sequence[Thing], dice: Dice) -> Choice:
    """A question about one of the things."""
    place = dice.pick(len(things))
    thing = things[place]
    looks, answer = _among((thing.texture, thing.shape), _LOOKS, dice)
    hues, rationale = _among(thing.colour, range(len(COLOURS)), dice)
    words = _QUESTIONS[dice.pick(len(_QUESTIONS))]
    return Choice(
        [*words, [place], "?"],
        [[[place], "is", "a", TEXTURES[texture], SHAPES[shape], "."] for texture, shape in looks],
        answer,
        [["What", "I", "see", "there", "is", HUES[hue], "."] for hue in hues],
        rationale,
    )


def _among(right: T, every: Sequence[T], dice: Dice) -> tuple[list[T], int]:
    """The right one among others that it could have been, and its place."""
    others = dice.shuffled([one for one in every if one != right])[: CHOICES - 1]
    place = dice.pick(CHOICES)
    return [*others[:place], right, *others[place:]], place
