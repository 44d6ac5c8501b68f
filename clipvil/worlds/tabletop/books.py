"""The official files that a world is written as: one book a task, filled picture by picture.

Formats  https://visualqa.org/download.html, https://cocodataset.org/#format-data,
         https://github.com/necla-ml/SNLI-VE, https://visualcommonsense.com/download,
         https://cs.stanford.edu/people/dorarad/gqa/download.html
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from clipvil.files import write_bytes, write_jsonl
from clipvil.worlds.tabletop.ask import Asked, spell
from clipvil.worlds.tabletop.choose import choice
from clipvil.worlds.tabletop.describe import captions
from clipvil.worlds.tabletop.entail import hypotheses
from clipvil.worlds.tabletop.kinds import Question
from clipvil.worlds.tabletop.scene import (
    CAPTION,
    CHOICE,
    COLOURS,
    HYPOTHESIS,
    SHAPES,
    TEXTURES,
    Dice,
    Scene,
    Thing,
)

NUM_CAPTIONS: Final = 5
TOGETHER: Final = 50
TRAIN: Final = "train2014"
_INFO: Final = {
    "description": "tabletop, the embedded world of clipvil", "url": "", "version": "1.0",
    "year": 2014, "contributor": "clipvil", "date_created": "2014-01-01 00:00:00",
}  # fmt: skip
_LICENCE: Final = {"url": "https://www.apache.org/licenses/LICENSE-2.0", "name": "Apache 2.0"}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A picture and what is known of it; `colours` are those shown in place of the scene's."""

    number: int
    file: str
    size: int
    asked: Asked
    shown: Scene
    colours: Mapping[int, int]


class Book(Protocol):
    """The official files of one task and one split of the pictures.

    `names` are their paths under the world's folder; a world is not there until they all are.
    """

    @property
    def names(self) -> Sequence[str]: ...

    def add(self, page: Page) -> None: ...

    def write(self, root: Path) -> None: ...


def _write(path: Path, value: object) -> None:
    """JSON as `files.write_json` writes it, sooner; for values without numbers that are none."""
    write_bytes(path, msgspec.json.encode(value) + b"\n")


class Questions:
    """VQA v2: questions, and ten people's answers to each."""

    def __init__(self, split: str) -> None:
        self.split = split
        self.names = (
            f"v2_OpenEnded_mscoco_{split}_questions.json", f"v2_mscoco_{split}_annotations.json",
        )  # fmt: skip
        self._questions, self._annotations = list[Row](), list[Row]()

    def add(self, page: Page) -> None:
        """All questions about a picture."""
        asked, new = page.asked, page.colours
        for k, (question, answers) in enumerate(zip(asked.questions, asked.answers, strict=True)):
            row = {"image_id": page.number, "question_id": page.number * 1000 + k}
            self._questions.append(row | {"question": spell(question.text, new)})
            self._annotations.append(row | _annotation(question, answers, new))

    def write(self, root: Path) -> None:
        """The annotations first: questions alone are a hidden split."""
        outer = {"info": _INFO, "task_type": "Open-Ended", "data_type": "mscoco",
                 "license": _LICENCE, "data_subtype": self.split}  # fmt: skip
        _write(root / self.names[1], outer | {"annotations": self._annotations})
        _write(root / self.names[0], outer | {"questions": self._questions})


def _annotation(
    question: Question, answers: Sequence[tuple[str, str]], new: Mapping[int, int]
) -> Row:
    """What ten people answered, and the answer that most of them gave."""
    said = [(spell(answer, new), confidence) for answer, confidence in answers]
    most = Counter(answer for answer, _ in said).most_common(1)[0][0]
    kind = {"yes": "yes/no", "no": "yes/no"}.get(question.answer)
    return {
        "question_type": question.kind,
        "answer_type": kind or ("number" if question.answer.isdigit() else "other"),
        "multiple_choice_answer": most,
        "answers": [
            {"answer": answer, "answer_confidence": confidence, "answer_id": k}
            for k, (answer, confidence) in enumerate(said, 1)
        ],
    }


