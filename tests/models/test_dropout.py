"""Dropout by quarters of a random number does what torch's does."""

import pytest
import torch

from clipvil.models import mcan
from clipvil.models._dropout import Dropout, drop


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_share_and_the_mean_are_right(rate: float) -> None:
    torch.manual_seed(0)
    kept = drop(torch.ones(1_000, 1_001), rate)
    assert torch.unique(kept).tolist() == pytest.approx([0, 1 / (1 - rate)])
    assert float((kept == 0).float().mean()) == pytest.approx(rate, abs=0.002)
    assert float(kept.mean()) == pytest.approx(1, abs=0.005)
    rows = (kept == 0).float()
    assert float((rows[1:] * rows[:-1]).mean()) == pytest.approx(rate**2, abs=0.002)
    beside = (rows[:, 1:] * rows[:, :-1]).mean()  # decisions out of one number are independent
    assert float(beside) == pytest.approx(rate**2, abs=0.002)


def test_gradients_pass_where_values_do() -> None:
    torch.manual_seed(0)
    tokens = torch.ones(50, 3, requires_grad=True)
    kept = drop(tokens, 0.5)
    kept.sum().backward()
    assert tokens.grad is not None and torch.equal(tokens.grad, kept.detach())


def test_nothing_is_dropped_in_use_or_at_rate_zero() -> None:
    tokens = torch.randn(4, 5)
    assert torch.equal(Dropout(0.5).eval()(tokens), tokens)
    assert torch.equal(Dropout(0.0)(tokens), tokens)


def test_attention_with_dropout_means_what_it_does_without() -> None:
    """Mean over many draws: the trained path and the fused one are the same attention."""
    torch.manual_seed(0)
    attention = mcan.Attention(mcan.Config(width=8, heads=2, dropout=0.2))
    tokens, real = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    with torch.inference_mode():
        many = attention(tokens.repeat(4_000, 1, 1), tokens.repeat(4_000, 1, 1),
                         real.repeat(4_000, 1)).unflatten(0, (4_000, 2)).mean(0)  # fmt: skip
        torch.testing.assert_close(many, attention.eval()(tokens, tokens, real), atol=0.02, rtol=0)
