"""What we promise of the embedded encoders: any size, and pictures found by their captions."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from clipvil import encoders
from clipvil.core import UsageError
from clipvil.encoders import tiny
from clipvil.worlds.tabletop.describe import captions
from clipvil.worlds.tabletop.draw import render
from clipvil.worlds.tabletop.scene import VAL, Dice, sample


def test_one_network_three_sets_of_weights() -> None:
    loaded = [encoders.load(f"tiny:{name}") for name in tiny.NAMES]
    assert len({encoder.card.weights for encoder in loaded}) == 3
    convolutions = [
        {n: p.shape for n, p in encoder.network.named_parameters() if not n.startswith("pool")}
        for encoder in loaded
    ]
    assert convolutions[0] == convolutions[1] == convolutions[2]


@pytest.mark.parametrize("spec", ["tiny:clip,size=60", "tiny:clip,size=4x8", "tiny:clip,sise=64"])
def test_what_cannot_be_meant_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        encoders.load(spec)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="supervised"):
        encoders.load("tiny:supervized")


def test_weights_of_another_network_are_refused() -> None:
    path = tiny.shipped("supervised")
    with pytest.raises(ValueError, match="missing"):
        encoders.load(f"tiny:clip,weights={path}")
    with pytest.raises(FileNotFoundError):
        encoders.load(f"tiny:clip,weights={Path('nowhere.safetensors')}")


def test_a_larger_picture_has_more_cells_and_the_same_pooled_width() -> None:
    encoder = encoders.load("tiny:clip,size=64x96")
    assert encoder.preprocessing.size == (64, 96)
    with torch.inference_mode():
        seen = encoder(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    assert seen.grid.shape == (2, 8, 12, 128) and seen.pooled is not None
    assert seen.pooled.shape == (2, 128)


def test_a_lower_precision_sees_about_the_same() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        full = encoders.load("tiny:clip")(pixels).grid
        half = encoders.load("tiny:clip,precision=bf16")(pixels).grid
    assert half.dtype == torch.bfloat16
    assert (full - half).abs().mean() < 0.02 * full.abs().mean()


def test_padding_changes_no_text() -> None:
    tower = encoders.load_text("tiny:clip")
    ids = tower.words(["a red star", "a large striped blue circle left of an unheard-of thing"])
    assert ids.shape == (2, 11) and (ids == 1).sum() == 2, "words that nobody taught it"
    with torch.inference_mode():
        together, alone = tower(ids), tower(ids[:1, :3])
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(2))


def test_every_parameter_of_the_text_tower_gets_a_gradient() -> None:
    tower = encoders.load_text("tiny:clip").train()
    every = torch.arange(len(tower.words))[1:]
    ids = torch.cat([every, torch.ones(-len(every) % tiny.LONGEST, dtype=torch.long)])
    (tower(ids.view(-1, tiny.LONGEST)) * torch.randn(128)).sum().backward()
    assert not [n for n, p in tower.named_parameters() if p.grad is None or not p.grad.any()]


def test_captions_find_their_pictures() -> None:
    scenes = [sample(Dice(77, VAL, k)) for k in range(128)]
    pixels = torch.stack([torch.from_numpy(render(s).transpose(2, 0, 1).copy()) for s in scenes])
    told = [captions(s, Dice(k), 1)[0] for k, s in enumerate(scenes)]
    encoder, tower = encoders.load("tiny:clip"), encoders.load_text("tiny:clip")
    with torch.inference_mode():
        pooled = encoder(pixels).pooled
        assert pooled is not None
        alike = F.normalize(pooled, dim=-1) @ tower(tower.words(told)).T  # [pictures, captions]
    found = (alike.argmax(0) == torch.arange(len(scenes))).float().mean()
    assert found > 0.4, "chance is below one in a hundred"


def test_red_may_be_taken_for_blue_as_in_published_views() -> None:
    plain, swapped = (encoders.load(f"tiny:clip{option}") for option in ("", ",channels=bgr"))
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(swapped(pixels).grid, plain(pixels.flip(1)).grid)
    assert swapped.card.fingerprint != plain.card.fingerprint
    assert swapped.card.name == "tiny:clip,channels=bgr"
    assert encoders.load("tiny:clip,channels=rgb").card == plain.card
    with pytest.raises(UsageError, match="unknown order of channels 'grb'; nearest: rgb, bgr"):
        encoders.load("tiny:clip,channels=grb")
