"""What we promise of the world's houses: official files, pictures that agree with the plan."""

import io
import json
import math
from dataclasses import replace
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipvil import cli, tasks
from clipvil.core import Data, UsageError
from clipvil.files import PictureIndex
from clipvil.graphs.connectivity import read_graph
from clipvil.tasks._walks import on_spot
from clipvil.worlds import tabletop
from clipvil.worlds.tabletop import houses
from clipvil.worlds.tabletop.panorama import panorama
from clipvil.worlds.tabletop.plan import CELL, PAINTS, House, Landmark, apart, bearing, house
from clipvil.worlds.tabletop.rays import cast, clear, seen

pytestmark = pytest.mark.slow  # panoramas take seconds to draw
SPLITS = ("train", "val_seen", "val_unseen")
SIZE = 16  # of pictures in files, where nobody looks at them
Rows = list[dict[str, Any]]


def rows(root: Path, split: str) -> Rows:
    found: Rows = json.loads((root / f"R2R_{split}.json").read_text())
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("houses")
    tabletop.write(root, seed=3, train=4, val=2, tasks=("snli_ve",), shifts=False)
    houses.write(root, seed=3, houses=2, size=SIZE)
    return root


@pytest.fixture(scope="module")
def plans() -> list[House]:
    return [house(11, index) for index in range(12)]


@pytest.fixture(scope="module")
def plan(plans: list[House]) -> House:
    return plans[0]


@lru_cache(maxsize=8)
def views(plan: House, here: int, count: int) -> np.ndarray:
    """[count, 64, 64, 3]"""
    return np.stack(list(islice(panorama(plan, here), count))).astype(int)


def changed(plan: House, other: House, here: int, count: int = 24) -> np.ndarray:
    """Where another plan looks otherwise from a viewpoint, [count, 64, 64]: down, then level."""
    return np.abs(views(plan, here, count) - views(other, here, count)).max(-1) > 2


def without(plan: House, mark: Landmark) -> House:
    return replace(plan, landmarks=tuple(m for m in plan.landmarks if m != mark))


def level(heading: float) -> int:
    """The level view whose middle is nearest to a heading."""
    return 12 + round(heading / (math.pi / 6)) % 12


# ---------------------------------------------------------------------------- files


def test_files_are_those_that_were_published(world: Path, shared: Path) -> None:
    def fields(row: dict[str, Any]) -> dict[str, type]:
        return {key: type(value) for key, value in row.items()}

    theirs = json.loads((shared / "vln/R2R/R2R_train.json").read_text())
    assert fields(rows(world, "train")[0]) == fields(theirs[0])
    folder = "connectivity"
    theirs = json.loads((shared / "vln" / folder / "17DRP5sb8fy_connectivity.json").read_text())
    scans = (world / folder / "scans.txt").read_text().split()
    ours = json.loads((world / folder / f"{scans[0]}_connectivity.json").read_text())
    assert fields(ours[0]) == fields(theirs[0])
    assert len(ours[0]["pose"]) == len(theirs[0]["pose"])
    turned = np.array(ours[0]["pose"]).reshape(4, 4)[:3, :3]
    assert np.linalg.det(turned) == 1
    assert (turned @ turned.T == np.eye(3)).all()


def test_36_views_of_every_viewpoint_and_nothing_else(world: Path) -> None:
    expected = set()
    for graph in (world / "connectivity").glob("*_connectivity.json"):
        scan = graph.name.removesuffix("_connectivity.json")
        for viewpoint in json.loads(graph.read_text()):
            name = f"{scan}/{viewpoint['image_id']}"
            expected |= {f"{name}/{view:02d}.jpg" for view in range(36)}
    pictures = {p.relative_to(world / "views").as_posix() for p in world.glob("views/*/*/*")}
    assert pictures == expected
    with Image.open(world / "views" / min(pictures)) as picture:
        assert picture.size == (SIZE, SIZE)


