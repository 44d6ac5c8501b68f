"""The captioner: masks, sums, what is learnt by heart, and what self-critical training does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad

from clipvil.core import UsageError
from clipvil.data.captions import CaptionBatch
from clipvil.explain.captions import looked
from clipvil.metrics.reward import prepare, rewards
from clipvil.models import captioner
from clipvil.models._decode import Limits, greedy, lots, sample
from clipvil.train.fit import fit
from clipvil.train.recipe import Stage
from tests.models.captions import SMALL, WIDTH, rows, small, some

# softmax is the same when all that it weighs is shifted alike, so this changes nothing
IDLE = "key.bias"


def real(batch: CaptionBatch) -> torch.Tensor:
    """Where a next word is told: after the beginning and after each word of a caption."""
    there = batch.words[..., :1] != 0
    return pad(batch.words != 0, (1, 0), value=True) & there


def learn(model: captioner.Model, batch: CaptionBatch, steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.loss(batch)
        (loss.total / loss.weight).backward()
        optimizer.step()


def distinct(count: int = 8) -> CaptionBatch:
    """One caption a picture, of one to eight words, no two alike."""
    batch = some(count, captions=1)
    words = torch.zeros(count, 1, count, dtype=torch.long)
    for index in range(count):
        words[index, 0, : index + 1] = 2 + (torch.arange(index + 1) * 3 + index) % 10
    return replace(batch, words=words)


@pytest.mark.parametrize("positions", [False, True])
def test_padding_changes_no_logit(positions: bool) -> None:
    model, batch = small(positions=positions).eval(), some()
    logits = model(batch)
    assert logits.shape == (8, 3, 6, 12)
    padded = replace(
        batch,
        image=pad(batch.image, (0, 0, 0, 3), value=9.0),
        seen=pad(batch.seen, (0, 3)),
        words=pad(batch.words, (0, 2, 0, 1)),
    )
    torch.testing.assert_close(model(padded)[:, :3, :6][real(batch)], logits[real(batch)])
    noise = replace(batch, image=batch.image.masked_fill(~batch.seen.unsqueeze(-1), -7.0))
    torch.testing.assert_close(model(noise), logits)
    losses = [model.loss(one).total for one in (batch, padded, noise)]
    torch.testing.assert_close(losses, [losses[0]] * 3)


def test_a_batch_is_its_captions() -> None:
    """What is batched with a picture changes nothing, nor what else is said of it."""
    model, batch = small().eval(), some()
    together = model(batch)
    for index in range(8):
        cells = int(batch.seen[index].sum())
        alone = rows(batch, [index])
        alone = replace(alone, image=alone.image[:, :cells], seen=alone.seen[:, :cells])
        torch.testing.assert_close(model(alone), together[index : index + 1])
        one = replace(alone, words=alone.words[:, 1:2])
        torch.testing.assert_close(model(one), together[index : index + 1, 1:2])


def test_a_word_depends_on_those_before_it_alone() -> None:
    model, batch = small().eval(), some()
    other = batch.words.clone()
    other[..., 3:] = 1
    changed = model(replace(batch, words=other))
    torch.testing.assert_close(changed[..., :4, :], model(batch)[..., :4, :])
    assert not torch.allclose(changed[..., 4:, :], model(batch)[..., 4:, :])


def test_cells_have_no_place_unless_asked() -> None:
    batch = rows(some(), [0])
    turned = replace(batch, image=batch.image.flip(1))
    torch.testing.assert_close(small().eval()(turned), small().eval()(batch))
    placed = small(positions=True).eval()
    assert not torch.allclose(placed(turned), placed(batch), atol=1e-3)


def test_a_pooled_vector_is_one_more_token() -> None:
    """It is told of, learnt through, and changes nothing for who has none of it."""
    torch.manual_seed(2)
    config = captioner.Config(**SMALL, samples=2, longest=5, pooled=True)  # type: ignore[arg-type]
    model = captioner.Model(config, image_width=WIDTH, num_words=12, pooled_width=4)
    batch = replace(some(), pooled=torch.randn(8, 4))
    told, other = model.eval()(batch), model(replace(batch, pooled=-batch.pooled))
    assert not torch.allclose(told, other, atol=1e-3)
    wide = replace(batch, image=pad(batch.image, (0, 0, 0, 2)), seen=pad(batch.seen, (0, 2)))
    torch.testing.assert_close(model(wide)[real(batch)], told[real(batch)])
    assert torch.equal(model.tell(wide)[0], model.tell(batch)[0])
    for total in (model.loss(batch).total, model.self_critical(batch).total):
        model.zero_grad()
        total.backward()
        assert model.whole is not None and model.whole[0].weight.grad.any()
    attention, gradient = looked(model, rows(batch, [0]), batch.words[:1, :1, :1])
    assert attention.shape == gradient.shape == (1, 6)
    assert 0.0 < float(attention.sum()) < 1.0, "the rest went to the pooled vector"


def test_every_seen_cell_counts() -> None:
    model, batch = small().eval(), some(3)
    image = batch.image.clone().requires_grad_()
    model(replace(batch, image=image)).square().sum().backward()
    assert image.grad is not None
    assert torch.equal(image.grad.any(-1), batch.seen)


def test_the_loss_is_that_of_each_word_and_end() -> None:
    model, batch = small().eval(), some()
    logits, total, count = model(batch).detach().log_softmax(-1), 0.0, 0
    for picture in range(8):
        for caption in range(3):
            words = [word for word in batch.words[picture, caption].tolist() if word]
            for place, word in enumerate([*words, 0] if words else []):
                total -= float(logits[picture, caption, place, word])
                count += 1
    loss = model.loss(batch)
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert float(loss.weight) == count
    halves = [model.loss(rows(batch, part)) for part in (slice(0, 3), slice(3, 8))]
    torch.testing.assert_close(loss.total, halves[0].total + halves[1].total)
    assert small(smoothing=0.1).eval().loss(batch).total.item() != pytest.approx(total)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("objective", ["loss", "self_critical"])
def test_every_parameter_gets_a_gradient(objective: str, precision: torch.dtype) -> None:
    model = small(dropout=0.1, image_dropout=0.5).train()
    with torch.autocast("cpu", torch.bfloat16, precision == torch.bfloat16):
        total = getattr(model, objective)(some()).total
    total.backward()
    assert torch.isfinite(total)
    assert model.training and torch.is_grad_enabled()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert [n for n in missing if not n.endswith(IDLE)] == []


def test_eight_pictures_are_learnt_by_heart() -> None:
    """The very words come back by every way of telling, lengths from one to eight."""
    batch = distinct()
    model = small(layers=1, width=32)
    learn(model, batch, 60, 1.5e-2)
    model.eval()
    for beams in (1, 2, 5):
        model.config = replace(model.config, beams=beams)
        told, scores = model.tell(batch)
        assert torch.equal(told[:, 0, :8], batch.words[:, 0]), beams
        assert not told[:, 0, 8:].any()
        assert scores.shape == told.shape[:2]
    drawn = lots(batch.ids, 0, 1, 20)
    with torch.inference_mode():
        telling = captioner.Telling(model, model.look(batch), batch.seen)
        told = sample(telling, Limits(), drawn, nucleus=0.5)
    assert torch.equal(told[..., :8], batch.words)


def slow_self_critical(model: captioner.Model, batch: CaptionBatch) -> tuple[float, int]:
    """Every word of every sample by itself, with the reward of the metric."""
    config = model.config
    drawn = lots(batch.ids, int(torch.randint(1 << 62, ())), config.samples, config.longest)
    limits = Limits(longest=config.longest, unknown=True)
    total, count = 0.0, 0
    with torch.inference_mode():
        cells = model.look(batch)
        words = sample(captioner.Telling(model, cells, batch.seen), limits, drawn)
        best = greedy(captioner.Telling(model, cells, batch.seen), limits)
        chance = model(replace(batch, words=words)).log_softmax(-1)
    assert batch.frequencies is not None
    for picture, told in enumerate(batch.words.numpy()):
        known = [prepare(told[told[:, 0] > 0], batch.frequencies())]
        tried = torch.cat([words[picture], best[picture, None]]).numpy()
        reward = rewards(tried[None], known, batch.frequencies())[0]
        for which, sampled in enumerate(words[picture].tolist()):
            base = (
                reward[-1]
                if config.baseline == "greedy"
                else (sum(reward[:-1]) - reward[which]) / (config.samples - 1)
            )
            said = sampled[: sampled.index(0) + 1] if 0 in sampled else sampled
            for place, word in enumerate(said):
                total -= (reward[which] - base) * float(chance[picture, which, place, word])
                count += 1
    return total, count


@pytest.mark.parametrize("baseline", ["greedy", "others"])
def test_self_critical_is_the_slow_one(baseline: str) -> None:
    model, batch = small(baseline=baseline, longest=6).eval(), some()
    torch.manual_seed(7)
    loss = model.self_critical(batch)
    torch.manual_seed(7)
    total, count = slow_self_critical(model, batch)
    assert total != 0.0
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-4)
    assert float(loss.weight) == count


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["greedy", "others"])
def test_self_critical_training_raises_the_reward(baseline: str) -> None:
    batch = some()
    model = small(layers=1, width=32, longest=6, baseline=baseline)
    learn(model, batch, 25, 3e-3)
    assert batch.frequencies is not None
    references = [
        prepare(told[told[:, 0] > 0].numpy(), batch.frequencies()) for told in batch.words
    ]

    def mean() -> float:
        assert batch.frequencies is not None
        drawn = lots(batch.ids, 99, 50, 6)
        with torch.inference_mode():
            telling = captioner.Telling(model, model.look(batch), batch.seen)
            told = sample(telling, Limits(longest=6, unknown=True), drawn)
        return float(rewards(told.numpy(), references, batch.frequencies()).mean())

    before, optimizer = mean(), torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        loss = model.self_critical(batch)
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert mean() > before + 0.5


def test_other_draws_each_step_the_same_from_the_same_state() -> None:
    model, batch = small(longest=6), some()
    torch.manual_seed(3)
    first, second = (model.self_critical(batch).total.item() for _ in range(2))
    torch.manual_seed(3)
    assert model.self_critical(batch).total.item() == first != second


@pytest.mark.slow
def test_an_interrupted_self_critical_run_ends_bit_for_bit_like_one_that_was_not(
    tmp_path: Path,
) -> None:
    stage = Stage(objective="self_critical", epochs=3, batch=4, learning_rate=1e-3, validations=3)
    batch = some(8)

    def run(where: str, until: int | None = None) -> None:
        def watch(step: int, steps: int) -> None:
            if step == until:
                raise KeyboardInterrupt

        model = small(longest=6, samples=3, dropout=0.1, beams=2)
        fit(
            model, stage, examples=8, batch=lambda indices: rows(batch, torch.from_numpy(indices)),
            validate=lambda trained: float(trained.tell(batch)[1].mean()),  # type: ignore[operator]
            run=tmp_path / where, seed=3, watch=watch,
        )  # fmt: skip

    run("whole")
    for stop in (1, 5):
        with pytest.raises(KeyboardInterrupt):
            run("halves", stop)
    run("halves")
    for name in ("best.safetensors", "metrics.jsonl"):
        whole, halves = (tmp_path / where / name for where in ("whole", "halves"))
        assert whole.read_bytes() == halves.read_bytes(), name


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="captions of a training subset"):
        small().self_critical(replace(some(), frequencies=None))
    with pytest.raises(UsageError, match="samples"):
        captioner.Config(baseline="others", samples=1)
    with pytest.raises(UsageError, match="beams must be 1 or more"):
        captioner.Config(beams=0)
    with pytest.raises(UsageError, match="no-repeat must be 0 or more"):
        captioner.Config(no_repeat=-1)
    with pytest.raises(UsageError, match="width must be a multiple of 4 and of 8 heads"):
        captioner.Config(width=100)


def test_the_config_needs_nothing() -> None:
    with torch.device("meta"):
        model = captioner.Model(captioner.Config(), image_width=WIDTH, num_words=100)
    assert len(model.reading) == len(model.writing) == 6
