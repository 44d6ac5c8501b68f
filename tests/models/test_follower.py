"""The follower, its teacher and its speaker: what is lost, what is learnt, what is never done."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from clipvil.answers.moves import Known, walked
from clipvil.core import Walked
from clipvil.data.walks import WalkBatch
from clipvil.models._looking import Eyes, facing
from clipvil.models._walked import State
from clipvil.models.follower import Model, twice
from clipvil.tasks import r2r
from clipvil.train import keep
from clipvil.train.fit import fit
from clipvil.train.recipe import Stage
from tests.models.walking import data, small, some, walks


def rows(batch: WalkBatch, indices: Any) -> WalkBatch:
    return WalkBatch(
        tuple(np.array(batch.ids)[indices]), batch.words[indices], batch.place[indices],
        batch.view[indices], batch.goal[indices], batch.pairs, batch.ground,
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch(shared: Path) -> WalkBatch:
    return some(shared)[2]


@pytest.fixture
def model(batch: WalkBatch) -> Model:
    return small(int(batch.words.max()) + 1)


# ---------------------------------------------------------------------------- the teacher


@pytest.mark.parametrize("split", ["train", "val_seen", "val_unseen"])
def test_the_teacher_always_succeeds(shared: Path, split: str) -> None:
    several = walks(shared, split)  # all instructions of a path are led along the same way
    examples = [example for example in several if example.id.endswith("_0")]
    ready, said = data(examples, width=1), dict[str, Any]()
    model = small(2, 1)
    for start in range(0, len(examples), 512):
        batch = ready.batch(np.arange(start, min(start + 512, len(examples))))
        led = model.led(batch.place, batch.view, batch.goal, batch.ground)
        places = [*led.place.T, torch.where(led.alive[:, -1], led.place[:, -1], batch.goal)]
        said |= walked(batch.ids, ready.atlas, places, [*led.view.T, led.view[:, -1]])
    figures = r2r.TASK.reduce(r2r.TASK.measure(examples, said).totals())
    assert figures["success_rate"] == 1 and figures["navigation_error"] == 0
    assert figures["spl"] == pytest.approx(1, abs=1e-6)
    if split != "val_unseen":  # eight paths of which are not the shortest
        assert figures["ndtw"] > 0.999


# ---------------------------------------------------------------------------- what is seen


def test_a_step_is_that_of_an_lstm(batch: WalkBatch, model: Model) -> None:
    model.eval()
    told, hidden, cell = model.hear(batch.words)
    state = State(batch.place, batch.view, hidden, cell, torch.randn_like(hidden))
    eyes = Eyes(batch.ground)
    after, _, _ = model(state, told, eyes)
    acted = torch.tanh(model.acted(facing(batch.view)))
    found = eyes.gather(model.around(state.heard), batch.place, batch.view)
    wanted = model.step(torch.cat([acted, found], -1), (state.heard, cell))
    torch.testing.assert_close((after.hidden, after.cell), wanted)


def test_gone_channels_are_gone_everywhere(batch: WalkBatch, model: Model) -> None:
    model = small(int(batch.words.max()) + 1, channel_dropout=0.5).train()
    channels = model.channels(batch.ground)
    assert set(channels.unique().tolist()) == {0.0, 2.0}
    eyes = Eyes(batch.ground, channels=channels)
    seen = eyes.gather(torch.randn(8, 16 + 128), batch.place, batch.view)[:, :16]
    assert not seen[:, channels == 0].any() and seen[:, channels > 0].all()


# ---------------------------------------------------------------------------- what is chosen


def test_no_illegal_choice_is_made(batch: WalkBatch, model: Model) -> None:
    _, gone = model.walk(twice(batch), Eyes(batch.ground), "both").halves()
    stop = batch.ground.places.shape[1]
    for place, rows, choice in zip(gone.place, gone.rows, gone.choice, strict=False):
        free = batch.ground.free[place[rows], choice.clamp(max=stop - 1)]
        assert (free | (choice == stop)).all()


def test_an_illegal_choice_is_an_error(batch: WalkBatch) -> None:
    nobody = torch.full_like(batch.place, batch.ground.places.shape[1] - 1)
    with pytest.raises(AssertionError, match="a choice that nobody has"):
        batch.ground.move(batch.place, batch.view, nobody)


def test_padding_and_company_change_nothing(batch: WalkBatch, model: Model) -> None:
    model.eval()
    whole = model.walk(batch, Eyes(batch.ground), "best")
    padded = WalkBatch(batch.ids, pad(batch.words, (0, 5)), *(
        getattr(batch, name) for name in ("place", "view", "goal", "pairs", "ground")
    ))  # fmt: skip
    again = model.walk(padded, Eyes(batch.ground), "best")
    for after, before in zip(again.logits, whole.logits, strict=True):
        torch.testing.assert_close(after, before)
    alone = rows(batch, [3])
    one = model.walk(alone, Eyes(batch.ground), "best")
    for t, logits in enumerate(one.logits):
        (row,) = (whole.rows[t] == 3).nonzero()[:, 0].tolist()
        torch.testing.assert_close(logits[0], whole.logits[t][row])


def test_an_empty_instruction_is_walked(batch: WalkBatch, model: Model) -> None:
    silent = WalkBatch(batch.ids, torch.zeros_like(batch.words), *(
        getattr(batch, name) for name in ("place", "view", "goal", "pairs", "ground")
    ))  # fmt: skip
    gone = model.eval().walk(silent, Eyes(batch.ground), "best")
    assert all(torch.isfinite(hidden).all() for hidden in gone.hidden)


# ---------------------------------------------------------------------------- what is lost


def test_imitation_is_the_sum_over_walkers(batch: WalkBatch, model: Model) -> None:
    model.eval()
    parts = [model.imitate(rows(batch, part)) for part in (slice(0, 3), slice(3, 8))]
    whole = model.imitate(batch)
    torch.testing.assert_close(whole.total, parts[0].total + parts[1].total)
    assert float(whole.weight) == 8


def test_rewards_are_those_of_the_release(batch: WalkBatch, model: Model) -> None:
    """Against the release's way of counting, a walker and a step at a time."""
    model.eval()
    model.requires_grad_(False)
    eyes, ground, discount = Eyes(batch.ground), batch.ground, 0.9
    torch.manual_seed(5)
    gone = model.walk(twice(batch), eyes, "both").halves()[1]
    ours = model._rewarded(gone, batch, eyes)
    after, _, _ = model(gone.last, gone.told, eyes)
    assert len(gone.rows[-1]) < len(batch.ids), "some who stopped are left out"
    stop, total, count = ground.places.shape[1], 0.0, 0
    for row in range(len(batch.ids)):
        at = [{int(r): k for k, r in enumerate(rows)} for rows in gone.rows]
        steps = [t for t, k in enumerate(at) if row in k and gone.alive[t][k[row]]]
        stopped = int(gone.choice[steps[-1]][at[steps[-1]][row]]) == stop
        worth = 0.0 if stopped else float(model.critic(after.hidden)[at[-1][row]])
        for t in reversed(steps):
            here, there = (
                float(ground.distance(gone.place[k][row], batch.goal[row])) for k in (t, t + 1)
            )
            if int(gone.choice[t][at[t][row]]) == stop:
                reward = 2.0 if here < 3 else -2.0
            else:
                reward = float(np.sign(here - there))
            worth = discount * worth + reward
            value = float(model.critic(gone.hidden[t])[at[t][row]])
            chances = torch.distributions.Categorical(logits=gone.logits[t][at[t][row]])
            said = float(chances.log_prob(gone.choice[t][at[t][row]]))
            total += -said * (worth - value) + 0.5 * (worth - value) ** 2
            total -= 0.01 * float(chances.entropy())
            count += 1
    assert float(ours) == pytest.approx(total / count, rel=1e-4)


