"""Files that anybody may have made, of every task, through the command: exit status 1, the file and
its row named in a sentence, nothing written. Each case spoils one file of what `tiny` writes.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clipvil import tasks
from clipvil.core import Answer, Chose, Data, Said, Task, Walked
from clipvil.files import PictureIndex, reading
from clipvil.tasks.base import of_split
from tests.command import told
from tests.contract.test_score import answers, options
from tests.contract.test_tasks import NAMES

AWAY = "../../x"
MIB = 1 << 20


@dataclass(frozen=True)
class Laid:
    """What the rows of a task's official file call things; `key` is theirs among an object's."""

    key: str
    name: str
    text: str
    picture: str  # or scan


LAID = {
    "vqa2": Laid("questions", "question_id", "question", "image_id"),
    "vqa2@cp": Laid("", "question_id", "question", "image_id"),
    "gqa": Laid("", "", "question", "imageId"),
    "snli_ve": Laid("", "pairID", "sentence2", "Flickr30K_ID"),
    "vcr": Laid("", "annot_id", "question", "img_fn"),
    "coco_caption": Laid("images", "id", "file_name", "file_name"),
    "coco_caption@karpathy": Laid("images", "cocoid", "filename", "filename"),
    "r2r": Laid("", "path_id", "scan", "scan"),
    "rxr": Laid("", "instruction_id", "instruction", "scan"),
    "vqa": Laid("", "id", "question", "image"),
    "caption": Laid("", "id", "caption", "image"),
    "entail": Laid("", "id", "hypothesis", "image"),
    "choose": Laid("", "id", "question", "image"),
}


@dataclass(frozen=True)
class Made:
    """A task, its tiny files, predictions beside them, and the file of its report split."""

    task: Task
    root: Path
    path: Path
    laid: Laid
    score: tuple[str, ...]  # options
    said: dict[str, Answer]

    @property
    def lines(self) -> bool:
        return self.path.suffix == ".jsonl"

    def score_fails(self, case: str) -> str:
        """What the command says of files of which it can make nothing."""
        before = contents(self.root)
        each = str(self.root / "each" / "rows.jsonl")
        _, error = told("score", *self.score, "--per-example", each, code=1)
        assert contents(self.root) == before, f"{case}: nothing is written"
        assert "Traceback" not in error
        return error


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    task, root = tasks.load(request.param), tmp_path_factory.mktemp("made")
    task.tiny(root)
    said = answers(task, root)
    task.write(root / "said", said)
    roles = ("questions", "annotations")
    official = next(f for f in of_split(task.files, task.splits.report) if f.role in roles)
    laid = LAID.get(task.name) or LAID[task.name.partition("@")[0]]
    return Made(task, root, root / official.name, laid, tuple(options(task, root)), said)


@pytest.fixture(autouse=True)
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that tests can reach."""
    monkeypatch.setattr(reading, "LINE", MIB)
    monkeypatch.setattr(reading, "FREE", 1 << 16)
    monkeypatch.setenv("PATH", "")  # Java takes long


@pytest.fixture
def kept(made: Made) -> Iterator[None]:
    """Puts back what a test spoils."""
    before = contents(made.root)
    yield
    for path, content in before.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape")


