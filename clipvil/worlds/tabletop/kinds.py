"""The six kinds of questions: what can be asked of some things so that a goal is met.

Texts and answers hold colours as `<3>`, to be spelled out for the colours that a picture shows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from clipvil.worlds.tabletop.describe import article
from clipvil.worlds.tabletop.scene import (
    COLOURS,
    HELD_OUT,
    SHAPES,
    TEXTURES,
    Dice,
    Thing,
    draw_shape,
)

HUES: Final = tuple(f"<{k}>" for k in range(len(COLOURS)))
DIRECTIONS: Final = ("left of", "right of", "above", "below")  # k ^ 1 is the opposite of k
CLEAR: Final = 0.1  # of the side: what is nearer than that is neither left nor right


@dataclass(frozen=True, slots=True)
class Goal:
    """What to ask, before there is a scene: `form` and `phrase` choose the wording."""

    kind: str
    form: float
    phrase: float
    yes: bool
    number: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a `kind`, its answer, what else could be answered, what it is about."""

    kind: str
    text: str
    answer: str
    others: tuple[str, ...]
    about: tuple[Thing, ...]


def _noun(shape: int) -> str:
    return SHAPES[shape]


def _hued(colour: int) -> str:
    return f"{HUES[colour]} object"


def _textured(texture: int) -> str:
    return f"{TEXTURES[texture]} object"


def _full(thing: Thing) -> str:
    return f"{HUES[thing.colour]} {SHAPES[thing.shape]}"


def _pick(options: Sequence[str], goal: Goal) -> str:
    """A wording of a form."""
    return options[int(goal.phrase * len(options))]


def _decided(goal: Goal, text: str, *about: Thing) -> Question:
    """A question whose answer is yes or no."""
    answer, other = ("yes", "no") if goal.yes else ("no", "yes")
    return Question(goal.kind, text, answer, (other,), about)


def _open(goal: Goal, text: str, answer: str, every: Sequence[str], *about: Thing) -> Question:
    """A question whose answer is one of `every`."""
    return Question(goal.kind, text, answer, tuple(a for a in every if a != answer), about)


def _alone(things: Sequence[Thing], attribute: Callable[[Thing], object]) -> list[Thing]:
    """The things that no other equals in an attribute."""
    values = [attribute(t) for t in things]
    return [t for t, value in zip(things, values, strict=True) if values.count(value) == 1]


