"""The VQA accuracy: how an answer is cleaned and what it earns, quirks and all.

Source   https://visualqa.org/evaluation.html and the published evaluator of GT-Vision-Lab/VQA
Units    credit lies between 0 and 1

Known quirks, kept because every published figure has them:
- ten equal answers are compared as they were typed: nothing is cleaned, case counts;
- whether a mark is deleted or becomes a blank depends on the whole text, not on its own place;
- only the first 32 periods can go;
- an annotation without an `answer_id` of its own is left out together with its twins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

MARKS = ';/[]"{}()=+\\_-><@`,?!'
PERIOD = re.compile(r"\.(?!\d)")  # the published look-behind is mistyped and always holds
PERIODS = 32  # the published call passes re.UNICODE (= 32) where the count belongs
NUMBER_IN_COMMAS = re.compile(r"\d,\d")
NUMBERS = "zero one two three four five six seven eight nine ten"
DIGITS = {"none": "0"} | {word: str(digit) for digit, word in enumerate(NUMBERS.split())}
ARTICLES = frozenset({"a", "an", "the"})
CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
    mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
    shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd something'd've something'll that's there'd there'd've there're there's
    they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
    why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll
    you're you've
"""


def _contractions() -> dict[str, str]:
    """The published table: each form is known by its spellings with one apostrophe left out."""
    table = {"somebody'd": "somebodyd"}  # published the wrong way round
    for right in CONTRACTED.split():
        for place, letter in enumerate(right):
            if letter == "'":
                table[right[:place] + right[place + 1 :]] = right
    return table


CONTRACTIONS: Mapping[str, str] = _contractions()


KEPT = 1 << 18  # as many as VQA v2 has distinct answers, some 50 MB a cache when full


@lru_cache(KEPT)
def tidy(text: str) -> str:
    """Line ends and tabs become blanks; blanks at both ends go."""
    return text.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(KEPT)
def clean_vqa(text: str) -> str:
    """An answer as the evaluator compares it: `The T-shirt.` and `t shirt` are one answer."""
    text = _without_marks(tidy(text))
    words = [DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_marks(text: str) -> str:
    bare = text
    has_number = NUMBER_IN_COMMAS.search(text) is not None
    for mark in MARKS:
        if mark in text:
            loose = has_number or f"{mark} " in text or f" {mark}" in text
            bare = bare.replace(mark, "" if loose else " ")
    return PERIOD.sub("", bare, count=PERIODS)


def _comparable(humans: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether answers are compared cleaned, and the humans' answers in that form."""
    told = [*map(tidy, humans)]
    if told.count(told[0]) == len(told):
        return False, told
    return True, [*map(clean_vqa, told)]


def credit(answer: str, humans: Sequence[str], marks: Sequence[str] = ()) -> float:
    """What an answer earns: mean over the humans, each left out in turn, of min(1, agreeing / 3).

    Args
        humans: their answers as published, at least one
        marks: what tells equal answers apart, where it does not for all; twins leave together
    """
    cleaned, told = _comparable(humans)
    return _earned(clean_vqa(answer) if cleaned else tidy(answer), told, marks)


def soft(answer: str, humans: Sequence[str]) -> float:
    """What arXiv:1505.00468 writes and many evaluators compute: min(1, agreeing / 3), all cleaned.

    Nobody is left out, and ten equal answers are cleaned too: the official figure is another one.
    """
    said = clean_vqa(answer)
    return min(1.0, sum(clean_vqa(human) == said for human in humans) / 3)


def credits(humans: Sequence[str], marks: Sequence[str] = ()) -> dict[str, float]:
    """Every text that the humans agree on enough to earn something -> what it earns."""
    cleaned, told = _comparable(humans)
    # a text is cleaned once more as an answer; with more than 32 periods that changes it
    earned = {text: _earned(clean_vqa(text) if cleaned else text, told, marks) for text in told}
    return {text: credit for text, credit in earned.items() if credit > 0}


def _earned(said: str, told: Sequence[str], marks: Sequence[str]) -> float:
    same = told.count(said)
    differed = (len(told) - same) * min(1.0, same / 3)  # the one left out said something else
    if not marks:  # the one left out said the same
        agreed = same * min(1.0, (same - 1) / 3)
    else:
        twins = Counter(mark for human, mark in zip(told, marks, strict=True) if human == said)
        agreed = sum(num * min(1.0, (same - num) / 3) for num in twins.values())
    return (agreed + differed) / len(told)