class Captions:
    """COCO captions: five a picture."""

    def __init__(self, split: str, seed: int) -> None:
        self.seed = seed
        self.names = (f"captions_{split}.json",)
        self._images, self._told = list[Row](), list[Row]()

    def add(self, page: Page) -> None:
        """The captions of a picture."""
        number = page.number
        self._images.append(
            {"id": number, "file_name": page.file, "height": page.size, "width": page.size,
             "license": 1, "coco_url": "", "flickr_url": "",
             "date_captured": _INFO["date_created"]}
        )  # fmt: skip
        dice = Dice(self.seed, CAPTION, number)
        for k, caption in enumerate(captions(page.shown, dice, NUM_CAPTIONS)):
            self._told.append({"image_id": number, "id": number * 10 + k, "caption": caption})

    def write(self, root: Path) -> None:
        """One file."""
        outer = {"info": _INFO, "licenses": [_LICENCE | {"id": 1}], "images": self._images}
        _write(root / self.names[0], outer | {"annotations": self._told})


class Hypotheses:
    """SNLI-VE: sentences about a picture, one a label; every tenth train picture is dev's.

    Sentences are spread over fifty pictures at a time: among so many nearly all find their three.
    """

    def __init__(self, split: str, seed: int) -> None:
        self.seed, self.train = seed, split == TRAIN
        parts = ("train", "dev") if self.train else ("test",)
        self.names = tuple(f"snli_ve_{part}.jsonl" for part in parts)
        self._pages = tuple(list[Page]() for _ in parts)

    def add(self, page: Page) -> None:
        """What its sentences are depends on the pictures around."""
        self._pages[self.train and page.number % 10 == 0].append(page)

    def write(self, root: Path) -> None:
        """One file a part, none where too few pictures are there for their three sentences."""
        for name, pages in zip(self.names, self._pages, strict=True):
            if rows := [*self._rows(pages)]:
                write_jsonl(root / name, rows)

    def _rows(self, pages: Sequence[Page]) -> Iterator[Row]:
        for start in range(0, len(pages), TOGETHER):
            some = pages[start : start + TOGETHER]
            dice = Dice(self.seed, HYPOTHESIS, some[0].number)
            told = hypotheses([page.asked.scene.things for page in some], dice)
            for page, hypothesis in (
                (p, h) for p, all in zip(some, told, strict=True) for h in all
            ):
                caption = f"{page.number}.jpg#0"
                yield {
                    "Flickr30K_ID": str(page.number), "captionID": caption,
                    "pairID": f"{caption}r1{hypothesis.label[0]}",
                    "gold_label": hypothesis.label, "annotator_labels": [hypothesis.label],
                    "sentence1": "", "sentence2": spell(hypothesis.text, page.colours),
                }  # fmt: skip


class Choices:
    """VCR: a question, four answers, four rationales; boxes in a file beside each picture."""

    def __init__(self, split: str, seed: int) -> None:
        self.seed, self.split = seed, split
        self.names = (f"vcr1annots/{'train' if split == TRAIN else 'val'}.jsonl",)
        self._rows = list[Row]()
        self._boxes = dict[str, Row]()

    def add(self, page: Page) -> None:
        """One question about a picture."""
        things = page.shown.things
        put = choice(page.asked.scene.things, Dice(self.seed, CHOICE, page.number))
        names = ["object"] * len(things)  # what they are is asked for
        boxes = f"{self.split}/{Path(page.file).stem}.json"
        self._boxes[boxes] = {
            "boxes": [[*_box(thing, page.size), 1.0] for thing in things],
            "segms": [[] for _ in things], "names": names,
            "width": page.size, "height": page.size,
        }  # fmt: skip
        self._rows.append({
            "movie": "tabletop", "img_id": f"{self.split}-{len(self._rows)}",
            "img_fn": f"{self.split}/{page.file}", "metadata_fn": boxes, "objects": names,
            "annot_id": f"{self.split}-{len(self._rows)}", "question_number": 0,
            "question": put.question, "answer_label": put.answer, "rationale_label": put.rationale,
            "answer_choices": [_spelled(tokens, page.colours) for tokens in put.answers],
            "rationale_choices": [_spelled(tokens, page.colours) for tokens in put.rationales],
        })  # fmt: skip

    def write(self, root: Path) -> None:
        """The boxes first, in place: without the questions they do not count."""
        (root / "vcr1images" / self.split).mkdir(parents=True, exist_ok=True)
        for name, boxes in self._boxes.items():
            (root / "vcr1images" / name).write_text(json.dumps(boxes))
        write_jsonl(root / self.names[0], self._rows)


