"""Processes that cells are handed to, each one thread: `python -m clipvil.evaluate.workers`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from clipvil import processes, progress
from clipvil.evaluate.run import Plan, from_json, source_from_json, source_to_json, to_json
from clipvil.evaluate.splits import Source, all_pictures
from clipvil.processes import Job


def cell_job(work: Literal["fit", "finish"], plan: Plan) -> Job:
    """Fit a cell, or fit and score it."""
    return {"work": work, "what": str(plan.folder), "plan": to_json(plan)}


def encode_job(encoder: str, source: Source, where: Path) -> Job:
    """Encode the pictures of a task that no store under `where` has."""
    told = {"encoder": encoder, "source": source_to_json(source), "where": str(where)}
    return {"work": "encode", "what": encoder} | told


class Workers:
    """Some worker processes; a cell that fails ends the comparison with its error."""

    def __init__(self, count: int) -> None:
        self._workers = processes.Workers(__name__, [""] * count, advice="fewer --jobs")

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__(*error)

    def run(self, jobs: Sequence[Job], what: str) -> None:
        """Do every job.

        Raises
            ValueError: one failed, or a worker was killed
        """
        for _ in progress.track(self._workers.run(jobs), what, total=len(jobs)):
            pass


def do(job: Job, _own: str) -> Iterator[int]:
    """One job, in this process."""
    from clipvil import encoders
    from clipvil.encoders.base import device
    from clipvil.evaluate.answer import score_cell
    from clipvil.evaluate.cell import fit_cell
    from clipvil.features.lookup import gather

    if job["work"] == "encode":
        pictures = all_pictures(source_from_json(job["source"]))
        gather(encoders.load(job["encoder"]).to(device()), pictures, Path(job["where"]))
    else:
        plan = from_json(job["plan"], Path(job["what"]))
        fit_cell(plan)
        if job["work"] == "finish":
            score_cell(plan)
    yield 1


if __name__ == "__main__":
    processes.serve(do)
