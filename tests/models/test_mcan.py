"""What we promise of every model of closed answer lists, and of MCAN's size."""

import pytest
import torch
from torch.nn.functional import pad

from clipvil import models
from clipvil.data import LabelBatch
from clipvil.models import mcan

WIDTH, WORDS, ANSWERS = 6, 11, 5


def small() -> mcan.Model:
    torch.manual_seed(0)
    config = mcan.Config(width=16, heads=2, layers=2, flat=24, word_width=12, dropout=0.0)
    return mcan.Model(config, image_width=WIDTH, num_words=WORDS, num_answers=ANSWERS)


def some(count: int = 8) -> LabelBatch:
    torch.manual_seed(1)
    credit = torch.zeros(count, ANSWERS)
    credit[torch.arange(count), torch.randint(0, ANSWERS, (count,))] = 1.0
    return LabelBatch(
        ids=tuple(map(str, range(count))),
        image=torch.randn(count, 7, WIDTH),
        seen=torch.ones(count, 7, dtype=torch.bool),
        words=torch.randint(1, WORDS, (count, 4)),
        credit=credit,
    )


@pytest.mark.parametrize("name", models.names())
def test_every_model_has_a_config_that_needs_nothing(name: str) -> None:
    module = models.load(name)
    assert module.Config() == module.Config()


def test_unseen_cells_and_padded_words_change_no_logit() -> None:
    model, batch = small().eval(), some()
    image = pad(batch.image, (0, 0, 0, 3), value=9.0)
    padded = model(image, pad(batch.seen, (0, 3)), pad(batch.words, (0, 2)))
    torch.testing.assert_close(padded, model(batch.image, batch.seen, batch.words))


def test_an_empty_question_is_answered() -> None:
    model, batch = small().eval(), some(2)
    logits = model(batch.image, batch.seen, torch.zeros(2, 3, dtype=torch.long))
    assert torch.isfinite(logits).all()


def test_every_parameter_gets_a_gradient() -> None:
    model = small()
    model.loss(some()).total.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # a bias added to every key shifts all attention logits alike, so softmax cancels it
    assert [name for name in missing if not name.endswith("key.bias")] == []


def test_eight_examples_are_learnt_by_heart() -> None:
    model, batch = small(), some()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(batch).total.backward()
        optimizer.step()
    model.eval()
    logits = model(batch.image, batch.seen, batch.words)
    assert torch.equal(logits.argmax(1), batch.credit.argmax(1))


def test_the_loss_is_the_sum_over_examples() -> None:
    model, batch = small().eval(), some()
    halves = [
        model.loss(
            LabelBatch(batch.ids[s], batch.image[s], batch.seen[s], batch.words[s], batch.credit[s])
        )
        for s in (slice(0, 3), slice(3, 8))
    ]
    whole = model.loss(batch)
    torch.testing.assert_close(whole.total, halves[0].total + halves[1].total)
    assert float(whole.weight) == 8


def test_the_small_model_has_the_published_size() -> None:
    model = mcan.Model(mcan.Config(), image_width=2048, num_words=18_000, num_answers=3_129)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(57.0e6, rel=0.005)
