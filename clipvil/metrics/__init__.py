"""Metrics as the official scorers compute them: pure functions of answers and references."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ratio(part: ArrayLike, whole: ArrayLike, scale: float = 1.0) -> NDArray[np.float64]:
    """`scale * part / whole`, elementwise; NaN where there is nothing to divide by."""
    divisor = np.asarray(whole, np.float64)
    dividend = scale * np.asarray(part, np.float64)
    empty = np.full(np.broadcast_shapes(dividend.shape, divisor.shape), np.nan)
    quotient: NDArray[np.float64] = np.divide(dividend, divisor, out=empty, where=divisor != 0)
    return quotient
