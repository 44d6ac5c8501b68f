"""The verb `features`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg

from clipvil.errors import UsageError, at_least_one

if TYPE_CHECKING:
    from clipvil.features.store import Store

WORST = 10  # pictures that a comparison names


Stores = Annotated[
    Positional[tuple[Path, ...]], arg(metavar="STORE [STORE ...]", help_behavior_hint="")
]


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what is in stores."""

    stores: Stores
    """folders that `encode` or `features convert` wrote"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Look at every store; 1 if one cannot be read."""
        return looked(self.stores, info, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """See whether every bit of stores is as it was written."""

    stores: Stores
    """folders that `encode` or `features convert` wrote"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Read every store from front to back; 1 if something is wrong with one."""
        return looked(self.stores, verified, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Compare two stores picture by picture."""

    stores: Annotated[Positional[tuple[Path, Path]], arg(metavar="STORE STORE")]
    """folders that `encode` or `features convert` wrote"""
    limit: int | None = None
    """only the first so many pictures"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Compare; 1 if a picture could not be compared or is in one only."""
        import json

        at_least_one(limit=self.limit)
        from clipvil.features.store import Store

        first, second = (Store(path) for path in self.stores)
        row = compared(first, second, self.limit)
        if self.json:
            print(json.dumps(row, indent=1))
        else:
            show(row)
        apart = row["only in the first"] or row["only in the second"] or row["not compared"]
        return 1 if apart else 0


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Make a store of features in another format; goes on where it was."""

    source: Annotated[Positional[Path], arg(metavar="PATH")]
    """a .tsv or .h5 file, or a folder of .npy, .npz or .pth"""
    out: Path
    """folder of the store"""
    name: str
    """what made the features, such as butd-36; stores of one name are one set"""
    pooled: Path | None = None
    """folder of pooled vectors, ID.npy each"""
    images: Path | None = None
    """the pictures, for their sizes; a grid then spans the whole picture"""
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    """how features are stored"""
    limit: int | None = None
    """only the first so many pictures"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Convert and say what was left out; 1 if an entry was broken."""
        import json
        from dataclasses import asdict

        from clipvil import progress

        at_least_one(limit=self.limit)
        if not self.name:
            raise UsageError("--name is empty: say what made the features, such as butd-36")
        from clipvil.features.convert import Given, convert

        given = Given(
            source=self.source,
            name=self.name,
            dtype=self.dtype,
            pooled=self.pooled,
            images=self.images,
            limit=self.limit,
        )
        done = convert(given, self.out)
        if self.json:
            print(json.dumps(asdict(done) | {"path": str(done.path)}, indent=1))
        for identity, reason in done.failures.items():
            progress.say(f"left out {identity}: {reason}")
        progress.say(
            f"wrote {done.path}: {done.pictures:,} pictures of a {done.format} in "
            f"{progress.size(done.bytes)}, {done.converted:,} entries read now in "
            f"{progress.duration(done.seconds)}; {len(done.failures)} left out"
        )
        return 1 if done.failures else 0


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Say what is in feature stores, verify or compare them, or convert features into one."""

    action: OmitArgPrefixes[OmitSubcommandPrefixes[Info | Verify | Diff | Convert]]

    def run(self) -> int:
        """What the action gives."""
        return self.action.run()


def looked(stores: Sequence[Path], look: Callable[[Path], dict[str, Any]], *, as_json: bool) -> int:
    """Print what is found in every store; 1 if something is wrong with one."""
    import json

    if not stores:
        raise UsageError("name the folder of a store")
    rows = [look(path) for path in stores]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print("\n\n".join(map(told, rows)))
    return 1 if any(row["problems"] for row in rows) else 0


def verified(path: Path) -> dict[str, Any]:
    """Whether a store is whole."""
    from clipvil.features import store

    return {"path": str(path), "problems": store.verify(path)}


def info(path: Path) -> dict[str, Any]:
    """What a store holds."""
    from clipvil.features.store import Store

    try:
        store = Store(path)
    except (ValueError, OSError) as error:
        return {"path": str(path), "problems": [str(error)]}
    counts = [store.cells(index) for index in range(len(store))]
    boxes = bool(counts) and store.boxes(0) is not None
    return {
        "path": str(path),
        **maker(store),
        "fingerprint": store.fingerprint,
        "dtype": store.dtype,
        "pictures": len(store),
        "cells": sum(counts),
        "cells a picture": [min(counts, default=0), max(counts, default=0)],
        "boxes": boxes,
        "width": store.width,
        "pooled width": store.pooled_width,
        "shards": len(store.manifest.shards),
        "bytes": store.bytes,
        "failures": dict(store.failures),
        "problems": [],
    }


def maker(store: Store) -> dict[str, Any]:
    """What made the features."""
    card, origin = store.card, store.manifest.origin
    if card is None:
        assert origin is not None
        return {"name": origin.name, "converted from": origin.format}
    preprocessing = card.preprocessing
    height, width = preprocessing.size
    return {
        "encoder": card.name,
        "options": dict(card.options),
        "weights": card.weights,
        "layer": card.layer,
        "preprocessing": f"{preprocessing.fit} at {height}x{width}, {preprocessing.interpolation}",
    }


def told(row: dict[str, Any]) -> str:
    """A store for a person to read."""
    from clipvil import progress

    rows = {k: v for k, v in row.items() if k not in ("path", "problems")}
    if row["problems"]:
        return "\n".join([row["path"], *(f"  {problem}" for problem in row["problems"])])
    if not rows:
        return f"{row['path']}\n  whole"
    least, most = rows["cells a picture"]
    rows["cells a picture"] = str(least) if least == most else f"{least} to {most}"
    rows["bytes"] = progress.size(rows["bytes"])
    if "options" in rows:
        rows["options"] = ",".join(f"{k}={v}" for k, v in rows["options"].items()) or "none"
    failures = rows.pop("failures")
    lines = [f"  {name:16}{value}" for name, value in rows.items()]
    lines += [f"  left out {identity}: {reason}" for identity, reason in failures.items()]
    return "\n".join([row["path"], *lines])


def compared(first: Store, second: Store, limit: int | None) -> dict[str, Any]:
    """Two stores as plain data: a summary, and every picture that both have."""
    from dataclasses import asdict

    from clipvil import progress
    from clipvil.features.diff import compare

    both = min(len(first.ids.keys() & second.ids.keys()), limit or len(first))
    tracked = progress.track(compare(first, second, limit), "pictures", total=both)
    pictures = [asdict(difference) for difference in tracked]
    known = [p for p in pictures if p["cosine"] is not None]
    pooled = [p["pooled"] for p in known if p["pooled"] is not None]
    return {
        "stores": [str(first.path), str(second.path)],
        "dtypes": [first.dtype, second.dtype],
        "compared": len(known),
        "cosine": sum(p["cosine"] for p in known) / len(known) if known else None,
        "lowest cosine": min((p["lowest"] for p in known), default=None),
        "largest difference": max((p["largest"] for p in known), default=None),
        "lowest pooled cosine": min(pooled, default=None),
        "not compared": len(pictures) - len(known),
        "only in the first": sorted(first.ids.keys() - second.ids.keys()),
        "only in the second": sorted(second.ids.keys() - first.ids.keys()),
        "pictures": pictures,
    }


def show(row: dict[str, Any]) -> None:
    """The summary and the pictures that are furthest apart, on the terminal."""
    from rich.markup import escape
    from rich.table import Column, Table

    from clipvil.verbs.compare import terminal

    console = terminal()
    console.print(f"{row['stores'][0]} ({row['dtypes'][0]}) and {row['stores'][1]} "
                  f"({row['dtypes'][1]})", markup=False)  # fmt: skip
    for name in ("compared", "cosine", "lowest cosine", "largest difference",
                 "lowest pooled cosine", "not compared"):  # fmt: skip
        if row[name] is not None:
            console.print(f"  {name:22}{row[name]:.6g}")
    for name in ("only in the first", "only in the second"):
        if row[name]:
            more = " ..." if len(row[name]) > WORST else ""
            said = f"  {name:22}{len(row[name]):,}: {', '.join(row[name][:WORST])}{more}"
            console.print(said, markup=False)
    worst = sorted(row["pictures"], key=lambda p: -2 if p["reason"] else p["lowest"])[:WORST]
    table = Table(Column("picture", overflow="fold"), "cosine", "lowest", "largest difference",
                  title="furthest apart", title_justify="left")  # fmt: skip
    if any(picture["reason"] for picture in worst):
        table.add_column("not compared")
    for picture in worst:
        numbers = (picture["cosine"], picture["lowest"], picture["largest"])
        figures = [f"{n:.6g}" for n in numbers if n is not None] or ["", "", "", picture["reason"]]
        table.add_row(escape(picture["id"]), *figures)
    console.print(table)
