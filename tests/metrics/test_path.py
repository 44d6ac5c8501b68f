"""Path metrics and the graphs they are measured on: equal to the official evaluators."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil.files import read_json
from clipvil.graphs.connectivity import Graph, read_graph
from clipvil.metrics.path import score_path

GraphOf = Callable[[str], Graph]


class Corridor:
    """Viewpoints in a row, two metres apart."""

    def distance(self, start: str, end: str) -> float:
        return 2.0 * abs(ord(start) - ord(end))


@pytest.fixture(scope="session")
def graph(shared: Path) -> GraphOf:
    return lru_cache(lambda scan: read_graph(shared / "vln" / "connectivity", scan))


def test_distances_are_the_official_ones(expected: Path, graph: GraphOf) -> None:
    for scan, start, end, metres, _ in read_json(expected / "distances.json.gz"):
        assert graph(scan).distance(start, end) == pytest.approx(metres, abs=1e-6)


@pytest.mark.parametrize("split", ["val_seen", "val_unseen"])
@pytest.mark.parametrize("agent", ["random", "shortest"])
def test_walks_score_as_the_official_evaluator_says(
    shared: Path, expected: Path, graph: GraphOf, split: str, agent: str
) -> None:
    paths = read_json(shared / "vln" / "R2R" / f"R2R_{split}.json", list[dict[str, Any]])
    of = {str(path["path_id"]): path for path in paths}
    told = read_json(expected / f"r2r_{split}.json.gz")[agent]
    names = {
        "navigation_error": "nav_error", "oracle_error": "oracle_error", "spl": "spl",
        "trajectory_length": "length", "success_rate": "success", "dtw": "dtw", "ndtw": "ndtw",
        "oracle_success_rate": "oracle_success", "sdtw": "sdtw", "cls": "cls",
    }  # fmt: skip
    sums = dict.fromkeys(names, 0.0)
    for walk, official in zip(told["trajectories"], told["per_instruction"], strict=True):
        assert walk["instr_id"] == official["instr_id"]
        path = of[walk["instr_id"].split("_")[0]]
        seen = [viewpoint for viewpoint, _, _ in walk["trajectory"]]
        ours = score_path(seen, path["path"], graph(path["scan"]))
        for name, theirs in names.items():
            value = getattr(ours, name)
            assert value == pytest.approx(float(official[theirs]), abs=1e-6), (
                walk["instr_id"],
                name,
            )
            sums[name] += value
    for name, theirs in names.items():
        mean = sums[name] / told["summary"]["n"]
        assert mean == pytest.approx(told["summary"][theirs], abs=1e-6)


def test_long_paths_score_as_published_rules_say(expected: Path, graph: GraphOf) -> None:
    for row in read_json(expected / "long_path_metrics.json.gz"):
        ours = score_path(row["prediction"], row["reference"], graph(row["scan"]))
        for name, theirs in (
            ("navigation_error", "nav_error"), ("oracle_error", "oracle_error"),
            ("success_rate", "success"), ("oracle_success_rate", "oracle_success"),
            ("trajectory_length", "length"), ("spl", "spl_shortest"),
            ("spl_reference", "spl_reference"), ("dtw", "dtw"), ("ndtw", "ndtw"),
            ("sdtw", "sdtw"), ("cls", "cls"),
        ):  # fmt: skip
            assert getattr(ours, name) == pytest.approx(float(row[theirs]), abs=1e-6), (name, row)


def test_three_metres_is_too_far_for_r2r_and_near_enough_for_r4r() -> None:
    class Exact:
        def distance(self, start: str, end: str) -> float:
            return 0.0 if start == end else 3.0

    scores = score_path("ab", "ac", Exact())
    assert scores.success_rate == scores.sdtw == 0
    assert scores.sdtw_inclusive == scores.ndtw > 0


@given(st.text("abcdef", min_size=1, max_size=8), st.text("abcdef", min_size=1, max_size=8))
def test_following_the_path_is_perfect_and_turning_costs_nothing(path: str, walk: str) -> None:
    same = score_path(path, path, Corridor())
    assert same.ndtw == same.sdtw == same.cls == same.success_rate == 1
    assert same.spl_reference == (len(set(path)) > 1)
    turning = "".join(viewpoint * 2 for viewpoint in walk)
    assert score_path(turning, path, Corridor()) == score_path(walk, path, Corridor())
    scores = score_path(walk, path, Corridor())
    assert 0 <= scores.spl <= scores.success_rate <= scores.oracle_success_rate <= 1
    assert 0 < scores.ndtw <= 1 and 0 <= scores.cls <= 1


def test_unknown_viewpoints_and_scans_are_named(shared: Path, graph: GraphOf) -> None:
    known = graph("17DRP5sb8fy")
    with pytest.raises(ValueError, match="scan 17DRP5sb8fy has no viewpoint nowhere"):
        known.distance(known.viewpoints[0], "nowhere")
    with pytest.raises(ValueError, match="no navigation graph"):
        graph("nowhere")
    with pytest.raises(ValueError, match="at least one viewpoint"):
        score_path([], known.viewpoints[:1], known)


def test_every_scan_is_connected(graph: GraphOf, shared: Path) -> None:
    folder = shared / "vln" / "connectivity"
    for path in sorted(folder.glob("*_connectivity.json"))[:5]:
        known = graph(path.name.split("_")[0])
        start = known.viewpoints[0]
        assert np.isfinite([known.distance(start, end) for end in known.viewpoints]).all()
