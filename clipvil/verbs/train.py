"""The verb `train`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from clipvil.errors import UsageError

if TYPE_CHECKING:
    from clipvil.train.fit import Fitted
    from clipvil.train.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Train one model on one encoder's features; goes on where it was.

    Fields of the recipe follow as options, such as --config.width 256 or --stages.0.batch 16;
    `clipvil train RECIPE --help` lists them with their values.
    """

    recipe: tyro.conf.Positional[str]
    """how it is trained, or a row of a paper (see `clipvil list recipes`)"""
    data: Path
    """folder with the task's files and pictures"""
    encoder: str | None = None
    """the encoder, such as tiny:clip; by default the row's; or features:STORE, features
    that stand in its place, which for walks may be R2R's TSV or HDF5 too"""
    task: str | None = None
    """the task; by default the row's, or what the recipe's name begins with (tabletop_mcan: vqa2,
    tabletop_captioner: coco_caption)"""
    shots: str = "100%"
    """amount of training data: a share or a count"""
    seed: int = 0
    """seed of the data, the first weights and the order"""
    store: Path | None = None
    """folder of feature stores; by default inside --out"""
    file: tuple[str, ...] = ()
    """files under other names, as ROLE/SPLIT=PATH, such as questions/train=q.json"""
    dry_run: bool = False
    """print files, sizes, steps and disk, then stop"""
    json: bool = False
    """print what --dry-run found as JSON"""
    out: Path | None = None
    """the run folder; by default runs/RECIPE"""
    fields: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()

    @classmethod
    def parse(cls, options: Sequence[str]) -> Verb:
        """Known options first; what is left are fields of the recipe, which help lists too."""
        if {"-h", "--help"} & {*options} and not options[0].startswith("-"):
            with suppress(SystemExit):
                known(cls, ["--help"])
            changed(options[0], ["--help"])
        verb, rest = known(cls, options)
        return replace(verb, fields=tuple(rest))

    def run(self) -> int:
        """Encode what is missing, fit, say what came out."""
        if self.seed < 0:
            raise UsageError("--seed: at least 0")
        from clipvil import api, progress, recipes
        from clipvil.evaluate.cell import fitted_in, stage_folder
        from clipvil.features.lookup import slug
        from clipvil.verbs.compare import given

        recipe, row = recipes.load(self.recipe), recipes.rows().get(self.recipe)
        encoder = self.encoder or (row and row.encoder)
        if encoder is None:
            raise UsageError(f"{self.recipe} needs --encoder; only a paper's rows bring their own")
        if self.fields:
            recipe = changed(self.recipe, self.fields)
        out = self.out or Path("runs") / slug(self.recipe)
        asked: dict[str, Any] = {
            "task": self.task or recipes.task_of(self.recipe), "data": self.data,
            "encoder": encoder, "shots": self.shots, "seed": self.seed, "store": self.store,
            "files": given(self.file), "out": out,
        }  # fmt: skip
        if self.dry_run:
            if row is not None and not self.json:
                print(row.summary)
                if row.known:
                    print(f"what was published differs: {row.known}")
                print(f"that is with the published data; with the files in {self.data}:")
            tell(api.preview(recipe, **asked), as_json=self.json)
            return 0
        fitted = api.train(recipe, **asked)
        count = len(recipe.stages)
        for number in range(1, count):
            before = fitted_in(stage_folder(out, number, count))
            assert before is not None, number
            progress.say(f"stage {number} of {count}: {outcome(before)}")
        last = f"stage {count} of {count}: " if count > 1 else ""
        progress.say(f"wrote {out}: {last}{outcome(fitted)}")
        return 0


def outcome(fitted: Fitted) -> str:
    """How a stage ended."""
    of = f"at step {fitted.step}" if fitted.step else "of the weights it began with, which stay"
    return (
        f"{fitted.steps} steps, {fitted.epochs:.1f} epochs, final loss {fitted.loss:.4f}, "
        f"selection score {fitted.best:.2f} {of}"
        + ("" if fitted.converged else "; it was still rising: not converged")
    )


def known(kind: type[Verb], options: Sequence[str]) -> tuple[Verb, list[str]]:
    """The verb's own options, and those that it does not know."""
    return tyro.cli(
        kind, prog="clipvil train", args=list(options), return_unknown_args=True,
        config=(tyro.conf.FlagCreatePairsOff,),
    )  # fmt: skip


def changed(name: str, fields: Sequence[str]) -> Recipe[Any]:
    """A recipe with some of its fields given as options."""
    from clipvil import recipes
    from clipvil.train.recipe import Recipe

    recipe = recipes.load(name)
    kind: Any = Recipe[type(recipe.config)]  # type: ignore[misc]  # known at run time
    made: Recipe[Any] = tyro.cli(
        kind, default=recipe, prog=f"clipvil train {name}", args=list(fields)
    )
    return made


def tell(found: dict[str, Any], *, as_json: bool) -> None:
    """What a run would be made from and take."""
    import json

    from clipvil import progress

    if as_json:
        print(json.dumps(found))
        return
    for file in found["files"]:
        print(f"{file['split']} {file['role']}: {file['path']}, {progress.size(file['bytes'])}")
    cells = " x ".join(map(str, found["cells"]))
    given = len(found["cells"]) == 1  # features that stand in an encoder's place
    shown = f"about {cells} cells or views" if given else f"{cells} cells"
    shown += f" of width {found['width']:,} for a picture" + ("" if given else " of 4 : 3")
    where = "beside its" if found["sight"] == "lora" else "of its"
    if found["encoder_parameters"] is not None:
        shown += (
            f", {found['trained']:,} parameters trained {where} {found['encoder_parameters']:,}"
        )
    counts = ", ".join(f"{count:,} {name}" for name, count in found["counts"].items())
    stages = "\n".join(
        f"{stage['steps']:,} steps of {stage['batch']}, {stage['epochs']:.1f} epochs, "
        f"{stage['optimizer']} at {stage['rate']:g}, {stage['precision']}"
        + ("" if stage["objective"] == "loss" else f", on {stage['objective']}")
        + (f" ({stage['bound']})" if stage["bound"] else "")
        for stage in found["stages"]
    )
    print(
        f"examples: {found['fit']:,} to fit, {found['select']:,} to select, {found['test']:,} to "
        f"report; {counts}\n"
        f"{found['encoder']}: {shown}\n"
        f"{found['model']}: {found['parameters']:,} parameters\n"
        f"{stages}\n"
        f"disk: {progress.size(found['feature_bytes'])} of features for {found['encode']:,} of "
        f"{found['pictures']:,} pictures, {progress.size(found['run_bytes'])} of checkpoints, "
        f"{progress.size(found['free_bytes'])} free"
    )
