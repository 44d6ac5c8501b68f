"""The loop: learns, goes on bit for bit, stops at the first non-finite loss, adds up processes."""

import json
from bisect import bisect_right
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from clipvil.data import LabelBatch
from clipvil.models import mcan
from clipvil.train import keep
from clipvil.train.fit import fit
from clipvil.train.pace import order, rate
from clipvil.train.recipe import Stage
from tests.models.tiny import rows, small, some

ROOT = Path(__file__).parent.parent.parent
STAGE = Stage(epochs=6, batch=4, learning_rate=3e-3, validations=3, clip=1.0)


class StoppedError(Exception):
    """A run that ends in the middle."""


def pick(indices: NDArray[np.int64]) -> LabelBatch:
    return rows(some(16), torch.from_numpy(indices))


def right(model: nn.Module) -> float:
    batch = some(16)
    with torch.inference_mode():
        found = model(batch).argmax(1)
    return float((found == batch.credit.argmax(1)).float().mean())


def fresh() -> mcan.Model:
    torch.manual_seed(0)
    config = mcan.Config(width=16, heads=2, layers=1, flat=24, word_width=12, dropout=0.1)
    return mcan.Model(config, image_width=6, num_words=11, num_answers=5)


def run(
    where: Path, *, until: int | None = None, stage: Stage = STAGE, start: float | None = None
) -> mcan.Model:
    model = fresh()

    def watch(step: int, steps: int) -> None:
        if step == until:
            raise StoppedError

    fit(
        model, stage, examples=16, batch=pick, validate=right, run=where, seed=3, start=start,
        watch=watch,
    )  # fmt: skip
    return model


STEPS = replace(STAGE, optimizer="adamax", warmup_from=0.2, decay_at=(0.5, 0.8), decay=0.2)


@pytest.mark.parametrize(
    ("stage", "start"),
    [
        (STAGE, None),
        pytest.param(STAGE, 2.0, marks=pytest.mark.slow),
        pytest.param(STEPS, None, marks=pytest.mark.slow),
    ],
    ids=["adamw", "nothing learnt", "adamax"],
)
def test_an_interrupted_run_ends_bit_for_bit_like_one_that_was_not(
    tmp_path: Path, stage: Stage, start: float | None
) -> None:
    run(tmp_path / "whole", stage=stage, start=start)
    for stop in (1, 9, 17):  # before, at and after checkpoints
        with pytest.raises(StoppedError):
            run(tmp_path / "halves", until=stop, stage=stage, start=start)
    run(tmp_path / "halves", stage=stage, start=start)
    for name in ("best.safetensors", "metrics.jsonl"):
        whole, halves = (tmp_path / w / name for w in ("whole", "halves"))
        assert whole.read_bytes() == halves.read_bytes(), name


def test_the_log_tells_every_step_once(tmp_path: Path) -> None:
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [10, 20, 24]
    assert [line["step"] for line in lines if "select" in line] == [8, 16, 24]


