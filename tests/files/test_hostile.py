"""Files that anybody may have made: rows as they are, or one ValueError that names the file."""

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil import cli, tasks
from clipvil.core import Data, OfficialFile
from clipvil.evaluate import splits
from clipvil.evaluate.splits import Source
from clipvil.files import PictureIndex, find, read_json, read_jsonl, read_rows, reading, write_bytes


class Row(msgspec.Struct):
    id: int
    said: str
    numbers: list[float] = []


ROWS = [{"id": 1, "said": "a \u00e9", "numbers": [0.5, -2e3]}, {"id": 2, "said": 'q"\\\n'}]
LAID: dict[str, tuple[bytes, str]] = {  # content, key
    "array": (json.dumps(ROWS).encode(), ""),
    "object": (json.dumps({"info": {"a": [1]}, "rows": ROWS}).encode(), "rows"),
    "lines": (b"".join(json.dumps(row).encode() + b"\n" for row in ROWS), ""),
}


def as_python(content: bytes, layout: str) -> list[Any]:
    """What the standard library makes of it; it is more lenient, never less."""
    if layout == "lines":
        return [json.loads(line) for line in content.split(b"\n") if line.strip()]
    found = json.loads(content)
    return list(found["rows"]) if isinstance(found, dict) else list(found)


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few bytes changed, put in, taken out, doubled, or the end cut off."""
    kinds = st.sampled_from(["set", "insert", "delete", "double", "cut"])
    steps = draw(st.lists(st.tuples(kinds, st.floats(0, 1), st.binary(min_size=1, max_size=4)),
                          min_size=1, max_size=4))  # fmt: skip

    def mutate(content: bytes) -> bytes:
        for kind, where, new in steps:
            place = int(where * len(content))
            match kind:
                case "set":
                    content = content[:place] + new + content[place + len(new) :]
                case "insert":
                    content = content[:place] + new + content[place:]
                case "delete":
                    content = content[:place] + content[place + len(new) :]
                case "double":
                    content = content[:place] + content[max(0, place - 20) :]
                case _:
                    content = content[:place]
        return content

    return mutate


def attempt(path: Path, read: Callable[[], Any]) -> Any:
    """What is read, or None if it is refused under the file's name."""
    try:
        return read()
    except ValueError as error:
        said = str(error)
    assert str(path) in said
    return None


