"""Decoding says, whatever the batch, the very words of slow decoders that keep nothing in mind."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clipvil.data.captions import CaptionBatch
from clipvil.models import captioner
from clipvil.models._decode import Limits, beam, greedy, lots, sample, survivors
from tests.models.captions import rows, slow_beam, slow_greedy, slow_sample, small, some

LIMITS = st.builds(
    Limits,
    longest=st.integers(1, 6),
    shortest=st.integers(0, 4),
    no_repeat=st.integers(0, 3),
    unknown=st.booleans(),
)
SEEDS, WORDS = st.integers(0, 10_000), st.sampled_from([3, 4, 12])
few = settings(max_examples=12)  # each walks through two models


def telling(model: captioner.Model, batch: CaptionBatch) -> captioner.Telling:
    return captioner.Telling(model, model.look(batch), batch.seen)


def unpadded(words: torch.Tensor) -> list[int]:
    said = words.tolist()
    return said[: said.index(0)] if 0 in said else said


@few
@given(SEEDS, WORDS, LIMITS)
@torch.inference_mode()
def test_greedy_is_the_slow_one(seed: int, words: int, limits: Limits) -> None:
    model, batch = small(seed, words=words).eval(), some(3, words=words)
    told = greedy(telling(model, batch), limits)
    assert told.shape == (3, limits.longest)
    for index in range(3):
        expected = slow_greedy(model, rows(batch, [index]), limits)
        assert unpadded(told[index]) == expected


@few
@given(SEEDS, WORDS, LIMITS, st.integers(1, 4), st.sampled_from([0.0, 0.7, 1.0]))
@torch.inference_mode()
def test_beams_are_the_slow_ones(
    seed: int, words: int, limits: Limits, beams: int, power: float
) -> None:
    model, batch = small(seed, words=words).eval(), some(3, words=words)
    told, worth = beam(telling(model, batch), limits, beams, power)
    assert told.shape == (3, beams, limits.longest)
    for index in range(3):
        expected = slow_beam(model, rows(batch, [index]), limits, beams, power)
        scores = [score for score in worth[index].tolist() if score > -torch.inf]
        assert scores == pytest.approx([score for score, _ in expected], abs=1e-4)
        said = [unpadded(words) for words in told[index]]
        assert said == [words for _, words in expected] + [[]] * (beams - len(expected))


@few
@given(
    SEEDS, WORDS, LIMITS, st.integers(0, 4), st.sampled_from([0.3, 0.9, 1.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
)  # fmt: skip
@torch.inference_mode()
def test_samples_are_the_slow_ones(
    seed: int, words: int, limits: Limits, top_k: int, nucleus: float, temperature: float
) -> None:
    model, batch = small(seed, words=words).eval(), some(3, words=words)
    drawn = lots(batch.ids, seed, 2, limits.longest)
    chosen = {"top_k": top_k, "nucleus": nucleus, "temperature": temperature}
    told = sample(telling(model, batch), limits, drawn, **chosen)
    for index in range(3):
        for which in range(2):
            expected = slow_sample(
                model, rows(batch, [index]), limits, drawn[index, which].tolist(), **chosen
            )
            assert unpadded(told[index, which]) == expected


@few
@given(SEEDS)
@torch.inference_mode()
def test_one_beam_takes_the_likeliest_word(seed: int) -> None:
    model, batch = small(seed).eval(), some()
    limits = Limits(longest=7)
    told, _ = beam(telling(model, batch), limits, 1)
    assert torch.equal(told[:, 0], greedy(telling(model, batch), limits))


@pytest.mark.parametrize("way", ["greedy", "beam", "sample"])
@torch.inference_mode()
def test_the_batch_changes_no_word(way: str) -> None:
    model, batch = small(3).eval(), some(12)

    def said(part: CaptionBatch) -> torch.Tensor:
        if way == "greedy":
            return greedy(telling(model, part), Limits())
        if way == "beam":
            return beam(telling(model, part), Limits(), 3, 0.7)[0]
        return sample(telling(model, part), Limits(), lots(part.ids, 5, 3, 20), nucleus=0.9)

    whole = said(batch)
    assert len({tuple(one.flatten().tolist()) for one in whole}) > 6, "captions differ"
    backwards = list(reversed(range(12)))
    assert torch.equal(said(rows(batch, backwards)), whole[backwards])
    for index in range(12):
        assert torch.equal(said(rows(batch, [index])), whole[index : index + 1])
    wide = replace(
        batch,
        image=torch.nn.functional.pad(batch.image, (0, 0, 0, 4), value=3.0),
        seen=torch.nn.functional.pad(batch.seen, (0, 4)),
    )
    assert torch.equal(said(wide), whole)


@torch.inference_mode()
def test_samples_follow_the_model() -> None:
    """First words of 2,000 samples are as frequent as the model says."""
    model, batch = small().eval(), rows(some(), [0])
    drawn = lots(batch.ids, 0, 2_000, 1)
    told = sample(telling(model, batch), Limits(longest=1, unknown=True), drawn)
    share = torch.bincount(told.flatten(), minlength=12) / 2_000
    expected = model(batch)[0, 0, 0].softmax(-1)
    torch.testing.assert_close(share, expected, atol=0.04, rtol=0.0)


@pytest.mark.parametrize("way", [{"top_k": 4}, {"nucleus": 0.8}])
@torch.inference_mode()
def test_a_model_tells_by_lot_where_its_config_says_so(way: dict[str, Any]) -> None:
    model, batch = small(3).eval(), some(12)
    likeliest, _ = model.tell(batch)
    model.config = replace(model.config, **way)
    told, _ = model.tell(batch)
    assert torch.equal(model.tell(rows(batch, [5]))[0], told[5:6])
    assert not torch.equal(told, likeliest[:, :1, : told.shape[-1]])


def test_lots_are_a_picture_s_own() -> None:
    first = lots(["a", "b"], 1, 2, 3)
    assert torch.equal(lots(["b"], 1, 2, 3)[0], first[1])
    assert not torch.equal(lots(["a"], 2, 2, 3)[0], first[0])


@given(st.lists(st.booleans(), max_size=9))
def test_survivors_stay_where_they_can(over: list[bool]) -> None:
    stay = survivors(torch.tensor(over, dtype=torch.bool)).tolist()
    assert sorted(stay) == [k for k, gone in enumerate(over) if not gone]
    assert all(place == k for k, place in enumerate(stay) if not over[k])
