"""Captions: what lies on the table, said in many ways.

Every caption of a scene uses up random numbers in a way that does not depend on colours, so that a
recoloured scene is described in the same words but for the colours.
"""

from typing import Final

from clipvil.worlds.tabletop.scene import COLOURS, SHAPES, TEXTURES, Dice, Scene, Thing

NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "circle": ("circle", "disc"), "square": ("square", "box"), "triangle": ("triangle",),
    "diamond": ("diamond",), "star": ("star",), "cross": ("cross", "plus"),
    "ring": ("ring", "hoop"), "heart": ("heart",), "moon": ("moon", "crescent"),
    "arrow": ("arrow",),
}  # fmt: skip
HUES: Final[dict[str, tuple[str, ...]]] = {
    "red": ("red",), "orange": ("orange",), "yellow": ("yellow",), "green": ("green",),
    "cyan": ("cyan", "turquoise"), "blue": ("blue",), "purple": ("purple", "violet"),
    "pink": ("pink",),
}  # fmt: skip
SURFACES: Final[dict[str, tuple[str, ...]]] = {
    "plain": ("plain",), "striped": ("striped", "stripy"), "dotted": ("dotted", "spotted"),
}  # fmt: skip
EXTENTS: Final = (("small", "little", "tiny"), ("large", "big"))
PLACES: Final = {
    "left": ("left of", "to the left of"), "right": ("right of", "to the right of"),
    "above": ("above", "over"), "below": ("below", "under"),
}  # fmt: skip
NUMBERS: Final = ("no", "one", "two", "three", "four", "five")
OPENINGS: Final = ("", "", "", "a picture of ", "there is ", "this shows ", "we see ")
ENDINGS: Final = ("", "", "", " on a table", " lying on a table", " together")
THINGS: Final = ("shapes", "things", "objects")


def captions(scene: Scene, dice: Dice, num: int = 5) -> list[str]:
    """That many captions, each a sentence."""
    return [_sentence(_caption(scene, dice)) for _ in range(num)]


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def side(one: Thing, other: Thing) -> str:
    """Where the first thing is as seen from the second, along the longer of the two ways."""
    across, down = one.x - other.x, one.y - other.y
    if abs(across) >= abs(down):
        return "left" if across < 0 else "right"
    return "above" if down < 0 else "below"


def _caption(scene: Scene, dice: Dice) -> str:
    phrases = [_phrase(t, dice) for t in scene.things]
    order = dice.shuffled(range(len(phrases)))
    named = [phrases[k] for k in order]
    kind, opening, ending = dice.unit(), dice.pick(len(OPENINGS)), dice.pick(len(ENDINGS))
    one, two = dice.unit(), dice.unit()
    if kind < 0.4:
        return OPENINGS[opening] + _list(named) + ENDINGS[ending]
    if kind < 0.75:
        first, second = scene.things[order[0]], scene.things[order[1]]
        words = PLACES[side(first, second)]
        text = f"{named[0]} {words[int(one * len(words))]} {named[1]}"
        rest = f", and {_list(named[2:])}" if named[2:] and two < 0.7 else ""
        return OPENINGS[opening] + text + rest
    noun = THINGS[int(one * len(THINGS))]
    shown = named if two < 0.6 else named[:2]
    joint = ": " if len(shown) == len(named) else ", among them "
    return f"{NUMBERS[len(named)]} {noun}{joint}{_list(shown)}"


def _phrase(thing: Thing, dice: Dice) -> str:
    """The thing with some of its attributes; always six random numbers."""
    extents, surfaces = EXTENTS[thing.large], SURFACES[TEXTURES[thing.texture]]
    hues, nouns = HUES[COLOURS[thing.colour]], NOUNS[SHAPES[thing.shape]]
    sized, surfaced, coloured = dice.chance(0.4), dice.chance(0.4), dice.chance(0.8)
    one, two, three = dice.unit(), dice.unit(), dice.unit()
    words = [
        *([extents[int(one * len(extents))]] if sized else []),
        *([surfaces[int(two * len(surfaces))]] if surfaced else []),
        *([hues[int(one * len(hues))]] if coloured else []),
        nouns[int(three * len(nouns))],
    ]
    return article(" ".join(words))


def _list(phrases: list[str]) -> str:
    *most, last = phrases
    return f"{', '.join(most)} and {last}" if most else last


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    texts = (
        *(word for table in (NOUNS, HUES, SURFACES, PLACES) for v in table.values() for word in v),
        *(word for words in EXTENTS for word in words),
        *NUMBERS, *OPENINGS, *ENDINGS, *THINGS, "a an and among them",
    )  # fmt: skip
    return tuple(sorted({word for text in texts for word in text.lower().split()}))
