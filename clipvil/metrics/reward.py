"""CIDEr-D as a reward: samples of a captioner against references that are prepared once.

Source   self-critical training arXiv:1612.00563, and the scorer of ruotianluo/cider: a caption is
         cut after its first 0, and that 0, the end, takes part in n-grams as a word does
Shapes   I images, K samples of each, R references of an image, W words, padded with 0; G n-grams

An n-gram of up to four numbers below 65,535 is one 64-bit number, each of its words plus one in 16
bits. Document frequencies are those of a whole training set, whatever images are at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipvil.metrics.caption import LONGEST, SIGMA

BITS = 16
MOST = (1 << BITS) - 2  # the largest number of a word
HASH = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash: 2**64 over the golden ratio

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counted:
    """How often each n-gram is in each of some captions."""

    key: Keys  # [E]
    caption: Ints  # [E] in order
    order: Ints  # [E] words in the n-gram, less one
    count: Ints  # [E]
    pairs: Ints  # [C] pairs of words in each caption


def counted(captions: Ints) -> Counted:
    """The n-grams of captions [C, W].

    Raises
        ValueError: a word that is no number from 0 to 65,534
    """
    if captions.size and not 0 <= captions.min() <= captions.max() <= MOST:
        raise ValueError(f"words are numbers from 0 to {MOST:,}")
    ended = captions == 0
    inside = np.cumsum(ended, axis=1) - ended == 0
    words = np.where(inside, captions + 1, 0).astype(np.uint64)  # [C, W]
    grams = [words]
    for n in range(1, LONGEST):
        before, last = grams[-1][:, :-1], words[:, n:]
        grams.append(np.where(last > 0, before << np.uint64(BITS) | last, np.uint64(0)))
    keys = np.sort(np.concatenate(grams, axis=1), axis=1)  # [C, G]
    new = np.ones(keys.shape, bool)
    new[:, 1:] = keys[:, 1:] != keys[:, :-1]
    start = np.flatnonzero(new)
    key = keys.ravel()[start]
    count = np.diff(start, append=keys.size)
    there = key > 0
    key, start, count = key[there], start[there], count[there]
    limits = np.array([1 << BITS * n for n in range(1, LONGEST)], np.uint64)
    return Counted(
        key=key,
        caption=start // keys.shape[1],
        order=np.searchsorted(limits, key, side="right"),
        count=count,
        pairs=np.maximum(0, inside.sum(1) - 1),
    )


class Frequencies:
    """How rare each n-gram is among the references of a training set; a hash table in arrays."""

    def __init__(self, captions: Iterable[Ints]) -> None:
        """Count the images in whose references [R, W] an n-gram stands."""
        several = [np.unique(counted(one).key) for one in captions]
        keys, counts = np.unique(np.concatenate(several), return_counts=True)
        self._most = math.log(len(several))
        size = 1 << (2 * len(keys)).bit_length()
        self._mask, self._shift = size - 1, np.uint64(64 - (size - 1).bit_length())
        self._keys, self._rarity = np.zeros(size, np.uint64), np.zeros(size)
        rarity, place, left = self._most - np.log(counts), self._place(keys), np.arange(len(keys))
        while len(left):
            free = left[self._keys[place[left]] == 0]
            _, first = np.unique(place[free], return_index=True)
            put = free[first]
            self._keys[place[put]], self._rarity[place[put]] = keys[put], rarity[put]
            left = left[self._keys[place[left]] != keys[left]]
            place[left] = (place[left] + 1) & self._mask

    def _place(self, keys: Keys) -> Ints:
        return (keys * HASH >> self._shift).astype(np.int64)

    def rarity(self, keys: Keys) -> Floats:
        """Log of the share of images that lack n-grams [G]; one that no image has counts as one."""
        rarity, place, left = (
            np.full(len(keys), self._most),
            self._place(keys),
            np.arange(len(keys)),
        )
        while len(left):
            found = self._keys[place[left]]
            hit = found == keys[left]
            rarity[left[hit]] = self._rarity[place[left[hit]]]
            left = left[~hit & (found > 0)]
            place[left] = (place[left] + 1) & self._mask
        return rarity


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image's references: their different n-grams in order, and what they weigh."""

    key: Keys  # [G]
    rarity: Floats  # [G]
    count: NDArray[np.uint8]  # [G, R]
    norm: Floats  # [4, R]
    pairs: Ints  # [R]


def prepare(references: Ints, frequencies: Frequencies) -> Prepared:
    """References [R, W] of one image, ready to be compared with."""
    grams, R = counted(references), len(references)
    key, place = np.unique(grams.key, return_inverse=True)
    rarity = frequencies.rarity(key)
    count = np.zeros((len(key), R), np.uint8)
    count[place, grams.caption] = grams.count
    square = (grams.count * rarity[place]) ** 2
    norm = np.bincount(grams.order * R + grams.caption, square, LONGEST * R)
    return Prepared(key, rarity, count, np.sqrt(norm).reshape(LONGEST, R), grams.pairs)


def rewards(
    samples: Ints, references: Sequence[Prepared], frequencies: Frequencies
) -> NDArray[np.float64]:
    """CIDEr-D [I, K] of samples [I, K, W], between 0 and 10."""
    I, K, W = samples.shape  # noqa: E741
    said = counted(samples.reshape(I * K, W))
    weight = said.count * frequencies.rarity(said.key)
    slot = said.caption * LONGEST + said.order  # of sample and length
    norm = np.sqrt(np.bincount(slot, weight**2, I * K * LONGEST)).reshape(I, K, LONGEST)
    slot %= K * LONGEST
    pairs = said.pairs.reshape(I, K)
    ends = np.searchsorted(said.caption, np.arange(0, I * K + 1, K))
    values = np.empty((I, K))
    for image, told in enumerate(references):
        own = slice(ends[image], ends[image + 1])
        total = _shared(said.key[own], weight[own], slot[own], told, K)  # [K, 4, R]
        both = norm[image][:, :, None] * told.norm
        alike = np.divide(total, both, out=np.zeros(both.shape), where=both > 0).mean(1)  # [K, R]
        difference = pairs[image][:, None] - told.pairs
        values[image] = 10 * (alike * np.exp(-(difference**2) / (2 * SIGMA**2))).mean(1)
    return values


def _shared(key: Keys, weight: Floats, slot: Ints, told: Prepared, samples: int) -> Floats:
    """Products [K, 4, R] of the samples' weights, clipped, with those of each reference."""
    R = len(told.pairs)
    if not len(told.key):
        return np.zeros((samples, LONGEST, R))
    place = np.minimum(np.searchsorted(told.key, key), len(told.key) - 1)
    meet = np.flatnonzero(told.key[place] == key)
    place = place[meet]
    weights = told.count[place] * told.rarity[place][:, None]  # [M, R]
    product = np.minimum(weight[meet][:, None], weights) * weights
    into = slot[meet][:, None] * R + np.arange(R)
    total = np.bincount(into.ravel(), product.ravel(), samples * LONGEST * R)
    return total.reshape(samples, LONGEST, R).astype(np.float64)
