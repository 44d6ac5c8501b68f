"""GQA: compositional questions about Visual Genome's pictures, each with one answer.

Source   https://cs.stanford.edu/people/dorarad/gqa, arXiv:1902.09506; the parts `head` and `tail`:
         https://github.com/gqa-ood/GQA-OOD, arXiv:2006.05121
Files    {split}_balanced_questions.json; `gqa@all`: {split}_all_questions.json, train in ten parts;
         `gqa@ood`: ood_{split}_{head,tail}.json. To score more: {split}_choices.json,
         {split}_sceneGraphs.json and a system's own {split}_attentions.json
Metric   eval.py of the release, quirks and all. Balanced questions are scored, by equality of
         strings as they are; a question that asks for what is common has three valid answers
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from clipvil.core import (
    Answer,
    Data,
    Download,
    Example,
    Labels,
    OfficialFile,
    Said,
    Splits,
    Task,
)
from clipvil.files import find, read_rows, write_json
from clipvil.tasks import _gqa, _gqa_grounds, _gqa_score
from clipvil.tasks.base import COLOURS, distinct, of_split, tiny_picture, words

SOURCE = "https://cs.stanford.edu/people/dorarad/gqa/download.html"
CHOICES = "https://cs.stanford.edu/people/dorarad/gqa/evaluate.html"  # in its 784 MB
OOD_SOURCE = "https://github.com/gqa-ood/GQA-OOD"
OOD_DATA = "https://raw.githubusercontent.com/gqa-ood/GQA-OOD/master/data"
HIDDEN = ("test", "challenge", "submission")
SCORED = ("val", "testdev")
PUBLIC = ("val",)  # of the scored splits, whose choices and scene graphs are
PARTS = {  # frequent and rare answers: bytes, sha256
    "head": (
        2_729_095,
        "0ecf2818e374aca2d34743a03416b926ace0a7f18ab4fcca6cfb356f44e7a665",
    ),
    "tail": (
        1_654_017,
        "4730b5daccc02058e652c7a129a42341a929aaeab048c16e855828d98a1e3674",
    ),
}
ZIPS = "https://downloads.cs.stanford.edu/nlp/data/gqa"


def question_file(split: str, name: str, folder: str = "") -> OfficialFile:
    """A file of questions, in a folder of the official zip."""
    download = Download(
        urls=(f"{ZIPS}/questions1.2.zip",), member=f"{folder}{name}", about=1_400_000_000
    )
    return OfficialFile(role="questions", split=split, name=name, source=SOURCE, download=download)


def extra_file(role: str, split: str, name: str, source: str) -> OfficialFile:
    """A file without which some metrics cannot be computed."""
    download = None
    if source == SOURCE:
        download = Download(
            urls=(f"{ZIPS}/sceneGraphs.zip",), member=f"{split}_{name}.json", about=42_700_000
        )
    return OfficialFile(
        role=role, split=split, name=f"{split}_{name}.json", source=source, optional=True,
        download=download,
    )  # fmt: skip


def pictures(split: str) -> OfficialFile:
    """The zip of the pictures of all splits."""
    download = Download(urls=(f"{ZIPS}/images.zip",), about=20_300_000_000)
    return OfficialFile(
        role="pictures", split=split, name="images.zip", source=SOURCE, download=download
    )


EXTRA = tuple(
    extra_file(role, split, name, source)
    for split in SCORED
    for role, name, source in (
        ("choices", "choices", CHOICES if split in PUBLIC else "not published"),
        ("scene_graphs", "sceneGraphs", SOURCE if split in PUBLIC else "not published"),
        ("attentions", "attentions", "the system that is scored"),
    )
)
BALANCED = tuple(
    question_file(split, f"{split}_balanced_questions.json")
    for split in ("train", "val", "testdev", "test", "challenge")
)
ALL = tuple(
    question_file("train", f"train_all_questions_{part}.json", "train_all_questions/")
    for part in range(10)
) + tuple(
    question_file(split, f"{split}_all_questions.json")
    for split in ("val", "testdev", "test", "challenge", "submission")
)
OOD = BALANCED[:2] + tuple(
    OfficialFile(
        role="questions",
        split="testdev",
        name=name,
        source=OOD_SOURCE,
        download=Download(urls=(f"{OOD_DATA}/{name}",), bytes=size, sha256=sha256),
    )
    for name, (size, sha256) in ((f"ood_testdev_{part}.json", PARTS[part]) for part in PARTS)
)


def examples(files: tuple[OfficialFile, ...], data: Data, split: str) -> Sequence[Example]:
    """Read one split; the answers to hidden ones are None.

    Raises
        MissingFilesError: an official file is not there
        ValueError: a file is not what it should be; names file and question
    """
    official = of_split(files, split)
    asked = [file for file in official if file.role == "questions"]
    extra = find(data, [file for file in official if file.role != "questions"])
    grounds = None
    if "scene_graphs" in extra and ("attentions", split) in data.given:
        grounds = _gqa_grounds.Grounds.read(extra["attentions"], extra["scene_graphs"])
    kind = _gqa.Asked if split in HIDDEN else _gqa.Answered
    questions, paths = _gqa.Questions(), places(data, asked)
    for path in paths:
        part = path.name.partition(".")[0].rpartition("_")[2]
        for name, row in _gqa.read_entries(path, kind):
            questions.append(name, row, part if part in PARTS else "")
            if grounds is not None:
                questions.grounding.append(grounds.of(name, row, path) if row.balanced else 0.0)
    again = (
        (f"entry {number} of {path.name}", name)
        for path in paths
        for number, (name, _) in enumerate(_gqa.read_entries(path, msgspec.Raw), 1)
    )
    distinct(questions.ids, paths[0], "questions", again)
    if "choices" in extra:
        questions.allowed = _gqa.read_allowed(extra["choices"], questions)
    return questions


def places(data: Data, asked: Sequence[OfficialFile]) -> list[Path]:
    """Where the parts of a split are; a folder may be given for them."""
    split = asked[0].split
    if ("questions", split) not in data.given:
        parts = asked if len(asked) == 1 else _numbered(asked)
        return [*find(data, parts).values()]
    (given,) = find(data, asked[:1]).values()
    if not given.is_dir():
        return [given]
    return [*find(Data(given), _numbered(asked)).values()]


def _numbered(asked: Sequence[OfficialFile]) -> list[OfficialFile]:
    """The files with roles of their own, as paths are found by role."""
    return [replace(file, role=f"{file.role} {number}") for number, file in enumerate(asked, 1)]


class Predicted(msgspec.Struct, rename={"question": "questionId"}):
    """A row of a submission, or a row with `id` and `answer`."""

    question: int | str | None = None
    prediction: str | None = None
    id: int | str | None = None
    answer: str | None = None

    def __post_init__(self) -> None:
        official = (self.question is not None, self.prediction is not None)
        ours = (self.id is not None, self.answer is not None)
        if sorted((official, ours)) != [(False, False), (True, True)]:
            raise ValueError("a row has `questionId` and `prediction`, or `id` and `answer`")


def read(path: Path) -> Iterator[tuple[str, Answer]]:
    """A submission, or JSONL rows with `id` and `answer`."""
    for _, row in read_rows(path, Predicted):
        if row.question is None:
            yield str(row.id), Said(row.answer)
        else:
            yield str(row.question), Said(row.prediction)


def write(path: Path, answers: Mapping[str, Answer]) -> None:
    """The official submission: a JSON array, one object a question."""
    rows = [{"questionId": i, "prediction": words(answer)} for i, answer in answers.items()]
    write_json(path, rows)


# ---------------------------------------------------------------------------- for tests


def tiny(files: tuple[OfficialFile, ...], root: Path) -> None:
    """Three squares a file, and three questions about each, one of them not balanced."""
    for number, file in enumerate(files, 1):
        rows = dict[str, dict[str, object]]()
        for image, colour in enumerate(COLOURS, 100 * number):
            tiny_picture(root / f"{image}.jpg", colour)
            rows |= tiny_questions(str(image), colour)
        if file.split in HIDDEN:
            rows = {i: {k: row[k] for k in ("question", "imageId", "isBalanced")}
                    for i, row in rows.items()}  # fmt: skip
        write_json(root / file.name, rows)


def tiny_questions(image: str, colour: str) -> dict[str, dict[str, object]]:
    """What is asked about a square: its colour, whether it is red, and whether there is one."""
    asked = (
        ("What color is the square?", colour, "query", "attr", "color"),
        ("Is the square red?", "yes" if colour == "red" else "no", "verify", "attr", None),
        ("Is there a square?", "yes", "verify", "obj", None),
    )
    names = [f"{image}{k}" for k in range(len(asked))]
    return {
        name: {
            "question": question, "imageId": image, "answer": answer, "fullAnswer": answer,
            "isBalanced": kind != "obj", "entailed": names, "equivalent": [name],
            "groups": {"global": group, "local": None},
            "types": {"structural": structure, "semantic": kind, "detailed": structure},
            "annotations": {"question": {}, "answer": {}, "fullAnswer": {}},
        }
        for name, (question, answer, structure, kind, group) in zip(names, asked, strict=True)
    }  # fmt: skip


def task(
    variant: str, files: tuple[OfficialFile, ...], *, summary: str, parts: bool = False
) -> Task:
    """The task on some of the files."""
    splits = {file.split for file in files}
    return Task(
        name=f"gqa{variant}",
        version=1,
        summary=summary,
        answer=Labels(1_842, _gqa_score.credit),
        metrics=_gqa_score.METRICS,
        splits=Splits(
            fit="train",
            select="val",
            report="testdev",
            hidden=tuple(split for split in HIDDEN if split in splits),
        ),
        files=files + EXTRA,
        examples=partial(examples, files + EXTRA),
        measure=_gqa_score.measure,
        reduce=_gqa_score.reduce,
        read=read,
        write=write,
        tiny=partial(tiny, files),
        archives=tuple(pictures(split) for split in dict.fromkeys(file.split for file in files)),
        breakdowns=("part",) if parts else (),
    )


TASK = task("", BALANCED, summary="GQA: compositional questions about Visual Genome's pictures")
VARIANTS = {
    "all": task("@all", ALL, summary="GQA with all its questions, not balanced"),
    "ood": task(
        "@ood", OOD, summary="GQA-OOD: GQA, rare and frequent answers told apart", parts=True
    ),
}
