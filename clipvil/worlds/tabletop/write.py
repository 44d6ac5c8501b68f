"""The embedded world as official files: VQA v2 questions and answers, COCO captions, pictures.

Formats  https://visualqa.org/download.html, https://cocodataset.org/#format-data
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from clipvil.core import UsageError
from clipvil.files import SHIFTS, write_json
from clipvil.worlds.tabletop.ask import Asked, asked, spell, unseen_pairs
from clipvil.worlds.tabletop.describe import captions
from clipvil.worlds.tabletop.draw import OTHER, PLAIN, SKETCH, Style, render
from clipvil.worlds.tabletop.kinds import Question
from clipvil.worlds.tabletop.scene import CAPTION, COLOURS, TRAIN, VAL, Dice, Scene, recolour

NUM_CAPTIONS: Final = 5
FIRST_VAL: Final = 500_001  # picture id; those of train2014 start at 1
SMALLEST, LARGEST = 64, 128
RECOLOUR: Final = 9  # random numbers for the new colours
NAMES: Final = (
    "v2_OpenEnded_mscoco_{}_questions.json", "v2_mscoco_{}_annotations.json", "captions_{}.json",
)  # fmt: skip
_INFO: Final = {
    "description": "tabletop, the embedded world of clipvil", "url": "", "version": "1.0",
    "year": 2014, "contributor": "clipvil", "date_created": "2014-01-01 00:00:00",
}  # fmt: skip
_LICENCE: Final = {"url": "https://www.apache.org/licenses/LICENSE-2.0", "name": "Apache 2.0"}
_SAME: Final = dict(enumerate(range(len(COLOURS))))

Recolour = Callable[[int, Asked], Mapping[int, int]]


def write(
    root: Path, *, seed: int, train: int, val: int, size: int = 64, shifts: bool = True
) -> None:
    """Write `train` and `val` scenes under `root`, and the val scenes shifted in three ways.

    `shifts/style` shows the val scenes as sketches, `shifts/background` on other grounds and in
    other shades, `shifts/pairs` with colours exchanged so that things show pairs of shape and
    colour that no other picture shows. Ids and questions are those of val; with the colours of
    `pairs` the colour words go along. The same seed gives the same bytes.

    Raises
        UsageError: a size that is not 64 to 128 pixels, negative numbers, or too many pictures
    """
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(f"pictures of {size} pixels: choose {SMALLEST} to {LARGEST}")
    if min(seed, train, val) < 0 or train >= FIRST_VAL:
        raise UsageError(f"seed, train and val are at least 0, train less than {FIRST_VAL}")

    def exchanged(index: int, scene: Asked) -> Mapping[int, int]:
        return unseen_pairs(scene, Dice(seed, VAL, index, RECOLOUR))

    def same(index: int, scene: Asked) -> Mapping[int, int]:
        return _SAME

    _write(root, "train2014", (asked(seed, TRAIN, k) for k in range(train)), 1, seed, size)
    scenes = [asked(seed, VAL, k) for k in range(val)]
    _write(root, "val2014", scenes, FIRST_VAL, seed, size)
    if shifts:
        looks: dict[str, tuple[Style, Recolour]] = {
            "style": (SKETCH, same), "background": (OTHER, same), "pairs": (PLAIN, exchanged),
        }  # fmt: skip
        for name, (style, colours) in looks.items():
            folder = root / SHIFTS / name
            _write(folder, "val2014", scenes, FIRST_VAL, seed, size, style, colours)


def _write(
    root: Path,
    split: str,
    scenes: Iterable[Asked],
    first: int,
    seed: int,
    size: int,
    style: Style = PLAIN,
    colours: Recolour = lambda index, scene: _SAME,
) -> None:
    """One split: the pictures, then the files that make them count."""
    for name in NAMES:  # of an earlier world in the same place
        (root / name.format(split)).unlink(missing_ok=True)
    (root / split).mkdir(parents=True, exist_ok=True)
    questions, annotations, images, told = _rows(), _rows(), _rows(), _rows()
    for index, scene in enumerate(scenes):
        number, new = first + index, colours(index, scene)
        shown = recolour(scene.scene, new)
        file = f"COCO_{split}_{number:012d}.jpg"
        _save(root / split / file, shown, style, size)
        images.append(_image(number, file, size))
        for k, (question, answers) in enumerate(zip(scene.questions, scene.answers, strict=True)):
            row = {"image_id": number, "question_id": number * 1000 + k}
            questions.append(row | {"question": spell(question.text, new)})
            annotations.append(row | _annotation(question, answers, new))
        for k, caption in enumerate(captions(shown, Dice(seed, CAPTION, number), NUM_CAPTIONS)):
            told.append({"image_id": number, "id": number * 10 + k, "caption": caption})
    vqa = {"info": _INFO, "task_type": "Open-Ended", "data_type": "mscoco", "license": _LICENCE,
           "data_subtype": split}  # fmt: skip
    coco = {"info": _INFO, "licenses": [_LICENCE | {"id": 1}], "images": images}
    write_json(root / NAMES[2].format(split), coco | {"annotations": told})
    write_json(root / NAMES[1].format(split), vqa | {"annotations": annotations})
    write_json(root / NAMES[0].format(split), vqa | {"questions": questions})


def _rows() -> list[dict[str, Any]]:
    return []


def _annotation(
    question: Question, answers: Sequence[tuple[str, str]], new: Mapping[int, int]
) -> dict[str, Any]:
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


def _image(number: int, file: str, size: int) -> dict[str, Any]:
    return {"id": number, "file_name": file, "height": size, "width": size, "license": 1,
            "coco_url": "", "flickr_url": "", "date_captured": _INFO["date_created"]}  # fmt: skip


def _save(path: Path, scene: Scene, style: Style, size: int) -> None:
    """Write a picture, in place: the files that make pictures count are written, and synced, last.

    Colour is kept at full resolution: halved, as JPEG has it by default, small things fade.
    """
    with path.open("wb") as file:
        Image.fromarray(render(scene, style, size)).save(file, "JPEG", quality=95, subsampling=0)
