"""Java programs that come with pycocoevalcap: where they are, and how they are run."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from clipvil.progress import say

PACKAGE = "pycocoevalcap"
NEEDS = f"Java and {PACKAGE} (pip install 'clipvil[java]')"


def jar(name: str) -> Path | None:
    """A program of the package; None where it or Java is not there."""
    spec = importlib.util.find_spec(PACKAGE)
    if shutil.which("java") is None or spec is None:
        return None
    places = [Path(folder) / name for folder in spec.submodule_search_locations or ()]
    return next((place for place in places if place.is_file()), None)


def run(what: str, program: Path, arguments: Sequence[str], *, memory: str, text: str = "") -> str:
    """What a program prints when it is told `text`.

    Raises
        ChildProcessError: it failed; says with what
    """
    say(f"computing {what} in Java, which takes minutes over tens of thousands of captions")
    done = subprocess.run(
        ["java", f"-Xmx{memory}", "-Dfile.encoding=UTF-8", "-jar", program.name, *arguments],
        cwd=program.parent, input=text, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ChildProcessError(f"{what} failed: {last[0]}")
    return done.stdout