def test_it_ends_with_the_best_weights(tmp_path: Path) -> None:
    model = run(tmp_path)
    best, facts = keep.load(tmp_path / "best.safetensors")
    assert all(torch.equal(best[f"model.{n}"], t) for n, t in model.state_dict().items())
    scores = [
        json.loads(line).get("select", -1)
        for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    assert right(model.eval()) == pytest.approx(max(scores))
    assert facts["step"] in (8, 16, 24)


def test_what_a_stage_begins_with_stays_unless_something_is_as_good(tmp_path: Path) -> None:
    """And changes nothing where it does not: no weight, no line of the log but its own."""

    def told(where: str, start: float | None) -> tuple[bytes, list[str]]:
        run(tmp_path / where, stage=replace(STAGE, epochs=2), start=start)
        log = (tmp_path / where / "metrics.jsonl").read_text().splitlines()
        return (tmp_path / where / "best.safetensors").read_bytes(), log

    weights, log = told("unknown", None)
    best = max(json.loads(line).get("select", -1) for line in log)
    for worse in (0.0, best):
        first = json.dumps({"step": 0, "select": worse})
        assert told(f"{worse}", worse) == (weights, [first, *log])
    _, tried = told("better", best + 0.01)
    assert tried[1:] == log
    kept, facts = keep.load(tmp_path / "better" / "best.safetensors")
    assert facts["step"] == 0
    assert all(torch.equal(kept[f"model.{n}"], t) for n, t in fresh().state_dict().items())


def test_a_loss_that_is_not_finite_names_step_and_ids(tmp_path: Path) -> None:
    def poisoned(indices: NDArray[np.int64]) -> LabelBatch:
        batch = pick(indices)
        return replace(batch, image=batch.image * float("nan")) if 5 in indices else batch

    with pytest.raises(FloatingPointError, match=r"step \d+; in the batch: .*\b5\b"):
        fit(
            small(), STAGE, examples=16, batch=poisoned, validate=right, run=tmp_path, seed=0
        )  # fmt: skip


def test_every_epoch_sees_every_example_once() -> None:
    seen = np.concatenate([order(step, 10, 3, seed=1) for step in range(10)])
    for epoch in range(3):
        assert sorted(seen[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert len(order(0, 4, 11, seed=1)) == 11, "a batch may be larger than the data"


def test_the_rate_rises_and_falls() -> None:
    rates = [rate(step, 100, STAGE) for step in range(100)]
    assert max(rates) == pytest.approx(STAGE.learning_rate)
    assert rates[0] < rates[5] < rates[9] >= rates[10] > rates[50] > rates[99] > 0


def test_the_rate_falls_in_steps_as_pythia_s_did() -> None:
    """22,000 steps: from a fifth up over 1,000, then a tenth of it at each of four steps."""
    stage = replace(
        STAGE, learning_rate=0.01, warmup=1 / 22, warmup_from=0.2, decay=0.1,
        decay_at=(15 / 22, 18 / 22, 20 / 22, 21 / 22),
    )  # fmt: skip
    for step in (*range(0, 22_000, 377), 999, 1_000, 14_999, 15_000, 20_999, 21_000, 21_999):
        if step < 1_000:
            expected = 0.01 * (0.2 + 0.8 * (step + 1) / 1_000)
        else:
            expected = 0.01 * 0.1 ** bisect_right((15_000, 18_000, 20_000, 21_000), step)
        assert rate(step, 22_000, stage) == pytest.approx(expected)


def test_the_rate_falls_with_the_root_of_the_step_or_stays_as_captioning_had_it() -> None:
    """Noam's: width ** -0.5 times the lesser of step ** -0.5 and step * rise ** -1.5."""
    stage = replace(
        STAGE, learning_rate=(512 * 20_000) ** -0.5, warmup=20_000 / 169_930, fall="root"
    )
    for step in (1, 77, 19_999, 20_000, 20_001, 90_000, 169_930):
        expected = 512**-0.5 * min(step**-0.5, step * 20_000**-1.5)
        assert rate(step - 1, 169_930, stage) == pytest.approx(expected)
    still = replace(STAGE, warmup=0.0, fall="none")
    assert {rate(step, 50, still) for step in range(50)} == {STAGE.learning_rate}


def test_each_number_of_the_gradient_is_bounded(tmp_path: Path) -> None:
    def moved(where: str, bound: float | None) -> float:
        # one step of Adam follows the sign alone unless a gradient is small beside epsilon
        stage = replace(STAGE, clip=None, clip_each=bound, epsilon=1.0, epochs=0.25, validations=1)
        torch.manual_seed(0)
        before = small().state_dict()
        model = small()
        fit(
            model, stage, examples=16, batch=pick, validate=right, run=tmp_path / where, seed=3
        )  # fmt: skip
        after = model.state_dict()
        return max(float((after[n] - before[n]).abs().max()) for n in before)

    bound = 1e-3
    assert moved("free", None) > 5 * moved("bounded", bound) > 0
    assert moved("bounded", bound) <= STAGE.learning_rate * bound + 2e-7, "and rounding"


def test_bfloat16_trains_too(tmp_path: Path) -> None:
    run(tmp_path, stage=replace(STAGE, precision="bf16", epochs=1))
