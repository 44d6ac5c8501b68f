"""What we promise of the houses' instructions: whoever understands them arrives, no one else."""

import math
import random
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from clipvil.worlds.tabletop.clues import Towards, telling
from clipvil.worlds.tabletop.houses import paths
from clipvil.worlds.tabletop.panorama import panorama
from clipvil.worlds.tabletop.plan import PAINTS, House, apart, bearing, house
from clipvil.worlds.tabletop.rays import seen
from clipvil.worlds.tabletop.scene import HELD_OUT, Dice
from clipvil.worlds.tabletop.tell import instruction

Walk = tuple[House, tuple[int, ...], float, str]  # plan, path, heading at its start, words

COLOURS = ("red", "orange", "yellow", "green", "cyan|turquoise", "blue", "purple|violet", "pink")
SHAPES = (
    "circle|disc", "square|box", "triangle", "diamond", "star", "cross|plus", "ring|hoop", "heart",
    "moon|crescent", "arrow",
)  # fmt: skip
TURNS = {  # degrees to the right
    r"turn left|make a left|left turn|go left": -90,
    r"turn right|make a right|right turn|go right": 90,
    r"straight|forward": 0,
    r"turn around|turn back|u-turn": 180,
}
TIMES = ("", "", "twice", "three times", "four times", "five times", "six times")


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    found = list[Walk]()
    dice = Dice(99)
    for index in range(8):
        plan = house(21, index)
        for path in paths(plan):
            heading = dice.between(0, 2 * math.pi)
            words = instruction(plan, path, heading, dice)
            if words is not None:
                found.append((plan, path, heading, words))
    assert len(found) > 400
    return found


def clauses(words: str) -> Iterator[str]:
    """What is said of one step each, and at last where to stop."""
    for clause in re.split(r"\. |, and then |, then |, ", words.lower().rstrip(".")):
        times = [k for k, told in enumerate(TIMES) if told and clause.endswith(told)]
        yield from [clause] * (times[0] if times else 1)


def turn_of(clause: str) -> float | None:
    angles = [angle for words, angle in TURNS.items() if re.search(rf"\b({words})\b", clause)]
    assert len(angles) <= 1, clause
    return math.radians(angles[0]) if angles else None


def landmark_of(plan: House, clause: str) -> tuple[float, float] | None:
    for mark in plan.landmarks:
        if re.search(rf"\b({COLOURS[mark.colour]}) ({SHAPES[mark.shape]})\b", clause):
            return mark.x, mark.y
    return None


def paint_of(clause: str) -> int | None:
    said = re.search(r"room with (?:the )?(\w+) walls", clause) or re.search(r"(\w+) room", clause)
    return PAINTS.index(said[1]) if said else None


def understood(plan: House, here: int, heading: float, clause: str) -> int:
    """The step that a clause tells: all that it names leads to one neighbour."""
    ways, choices = plan.neighbours(here), set[int]()

    def nearest(direction: float) -> int:
        return min(ways, key=lambda n: abs(apart(plan.bearing(here, n), direction)))

    turn, mark, paint = turn_of(clause), landmark_of(plan, clause), paint_of(clause)
    if turn is not None:
        choices.add(nearest(heading + turn))
    if mark is not None:
        choices.add(nearest(bearing(plan.viewpoints[here], mark)))
    if paint is not None:
        (room,) = [n for n in ways if plan.rooms[plan.room_of[n]].paint == paint
                   and plan.room_of[n] != plan.room_of[here]]  # fmt: skip
        choices.add(room)
    (choice,) = choices
    return choice


def test_whoever_understands_the_words_arrives(walks: list[Walk]) -> None:
    for plan, path, heading, words in walks:
        here = path[0]
        *told, stop = clauses(words)
        assert len(told) == len(path) - 1, words
        assert re.match("stop|wait", stop)
        for clause, expected in zip(told, path[1:], strict=True):
            there = understood(plan, here, heading, clause)
            assert there == expected, (words, clause)
            heading, here = plan.bearing(here, there), there
        if (mark := landmark_of(plan, stop)) is not None:
            ends = [math.dist(mark, viewpoint) for viewpoint in plan.viewpoints]
            assert ends[here] < 4


