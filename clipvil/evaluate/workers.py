"""Processes that cells are handed to, each one thread: `python -m clipvil.evaluate.workers`.

Plans go in and answers come out as lines of JSON. A worker ends when the process that started it
ends, however that comes about, so that nobody writes into a cell that is being taken up again.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

from clipvil.evaluate.run import Plan, from_json, to_json
from clipvil.progress import track

Work = Literal["fit", "finish"]


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

    def run(self, work: Work, plans: Sequence[Plan], what: str) -> None:
        """Do `work` on every plan.

        Raises
            ValueError: a cell failed, or a worker was killed
        """
        waiting, done = queue.SimpleQueue[Plan](), queue.SimpleQueue[str | None]()
        for plan in plans:
            waiting.put(plan)
        for process in self._processes:
            arguments = (process, work, waiting, done)
            threading.Thread(target=_hand, args=arguments, daemon=True).start()
        for failed in track((done.get() for _ in plans), what, total=len(plans)):
            if failed is not None:
                raise ValueError(failed)


def _hand(
    process: subprocess.Popen[str],
    work: Work,
    waiting: queue.SimpleQueue[Plan],
    done: queue.SimpleQueue[str | None],
) -> None:
    """Hand plans to one worker until there are none."""
    assert process.stdin is not None
    assert process.stdout is not None
    while True:
        try:
            plan = waiting.get_nowait()
        except queue.Empty:
            return
        told = {"work": work, "folder": str(plan.folder.resolve()), "plan": to_json(plan)}
        try:
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            done.put(
                f"the process at work on {plan.folder} was killed, for want of memory perhaps: "
                "fewer --jobs need less, and the same command goes on from here"
            )
            return
        done.put(json.loads(answer)["error"])


def serve(lines: IO[str], answers: IO[str]) -> None:
    """Work off plans, one a line."""
    import torch

    from clipvil.evaluate.cell import fit_cell, score_cell

    torch.set_num_threads(1)
    for line in lines:
        told: dict[str, Any] = json.loads(line)
        error = None
        try:
            plan = from_json(told["plan"], Path(told["folder"]))
            fit_cell(plan)
            if told["work"] == "finish":
                score_cell(plan)
        except (ValueError, OSError, ArithmeticError) as failed:
            error = f"{told['folder']}: {failed}"
        except Exception:  # a fault of ours: the whole story helps whoever reports it
            error = f"{told['folder']}:\n{traceback.format_exc()}"
        answers.write(json.dumps({"error": error}) + "\n")
        answers.flush()


def watch(parent: int) -> None:
    """End this process when its parent is no longer there."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=watch, args=(int(sys.argv[1]),), daemon=True).start()
    reply = sys.stdout
    sys.stdout = sys.stderr  # what a library prints must not mix with the answers
    serve(sys.stdin, reply)
