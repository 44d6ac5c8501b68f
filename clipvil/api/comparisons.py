"""Comparisons of encoders over amounts of training data: planned, estimated, run."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from clipvil import encoders as encoder_families
from clipvil import models, progress, recipes, tasks
from clipvil.api.checks import tell_failures, trainable
from clipvil.core import Data, UsageError
from clipvil.evaluate.protocol import Shots
from clipvil.evaluate.splits import Source

if TYPE_CHECKING:
    from clipvil.evaluate.compare import Comparison
    from clipvil.evaluate.estimate import Estimate
    from clipvil.evaluate.result import Record
    from clipvil.evaluate.workers import Workers
    from clipvil.train.recipe import Recipe

Asked = ParamSpec("Asked")


def plan(
    *,
    task: str,
    data: str | Path,
    encoders: Sequence[str],
    out: str | Path,
    model: str = "mcan",
    recipe: str | Recipe[Any] | None = None,
    shots: Sequence[str] = ("5%", "20%", "100%"),
    seeds: int = 3,
    baseline: str | None = None,
    beside: Sequence[str] = (),
    store: str | Path | None = None,
    jobs: int | None = None,
    limit: int | None = None,
    files: Mapping[tuple[str, str], Path] | None = None,
) -> Comparison:
    """A comparison, checked but not started.

    Unknown names and missing files end here, as does an `out` that holds another comparison.

    Arguments are those of `compare`.
    """
    from clipvil.evaluate import earlier
    from clipvil.evaluate.compare import Comparison, rows_beside
    from clipvil.evaluate.seen import is_given, stores_at

    if not encoders:
        raise UsageError("name at least one encoder; `clipvil list encoders` shows some")
    for name in encoders:
        if not is_given(name):
            encoder_families.parse(name)
    if model not in models.names() and not model.startswith("module:"):
        models.load(model)
    if recipe is None and model.startswith("module:"):
        raise UsageError(
            f"{model} takes a recipe of your own, a Recipe whose `model` it is: --recipe "
            "module:FILE:FUNCTION"
        )
    tasks.load(task)
    named = recipe if isinstance(recipe, str) else recipes.default(task, model)
    made = recipes.load(named) if recipe is None or isinstance(recipe, str) else recipe
    trainable(task, made)
    for name in filter(is_given, encoders):
        stores_at(name, made.sight)
    for amount in shots:
        Shots(amount)
    root = Path(data)
    if not root.is_dir():
        raise ValueError(f"no data folder {root}")
    given = dict(files or {})
    comparison = Comparison(
        source=Source(task, Data(root, given), limit),
        encoders=tuple(encoders),
        recipe=made,
        recipe_name="custom" if made is recipe else named,
        shots=tuple(shots),
        seeds=seeds,
        baseline=baseline or encoders[0],
        out=Path(out),
        store=Path(store) if store is not None else Path(out) / "stores",
        jobs=len(os.sched_getaffinity(0)) if jobs is None else jobs,
        beside=rows_beside(beside, encoders, tasks.load(task)),
    )
    earlier.check(comparison)
    return comparison


def estimate(comparison: Comparison) -> Estimate:
    """Minutes and bytes that a comparison will take, from trying a few pictures and steps."""
    from clipvil.evaluate.estimate import estimate as measure
    from clipvil.evaluate.seen import given, is_given

    names, load = comparison.encoders, encoder_families.load
    return measure(
        comparison, [given(n, comparison.source) if is_given(n) else load(n) for n in names]
    )


def run(
    comparison: Comparison,
    command: str = "clipvil.compare(...)",
    *,
    workers: Workers | None = None,
    programs: bool = True,
) -> list[Record]:
    """Encode, train, answer, score and report; finished parts are not done again.

    Writes `results.jsonl`, `about.json`, `report.html` and the tables into the output folder. They
    are of what is asked for now: what they told of besides is said to be left out.

    Args
        command: what a person typed, for the records
        workers: processes that several comparisons share, instead of ones of its own
        programs: whether METEOR, which takes half a minute, is computed where it can be run
    """
    from clipvil.evaluate import earlier
    from clipvil.evaluate.collect import about, collect
    from clipvil.evaluate.compare import require_known, run_cells
    from clipvil.evaluate.gathering import gather_all
    from clipvil.evaluate.result import ABOUT, RESULTS, write_about, write_records
    from clipvil.evaluate.seen import is_given
    from clipvil.evaluate.splits import all_pictures
    from clipvil.evaluate.summary import summarise
    from clipvil.evaluate.workers import Workers
    from clipvil.files import locked
    from clipvil.report import page

    require_known(comparison)
    hands = Workers(comparison.jobs) if workers is None else nullcontext(workers)
    with locked(comparison.out), hands as at_work:
        started = earlier.started(comparison)
        if lost := earlier.left_out(comparison):
            progress.say(lost)
        needed = not all(map(is_given, comparison.encoders))
        pictures = all_pictures(comparison.source, needed=needed)
        gathered = gather_all(comparison, pictures, at_work)
        for name, some in gathered.items():
            tell_failures(name, some.found.failures)
        seen = [some.arm for some in gathered.values()]
        done = run_cells(at_work, comparison, seen)
        scores = collect(comparison, done, programs=programs)
        records = summarise(scores, comparison.source.load(), baseline=comparison.baseline)
        results = comparison.out / RESULTS
        before = results.read_bytes() if results.is_file() else None
        write_records(results, records)
        told = about(comparison, gathered, done, command, started)
        told = earlier.again(comparison, told, before)
        write_about(comparison.out / ABOUT, told)
        page.write(comparison.out, records, [told])
        (comparison.out / earlier.STARTED).unlink()
    return records


def arguments_of(
    plan: Callable[Asked, Comparison],
) -> Callable[[Callable[..., list[Record]]], Callable[Asked, list[Record]]]:
    """Gives a function that hands its arguments on the signature of `plan`."""

    def signed(function: Callable[..., list[Record]]) -> Callable[Asked, list[Record]]:
        returned = inspect.signature(function).return_annotation
        signature = inspect.signature(plan).replace(return_annotation=returned)
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return signed


@arguments_of(plan)
def compare(**asked: Any) -> list[Record]:
    """Train every encoder at every size, score, report; what is finished is not done again.

    Gives the records of `results.jsonl`: a `Cell` for each figure of a trained model, a `Mean` for
    it over seeds, a `Difference` for two encoders. A `value` that does not exist is None.

    Args
        task: by name (`clipvil list tasks`)
        data: folder with the task's files and pictures
        encoders: by family and name, or `features:PATH`, a store that stands in one's place
        out: folder of report, records and cells
        model: by name (`clipvil list models`)
        recipe: a recipe or its name, by default that of task and model
        shots: shares like `5%` or counts like `100` of training examples
        seeds: repetitions a cell
        baseline: the encoder that the others are compared with, by default the first
        beside: more rows beside each encoder, of `probe` and `zero-shot`
        store: folder of feature stores, by default inside `out`
        jobs: processes of one thread each, by default one a core
        limit: test examples that are answered at most
        files: (role, split) -> path of a task's file that has another name

    Raises
        UsageError: an unknown name; has the nearest ones
        ValueError, FileNotFoundError: files or pictures that are missing or broken; names them
    """
    told = ", ".join(f"{name}={value!r}" for name, value in asked.items())
    return run(plan(**asked), f"clipvil.compare({told})")


def command_line(arguments: Iterable[str]) -> str:
    """A command as somebody would type it."""
    return "clipvil " + " ".join(map(shlex.quote, arguments))
