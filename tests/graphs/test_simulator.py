"""Equal to MatterSim on every recorded case: views, free cameras, sweeps and walks."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipvil.files import read_json
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.connectivity import read_graph
from clipvil.graphs.views import Panorama
from clipvil.graphs.walks import Stand, Walks

CLOSE = 2e-5  # radians and metres; MatterSim counts in single precision

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def told(expected: Path) -> dict[str, Rows]:
    return read_json(expected / "simulator.json.gz")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def atlas(shared: Path, told: dict[str, Rows]) -> Atlas:
    scans = sorted({row["scan"] for row in told["views"]})
    return Atlas.of(read_graph(shared / "vln" / "connectivity", scan) for scan in scans)


def begun(walks: Walks, rows: Rows, heading: str, elevation: str | None = None) -> Stand:
    return walks.reset(
        [row["scan"] for row in rows],
        [row["viewpoint"] for row in rows],
        [row[heading] for row in rows],
        [row[elevation] for row in rows] if elevation else 0.0,
    )


def ahead(atlas: Atlas, stand: Stand, row: int) -> list[list[Any]]:
    seen = zip(*(column[row].tolist() for column in stand.ahead), strict=True)
    return [[atlas.names[place], *rest] for place, *rest in seen if place >= 0]


def same(ours: list[list[Any]], theirs: list[list[Any]]) -> None:
    assert [row[0] for row in ours] == [row[0] for row in theirs]
    if theirs:
        np.testing.assert_allclose(
            np.array([row[1:] for row in ours]), np.array([row[1:] for row in theirs]), atol=CLOSE
        )


@pytest.mark.parametrize(("kind", "restricted"), [("views", True), ("unrestricted", False)])
def test_views_and_what_they_show(
    atlas: Atlas, told: dict[str, Rows], kind: str, restricted: bool
) -> None:
    rows = told[kind]
    stand = begun(Walks(atlas, restricted=restricted), rows, "heading", "elevation")
    assert stand.view.tolist() == [row["viewIndex"] for row in rows]
    for axis in ("heading", "elevation"):
        recorded = [row[axis] for row in rows]
        np.testing.assert_allclose(getattr(stand, axis), recorded, atol=CLOSE)
    for number, row in enumerate(rows):
        same(ahead(atlas, stand, number), row["nav"])


def test_free_cameras(atlas: Atlas, told: dict[str, Rows]) -> None:
    rows = told["continuous"]
    free = begun(Walks(atlas, discretised=False), rows, "in_heading", "in_elevation")
    whole = begun(Walks(atlas), rows, "in_heading", "in_elevation")
    assert whole.view.tolist() == [row["disc"]["viewIndex"] for row in rows]
    for axis in ("heading", "elevation"):
        recorded = [row[axis] for row in rows]
        np.testing.assert_allclose(getattr(free, axis), recorded, atol=CLOSE)
        recorded = [row["disc"][axis] for row in rows]
        np.testing.assert_allclose(getattr(whole, axis), recorded, atol=CLOSE)
    for number, row in enumerate(rows):
        same(ahead(atlas, free, number), row["nav"])


def test_sweeps(atlas: Atlas, told: dict[str, Rows]) -> None:
    sweep = Panorama.of(atlas)
    for row in told["candidates"]:
        place = atlas.place(row["scan"], row["viewpoint"])
        count, recorded = sweep.counts[place], row["candidates"]
        names = [atlas.names[k] for k in sweep.places[place, :count]]
        assert names == [candidate["viewpointId"] for candidate in recorded]
        assert (sweep.places[place, count:] == -1).all()
        assert sweep.view[place, :count].tolist() == [c["pointId"] for c in recorded]
        for ours, theirs in {
            "heading": "normalized_heading", "elevation": "elevation", "metres": "rel_distance",
        }.items():  # fmt: skip
            found = getattr(sweep, ours)[place, :count]
            np.testing.assert_allclose(found, [c[theirs] for c in recorded], atol=CLOSE)


def test_walks_side_by_side(atlas: Atlas, told: dict[str, Rows]) -> None:
    """All walkers are one batch: none minds what the others do."""
    walks = told["action_sequences"]
    env = Walks(atlas)
    stand = begun(env, walks, "heading")
    for steps in zip(*(walk["steps"] for walk in walks), strict=True):
        stand = env.step(*np.array([step[0] for step in steps], float).T)
        for number, (_, viewpoint, heading, elevation, view, _, names) in enumerate(steps):
            assert atlas.names[stand.place[number]] == viewpoint
            assert stand.view[number] == view
            assert stand.heading[number] == pytest.approx(heading, abs=CLOSE)
            assert stand.elevation[number] == pytest.approx(elevation, abs=CLOSE)
            assert [name for name, *_ in ahead(atlas, stand, number)] == names


def test_the_way_to_a_goal_is_the_shortest(atlas: Atlas, expected: Path) -> None:
    rows = [row for row in read_json(expected / "distances.json.gz") if row[0] in atlas.scans]
    start = np.array([atlas.place(scan, one) for scan, one, *_ in rows])
    goal = np.array([atlas.place(scan, other) for scan, _, other, *_ in rows])
    metres = np.array([row[3] for row in rows])
    np.testing.assert_allclose(atlas.metres(start, goal), metres, atol=1e-6)
    walked, here = np.zeros(len(rows)), start
    while (here != goal).any():
        there = atlas.towards(here, goal)
        assert ((there == here) == (here == goal)).all()
        walked += np.linalg.norm(atlas.positions[there] - atlas.positions[here], axis=1)
        here = there
    np.testing.assert_allclose(walked, metres, atol=1e-6)


def test_the_shortest_agent_walks_as_the_official_one(shared: Path, expected: Path) -> None:
    rows = read_json(shared / "vln" / "R2R" / "R2R_val_seen.json")
    atlas = Atlas.of(
        read_graph(shared / "vln" / "connectivity", s) for s in {row["scan"] for row in rows}
    )
    told = read_json(expected / "r2r_val_seen.json.gz")["shortest"]["trajectories"]
    walked = {
        walk["instr_id"]: [name for name, _ in groupby(step[0] for step in walk["trajectory"])]
        for walk in told
    }
    paths = [atlas.path(row["scan"], row["path"]) for row in rows]
    here, goal = (np.array([path[end] for path in paths]) for end in (0, -1))
    ours = [[atlas.names[place]] for place in here]
    for _ in range(10):
        here = atlas.towards(here, goal)
        for path, place in zip(ours, here, strict=True):
            if atlas.names[place] != path[-1]:
                path.append(atlas.names[place])
    for row, path in zip(rows, ours, strict=True):
        assert walked[f"{row['path_id']}_0"] == path
