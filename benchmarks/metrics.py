"""CPU seconds of one core that scoring and reading take, beside published scorers; metrics.csv.

Run      python benchmarks/metrics.py --shared DIR [--share 1.0] [--only NAME ...]; DIR holds
         published examples (`coco_captions`, `vln`), from which sets of true size are made.
         Run alone on the machine, with OMP_NUM_THREADS=1
Peers    pycocoevalcap: its tokeniser, BLEU, ROUGE-L and CIDEr, children's time counted; its CIDEr
         scorer with given document frequencies and references cooked anew each time, as
         self-critical training has it. Where both are run their figures must agree
"""

import argparse
import csv
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import made
import numpy as np

IMAGES = 40_504  # COCO's val2014
QUESTIONS_VAL, QUESTIONS_TRAIN, PICTURES_TRAIN = 214_354, 443_757, 82_783  # VQA v2
WALKS = 2_349  # R2R's val_unseen
BATCH, SAMPLES, LONGEST = 10, 6, 20  # a self-critical step: five samples and the greedy caption
ROUNDS = 15  # of what takes milliseconds
HEADER = ("date", "processor", "python", "what", "share", "ours CPU s", "theirs CPU s", "ratio",
          "ours wall s", "peak GB")  # fmt: skip

Row = tuple[float, float | None, float, float | None]  # ours, theirs, wall, peak


def cpu() -> str:
    """Model of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """What `run` gives, and its CPU and wall seconds, those of programs it starts included."""

    def used() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    cpu_before, wall = used(), time.perf_counter()
    found = run()
    return found, used() - cpu_before, time.perf_counter() - wall


# ---------------------------------------------------------------------------- captions


def captions(shared: Path, share: float) -> Row:
    """Tokens, BLEU, ROUGE-L and CIDEr."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    from clipvil.core import Said
    from clipvil.evaluate.score import score
    from clipvil.tasks._captions import Captioned
    from clipvil.tasks.coco_caption import TASK

    pictures = [*made.captions(shared, round(IMAGES * share))]
    ids = [image for image, _, _ in pictures]
    examples = Captioned(ids=ids, pictures=ids, captions=[tuple(told) for _, told, _ in pictures])

    def ours() -> dict[str, float | None]:
        scored = score(TASK, examples, [(image, Said(said)) for image, _, said in pictures])
        return {name: figure.value for name, figure in scored.figures.items()}

    def theirs() -> dict[str, float]:
        tokenise = PTBTokenizer().tokenize
        told = tokenise({i: [{"caption": one} for one in several] for i, several, _ in pictures})
        said = tokenise({i: [{"caption": one}] for i, _, one in pictures})
        bleu = Bleu(4).compute_score(told, said, verbose=0)[0]
        return {
            **{f"bleu_{n}": value for n, value in enumerate(bleu, 1)},
            "rouge_l": Rouge().compute_score(told, said)[0],
            "cider": Cider().compute_score(told, said)[0],
        }

    mine, seconds, wall = timed(ours)
    wanted, peer, _ = timed(theirs)
    assert all(math.isclose(mine[name] or 0, wanted[name], abs_tol=1e-6) for name in wanted), (
        mine, wanted,
    )  # fmt: skip
    return seconds, peer, wall, None


def rewards(shared: Path, share: float) -> Row:
    """CIDEr-D of one self-critical step: ten images, six captions each; ours has its references
    prepared, as they are once for all steps, theirs cooks them in each step.
    """
    from pycocoevalcap.cider.cider_scorer import CiderScorer, precook

    from clipvil.metrics import reward

    pictures = [*made.captions(shared, max(BATCH, round(IMAGES * share)))]
    known = dict[str, int]()

    def numbers(caption: str) -> list[int]:
        words = caption.lower().rstrip(" .").split()[:LONGEST]
        ids = [known.setdefault(word, len(known) + 1) for word in words]
        return [*ids, *[0] * (LONGEST + 1 - len(ids))]

    told = [np.array([numbers(one) for one in several], np.int64) for _, several, _ in pictures]
    generator = np.random.default_rng(0)
    samples = np.stack([one[generator.integers(len(one), size=SAMPLES)] for one in told[:BATCH]])
    spoilt = generator.random(samples.shape) < 0.2
    samples = np.where(spoilt & (samples > 0), generator.permuted(samples, axis=2), samples)

    def text(caption: np.ndarray) -> str:
        return " ".join(map(str, caption[: np.flatnonzero(caption == 0)[0] + 1].tolist()))

    seen = Counter[tuple[str, ...]]()
    for several in told:
        seen.update({gram for one in several for gram in precook(text(one))})
    document_frequency = defaultdict[tuple[str, ...], float](float, seen)
    references = [[text(one) for one in several] for several in told[:BATCH]]
    frequencies = reward.Frequencies(told)
    prepared = [reward.prepare(several, frequencies) for several in told[:BATCH]]

    def ours() -> np.ndarray:
        return reward.rewards(samples, prepared, frequencies)

    class Given(CiderScorer):
        """With the training set's number of images in place of the batch's."""

        ref_len = property(lambda self: math.log(len(told)), lambda self, value: None)

    def theirs() -> np.ndarray:
        scorer = Given()
        for image, several in enumerate(references):
            for sample in samples[image]:
                scorer += (text(sample), several)
        scorer.document_frequency = document_frequency
        return np.array(scorer.compute_cider()).reshape(BATCH, SAMPLES)

    np.testing.assert_allclose(ours(), theirs(), atol=1e-6)
    spent = np.empty((ROUNDS, 3))
    for round_ in range(ROUNDS):
        start, wall = time.process_time(), time.perf_counter()
        ours()
        middle, spent[round_, 2] = time.process_time(), time.perf_counter() - wall
        theirs()
        spent[round_, :2] = middle - start, time.process_time() - middle
    fast, slow, wall = np.median(spent, axis=0).tolist()
    return fast, slow, wall, None


