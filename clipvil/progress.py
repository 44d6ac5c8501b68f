"""Progress and time left: a bar on a terminal, a plain line every few seconds otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

plain = False  # set where another process shows the bar
EVERY = 10.0  # seconds between plain lines


def say(message: str) -> None:
    """A line for the person watching, on stderr so that figures on stdout stay clean."""
    print(message, file=sys.stderr, flush=True)


def track(items: Iterable[T], what: str, *, total: int, weight: int = 1) -> Iterator[T]:
    """Pass items on, telling how far it is; `weight` is the number of `what` an item stands for."""
    if sys.stderr.isatty() and not plain:
        yield from _bar(items, what, total, weight)
        return
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done = min(total, done + weight)
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            rate = done / (now - start)
            left = duration((total - done) / rate)
            say(f"{what}: {done:,} of {total:,}, {rate:.1f}/s, {left} left")


def _bar(items: Iterable[T], what: str, total: int, weight: int) -> Iterator[T]:
    from rich import progress
    from rich.console import Console

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return "" if task.speed is None else f"{task.speed:.1f}/s"

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Speed(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total)
        for item in items:
            yield item
            bars.advance(task, weight)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Bytes as a person says them: `3.2 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
