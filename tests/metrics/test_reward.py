"""CIDEr-D as a reward: equal to the published rule, word by word."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil.metrics.caption import cider_d, ngrams
from clipvil.metrics.reward import Frequencies, prepare, rewards

WORDS = 6  # in a padded caption
CAPTION = st.lists(st.integers(1, 5), max_size=WORDS)
IMAGES = st.lists(
    st.tuples(
        st.lists(CAPTION, min_size=1, max_size=3),  # references
        st.lists(CAPTION, min_size=2, max_size=2),  # samples
    ),
    min_size=2,
    max_size=4,
)


def padded(captions: list[list[int]]) -> np.ndarray:
    return np.array([caption + [0] * (WORDS - len(caption)) for caption in captions], np.int64)


def read(caption: np.ndarray) -> list[str]:
    """Words up to the end, which is one of them."""
    words = caption.tolist()
    return [*map(str, words[: words.index(0) + 1] if 0 in words else words)]


def grams(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[k : k + n]) for n in range(1, 5) for k in range(len(words) - n + 1))


def slow(sample: list[str], references: list[list[str]], seen: Counter, images: int) -> float:
    """The published rule as it is written."""

    def vector(words: list[str], n: int) -> dict[tuple[str, ...], float]:
        return {g: c * (math.log(images) - math.log(max(1, seen[g])))
                for g, c in grams(words).items() if len(g) == n}  # fmt: skip

    total = 0.0
    for reference in references:
        for n in range(1, 5):
            said, told = vector(sample, n), vector(reference, n)
            norm = math.hypot(*said.values()) * math.hypot(*told.values())
            value = sum(min(said[g], told.get(g, 0)) * told.get(g, 0) for g in said)
            apart = max(0, len(sample) - 1) - max(0, len(reference) - 1)
            total += (value / norm if norm else value) * math.exp(-(apart**2) / 72) / 4
    return 10 * total / len(references)


@given(IMAGES)
def test_rewards_follow_the_published_rule(
    images: list[tuple[list[list[int]], list[list[int]]]],
) -> None:
    told = [padded(references) for references, _ in images]
    samples = np.stack([padded(several) for _, several in images])
    seen = Counter[tuple[str, ...]]()
    for one in told:
        seen.update({gram for caption in one for gram in grams(read(caption))})
    frequencies = Frequencies(told)
    ours = rewards(samples, [prepare(one, frequencies) for one in told], frequencies)
    for image, one in enumerate(told):
        for k, sample in enumerate(samples[image]):
            theirs = slow(read(sample), [*map(read, one)], seen, len(images))
            assert ours[image, k] == pytest.approx(theirs, abs=1e-9)


def test_over_all_images_it_is_the_metric() -> None:
    random = np.random.default_rng(0)
    told = [padded([random.integers(1, 9, 4).tolist() for _ in range(5)]) for _ in range(200)]
    samples = np.stack([padded([random.integers(1, 9, 4).tolist()]) for _ in told])
    frequencies = Frequencies(told)
    ours = rewards(samples, [prepare(one, frequencies) for one in told], frequencies)[:, 0]
    metric = cider_d([*ngrams([read(one[0]) for one in samples], [[*map(read, t)] for t in told])])
    np.testing.assert_allclose(ours, metric, atol=1e-9)


def test_rare_and_unknown_words_are_told_apart_by_their_numbers() -> None:
    told = [padded([[65_534, 1, 2]]), padded([[1, 2, 3]])]
    frequencies = Frequencies(told)
    prepared = [prepare(one, frequencies) for one in told]
    same, other = rewards(np.stack(told), prepared, frequencies).ravel()
    assert same == pytest.approx(10) and 0 < other <= 10
    unknown = rewards(np.stack([padded([[7, 8]]), padded([[]])]), prepared, frequencies)
    assert unknown.max() == 0
    for spoilt in (65_535, -1):
        with pytest.raises(ValueError, match="numbers from 0 to 65,534"):
            prepare(padded([[spoilt]]), frequencies)
