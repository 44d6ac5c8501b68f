"""Walks that are shown: what is told of them is what was walked, and the page stands alone."""

import base64
import io
import json
import math
import re
from pathlib import Path

import pytest
from PIL import Image

from clipvil import api, cli
from clipvil.explain import walks_page
from clipvil.explain.walks import EACH, KINDS, Gallery, chosen
from clipvil.graphs.above import WIDTH
from clipvil.graphs.views import STEP
from tests.answers.test_moves import features, pictures, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A follower that was trained a little, with its data beside it, and pictures of views."""
    root = tmp_path_factory.mktemp("walks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        train(root / "data", "r2r", features(root / "data", "r2r"), root / "run", "imitate")
    pictures(root / "pictures")
    return root / "run"


@pytest.fixture(scope="module")
def gallery(run: Path) -> Gallery:
    return api.explain_walks(run, images=run.parent / "pictures")


def test_steps_tell_the_walk_that_is_scored(run: Path, gallery: Gallery) -> None:
    assert gallery.count == 6 and len(gallery.walks) == 2, "of each path one walk"
    assert api.evaluate(run)["val_unseen"] == dict(gallery.means)
    for walk in gallery.walks:
        passed = [walk.steps[0].viewpoint]
        for step in walk.steps:
            assert step.viewpoint == passed[-1]
            if step.chosen is not None:
                passed.append(step.ways[step.chosen].viewpoint)
            best = max([step.stop, *(way.chance for way in step.ways)])
            assert step.chance == best, "the likeliest is chosen"
            assert step.stop + sum(way.chance for way in step.ways) == pytest.approx(1, abs=1e-5)
            assert len(step.words) == len(walk.words) and sum(step.words) == pytest.approx(1)
            assert all(-math.pi < way.aside <= math.pi for way in step.ways)
        assert passed == [viewpoint for viewpoint, _, _ in walk.answer.steps]
        assert walk.words == tuple(walk.instruction.lower().strip(".").split()) and not walk.cut


def test_best_median_and_worst_are_shown_and_no_path_twice() -> None:
    order, paths = list(range(40)), [k // 2 for k in range(40)]
    shown = chosen(order, paths)
    assert [kind for kind, _ in shown] == [kind for kind in KINDS for _ in range(EACH)]
    assert len({paths[row] for _, row in shown}) == len(shown)
    rows = {kind: [row for k, row in shown if k == kind] for kind in KINDS}
    assert rows["best"] == [0, 2, 4, 6] and rows["worst"] == [39, 37, 35, 33]
    assert all(14 <= row <= 25 for row in rows["median"])
    assert [row for _, row in chosen([1, 0], [0, 1])] == [1, 0], "few are shown once"


def test_what_is_around_lies_where_it_is_said_to(tmp_path: Path) -> None:
    files = {}
    for view in range(12, 24):
        files[view] = tmp_path / f"{view}.png"
        Image.new("RGB", (64, 48), (20 * (view - 12), 0, 255 - 20 * (view - 12))).save(files[view])
    for facing in (12, 17, 35):
        ring = opened(walks_page.around(files, facing))
        for turned in range(-5, 6):
            at = ring.width * walks_page.across(turned * STEP) / 100
            red, _, _ = ring.getpixel((int(at), ring.height // 2))  # type: ignore[misc]
            assert abs(red - 20 * ((facing + turned) % 12)) < 10


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_the_page_stands_alone(gallery: Gallery) -> None:
    text = walks_page.html(gallery)
    places = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', text)
    assert places and all((one or other).startswith("data:") for one, other in places)
    assert "<script" not in text
    for walk in gallery.walks:
        assert text.count(f"<h3>{walk.id} ") == 1 and walk.instruction in text
    assert text.count("<li>\n<p class=") == sum(len(walk.steps) for walk in gallery.walks)
    assert text.count('alt="All around"') == sum(len(walk.steps) for walk in gallery.walks)


def test_a_drawing_has_both_paths_inside(gallery: Gallery) -> None:
    for walk in gallery.walks:
        drawing = walks_page.section(gallery, walk)["drawing"]
        assert len(drawing.reference) == len(walk.episode.path)
        for x, y in (*drawing.reference, *drawing.walks[0]):
            assert 0 < x < WIDTH and 0 < y < drawing.height
        (_, goal_near), *_ = [p for p in drawing.places if p[0] == drawing.reference[-1]]
        assert goal_near and len(drawing.places) == 4 and len(drawing.edges) == 3


def test_the_verb_writes_a_page_without_pictures_too(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "walks.html"
    assert cli.run("explain", [str(run), "--limit", "2", "--json", "--out", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["count"] == 2 and told["walks"][0]["steps"][0]["words"]
    assert "All around" not in page.read_text() and "goes" in page.read_text()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--split", "test"], 1, "its path is not public"),
        (["--images", "."], 1, "no picture called tiny3/"),
        (["--image", "a.png", "--limit", "3"], 2, "the options of walks go without it"),
    ],
)
def test_what_cannot_be_shown_is_told(
    run: Path, options: list[str], status: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.run("explain", [str(run), *options]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "walks.html").exists()
