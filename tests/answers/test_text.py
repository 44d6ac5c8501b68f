"""What captions of a training subset teach: words, the prior, batches with each picture once."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clipvil import answers, api, tasks
from clipvil.answers import text
from clipvil.core import Example, References, Said, UsageError
from clipvil.data.captions import CaptionBatch
from clipvil.data.sight import Blind
from clipvil.data.words import split_words
from clipvil.files import write_json, write_jsonl
from clipvil.models import captioner
from clipvil.train.recipe import Recipe, Stage

TASK = tasks.load("caption")
CONFIG = captioner.Config(
    width=32, heads=4, layers=2, expand=2, dropout=0.0, image_dropout=0.0, rare=1, read=6
)


def example(name: str, *captions: str) -> Example:
    return Example(id=name, cluster=name, pictures=(name,), target=References(captions))


SOME = [
    example("a", "A red dog!", "a dog", "The dog runs far away over there."),
    example("b", "A dog."),
    example("c", "a cat", "!!!"),
]


def known(**chosen: Any) -> text.Known:
    config = captioner.Config(**({"rare": 1, "read": 6} | chosen))
    found = answers.learn(TASK, SOME, config)
    assert isinstance(found, text.Known)
    return found


def batch(found: text.Known, *, targets: bool = True) -> CaptionBatch:
    data = found.data(SOME, ["a", "b", "c"], Blind(), targets=targets)
    return data.batch(np.arange(3))


def test_words_are_those_that_are_frequent_enough() -> None:
    assert known().words == ("a", "dog")
    assert known(rare=3).words == ("a", "dog")
    assert set(known(rare=0).words) > {"cat", "red", "there"}
    assert answers.read(TASK, json.loads(json.dumps(known().facts)), CONFIG) == known()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Où est l'été, à Łódź?", ["où", "est", "l'été", "à", "łódź"]),
        ("अंत तक बड़ा चलो।", ["अंत", "तक", unicodedata.normalize("NFC", "बड़ा"), "चलो"]),
        ("كِتَابٌ جديد", ["كِتَابٌ", "جديد"]),
        ("안녕 세계", ["안녕", "세계"]),
        ("แมว 2 ตัวบนสื่อ iPad", ["แ", "ม", "ว", "2", "ตั", "ว", "บ", "น", "สื่", "อ", "ipad"]),
        ("一只狗。", ["一", "只", "狗"]),
        ("1\ufe0f\u20e3 \u2764\ufe0f ok", ["1", "ok"]),
    ],
)
def test_signs_belong_to_their_letters_however_they_are_written(
    text: str, words: list[str]
) -> None:
    assert split_words(text) == split_words(unicodedata.normalize("NFD", text)) == words


def test_what_has_no_blanks_is_told_without() -> None:
    told = [example("a", "一只狗 ok"), example("b", "一只狗 ok")]
    found = answers.learn(TASK, told, CONFIG)
    assert isinstance(found, text.Known)
    assert found.text(found.read(["一只狗 ok"])[0].tolist()) == "一只狗 ok"
    assert found.prior(told)["a"] == Said("一只狗 ok")


def test_the_prior_is_the_commonest_caption() -> None:
    assert known().prior(SOME)["c"] == Said("a dog")
    alone = answers.learn(TASK, [SOME[0], SOME[2]], CONFIG)
    assert alone.prior(SOME)["a"] == Said("a dog"), "among equals that with the commonest words"
    assert known().coverage(SOME) is None


def test_a_batch_has_each_picture_once_and_all_its_captions() -> None:
    told = batch(known())
    assert told.ids == ("a", "b", "c") and told.image.shape[0] == 3
    assert told.words.tolist() == [
        [[2, 1, 3, 0, 0, 0], [2, 3, 0, 0, 0, 0], [1, 3, 1, 1, 1, 1]],  # cut after six words
        [[2, 3, 0, 0, 0, 0], [0] * 6, [0] * 6],
        [[2, 1, 0, 0, 0, 0], [0] * 6, [0] * 6],  # a caption without words is none
    ]
    assert told.frequencies is not None
    rarity = told.frequencies().rarity(np.array([3], np.uint64))  # the word 2, which is 3 there
    assert rarity.tolist() == [0.0], "in the captions of all three pictures"
    assert batch(known(), targets=False).words.shape == (3, 0, 1)


def test_captions_that_teach_nothing_are_errors() -> None:
    with pytest.raises(ValueError, match="an empty vocabulary: none of the 10 words"):
        known(rare=9)
    with pytest.raises(ValueError, match="d: no caption of it has a word"):
        known().data([*SOME, example("d", "?")], [*"abcd"], Blind(), targets=True)
    hidden = Example(id="9", cluster="9", pictures=("9",))
    with pytest.raises(ValueError, match="9 cannot be learnt from"):
        answers.learn(TASK, [hidden], CONFIG)


class Numbered(Blind):
    """Every picture shows its own number."""

    def look(self, pictures: list[str]):  # type: ignore[no-untyped-def]
        looked = super().look(pictures)
        shown = torch.stack([torch.eye(8)[int(name)] for name in pictures])
        return looked._replace(image=shown.unsqueeze(1))


@pytest.mark.slow
@pytest.mark.parametrize("beams", [1, 4])
def test_eight_pictures_learnt_by_heart_are_told_exactly(beams: int) -> None:
    told = [
        "a dog", "a dog runs", "a dog runs and a cat sleeps", "the cat", "nobody is at home today",
        "the cat sleeps on the warm red roof", "two", "it's a boat",
    ]  # fmt: skip
    examples = [example(str(k), one) for k, one in enumerate(told)]
    pictures = [str(k) for k in range(8)]
    config = captioner.Config(
        width=32, heads=4, layers=1, expand=2, dropout=0.0, image_dropout=0.0, rare=0, read=8,
        beams=beams,
    )  # fmt: skip
    found = answers.learn(TASK, examples, config)
    torch.manual_seed(0)
    recipe = Recipe(model="captioner", config=config, stages=(Stage(),))
    model: nn.Module = found.model(recipe, 8)
    data = found.data(examples, pictures, Numbered(8), targets=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        loss = model.loss(data.batch(np.arange(8)))  # type: ignore[operator]
        (loss.total / loss.weight).backward()
        optimizer.step()
    asked = found.data(examples, pictures, Numbered(8), targets=False)
    said = found.answers(model, asked, torch.device("cpu"))
    assert {name: answer.text for name, answer in said.items()} == dict(  # type: ignore[union-attr]
        zip(pictures, told, strict=True)
    )
    others = [answer.others for answer in said.values()]  # type: ignore[union-attr]
    assert all(len(some) == beams - 1 for some in others)
    scores = [[score for _, score in some] for some in others]
    assert all(some == sorted(some, reverse=True) for some in scores)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Byte-level pieces that keep case and punctuation, learnt from a few sentences."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    made.train_from_iterator(["A dog runs.", "a cat sleeps", "the dog and the cat"] * 3, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<end> $A <end>", special_tokens=[("<end>", 0)]
    )
    made.enable_truncation(3)
    path = tmp_path_factory.mktemp("pieces") / "tokenizer.json"
    made.save(str(path))
    return path


def test_pieces_of_a_tokenizer_stand_for_words(tokenizer: Path) -> None:
    """Whatever people write comes back, and the file is not needed any more."""
    found = known(tokenizer=str(tokenizer), read=40)
    kept = answers.read(TASK, json.loads(json.dumps(found.facts)), replace(CONFIG, read=40))
    assert isinstance(kept, text.Known)
    written = ["A  Straße, naïvely:\n“wow” 🐕!", "the dog's 3 cats"]
    for one, numbers in zip(written, kept.read(written).tolist(), strict=True):
        assert kept.text(numbers) == " ".join(one.split())
        assert min(n for n in numbers if n) > 2, "pieces by their numbers, none that begins or ends"
    assert found.words == kept.words and len(kept.words) > 256
    assert kept.prior(SOME)["c"] == Said("a dog")
    assert batch(found).words.shape[:2] == (3, 3)


def test_more_words_than_rewards_count_are_refused_before_a_step_is_taken() -> None:
    many = text.Known(text.Vocabulary(tuple(map(str, range(65_534))), ""), 6)
    words = Recipe(model="captioner", config=CONFIG, stages=(Stage(),))
    with torch.device("meta"):
        many.model(words, 8)
        with pytest.raises(UsageError, match=r"vocabulary of 65,534: self-critical .* 65,533"):
            many.model(replace(words, stages=(Stage(), Stage(objective="self_critical"))), 8)


def test_what_is_no_tokenizer_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no tokenizer file .*gone\.json"):
        known(tokenizer=str(tmp_path / "gone.json"))
    bad = tmp_path / "bad.json"
    for content in (b"", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"model": {"type": "BPE"}}'):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.json: "):
            known(tokenizer=str(bad))


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, object]:
    stage = Stage(least_steps=2, most_steps=2, batch=2, validations=1)
    recipe = Recipe(model="captioner", config=CONFIG, stages=(stage,))
    return {"recipe": recipe, "encoder": "tiny:random", "out": tmp_path / "run", "data": tmp_path}


def coco(root: Path, change: dict[str, list[object]]) -> None:
    tasks.load("coco_caption").tiny(root)
    file = root / "captions_train2014.json"
    write_json(file, json.loads(file.read_text()) | change)


def test_a_caption_file_without_captions_is_an_error(asked: dict, tmp_path: Path) -> None:
    coco(tmp_path, {"annotations": []})
    with pytest.raises(ValueError, match=r"train2014\.json: 3 pictures have no caption: 100, 101"):
        api.train(task="coco_caption", **asked)


def test_pictures_without_captions_are_an_error(asked: dict, tmp_path: Path) -> None:
    told = [{"image_id": image, "caption": "a square"} for image in (100, 102)]
    coco(tmp_path, {"annotations": told})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="1 pictures have no caption: 101"):
        api.train(task="coco_caption", **asked)


def test_captions_without_pictures_are_an_error(asked: dict, tmp_path: Path) -> None:
    coco(tmp_path, {"images": []})
    with pytest.raises(ValueError, match="no picture has the id 100"):
        api.train(task="coco_caption", **asked)


def test_own_captions_without_captions_or_pictures_are_errors(asked: dict, tmp_path: Path) -> None:
    TASK.tiny(tmp_path)
    write_jsonl(tmp_path / "train.jsonl", [])
    with pytest.raises(ValueError, match="train"):
        api.train(task="caption", **asked)
    write_jsonl(tmp_path / "train.jsonl", [{"image": "gone.png", "caption": "a square"}])
    with pytest.raises(FileNotFoundError, match=r"gone"):
        api.train(task="caption", **asked)


def test_captions_without_words_are_refused_before_a_picture_is_encoded(
    asked: dict, tmp_path: Path
) -> None:
    TASK.tiny(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    write_jsonl(tmp_path / "train.jsonl", [row | {"caption": "..."} for row in rows])
    with pytest.raises(ValueError, match="an empty vocabulary"):
        api.train(task="caption", **asked)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="an empty vocabulary"):
        api.compare(
            task="caption", data=tmp_path, encoders=["tiny:random"], out=tmp_path / "out",
            recipe=asked["recipe"], shots=["50%", "100%"], seeds=1, jobs=1,
        )  # fmt: skip
    assert not (tmp_path / "out" / "stores").exists()


def test_another_encoder_s_features_are_refused(
    asked: dict, tmp_path: Path, tokenizer: Path
) -> None:
    """Of a run that tells pieces of a tokenizer, whose file is gone, and sees pooled vectors."""
    TASK.tiny(tmp_path)
    gone = tmp_path / "tokenizer.json"
    gone.write_bytes(tokenizer.read_bytes())
    config = replace(CONFIG, tokenizer=str(gone), pooled=True)
    api.train(task="caption", **asked | {"recipe": replace(asked["recipe"], config=config)})
    gone.unlink()
    assert api.evaluate(tmp_path / "run")["test"].keys() >= {"cider", "bleu_4"}
    (tmp_path / "run" / "answered.json").unlink()
    made = tmp_path / "run" / "recipe.json"
    told = json.loads(made.read_text())
    told["fingerprint"] = "0" * 64
    made.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="another encoder's features"):
        api.evaluate(tmp_path / "run")
    with pytest.raises(ValueError, match=r"is not what .* was trained on"):
        api.predict_folder(tmp_path / "run", tmp_path / "out.jsonl", tmp_path / "pictures")


def test_pooled_vectors_come_out_of_stores(asked: dict, tmp_path: Path) -> None:
    TASK.tiny(tmp_path)
    recipe = replace(asked["recipe"], sight="live", config=replace(CONFIG, pooled=True))
    with pytest.raises(UsageError, match="leave sight as it is, stored"):
        api.train(task="caption", **asked | {"recipe": recipe})
