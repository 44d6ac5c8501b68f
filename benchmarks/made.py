"""Data of true size for benchmarks, made from published examples or from nothing."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clipvil.tasks._vqa2_files import FILES

REFERENCES = 5


def captions(shared: Path, count: int) -> Iterator[tuple[str, list[str], str]]:
    """Pictures with references and a caption: published ones, a word of each exchanged."""
    folder, generator = shared / "coco_captions", random.Random(0)
    told = defaultdict[int, list[str]](list)
    for row in json.loads((folder / "captions_val2017_part.json").read_text())["annotations"]:
        told[row["image_id"]].append(row["caption"].replace("\n", " "))
    said = json.loads((folder / "candidates_val2017_part.json").read_text())
    vocabulary = [word for several in told.values() for one in several for word in one.split()]

    def changed(caption: str) -> str:
        words = caption.split()
        words[generator.randrange(len(words))] = generator.choice(vocabulary)
        return " ".join(words)

    for number in range(count):
        row = said[number % len(said)]
        references = [changed(one) for one in told[row["image_id"]][:REFERENCES]]
        yield str(number), references, changed(row["caption"])


def vqa(folder: Path, questions: int, pictures: int, split: str) -> None:
    """VQA v2's files of true size: answers as skewed as real ones, ten a question."""
    generator = np.random.default_rng(0)
    words = [f"answer {k}" for k in range(20_000)]
    names = {file.role: file.name for file in FILES if file.split == split}
    right = np.minimum(generator.zipf(1.4, questions), len(words)) - 1
    wrong = np.minimum(generator.zipf(1.4, (questions, 10)), len(words)) - 1
    agrees = generator.random((questions, 10)) < 0.7
    with (
        (folder / names["questions"]).open("w") as asked,
        (folder / names["annotations"]).open("w") as told,
    ):
        asked.write('{"info": {}, "questions": [')
        told.write('{"info": {}, "annotations": [')
        for k in range(questions):
            comma = ", " if k else ""
            name, image = 1000 * k, k % pictures
            question = f"What is the thing number {k % 9973} beside the other one?"
            row = {"image_id": image, "question": question, "question_id": name}
            asked.write(comma + json.dumps(row))
            people = [words[right[k] if agrees[k, p] else wrong[k, p]] for p in range(10)]
            answers = [{"answer": one, "answer_confidence": "yes", "answer_id": p}
                       for p, one in enumerate(people, 1)]  # fmt: skip
            row = {"question_type": "what is the", "multiple_choice_answer": people[0],
                   "answers": answers, "image_id": image, "answer_type": "other",
                   "question_id": name}  # fmt: skip
            told.write(comma + json.dumps(row))
        asked.write("]}")
        told.write("]}")
