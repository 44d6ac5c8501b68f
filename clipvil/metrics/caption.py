"""BLEU, ROUGE-L and CIDEr as the COCO caption evaluation computes them, from tokens.

Source   BLEU doi:10.3115/1073083.1073135, ROUGE-L W04-1013, CIDEr arXiv:1411.5726, in the variants
         of https://github.com/tylin/coco-caption; tokens are those of `clipvil.metrics.tokens`
Shapes   N images, R references of all images, E entries: an n-gram in a caption, with its count

What is called CIDEr there is CIDEr-D: counts clipped, and a penalty on the difference in length,
counted in pairs of words. Document frequencies are those of the references of the images scored,
so that a figure belongs to its set of images, and one image alone has 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from clipvil.core import Totals
from clipvil.metrics import ratio

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Tokens = Sequence[str]

LONGEST = 4  # words in an n-gram
BETA = 1.2  # of ROUGE's F: how much recall counts
SIGMA = 6.0  # of CIDEr-D's penalty, in pairs of words
TINY, SMALL = 1e-15, 1e-9  # the published BLEU's guards, which show in short captions
COLUMNS = (
    *(f"right_{n}" for n in range(1, LONGEST + 1)),
    *(f"guessed_{n}" for n in range(1, LONGEST + 1)),
    "length",
    "closest",
    "rouge_l",
    "cider",
    "plain_cider",
    "count",
)


def statistics(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """Sufficient statistics [N, K], in the order of `COLUMNS`, of one caption an image.

    Raises
        ValueError: an image without references, or not as many images on both sides
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError("each image needs one caption and at least one reference")
    grams = [*ngrams(candidates, references)]
    lengths = np.array([len(split(candidate)) for candidate in candidates])
    closest = [
        min((abs(len(one) - length), len(one)) for one in map(split, several))[1]
        for length, several in zip(lengths.tolist(), references, strict=True)
    ]
    rouge = [rouge_l(one, several) for one, several in zip(candidates, references, strict=True)]
    columns = [gram.right() for gram in grams]
    columns += [np.maximum(0, lengths - n) for n in range(LONGEST)]
    columns += [lengths, np.array(closest), np.array(rouge), cider_d(grams), cider(grams)]
    return np.stack([*columns, np.ones(len(candidates))], axis=1)


def reduce(totals: Totals) -> dict[str, Floats]:
    """BLEU-1 to 4, ROUGE-L, CIDEr-D and plain CIDEr from sums; of one image's, its own figures."""
    some = np.where(totals["count"] > 0, 1.0, np.nan)
    brevity = (totals["length"] + TINY) / (totals["closest"] + SMALL)
    penalty = np.exp(np.minimum(0, 1 - 1 / brevity))
    product, values = some, dict[str, Floats]()
    for n in range(1, LONGEST + 1):
        product = product * (totals[f"right_{n}"] + TINY) / (totals[f"guessed_{n}"] + SMALL)
        values[f"bleu_{n}"] = product ** (1 / n) * penalty
    for name in ("rouge_l", "cider", "plain_cider"):
        values[name] = ratio(totals[name], totals["count"])
    return values


def split(tokens: Tokens) -> list[str]:
    """The words that n-grams are made of: a few tokens (`1 1/2`) hold a hard blank."""
    return " ".join(tokens).split()


# ---------------------------------------------------------------------------- ROUGE-L


def rouge_l(candidate: Tokens, references: Sequence[Tokens]) -> float:
    """F of the best precision and the best recall, which may be of two references."""
    said = candidate or [""]  # an empty caption is one empty word
    masks = dict[str, int]()
    for place, word in enumerate(said):
        masks[word] = masks.get(word, 0) | 1 << place
    precision = recall = 0.0
    for reference in references:
        told = reference or [""]
        common = common_subsequence(masks, len(said), told)
        precision = max(precision, common / len(said))
        recall = max(recall, common / len(told))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def common_subsequence(masks: dict[str, int], length: int, other: Tokens) -> int:
    """Length of the longest common subsequence, all columns of its table at once in one integer.

    Source   Hyyrö 2004, bit-parallel LCS; `masks[word]` has a bit for each place of the word
    """
    whole = (1 << length) - 1
    row = whole
    for word in other:
        hit = row & masks.get(word, 0)
        row = (row + hit | row - hit) & whole
    return length - row.bit_count()