def test_the_teacher_leads_the_first_half_alone(batch: WalkBatch, model: Model) -> None:
    """Walked beside those who choose by chance it is lost as much as without them."""
    parts, alone = model.eval().loss(batch).parts, model.imitate(batch)
    torch.testing.assert_close(parts["imitation"], model.config.imitation * alone.total)


@pytest.mark.parametrize("objective", ["loss", "imitate", "describe", "back_translate"])
def test_every_objective_is_finite_and_comes_again(
    batch: WalkBatch, model: Model, objective: str
) -> None:
    """Rollouts and speech draw from torch's own generator, which checkpoints keep."""
    state = torch.get_rng_state()
    first = getattr(model, objective)(batch)
    torch.set_rng_state(state)
    again = getattr(model, objective)(batch)
    assert torch.isfinite(first.total) and torch.equal(first.total, again.total)
    if first.parts:
        torch.testing.assert_close(torch.stack([*first.parts.values()]).sum(), first.total)


def test_half_precision_loses_about_as_much(batch: WalkBatch, model: Model) -> None:
    whole = model.imitate(batch).total
    with torch.autocast("cpu", torch.bfloat16):
        half = model.imitate(batch).total
        (model.loss(batch).total + model.describe(batch).total).backward()
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0.0)


def test_every_parameter_gets_a_gradient(batch: WalkBatch, model: Model) -> None:
    model.loss(batch).total.backward()
    model.describe(batch).total.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_back_translation_leaves_the_speaker_alone(batch: WalkBatch, model: Model) -> None:
    model.train()
    model.back_translate(batch).total.backward()
    assert all(p.grad is None for p in model.speaker.parameters())
    assert model.speaker.training


