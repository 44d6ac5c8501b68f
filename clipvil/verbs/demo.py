"""The verb `demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipvil.errors import UsageError

ENCODERS = ("tiny:clip", "tiny:supervised", "tiny:random")
BASELINE = "tiny:supervised"
SEED = 1_107  # of the demo's scenes, drawn for nothing else: recipes were chosen on other seeds


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Show the main job on the embedded world, offline, in minutes on a laptop."""

    quick: bool = False
    """fewer pictures, sizes and seeds, no multiple choice: a minute instead of minutes"""
    out: Path | None = None
    """folder for the world, the cells, results.jsonl and report.html; by default `demo`, or
    `demo-quick` with --quick"""
    jobs: int | None = None
    """cells at a time, one thread each; by default one a core"""

    def run(self) -> int:
        """Write the worlds, compare the embedded encoders on them, report."""
        from clipvil import api
        from clipvil.verbs.compare import tell_plan, tell_results

        out = self.out or Path("demo-quick" if self.quick else "demo")
        train, val = (400, 100) if self.quick else (4_000, 300)
        comparison = api.plan(
            task="vqa2",
            data=world(out / "tabletop", seed=SEED, train=train, val=val),
            encoders=ENCODERS,
            baseline=BASELINE,
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
        if not self.quick:
            self.choices(out)
        return 0

    def choices(self, out: Path) -> None:
        """The same on multiple choice, one size and seed of it; both into one report."""
        from clipvil import api, progress
        from clipvil.evaluate import result, summary
        from clipvil.report import page
        from clipvil.verbs.compare import tell_results

        where = out / "choices"
        scenes = {"seed": SEED + 1, "train": 1_000, "val": 200, "shifts": False, "tasks": ["vcr"]}
        comparison = api.plan(
            task="vcr",
            data=world(where / "tabletop", **scenes),
            encoders=ENCODERS[:2],
            baseline=BASELINE,
            recipe="tabletop_mcan_choices",
            shots=("100%",),
            seeds=1,
            jobs=self.jobs,
            out=where,
        )
        records = api.run(comparison, "clipvil demo")
        tell_results(records, comparison, as_json=False)
        paths = [folder / result.RESULTS for folder in (out, where)]
        merged = result.merge({path: result.read_records(path) for path in paths})
        abouts = [result.read_about(folder / result.ABOUT) for folder in (out, where)]
        page.write(out, summary.readjust(merged), abouts)
        progress.say(f"{out}/report.html shows both")


def world(root: Path, **asked: Any) -> Path:
    """A folder with the world that is asked for.

    Raises
        UsageError: another one is there
    """
    from clipvil import progress
    from clipvil.files import read_json, write_json
    from clipvil.worlds import tabletop

    made = root.with_suffix(".json")  # what a finished world was made from
    if made.is_file() and read_json(made) != asked:
        raise UsageError(f"{root.parent} holds another demo: take another --out, or remove it")
    if not made.is_file():
        progress.say(f"drawing {asked['train'] + asked['val']:,} scenes of the embedded world")
        tabletop.write(root, **asked)
        write_json(made, asked)
    return root