def _spelled(tokens: Sequence[str | list[int]], colours: Mapping[int, int]) -> list[Any]:
    return [spell(token, colours) if isinstance(token, str) else token for token in tokens]


class Graphs:
    """GQA: the questions again, with their types; every tenth train picture is val's."""

    def __init__(self, split: str) -> None:
        self.train = split == TRAIN
        self._parts = ("train", "val") if self.train else ("testdev",)
        files = ("sceneGraphs", "balanced_questions")
        self.names = tuple(f"{part}_{file}.json" for part in self._parts for file in files)
        self._graphs = tuple(dict[str, Row]() for _ in self._parts)
        self._questions = tuple(dict[str, Row]() for _ in self._parts)

    def add(self, page: Page) -> None:
        """The questions about a picture."""
        part, image = self.train and page.number % 10 == 0, str(page.number)
        things, new = page.shown.things, page.colours
        self._graphs[part][image] = {
            "width": page.size, "height": page.size,
            "objects": {f"{image}{k}": _object(t, page.size) for k, t in enumerate(things)},
        }  # fmt: skip
        for k, question in enumerate(page.asked.questions):
            structural, semantic = _TYPES[question.kind]
            if structural == "query" and question.answer in ("yes", "no"):
                structural = "verify"
            name, answer = str(page.number * 1000 + k), spell(question.answer, new)
            self._questions[part][name] = {
                "question": spell(question.text, new), "imageId": image, "answer": answer,
                "fullAnswer": f"{answer.capitalize()}.", "isBalanced": True,
                "entailed": [], "equivalent": [name], "semantic": [], "semanticStr": "",
                "groups": {"global": semantic if structural == "query" else None, "local": None},
                "types": {"structural": structural, "semantic": semantic,
                          "detailed": question.kind},
                "annotations": {"question": {}, "answer": {}, "fullAnswer": {}},
            }  # fmt: skip

    def write(self, root: Path) -> None:
        """The graphs of a part first."""
        contents = (c for pair in zip(self._graphs, self._questions, strict=True) for c in pair)
        for name, content in zip(self.names, contents, strict=True):
            _write(root / name, content)


_TYPES: Final = {
    "existence": ("verify", "obj"), "colour": ("query", "attr"), "shape": ("query", "obj"),
    "count": ("query", "obj"), "relation": ("query", "rel"), "comparison": ("compare", "attr"),
}  # fmt: skip


def _box(thing: Thing, size: int) -> list[float]:
    """x1, y1, x2, y2 in pixels."""
    x, y, r = thing.x * size, thing.y * size, thing.radius * size
    return [max(0.0, x - r), max(0.0, y - r), min(float(size), x + r), min(float(size), y + r)]


def _object(thing: Thing, size: int) -> Row:
    left, top, right, bottom = map(round, _box(thing, size))
    attributes = [COLOURS[thing.colour], TEXTURES[thing.texture]]
    return {"name": SHAPES[thing.shape], "x": left, "y": top, "w": right - left,
            "h": bottom - top, "attributes": attributes, "relations": []}  # fmt: skip


BOOKS: Final[Mapping[str, Callable[[str, int], Book]]] = {  # task -> split, seed -> its book
    "vqa2": lambda split, seed: Questions(split),
    "coco_caption": Captions,
    "snli_ve": Hypotheses,
    "vcr": Choices,
    "gqa": lambda split, seed: Graphs(split),
}
