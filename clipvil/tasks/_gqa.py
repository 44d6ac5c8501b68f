"""GQA's files in columns: questions, valid and plausible answers.

Files    questions: an object, question id -> question; split `train` of the whole set in ten parts
         choices: an object, question id -> `valid` and `plausible` answers
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from clipvil.columns import Column, Interned, Strings, Tuples
from clipvil.core import Example, Humans, Segment
from clipvil.files import SPOILT, decode, open_plain
from clipvil.tasks.base import picture_name


class Types(msgspec.Struct, gc=False):
    """What kind of question it is; open ones are of the structure `query`."""

    structural: str
    semantic: str
    detailed: str


class Groups(msgspec.Struct, rename={"answers": "global"}, gc=False):
    """The group whose distribution of answers is compared; few questions have none."""

    answers: str | None


class Asked(msgspec.Struct, rename={"image": "imageId", "balanced": "isBalanced"}):
    """A question; of hidden ones nothing else is published."""

    question: str
    image: str
    balanced: bool

    def __post_init__(self) -> None:
        picture_name(self.image)


class Answered(Asked):
    """A question with its answer; `annotations` name the objects it is about."""

    answer: str
    types: Types
    groups: Groups
    entailed: list[str]
    annotations: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True)
class Record:
    """What the official scorer reads of a question; None where a file is not there."""

    balanced: bool
    open: bool
    common: bool  # asks what two objects have in common
    group: str | None
    entailed: tuple[str, ...]
    valid: tuple[str, ...] | None = None
    plausible: tuple[str, ...] | None = None
    grounding: float | None = None


@dataclass(slots=True, eq=False)
class Allowed:
    """The valid and the plausible answers to some questions, by place."""

    places: dict[str, int] = field(default_factory=dict)
    valid: Tuples = field(default_factory=Tuples)
    plausible: Tuples = field(default_factory=Tuples)

    def of(self, name: str) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Both for a question; None for one that is not scored."""
        place = self.places.get(name)
        return (None, None) if place is None else (self.valid[place], self.plausible[place])


@dataclass(slots=True, eq=False)
class Questions(Column[Example]):
    """Questions in columns of one length; what only answered ones have is empty for hidden ones."""

    ids: Strings = field(default_factory=Strings)
    images: Interned = field(default_factory=Interned)
    words: Strings = field(default_factory=Strings)
    balanced: bytearray = field(default_factory=bytearray)
    answers: Interned = field(default_factory=Interned)
    structural: Interned = field(default_factory=Interned)
    semantic: Interned = field(default_factory=Interned)
    detailed: Interned = field(default_factory=Interned)
    grouped: bytearray = field(default_factory=bytearray)  # a group may be called ""
    groups: Interned = field(default_factory=Interned)
    entailed: Strings = field(default_factory=Strings)  # joined by blanks
    parts: Interned = field(default_factory=Interned)  # of the whole, where it has some
    allowed: Allowed | None = None
    grounding: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.ids)

    def append(self, name: str, row: Asked, part: str) -> None:
        """Add a question."""
        if part:
            self.parts.append(part)
        self.ids.append(name)
        self.images.append(row.image)
        self.words.append(row.question)
        self.balanced.append(row.balanced)
        if isinstance(row, Answered):
            self.answers.append(row.answer)
            self.structural.append(row.types.structural)
            self.semantic.append(row.types.semantic)
            self.detailed.append(row.types.detailed)
            self.grouped.append(row.groups.answers is not None)
            self.groups.append(row.groups.answers or "")
            self.entailed.append(" ".join(other for other in row.entailed if other != name))

    def row(self, index: int) -> Example:
        """One question."""
        image = self.images[index]
        strata = {"part": self.parts[index]} if self.parts else {}
        if not self.answers:
            target, record = None, None
        else:
            target, record = Humans((self.answers[index],)), self.record(index)
            strata |= {"structural": self.structural[index], "semantic": self.semantic[index]}
        return Example(
            id=self.ids[index],
            cluster=image,
            pictures=(image,),
            text=(Segment(self.words[index]),),
            target=target,
            strata=strata,
            record=record,
        )

    def record(self, index: int) -> Record:
        """What the scorer reads of a question."""
        valid, plausible = self.allowed.of(self.ids[index]) if self.allowed else (None, None)
        return Record(
            balanced=bool(self.balanced[index]),
            open=self.structural[index] == "query",
            common="Common" in self.detailed[index],
            group=self.groups[index] if self.grouped[index] else None,
            entailed=tuple(self.entailed[index].split()),
            valid=valid,
            plausible=plausible,
            grounding=self.grounding[index] if self.grounding else None,
        )


# ---------------------------------------------------------------------------- objects of millions


class Key:
    """A key of a JSON object that equals no other, made by msgspec: a key may be there twice."""

    __slots__ = ("name",)

    def __init__(self, _: type[Key], name: str) -> None:
        self.name = name


def read_entries(path: Path, kind: Any) -> Iterator[tuple[str, Any]]:
    """(key, value) of every entry of a JSON object in file order, a repeated key each time.

    Values are decoded one at a time, so that millions never stand in memory as objects.

    Raises
        ValueError: not such a file, plain or gzipped; names file and entry
    """
    with open_plain(path) as file:
        try:
            entries = decode(file.read(), dict[Key, msgspec.Raw], Key)
        except SPOILT as error:
            raise ValueError(f"{path}: {error}") from error
    decoder = msgspec.json.Decoder(kind)
    for key, value in entries.items():
        try:
            yield key.name, decoder.decode(value)
        except SPOILT as error:
            raise ValueError(f"{path}, entry {key.name!r}: {error}") from error


# ---------------------------------------------------------------------------- choices


class Choice(msgspec.Struct):
    """A row of the choices file."""

    valid: list[str]
    plausible: list[str]


def read_allowed(path: Path, questions: Questions) -> Allowed:
    """The valid and plausible answers to every question that is scored.

    Raises
        ValueError: not such a file, or a question is missing from it
    """
    wanted = {
        name for name, scored in zip(questions.ids, questions.balanced, strict=True) if scored
    }
    allowed = Allowed()
    for name, row in read_entries(path, Choice):
        if name in wanted:
            allowed.places[name] = len(allowed.valid)
            allowed.valid.append(row.valid)
            allowed.plausible.append(row.plausible)
    complete(path, wanted, allowed.places)
    return allowed


def complete(path: Path, wanted: set[str], found: Mapping[str, object]) -> None:
    """Check that a file has all that are wanted."""
    if missing := sorted(wanted - found.keys()):
        listed = ", ".join(missing[:5])
        raise ValueError(f"{path}: {len(missing):,} of {len(wanted):,} are missing: {listed}")