# ---------------------------------------------------------------------------- n-grams


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of one length: which captions have them, how often, and where they meet.

    Entry e of the candidates is `count[e]` times a gram in caption `image[e]`; meeting m is of
    entry `entry[m]` with reference `reference[m]`, which has the gram `shared[m]` times.
    """

    image: Ints  # [E]
    count: Ints  # [E]
    rarity: Floats  # [E]
    entry: Ints  # [M]
    reference: Ints  # [M]
    shared: Ints  # [M]
    norm: Floats  # [N] length of each candidate's vector
    reference_norm: Floats  # [R]
    owner: Ints  # [R] image of each reference
    pairs: Ints  # [N] pairs of words in each candidate
    reference_pairs: Ints  # [R]

    def right(self) -> Floats:
        """Grams [N] of the candidate that a reference has, each as often as some one has it."""
        most = np.zeros(len(self.image))
        np.maximum.at(most, self.entry, self.shared)
        matched = np.bincount(self.image, np.minimum(most, self.count), len(self.norm))
        return matched.astype(np.float64)

    def alike(self, *, clip: bool) -> Floats:
        """Cosine [R] of candidate and reference; with `clip`, saying a gram too often pays not."""
        said = (self.count * self.rarity)[self.entry]
        told = self.shared * self.rarity[self.entry]
        product = (np.minimum(said, told) if clip else said) * told
        total = np.bincount(self.reference, product, len(self.owner))
        norm = self.norm[self.owner] * self.reference_norm
        return np.divide(total, norm, out=np.zeros(len(norm)), where=norm > 0)


def cider_d(grams: Sequence[Grams]) -> Floats:
    """CIDEr-D [N] of each image, between 0 and 10."""
    first = grams[0]
    difference = first.pairs[first.owner] - first.reference_pairs
    penalty = np.exp(-(difference**2) / (2 * SIGMA**2))
    return _mean(first, sum(gram.alike(clip=True) * penalty for gram in grams))


def cider(grams: Sequence[Grams]) -> Floats:
    """Plain CIDEr [N] of each image, between 0 and 10; nobody's tables have it."""
    return _mean(grams[0], sum(gram.alike(clip=False) for gram in grams))


def _mean(gram: Grams, summed: Floats | int) -> Floats:
    count = np.bincount(gram.owner, minlength=len(gram.norm))
    total = np.bincount(gram.owner, summed, len(gram.norm))
    mean: Floats = 10 * total / LONGEST / count
    return mean


def ngrams(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Iterator[Grams]:
    """The n-grams of one to four words, of one candidate and several references an image."""
    num_images = len(candidates)
    owner = np.repeat(np.arange(num_images), [len(several) for several in references])
    captions = [split(caption) for caption in chain(candidates, *references)]
    length = np.array([len(caption) for caption in captions])
    caption = np.repeat(np.arange(len(captions)), length)
    word = _numbered(chain.from_iterable(captions))
    pairs = np.maximum(0, length - 1)
    gram, place = word, np.arange(len(word))
    for n in range(1, LONGEST + 1):
        if n > 1:  # a gram of n words is one of n - 1 and the word after it, if there is one
            inside = place + n - 1 < len(word)
            gram, place = gram[inside], place[inside]
            inside = caption[place + n - 1] == caption[place]
            gram, place = gram[inside], place[inside]
            _, gram = np.unique(gram * (word.max(initial=0) + 1) + word[place + n - 1],
                                return_inverse=True)  # fmt: skip
        yield _joined(gram, caption[place], owner, num_images, pairs)


def _numbered(words: Iterable[str]) -> Ints:
    known = dict[str, int]()
    return np.fromiter((known.setdefault(word, len(known)) for word in words), np.int64)


def _joined(gram: Ints, caption: Ints, owner: Ints, num_images: int, pairs: Ints) -> Grams:
    """Count the grams of each caption, weigh them, and join candidates with their references."""
    size = int(gram.max(initial=0)) + 1
    key, count = np.unique(caption * size + gram, return_counts=True)
    caption, gram = np.divmod(key, size)
    ours = int(np.searchsorted(caption, num_images))  # candidates come first
    # sorted by hand: without counts, numpy's unique hashes, which takes twenty times as long here
    told = np.sort(owner[caption[ours:] - num_images] * size + gram[ours:])
    seen = told[np.diff(told, prepend=-1) > 0] % size
    rarity = np.log(num_images) - np.log(np.maximum(1, np.bincount(seen, minlength=size)))
    square = np.bincount(caption, (count * rarity[gram]) ** 2, num_images + len(owner))
    first = np.searchsorted(owner, np.arange(num_images))
    several = np.bincount(owner, minlength=num_images)[caption[:ours]]  # references an entry has
    entry = np.repeat(np.arange(ours), several)
    step = np.arange(len(entry)) - np.repeat(np.cumsum(several) - several, several)
    reference = first[caption[entry]] + step
    wanted = (reference + num_images) * size + gram[entry]
    at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    meet = key[at] == wanted if len(key) else np.zeros(0, bool)
    return Grams(
        image=caption[:ours],
        count=count[:ours],
        rarity=rarity[gram[:ours]],
        entry=entry[meet],
        reference=reference[meet],
        shared=count[at[meet]],
        norm=np.sqrt(square[:num_images]),
        reference_norm=np.sqrt(square[num_images:]),
        owner=owner,
        pairs=pairs[:num_images],
        reference_pairs=pairs[num_images:],
    )