# ---------------------------------------------------------------------------- questions


def vqa_accuracy(shared: Path, share: float) -> Row:
    """VQA accuracy of the validation questions, files in memory."""
    from clipvil.core import Data, Said
    from clipvil.evaluate.score import score
    from clipvil.tasks.vqa2 import TASK

    with tempfile.TemporaryDirectory() as name:
        made.vqa(Path(name), round(QUESTIONS_VAL * share), 40_504, "val")
        examples = TASK.examples(Data(Path(name)), "val")
    said = [(example.id, Said(example.target.answers[0])) for example in examples]
    _, seconds, wall = timed(lambda: score(TASK, examples, said))
    return seconds, None, wall, None


LOAD = """
import sys
from pathlib import Path
from clipvil.core import Data
from clipvil.tasks.vqa2 import TASK
TASK.examples(Data(Path(sys.argv[1])), "train")
told = Path("/proc/self/status").read_text()  # getrusage counts what the parent had at the fork
print(int(told.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9)
"""


def vqa_load(shared: Path, share: float, *, again: bool = False) -> Row:
    """VQA v2's training questions read in a process of its own: time and peak memory."""
    with tempfile.TemporaryDirectory() as name:
        made.vqa(Path(name), round(QUESTIONS_TRAIN * share), PICTURES_TRAIN, "train")
        kept = os.environ | {"XDG_CACHE_HOME": str(Path(name) / "cache")}

        def load() -> float:
            command = [sys.executable, "-c", LOAD, str(Path(name))]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=kept)
            return float(done.stdout)

        if again:
            load()
        peak, seconds, wall = timed(load)
    return seconds, None, wall, peak


def vqa_load_again(shared: Path, share: float) -> Row:
    """The same when they have been read before."""
    return vqa_load(shared, share, again=True)


# ---------------------------------------------------------------------------- walks


def walks(shared: Path, share: float) -> Row:
    """Shortest ways and metrics of R2R's unseen validation, the shared walks repeated."""
    from clipvil.core import Data
    from clipvil.evaluate.score import score
    from clipvil.files import read_json, write_json
    from clipvil.tasks.r2r import TASK

    folder = shared / "vln"
    paths = json.loads((folder / "R2R" / "R2R_val_unseen.json").read_text())
    told = read_json(shared / "expected" / "r2r_val_unseen.json.gz")["random"]["trajectories"]
    of = {walk["instr_id"]: walk["trajectory"] for walk in told}
    rows, said = [], []
    for number in range(math.ceil(WALKS * share / 3)):
        path = paths[number % len(paths)]
        rows.append(path | {"path_id": number, "instructions": path["instructions"][:3]})
        said += [
            {"instr_id": f"{number}_{k}", "trajectory": of[f"{path['path_id']}_{k}"]}
            for k in range(3)
        ]
    with tempfile.TemporaryDirectory() as name:
        write_json(Path(name) / "R2R_val_unseen.json", rows)
        write_json(Path(name) / "said", said)
        given = {("connectivity", "val_unseen"): folder / "connectivity"}

        def ours() -> object:
            examples = TASK.examples(Data(Path(name), given), "val_unseen")
            return score(TASK, examples, TASK.read(Path(name) / "said"))

        _, seconds, wall = timed(ours)
    return seconds, None, wall, None


LINES: dict[str, Callable[[Path, float], Row]] = {
    "captions": captions,
    "rewards": rewards,
    "vqa accuracy": vqa_accuracy,
    "vqa load": vqa_load,
    "vqa load again": vqa_load_again,
    "walks": walks,
}


def main() -> None:
    """One row a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of the true size")
    parser.add_argument("--only", nargs="*", choices=LINES, default=[*LINES])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    chosen = parser.parse_args()
    for what in chosen.only:
        ours, theirs, wall, peak = LINES[what](chosen.shared, chosen.share)
        ratio = None if theirs is None else theirs / ours
        figures = (ours, theirs, ratio, wall, peak)
        shown = ["" if figure is None else f"{figure:.4g}" for figure in figures]
        print(f"{what}: {', '.join(map(str.strip, shown))}")
        new = not chosen.out.is_file()
        with chosen.out.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(HEADER)
            machine = (date.today(), cpu(), platform.python_version())
            writer.writerow([*machine, what, chosen.share, *shown])


if __name__ == "__main__":
    main()
