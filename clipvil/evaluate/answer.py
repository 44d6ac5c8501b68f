"""A trained model's answers to examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from clipvil.core import Answer, Example, Said, Task
from clipvil.data import LabelData

BATCH = 256  # examples a forward; what is answered does not depend on it


def answer_labels(
    model: nn.Module, data: LabelData, answers: Sequence[str], device: torch.device
) -> dict[str, Answer]:
    """The likeliest answer to every example, by id."""
    said: dict[str, Answer] = {}
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(data), BATCH):
            batch = data.batch(np.arange(start, min(start + BATCH, len(data)))).to(device)
            logits = model(batch)  # [B, A]
            for name, best in zip(batch.ids, logits.argmax(1).tolist(), strict=True):
                said[name] = Said(answers[best])
    return said


def headline(task: Task, examples: Sequence[Example], answers: Mapping[str, Answer]) -> float:
    """The task's headline metric over examples, higher is better whatever its direction."""
    measured = task.measure(examples, answers)
    metric = task.headline(measured.columns)
    value = float(task.reduce(measured.totals())[metric.name])
    return value if metric.higher_is_better else -value
