"""What is killed at random instants ends byte for byte like what was left alone."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from clipvil.worlds import tabletop
from tests.command import Started

TIMED = {"timing.json", "about.json", "report.html"}  # they tell how long things took
RECIPE = """
from clipvil.models import mcan
from clipvil.train.recipe import Recipe, Stage

def recipe():
    config = mcan.Config(width=16, heads=2, layers=1, flat=16, word_width=16)
    first = Stage(least_steps=20, most_steps=20, batch=8, validations=4)
    second = Stage(least_steps=10, most_steps=10, batch=8, validations=2, learning_rate=2e-5)
    return Recipe(model="mcan", config=config, stages=(first, second), rates=(1e-3, 3e-3))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("killed")
    tabletop.write(root / "world", seed=11, train=60, val=16, shifts=False)
    (root / "own.py").write_text(RECIPE)
    return root


def compare(world: Path, out: Path) -> list[str]:
    asked = ["compare", "--task", "vqa2", "--data", str(world / "world"), "--out", str(out)]
    asked += ["--encoders", "tiny:clip", "tiny:random", "--shots", "100%", "--seeds", "1"]
    asked += ["--beside", "probe", "zero-shot"]
    asked += ["--recipe", f"module:{world / 'own.py'}:recipe", "--jobs", "2"]
    return asked


def train(world: Path, out: Path) -> list[str]:
    asked = ["train", f"module:{world / 'own.py'}:recipe", "--task", "vqa2", "--out", str(out)]
    return [*asked, "--data", str(world / "world"), "--encoder", "tiny:random"]


def run(arguments: Sequence[str], seconds: float | None) -> bool:
    """Whether the command ended by itself; after `seconds` it is killed."""
    process = Started(*arguments)
    said = process.wait(seconds)
    if said is None:
        process.kill()
        return False
    assert process.poll() == 0, said
    return True


def content(folder: Path) -> dict[str, bytes]:
    """Every file but those that tell the time, with seconds taken out of the records."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED and not path.name.startswith(".")
    }
    if "results.jsonl" in files:
        rows = [json.loads(line) for line in files["results.jsonl"].splitlines()]
        files["results.jsonl"] = json.dumps([r | {"seconds": None} for r in rows]).encode()
        files.pop("results.csv")  # the same records with their seconds
    return files


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "kills", "longest"), [(compare, 5, 7.0), (train, 4, 3.0)])
def test_killed_at_many_instants_it_ends_the_same(
    world: Path, verb: Callable[[Path, Path], list[str]], kills: int, longest: float
) -> None:
    whole, killed = (world / f"{verb.__name__}-{name}" for name in ("whole", "killed"))
    run(verb(world, whole), None)
    dice, done = random.Random(2), 0
    while done < kills and not run(verb(world, killed), dice.uniform(0.3, longest)):
        done += 1
    run(verb(world, killed), None)
    left, right = content(whole), content(killed)
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []
