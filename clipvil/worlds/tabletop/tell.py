"""Instructions: a path's steps told by clues, in one of several wordings each."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from clipvil.worlds.tabletop.clues import Clue, Into, Towards, Turn, at_goal, telling
from clipvil.worlds.tabletop.describe import HUES, NOUNS
from clipvil.worlds.tabletop.plan import PAINTS, House, Landmark
from clipvil.worlds.tabletop.scene import COLOURS, SHAPES, Dice

MOVES: Final = ("walk", "go", "move", "head")
TURNED: Final[dict[str, tuple[str, ...]]] = {
    "left": ("turn left", "make a left", "take a left turn", "go left"),
    "right": ("turn right", "make a right", "take a right turn", "go right"),
    "ahead": ("go straight on", "walk straight ahead", "continue forward", "keep going straight"),
    "back": ("turn around", "turn back", "make a u-turn"),
}
TIMES: Final = {2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times"}
PAST: Final = ("past the {}", "by the {}")
TOWARDS: Final = ("towards the {}", "to the {}", "in the direction of the {}")
ENTER: Final = ("enter the {}", "go into the {}", "walk into the {}", "step into the {}")
ROOMS: Final = ("{} room", "room with {} walls", "room with the {} walls")
STOPS: Final = ("stop", "wait", "stop there", "wait there")
STOPS_BY: Final = (
    "stop by the {}", "wait near the {}", "stop next to the {}", "wait beside the {}",
)  # fmt: skip
JOINTS: Final = (". ", ". ", ", then ", ", and then ", ", ")
TURN: Final = 0.25  # how often a turn is told where something seen would do
ALSO: Final = 0.25  # how often it is told beside what is seen
BY: Final = 0.7  # how often a landmark at the goal is named

Told = tuple[Clue, ...]  # of one step; every one of them by itself leads there


def instruction(house: House, path: Sequence[int], heading: float, dice: Dice) -> str | None:
    """One instruction for a path, or none where no words tell a step from the others."""
    steps = list[Told]()
    for here, there in pairwise(path):
        clues = telling(house, here, heading, there)
        if not clues:
            return None
        steps.append(_choose(clues, dice))
        heading = house.bearing(here, there)
    phrases = _phrases(house, path, steps, dice)
    goal = at_goal(house, path[-1])
    if goal and dice.chance(BY):
        phrases.append(_one(STOPS_BY, dice).format(_named(goal[dice.pick(len(goal))], dice)))
    else:
        phrases.append(_one(STOPS, dice))
    text = phrases[0]
    for phrase in phrases[1:]:
        text += _one(JOINTS, dice) + phrase
    return ". ".join(f"{s[0].upper()}{s[1:]}" for s in text.split(". ")) + "."


def _choose(clues: Sequence[Clue], dice: Dice) -> Told:
    """Mostly what is seen, a room as likely as landmarks, whatever their number; else a turn."""
    turns, *rest = ([c for c in clues if isinstance(c, k)] for k in (Turn, Towards, Into))
    seen = [kind for kind in rest if kind]
    turn, also, which, one = dice.chance(TURN), dice.chance(ALSO), dice.unit(), dice.unit()
    if not seen or (turns and turn):
        return (turns[0],)
    kind = seen[int(which * len(seen))]
    clue = kind[int(one * len(kind))]
    return (turns[0], clue) if turns and also else (clue,)


def _phrases(house: House, path: Sequence[int], steps: Sequence[Told], dice: Dice) -> list[str]:
    """A phrase a step, steps straight on in a row taken together."""
    phrases, straight = list[str](), 0
    for here, step, after in zip(path, steps, [*steps[1:], None], strict=False):
        if step == after == (Turn("ahead"),):
            straight += 1
            continue
        phrase = " ".join(_phrase(clue, here, k > 0, dice) for k, clue in enumerate(step))
        phrases.append(f"{phrase} {TIMES[straight + 1]}" if straight else phrase)
        straight = 0
    return phrases


def _phrase(clue: Clue, here: int, second: bool, dice: Dice) -> str:
    """A clue in words; after another clue it needs no verb."""
    match clue:
        case Turn(to):
            return _one(TURNED[to], dice)
        case Towards(mark):
            words = _one(PAST if mark.cell == here else TOWARDS, dice).format(_named(mark, dice))
            return words if second else f"{_one(MOVES, dice)} {words}"
        case Into(paint):
            room = _one(ROOMS, dice).format(PAINTS[paint])
            return f"into the {room}" if second else _one(ENTER, dice).format(room)


def _named(mark: Landmark, dice: Dice) -> str:
    hue, noun = _one(HUES[COLOURS[mark.colour]], dice), _one(NOUNS[SHAPES[mark.shape]], dice)
    return f"{hue} {noun}"


def _one(words: Sequence[str], dice: Dice) -> str:
    return words[dice.pick(len(words))]
