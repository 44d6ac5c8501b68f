"""Progress and time left: a bar on a terminal, a plain line every few seconds otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

plain = False  # set where another process shows the bar
silent = False  # set where another process tells all of it
EVERY = 10.0  # seconds between plain lines


def say(message: str) -> None:
    """A line for the person watching, on stderr so that figures on stdout stay clean."""
    if not silent:
        print(message, file=sys.stderr, flush=True)


def track(items: Iterable[T], what: str, *, total: int, weight: int = 1) -> Iterator[T]:
    """Pass items on, telling how far it is; `weight` is the number of `what` an item stands for."""
    if sys.stderr.isatty() and not (plain or silent):
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
            say(f"{what}: {done:,} of {total:,}, {pace(rate)}, {left} left")


def _bar(items: Iterable[T], what: str, total: int, weight: int) -> Iterator[T]:
    from rich import progress
    from rich.console import Console

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return "" if not task.speed else pace(task.speed)

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


def transfer(
    chunks: Iterable[bytes], what: str, *, done: int, total: int | None
) -> Iterator[bytes]:
    """Pass bytes on, telling how many have come, how fast, and when the rest will have."""
    if sys.stderr.isatty() and not (plain or silent):
        yield from _transfer_bar(chunks, what, done, total)
        return
    start = last = time.monotonic()
    begun = done
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            rate = (done - begun) / (now - start)
            left = "" if total is None else f", {duration((total - done) / rate)} left"
            of = "" if total is None else f" of {size(total)}"
            say(f"{what}: {size(done)}{of}, {size(rate)}/s{left}")


def _transfer_bar(
    chunks: Iterable[bytes], what: str, done: int, total: int | None
) -> Iterator[bytes]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total, completed=done)
        for chunk in chunks:
            yield chunk
            bars.advance(task, len(chunk))


def duration(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def figure(value: float, unit: str) -> str:
    """A metric with the digits its unit deserves: `62.41` of percent, `1.0312` of what has none."""
    return f"{value:.{2 if unit == '%' else 4}f}"


def pace(rate: float) -> str:
    """How much is done a second, or a minute, or an hour: `3.2/s`, `1.5/min`."""
    for unit, seconds in (("s", 1), ("min", 60)):
        if rate * seconds >= 1:
            return f"{rate * seconds:.1f}/{unit}"
    return f"{rate * 3600:.1f}/h"


def count(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 seed`, `3 seeds`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def size(count: float) -> str:
    """Bytes as a person says them: `3.2 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
