"""The command without waiting for its imports: in this process, or in a real one forked off."""

import io
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from clipvil import cli

HEAVY = ["clipvil.cli", "clipvil.verbs.compare", "clipvil.evaluate.collect", "clipvil.report.page",
         "clipvil.encoders.tiny", "clipvil.features.encode"]  # fmt: skip
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(HEAVY)


def run(*given: str, code: int = 0) -> str:
    """What the command prints, run in this process; it must exit with `code`."""
    return told(*given, code=code)[0]


def told(*given: str, code: int = 0) -> tuple[str, str]:
    """As `run`, and what it says beside."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as raised:
        cli.main(given)
    assert raised.value.code == code, err.getvalue()
    return out.getvalue(), err.getvalue()


class Started:
    """The command in a process of its own, forked off one that has imported all: real to kill."""

    def __init__(self, *given: str) -> None:
        with tempfile.NamedTemporaryFile(delete=False) as said:
            self._said = Path(said.name)
        self._process = FORKS.Process(target=_main, args=(given, self._said))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status, None while it runs; negative is the signal that ended it."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> str | None:
        """What it said on both channels, once it has ended; None where it goes on for longer."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return None
        said = self._said.read_text() if self._said.exists() else ""
        self._said.unlink(missing_ok=True)
        return said

    def kill(self) -> None:
        """End it without warning."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.wait()


def _main(given: Sequence[str], said: Path) -> None:
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    cli.main(given)
