"""Matterport3D's navigation graphs, as published for R2R and RxR.

Files    connectivity/<scan>_connectivity.json, one object a viewpoint
Source   https://github.com/peteanderson80/Matterport3DSimulator/tree/master/connectivity
Units    metres; an edge is as long as the straight line between the two cameras
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import final

import msgspec
import numpy as np
from numpy.typing import NDArray

from clipvil.files import read_json

SUFFIX = "_connectivity.json"
FAR = 1e6  # metres; no house is as large
POSITION = (3, 7, 11)  # of x, y and z in a row-major 4 x 4 pose


class Viewpoint(msgspec.Struct):
    """One place a camera stood; `unobstructed[j]` tells whether one can walk to the j-th."""

    image_id: str
    pose: list[float]
    included: bool
    unobstructed: list[bool]

    def __post_init__(self) -> None:
        if len(self.pose) != 16:
            raise ValueError(f"a pose has 16 numbers, not {len(self.pose)}")
        if not all(abs(number) < FAR for number in self.pose):
            raise ValueError(f"the pose of {self.image_id} is not in this world")


@final
class Graph:
    """The walkable graph of one scan, with the shortest way between any two viewpoints.

    Viewpoints that were left out, or that nothing leads to, are not in it.

    positions   metres [V, 3], z up, in the order of `viewpoints`
    open        whether one can step from the first to the second [V, V]
    metres      length of the shortest way from the first to the second [V, V], inf where none is
    isolated    viewpoints that were included and that nothing leads to
    """

    def __init__(self, scan: str, viewpoints: list[Viewpoint]) -> None:
        from scipy.sparse import csgraph, csr_array

        self.scan = scan
        included = np.array([v.included for v in viewpoints])
        edges = np.array([v.unobstructed for v in viewpoints], bool)  # [all, all]
        edges &= included[:, None] & included[None, :]
        linked = np.flatnonzero((edges | edges.T).any(1))
        self.positions = np.array([[viewpoints[i].pose[k] for k in POSITION] for i in linked])
        self.positions = self.positions.reshape(-1, 3)
        self.open: NDArray[np.bool_] = edges[np.ix_(linked, linked)]
        start, end = np.nonzero(self.open)
        metres = np.linalg.norm(self.positions[start] - self.positions[end], axis=1)
        ways = csr_array((metres, (start, end)), shape=self.open.shape)
        self.metres: NDArray[np.float64] = csgraph.dijkstra(ways, directed=False)
        self._edges = self.open | self.open.T
        self._places = {viewpoints[i].image_id: place for place, i in enumerate(linked)}
        self.isolated = frozenset(v.image_id for v in viewpoints if v.included) - {*self._places}

    @property
    def viewpoints(self) -> tuple[str, ...]:
        """The viewpoints that can be walked to."""
        return tuple(self._places)

    def distance(self, start: str, end: str) -> float:
        """Length of the shortest way between two viewpoints in metres.

        Raises
            ValueError: the scan has no such viewpoint, or no way between the two
        """
        metres = self.metres.item(self._place(start), self._place(end))
        if metres == math.inf:
            raise ValueError(f"scan {self.scan} has no way from {start} to {end}")
        return metres

    def joined(self, start: str, end: str) -> bool:
        """Whether one step leads from a viewpoint to another.

        Raises
            ValueError: the scan has no such viewpoint
        """
        return bool(self._edges[self._place(start), self._place(end)])

    def _place(self, viewpoint: str) -> int:
        place = self._places.get(viewpoint)
        if place is None:
            known = viewpoint in self.isolated
            said = (
                f"no way to or from viewpoint {viewpoint}" if known else f"no viewpoint {viewpoint}"
            )
            raise ValueError(f"scan {self.scan} has {said}")
        return place


def read_graph(folder: Path, scan: str) -> Graph:
    """The graph of a scan, from the folder of the connectivity files.

    Raises
        ValueError: the file is not there, or not what it should be, or `scan` is no name of one
    """
    if not re.fullmatch(r"\w{1,64}", scan):
        raise ValueError(f"{scan!r} is no name of a scan")
    path = folder / f"{scan}{SUFFIX}"
    if not path.is_file():
        raise ValueError(f"no navigation graph {path}")
    viewpoints: list[Viewpoint] = read_json(path, list[Viewpoint])
    for viewpoint in viewpoints:
        if len(viewpoint.unobstructed) != len(viewpoints):
            raise ValueError(f"{path}: {viewpoint.image_id} does not tell of all viewpoints")
    if not viewpoints:
        raise ValueError(f"{path}: no viewpoints")
    if len({viewpoint.image_id for viewpoint in viewpoints}) < len(viewpoints):
        raise ValueError(f"{path}: a viewpoint is there more than once")
    return Graph(scan, viewpoints)
