"""Questions about a scene, balanced by construction.

What is asked and what the answer shall be (yes or no, which number) is drawn before the scene, and
scenes are drawn until one has room for it. Colours and shapes in questions and answers come from
the scene, where all are equally likely. So a question's words alone say next to nothing.

Texts hold colours as `<3>`, to be spelled out for the colours that a picture finally shows.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Final

from clipvil.worlds.tabletop.kinds import ASKERS, Goal, Question
from clipvil.worlds.tabletop.scene import COLOURS, LINE, Dice, Scene, sample

KINDS: Final = tuple(ASKERS)
PER_PICTURE: Final = len(KINDS) // 2
HIGHEST: Final = 3  # count asked for; four alike would leave no room for other questions
PATIENCE: Final = 200  # scenes to try before asking for the same in other words
RIGHT: Final = 0.9  # how often a person answers right

Said = tuple[str, str]  # an answer, and how sure its giver is


@dataclass(frozen=True, slots=True)
class Asked:
    """A scene with its questions, and ten people's answers to each."""

    scene: Scene
    questions: tuple[Question, ...]
    answers: tuple[tuple[Said, ...], ...]


def asked(seed: int, purpose: int, index: int) -> Asked:
    """Scene `index` with half of the kinds of questions; its neighbour has the other half."""
    dice = Dice(seed, purpose, index, 0)
    goals = list[Goal]()
    for attempt in count():
        if attempt % PATIENCE == 0:  # the same kinds and answers, worded anew
            goals = _goals(seed, purpose, index, dice)
        scene = sample(dice, alike=_alike(goals, dice))
        questions = list[Question]()
        for goal in goals:
            question = ASKERS[goal.kind](scene.things, goal, dice)
            if question is None:
                break
            questions.append(question)
        else:
            return Asked(scene, tuple(questions), tuple(_people(q, dice) for q in questions))
    raise AssertionError("there is always another scene")


def _goals(seed: int, purpose: int, index: int, dice: Dice) -> list[Goal]:
    """What to ask of a scene: the answers out of the deck, the wording as it comes."""
    pair, second = divmod(index % 8, 2)
    kinds, numbers = _deck(seed, purpose, index // 8)[pair]
    half = kinds[PER_PICTURE:] if second else kinds[:PER_PICTURE]
    return [
        Goal(kind, dice.unit(), dice.unit(), numbers[kind] % 2 == 0, numbers[kind]) for kind in half
    ]


@lru_cache(maxsize=2)
def _deck(seed: int, purpose: int, eight: int) -> list[tuple[list[str], dict[str, int]]]:
    """For four pairs of scenes: the kinds in random order, and a number for each.

    Among the eight scenes every kind meets each number once, so yes twice and no twice.
    """
    dice = Dice(seed, purpose, eight, 1)
    numbers = {kind: dice.shuffled(range(HIGHEST + 1)) for kind in KINDS}
    return [
        (dice.shuffled(KINDS), {kind: numbers[kind][pair] for kind in KINDS}) for pair in range(4)
    ]


def spell(text: str, colours: Mapping[int, int] | None = None) -> str:
    """The text with its colours as words, `colours` put in place of the scene's."""
    if "<" not in text:
        return text
    named = re.sub(
        r"<(\d)>", lambda m: COLOURS[int(m[1]) if colours is None else colours[int(m[1])]], text
    )
    return re.sub(r"\ba (?=[aeio])", "an ", named)


def unseen_pairs(asked: Asked, dice: Dice) -> dict[int, int]:
    """A permutation of the colours that shows held-out pairs: what is asked about goes first."""
    about = [thing for question in asked.questions for thing in question.about]
    new = dict[int, int]()
    for thing in (*about, *dice.shuffled(asked.scene.things)):
        mine = dice.shuffled(LINE[4 * thing.shape : 4 * thing.shape + 4])
        free = [colour for _, colour in mine if colour not in new.values()]
        if thing.colour not in new and free:
            new[thing.colour] = free[0]
    left = dice.shuffled([c for c in range(len(COLOURS)) if c not in new.values()])
    return new | dict(zip([c for c in range(len(COLOURS)) if c not in new], left, strict=True))


def _alike(goals: Sequence[Goal], dice: Dice) -> tuple[float, float]:
    """How readily colours and shapes repeat, so that what is to be asked finds room."""
    colours = shapes = 0.15
    for goal in goals:
        if goal.kind == "count" and goal.number > 1 and goal.form < 2 / 3:
            colours, shapes = (0.6, shapes) if goal.form < 1 / 3 else (colours, 0.6)
        elif goal.kind == "comparison" and goal.form < 0.75:
            by_colour = goal.form >= 4 / 8 or (goal.form < 3 / 8 and goal.phrase < 0.5)
            if goal.form < 3 / 8 or goal.yes:
                colours, shapes = (0.5, shapes) if by_colour else (colours, 0.5)
    return (colours, shapes) if dice.chance(0.8) else (0.5, 0.5)


def _people(question: Question, dice: Dice) -> tuple[Said, ...]:
    """Ten answers; each is right nine times in ten, and a likely mistake else."""
    said = []
    for _ in range(10):
        right, which, sure = dice.chance(RIGHT), dice.pick(len(question.others)), dice.unit()
        doubt = 0.85 if right else 0.4
        confidence = "yes" if sure < doubt else "maybe" if sure < (1 + doubt) / 2 else "no"
        said.append((question.answer if right else question.others[which], confidence))
    return tuple(said)