@pytest.mark.parametrize("layout", sorted(LAID))
@given(mutate=mutations())
def test_mutated_rows_are_read_as_they_are_or_refused(
    layout: str, mutate: Callable[[bytes], bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, key = LAID[layout]
    path = tmp_path_factory.getbasetemp() / f"{layout}.json"
    path.write_bytes(mutated := mutate(content))
    rows = attempt(path, lambda: [msgspec.to_builtins(r) for _, r in read_rows(path, Row, key)])
    if rows is None:
        return
    told = as_python(mutated, layout)
    assert rows == [{"numbers": [], **{k: v for k, v in row.items() if k in rows[0]}}
                    for row in told]  # fmt: skip


@given(mutate=mutations())
def test_mutated_gzip_gives_the_same_rows_or_is_refused(
    mutate: Callable[[bytes], bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, _ = LAID["array"]
    path = tmp_path_factory.getbasetemp() / "rows.json.gz"
    path.write_bytes(b"\x1f\x8b" + mutate(gzip.compress(content, mtime=0)[2:]))
    assert attempt(path, lambda: read_json(path)) in (ROWS, None)
    assert attempt(path, lambda: [row for _, row in read_rows(path)]) in (ROWS, None)


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        (b'[{"id": 1, "said": "x"}, {"id"', "", r"cut short at byte 30$"),
        (b'{"rows": [{"id": 1', "rows", r"cut short at byte 18$"),
        (b'{"id": 1, "said": "x"}\n{"id": 2,', "", r"line 2: cut short at byte 9$"),
        (b'[{"id": "one", "said": "x"}]', "", r"row 1: Expected `int`, got `str`.*\$\.id"),
        (b'{"rows": 7}', "rows", r"Expected `array`, got `int`"),
        (b'{"others": []}', "rows", r"no list `rows`"),
        (b"7", "rows", r"Expected `object`, got `int`"),
        (b'[{"id": 1, "said": "x"}, {"id": 2, "said": "\xff"}]', "", r"row 2: byte 19 is not UTF"),
        (b'{"id": 1, "said": "\xff"}', "", r"line 1: byte 19 is not UTF-8"),
        (b'{"rows": [], "rows": []}', "rows", r"'rows' is there twice"),
        (b'[{"id": ' + b"9" * 9999 + b"}]", "", r"row 1: Integer value out of range"),
        (b'[{"id": 1, "said": "x", "numbers": [NaN]}]', "", r"invalid character \(byte 36\)"),
        (b'[[0, "]"], {"a": {"b": [1]}}, {"b": nan}]', "", r"row 3: JSON is malformed.*\(byte"),
        (b'{"a": ":", "rows": [[], [[1], NaN]]}', "rows", r"entry 'rows', row 2: JSON is malf"),
        (b'{"a": [1], "\\"": {"c": [1, 2], "d": NaN}}', "rows", r"entry '\"': JSON is malf"),
        (b"{NaN: 1}", "rows", r"rows: JSON is malf"),
        (b'["a", "b, [\x01"]', "", r"row 2: JSON is malf"),
        (b'[{"id": 1, "said": "x"}]]', "", r"rows: JSON is malf.*trailing"),
        (b'{"rows": []}}', "rows", r"rows: JSON is malf.*trailing"),
        (b"[" * 500_000, "", r"nested too deeply"),
        (b'{"a":' * 500_000, "", r"line 1: nested too deeply"),
        (b"", "", r"is empty"),
        (b" \n\n", "", r"is empty"),
        (b"", "rows", r"is empty"),
        (b"\x1f\x8b", "", r"Compressed file ended"),
        (b'\xef\xbb\xbf[{"id": 1, "said": "x"}]', "", r"line 1: begins with a byte order mark"),
        ('{"id": 1, "said": "x"}'.encode("utf-16"), "", r"line 1: begins with a byte order mark"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, content: bytes, key: str, message: str
) -> None:
    write_bytes(tmp_path / "rows", content)
    with pytest.raises(ValueError, match=message) as caught:
        list(read_rows(tmp_path / "rows", Row, key))
    assert str(caught.value).startswith(str(tmp_path / "rows"))


def test_an_object_says_where_it_is_wrong(tmp_path: Path) -> None:
    for content, message in (
        (b'{"a": 1, "b": {"c": 2}, "a": 3}', "'a' is there twice"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": ', "cut short at byte 6"),
        (b"", "is empty"),
    ):
        write_bytes(tmp_path / "f", content)
        with pytest.raises(ValueError, match=message):
            read_json(tmp_path / "f")
    write_bytes(tmp_path / "f", b'{"a": {"b": 1, "b": 2}}')
    assert read_json(tmp_path / "f") == {"a": {"b": 2}}, "inside, the last counts, as in json.load"


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LINE", 1 << 20)
    row = b'{"said": "' + b"x" * (1 << 20) + b'"}\n'
    for content in (row, gzip.compress(row)):
        write_bytes(
            tmp_path / "rows.jsonl", b'{"said": "y"}\n' + content if content is row else content
        )
        with pytest.raises(ValueError, match=r"line \d: a line of more than 1 MiB"):
            list(read_rows(tmp_path / "rows.jsonl"))
        with pytest.raises(ValueError, match=r"line \d: a line of more than 1 MiB"):
            list(read_jsonl(tmp_path / "rows.jsonl"))


def test_limits_are_beyond_published_files() -> None:
    assert reading.LINE == 64 << 20
    assert reading.LARGEST >= 8 << 30


@pytest.mark.parametrize("start", [b"[", b'{"id": 1}\n'])
def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FREE", 1 << 20)
    write_bytes(tmp_path / "bomb.json.gz", gzip.compress(start + b" " * (20 << 20), 6))
    for read in (read_json, lambda path: list(read_rows(path))):
        with pytest.raises(ValueError, match=r"bomb\.json\.gz.*no data set is like that"):
            read(tmp_path / "bomb.json.gz")
    numbers = [k * k for k in range(300_000)]
    write_bytes(tmp_path / "dense.json.gz", gzip.compress(json.dumps(numbers).encode(), 6))
    assert read_json(tmp_path / "dense.json.gz") == numbers


def test_a_file_larger_than_any_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.touch()
    os.truncate(path, reading.LARGEST + 1)  # sparse
    with pytest.raises(ValueError, match="more than any data set's file"):
        read_json(path)


def test_pipes_under_a_data_folder_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.json")
    file = OfficialFile(role="rows", split="val", name="rows.json", source="here")
    with pytest.raises(ValueError, match=r"missing under.*\n.*rows\.json"):
        find(Data(tmp_path), [file])


# ---------------------------------------------------------------------------- through the command

QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"
BAD: dict[str, tuple[bytes, str]] = {
    "cut": (b'{"questions": [{"question_id": 1, "ima', "cut short at byte 38"),
    "other types": (
        b'{"questions": [{"question_id": [], "image_id": 1, "question": ""}]}',
        "row 1",
    ),
    "not UTF-8": (
        b'{"questions": [{"question_id": 1, "image_id": 1, "question": "\xff"}]}',
        "row 1",
    ),
    "gzip, cut": (gzip.compress(b"[]" * 99, mtime=0)[:-9], "Compressed file ended"),
    "deep": (b'{"questions": ' + b"[" * 200_000, "nested too deeply"),
    "twice": (b'{"questions": [], "questions": []}', "there twice"),
    "empty": (b"", "is empty"),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_score_and_check_end_in_a_sentence(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD[kind]
    tasks.load("vqa2").tiny(tmp_path)
    write_bytes(tmp_path / "said.json", b"[]")
    write_bytes(tmp_path / QUESTIONS, content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    asked = ["vqa2", "--predictions", str(tmp_path / "said.json"), "--questions",
             str(tmp_path / QUESTIONS), "--annotations", str(tmp_path / ANNOTATIONS),
             "--per-example", str(tmp_path / "rows.jsonl")]  # fmt: skip
    assert cli.run("score", asked) == 1
    said = capsys.readouterr().err
    assert QUESTIONS in said and message in said and "Traceback" not in said
    assert cli.run("data", ["check", "--task", "vqa2", "--data", str(tmp_path)]) == 1
    assert message in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_picture_outside_the_data_folder_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    tasks.load("vqa").tiny(data)
    (data / "pictures" / "val-red.png").rename(tmp_path / "secret.png")
    for image in ("../secret.png", str(tmp_path / "secret.png"), "pictures/../../secret.png"):
        rows = [{"image": image, "question": "?", "answer": "red"}]
        write_bytes(data / "val.jsonl", json.dumps(rows[0]).encode())
        assert cli.run("data", ["check", "--task", "vqa", "--data", str(data)]) == 1
        assert "line 1" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "split"), [("vqa2", "val"), ("snli_ve", "dev"), ("vcr", "val")])
def test_a_missing_picture_is_told_with_who_asks_for_it(
    name: str, split: str, tmp_path: Path
) -> None:
    task = tasks.load(name)
    task.tiny(tmp_path)
    example = task.examples(Data(tmp_path), split)[0]
    PictureIndex(tmp_path).find(example.pictures[0]).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"{name} {example.id}: no picture")):
        splits.part(Source(name, Data(tmp_path)), split)
