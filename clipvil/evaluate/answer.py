"""What a trained model's answers are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipvil.core import Answer, Example, Task


def headline(task: Task, examples: Sequence[Example], answers: Mapping[str, Answer]) -> float:
    """The task's headline metric over examples, higher is better whatever its direction."""
    measured = task.measure(examples, answers)
    metric = task.headline(measured.columns)
    value = float(task.reduce(measured.totals())[metric.name])
    return value if metric.higher_is_better else -value
