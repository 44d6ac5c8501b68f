"""The one training loop. Methods differ in `model.loss(batch)`; validation is handed in.

Reference   accelerate brings device, precision and processes; every process takes its share of each
            batch, and sums of losses and weights are joined, so that the gradient is that of the
            whole batch however many processes there are
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from numpy.typing import NDArray
from torch import Tensor, nn

from clipvil.files import write_bytes
from clipvil.models._seeing import Seeing
from clipvil.models.base import Loss
from clipvil.processes import keep_memory
from clipvil.train import keep
from clipvil.train.pace import optimizer_of, order, rate
from clipvil.train.recipe import Stage

INTERVAL = 300.0  # seconds of work that an interruption may cost at most
LOGGED = 10  # steps between lines of metrics.jsonl


class Batch(Protocol):
    """What the loop needs of a batch: the ids in it, and to be moved."""

    @property
    def ids(self) -> tuple[str, ...]: ...

    def to(self, device: torch.device) -> Any: ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """How training ended; `best` is the highest selection score and `step` where it stood."""

    best: float
    step: int  # 0 where the weights that a later stage began with stayed the best
    steps: int
    epochs: float
    loss: float  # mean over the last tenth of the steps
    converged: bool  # the selection score did not rise in the last tenth

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Fitted:
        """From the facts of a checkpoint or a JSON file."""
        return cls(**{name: facts[name] for name in cls.__dataclass_fields__})


class Objective(nn.Module):
    """A model's loss as a forward, which is what data-parallel wrappers watch."""

    def __init__(self, model: nn.Module, name: str = "loss") -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, batch: Any) -> Loss:
        """Sum, weight and parts of the loss."""
        model = self.model
        if isinstance(model, Seeing):
            batch, model = model.see(batch), model.model
        loss: Loss = getattr(model, self.name)(batch)
        return loss


def processes() -> PartialState:
    """This process among those that torchrun started, with or without an accelerator."""
    return PartialState(cpu=not torch.accelerator.is_available())


def accelerator_of(model: nn.Module) -> Accelerator:
    """What brings a model to its device, and the processes that torchrun started together."""
    partial = bool(getattr(model, "partial", False))  # objectives leave some weights alone
    return Accelerator(
        mixed_precision="no",  # precision is a stage's own, while accelerate knows one a process
        cpu=not torch.accelerator.is_available(),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=partial)],
    )


def joined(loss: Loss, accelerator: Accelerator) -> Tensor:
    """The mean over all processes, scaled so that averaged gradients are the whole batch's."""
    weight = accelerator.reduce(loss.weight.detach(), "sum")
    mean: Tensor = loss.total * accelerator.num_processes / weight
    return mean


