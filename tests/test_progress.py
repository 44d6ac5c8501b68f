"""Progress: what passes through is what came, and what is told is how far it is."""

import sys

import pytest

from clipvil import progress


def test_figures_are_told_as_a_person_says_them() -> None:
    assert [progress.pace(rate) for rate in (12.34, 0.05, 0.002)] == ["12.3/s", "3.0/min", "7.2/h"]
    assert progress.count(1, "size") == "1 size"
    assert progress.count(2_000, "process", "processes") == "2,000 processes"
    assert progress.figure(62.4149, "%") == "62.41" and progress.figure(1.03125, "") == "1.0312"


@pytest.mark.parametrize("terminal", [False, True])
def test_where_another_process_speaks_nothing_is_said(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "silent", True)
    assert list(progress.track([1, 2], "cells", total=2)) == [1, 2]
    progress.say("done")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("total", [None, 1_000])
def test_bytes_pass_unchanged(
    terminal: bool, total: int | None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    chunks = [b"a" * 300, b"b" * 200]
    assert list(progress.transfer(chunks, "f.zip", done=500, total=total)) == chunks
    if not terminal:
        first, last = capsys.readouterr().err.splitlines()
        assert first.startswith("f.zip: 800 bytes" + (" of 1.0 kB, " if total else ", "))
        assert "/s" in last and ("0 s left" in last) == (total is not None)
