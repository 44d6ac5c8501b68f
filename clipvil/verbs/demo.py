"""The verb `demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipvil.errors import UsageError

ENCODERS = ("tiny:clip", "tiny:supervised", "tiny:random")
SEED = 1_107  # of the demo's scenes, drawn for nothing else: recipes were chosen on other seeds


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Show the main job on the embedded world, offline, in minutes on a laptop."""

    quick: bool = False
    """fewer pictures, sizes and seeds: a minute instead of minutes"""
    out: Path | None = None
    """folder for the world, the cells, results.jsonl and report.html; by default `demo`, or
    `demo-quick` with --quick"""
    jobs: int | None = None
    """cells at a time, one thread each; by default one a core"""

    def run(self) -> int:
        """Write the world, compare the three embedded encoders on it, report."""
        from clipvil import api, progress
        from clipvil.files import read_json, write_json
        from clipvil.verbs.compare import tell_plan, tell_results
        from clipvil.worlds import tabletop

        out = self.out or Path("demo-quick" if self.quick else "demo")
        train, val = (400, 100) if self.quick else (4_000, 400)
        world, done = out / "tabletop", out / "tabletop.json"
        asked = {"seed": SEED, "train": train, "val": val}  # what a finished world was made from
        if done.is_file() and read_json(done) != asked:
            raise UsageError(f"{out} holds another demo: take another --out, or remove it")
        if not done.is_file():
            progress.say(f"drawing {train + 4 * val:,} pictures of the embedded world")
            tabletop.write(world, seed=SEED, train=train, val=val)
            write_json(done, asked)
        comparison = api.plan(
            task="vqa2",
            data=world,
            encoders=ENCODERS,
            baseline="tiny:supervised",
            recipe=api.shortened("tabletop_mcan", 40) if self.quick else "tabletop_mcan",
            shots=("20%", "100%") if self.quick else ("5%", "20%", "100%"),
            seeds=2 if self.quick else 3,
            jobs=self.jobs,
            out=out,
        )
        if not self.quick:
            tell_plan(comparison, api.estimate(comparison), as_json=False)
        records = api.run(comparison, "clipvil demo" + (" --quick" if self.quick else ""))
        tell_results(records, comparison, as_json=False)
        return 0
