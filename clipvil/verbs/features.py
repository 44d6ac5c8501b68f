"""The verb `features`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Say what is in feature stores, or whether they are whole."""

    action: tyro.conf.Positional[Literal["info", "verify"]]
    """info: what is in it; verify: whether every bit is as it was written"""
    stores: tyro.conf.Positional[tuple[Path, ...]]
    """folders that `encode` wrote"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Look at every store; 1 if something is wrong with one."""
        import json

        from clipvil.errors import UsageError

        if not self.stores:
            raise UsageError(f"features {self.action} needs the folder of a store")
        look = info if self.action == "info" else verified
        rows = [look(path) for path in self.stores]
        if self.json:
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
    card, preprocessing = store.card, store.card.preprocessing
    counts = [store.cells(index) for index in range(len(store))]
    height, width = preprocessing.size
    return {
        "path": str(path),
        "encoder": card.name,
        "options": dict(card.options),
        "fingerprint": store.fingerprint,
        "weights": card.weights,
        "layer": card.layer,
        "preprocessing": f"{preprocessing.fit} at {height}x{width}, {preprocessing.interpolation}",
        "dtype": store.dtype,
        "pictures": len(store),
        "cells": sum(counts),
        "cells a picture": [min(counts, default=0), max(counts, default=0)],
        "width": store.width,
        "pooled width": store.pooled_width,
        "shards": len(store.manifest.shards),
        "bytes": store.bytes,
        "failures": dict(store.failures),
        "problems": [],
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
    rows["options"] = ",".join(f"{k}={v}" for k, v in rows["options"].items()) or "none"
    failures = rows.pop("failures")
    lines = [f"  {name:16}{value}" for name, value in rows.items()]
    lines += [f"  left out {identity}: {reason}" for identity, reason in failures.items()]
    return "\n".join([row["path"], *lines])