def test_the_official_reader_scores_the_reference_paths_perfect(world: Path) -> None:
    task = tasks.load("r2r")
    for split in SPLITS:
        examples = task.examples(Data(world), split)
        answers = {}
        for example in examples:
            assert example.episode is not None
            answers[example.id] = on_spot(example.episode.path)
        measured = task.measure(examples, answers)
        values = task.reduce(measured.totals())
        for name in ("success_rate", "spl", "ndtw", "sdtw", "oracle_success_rate"):
            assert values[name] == pytest.approx(1, abs=1e-5), (split, name)
        assert values["navigation_error"] == 0


def test_paths_are_shortest_and_as_long_as_they_say(world: Path) -> None:
    for split in SPLITS:
        for row in rows(world, split):
            graph = read_graph(world / "connectivity", row["scan"])
            path = row["path"]
            assert 5 <= len(path) <= 7
            assert row["distance"] >= 5
            assert graph.distance(path[0], path[-1]) == pytest.approx(row["distance"], abs=0.006)
            for one, other in pairwise(path):
                assert graph.joined(one, other)
                assert graph.distance(one, other) > 3, "to be near the goal is not to be there"
            assert len(set(row["instructions"])) > 1
            assert 0 <= row["heading"] < 2 * math.pi


def test_unseen_houses_are_unseen_and_no_path_is_in_two_splits(world: Path) -> None:
    scans = {split: {row["scan"] for row in rows(world, split)} for split in SPLITS}
    assert scans["train"] == scans["val_seen"]
    assert not scans["train"] & scans["val_unseen"]
    ids = [row["path_id"] for split in SPLITS for row in rows(world, split)]
    paths = {(row["scan"], *row["path"]) for split in SPLITS for row in rows(world, split)}
    assert len(set(ids)) == len(ids) == len(paths)


def test_the_same_seed_gives_the_same_bytes(world: Path, tmp_path: Path) -> None:
    given = ["--seed", "3", "--train", "4", "--val", "2", "--houses", "2"]
    made = ["data", "make", "tabletop", "--data", str(tmp_path), "--tasks", "snli_ve", "r2r"]
    with pytest.raises(SystemExit, match="0"):
        cli.main([*made, *given])
    told = [path.relative_to(world) for path in world.rglob("*.json*")]
    assert len(told) >= 3 + 2 + 1, "paths, graphs and hypotheses"
    assert all((tmp_path / name).read_bytes() == (world / name).read_bytes() for name in told)
    folder = tmp_path / "views" / "house3_1" / "house3_1v05"
    for number, view in enumerate(islice(panorama(house(3, 1), 5), 3)):
        again = io.BytesIO()
        Image.fromarray(view).save(again, "JPEG", quality=95, subsampling=0)
        assert (folder / f"{number:02d}.jpg").read_bytes() == again.getvalue()


def test_another_seed_is_another_house() -> None:
    assert house(0, 0).landmarks != house(1, 0).landmarks != house(1, 1).landmarks
    assert house(1, 2).landmarks == house(1, 2).landmarks


def test_a_view_is_no_numbered_picture(world: Path) -> None:
    index = PictureIndex(world)
    assert index.find("1").name == "COCO_train2014_000000000001.jpg"
    view = "house3_0/house3_0v00/01"
    assert index.find(view) == world / "views" / f"{view}.jpg"
    with pytest.raises(FileNotFoundError):
        index.find("12")


def test_one_house_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unseen"):
        tabletop.write(tmp_path, seed=0, train=1, val=1, tasks=("r2r",), houses=1)


# ---------------------------------------------------------------------------- pictures


def test_a_landmark_is_where_it_stands_as_large_as_it_is_far(plan: House) -> None:
    found = 0
    for here in range(0, 16, 5):
        for mark, heading, metres in seen(plan, here)[:2]:
            seen_at = changed(plan, without(plan, mark), here)
            view = level(heading)
            assert seen_at[view].sum() > 20
            off = apart(heading, (view - 12) * math.pi / 6)
            rows_of, columns = np.nonzero(seen_at[view][:40])  # above where only the pole is
            focal = 32 / math.tan(math.pi / 6)
            middle = 32 + focal * math.tan(off)
            assert columns.min() - 2 <= middle <= columns.max() + 2
            if abs(off) < 0.15 and mark.shape in (0, 6):  # circle and ring are as wide as high
                radius = focal * mark.radius / metres
                assert abs((columns.max() - columns.min() + 1) / 2 - radius) < 2
                assert rows_of.min() < 32 + focal * (1.5 - mark.z) / metres
                found += 1
            behind = 12 + (view - 12 + 6) % 12
            assert not seen_at[behind].any(), "what is in front is not behind"
    assert found


