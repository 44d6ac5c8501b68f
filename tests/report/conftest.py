"""A made-up comparison: three encoders, controls, sizes, seeds and shifts."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from clipvil.core import Labels, Measured, Metric, Splits, Task, Totals
from clipvil.evaluate.result import (
    ABOUT,
    RESULTS,
    About,
    Control,
    EncoderCost,
    Record,
    Seed,
    Shown,
    write_about,
    write_records,
)
from clipvil.evaluate.summary import CellScores, Questions, summarise

ENCODERS: dict[str, tuple[float, float, Control | None]] = {  # skill, what examples bring, control
    "tiny:supervised": (-0.35, 0.28, None),
    "tiny:clip": (0.02, 0.24, None),
    "timm:vit_base_patch32_clip_quickgelu_224.openai,size=384x640": (-0.3, 0.3, None),
    "prior": (-1.15, 0.0, "prior"),
    "text only": (-0.62, 0.02, "text"),
    "shuffled pictures": (-0.75, 0.02, "shuffled"),
}
SIZES = {"5%": 412, "20%": 1_650, "100%": 8_240}
SHIFTS = {None: 0.0, "other drawing style": -0.5, "unseen backgrounds": -0.2, "unseen pairs": -0.9}
TYPES = ("colour", "count", "shape", "size", "where", "yes/no")


def reduce(totals: Totals) -> dict[str, NDArray[np.float64]]:
    with np.errstate(invalid="ignore"):
        return {"accuracy": 100 * totals["credit"] / totals["count"]}


def refuse(*_: object) -> None:
    raise AssertionError


TASK = Task(
    name="vqa2", version=1, summary="", answer=Labels(9, refuse),  # type: ignore[arg-type]
    metrics=(Metric("accuracy", "%"),), splits=Splits("train", "val", "test"), files=(),
    examples=refuse, measure=refuse, reduce=reduce, read=refuse, write=refuse, tiny=refuse,  # type: ignore[arg-type]
)  # fmt: skip


def make_cells(gap: float = 1.0) -> list[CellScores]:
    """Cells of a comparison; `gap` stretches what lies between the encoders."""
    generator = np.random.default_rng(7)
    count = 1_200
    ids = tuple(f"q{i}" for i in range(count))
    pictures = tuple(f"p{i // 6}" for i in range(count))
    types = tuple(TYPES[i % 6] for i in range(count))
    hard = np.repeat(generator.normal(0, 0.7, count // 6), 6) + generator.normal(0, 1.1, count)
    easy = np.array([0.3, -0.3, 0.1, 0.0, -0.2, 0.5])[np.arange(count) % 6]
    cells = []
    for encoder, (skill, brings, control) in ENCODERS.items():
        base = ENCODERS["tiny:supervised"][0]
        level = skill if control else base + gap * (skill - base)
        for shots, size in SIZES.items():
            for seed in range(1 if control == "prior" else 3):
                for shift, cost in SHIFTS.items():
                    gain = brings * np.log(size / 412) / np.log(4)
                    luck = generator.normal(0, 0.03) + generator.normal(0, 0.6, count)
                    credit = level + gain + (cost if control is None else 0) + easy + luck > hard
                    rows = np.stack([credit, np.ones(count)], 1).astype(float)
                    questions = Questions(
                        split="test", shift=shift, ids=ids, clusters=pictures,
                        strata={"question type": types},
                    )  # fmt: skip
                    cells.append(CellScores(
                        questions=questions, measured=Measured(ids, ("credit", "count"), rows),
                        encoder=encoder, model="mcan", shots=shots, examples=size,
                        seed=Seed(data=seed, init=seed, order=seed), control=control,
                        fingerprint="3f9a" * 16, recipe="vqa2-mcan", commit="73ded14",
                        seconds=40.0 + size / 50, device="cpu", epochs=12.0,
                        learning_rate=(3e-4, 1e-3)[seed % 2], loss=0.31 + 0.01 * seed,
                        coverage=0.97,
                        converged=None if control == "prior" else
                        not (shots == "5%" and seed == 1 and encoder == "tiny:clip"),
                    ))  # fmt: skip
    return cells


def picture(hue: str) -> str:
    """A small picture as a data URI."""
    image = Image.new("RGB", (128, 96), "#d9d2c5")
    draw = ImageDraw.Draw(image)
    draw.ellipse((18, 30, 58, 70), fill=hue)
    draw.rectangle((76, 40, 108, 72), fill="#33517a")
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def make_about() -> About:
    costs = [
        EncoderCost(name=name, fingerprint="3f9a" * 16, parameters=parameters, width=width,
                    grid=grid, seconds_per_1000=seconds, bytes_per_picture=stored)
        for name, parameters, width, grid, seconds, stored in (
            ("tiny:supervised", 1_204_224, 128, (8, 8), 3.1, 16_384.0),
            ("tiny:clip", 1_204_224, 128, (8, 8), 3.2, 16_384.0),
            (list(ENCODERS)[2], 87_849_216, 768, (12, 20), 95.4, 368_640.0),
        )
    ]  # fmt: skip
    asked = ("What colour is the ball left of the blue box?", "How many round things are there?",
             "Is the <ball> larger than the box & near it?")  # fmt: skip
    shown = [
        Shown(id=str(i), question=question, picture=picture(hue),
              reference=["red", "red", "orange"],
              answers={"tiny:supervised": "blue", "tiny:clip": "red", list(ENCODERS)[2]: "orange"},
              scores={"tiny:supervised": 0.0, "tiny:clip": 1.0, list(ENCODERS)[2]: 0.3})
        for i, (question, hue) in enumerate(zip(asked, ("#b83a2b", "#d98a1f", "#3b7d4f"),
                                                strict=True))
    ]  # fmt: skip
    shown.append(Shown(
        id="3", question="", picture=picture("#b83a2b"),
        reference=["A red ball & a box.", "two things on a table", "two things on a table"],
        answers={"tiny:clip": "a <red> ball", list(ENCODERS)[2]: "a box"},
        scores={"tiny:clip": 1.2345, list(ENCODERS)[2]: 0.0},
    ))  # fmt: skip
    return About(
        command="clipvil compare --task vqa2 --data tabletop --encoders tiny:clip tiny:supervised "
        "--shots 5% 20% 100% --seeds 3 --baseline tiny:supervised --out runs/first",
        task="vqa2", data="tabletop", versions={"clipvil": "0.1.0", "torch": "2.13.0"},
        hardware="2 CPU cores", started="2026-11-22T13:33:24Z", encoders=costs,
        baseline="tiny:supervised", notes=["All shipped encoders have seen the drawing styles."],
        examples=shown,
    )  # fmt: skip


@pytest.fixture(scope="session")
def records() -> list[Record]:
    return summarise(make_cells(), TASK, baseline="tiny:supervised", replicates=200)


@pytest.fixture(scope="session")
def about() -> About:
    return make_about()


@pytest.fixture(scope="session")
def folder(records: list[Record], about: About, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a comparison leaves."""
    path = tmp_path_factory.mktemp("comparison")
    write_records(path / RESULTS, records)
    write_about(path / ABOUT, about)
    return path