def spoilt(made: Made, kind: str) -> tuple[bytes, list[str]] | None:
    """The file with something wrong about its last row, and what is to be said of it."""
    content, laid = made.path.read_bytes(), made.laid
    whole = (
        [json.loads(line) for line in content.splitlines()] if made.lines else json.loads(content)
    )
    inner = whole[laid.key] if laid.key else whole
    rows = [*inner.values()] if isinstance(inner, dict) else inner
    other, last = max(0, len(rows) - 3), len(rows) - 1

    def place(row: int) -> str:
        if isinstance(inner, dict):
            return f"entry {[*inner][row]!r}"
        return f"{'line' if made.lines else 'row'} {row + 1}"

    match kind:
        case "cut":
            where = f"{place(last)}: " if made.lines else ""
            return content[:-5], [f"{where}cut short at byte "]
        case "bomb":
            return gzip.compress(b"[" + b" " * (2 * MIB)), ["no data set is like that"]
        case "line":
            if not made.lines:
                return None
            long = content.rstrip() + b" " * MIB
            return long, [f"{place(last)}: a line of more than 1 MiB"]
        case "twice" if isinstance(inner, dict):
            first, second = ([*inner][row] for row in (other, last))
            twice = content.replace(f'"{second}":'.encode(), f'"{first}":'.encode())
            return twice, [f"entry {other + 1} of", f"entry {last + 1} of", first]
        case "twice":
            rows[other][laid.name] = rows[last][laid.name] = rows[last].get(laid.name, "7")
            wanted = [place(other), place(last), str(rows[last][laid.name])]
        case "type":
            rows[last][laid.text] = 3
            wanted = [place(last), "expected `"]
        case "not UTF-8":
            listed = isinstance(rows[last][laid.text], list)
            rows[last][laid.text] = ["\udcff"] if listed else "\udcff"
            wanted = [place(last), "utf-8"]
        case "path":
            numbered = isinstance(rows[last][laid.picture], int)
            rows[last][laid.picture] = AWAY
            wanted = [place(last), "expected `int`" if numbered else AWAY]
        case "beyond any column":
            if not isinstance(rows[last].get(laid.name), int) or made.task.name == "r2r":
                return None
            rows[last][laid.name] = 1 << 70
            wanted = [place(last), "expected `int`"]
        case _:
            raise AssertionError(kind)
    return b"\n".join(map(dumped, whole)) if made.lines else dumped(whole), wanted


KINDS = ("cut", "type", "twice", "not UTF-8", "path", "beyond any column", "line", "bomb")


@pytest.mark.usefixtures("kept")
def test_a_spoilt_file_is_named_with_its_row(made: Made) -> None:
    content = made.path.read_bytes()
    for kind in KINDS:
        found = spoilt(made, kind)
        if found is None:
            continue
        made.path.write_bytes(found[0])
        error = made.score_fails(kind)
        for wanted in (made.path.name, *found[1]):
            assert wanted.lower() in error.lower(), (kind, error)
        made.path.write_bytes(content)


@pytest.mark.usefixtures("kept")
def test_the_data_are_checked_alike(made: Made) -> None:
    found = spoilt(made, "type")
    assert found is not None
    made.path.write_bytes(found[0])
    before = contents(made.root)
    given = ("data", "check", "--task", made.task.name, "--data", str(made.root))
    out, error = told(*given, code=1)
    assert contents(made.root) == before
    assert all(wanted in out.lower() for wanted in (made.path.name.lower(), *found[1])), out
    assert "Traceback" not in error and out.endswith("not complete\n")


@pytest.mark.usefixtures("kept")
def test_a_missing_picture_is_named(made: Made) -> None:
    examples = made.task.examples(Data(made.root), made.task.splits.report)
    wanted = [name for example in examples for name in example.pictures]
    if not wanted:  # walks have views, and features stand for those
        return
    PictureIndex(made.root).find(wanted[-1]).unlink()
    given = ("data", "check", "--task", made.task.name, "--data", str(made.root))
    out, _ = told(*given, code=1)
    assert f"missing: {wanted[-1]}" in out and out.endswith("not complete\n")


def change(path: Path, old: str, new: str) -> None:
    """Spoil the last place where something stands in a file."""
    head, found, tail = path.read_text().rpartition(old)
    assert found, path
    path.write_text(head + new + tail)


META, GRAPH = "vcr1images/a_film/val-blue@0.json", "connectivity/tiny3_connectivity.json"


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "wanted"),
    [
        ("vcr", META, '"boxes":[[8', '"boxes":[[NaN', "entry 'boxes', row 1: JSON is malformed"),
        ("vcr", META, '"boxes":[[8', '"boxes":[[1e999', "Number out of range"),
        ("vcr", META, '"boxes":[[8', '"boxes":[[99', "box 0 is none"),
        ("vcr", "val.jsonl", "[0]", "[1]", "line 3: tag 1, but there are 1 objects"),
        ("vcr", "val.jsonl", "[0]", "[-1]", "line 3: tag -1, but there are 1 objects"),
        ("vcr", "val.jsonl", '"answer_label": 2', '"answer_label": 4', "line 3: Expected `int` <="),
        ("choose", "test.jsonl", '"label": 2', '"label": 3', "line 3: label 3 is no place among 3"),
        ("r2r", GRAPH, "6.0", "NaN", "row 4: JSON is malformed"),
        ("rxr", GRAPH, "6.0", "1e99", "is not in this world"),
        ("r2r", "R2R_val_unseen.json", "1.5", "NaN", "row 2: JSON is malformed"),
        ("rxr", "rxr_val_unseen_guide.jsonl", "1.5", "NaN", "line 3: "),
    ],
)  # fmt: skip
def test_places_that_are_none_are_named(
    name: str, file: str, old: str, new: str, wanted: str, tmp_path: Path
) -> None:
    tasks.load(name).tiny(tmp_path)
    change(tmp_path / file, old, new)
    before = contents(tmp_path)
    out, error = told("data", "check", "--task", name, "--data", str(tmp_path), code=1)
    assert file in out and wanted in out and "Traceback" not in error
    assert contents(tmp_path) == before