def arrived(walks: list[Walk], step: Callable[[Walk, int, float, int, str], int]) -> float:
    """How often a way of stepping ends at the goal, told when to stop."""
    hits = 0
    for walk in walks:
        plan, path, heading, words = walk
        here, before = path[0], -1
        for _, clause in zip(path[1:], clauses(words), strict=False):
            there = step(walk, here, heading, before, clause)
            heading, before, here = plan.bearing(here, there), here, there
        hits += here == path[-1]
    return hits / len(walks)


def test_who_does_not_listen_does_not_arrive(walks: list[Walk]) -> None:
    chance = random.Random(0)

    def at_random(walk: Walk, here: int, heading: float, before: int, clause: str) -> int:
        return chance.choice(walk[0].neighbours(here))

    def onward(walk: Walk, here: int, heading: float, before: int, clause: str) -> int:
        ways = walk[0].neighbours(here)
        return chance.choice([n for n in ways if n != before] or ways)

    def straight(walk: Walk, here: int, heading: float, before: int, clause: str) -> int:
        plan = walk[0]
        return min(plan.neighbours(here), key=lambda n: abs(apart(plan.bearing(here, n), heading)))

    assert arrived(walks, at_random) < 0.08
    assert arrived(walks, onward) < 0.25
    assert arrived(walks, straight) < 0.3


def test_turns_alone_are_not_enough(walks: list[Walk]) -> None:
    chance = random.Random(0)

    def blind(walk: Walk, here: int, heading: float, before: int, clause: str) -> int:
        plan, turn = walk[0], turn_of(clause)
        ways = plan.neighbours(here)
        if turn is None:
            return chance.choice([n for n in ways if n != before] or ways)
        return min(ways, key=lambda n: abs(apart(plan.bearing(here, n), heading + turn)))

    assert arrived(walks, blind) < 0.45


def test_no_two_people_say_the_same(walks: list[Walk]) -> None:
    assert len({words for *_, words in walks}) > 0.99 * len(walks)
    lengths = [len(words.split()) for *_, words in walks]
    assert max(lengths) <= 80, "agents read no more words"
    assert np.mean(lengths) > 15


def test_a_landmark_that_tells_a_step_is_whole_in_its_view() -> None:
    plan, checked = house(21, 0), 0
    for here in (0, 5, 10):
        views = np.stack(list(panorama(plan, here))).astype(int)
        for there in plan.neighbours(here):
            way = plan.bearing(here, there)
            view = 12 + round(way / (math.pi / 6)) % 12
            for clue in telling(plan, here, way, there):
                if not isinstance(clue, Towards):
                    continue
                (heading,) = [h for mark, h, _ in seen(plan, here) if mark == clue.mark]
                off = apart(heading, (view - 12) * math.pi / 6)
                assert abs(off) < math.radians(30)
                column = 32 + 32 / math.tan(math.pi / 6) * math.tan(off)
                beside = views[view][24:44, max(0, round(column) - 6) : round(column) + 6]
                assert beside.reshape(-1, 3).std(0).max() > 12, "something stands out there"
                checked += 1
    assert checked > 2


def test_every_way_goes_by_a_door_or_in_the_open() -> None:
    for index in range(6):
        plan = house(4, index)
        reached, ahead = {0}, [0]
        while ahead:
            new = [n for n in plan.neighbours(ahead.pop()) if n not in reached]
            reached |= set(new)
            ahead += new
        assert len(reached) == len(plan.viewpoints)
        lengths = [plan.metres(a, b) for a, b in plan.ways]
        assert min(lengths) > 3
        looks = {(mark.shape, mark.colour) for mark in plan.landmarks}
        assert len(looks) == len(plan.landmarks), "a name is one landmark's"
        assert not looks & HELD_OUT, "shown nowhere but in the shift of that name"
        for path in paths(plan):
            assert all(b in plan.neighbours(a) for a, b in pairwise(path))
            assert len(set(path)) == len(path)
