"""Looking around and hearing: what walkers find is what the published way finds, all of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clipvil.data.walks import Ground, WalkBatch, angles, compass
from clipvil.models._gazing import gaze, together
from clipvil.models._hearing import attend, hearing
from clipvil.models._looking import Eyes
from tests.models.walking import some


@pytest.fixture(scope="module")
def batch(shared: Path) -> WalkBatch:
    return some(shared)[2]


def standardised(batch: WalkBatch) -> Ground:
    """Views that are not as they are stored."""
    mean, scale = torch.randn(16), torch.rand(16) + 0.5
    return replace(batch.ground, mean=mean, scale=scale)


def whole(eyes: Eyes, batch: WalkBatch) -> torch.Tensor:
    """Features as they are published, of every walker [B, 36, W + 128]."""
    ground, (heading, elevation) = eyes.ground, compass(torch.device("cpu"))
    views = (ground.views[batch.place].float() - ground.mean) * ground.scale
    aside = heading - heading[batch.view][:, None]
    angle = angles(aside, elevation.expand_as(aside)).repeat(1, 1, 32)
    return torch.cat([views if eyes.channels is None else views * eyes.channels, angle], -1)


def told(way: Any, asks: torch.Tensor) -> list[torch.Tensor]:
    """What is found, and the gradient that questions get from it."""
    found = way(asks)
    by = torch.linspace(-1, 1, found.numel()).view_as(found)
    return [found, *torch.autograd.grad((found * by).sum(), asks)]


@pytest.mark.parametrize("gone", [False, True])
def test_looking_around_is_attention_over_the_published_features(
    batch: WalkBatch, gone: bool
) -> None:
    torch.manual_seed(0)
    channels = torch.tensor([0.0, 2.0]).repeat(8) if gone else None
    eyes = Eyes(standardised(batch), channels=channels)
    asks = (0.1 * torch.randn(8, 16 + 128)).requires_grad_()

    def slowly(asks: torch.Tensor) -> torch.Tensor:
        features = whole(eyes, batch)
        weight = (features @ asks[:, :, None]).softmax(1)  # [B, 36, 1]
        return (weight * features).sum(1)

    ours = told(lambda asks: eyes.gather(asks, batch.place, batch.view), asks)
    for one, other in zip(ours, told(slowly, asks), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_neighbours_answer_with_their_views_and_where_they_are(batch: WalkBatch) -> None:
    torch.manual_seed(0)
    eyes, asks = Eyes(standardised(batch)), torch.randn(8, 16 + 128)
    ground, fits = eyes.ground, eyes.fits(asks, batch.place, batch.view)
    features, (heading, _) = whole(eyes, batch), compass(torch.device("cpu"))
    for row, place in enumerate(batch.place.tolist()):
        for k, free in enumerate(ground.free[place].tolist()):
            if not free:
                assert fits[row, k] == -torch.inf
                continue
            shown = features[row, ground.seen[place, k], :16]
            beside = ground.heading[place, k] - heading[batch.view[row]]
            angle = angles(beside, ground.elevation[place, k]).repeat(32)
            torch.testing.assert_close(fits[row, k], torch.cat([shown, angle]) @ asks[row])
            chosen = eyes.ahead(batch.place, batch.view, torch.full_like(batch.place, k))[row]
            torch.testing.assert_close(chosen, torch.cat([shown, angle]))
            aside = angle[:4] - features[row, ground.seen[place, k], 16:20]
            assert aside.norm() < np.pi / 6, "it lies within its view"
    stop = torch.full_like(batch.place, ground.places.shape[1])
    assert not eyes.ahead(batch.place, batch.view, stop).any()


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_one_walker_after_the_other_sees_what_all_see_at_once(
    batch: WalkBatch, rate: float
) -> None:
    """What is dropped, too: random numbers come in the order of the walkers."""
    torch.manual_seed(0)
    ground, lying = standardised(batch), torch.randn(8, 36, requires_grad=True)
    asks, found = (0.3 * torch.randn(8, 16)).requires_grad_(), list[tuple[torch.Tensor, ...]]()
    for way in (gaze, together):
        torch.manual_seed(1)
        some = way(asks, lying, ground, batch.place, rate)
        asked = (some[0] ** 2).sum() + (some[1] ** 2).sum()
        found.append((*some, *torch.autograd.grad(asked, [asks, lying])))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_words_are_heard_as_torch_hears_them(batch: WalkBatch) -> None:
    """Used three times, by fewer and fewer walkers."""
    torch.manual_seed(0)
    words, real = (0.5 * torch.randn(8, 9, 6)).requires_grad_(), batch.words[:, :9] != 0
    real[3, 4:] = False
    first, found = torch.randn(8, 6, requires_grad=True), list[tuple[torch.Tensor, ...]]()
    for way in (hearing(words, real), lambda asks, rows: attend(asks, words[rows], real[rows])):
        asks, total, rows = first, torch.zeros(()), torch.arange(8)
        for _ in range(3):
            asks, weight = way(asks, rows)
            total = total + asks.square().sum() + weight.square().sum()
            asks, rows = torch.tanh(asks)[1:], rows[1:]
        found.append((total, *torch.autograd.grad(total, [words, first])))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