def _existence(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """A shape, a colour, or a colour and a shape together: there, or not there."""
    thing = things[dice.pick(len(things))]
    shape, colour = thing.shape, thing.colour
    form = int(goal.form * 3)
    if not goal.yes:
        if form == 2 and dice.chance(0.5):  # both are there, on different things
            shape = things[dice.pick(len(things))].shape
        else:
            colour = dice.pick(len(COLOURS))
            shape = draw_shape(dice, colour)
    there = (
        any(t.shape == shape for t in things),
        any(t.colour == colour for t in things),
        any((t.shape, t.colour) == (shape, colour) for t in things),
    )[form]
    if there != goal.yes or (shape, colour) in HELD_OUT:
        return None
    noun = (_noun(shape), _hued(colour), f"{HUES[colour]} {SHAPES[shape]}")[form]
    words = ("Is there {}?", "Is there {} in the picture?", "Can you see {}?")
    return _decided(goal, _pick(words, goal).format(article(noun)), *([thing] if goal.yes else []))


def _colour(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """The colour of the only thing of a shape or texture."""
    by_shape = goal.form < 0.7
    alone = _alone(things, lambda t: t.shape if by_shape else t.texture)
    if not alone:
        return None
    thing = alone[dice.pick(len(alone))]
    noun = _noun(thing.shape) if by_shape else _textured(thing.texture)
    words = ("What colour is the {}?", "What is the colour of the {}?")
    return _open(goal, _pick(words, goal).format(noun), HUES[thing.colour], HUES, thing)


def _shape(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """The shape of the only thing of a colour or texture."""
    by_colour = goal.form < 0.7
    alone = _alone(things, lambda t: t.colour if by_colour else t.texture)
    if not alone:
        return None
    thing = alone[dice.pick(len(alone))]
    noun = _hued(thing.colour) if by_colour else _textured(thing.texture)
    words = ("What shape is the {}?", "What is the shape of the {}?")
    return _open(goal, _pick(words, goal).format(noun), SHAPES[thing.shape], SHAPES, thing)


def _count(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """How many things have a colour, shape or texture: none to three."""
    form = int(goal.form * 3)
    values = [(t.colour, t.shape, t.texture)[form] for t in things]
    num = (len(COLOURS), len(SHAPES), len(TEXTURES))[form]
    fitting = [v for v in range(num) if values.count(v) == goal.number]
    if not fitting:
        return None
    value = fitting[dice.pick(len(fitting))]
    noun = (_hued, _noun, _textured)[form](value)
    about = [t for t, v in zip(things, values, strict=True) if v == value]
    words = ("How many {} are there?", "How many {} are in the picture?", "How many {} do you see?")
    near = [str(k) for k in (goal.number - 1, goal.number + 1) if k >= 0]
    return _open(goal, _pick(words, goal).format(_many(noun)), str(goal.number), near, *about)


def _many(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _apart(one: Thing, other: Thing, direction: int) -> float:
    """How far the first thing lies in a direction, as seen from the second."""
    away = one.x - other.x if direction < 2 else one.y - other.y
    return -away if direction % 2 == 0 else away


def _relation(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """Is this left of that, or what is left of that."""
    alone = _alone(things, lambda t: (t.shape, t.colour))
    for anchor, direction in dice.shuffled([(t, d) for t in alone for d in range(4)]):
        near = [t for t in things if t is not anchor and _apart(t, anchor, direction) > -CLEAR]
        there = [t for t in near if _apart(t, anchor, direction) > CLEAR]
        if goal.form < 0.5:
            named = [t for t in there if t in alone]
            if named:
                words = DIRECTIONS[direction if goal.yes else direction ^ 1]
                text = f"Is the {_full(named[0])} {words} the {_full(anchor)}?"
                return _decided(goal, text, named[0], anchor)
        elif len(near) == len(there) == 1:
            words, found = f"{DIRECTIONS[direction]} the {_full(anchor)}?", there[0]
            if goal.form < 0.75:
                shape = SHAPES[found.shape]
                return _open(goal, f"What shape is {words}", shape, SHAPES, found, anchor)
            hue = HUES[found.colour]
            return _open(goal, f"What colour is the object {words}", hue, HUES, found, anchor)
    return None


def _comparison(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """More of this or that; two things of the same colour, of the same shape, the larger one."""
    form = int(goal.form * 8)  # 0-2 more, 3 same shape, 4-5 same colour, 6-7 larger
    if form < 3:
        return _more(things, goal, dice)
    by_colour = form == 3
    alone = _alone(things, lambda t: t.colour if by_colour else t.shape)
    for one, other in dice.shuffled(list(permutations(alone, 2))):
        if form < 6:
            same = one.shape == other.shape if by_colour else one.colour == other.colour
        elif one.large != other.large:
            same = one.large
        else:
            continue
        if same == goal.yes:
            if by_colour:
                text = f"the {_hued(one.colour)} the same shape as the {HUES[other.colour]} one"
            else:
                how = "the same colour as" if form < 6 else "larger than"
                text = f"the {_noun(one.shape)} {how} the {_noun(other.shape)}"
            return _decided(goal, f"Is {text}?", one, other)
    return None


def _more(things: Sequence[Thing], goal: Goal, dice: Dice) -> Question | None:
    """Two values that are there, one more often than the other."""
    by_colour = goal.phrase < 0.5
    values = [t.colour if by_colour else t.shape for t in things]
    for one, other in dice.shuffled(list(permutations(range(len(things)), 2))):
        more = values.count(values[one]) - values.count(values[other])
        if more * (1 if goal.yes else -1) > 0:
            noun = _hued if by_colour else _noun
            text = f"{_many(noun(values[one]))} than {_many(noun(values[other]))}"
            return _decided(goal, f"Are there more {text}?", things[one], things[other])
    return None


# the ones that find room least often come first
Asker = Callable[[Sequence[Thing], Goal, Dice], Question | None]
ASKERS: Final[Mapping[str, Asker]] = {
    "existence": _existence,
    "colour": _colour,
    "shape": _shape,
    "count": _count,
    "relation": _relation,
    "comparison": _comparison,
}
