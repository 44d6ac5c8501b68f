"""What we promise of intervals, paired differences, false alarms and adjusted p values."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipvil.core import Measured, Totals
from clipvil.evaluate import statistics

Floats = NDArray[np.float64]


def reduce(totals: Totals) -> dict[str, Floats]:
    return {"accuracy": 100 * totals["credit"] / totals["count"]}


def measured(credit: Floats, ids: Sequence[str] | None = None) -> Measured:
    names = tuple(ids) if ids is not None else tuple(f"q{i}" for i in range(len(credit)))
    rows = np.stack([credit, np.ones(len(credit))], 1).astype(float)
    return Measured(names, ("credit", "count"), rows)


def simulate(
    generator: np.random.Generator,
    *,
    seeds: int = 3,
    clusters: int = 150,
    gain: float = 0.0,
    interaction: float = 0.0,
    noise: float = 0.06,
) -> tuple[list[Measured], list[Measured], list[str]]:
    """Two encoders' right and wrong answers to four questions a picture, on a logit scale.

    A question is hard or easy for everyone (and a picture's questions alike), each trained model
    is good or bad as a whole, and each has its own luck with each question. `interaction` makes
    some questions easier for one of the encoders, whatever its seed.
    """
    number = 4 * clusters
    names = [f"p{i // 4}" for i in range(number)]
    hard = np.repeat(generator.normal(0, 0.8, clusters), 4) + generator.normal(0, 1.2, number)
    sides = []
    for side in range(2):
        lasting = np.repeat(generator.normal(0, interaction, clusters), 4) + gain * side
        models = []
        for _ in range(seeds):
            luck = generator.normal(0, noise) + generator.normal(0, 0.7, number)
            models.append(measured((hard + lasting + luck > 0).astype(float)))
        sides.append(models)
    return sides[1], sides[0], names


def alarms(
    number: int,
    *,
    seeds: int = 3,
    clusters: int = 150,
    gain: float = 0.0,
    interaction: float = 0.0,
    noise: float = 0.06,
    replicates: int,
) -> tuple[float, float]:
    """Shares of simulated comparisons that are called significant, and that have p < .05."""
    generator = np.random.default_rng(20_240)
    called, low = 0, 0
    for _ in range(number):
        ours, baseline, names = simulate(
            generator, seeds=seeds, clusters=clusters, gain=gain, interaction=interaction,
            noise=noise,
        )  # fmt: skip
        found = statistics.difference(
            ours, baseline, names, reduce, "accuracy", replicates=replicates
        )
        called += statistics.significant(statistics.holm([found.p])[0], found.seeds)
        low += found.p is not None and found.p < 0.05
    return called / number, low / number


# ---------------------------------------------------------------------------- intervals


def test_interval_is_that_of_a_slow_bootstrap_that_repeats_the_examples() -> None:
    generator = np.random.default_rng(1)
    names = [f"p{i}" for i in generator.integers(0, 40, 200)]
    luck = {name: generator.normal() for name in sorted(set(names))}
    credit = np.array([float(luck[name] + generator.normal() > 0) for name in names])
    fast = statistics.interval(measured(credit), names, reduce, "accuracy")
    of = {name: [i for i, n in enumerate(names) if n == name] for name in names}
    slow = []
    for _ in range(2_000):
        drawn = generator.choice(sorted(of), len(of))
        slow.append(100 * np.mean([credit[i] for name in drawn for i in of[name]]))
    assert fast == pytest.approx(np.quantile(slow, (0.025, 0.975)), abs=1.5)


def test_memory_bounded_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    model = measured(generator.random(60))
    names = [f"p{i % 20}" for i in range(60)]
    whole = statistics.interval(model, names, reduce, "accuracy", replicates=300)
    monkeypatch.setattr(statistics, "BLOCK", 1_000)  # 50 replicates at a time
    assert statistics.interval(model, names, reduce, "accuracy", replicates=300) == whole


def test_correlated_questions_widen_the_interval() -> None:
    generator = np.random.default_rng(3)
    credit = np.repeat(generator.random(50) > 0.5, 4).astype(float)
    alone = statistics.interval(measured(credit), [str(i) for i in range(200)], reduce, "accuracy")
    together = statistics.interval(
        measured(credit), [str(i // 4) for i in range(200)], reduce, "accuracy"
    )
    assert alone is not None and together is not None
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


def test_one_cluster_has_no_interval() -> None:
    model = measured(np.array([1.0, 0.0]))
    assert statistics.interval(model, ["p", "p"], reduce, "accuracy") is None
    found = statistics.compare_answers(model, model, ["p", "p"], reduce, "accuracy")
    assert (found.low, found.high, found.p) == (None, None, None)


# ---------------------------------------------------------------------------- differences


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_swapping_sides_negates(seeds: int) -> None:
    ours, baseline, names = simulate(np.random.default_rng(4), seeds=seeds, gain=0.3)
    there = statistics.difference(ours, baseline, names, reduce, "accuracy")
    back = statistics.difference(baseline, ours, names, reduce, "accuracy")
    assert there.low is not None and there.high is not None
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low)
    )
    assert back.p == pytest.approx(there.p) and back.seeds == tuple(-s for s in there.seeds)


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_order_of_examples_changes_nothing(seeds: int) -> None:
    generator = np.random.default_rng(5)
    ours, baseline, names = simulate(generator, seeds=seeds, clusters=40)
    order = generator.permutation(len(names))

    def moved(model: Measured) -> Measured:
        return measured(model.rows[order, 0], [model.ids[i] for i in order])

    shuffled = ([moved(m) for m in ours], [moved(m) for m in baseline], [names[i] for i in order])
    plain = statistics.difference(ours, baseline, names, reduce, "accuracy")
    assert statistics.difference(*shuffled, reduce, "accuracy") == plain
    mixed = statistics.difference(ours, shuffled[1], names, reduce, "accuracy")
    assert mixed == plain, "pairing goes by id, not by place"


def test_one_seed_is_the_paired_cluster_error() -> None:
    (ours,), (baseline,), names = simulate(np.random.default_rng(6), seeds=1)
    found = statistics.compare_answers(ours, baseline, names, reduce, "accuracy")
    gains = (ours.rows - baseline.rows)[:, 0].reshape(-1, 4).mean(1)
    error = 100 * gains.std(ddof=1) / len(gains) ** 0.5
    assert found.low is not None and found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.976 * error, rel=0.05)


def test_a_few_seeds_that_differ_are_judged_by_t() -> None:
    """Where seeds are all that varies, three of them give Student's interval with two degrees."""
    seeds = np.array([1.0, 4.0, 7.0])
    found = statistics.estimate(seeds, np.repeat(seeds[:, None], 100, 1), num_clusters=50)
    assert found.high == pytest.approx(4 + 4.302653 * 3 / 3**0.5)


def test_error_is_that_of_many_experiments_and_not_too_small() -> None:
    generator = np.random.default_rng(7)
    found = []
    for _ in range(150):
        ours, baseline, names = simulate(generator, seeds=3, clusters=60, interaction=0.5)
        estimate = statistics.difference(ours, baseline, names, reduce, "accuracy", replicates=150)
        drawn = statistics.bootstrap([*ours, *baseline], names, reduce, replicates=150)
        reps = np.stack([d["accuracy"] for d in drawn])
        spread = statistics._spread(np.array(estimate.seeds), reps[:3] - reps[3:], 60)
        found.append((estimate.value, spread[0]))
    values, errors = np.array(found).T
    assert 0.9 < (errors**2).mean() / values.var() < 1.8


@pytest.mark.parametrize("seeds", [3, 7])
def test_p_and_interval_agree(seeds: int) -> None:
    generator = np.random.default_rng(8)
    for gain in np.linspace(0, 0.5, 12):
        ours, baseline, names = simulate(generator, seeds=seeds, clusters=40, gain=gain)
        found = statistics.difference(ours, baseline, names, reduce, "accuracy", replicates=400)
        assert found.low is not None and found.high is not None and found.p is not None
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_the_same_answers_do_not_differ(seeds: int) -> None:
    """Nor where they lie in memory in another order, and so are summed with other rounding."""
    generator = np.random.default_rng(9)
    names = [f"p{i // 4}" for i in range(402)]
    ours = [measured(0.3 * generator.integers(4, size=402)) for _ in range(seeds)]
    same = [Measured(m.ids, m.columns, np.asfortranarray(m.rows)) for m in ours]
    found = statistics.difference(ours, same, names, reduce, "accuracy")
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_other_examples_or_seeds_are_refused() -> None:
    ours, baseline, names = simulate(np.random.default_rng(10))
    other = measured(baseline[0].rows[:, 0], [f"x{i}" for i in range(len(names))])
    with pytest.raises(ValueError, match="same examples"):
        statistics.compare_answers(ours[0], other, names, reduce, "accuracy")
    with pytest.raises(ValueError, match="3 seeds against 2"):
        statistics.difference(ours, baseline[:2], names, reduce, "accuracy")


def test_two_copies_are_seldom_told_apart_and_a_gain_is_found() -> None:
    called, _ = alarms(40, replicates=300)
    assert called <= 0.08
    called, _ = alarms(10, gain=0.5, replicates=300)
    assert called >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize(("interaction", "noise"), [(0.0, 0.06), (0.0, 0.1), (0.5, 0.06)])
def test_false_alarms_are_as_rare_as_promised(seeds: int, interaction: float, noise: float) -> None:
    """Two copies of one encoder, and two encoders that are good at different pictures.

    A noise of .06 is 1.5 points of standard deviation over seeds, .1 is 2.5 points.
    """
    called, low = alarms(200, seeds=seeds, interaction=interaction, noise=noise, replicates=1_000)
    print(f"\n{seeds=} {interaction=} {noise=}: {called:.3f} significant, {low:.3f} p < .05")
    assert called <= 0.08 and low <= 0.08


@pytest.mark.slow
def test_a_planted_gain_is_found() -> None:
    """Five points between models whose seeds differ by three quarters of a point."""
    found, _ = alarms(100, clusters=400, gain=0.2, noise=0.03, replicates=1_000)
    print(f"\na planted gain is called significant in {found:.2f}")
    assert found >= 0.8


# ---------------------------------------------------------------------------- adjustment


def test_holm_by_hand() -> None:
    adjusted = statistics.holm([0.01, None, 0.04, 0.03, 0.005])
    assert adjusted == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06),
                        pytest.approx(0.02)]  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_as_stepping_down_does(p: list[float]) -> None:
    order = sorted(range(len(p)), key=lambda i: p[i])
    rejected = set()
    for rank, i in enumerate(order):
        if p[i] * (len(p) - rank) >= 0.05:
            break
        rejected.add(i)
    adjusted = statistics.holm(p)
    assert {i for i, value in enumerate(adjusted) if value is not None and value < 0.05} == rejected


def test_significant_takes_seeds_that_agree() -> None:
    assert statistics.significant(0.01, [1.0, 2.0])
    assert not statistics.significant(0.01, [1.0, -0.1, 4.0])
    assert not statistics.significant(0.01, [3.0]), "one seed says nothing of the encoder"
    assert not statistics.significant(0.2, [1.0, 2.0])
    assert not statistics.significant(None, [1.0, 2.0])