def test_ways_that_nobody_described_are_like_those_of_r2r(batch: WalkBatch, model: Model) -> None:
    made = model.undescribed(batch)
    led = model.led(made.place, made.view, made.goal, made.ground)
    edges = led.alive.sum(1) - 1
    assert ((edges >= 4) & (edges <= 6)).all()
    assert (batch.ground.distance(made.place, made.goal) >= 5).all()


@pytest.mark.slow
def test_the_speaker_learns_what_is_said_of_a_way(batch: WalkBatch, model: Model) -> None:
    short = WalkBatch(batch.ids, batch.words[:, :6], *(
        getattr(batch, name) for name in ("place", "view", "goal", "pairs", "ground")
    ))  # fmt: skip
    short = rows(short, [0, 3, 6])
    optimizer = torch.optim.AdamW(model.speaker.parameters(), lr=2e-2)
    for _ in range(80):
        optimizer.zero_grad()
        model.describe(short).total.backward()
        optimizer.step()
    led = model.led(short.place, short.view, short.goal, short.ground)
    said = model.speaker.eval().say(led, Eyes(short.ground), 10)
    assert torch.equal(said[:, :6], short.words) and not said[:, 6:].any()


# ---------------------------------------------------------------------------- what is refused


def test_bad_instructions_and_paths_are_named(shared: Path) -> None:
    examples = walks(shared, "train")[:4]
    with pytest.raises(ValueError, match=r"_\d has \d+ words, 20 are read; 1 of 4 instr") as raised:
        data(examples, longest=20)
    long = [e.id for e in examples if len(e.words.split()) > 20]
    assert str(raised.value).startswith(f"{long[0]} has")
    assert data(examples, longest=20, cut=True).batch(np.arange(4)).words.shape[1] == 20


@pytest.mark.slow
def test_64_instructions_are_learnt_by_heart(shared: Path) -> None:
    """Views are random vectors: that it follows says nothing of language, but all of the wiring."""
    start = time.process_time()
    examples = walks(shared, "train")[:64]
    ready = data(examples, width=32)
    words = int(ready.batch(np.arange(64)).words.max()) + 1
    model = small(words, 32, width=128, word_width=64, action_width=16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    known = Known((), 200, False)
    for step in range(400):
        optimizer.zero_grad()
        batch = ready.batch(np.random.default_rng(step).permutation(64)[:32])
        loss = model.train().imitate(batch)
        (loss.total / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if step % 25 == 24:
            said = known.answers(model, ready, torch.device("cpu"))
            assert all(isinstance(walk, Walked) for walk in said.values())
            figures = r2r.TASK.reduce(r2r.TASK.measure(examples, said).totals())
            if figures["success_rate"] >= 0.95:
                break
    assert figures["success_rate"] >= 0.95
    assert time.process_time() - start < 60


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_bit_for_bit(shared: Path, tmp_path: Path) -> None:
    """Sampled walks, dropout and ways that nobody described: all of it is in the checkpoint."""
    _, ready, batch = some(shared)
    stage = Stage(
        objective="back_translate", epochs=4, batch=8, optimizer="rmsprop", clip=40.0, validations=2
    )

    def stop(step: int, steps: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    def run(folder: Path, watch: Any) -> bytes:
        model = small(int(batch.words.max()) + 1, dropout=0.3, view_dropout=0.3, longest=12)
        fit(model, stage, examples=8, batch=ready.batch, validate=lambda model: 0.0,
            run=folder, seed=0, watch=watch)  # fmt: skip
        return (folder / "last.safetensors").read_bytes()

    (whole, broken) = (tmp_path / name for name in ("whole", "broken"))
    whole.mkdir()
    broken.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(broken, stop)
    assert (broken / "last.safetensors").is_file(), "it was kept after the second step"
    run(whole, lambda step, steps: None)
    run(broken, lambda step, steps: None)
    one, other = (keep.load(folder / "last.safetensors")[0] for folder in (whole, broken))
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
