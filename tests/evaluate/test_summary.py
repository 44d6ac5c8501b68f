"""What we promise of the records that a comparison ends in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clipvil.core import Labels, Measured, Metric, Splits, Task, Totals
from clipvil.evaluate import statistics
from clipvil.evaluate.result import Cell, Control, Difference, Mean, Record, Seed
from clipvil.evaluate.summary import CellScores, Questions, summarise

SKILL = {"tiny:clip": 0.8, "tiny:random": 0.3, "text-only": 0.1, "prior": -0.2}
SIZES = {"20%": 200, "100%": 1_000}
COLOURS = tuple("count" if i % 3 else "colour" for i in range(240))


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": 100 * totals["credit"] / totals["count"],
            "accuracy/count": 100 * totals["counted"] / totals["counts"],
        }


def refuse(*_: object) -> None:
    raise AssertionError


TASK = Task(
    name="toy", version=1, summary="", answer=Labels(9, refuse),  # type: ignore[arg-type]
    metrics=(Metric("accuracy", "%"), Metric("accuracy/count", "%"), Metric("spice", "1")),
    splits=Splits("train", "val", "test"), files=(), examples=refuse, measure=refuse,  # type: ignore[arg-type]
    reduce=reduce, read=refuse, write=refuse, tiny=refuse, breakdowns=("type",),  # type: ignore[arg-type]
)  # fmt: skip


def cells(seeds: int = 3, shifts: Sequence[str | None] = (None, "style")) -> list[CellScores]:
    generator = np.random.default_rng(1)
    ids = tuple(str(i) for i in range(240))
    pictures = tuple(f"p{i // 4}" for i in range(240))
    hard = generator.normal(0, 1, 240)
    counts = np.array([c == "count" for c in COLOURS], float)
    found = []
    for encoder, skill in SKILL.items():
        control: Control | None = {"text-only": "text", "prior": "prior"}.get(encoder)  # type: ignore[assignment]
        for shots, size in SIZES.items():
            for seed in range(seeds):
                for shift in shifts:
                    at = skill + 0.3 * (shots == "100%") - 0.4 * (shift is not None)
                    luck = generator.normal(0, 0.6, 240) + generator.normal(0, 0.05)
                    credit = (at - hard + luck > 0).astype(float)
                    rows = np.stack([credit, np.ones(240), credit * counts, counts], 1)
                    columns = ("credit", "count", "counted", "counts")
                    strata = {"type": COLOURS}
                    questions = Questions(
                        split="test", shift=shift, ids=ids, clusters=pictures, strata=strata
                    )
                    found.append(
                        CellScores(
                            questions=questions, measured=Measured(ids, columns, rows),
                            encoder=encoder, model="glance", shots=shots, examples=size,
                            seed=Seed(data=seed, init=seed, order=seed), control=control,
                        )
                    )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return summarise(cells(), TASK, baseline="tiny:random", replicates=300)


def pick(records: Sequence[Record], kind: type, **wanted: object) -> list[Record]:
    return [
        r
        for r in records
        if isinstance(r, kind) and all(getattr(r, k) == v for k, v in wanted.items())
    ]


def test_every_thing_is_told_once(records: list[Record]) -> None:
    assert len({r.key for r in records}) == len(records)
    assert len(pick(records, Cell, metric="accuracy")) == 4 * 2 * 3 * 2
    (whole,) = pick(records, Cell, metric="accuracy/count", encoder="tiny:clip", shots="20%",
                    shift=None, seed=Seed(data=0, init=0, order=0))  # fmt: skip
    assert isinstance(whole, Cell) and whole.stratum == "count", "also a metric, kept as a stratum"
    assert whole.n == COLOURS.count("count")


def test_what_was_not_computed_is_null(records: list[Record]) -> None:
    for cell in pick(records, Cell, metric="spice"):
        assert (cell.value, cell.low, cell.high) == (None, None, None)  # type: ignore[attr-defined]
    assert not pick(records, Mean, metric="spice")


def test_differences_are_those_of_the_statistics(records: list[Record]) -> None:
    (record,) = pick(records, Difference, family="primary", shots="100%")
    assert isinstance(record, Difference)

    def side(encoder: str) -> list[Measured]:
        return [c.measured for c in cells() if c.encoder == encoder and c.shots == "100%"
                and c.questions.shift is None]  # fmt: skip

    clusters = cells()[0].questions.clusters
    told = statistics.difference(
        side("tiny:clip"), side("tiny:random"), clusters, reduce, "accuracy", replicates=300
    )
    assert (record.value, record.low, record.high, record.p) == (
        told.value, told.low, told.high, told.p
    )  # fmt: skip
    assert tuple(record.seeds) == told.seeds
    prior = pick(records, Mean, encoder="prior", shots="100%", metric="accuracy", shift=None)
    base = pick(records, Mean, encoder="tiny:random", shots="100%", metric="accuracy", shift=None)
    over = base[0].value - prior[0].value  # type: ignore[operator]
    assert record.relative == pytest.approx(record.value / over)  # type: ignore[operator]


def test_families_are_adjusted_apart(records: list[Record]) -> None:
    for family, size in (("primary", 2), ("shift", 2), ("control", 4)):
        members = pick(records, Difference, family=family)
        assert len(members) == size
        p = [m.p for m in members]  # type: ignore[attr-defined]
        assert [m.p_holm for m in members] == statistics.holm(p)  # type: ignore[attr-defined]
    for record in pick(records, Difference, family="exploratory"):
        assert isinstance(record, Difference)
        assert record.p_holm is None and record.significant is None and record.p is not None


def test_examples_needed_are_told_at_the_largest_size(records: list[Record]) -> None:
    small, large = (pick(records, Difference, family="primary", shots=s)[0] for s in SIZES)
    assert isinstance(small, Difference) and isinstance(large, Difference)
    assert small.examples_needed is None and large.examples_needed is not None


def test_drops_under_a_shift_are_paired(records: list[Record]) -> None:
    (mean,) = pick(records, Mean, encoder="tiny:clip", shots="20%", shift="style",
                   metric="accuracy")  # fmt: skip
    (plain,) = pick(records, Mean, encoder="tiny:clip", shots="20%", shift=None, metric="accuracy")
    assert isinstance(mean, Mean) and isinstance(plain, Mean)
    assert mean.drop == pytest.approx((mean.value or 0) - (plain.value or 0))
    assert mean.drop_low is not None and mean.drop is not None
    assert mean.drop_low < mean.drop < 0
    assert plain.drop is None


def test_order_of_cells_and_examples_changes_no_figure(records: list[Record]) -> None:
    order = np.random.default_rng(2).permutation(240)
    turned = []
    for c in reversed(cells()):
        q, m = c.questions, c.measured
        kept = {"ids": tuple(q.ids[i] for i in order), "split": q.split, "shift": q.shift,
                "clusters": tuple(q.clusters[i] for i in order),
                "strata": {"type": tuple(COLOURS[i] for i in order)}}  # fmt: skip
        told = {name: getattr(c, name) for name in ("encoder", "model", "shots", "examples")}
        turned.append(CellScores(
            questions=Questions(**kept), control=c.control, seed=c.seed, **told,
            measured=Measured(m.ids[::-1], m.columns, m.rows[::-1]),
        ))  # fmt: skip
    again = summarise(turned, TASK, baseline="tiny:random", replicates=300)
    assert {r.key: r.found for r in again} == {r.key: r.found for r in records}


def test_one_seed_claims_nothing() -> None:
    for record in summarise(cells(seeds=1), TASK, baseline="tiny:random", replicates=100):
        if isinstance(record, Difference):
            assert not record.significant


def test_a_baseline_nobody_ran_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cell of the baseline tiny:clib"):
        summarise(cells(), TASK, baseline="tiny:clib")