def rays_of(view: int) -> np.ndarray:
    """Headings of the columns of a level view, and of half a column beside them, [64, 3]."""
    columns = np.arange(64)[:, None] - 31.5 + np.array([-1, 0, 1])
    return (view - 12) * math.pi / 6 + np.arctan(columns * math.tan(math.pi / 6) / 32)


def test_walls_hide_landmarks_whole_and_in_part(plan: House) -> None:
    hidden: dict[str, list[tuple[int, Landmark, float]]] = {"whole": [], "part": []}
    for here, place in list(enumerate(plan.viewpoints))[::5]:
        for mark in plan.landmarks:
            away = math.dist(place, (mark.x, mark.y))
            heading, half = bearing(place, (mark.x, mark.y)), math.atan(1.2 * mark.radius / away)
            free = cast(plan, place, heading + np.linspace(-half, half, 60)).metres > away
            if not free.all():
                hidden["part" if free.any() else "whole"].append((here, mark, away))
    for here, mark, away in hidden["whole"][::30] + hidden["part"][:3]:
        seen_at = changed(plan, without(plan, mark), here)
        for view in range(12, 24):
            rays = rays_of(view)
            metres = cast(plan, plan.viewpoints[here], rays.ravel()).metres.reshape(rays.shape)
            assert not seen_at[view][:, (metres < away - 0.1).all(1)].any()
    assert min(map(len, hidden.values())) > 3


def test_a_door_shows_the_room_it_leads_to(plan: House) -> None:
    bare = replace(plan, landmarks=())
    for here, there in plan.ways[::6]:
        assert clear(plan, plan.viewpoints[here], plan.viewpoints[there])
        room = plan.room_of[there]
        if plan.room_of[here] == room:
            continue
        rooms = list(plan.rooms)
        rooms[room] = replace(rooms[room], paint=(rooms[room].paint + 3) % len(PAINTS))
        seen_at = changed(bare, replace(bare, rooms=tuple(rooms)), here)
        assert seen_at[level(plan.bearing(here, there))].mean() > 0.02
        for view in range(12, 24):  # at the height of the eye there are walls alone
            meets = np.array([[room_met(plan, here, ray) == room for ray in near]
                              for near in rays_of(view)])  # fmt: skip
            assert not seen_at[view][32, ~meets.any(1)].any()


def room_met(plan: House, here: int, heading: float) -> int:
    """The room whose wall a ray meets."""
    x, y = plan.viewpoints[here]
    hits = cast(plan, (x, y), np.array([heading]))
    metres = hits.metres[0] - 1e-3
    column = int((x + metres * math.sin(heading)) / CELL)
    row = int((y + metres * math.cos(heading)) / CELL)
    return plan.room_of[4 * row + column]


def test_lower_views_show_the_floor_and_upper_ones_never_do(plan: House) -> None:
    rooms = tuple(replace(room, floor=(room.floor + 1) % 6) for room in plan.rooms)
    down, ahead, up = changed(plan, replace(plan, rooms=rooms), 5, 36).reshape(3, -1).mean(1)
    assert down > ahead > up == 0


def test_viewpoints_see_each_other_both_ways_and_not_through_walls(plans: list[House]) -> None:
    for plan in plans:
        at = plan.viewpoints
        sees = np.array([[clear(plan, a, b) for b in at if b != a] for a in at])
        assert sees.any(1).all()
        assert sees.mean() < 0.5
        for a, one in enumerate(at):
            assert [clear(plan, one, b) for b in at] == [clear(plan, b, one) for b in at], a
