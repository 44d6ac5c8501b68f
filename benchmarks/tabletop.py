"""Pictures a second that the embedded world draws and saves on one core; a row in tabletop.csv."""

import csv
import platform
import tempfile
import time
from datetime import date
from pathlib import Path

from clipvil.worlds import tabletop

PICTURES = 800  # 500 for training and 300 for validation, questions and captions included
ROUNDS = 3


def cpu() -> str:
    """Model of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def main() -> None:
    """Best of some rounds, in CPU seconds: others may be at work on the machine."""
    rates = []
    for round_ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            tabletop.write(Path(folder), seed=round_, train=500, val=300, shifts=False)
            rates.append(PICTURES / (time.process_time() - start))
    row = [date.today(), cpu(), platform.python_version(), *(f"{rate:.0f}" for rate in rates)]
    path = Path(__file__).with_suffix(".csv")
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["date", "processor", "python", "pictures/s", "again", "again"])
        writer.writerow(row)
    print(f"{max(rates):.0f} pictures a CPU second at best, {min(rates):.0f} at worst")


if __name__ == "__main__":
    main()
