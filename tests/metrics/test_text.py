"""VQA's clean-up and credit: equal to the published evaluator, and what follows from its rule."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clipvil.files import read_json
from clipvil.metrics.text import CONTRACTIONS, clean_vqa, credit, credits, soft, tidy

ANSWERS = st.sampled_from(
    ["yes", "Yes", "a yes", "no", "two", "2", "t-shirt", "t shirt", "1,000", "", " red\n", "red."]
)
HUMANS = st.lists(ANSWERS, min_size=1, max_size=10)


def slowly(answer: str, told: list[str], marks: list[str]) -> float:
    """The published rule, step by step: leave out every equal entry, count those that agree."""
    told = [tidy(one) for one in told]
    answer = tidy(answer)
    if len(set(told)) > 1:
        told = [clean_vqa(one) for one in told]
        answer = clean_vqa(answer)
    entries = list(zip(told, marks, strict=True))
    earned = []
    for left_out in entries:
        others = [entry for entry in entries if entry != left_out]
        earned.append(min(1.0, sum(one == answer for one, _ in others) / 3))
    return sum(earned) / len(earned)


def test_cleaning_equals_the_published_evaluator(expected: Path) -> None:
    rows = read_json(expected / "vqa_normalisation.json.gz")
    wrong = [row for row in rows if clean_vqa(row["in"]) != row["out"]]
    assert not wrong


def test_credit_equals_the_published_evaluator(expected: Path) -> None:
    made = read_json(expected / "vqa_synthetic.json.gz")
    said = {row["question_id"]: row["answer"] for row in made["predictions"]}
    for row in made["annotations"]:
        told = [one["answer"] for one in row["answers"]]
        official = made["per_question"][str(row["question_id"])]
        assert 100 * credit(said[row["question_id"]], told) == pytest.approx(official, abs=1e-9)


@pytest.mark.parametrize(
    ("typed", "compared"),
    [
        ("The T-shirt.", "t shirt"),
        ("t - shirt", "t shirt"),
        ("a t- shirt-x", "t shirtx"),  # one loose hyphen deletes them all
        ("1,000 red-blue", "1000 redblue"),  # and so does a number with commas
        ("None", "0"),
        ("a", ""),
        ("3.5 m.", "3.5 m"),
        ("." * 33, "."),
        ("Im", "im"),
        ("dont", "don't"),
        ("somebody'd", "somebodyd"),
    ],
)
def test_the_quirks_are_kept(typed: str, compared: str) -> None:
    assert clean_vqa(typed) == compared


def test_a_contraction_is_known_by_each_apostrophe_left_out() -> None:
    assert len(CONTRACTIONS) == 114
    assert {CONTRACTIONS[w] for w in ("yall'd've", "y'alld've", "y'all'dve")} == {"y'all'd've"}
    assert "yalldve" not in CONTRACTIONS


@pytest.mark.parametrize(("same", "earned"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1)])
def test_credit_follows_the_published_table(same: int, earned: float) -> None:
    assert credit("red", ["red"] * same + ["blue"] * (10 - same)) == pytest.approx(earned)


def test_ten_equal_answers_are_compared_as_typed() -> None:
    assert credit("yes", ["Yes"] * 10) == 0
    assert credit(" Yes\n", ["Yes"] * 10) == 1
    assert credit("yes", ["Yes"] * 9 + ["no"]) == 1
    assert credits(["T-shirt"] * 10) == {"T-shirt": 1}


def test_entries_that_nothing_tells_apart_are_left_out_together() -> None:
    assert credit("red", ["red"] * 10, ["None yes"] * 10) == 0
    assert credit("red", ["red"] * 10) == 1


@given(ANSWERS, HUMANS, st.data())
def test_the_closed_form_is_the_rule(answer: str, told: list[str], data: st.DataObject) -> None:
    distinct = [str(k) for k in range(len(told))]
    assert credit(answer, told) == pytest.approx(slowly(answer, told, distinct))
    marks = data.draw(st.lists(st.sampled_from("ab"), min_size=len(told), max_size=len(told)))
    assert credit(answer, told, marks) == pytest.approx(slowly(answer, told, marks))


@given(ANSWERS, HUMANS, st.randoms(use_true_random=False))
def test_the_order_of_people_changes_nothing(answer: str, told: list[str], random: object) -> None:
    mixed = sorted(told, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert credit(answer, mixed) == credit(answer, told)


@given(HUMANS)
def test_credits_are_what_each_text_would_earn(told: list[str]) -> None:
    for text, earned in credits(told).items():
        assert earned == credit(text, told) > 0


@given(st.text())
def test_cleaned_text_has_no_articles_capitals_or_loose_blanks(text: str) -> None:
    cleaned = clean_vqa(text)
    assert not {"a", "an", "the"} & set(cleaned.split(" "))
    assert cleaned == " ".join(cleaned.split())


@given(st.text(alphabet="abTe1,. -'"))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assume(text.count(".") <= 32)
    assert clean_vqa(clean_vqa(text)) == clean_vqa(text)


@given(answer=ANSWERS, told=HUMANS)
def test_the_soft_score_leaves_nobody_out(answer: str, told: list[str]) -> None:
    agreeing = [one for one in told if clean_vqa(one) == clean_vqa(answer)]
    assert soft(answer, told) == min(1, len(agreeing) / 3)
    if len(told) == 10 and len(set(map(tidy, told))) > 1:
        difference = soft(answer, told) - credit(answer, told)
        assert 0 <= difference <= 0.1 + 1e-9, "the published credits are .3, .6, .9 and 1"
