"""Subsets: nested, whole pictures, apart from selection, the same whoever asks."""

import numpy as np
import pytest

from clipvil.core import UsageError
from clipvil.evaluate.protocol import Shots, available, prefix, seeds, shuffled, subset

FIT = [f"picture-{k // 3}" for k in range(300)]  # three questions a picture


def names(indices: np.ndarray) -> set[str]:
    return {FIT[int(i)] for i in indices}


def test_more_shots_hold_all_that_fewer_hold() -> None:
    whole = [subset(FIT, None, Shots(s), 1, "train") for s in ("5%", "20%", "60", "100%")]
    held = [set(s.fit.tolist()) for s in whole]
    assert held[0] < held[1] < held[2] < held[3]


def test_all_questions_of_a_picture_stay_together_and_apart_from_selection() -> None:
    drawn = subset(FIT, None, Shots("20%"), 1, "train")
    for part in (drawn.fit, drawn.select):
        assert all(FIT.count(name) == 3 for name in names(part))
        assert len(part) == 3 * len(names(part))
    assert not names(drawn.fit) & names(drawn.select)


def test_selection_is_never_larger_than_what_is_fitted() -> None:
    for shots in ("30", "20%", "100%"):
        drawn = subset(FIT, [f"v{k}" for k in range(400)], Shots(shots), 0, "val")
        assert 0 < len(drawn.select) <= len(drawn.fit)


def test_the_order_of_the_examples_changes_no_subset() -> None:
    mixed = np.random.default_rng(0).permutation(len(FIT))
    again = subset([FIT[i] for i in mixed], None, Shots("10%"), 4, "train")
    assert names(subset(FIT, None, Shots("10%"), 4, "train").fit) == {
        FIT[mixed[int(i)]] for i in again.fit
    }


def test_another_seed_draws_others_but_not_at_100_percent() -> None:
    drawn = [names(subset(FIT, None, Shots("10%"), s, "train").fit) for s in (0, 1)]
    assert drawn[0] != drawn[1]
    whole = available(FIT, None)
    assert {seeds(Shots("100%"), whole, s).data for s in range(3)} == {0}
    assert [seeds(Shots("10%"), whole, s).data for s in range(3)] == [0, 1, 2]
    assert [seeds(Shots("100%"), whole, s).init for s in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "0%", "101%", "-5", "0", "five", "5 %", "nan%"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Shots(text)


def test_more_shots_than_there_are_is_an_error_that_says_how_many_there_are() -> None:
    with pytest.raises(UsageError, match="270"):
        subset(FIT, None, Shots("5000"), 0, "train")


def test_a_prefix_has_whole_clusters_and_at_least_one() -> None:
    groups = shuffled(FIT, 0)
    assert len(prefix(groups, 1)) == 3
    assert len(prefix(groups, 10)) == 9
