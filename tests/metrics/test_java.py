"""METEOR and SPICE: their own programs' counts, or a reason why there are none."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from clipvil.core import Said
from clipvil.evaluate.score import score
from clipvil.metrics import _java, meteor, spice
from clipvil.tasks._captions import Captioned
from clipvil.tasks.coco_caption import TASK

PACKED = pytest.mark.skipif(
    importlib.util.find_spec(_java.PACKAGE) is None, reason=f"needs {_java.PACKAGE}"
)
PICTURES = Captioned(
    ids=["1", "2"], pictures=["1", "2"], captions=[("a cat", "the cat sits"), ("a dog",)]
)
SAID = [("1", Said("a cat")), ("2", Said("the dog runs"))]
# the layout of the program's output, with what it is known to leave empty
SPICE = """
import json, sys
assert sys.argv[1] == "-Xmx8G" and sys.argv[3:5] == ["-jar", "spice-1.0.jar"], sys.argv
rows = []
for row in json.load(open(sys.argv[5])):
    f = 0.25 * len(row["refs"]) * len(row["test"].split())
    scores = {"All": {"pr": 0.1, "re": 0.2, "f": f, "tp": 1.0}, "Object": {"f": None}}
    rows.append({"image_id": row["image_id"], "test_tuples": [], "scores": scores})
json.dump(rows, open(sys.argv[sys.argv.index("-out") + 1], "w"))
"""
METEOR = f"""
import pathlib, sys
with (pathlib.Path(sys.argv[0]).parent / "runs").open("a") as runs:
    runs.write("run\\n")
for line in sys.stdin:
    print(*[len(line.split())] * {len(meteor.COLUMNS)})
"""


def java(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Put a program called java on the path, and nothing else."""
    path = folder / "java"
    path.write_text(f"#!{sys.executable}\n{program}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@PACKED
def test_spice_is_the_mean_of_what_its_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java(tmp_path, monkeypatch, SPICE)
    assert spice.program() is None, "its parser does not come with the package"
    monkeypatch.setattr(spice, "PARSER", spice.JAR)
    monkeypatch.setattr(meteor, "JAR", "nowhere")
    scored = score(TASK, PICTURES, SAID, thorough=True)
    assert scored.figures["spice"].value == pytest.approx((1.0 + 0.75) / 2)
    assert [row["spice"] for row in scored.examples()] == [1, 0.75]
    assert scored.figures["meteor"].value is None
    plain = score(TASK, PICTURES, SAID)
    assert plain.figures["spice"].reason == f"needs {spice.NEEDS}"
    assert scored.minus(plain).value == 0


@PACKED
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('no memory left')", "METEOR failed: no memory left"),
        ("import sys; sys.exit(3)", "METEOR failed: exit status 3"),
        ("print('1.0 2.0')", "METEOR failed: 1 answers to 2 captions"),
    ],
)
def test_a_program_that_fails_costs_its_own_figure_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    program: str, said: str,
) -> None:  # fmt: skip
    java(tmp_path, monkeypatch, program)
    scored = score(TASK, PICTURES, SAID, thorough=True)
    assert scored.figures["meteor"].value is None
    assert scored.figures["bleu_1"].value == pytest.approx(3 / 5)
    assert said in capsys.readouterr().err


@PACKED
def test_systems_that_are_compared_share_one_run_of_meteor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java(tmp_path, monkeypatch, METEOR)
    assert TASK.compared is not None and TASK.thorough is not None
    systems = [dict(SAID), {"1": Said("the the the cat"), "2": Said("")}]
    several = TASK.compared(PICTURES, systems)
    assert (tmp_path / "runs").read_text() == "run\n"
    for found, answers in zip(several, systems, strict=True):
        alone = TASK.thorough(PICTURES, answers)
        assert (found.ids, found.columns) == (alone.ids, alone.columns)
        np.testing.assert_array_equal(found.rows, alone.rows)
        assert "meteor" in TASK.reduce(found.totals())


@pytest.mark.slow
@pytest.mark.skipif(meteor.program() is None, reason=f"METEOR needs {meteor.NEEDS}")
def test_meteor_is_the_published_programs_figure() -> None:
    """The formula over the sum of counts is what the program itself says of several captions."""
    from pycocoevalcap.meteor.meteor import Meteor

    candidates = ["a cat sits on the mat", "a cat", "", "dog", "à la carte 1\xa01/2", "the the"]
    references = [
        ["the cat sat on a mat", "a cat is sitting there"], ["a cat"], ["a cat", ""], [""],
        ["à la carte", "crêpes 1\xa01/2"], ["the", "of the"],
    ]  # fmt: skip
    program = Meteor()
    theirs, each = program.compute_score(
        dict(enumerate(references)), {k: [one] for k, one in enumerate(candidates)}
    )
    program.meteor_p.stdout.close()  # it leaves them open
    program.meteor_p.stderr.close()
    counts = meteor.statistics(
        [one.split(" ") for one in candidates],
        [[one.split(" ") for one in several] for several in references],
    )
    rows = np.concatenate([counts, np.ones((len(counts), 1))], axis=1)  # [N, K + 1]
    named = (*meteor.COLUMNS, "count")
    ours = meteor.reduce(dict(zip(named, rows.sum(0), strict=True)))
    assert ours["meteor"] == pytest.approx(theirs, abs=1e-9)
    alone = meteor.reduce(dict(zip(named, rows.T, strict=True)))
    np.testing.assert_allclose(alone["meteor"], each, atol=1e-9)
