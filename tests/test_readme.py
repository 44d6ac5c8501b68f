"""Every command and every line of Python in README and docs runs, in the order it is printed."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clipvil
from clipvil import tasks
from clipvil.core import Data
from clipvil.tasks.base import tiny_picture

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
COLOURS = ("red", "green", "blue")


def blocks(language: str, *pages: str) -> list[str]:
    return [b for page in pages for b in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)]


def pictures(root: Path) -> None:
    """Own data as the README describes them."""
    for split, count in (("train", 40), ("test", 12)):
        rows = []
        for k in range(count):
            image = f"photos/{split}{k}.png"
            tiny_picture(root / image, COLOURS[k % 3])
            rows.append({"image": image, "question": "What colour?", "answers": [COLOURS[k % 3]]})
        (root / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
def test_the_commands_and_the_python_run(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures")
    for block in blocks("python", *DOCS):
        (name,) = re.findall(r"^# (\w+\.py)\n", block)
        (tmp_path / name).write_text(block)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for block in blocks("sh", README, *DOCS):
        for line in block.splitlines():
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    (python,) = blocks("python", README)
    # a folder imported later does not take the place of the function that is called like it
    python += "import clipvil.explain.captions\nassert callable(clipvil.explain)\n"
    (tmp_path / "three_lines.py").write_text(python)
    report, results = tmp_path / "comparison/report.html", tmp_path / "comparison/results.jsonl"
    before = results.read_bytes()
    report.unlink()
    subprocess.run([sys.executable, "three_lines.py"], cwd=tmp_path, env=environment, check=True)
    assert report.is_file()
    assert results.read_bytes() == before, "Python asks for the very same comparison"


def test_the_example_row_is_what_the_reader_takes() -> None:
    (row,) = blocks("json", README)
    assert json.loads(row).keys() == {"image", "question", "answers"}


def test_the_example_rows_of_own_data_are_read(tmp_path: Path) -> None:
    (rows,) = blocks("json", *DOCS)
    for name, row in zip(("vqa", "caption", "entail", "choose"), rows.splitlines(), strict=True):
        (tmp_path / "test.jsonl").write_text(row)
        (example,) = tasks.load(name).examples(Data(tmp_path), "test")
        assert example.pictures == ("photos/0001.jpg",)


def test_its_functions_show_their_arguments() -> None:
    assert "data" in inspect.signature(clipvil.compare).parameters
    assert dir(clipvil) == ["__version__", "adopt", "compare", "explain", "predict"]


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target
