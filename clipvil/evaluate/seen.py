"""What arms of a comparison see pictures with: encoders, or features that stand in their place.

`features:PATH` names a store, or a folder of stores that one source made: converted ones, of views
for walks. Their pictures are found by paths, the ends of paths, or numbers (see `Lookup.called`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clipvil.answers.moves import atlas_of
from clipvil.core import Moves
from clipvil.encoders.base import Card, Encoder
from clipvil.errors import UsageError
from clipvil.evaluate import splits
from clipvil.evaluate.run import Arm
from clipvil.features import views
from clipvil.features.lookup import Gathered, Lookup
from clipvil.features.manifest import MANIFEST
from clipvil.features.store import Store
from clipvil.files import SHIFTS

FEATURES = "features:"  # stands before a path where an encoder is named
NAMED = 5  # pictures in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An encoder or given features, and where the features of all pictures are."""

    name: str
    fingerprint: str
    width: int  # of a cell, or of a view
    cells: int  # of a picture, about
    found: Gathered
    card: Card | None  # None where features were converted

    @classmethod
    def by(cls, name: str, encoder: Encoder, found: Gathered) -> Seen:
        """With an encoder's eyes."""
        card = encoder.card
        (height, width), stride = card.preprocessing.size, card.preprocessing.stride
        return cls(
            name=name, fingerprint=card.fingerprint, width=card.width,
            cells=(height // stride) * (width // stride), found=found, card=card,
        )  # fmt: skip

    @property
    def arm(self) -> Arm:
        """The row of a comparison; no encoder where features were given."""
        encoder = None if is_given(self.name) else self.name
        stores = self.found.stores
        return Arm(name=self.name, encoder=encoder, fingerprint=self.fingerprint, stores=stores)


def is_given(name: str) -> bool:
    """Whether it names features, and not an encoder."""
    return name.startswith(FEATURES)


def stores_at(name: str, sight: str = "stored") -> tuple[Path, ...]:
    """The stores that `features:PATH` names.

    Raises
        UsageError: no store, or the recipe encodes pictures as it needs them
        FileNotFoundError: no such path
    """
    if sight != "stored":
        raise UsageError(f"{name} is read and not computed: sight={sight} needs an encoder")
    path = Path(name.removeprefix(FEATURES))
    if not path.exists():
        raise FileNotFoundError(f"no features {path}")
    found = tuple(sorted(place.parent for place in path.rglob(MANIFEST)))
    if not found:
        raise UsageError(
            f"no feature store {path}: `clipvil features convert` makes one of other files"
        )
    return found


def given(name: str, source: splits.Source) -> Seen:
    """Features that stand in an encoder's place, seen to be there for all that a task shows.

    Raises
        UsageError, FileNotFoundError: as `stores_at`; or there are shifted sets of walks
        ValueError: a store is broken, or they differ in who made them; pictures or viewpoints have
            no features (how many, which), or several pictures the same
    """
    paths = stores_at(name)
    stores = [Store(path) for path in paths]
    first = stores[0]
    for store in stores:
        if store.fingerprint != first.fingerprint:
            raise ValueError(f"{first.path} and {store.path} hold features of different encoders")
    walks = isinstance(source.load().answer, Moves)
    if walks:
        unshifted(name, source)
    pictures = splits.all_pictures(source, needed=False)
    fingerprint, width, failures = first.fingerprint, first.width, dict[str, str]()
    if walks:
        fingerprint, width = views.stamp(paths, []), views.check(paths, viewpoints(source))
    else:
        failures = covered(name, Lookup(paths, loosely=True), pictures)
    count = max(1, sum(map(len, stores)))
    found = Gathered(paths, failures, None, sum(store.bytes for store in stores) / count)
    return Seen(
        name=name, fingerprint=fingerprint, width=width, found=found, card=first.card,
        cells=max(1, sum(store.manifest.cells for store in stores) // count),
    )  # fmt: skip


def unshifted(name: str, source: splits.Source) -> None:
    """See that there are no shifted sets of walks, of which given features know nothing.

    Raises
        UsageError: there are
    """
    if shifted := splits.shifts(source.data):
        raise UsageError(
            f"{name} tells viewpoints and not how they look in shifts/{shifted[0]}: name an "
            "encoder, or leave the shifted test sets out"
        )


def viewpoints(source: splits.Source) -> list[views.Viewpoint]:
    """Where walks may lead."""
    purposes, found = source.load().splits, dict[views.Viewpoint, None]()
    parts = [splits.part(source, purposes.fit), splits.select(source)]
    for some in [*parts, *(test for _, test in splits.tests(source))]:
        if some is not None:
            atlas = atlas_of(some.examples)
            scans = (atlas.scans[scan] for scan in atlas.scan)
            found |= dict.fromkeys(zip(scans, atlas.names, strict=True))
    return list(found)


def covered(name: str, lookup: Lookup, pictures: Iterable[str]) -> dict[str, str]:
    """The pictures whose features were broken when they were converted, with the reason.

    Raises
        ValueError: some have no features at all, or share theirs
    """
    called = {picture: lookup.called(picture) for picture in pictures}
    lacking = sorted(picture for picture, own in called.items() if own is None)
    if lacking:
        more = f" and {len(lacking) - NAMED:,} more" if len(lacking) > NAMED else ""
        raise ValueError(
            f"{name} lacks {len(lacking):,} of {len(called):,} pictures: "
            f"{', '.join(lacking[:NAMED])}{more}"
        )
    shared, times = Counter(called.values()).most_common(1)[0]
    if times > 1:
        both = [picture for picture, own in called.items() if own == shared]
        advice = "give stores that tell them apart"
        if any(picture.startswith(f"{SHIFTS}/") for picture in both):
            advice = (
                f"shifted ones need a store of their own (`encode --images DATA/{SHIFTS}`, or ids "
                "that begin with the shift's name), and the folder of both stores is to be named"
            )
        raise ValueError(
            f"{name} has the same features, {shared}, for {times:,} pictures, {both[0]} and "
            f"{both[1]} for two: {advice}"
        )
    reasons = {picture: lookup.broken(picture) for picture in called}
    return {picture: reason for picture, reason in reasons.items() if reason is not None}
