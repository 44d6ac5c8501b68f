"""What every model of closed answer lists promises, at tiny widths; a new file joins by itself."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import pad

from clipvil import models
from clipvil.core import Labels
from tests.models.tiny import ANSWERS, rows, small, some

LABELS = [name for name in models.names() if Labels in models.load(name).ANSWERS]
pytestmark = pytest.mark.parametrize("name", LABELS)

# softmax is the same when all that it weighs is shifted alike, so these change nothing
IDLE = ("key.bias", "weigh.bias", "weigh.2.bias", "weigh.3.bias")


def test_the_config_needs_nothing(name: str) -> None:
    module = models.load(name)
    assert module.Config() == module.Config()


def test_padding_changes_no_logit(name: str) -> None:
    model, batch = small(name).eval(), some()
    assert model(batch).shape == (8, ANSWERS)
    padded = replace(
        batch,
        image=pad(batch.image, (0, 0, 0, 3), value=9.0),
        seen=pad(batch.seen, (0, 3)),
        words=pad(batch.words, (0, 2)),
    )
    torch.testing.assert_close(model(padded), model(batch))
    noise = replace(batch, image=batch.image.masked_fill(~batch.seen.unsqueeze(-1), -7.0))
    torch.testing.assert_close(model(noise), model(batch))


def test_a_batch_is_its_questions(name: str) -> None:
    """What is asked beside a question, about pictures of other shapes, changes nothing."""
    model, batch = small(name).eval(), some()
    together = model(batch)
    for index in range(len(batch.ids)):
        alone, cells = rows(batch, [index]), int(batch.seen[index].sum())
        alone = replace(alone, image=alone.image[:, :cells], seen=alone.seen[:, :cells])
        torch.testing.assert_close(model(alone), together[index : index + 1])


def test_every_seen_cell_counts(name: str) -> None:
    model, batch = small(name).eval(), some(3)
    image = batch.image.clone().requires_grad_()
    model(replace(batch, image=image)).square().sum().backward()
    assert image.grad is not None
    assert torch.equal(image.grad.any(-1), batch.seen)


def test_an_empty_question_is_answered(name: str) -> None:
    batch = replace(some(2), words=torch.zeros(2, 3, dtype=torch.long))
    assert torch.isfinite(small(name).eval()(batch)).all()


def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = small(name)
    model.loss(some()).total.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert [n for n in missing if not n.endswith(IDLE)] == []


@pytest.mark.slow
def test_eight_examples_are_learnt_by_heart(name: str) -> None:
    model, batch = small(name), some()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        model.loss(batch).total.backward()
        optimizer.step()
    assert torch.equal(model.eval()(batch).argmax(1), batch.credit.argmax(1))


def test_the_loss_is_the_sum_over_examples(name: str) -> None:
    model, batch = small(name).eval(), some()
    halves = [model.loss(rows(batch, part)) for part in (slice(0, 3), slice(3, 8))]
    whole = model.loss(batch)
    torch.testing.assert_close(whole.total, halves[0].total + halves[1].total)
    assert float(whole.weight) == 8
    if whole.parts:
        torch.testing.assert_close(torch.stack([*whole.parts.values()]).sum(), whole.total)


def test_bfloat16_gives_a_finite_loss(name: str) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = small(name).loss(some()).total
    loss.backward()
    assert torch.isfinite(loss)
