"""MoVie + MCAN: its size, its rectangle of cells, and the released field without a mask."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clipvil.models import movie_mcan
from tests.models.tiny import small, some

UNREAD = 6 * 2 * 1_024  # the third norm of each guided layer of the release, which nothing reads


@pytest.mark.parametrize(("width", "parameters"), [(2_048, 237_666_610), (2_560, 239_502_130)])
def test_it_has_the_published_size(width: int, parameters: int) -> None:
    with torch.device("meta"):
        model = movie_mcan.Model(
            movie_mcan.Config(), image_width=width, num_words=18_000, num_answers=3_129
        )
    assert sum(p.numel() for p in model.parameters()) == parameters - UNREAD


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4))
def test_cells_are_laid_row_by_row(grids: list[tuple[int, int]]) -> None:
    cells = torch.randn(len(grids), max(r * c for r, c in grids), 2)
    field, real = movie_mcan.laid(cells, torch.tensor(grids), None)
    assert int(real.sum()) == sum(r * c for r, c in grids)
    assert not field[~real].any()
    for picture, (rows, columns) in enumerate(grids):
        expected = cells[picture, : rows * columns].unflatten(0, (rows, columns))
        assert torch.equal(field[picture, :rows, :columns], expected)
        assert real[picture, :rows, :columns].all()


def test_the_released_field_sees_empty_cells() -> None:
    batch = some()
    right, released = (small("movie_mcan", field=field).eval() for field in (None, 4))
    assert not torch.allclose(right(batch), released(batch))
    wider = replace(batch, image=batch.image[:, :6], seen=torch.ones_like(batch.seen))
    torch.testing.assert_close(released(wider), released(batch))


def test_a_grid_that_the_field_does_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="3 x 3 cells in a field of 2 x 2"):
        small("movie_mcan", field=2)(some())
