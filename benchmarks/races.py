"""What the benchmarks share: rounds in turn, so that both sides meet the same noise; rows in a CSV.

Every figure is the median over rounds, beside the best and the worst one; a ratio is the median of
the rounds' own ratios, as both sides of a round ran within seconds of each other.
"""

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch


class Taken(NamedTuple):
    """Seconds of one item."""

    wall: float
    cpu: float


Rounds = Mapping[str, list[Taken]]  # by the name of the side


def race(sides: Mapping[str, Callable[[], int]], rounds: int) -> Rounds:
    """Run all sides in turn, after one round that does not count; each gives its items."""
    taken: dict[str, list[Taken]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            items = side()
            spent = Taken((time.perf_counter() - wall) / items, (time.process_time() - cpu) / items)
            if number:
                taken[name].append(spent)
    return taken


def ratio(rounds: Rounds, slow: str, fast: str) -> Taken:
    """How many times as fast `fast` is."""
    pairs = list(zip(rounds[slow], rounds[fast], strict=True))
    return Taken(*(statistics.median(a[k] / b[k] for a, b in pairs) for k in (0, 1)))


def milliseconds(taken: list[Taken]) -> dict[str, str]:
    """Columns of one side."""
    wall = sorted(1e3 * t.wall for t in taken)
    return {
        "wall ms": f"{statistics.median(wall):.2f}",
        "best": f"{wall[0]:.2f}",
        "worst": f"{wall[-1]:.2f}",
        "CPU ms": f"{1e3 * statistics.median(t.cpu for t in taken):.2f}",
    }


def hardware() -> dict[str, str]:
    """Columns that say what a figure was measured on, and how busy it was."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")
    gpu = f" + {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "date": str(date.today()),
        "processor": model + gpu,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def append(path: Path, row: Mapping[str, str]) -> None:
    """Add a row to a CSV, under its header."""
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
