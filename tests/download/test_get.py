"""`data get`: official files in their place and written down, or a reason and exit status 1."""

import hashlib
import io
import json
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clipvil import cli, tasks
from clipvil.core import Download, OfficialFile
from clipvil.download import get
from clipvil.download.fetch import Patience
from clipvil.files import locked, read_json
from tests.download.conftest import Act, Served

QUICK = Patience(attempts=2, pause=0.01, timeout=2.0)
TASK = """
from dataclasses import replace

from clipvil.core import Download
from clipvil.sources import VCR
from clipvil.tasks.vqa2 import TASK as VQA

def at(file, name, **more):
    url = f"http://published.invalid/{name}"
    member = "" if name == file.name else f"inside/{file.name}"
    return replace(file, source="https://published.invalid", download=Download(
        urls=(url,), member=member, **more))

def placed(file):
    if file.role == "annotations" and file.split == "train":
        return at(file, file.name)
    if file.split == "test-dev":
        return replace(file, optional=True, download=None, gate=VCR)
    return at(file, f"{file.role}.zip")

TASK = replace(
    VQA,
    files=tuple(map(placed, VQA.files)),
    archives=tuple(at(file, file.name, bytes=SIZE) for file in VQA.archives[1:2]),
)
"""
NAMES = {f"{file.role}/{file.split}": file.name for file in tasks.load("vqa2").files}


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def published(tmp_path: Path) -> dict[str, bytes]:
    """Official name -> content, and the pictures."""
    folder = tmp_path / "published"
    tasks.load("vqa2").tiny(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def task(tmp_path: Path, server: Served, published: dict[str, bytes]) -> str:
    """A task whose files are published as VQA v2's are: in zips, one file alone, one gated."""
    pictures = {f"val2014/{n}": c for n, c in published.items() if n.startswith("COCO_val")}
    server.files = {"val2014.zip": packed(pictures, zipfile.ZIP_STORED)}
    for role in ("questions", "annotations"):
        names = [name for key, name in NAMES.items() if key.startswith(role)]
        server.files[f"{role}.zip"] = packed(
            {f"inside/{name}": published[name] for name in names} | {"../evil": b"evil"}
        )
    alone = NAMES["annotations/train"]
    server.files[alone] = published[alone]
    size = len(server.files["val2014.zip"])
    (tmp_path / "own.py").write_text(TASK.replace("SIZE", str(size)))
    return f"module:{tmp_path / 'own.py'}"


def options(task: str, data: Path, server: Served, *more: str) -> list[str]:
    return ["get", "--task", task, "--data", str(data), "--from", server.address, *more]


def test_files_come_into_their_place(
    task: str, published: dict[str, bytes], server: Served, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = tmp_path / "data"
    assert cli.run("data", options(task, data, server, "--json")) == 1, "one is gated"
    rows = {f"{r['role']}/{r['split']}": r for r in json.loads(capsys.readouterr().out)["files"]}
    assert rows.keys() == NAMES.keys()
    gated = rows.pop("questions/test-dev")
    assert gated["state"] == "gated" and "https://visualcommonsense.com" in gated["reason"]
    for key, row in rows.items():
        assert (row["state"], row["path"]) == ("fetched", str(data / NAMES[key]))
        assert (data / NAMES[key]).read_bytes() == published[NAMES[key]]
    assert sorted(p.name for p in data.iterdir()) == sorted(
        [".downloads", *(row["name"] for row in rows.values())]
    )
    assert not (tmp_path / "evil").exists(), "names in a zip decide nothing"
    assert sorted(p.name for p in (data / ".downloads").iterdir()) == [".lock", "manifest.json"]
    manifest = read_json(data / ".downloads" / "manifest.json")
    for row in rows.values():
        told = manifest[row["name"]]
        assert told["sha256"] == hashlib.sha256(published[row["name"]]).hexdigest()
        assert told["url"].startswith(server.address)
    assert len(server.asked) == 3, "what lies in one zip is fetched once"
    only = ["--only", "questions/train", "annotations"]
    assert cli.run("data", options(task, data, server, *only)) == 0
    assert "there: " in capsys.readouterr().out
    assert len(server.asked) == 3, "what is there is not fetched again"


def test_what_was_fetched_is_complete(
    task: str, server: Served, published: dict[str, bytes], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = tmp_path / "data"
    given = ["check", "--task", task, "--data", str(data)]
    only = ["--only", "annotations", "questions/train", "questions/val"]
    assert cli.run("data", options(task, data, server, *only)) == 0
    assert cli.run("data", given) == 1
    said = capsys.readouterr().out
    size = len(server.files["val2014.zip"])
    assert f"val pictures: val2014.zip\n  missing; for scoring; {size / 1000:.1f} kB" in said
    assert "0 of 3 pictures found" in said
    assert cli.run("data", options(task, data, server, "--only", "pictures/val")) == 0
    for name, content in published.items():
        if name.startswith("COCO_train"):
            (data / name).write_bytes(content)
    capsys.readouterr()
    assert cli.run("data", given) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "val2014.zip, " in said and "3 rows, whole; for scoring" in said


def test_one_that_fails_keeps_back_no_other(
    task: str, server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["questions.zip"] = b"<html>log in</html>"
    data = tmp_path / "data"
    assert cli.run("data", options(task, data, server)) == 1
    said = capsys.readouterr().out
    assert f"train questions: {NAMES['questions/train']}\n  failed: http" in said
    assert "it is not a whole zip" in said
    here = sorted(p.name for p in data.iterdir() if not p.name.startswith("."))
    assert here == sorted([NAMES["annotations/train"], NAMES["annotations/val"]])


def test_a_zip_of_several_splits_is_fetched_once(server: Served, tmp_path: Path) -> None:
    server.files["images.zip"] = packed({"images/1.jpg": b"x"})
    download = Download(urls=(server.url("images.zip"),))
    several = [
        OfficialFile(role="pictures", split=split, name="images.zip", source="here",
                     download=download)
        for split in ("train", "val")
    ]  # fmt: skip
    for state in ("fetched", "there"):
        outcomes = get.get(several, tmp_path, patience=QUICK)
        assert [(o.state, o.path) for o in outcomes] == [(state, tmp_path / "images.zip")] * 2
    assert len(server.asked) == 1


def test_gated_pictures_come_with_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("data", ["get", "--task", "vcr", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert said.count("\n  gated: agree to the terms at https://visualcommonsense.com/") == 3
    assert said.count("\npictures: agree to the terms at https://visualcommonsense.com/") == 1


def hostile(kind: str, name: str, content: bytes) -> bytes:
    """A zip with something wrong about its only member."""
    if kind == "bomb":
        return packed({f"inside/{name}": b"[" + b" " * (65 << 20)})
    if kind == "elsewhere":
        return packed({name: content, f"../{name}": content})
    archive = bytearray(packed({f"inside/{name}": content}))
    listed = archive.index(b"PK\x01\x02")
    if kind == "encrypted":
        archive[listed + 8] |= 1
        archive[6] |= 1
    else:  # declares less than it holds
        archive[listed + 24 : listed + 28] = struct.pack("<I", 10)
    return bytes(archive)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("bomb", "no data set is like that"), ("elsewhere", "no item named 'inside/"),
     ("encrypted", "encrypted"), ("less", "Bad CRC")],
)  # fmt: skip
def test_hostile_zips_leave_nothing(
    kind: str, message: str, published: dict[str, bytes], server: Served, tmp_path: Path
) -> None:
    name = NAMES["questions/val"]
    server.files["f.zip"] = hostile(kind, name, published[name])
    told = hashlib.sha256(server.files["f.zip"]).hexdigest()
    file = OfficialFile(
        role="questions", split="val", name=name, source="here",
        download=Download(urls=(server.url("f.zip"),), member=f"inside/{name}", sha256=told),
    )  # fmt: skip
    (outcome,) = get.get([file], tmp_path / "data", patience=QUICK)
    assert outcome.state == "failed"
    assert re.search(message, outcome.said), outcome.said
    left = {p.name for p in (tmp_path / "data").rglob("*")}
    assert left <= {".downloads", ".lock", "manifest.json"}


def test_what_a_kill_left_after_the_last_step_is_cleared(
    task: str, server: Served, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    name = NAMES["annotations/train"]
    given = options(task, data, server, "--only", "annotations/train")
    assert cli.run("data", given) == 0
    noted = data / ".downloads" / f"{name}.json"
    noted.write_text(json.dumps({"url": "http://a.b/c", "total": (data / name).stat().st_size}))
    (data / ".downloads" / "manifest.json").unlink()
    assert cli.run("data", given) == 0
    assert read_json(data / ".downloads" / "manifest.json")[name]["url"] == "http://a.b/c"
    assert not noted.exists()
    assert len(server.asked) == 1


def test_bad_usage(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "data")]
    for given, code, message in (
        (["get", *data, "--task", "vqa"], 2, "nothing to download: your own rows"),
        (["get", *data, "--task", task, "--only", "question/val"], 2, "nearest: questions/val"),
        (["get", *data, "--task", task, "--from", "ftp://x"], 2, "begins with http://"),
    ):
        assert cli.run("data", given) == code
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.run("data", ["get", *data])
    assert "--task" in capsys.readouterr().err
    with locked(tmp_path / "data" / ".downloads"):
        assert cli.run("data", ["get", *data, "--task", task]) == 1
    assert "another process" in capsys.readouterr().err


def test_a_full_disk_is_told_beforehand(
    task: str, server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    assert cli.run("data", options(task, tmp_path / "data", server)) == 1
    assert "10 bytes are free" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_at_any_instant_it_goes_on(
    task: str, published: dict[str, bytes], server: Served, tmp_path: Path
) -> None:
    big = json.dumps({"annotations": [{"question_id": k, "x": random.random()}
                                      for k in range(120_000)]}).encode()  # fmt: skip
    name = NAMES["annotations/train"]
    server.files[name] = big
    server.files["annotations.zip"] = packed(
        {f"inside/{NAMES['annotations/val']}": big}, zipfile.ZIP_STORED
    )
    whole = {name: big, NAMES["annotations/val"]: big}
    server.always = Act(pause=0.02)
    data, dice, kills = tmp_path / "data", random.Random(5), 0
    given = options(task, data, server, "--only", "annotations")
    command = [sys.executable, "-m", "clipvil.cli", "data", *given]
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said, _ = process.communicate(timeout=dice.uniform(0.3, 1.8) if kills < 12 else 60)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        for path in data.glob("*.json*"):
            assert path.read_bytes() == whole[path.name], "under its name it is whole"
    assert process.returncode == 0, said.decode()
    assert kills > 2
    left = {p.name: p.read_bytes() for p in data.iterdir() if p.is_file()}
    assert left == whole, "and nothing beside it, hidden or not"
    assert sorted(p.name for p in (data / ".downloads").iterdir()) == [".lock", "manifest.json"]
    assert any("range" in headers for _, headers in server.asked), "it went on, not anew"