def fit(
    model: nn.Module,
    stage: Stage,
    *,
    examples: int,
    batch: Callable[[NDArray[np.int64]], Batch],
    validate: Callable[[nn.Module], float],
    run: Path,
    seed: int,
    start: float | None = None,
    watch: Callable[[int, int], None] = lambda step, steps: None,
) -> tuple[Fitted, float]:
    """Train `model` in `run`, going on from a checkpoint there; it ends with its best weights.

    Returns how it ended and the seconds it took, those before an interruption included.

    Args
        batch: indices of examples -> a batch; called with this process's share of each step
        validate: model in evaluation mode -> selection score, higher is better
        seed: of the order of examples
        start: selection score of the weights it begins with, which stay unless others score as well

    Raises
        FloatingPointError: the loss is no longer finite; names the step and the ids in the batch
    """
    keep_memory()
    accelerator = accelerator_of(model)
    half = torch.autocast(accelerator.device.type, torch.bfloat16, stage.precision == "bf16")
    objective, optimizer = accelerator.prepare(
        Objective(model, stage.objective), optimizer_of(model, stage)
    )
    loop = _Loop(model, optimizer, accelerator, run, stage.steps(examples))
    loop.resume()
    if start is not None and loop.step == 0:
        loop.selected(start)
    stops = {round(loop.steps * (k + 1) / stage.validations) for k in range(stage.validations)}
    while loop.step < loop.steps:
        objective.train()
        indices = order(loop.step, examples, stage.batch, seed)
        mine = indices[accelerator.process_index :: accelerator.num_processes]
        ready = batch(mine).to(accelerator.device)
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * rate(loop.step, loop.steps, stage)
        with half:
            loss = joined(objective(ready), accelerator)
        value = float(accelerator.reduce(loss.detach(), "mean"))
        if not math.isfinite(value):
            ids = ", ".join(ready.ids[:8])
            raise FloatingPointError(f"loss is {value} at step {loop.step}; in the batch: {ids}")
        accelerator.backward(loss)
        if stage.clip_each is not None:
            accelerator.clip_grad_value_(model.parameters(), stage.clip_each)
        if stage.clip is not None:
            accelerator.clip_grad_norm_(model.parameters(), stage.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loop.passed(value, stage, examples)
        if loop.step in stops:
            loop.selected(validate(model.eval()))
        loop.keep(force=loop.step in stops)
        watch(loop.step, loop.steps)
    model.load_state_dict(keep.best(run))
    return loop.fitted(stage, examples), loop.seconds()


class _Loop:
    """Where a run stands, and its files: `last` and `best` checkpoints, `metrics.jsonl`."""

    def __init__(
        self, model: nn.Module, optimizer: Any, accelerator: Accelerator, run: Path, steps: int
    ) -> None:
        self.model, self.optimizer, self.accelerator = model, optimizer, accelerator
        self.run, self.steps = run, steps
        self.step, self.best, self.best_step = 0, -math.inf, 0
        self.recent = list[float]()  # losses since the last line of the log
        self.tail = (0.0, 0)  # sum and number of losses in the last tenth of the steps
        self.scores = list[tuple[int, float]]()
        self.lines = list[str]()
        self.saved = self.started = time.monotonic()
        self.before = 0.0  # seconds of work before an interruption

    def seconds(self) -> float:
        """Seconds of work so far."""
        return self.before + time.monotonic() - self.started

    def resume(self) -> None:
        """Go on from `last.safetensors` where there is one."""
        path = self.run / "last.safetensors"
        if path.is_file():
            tensors, facts = keep.load(path)
            keep.unpack(tensors, self.model, self.optimizer)
            self.step, self.best, self.best_step = facts["step"], facts["best"], facts["best_step"]
            self.before = facts["seconds"]
            self.recent, self.tail = facts["recent"], tuple(facts["tail"])
            self.scores = [tuple(score) for score in facts["scores"]]
            lines = (self.run / "metrics.jsonl").read_text().splitlines()
            self.lines = [line for line in lines if json.loads(line)["step"] <= self.step]

    def passed(self, loss: float, stage: Stage, examples: int) -> None:
        """Note a step."""
        self.recent.append(loss)
        self.step += 1
        if self.step > 0.9 * self.steps:
            self.tail = (self.tail[0] + loss, self.tail[1] + 1)
        if len(self.recent) == LOGGED or self.step == self.steps:
            line = {
                "step": self.step,
                "epoch": self.step * stage.batch / examples,
                "loss": sum(self.recent) / len(self.recent),
                "rate": rate(self.step - 1, self.steps, stage),
            }
            self.lines.append(json.dumps(line))
            self.recent = []

    def selected(self, score: float) -> None:
        """Note a selection score; the best weights so far are kept."""
        self.scores.append((self.step, score))
        self.lines.append(json.dumps({"step": self.step, "select": score}))
        # not all that is learnt shows in the score: where that is no worse, nothing learnt is lost
        if score > self.best or (score == self.best and self.best_step == 0):
            self.best, self.best_step = score, self.step
            if self.accelerator.is_main_process:
                keep.save_best(self.run, self.model.state_dict(), {"step": self.step})

    def keep(self, *, force: bool) -> None:
        """Checkpoint when asked to, and at least every `INTERVAL`."""
        if not force and time.monotonic() - self.saved < INTERVAL:
            return
        if self.accelerator.is_main_process:
            facts = {
                "step": self.step, "best": self.best, "best_step": self.best_step,
                "recent": self.recent, "tail": self.tail, "scores": self.scores,
                "seconds": self.seconds(),
            }  # fmt: skip
            # the log first: lines past the checkpoint are dropped when a run goes on
            write_bytes(self.run / "metrics.jsonl", "".join(f"{s}\n" for s in self.lines).encode())
            keep.save(self.run / "last.safetensors", keep.pack(self.model, self.optimizer), facts)
        if force:  # by the clock, processes do not come here at the same step
            self.accelerator.wait_for_everyone()
        self.saved = time.monotonic()

    def fitted(self, stage: Stage, examples: int) -> Fitted:
        """How it ended."""
        before = max((s for step, s in self.scores if step <= 0.9 * self.steps), default=-math.inf)
        return Fitted(
            best=self.best,
            step=self.best_step,
            steps=self.steps,
            epochs=self.steps * stage.batch / examples,
            loss=self.tail[0] / self.tail[1],
            converged=self.best <= before,
        )
