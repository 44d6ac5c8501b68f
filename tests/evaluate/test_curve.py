"""What we promise of `examples needed`: the first crossing on log n, and what lies outside."""

import numpy as np
import pytest

from clipvil.evaluate.curve import Curve, examples_needed


def curve(*scores: float, noise: float = 0.0, seeds: int = 3) -> Curve:
    generator = np.random.default_rng(1)
    values = np.repeat(np.array(scores)[:, None], seeds, 1)  # [Z, S]
    drawn = values[..., None] + generator.normal(0, noise, 500)  # the same clusters for all
    return Curve(examples=(100, 200, 400), seeds=values, drawn=drawn)


def test_half_way_on_log_n() -> None:
    needed = examples_needed(curve(40, 50, 60), curve(30, 40, 45))
    assert needed.value == pytest.approx(100 * 2**0.5 / 4)
    assert needed.text == "35 %" and needed.interval == "35 %"


def test_a_score_that_should_be_low() -> None:
    needed = examples_needed(curve(6, 5, 4), curve(7, 6, 5.5), higher_is_better=False)
    assert needed.value == pytest.approx(100 * 2**0.5 / 4)


def test_outside_the_measured_sizes() -> None:
    never = examples_needed(curve(30, 40, 44), curve(30, 40, 45))
    assert (never.text, never.value, never.low) == ("> 100 %", None, None)
    at_once = examples_needed(curve(50, 55, 60), curve(30, 40, 45))
    assert (at_once.text, at_once.value, at_once.high) == ("< 25 %", None, None)


def test_noise_that_both_share_cancels_and_that_of_one_does_not() -> None:
    together = examples_needed(curve(40, 50, 60, noise=1), curve(30, 40, 45, noise=1))
    assert together.interval == "35 %"
    alone = examples_needed(curve(40, 50, 60, noise=1), curve(30, 40, 45))
    assert alone.low is not None and alone.high is not None
    assert 25 < alone.low < 35.4 < alone.high < 60


def test_the_first_crossing_counts() -> None:
    assert examples_needed(curve(40, 50, 46), curve(0, 0, 45)).value == pytest.approx(
        100 * 2**0.5 / 4
    )


def test_one_size_is_no_curve() -> None:
    one = Curve(examples=(5,), seeds=np.zeros((1, 3)), drawn=np.zeros((1, 3, 9)))
    with pytest.raises(ValueError, match="two sizes"):
        examples_needed(one, one)
