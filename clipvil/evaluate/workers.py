"""Processes that cells are handed to, each one thread: `python -m clipvil.evaluate.workers`.

Plans go in and answers come out as lines of JSON. A worker ends when the process that started it
ends, however that comes about, so that nobody writes into a cell that is being taken up again.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

from clipvil import progress
from clipvil.evaluate.run import Plan, from_json, source_from_json, source_to_json, to_json
from clipvil.evaluate.splits import Source, all_pictures

Job = dict[str, Any]  # what a worker is told, ready for JSON


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
        command = [sys.executable, "-m", __name__, str(os.getpid())]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            if error[0] is not None:
                process.kill()
            process.communicate()

    def run(self, jobs: Sequence[Job], what: str) -> None:
        """Do every job.

        Raises
            ValueError: one failed, or a worker was killed
        """
        waiting, done = queue.SimpleQueue[Job](), queue.SimpleQueue[str | None]()
        for job in jobs:
            waiting.put(job)
        for process in self._processes:
            threading.Thread(target=_hand, args=(process, waiting, done), daemon=True).start()
        for failed in progress.track((done.get() for _ in jobs), what, total=len(jobs)):
            if failed is not None:
                raise ValueError(failed)


def _hand(
    process: subprocess.Popen[str],
    waiting: queue.SimpleQueue[Job],
    done: queue.SimpleQueue[str | None],
) -> None:
    """Hand jobs to one worker until there are none."""
    assert process.stdin is not None
    assert process.stdout is not None
    while True:
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            done.put(
                f"the process at work on {job['what']} was killed, for want of memory perhaps: "
                "fewer --jobs need less, and the same command goes on from here"
            )
            return
        done.put(json.loads(answer)["error"])


def serve(lines: IO[str], answers: IO[str]) -> None:
    """Work off jobs, one a line."""
    import torch

    torch.set_num_threads(1)
    for line in lines:
        job: Job = json.loads(line)
        error = None
        try:
            do(job)
        except (ValueError, OSError, ArithmeticError) as failed:
            error = f"{job['what']}: {failed}"
        except Exception:  # a fault of ours: the whole story helps whoever reports it
            error = f"{job['what']}:\n{traceback.format_exc()}"
        answers.write(json.dumps({"error": error}) + "\n")
        answers.flush()


def do(job: Job) -> None:
    """One job, in this process."""
    from clipvil import encoders
    from clipvil.encoders.base import device
    from clipvil.evaluate.cell import fit_cell, score_cell
    from clipvil.features.lookup import gather

    if job["work"] == "encode":
        pictures = all_pictures(source_from_json(job["source"]))
        gather(encoders.load(job["encoder"]).to(device()), pictures, Path(job["where"]))
        return
    plan = from_json(job["plan"], Path(job["what"]))
    fit_cell(plan)
    if job["work"] == "finish":
        score_cell(plan)


def watch(parent: int) -> None:
    """End this process when its parent is no longer there."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=watch, args=(int(sys.argv[1]),), daemon=True).start()
    reply = sys.stdout
    progress.plain = True  # the bar is the parent's
    sys.stdout = sys.stderr  # what a library prints must not mix with the answers
    serve(sys.stdin, reply)
