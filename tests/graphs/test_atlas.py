"""What an atlas promises beside the recorded cases: what is kept, what cannot be walked."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil.files import read_json, write_json
from clipvil.graphs import kept
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.connectivity import read_graph
from clipvil.graphs.kept import read_atlas
from clipvil.graphs.views import STEP, Panorama, elevation_of, heading_of, nearest, wrapped
from clipvil.graphs.walks import Walks
from clipvil.tasks._walks import tiny_graph


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """Two corridors of four viewpoints."""
    for scan in ("a", "b"):
        tiny_graph(tmp_path / "graphs", scan)
    return tmp_path / "graphs"


def change(houses: Path, scan: str, how: Callable[[list[dict[str, Any]]], None]) -> None:
    path = houses / f"{scan}_connectivity.json"
    rows = read_json(path)
    how(rows)
    write_json(path, rows)


def test_all_shared_scans_start_within_two_seconds(shared: Path) -> None:
    folder = shared / "vln" / "connectivity"
    start = time.process_time()
    first = read_atlas(folder)
    assert len(first.scans) == 44 and np.isfinite(first.table).all()
    assert time.process_time() - start < 2
    start = time.process_time()
    again = read_atlas(folder)
    assert time.process_time() - start < 1
    for name in kept.ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.names, first.isolated) == (again.names, again.isolated)


def test_another_file_is_another_atlas(houses: Path, cache: Path) -> None:
    before = read_atlas(houses)

    def apart(rows: list[dict[str, Any]]) -> None:
        rows[3]["pose"][3] = 10.0

    change(houses, "b", apart)
    after = read_atlas(houses)
    assert before.metres(np.array([4]), np.array([7]))[0] == pytest.approx(6)
    assert after.metres(np.array([4]), np.array([7]))[0] == pytest.approx(10)
    assert len([*cache.rglob("*.safetensors")]) == 2


def test_a_spoilt_cache_is_not_believed(houses: Path, cache: Path) -> None:
    first = read_atlas(houses)
    (path,) = cache.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    for spoilt in (bytes(content), b"", bytes(content[:-9])):
        path.write_bytes(spoilt)
        assert np.array_equal(read_atlas(houses).table, first.table)


def test_a_missing_file_is_named(houses: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no navigation graph .*c_connectivity\.json"):
        read_atlas(houses, ["a", "c"])
    with pytest.raises(ValueError, match="no navigation graphs"):
        read_atlas(tmp_path)


def test_what_cannot_be_walked_is_named(houses: Path) -> None:
    def cut(rows: list[dict[str, Any]]) -> None:
        for one, other in ((2, 3), (3, 2)):
            rows[one]["unobstructed"][other] = False

    change(houses, "b", cut)
    atlas = read_atlas(houses)
    assert atlas.isolated == {("b", "bviewpoint3")}
    walks = Walks(atlas)
    with pytest.raises(ValueError, match="scan b has no way to or from viewpoint bviewpoint3"):
        walks.reset(["b"], ["bviewpoint3"], 0.0)
    with pytest.raises(ValueError, match="scan b has no viewpoint aviewpoint0"):
        walks.reset(["b"], ["aviewpoint0"], 0.0)
    with pytest.raises(ValueError, match="scan c has no graph here"):
        walks.reset(["c"], ["aviewpoint0"], 0.0)
    with pytest.raises(ValueError, match="step 2: nobody can walk from aviewpoint1 to aviewpoint3"):
        atlas.path("a", ["aviewpoint0", "aviewpoint1", "aviewpoint3"])
    with pytest.raises(ValueError, match="a reset"):
        walks.step([0])
    walks.reset(["a", "b"], ["aviewpoint0", "bviewpoint0"], np.pi / 2)
    with pytest.raises(ValueError, match="walker 1 at bviewpoint0 cannot take step 2: 1 neighb"):
        walks.step([0, 2])
    with pytest.raises(ValueError, match="walker 0 at aviewpoint0 cannot take step -1"):
        walks.step([-1, 0])
    with pytest.raises(ValueError, match="walker 1 looks where no number says"):
        walks.step([0, 0], [0.0, np.nan])
    with pytest.raises(ValueError, match="walker 0 looks"):
        walks.reset(["a"], ["aviewpoint0"], np.inf)


def test_no_way_between_two_parts_is_told(houses: Path) -> None:
    def halve(rows: list[dict[str, Any]]) -> None:
        for one, other in ((1, 2), (2, 1)):
            rows[one]["unobstructed"][other] = False

    change(houses, "a", halve)
    atlas = Atlas.of([read_graph(houses, "a")])
    with pytest.raises(ValueError, match="scan a has no way from aviewpoint0 to aviewpoint3"):
        atlas.towards(np.array([1, 0]), np.array([0, 3]))


def test_a_graph_without_edges_is_empty(houses: Path) -> None:
    def closed(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["unobstructed"] = [False] * 4

    change(houses, "a", closed)
    atlas = read_atlas(houses, ["a"])
    assert len(atlas) == 0 and len(atlas.isolated) == 4
    assert Panorama.of(atlas).places.shape == (0, 0)


@given(view=st.integers(0, 35))
def test_a_view_is_nearest_to_its_own_middle(view: int) -> None:
    one = np.array([view])
    assert nearest(heading_of(one), elevation_of(one)) == one
    assert nearest(heading_of(one) - 2 * np.pi + 0.4 * STEP, elevation_of(one)) == one


@given(angle=st.floats(-30, 30))
def test_wrapped_angles_are_the_same_angles(angle: float) -> None:
    (found,) = wrapped(np.array([angle]))
    assert -np.pi < found <= np.pi
    assert np.exp(1j * found) == pytest.approx(np.exp(1j * angle), abs=1e-9)


def test_a_sweep_shows_every_neighbour_once_where_it_is_nearest(shared: Path) -> None:
    atlas = Atlas.of([read_graph(shared / "vln" / "connectivity", "17DRP5sb8fy")])
    sweep = Panorama.of(atlas)
    np.testing.assert_array_equal(np.sort(sweep.places), np.sort(atlas.neighbours))
    aside = wrapped(sweep.heading - heading_of(sweep.view))
    assert (np.abs(aside[sweep.places >= 0]) <= STEP / 2 + 1e-6).all()
