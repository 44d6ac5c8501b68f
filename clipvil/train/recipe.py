"""Recipes as values: a model, its config, and the stages it goes through."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from clipvil.errors import UsageError

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One pass of training: what is learnt, for how long, how fast."""

    objective: str = "loss"
    """the model's method that says what is lost"""
    epochs: float = 13.0
    """passes over the fitting examples, before the bounds on steps"""
    least_steps: int = 1
    """steps at least, however few examples"""
    most_steps: int = 1_000_000
    """steps at most, however many examples"""
    batch: int = 64
    """examples a step, over all processes"""
    learning_rate: float = 1e-4
    """highest learning rate"""
    encoder_rate: float = 0.1
    """learning rate of an encoder that is trained, as a share of `learning_rate`"""
    warmup: float = 0.1
    """share of the steps in which the learning rate rises"""
    warmup_from: float = 0.0
    """share of the learning rate that the rise begins at"""
    fall: Literal["cosine", "root", "none"] = "cosine"
    """how it falls after: along a cosine to zero, with the root of the step, or not at all"""
    decay_at: tuple[float, ...] = ()
    """shares of the steps after which the rate falls by `decay` at once, instead of `fall`"""
    decay: float = 0.1
    """what the rate is multiplied by at each of `decay_at`"""
    optimizer: Literal["adamw", "adamax", "rmsprop"] = "adamw"
    """how weights follow the gradient"""
    betas: tuple[float, float] = (0.9, 0.98)
    """the optimizer's decay rates; rmsprop has the second only"""
    epsilon: float = 1e-8
    """what the optimizer adds to a denominator"""
    weight_decay: float = 0.0
    """the optimizer's weight decay"""
    clip: float | None = None
    """largest norm of the gradient, or none"""
    clip_each: float | None = None
    """largest size of each number of the gradient, or none"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """arithmetic of the forward pass"""
    validations: int = 10
    """how often the selection score is read; the best weights are kept"""

    def steps(self, examples: int) -> int:
        """Steps for that many examples: equal for every encoder."""
        return max(self.least_steps, min(self.most_steps, self.wanted(examples)))

    def wanted(self, examples: int) -> int:
        """Steps that the epochs make, before the bounds on them."""
        return round(self.epochs * examples / self.batch)

    def length(self, examples: int, number: int) -> str:
        """How long stage `number`, counted from 0, takes, for a person."""
        steps, bound = self.steps(examples), self.bound(examples, number)
        told = f"{steps:,} steps of {self.batch}, {steps * self.batch / examples:.1f} epochs"
        return f"{told} ({bound})" if bound else told

    def bound(self, examples: int, number: int) -> str:
        """Which bound set the steps of stage `number` and not its epochs, for a person; or none."""
        steps, wanted = self.steps(examples), self.wanted(examples)
        if steps == wanted:
            return ""
        least, field = ("least", "least_steps") if steps > wanted else ("most", "most_steps")
        return (
            f"at {least} {steps:,} by stages.{number}.{field}, where stages.{number}.epochs "
            f"{self.epochs:g} makes {wanted:,}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe(Generic[Config]):
    """How a model is made for a task; the encoder and the data are arguments, not part of it."""

    model: str
    """name of the model"""
    config: Config
    """what a person chooses of the model"""
    stages: tuple[Stage, ...]
    """in order; a later stage starts from the best weights of the one before, and leaves them where
    nothing that it learns scores as well"""
    rates: tuple[float, ...] = ()
    """grid of learning rates that `compare` tries, the same for every encoder"""
    words: Path | None = None
    """file of word vectors to begin with, a word and its numbers a line, as GloVe publishes them"""
    sight: Literal["stored", "live", "lora", "full"] = "stored"
    """how pictures are seen: stored = features encoded once; live = the same, encoded as they are
    needed; lora, full = by an encoder that learns, small products beside its weights or all"""
    select: Literal["apart", "reported"] = "apart"
    """what the best weights are chosen on: what is apart from the reported split, or that split
    itself, as published rows did; records then say so"""
    rank: int = 8
    """rank of the products that `sight=lora` learns"""

    def __post_init__(self) -> None:
        for number, stage in enumerate(self.stages):
            for name in ("batch", "least_steps", "most_steps", "validations"):
                if getattr(stage, name) < 1:
                    raise UsageError(f"--stages.{number}.{name.replace('_', '-')} is at least 1")
            if not stage.epochs > 0:
                raise UsageError(f"--stages.{number}.epochs must be above 0")
        if self.rank < 1:
            raise UsageError("--rank is at least 1")


def plain(recipe: Recipe[Any]) -> dict[str, Any]:
    """A recipe as JSON-ready data."""
    told = asdict(recipe) | {"words": None if recipe.words is None else str(recipe.words)}
    if recipe.select == "apart":  # runs from before there was a choice are of this kind
        del told["select"]
    return told
