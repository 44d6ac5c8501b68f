"""Processes that jobs are handed to, a line of JSON a job; what they do comes back as lines.

Each runs `python -m MODULE PARENT OWN`, and `MODULE` ends in `serve(do)`. A worker ends when the
process that started it ends, however that comes about, so that nobody writes into what is being
taken up again.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from clipvil import progress
from clipvil.errors import sentence, told

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of glibc's malloc.h

Job = dict[str, Any]  # what a worker is told, ready for JSON; `what` names it in messages
Answer = dict[str, Any]  # {"done": number} on the way, {"error": message or null} at the end


class Workers:
    """Some worker processes; a job that fails, or a worker that is killed, ends the work.

    Args:
        module: what they run
        own: one for each process, such as the device that it works on
        threads: of torch, in each
        advice: how they would need less memory, such as "fewer --jobs"
    """

    def __init__(self, module: str, own: Sequence[str], *, threads: int = 1, advice: str) -> None:
        command = [sys.executable, "-m", module, str(os.getpid())]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self._advice = advice
        # Ctrl-C is the parent's to answer: workers begin, and stay, deaf to it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._processes = [
                subprocess.Popen(
                    [*command, one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env=environment,
                )
                for one in own
            ]  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            if error[0] is not None:
                process.kill()
            process.communicate()

    def run(self, jobs: Sequence[Job]) -> Iterator[int]:
        """Do every job; yields how much is done whenever a worker tells it.

        Raises
            ValueError: a job failed, or a worker was killed
        """
        waiting, answers = queue.SimpleQueue[Job](), queue.SimpleQueue[Answer]()
        for job in jobs:
            waiting.put(job)
        for process in self._processes:
            hand = threading.Thread(
                target=self._hand, args=(process, waiting, answers), daemon=True
            )
            hand.start()
        unfinished = len(jobs)
        while unfinished:
            answer = answers.get()
            if "done" in answer:
                yield answer["done"]
            elif answer["error"] is not None:
                raise ValueError(answer["error"])
            else:
                unfinished -= 1

    def _hand(
        self,
        process: subprocess.Popen[str],
        waiting: queue.SimpleQueue[Job],
        answers: queue.SimpleQueue[Answer],
    ) -> None:
        """Hand jobs to one worker until there are none."""
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            answer: Answer = {"done": 0}
            try:
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
                while "done" in answer:
                    answer = json.loads(process.stdout.readline())
                    answers.put(answer)
            except (BrokenPipeError, json.JSONDecodeError):  # nothing more, or half a line
                answers.put({
                    "error": f"the process at work on {job['what']} was killed, for want of "
                    f"memory perhaps: {self._advice} need less, and the same command goes on "
                    "from here"
                })  # fmt: skip
                return


def serve(do: Callable[[Job, str], Iterator[int]]) -> None:
    """Work off the jobs of the process that started this one.

    Args:
        do: takes a job and what is this process's own; yields how much it has done
    """
    threading.Thread(target=_watch, args=(int(sys.argv[1]),), daemon=True).start()
    replies = sys.stdout
    progress.plain = True  # the bar is the parent's
    sys.stdout = sys.stderr  # what a library prints must not mix with the answers

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def tell(answer: Answer) -> None:
        replies.write(json.dumps(answer) + "\n")
        replies.flush()

    for line in sys.stdin:
        job: Job = json.loads(line)
        error = None
        try:
            for count in do(job, sys.argv[2]):
                tell({"done": count})
        except Exception as failed:
            said = sentence(failed)
            error = said if said.startswith(job["what"]) else f"{job['what']}: {said}"
            if not told(failed):  # a fault of ours: the whole story helps whoever reports it
                error = f"{job['what']}:\n{traceback.format_exc()}"
        tell({"error": error})


def _watch(parent: int) -> None:
    """End this process when its parent is no longer there."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def keep_memory() -> None:
    """Keep the memory of freed tensors for the next ones, where glibc would give it back.

    It gives blocks above 32 MB back at once, and the system fills fresh ones with zeroes: a third
    of the time of a ResNet's forward on eight pictures of 448 pixels. The process then stays as
    large as it has ever been. https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, -1)
