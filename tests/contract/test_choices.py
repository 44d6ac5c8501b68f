"""What every model of closed lists promises where candidates are rows and words mention regions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from clipvil import models, tasks
from clipvil.answers import choices
from clipvil.core import Choices, Example, Gold, Region, Segment
from clipvil.data.labels import LabelBatch
from clipvil.data.sight import Grids
from clipvil.models import mcan
from tests.contract.test_models import IDLE
from tests.models.tiny import WIDTH, WORDS, small, some

NAMES = [name for name in models.names() if Choices in models.load(name).ANSWERS]
pytestmark = pytest.mark.parametrize("name", NAMES)

CHOICES = 4


class Noise:
    """A picture of its own for every name, of one to three rows."""

    width = WIDTH

    def look(self, pictures: list[str]) -> Grids:
        torch.manual_seed(3)
        image = torch.randn(8, 6, WIDTH)[[int(name) for name in pictures]]
        rows = torch.tensor([1 + int(name) % 3 for name in pictures])
        seen = torch.arange(6) < 2 * rows.unsqueeze(1)
        return Grids(image, seen, torch.stack([rows, torch.full_like(rows, 2)], 1))

    def affine(self, pictures: list[str]) -> list[tuple[float, float, float, float]]:
        return [(1.0, 0.0, 1.0, 0.0)] * len(pictures)


def examples() -> list[Example]:
    """The same words about eight pictures: which candidate is right is to be seen there."""
    boxes = ((0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 2.0, 1.0))
    candidates = tuple(
        (Segment(word), Segment("", (1,))) for word in ("red", "green", "blue", "pink")
    )
    return [
        Example(
            id=str(k), cluster=str(k), text=(Segment("what of"), Segment("", (k % 2,))),
            candidates=(candidates, candidates[:2]), target=Gold((k % CHOICES, k // CHOICES)),
            regions=tuple(Region(box, "thing") for box in boxes),
        )
        for k in range(8)
    ]  # fmt: skip


KNOWN = choices.learn(tasks.load("vcr"), examples(), mcan.Config(longest=20))
SIZES = {"num_words": len(KNOWN.words) + 2, "num_answers": 1, "regions": True}


def rows(count: int = 8, *, targets: bool = True) -> LabelBatch:
    made = KNOWN.data(examples(), [str(k) for k in range(8)], Noise(), targets=targets)
    return made.batch(np.arange(count)).to(torch.device("cpu"))


def test_padding_changes_no_logit(name: str) -> None:
    model, batch = small(name, **SIZES).eval(), rows()
    assert batch.points is not None
    assert model(batch).shape == (8 * (CHOICES + 2), 1)
    padded = replace(
        batch,
        image=pad(batch.image, (0, 0, 0, 3), value=9.0),
        seen=pad(batch.seen, (0, 3)),
        words=pad(batch.words, (0, 2)),
        points=pad(batch.points, (0, 2), value=-1),
    )
    torch.testing.assert_close(model(padded), model(batch))
    noise = replace(batch, image=batch.image.masked_fill(~batch.seen.unsqueeze(-1), -7.0))
    torch.testing.assert_close(model(noise), model(batch))


def test_the_company_of_an_example_changes_no_logit(name: str) -> None:
    model = small(name, **SIZES).eval()
    alone, together = model(rows(1)), model(rows(8))
    torch.testing.assert_close(alone, together[: len(alone)])


def test_a_mention_shows_its_region(name: str) -> None:
    """Other words for the same region give another logit, and so does another region."""
    model, batch = small(name, **SIZES).eval(), rows(1)
    assert batch.points is not None
    cells = int(batch.seen[0].sum()) - 2
    other = torch.where(batch.points < 0, batch.points, 2 * cells + 1 - batch.points)
    moved = model(replace(batch, points=other))
    assert not torch.isclose(moved, model(batch)).any()


def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = small(name, **SIZES)
    model.loss(rows()).total.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert [n for n in missing if not n.endswith(IDLE)] == []


@pytest.mark.slow
def test_eight_examples_are_learnt_by_heart(name: str) -> None:
    model, batch = small(name, **SIZES), rows()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = model.loss(batch).total
        loss.backward()
        optimizer.step()
        if loss < 0.3:  # of sixteen questions together
            break
    data = KNOWN.data(examples(), [str(k) for k in range(8)], Noise(), targets=False)
    answers = KNOWN.answers(model, data, torch.device("cpu"))
    for example in examples():
        assert isinstance(example.target, Gold)
        right, reason = example.target.indices
        chose = answers[example.id]
        assert chose.index == right and chose.then[right].index == reason  # type: ignore[union-attr]


def test_a_model_of_words_alone_takes_no_pointing(name: str) -> None:
    model = small(name)
    assert not any("point" in parameter for parameter, _ in model.named_parameters())
    assert model.embed.num_embeddings == WORDS and torch.isfinite(model(some())).all()


def test_the_loss_is_the_sum_over_questions_put(name: str) -> None:
    model = small(name, **SIZES).eval()
    whole, first = model.loss(rows()), model.loss(rows(3))
    rest = KNOWN.data(examples()[3:], list("34567"), Noise(), targets=True)
    second = model.loss(rest.batch(np.arange(5)).to(torch.device("cpu")))
    torch.testing.assert_close(whole.total, first.total + second.total)
    assert (float(first.weight), float(whole.weight)) == (6, 16)


def test_the_loss_is_that_of_a_softmax_over_candidates(name: str) -> None:
    model, batch = small(name, **SIZES).eval(), rows(1)
    four, two = model(batch).squeeze(1).split([CHOICES, 2])
    slowly = -(four.log_softmax(0)[0] + two.log_softmax(0)[0])
    loss = model.loss(batch)
    torch.testing.assert_close(loss.parts["both"] if loss.parts else loss.total, slowly)
