"""Caption metrics: equal to the published evaluation on 2,500 images, and to the plain rule."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipvil.files import read_json
from clipvil.metrics.caption import (
    COLUMNS,
    cider,
    common_subsequence,
    ngrams,
    reduce,
    rouge_l,
    statistics,
)
from clipvil.metrics.tokens import tokens, tokens_of

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


def figures(rows: np.ndarray, *, each: bool = False) -> dict[str, Any]:
    columns = rows.T if each else rows.sum(0)
    return reduce(dict(zip(COLUMNS, columns, strict=True)))


def test_tokens_are_those_of_the_published_tokeniser(expected: Path) -> None:
    for row in read_json(expected / "captions_tokenisation.json.gz"):
        for kind in ("reference", "candidate"):
            ours = [" ".join(tokens(caption)) for caption in row[kind]]
            assert ours == row[f"{kind}_tokens"]


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [
        ("A man's T-shirt isn't wet.", "a man 's t-shirt is n't wet"),
        ("a couldn't've on the street.The dog", "a could n't 've on the street.the dog"),
        (
            "black/white (and) {red} [x]",
            "black/white -lrb- and -rrb- -lcb- red -rcb- -lsb- x -rsb-",
        ),
        ("at 5:30 p.m. on Main St.", "at 5:30 p.m. on main st."),
        ("1 1/2 cups, no. 5", "1\xa01/2 cups no. 5"),
        ("Wow!! Really?! Yes!", "wow !! really ?! yes"),
        ("£5 or €5 or 5¢ or ½", "# 5 or $ 5 or 5 cents or 1/2"),
        ("rock 'n' roll in the '90s, O'Neil", "rock 'n' roll in the '90s o'neil"),
        ("a 🐶 dog\nand — “a” cat…", "a dog and a cat"),
        ("the man., who", "the man. who"),
        ("THERE'S A DOG", "there 's a dog"),
        ("a dog. a\ncat x. y\n", "a dog a cat x. y"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_the_tokenisers_quirks_are_kept(caption: str, wanted: str) -> None:
    assert " ".join(tokens(caption)) == wanted


def test_a_lone_letter_keeps_its_period_unless_a_sentence_begins() -> None:
    assert tokens_of(["plan B.", "red dog", "plan B.", "A dog"]) == [
        ["plan", "b."], ["red", "dog"], ["plan", "b"], ["a", "dog"],
    ]  # fmt: skip


def test_figures_equal_the_published_evaluation(shared: Path, expected: Path) -> None:
    told = read_json(expected / "captions.json.gz")
    folder = shared / "coco_captions"
    references = defaultdict[str, list[str]](list)
    for row in read_json(folder / "captions_val2017_part.json")["annotations"]:
        references[str(row["image_id"])].append(row["caption"])
    said = {
        str(row["image_id"]): row["caption"]
        for row in read_json(folder / "candidates_val2017_part.json")
    }
    candidates = tokens_of([said[image] for image in told["image_ids"]])
    truths = [tokens_of(references[image]) for image in told["image_ids"]]
    rows = statistics(candidates, truths)
    names = {f"bleu_{n}": f"Bleu_{n}" for n in range(1, 5)} | {
        "rouge_l": "ROUGE_L",
        "cider": "CIDEr",
    }
    whole, each = figures(rows), figures(rows, each=True)
    for ours, theirs in names.items():
        assert whole[ours] == pytest.approx(told["corpus"][theirs], abs=1e-9)
        np.testing.assert_allclose(each[ours], told["per_image"][theirs], atol=1e-9)
    plain = cider([*ngrams(candidates, truths)])
    assert plain.mean() == pytest.approx(1.869229, abs=1e-6)


def test_short_captions_show_the_published_guards() -> None:
    rows = statistics([["a", "b", "c"], ["a", "b"], []], [[["a", "b", "c"]], [["a", "b"]], [["a"]]])
    each = figures(rows, each=True)
    np.testing.assert_allclose(each["bleu_4"], [0.0316, 0.0010, 0], atol=1e-4)
    assert each["rouge_l"].tolist() == [1, 1, 0]


def test_one_image_alone_has_no_cider() -> None:
    assert figures(statistics([["a", "b"]], [[["a", "b"]]]))["cider"] == 0


def test_nothing_has_no_figures() -> None:
    assert all(np.isnan(v) for v in reduce(dict.fromkeys(COLUMNS, np.zeros(()))).values())


@given(WORDS, WORDS)
def test_subsequences_are_as_long_as_the_table_says(one: list[str], other: list[str]) -> None:
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if left == right else max(table[i, j + 1], table[i + 1, j])
            )
    masks = {word: sum(1 << k for k, w in enumerate(one) if w == word) for word in one}
    assert common_subsequence(masks, len(one), other) == table[-1, -1]


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=2, max_size=5))
def test_order_of_images_and_references_changes_nothing(
    images: list[tuple[list[str], list[list[str]]]],
) -> None:
    rows = statistics([said for said, _ in images], [told for _, told in images])
    turned = statistics(
        [said for said, _ in images[::-1]], [told[::-1] for _, told in images[::-1]]
    )
    np.testing.assert_allclose(turned[::-1], rows, atol=1e-12)
    for (said, told), row in zip(images, rows, strict=True):
        assert row[COLUMNS.index("rouge_l")] == rouge_l(said, told)


def test_every_image_needs_references() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        statistics([["a"]], [[]])
