"""Regions pooled from a grid: against sums over a raster of points, and at the borders."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clipvil.data.regions import pool

ROWS, COLUMNS, FINE = 3, 4, 40
WHOLE = (1.0, 0.0, 1.0, 0.0)  # pixels are cells


def slowly(
    cells: Tensor, box: tuple[float, ...], affine: tuple[float, float, float, float]
) -> Tensor:
    """Mean over a raster of the cells' points that lie in the box."""
    a, b, c, d = affine
    left, top, right, bottom = a * box[0] + b, c * box[1] + d, a * box[2] + b, c * box[3] + d
    found = [
        cells[row // FINE * COLUMNS + column // FINE]
        for row, column in itertools.product(range(ROWS * FINE), range(COLUMNS * FINE))
        if left < (column + 0.5) / FINE < right and top < (row + 0.5) / FINE < bottom
    ]
    return torch.stack(found).mean(0)


def grid() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(ROWS * COLUMNS, 2, dtype=torch.float64)


edges = st.tuples(st.integers(0, 29), st.integers(1, 50))  # in pixels of a tenth of a cell


@settings(max_examples=20)
@given(across=edges, down=edges)
def test_the_mean_is_that_over_a_raster_of_points(
    across: tuple[int, int], down: tuple[int, int]
) -> None:
    affine = (0.1, 0.0, 0.1, -0.2)  # two of the picture's rows were cut off
    (left, width), (top, height) = across, down
    box = (left, top + 2, left + width, top + 2 + height)
    found = pool(grid(), (ROWS, COLUMNS), torch.tensor([box], dtype=torch.float64), affine)
    expected = slowly(grid(), box, affine)
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize(
    ("box", "cell"),
    [
        ((1.5, 1.5, 1.5, 1.5), 1 * COLUMNS + 1),  # a point
        ((2.2, 0.5, 2.2, 0.9), 2),  # a line
        ((-9, -9, -5, -5), 0),  # beside the picture
        ((50, 50, 60, 60), ROWS * COLUMNS - 1),
        ((0.2, 0.2, 0.8, 0.8), 0),  # inside a cell
        ((3, 2, 99, 99), ROWS * COLUMNS - 1),  # partly outside
        ((4, 3, 4, 3), ROWS * COLUMNS - 1),  # the last corner
    ],
)
def test_a_box_at_an_edge_shows_the_nearest_cell(box: tuple[float, ...], cell: int) -> None:
    found = pool(grid(), (ROWS, COLUMNS), torch.tensor([box], dtype=torch.float32), WHOLE)
    torch.testing.assert_close(found[0], grid()[cell], atol=1e-9, rtol=1e-9)


def test_the_whole_picture_is_the_mean_of_all_cells() -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 3.0], [-1.0, -1.0, 9.0, 9.0]])
    found = pool(grid(), (ROWS, COLUMNS), boxes, WHOLE)
    torch.testing.assert_close(found, grid().mean(0).expand(2, -1))


def test_no_region_is_no_vector() -> None:
    assert pool(grid(), (ROWS, COLUMNS), torch.zeros(0, 4), WHOLE).shape == (0, 2)
