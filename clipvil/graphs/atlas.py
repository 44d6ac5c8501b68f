"""Graphs of several scans in one row of arrays, which whole batches of walkers are moved over.

Shapes   S scans, V viewpoints of all scans one after the other, K neighbours of one at most,
         B walkers
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clipvil.graphs.connectivity import Graph

Places = NDArray[np.int64]  # of viewpoints, [B]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Viewpoints, their neighbours and all shortest ways.

    neighbours   viewpoints that one can step to, in the order of the file; -1 is padding
    table        metres between all viewpoints of a scan, scan after scan, each [V_s, V_s] in a row
    isolated     (scan, viewpoint) that nothing leads to
    """

    scans: tuple[str, ...]
    names: tuple[str, ...]  # [V]
    scan: NDArray[np.int64]  # [V], which of `scans`
    positions: NDArray[np.float64]  # [V, 3], metres, z up
    neighbours: Places  # [V, K]
    table: NDArray[np.float64]  # [sum V_s ** 2]
    isolated: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, graphs: Iterable[Graph]) -> Atlas:
        """Lay graphs side by side; a scan that is given more than once counts once."""
        unique = {graph.scan: graph for graph in graphs}
        scans = tuple(unique.values())
        sizes = [len(graph.viewpoints) for graph in scans]
        most = max((int(graph.open.sum(1).max(initial=0)) for graph in scans), default=0)
        rows, first = [np.empty((0, most), np.int64)], 0
        for graph, size in zip(scans, sizes, strict=True):
            row = np.full((size, most), -1)
            start, end = np.nonzero(graph.open)
            slot = np.arange(len(start)) - np.searchsorted(start, start)
            row[start, slot] = end + first
            rows.append(row)
            first += size
        return cls(
            scans=tuple(unique),
            names=tuple(name for graph in scans for name in graph.viewpoints),
            scan=np.repeat(np.arange(len(scans)), sizes),
            positions=np.concatenate([np.empty((0, 3)), *(graph.positions for graph in scans)]),
            neighbours=np.concatenate(rows),
            table=np.concatenate([np.empty(0), *(graph.metres.ravel() for graph in scans)]),
            isolated=frozenset((g.scan, name) for g in scans for name in g.isolated),
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _index(self) -> dict[tuple[str, str], int]:
        keys = zip(self.scan.tolist(), self.names, strict=True)
        return {(self.scans[scan], name): place for place, (scan, name) in enumerate(keys)}

    @cached_property
    def single(self) -> NDArray[np.float32]:
        """Positions as MatterSim holds them, which shows where viewpoints are a hair apart."""
        return self.positions.astype(np.float32)

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """Metres to each neighbour [V, K], inf on padding."""
        offset = self.positions[self.neighbours] - self.positions[:, None]
        lengths = np.linalg.norm(offset, axis=-1)
        return np.where(self.neighbours < 0, np.inf, lengths)

    @cached_property
    def first(self) -> Places:
        """The first viewpoint of the scan of each [V]."""
        starts: Places = np.searchsorted(self.scan, self.scan)
        return starts

    @cached_property
    def row(self) -> Places:
        """Where in `table` the ways from each viewpoint begin, less `first`: [V]."""
        size = np.bincount(self.scan, minlength=len(self.scans))  # [S]
        before = np.cumsum(size**2) - size**2
        start = before[self.scan] + (np.arange(len(self)) - self.first) * size[self.scan]
        rows: Places = start - self.first
        return rows

    def place(self, scan: str, viewpoint: str) -> int:
        """The number of a viewpoint.

        Raises
            ValueError: there is none, or nothing leads to it
        """
        found = self._index.get((scan, viewpoint))
        if found is None:
            alone = (scan, viewpoint) in self.isolated
            said = f"no way to or from viewpoint {viewpoint}" if alone else (
                f"no viewpoint {viewpoint}" if scan in self.scans else "no graph here"
            )  # fmt: skip
            raise ValueError(f"scan {scan} has {said}")
        return found

    def path(self, scan: str, viewpoints: Sequence[str]) -> Places:
        """The numbers of the viewpoints of a path.

        Raises
            ValueError: a viewpoint is not there, or a step of the path is over no edge; named
        """
        places = np.array([self.place(scan, viewpoint) for viewpoint in viewpoints])
        for step, (one, other) in enumerate(pairwise(places), 1):
            if one != other and other not in self.neighbours[one]:
                raise ValueError(
                    f"step {step}: nobody can walk from {self.names[one]} to "
                    f"{self.names[other]} in {scan}"
                )
        return places

    def metres(self, start: Places, end: Places) -> NDArray[np.float64]:
        """Lengths of the shortest ways between viewpoints of one scan, inf where there is none."""
        assert (self.scan[start] == self.scan[end]).all(), "ways lead through one scan"
        metres: NDArray[np.float64] = self.table[self.row[start] + end]
        return metres

    def towards(self, start: Places, goal: Places) -> Places:
        """The next viewpoint [B] on a shortest way to the goal; the goal itself where one stands.

        Raises
            ValueError: there is no way; names the first such pair
        """
        steps = self.neighbours[start]  # [B, K]
        there = np.where(steps < 0, start[:, None], steps)
        whole = self.lengths[start] + self.metres(there, goal[:, None])
        best = whole.argmin(1, keepdims=True) if whole.shape[1] else np.zeros((len(start), 0), int)
        arrived = start == goal
        lost = ~arrived & np.isinf(whole.min(1, initial=np.inf))
        if lost.any():
            one = int(lost.argmax())
            raise ValueError(
                f"scan {self.scans[self.scan[start[one]]]} has no way from "
                f"{self.names[start[one]]} to {self.names[goal[one]]}"
            )
        return np.where(arrived, goal, np.take_along_axis(there, best, 1)[:, 0])
