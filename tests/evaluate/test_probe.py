"""The linear probe: ridge regression as it is written down, and what it can and cannot read."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clipvil.answers.labels import Known
from clipvil.core import Example, Humans, Segment
from clipvil.data import LabelBatch, LabelData, Vocabulary
from clipvil.data.sight import Grids
from clipvil.evaluate import probe
from clipvil.evaluate.probe import Averaged, Moments, Probe, bag, fit, mean_cell
from clipvil.tasks import load

COLOURS = ("red", "green", "blue")
LABELS = load("vqa2").answer
LOOKED = list[str]()


class Planted:
    """Pictures of 2 to 4 cells whose mean lies where their number modulo 3 says, with noise."""

    width = 5

    def look(self, pictures: Sequence[str]) -> Grids:
        LOOKED.extend(pictures)
        image, seen = torch.full((len(pictures), 4, 5), 9.0), torch.zeros(len(pictures), 4).bool()
        for row, name in enumerate(pictures):
            number = int(name)
            cells = torch.randn(2 + number % 3, 5, generator=torch.Generator().manual_seed(number))
            cells[:, number % 3] += 3.0
            image[row, : len(cells)], seen[row, : len(cells)] = cells, True
        return Grids(image, seen, torch.stack([torch.ones(len(pictures)), seen.sum(1)], 1).long())


def example(number: int, question: str, answer: str) -> Example:
    text, told = (Segment(question),), Humans((answer,) * 10)
    return Example(id=f"{number}-{question}", cluster=str(number), text=text, target=told)


def asked(numbers: Sequence[int]) -> tuple[list[Example], list[str]]:
    """What colour a picture is, and a question whose words tell the answer."""
    examples = [e for n in numbers for e in (example(n, "what colour is it", COLOURS[n % 3]),
                                             example(n, "say yes please", "yes"))]  # fmt: skip
    return examples, [e.cluster for e in examples]


def data(numbers: Sequence[int], vocabulary: Vocabulary) -> LabelData:
    examples, pictures = asked(numbers)
    return LabelData(examples, pictures, Averaged(Planted()), vocabulary, 14, LABELS.credit)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.of(asked(range(60))[0], LABELS)


@pytest.fixture
def fresh(vocabulary: Vocabulary) -> Probe:
    return Probe(
        image_width=5, num_words=len(vocabulary.words), num_answers=len(vocabulary.answers)
    )


def right(trained: torch.nn.Module, numbers: Sequence[int], vocabulary: Vocabulary) -> float:
    examples, _ = asked(numbers)
    known = Known(LABELS, vocabulary, 14)
    said = known.answers(trained, data(numbers, vocabulary), torch.device("cpu"))
    return float(np.mean([LABELS.credit(e).get(said[e.id].text, 0.0) for e in examples]))


def ridge(
    X: NDArray[np.float64], Y: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least squares over rows of data and one row a weight, as the textbooks draw it."""
    n, deviation = len(X), X.std(0)
    varies = deviation > 1e-9
    Z = (X - X.mean(0))[:, varies] / deviation[varies]
    rows = np.concatenate([Z, np.sqrt(n * penalty) * np.eye(Z.shape[1])])
    told = np.concatenate([Y - Y.mean(0), np.zeros((Z.shape[1], Y.shape[1]))])
    weight = np.zeros((X.shape[1], Y.shape[1]))
    weight[varies] = np.linalg.lstsq(rows, told)[0] / deviation[varies, None]
    return weight.T, Y.mean(0) - X.mean(0) @ weight


@pytest.mark.parametrize("penalty", probe.PENALTIES)
@pytest.mark.parametrize("count", [2, 60])  # fewer examples than features, and more
def test_it_is_ridge_regression(
    fresh: Probe, vocabulary: Vocabulary, count: int, penalty: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(probe, "BATCH", 7)
    examples = data(range(count), vocabulary)
    whole = examples.batch(np.arange(len(examples)))
    X, Y = fresh.features(whole).double().numpy(), whole.credit.double().numpy()
    weight, bias = Moments.of(fresh, examples, np.arange(len(examples))).solve(penalty)
    slow_weight, slow_bias = ridge(X, Y, penalty)
    np.testing.assert_allclose(weight, slow_weight, atol=1e-5)
    np.testing.assert_allclose(bias, slow_bias, atol=1e-5)


def test_it_reads_what_is_there(fresh: Probe, vocabulary: Vocabulary) -> None:
    """Half of the questions are the prior's; the others need the picture."""
    _, pictures = asked(range(60))
    scored = list[float]()

    def select(tried: Probe) -> float:
        scored.append(right(tried, range(60, 90), vocabulary))
        return scored[-1]

    penalty, best = fit(fresh, data(range(60), vocabulary), pictures, select)
    assert penalty in probe.PENALTIES and best == max(scored) and len(scored) == 4
    assert vocabulary.answers[0] == "yes"
    assert right(fresh, range(90, 150), vocabulary) > 0.9, "the prior has half of them right"


def test_of_equal_penalties_the_strongest_is_taken(fresh: Probe, vocabulary: Vocabulary) -> None:
    _, pictures = asked(range(60))
    penalty, best = fit(fresh, data(range(60), vocabulary), pictures, lambda tried: 1.0)
    assert (penalty, best) == (max(probe.PENALTIES), 1.0)


def test_each_picture_is_looked_at_once(fresh: Probe, vocabulary: Vocabulary) -> None:
    LOOKED.clear()
    _, pictures = asked(range(60))
    fit(fresh, data(range(60), vocabulary), pictures, lambda tried: 1.0)
    assert sorted(LOOKED, key=int) == [str(n) for n in range(60)]


def test_padding_changes_no_mean() -> None:
    image, seen, _ = Planted().look(["0", "1", "2"])
    mean = mean_cell(image, seen)
    for row in range(3):
        torch.testing.assert_close(mean[row], image[row, seen[row]].mean(0))
    averaged = Averaged(Planted()).look(["2", "0", "2"])
    assert averaged.image.shape == (3, 1, 5) and bool(averaged.seen.all())
    torch.testing.assert_close(averaged.image[:, 0], mean[[2, 0, 2]])


def test_the_bag_holds_the_most_frequent_words_once() -> None:
    words = torch.tensor([[2, 4, 2, 0], [1, 5, 99, 3]])  # 0 pads, 1 is unknown
    assert bag(words, 3).tolist() == [[1, 0, 1], [0, 1, 0]]


def test_the_order_of_examples_changes_nothing(fresh: Probe, vocabulary: Vocabulary) -> None:
    examples = data(range(40), vocabulary)
    order = np.random.default_rng(0).permutation(len(examples))
    one, other = (
        Moments.of(fresh, examples, some).solve(0.1)[0] for some in (order, np.sort(order))
    )
    torch.testing.assert_close(one, other)


def test_it_takes_grids_as_they_are(fresh: Probe, vocabulary: Vocabulary) -> None:
    """A picture seen live has all its cells: the same answer as from its mean."""
    examples, pictures = asked(range(6))
    whole = LabelData(examples, pictures, Planted(), vocabulary, 14, None)
    mean = data(range(6), vocabulary)
    both = [fresh(some.batch(np.arange(12))) for some in (whole, mean)]
    torch.testing.assert_close(*both)
    assert isinstance(whole.batch(np.arange(1)), LabelBatch)
