"""Zero-shot answers: those that a slow loop over pictures and sentences gives."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from clipvil import encoders
from clipvil.core import Data, Example, Said
from clipvil.data import Vocabulary
from clipvil.evaluate import splits, zero_shot
from clipvil.features.lookup import Lookup, gather
from clipvil.tasks import load
from clipvil.worlds import tabletop

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> splits.Part:
    folder = tmp_path_factory.mktemp("tabletop")
    tabletop.write(folder, seed=0, train=12, val=6, shifts=False)
    return splits.part(splits.Source("vqa2", Data(folder)), "val")


@pytest.fixture(scope="module")
def lookup(part: splits.Part, tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    encoder = encoders.load("tiny:clip")
    return Lookup(gather(encoder, part.files, tmp_path_factory.mktemp("stores")).stores)


def test_it_is_what_a_slow_loop_gives(
    part: splits.Part, lookup: Lookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_shot, "SENTENCES", 3)
    answers = Vocabulary.of(part.examples, load("vqa2").answer).answers
    tower, encoder = encoders.load_text("tiny:clip"), encoders.load("tiny:clip")
    said = zero_shot.answer(part.examples, part.pictures, zero_shot.stored(lookup), tower, answers,
                            CPU)  # fmt: skip
    assert [*said] == [example.id for example in part.examples]
    seen = dict[str, Tensor]()
    for example, name in zip(part.examples, part.pictures, strict=True):
        with torch.inference_mode():
            if name not in seen:
                pixels = torch.from_numpy(encoder.preprocessing.read(part.files[name]).values)
                pooled = encoder(pixels[None]).pooled
                assert pooled is not None
                seen[name] = pooled[0]
            near = [
                torch.cosine_similarity(
                    seen[name], tower(tower.words([f"{example.words} {answer}"]))[0], dim=0
                )
                for answer in answers
            ]
        found = said[example.id]
        assert isinstance(found, Said)
        # the store holds sixteen bits a number
        assert float(near[answers.index(found.text)]) > float(max(near)) - 1e-3
    assert len({answer.text for answer in said.values() if isinstance(answer, Said)}) > 1


class Letters:
    """A tower that knows three directions by the last word of a sentence."""

    directions = ("left", "up", "down")

    @staticmethod
    def words(texts: Sequence[str]) -> Tensor:
        return torch.tensor([[Letters.directions.index(text.split()[-1])] for text in texts])

    def __call__(self, ids: Tensor) -> Tensor:
        return torch.eye(3)[ids[:, 0]]


def test_the_nearest_is_given_and_of_equal_ones_the_most_frequent() -> None:
    vectors = {"a": torch.tensor([0.2, 0.1, 9.0]), "broken": torch.zeros(3)}
    examples = [Example(id=name, cluster=name) for name in vectors]

    def look(pictures: Sequence[str]) -> Tensor:
        return torch.stack([vectors[name] for name in pictures])

    said = zero_shot.answer(examples, [*vectors], look, Letters(), ("up", "left", "down"), CPU)
    assert said == {"a": Said("down"), "broken": Said("up")}


def test_a_picture_that_no_store_has_is_all_zero(part: splits.Part, lookup: Lookup) -> None:
    known = part.pictures[0]
    seen = zero_shot.stored(lookup)([known, "elsewhere"])
    assert np.allclose(seen[0], lookup.pooled(known)) and not seen[1].any()
