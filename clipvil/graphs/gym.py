"""Navigation for other people's agents: instructions as episodes of a gymnasium environment.

An observation is where one looks and what one can walk to; whoever walks then looks along the way
walked. `info` has the instruction, as text is no number. Rewards are those of R2R-EnvDrop.

Source   https://gymnasium.farama.org, arXiv:1904.04195 for rewards
Shapes   K neighbours of a viewpoint at most; V viewpoints, W width of a view
Units    radians and metres
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Episode, Example
from clipvil.errors import UsageError
from clipvil.graphs.atlas import Atlas
from clipvil.graphs.views import VIEWS
from clipvil.graphs.walks import Stand, Walks
from clipvil.metrics.path import NEAR

try:
    import gymnasium
    from gymnasium import spaces
except ModuleNotFoundError as error:
    raise UsageError(
        "environments need the package gymnasium: pip install 'clipvil[gymnasium]'"
    ) from error

FAR = 1e6  # metres

Observation = dict[str, NDArray[Any]]


class Environment(gymnasium.Env[Observation, np.int64]):  # type: ignore[misc]  # is not read
    """One walker; action 0 is to stop, k to walk to the k-th of `ahead`, [K, 3].

    Rows of `ahead` are heading and elevation relative to where one looks, and metres; those that
    are not `free` are zero. To choose such a one is to stay: a step is lost, and `info["legal"]`
    false. An episode is cut off after `longest` steps.

    Args
        examples: instructions with paths; where the goal is hidden, rewards are zero
        atlas: the graphs they are on, as `graphs.kept.read_atlas` gives them
        views: what is seen from each viewpoint of the atlas, [V, 36, W]; then `views` is observed

    Raises
        UsageError: gymnasium is not there
        ValueError: no examples, or an episode is not on the atlas; names it
    """

    def __init__(
        self,
        examples: Sequence[Example],
        atlas: Atlas,
        views: NDArray[np.float16] | None = None,
        *,
        longest: int = 15,
    ) -> None:
        if not len(examples):
            raise ValueError("no instructions to follow")
        if views is not None and views.shape[:2] != (len(atlas), VIEWS):
            raise ValueError(f"views are {len(atlas)} x {VIEWS} x width, not {views.shape}")
        self.examples, self.atlas, self.views, self.longest = examples, atlas, views, longest
        self._walks = Walks(atlas, discretised=False, restricted=False)
        most = atlas.neighbours.shape[1]
        angles = np.tile(np.array([np.pi, np.pi, FAR], np.float32), (most, 1))
        seen: dict[str, spaces.Space[Any]] = {
            "view": spaces.Discrete(VIEWS),
            "heading": spaces.Box(0, np.float32(2 * np.pi)),
            "elevation": spaces.Box(np.float32(-np.pi), np.float32(np.pi)),
            "ahead": spaces.Box(angles * np.array([-1, -1, 0], np.float32), angles),
            "free": spaces.MultiBinary(most),
        }
        if views is not None:
            limit = float(np.finfo(np.float16).max)
            seen["views"] = spaces.Box(-limit, limit, views.shape[1:], np.float16)
        self.observation_space = spaces.Dict(seen)
        self.action_space = spaces.Discrete(1 + most)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: that of `options["episode"]`, an index, or any.

        Raises
            ValueError: its path is not on the atlas; names it
        """
        super().reset(seed=seed)
        any_ = int(self.np_random.integers(len(self.examples)))
        self._example = self.examples[int((options or {}).get("episode", any_))]
        episode = self._episode
        try:
            path = self.atlas.path(episode.scan, episode.path)
        except ValueError as error:
            raise ValueError(f"{self._example.id}: {error}") from error
        self._goal = int(path[-1]) if len(path) > 1 else None
        self._steps = 0
        self._now = self._walks.reset([episode.scan], [episode.path[0]], [episode.heading])
        return self._seen(), self._told(legal=True)

    def step(
        self, action: np.int64
    ) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Stop or walk."""
        self._steps += 1
        choice, before = int(action), self._now
        legal = choice == 0 or bool(before.ahead.places[0, choice - 1] >= 0)
        if choice and legal:
            turn, tilt = (before.ahead[k][0, choice - 1] for k in (1, 2))
            self._now = self._walks.step([choice], turn, tilt)
        reward = self._reward(before, stopped=choice == 0)
        cut = choice != 0 and self._steps >= self.longest
        return self._seen(), reward, choice == 0, cut, self._told(legal=legal)

    @property
    def _episode(self) -> Episode:
        assert self._example.episode is not None, self._example.id
        return self._example.episode

    def _reward(self, before: Stand, *, stopped: bool) -> float:
        """1 nearer to the goal, -1 farther away; 2 to stop near it, -2 elsewhere."""
        if self._goal is None:
            return 0.0
        goal = np.array([self._goal])
        was, is_ = (float(self.atlas.metres(one.place, goal)[0]) for one in (before, self._now))
        if stopped:
            return 2.0 if is_ < NEAR else -2.0
        return float(np.sign(was - is_))

    def _seen(self) -> Observation:
        now, space = self._now, self.observation_space
        free = now.ahead.places[0] >= 0
        ahead = np.stack([now.ahead.heading[0], now.ahead.elevation[0], now.ahead.metres[0]], 1)
        seen: Observation = {
            "view": np.int64(now.view[0]),  # type: ignore[dict-item]  # a number is one, too
            "heading": now.heading.astype(np.float32),
            "elevation": now.elevation.astype(np.float32),
            "ahead": np.where(free[:, None], ahead, 0.0).astype(np.float32),
            "free": free.astype(np.int8),
        }
        if self.views is not None:
            seen["views"] = self.views[now.place[0]].copy()  # whoever keeps it may change it
        assert isinstance(space, spaces.Dict) and space.keys() == seen.keys()
        return seen

    def _told(self, *, legal: bool) -> dict[str, Any]:
        return {
            "id": self._example.id,
            "instruction": self._example.words,
            "scan": self._episode.scan,
            "viewpoint": self.atlas.names[self._now.place[0]],
            "legal": legal,
        }