BOX = '{"300": {"width": 1, "height": 1, "objects": {"7": {"x": NUMBER, "y": 0, "w": 1, "h": 1}}}}'


@pytest.mark.parametrize(
    ("number", "wanted"),
    [("NaN", ": entry '300': JSON is malformed: invalid character (byte 57)"),
     ("1e999", ", entry '300': Number out of range"), ("null", ", entry '300': Expected `float`")],
)  # fmt: skip
def test_boxes_of_scene_graphs_that_are_none_are_named(
    number: str, wanted: str, tmp_path: Path
) -> None:
    task = tasks.load("gqa")
    task.tiny(tmp_path)
    task.write(tmp_path / "said", answers(task, tmp_path))
    (tmp_path / "scenes").write_text(BOX.replace("NUMBER", number))
    (tmp_path / "maps").write_text("[]")
    more = ["--scene-graphs", str(tmp_path / "scenes"), "--attentions", str(tmp_path / "maps")]
    _, error = told("score", *options(task, tmp_path), *more, code=1)
    assert f"{tmp_path / 'scenes'}{wanted}" in error


# ---------------------------------------------------------------------------- predictions


def plain(answer: Answer) -> Any:
    match answer:
        case Said(text=text):
            return text
        case Chose(index=index, then=then):
            whole = {"answer": index, "rationale": [one.index for one in then]}
            return whole if then else index
        case Walked(steps=steps):
            return [viewpoint for viewpoint, _, _ in steps]


def predicted(made: Made, kind: str) -> tuple[bytes, list[str]]:
    """Predictions with something wrong about the last, and what is to be said of them."""
    rows = [{"id": name, "answer": plain(answer)} for name, answer in made.said.items()]
    place, last = f"line {len(rows)}", rows[-1]
    match kind:
        case "cut":
            return b"\n".join(map(dumped, rows))[:-5], [f"{place}: cut short at byte "]
        case "bomb":
            return gzip.compress(b"[" + b" " * (2 * MIB)), ["no data set is like that"]
        case "line":
            return b"\n".join(map(dumped, rows)) + b" " * MIB, [f"{place}: a line of more than"]
        case "twice":
            last["id"] = rows[0]["id"]
            again = f"{rows[0]['id']} (rows 1, {len(rows)})"
            wanted = [f"1 ids are predicted more than once: {again}"]
        case "type":
            last["answer"] = {"x": 1}
            wanted = [f"{place}: "]
        case "not UTF-8":
            last["id"] = "\udcff"
            wanted = [f"{place}: byte 8 is not utf-8"]
        case "path":
            last["id"] = AWAY
            wanted = [f"1 predicted ids are not among the {len(rows)} examples: {AWAY}"]
        case _:
            raise AssertionError(kind)
    return b"\n".join(map(dumped, rows)), wanted


@pytest.mark.usefixtures("kept")
def test_spoilt_predictions_are_named_with_their_row(made: Made) -> None:
    path = made.root / "said"
    for kind in ("cut", "type", "twice", "not UTF-8", "path", "line", "bomb"):
        content, wanted = predicted(made, kind)
        path.write_bytes(content)
        error = made.score_fails(kind)
        for part in (str(path), *wanted):
            assert part.lower() in error.lower(), (kind, error)


@pytest.mark.usefixtures("kept")
def test_a_submission_that_is_cut_is_named(made: Made) -> None:
    path = made.root / "said"
    path.write_bytes(path.read_bytes()[:-5])
    assert str(path) in made.score_fails("cut")
