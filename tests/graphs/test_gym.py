"""The gymnasium adapter: its own checker is content, and walks are those of the graphs."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipvil.core import Data, UsageError
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.connectivity import read_graph
from clipvil.tasks import r2r


@pytest.fixture
def environment(tmp_path: Path) -> Any:
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    from clipvil.graphs.gym import Environment

    r2r.TASK.tiny(tmp_path)
    atlas = Atlas.of([read_graph(tmp_path / "connectivity", "tiny3")])
    views = np.random.default_rng(0).standard_normal((len(atlas), 36, 4)).astype(np.float16)
    return Environment(r2r.TASK.examples(Data(tmp_path), "val_unseen"), atlas, views, longest=9)


def test_its_own_checker_is_content(environment: Any) -> None:
    from gymnasium.utils.env_checker import check_env

    check_env(environment, skip_render_check=True)


def test_who_follows_the_path_is_rewarded_at_its_end(environment: Any) -> None:
    seen, told = environment.reset(seed=0, options={"episode": 0})
    path = environment.examples[0].episode.path
    assert told["id"] == "30_0" and told["instruction"] == environment.examples[0].words
    earned = []
    for there in path[1:]:
        there_now = environment.atlas.place("tiny3", there)
        ahead = environment._now.ahead.places[0].tolist()
        seen, reward, ended, cut, told = environment.step(1 + ahead.index(there_now))
        assert told["viewpoint"] == there and told["legal"] and not ended and not cut
        np.testing.assert_array_equal(seen["views"], environment.views[there_now])
        earned.append(reward)
    assert seen["heading"][0] == pytest.approx(np.pi / 2), "one looks along the way walked, east"
    _, reward, ended, _, _ = environment.step(0)
    assert [*earned, reward] == [1, 1, 1, 2] and ended


def test_who_cannot_walk_stays_and_is_cut_off_in_the_end(environment: Any) -> None:
    seen, told = environment.reset(options={"episode": 0})
    assert seen["free"].tolist() == [1, 0], "a corridor's end"
    for step in range(9):
        after, reward, ended, cut, told = environment.step(2)
        assert not told["legal"] and reward == 0 and not ended
        assert cut == (step == 8) and after["view"] == seen["view"]
    assert environment.step(0)[1] == -2, "six metres from the goal"


def test_its_absence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "clipvil.graphs.gym", raising=False)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UsageError, match=r"gymnasium: pip install 'clipvil\[gymnasium\]'"):
        import clipvil.graphs.gym  # noqa: F401
