"""The command: help, bad usage, exit statuses."""

import json
import time
from pathlib import Path

import pytest

from clipvil import __version__, cli, tasks, verbs


def status(*given: str) -> int:
    with pytest.raises(SystemExit) as raised:
        cli.main(given)
    code = raised.value.code
    return code if isinstance(code, int) else 0 if code is None else 1


@pytest.mark.parametrize("given", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_verb(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(*given) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in verbs.names())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--version") == 0
    assert capsys.readouterr().out == f"clipvil {__version__}\n"


@pytest.mark.parametrize("verb", verbs.names())
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(verb, "--help") == 0
    assert f"usage: clipvil {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "action", "takes", "leaves"),
    [
        ("data", "check", "--json", "--only"),
        ("data", "get", "--only", "--houses"),
        ("data", "make", "--houses", "--only"),
        ("features", "info", "--json", "--out"),
        ("features", "convert", "--name", "STORE STORE"),
        ("features", "diff", "--limit", "--name"),
    ],
)
def test_the_help_of_an_action_is_of_what_it_takes(
    verb: str, action: str, takes: str, leaves: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(verb, action, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: clipvil {verb} {action} ")
    assert takes in said and leaves not in said


@pytest.mark.parametrize("verb", verbs.names())
def test_a_bad_option_is_bad_usage(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(verb, "--nonsense-option", "3") == 2
    said = capsys.readouterr()
    assert said.err and not said.out


@pytest.mark.parametrize(
    "given",
    [
        ["explain", "run"],
        ["evaluate", "run"],
        ["features", "diff", "one", "other"],
        ["predict", "run", "--out", "answers.json"],
        ["score", "vqa2", "--predictions", "answers.json"],
    ],
)
def test_a_limit_leaves_something(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for limit in ("0", "-3"):
        assert status(*given, "--limit", limit) == 2
        assert capsys.readouterr().err == "clipvil: --limit: at least 1\n"


def test_a_seed_below_zero_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "tabletop_mcan", "--data", ".", "--encoder", "tiny:clip", "--seed", "-1"]
    assert status(*given) == 2
    assert capsys.readouterr().err == "clipvil: --seed: at least 0\n"


def test_a_bad_verb_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("scor") == 2
    assert "unknown verb 'scor'; nearest: score" in capsys.readouterr().err


def test_what_the_system_refuses_is_told_with_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    made = ["make", "tabletop", "--data", str(tmp_path / "file"), "--train", "1", "--val", "1"]
    assert status("data", *made) == 1
    assert capsys.readouterr().err == f"clipvil data: {tmp_path}/file: Not a directory\n"


@pytest.mark.parametrize(
    ("option", "written"),
    [
        ("timm:resnet50,weights=~/a.bin,size=96", "timm:resnet50,weights=/home/ada/a.bin,size=96"),
        ("module:~/a.py:build,weights=~/b", "module:/home/ada/a.py:build,weights=/home/ada/b"),
        ("--encoder=features:~/store", "--encoder=features:/home/ada/store"),
        ("--out=~/run", "--out=/home/ada/run"),
        ("weights=~else/a.bin", "weights=~else/a.bin"),
        ("hf:~/folder", "hf:~/folder"),  # part of the encoder's name, and found where it is read
        ("~/run", "~/run"),  # which the shell was asked to leave
        ("a ~/b", "a ~/b"),
    ],
)
def test_home_is_written_out_where_no_shell_sees_it(
    option: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert cli.at_home(option) == written


def test_a_verb_gets_home_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert status("features", "info", "module:~/store") == 1
    assert f"module:{tmp_path}/store" in capsys.readouterr().out


def test_tasks_are_listed_with_their_variants(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("list", "tasks", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert tuple(listed) == tasks.names()
    assert len(set(listed.values())) == len(listed), "each is told apart from its variants"
    variants = {name for name in listed if "@" in name}
    assert all(listed[name] == tasks.load(name).summary for name in variants)


def test_beside_the_first_process_of_several_a_fault_is_told_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torchrun has not ended this one by then, it is its own."""
    monkeypatch.setattr(cli, "PATIENCE", 0.2)
    for rank, waits in (("0", False), ("1", True)):
        monkeypatch.setenv("RANK", rank)
        start = time.monotonic()
        assert status("scor") == 2
        assert (time.monotonic() - start >= cli.PATIENCE) == waits
        assert "nearest: score" in capsys.readouterr().err
