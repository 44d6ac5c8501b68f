"""What a cell's model sees pictures through: a store, or an encoder that may learn with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from clipvil import encoders
from clipvil.answers.moves import atlas_of
from clipvil.core import Moves, UsageError
from clipvil.data import around, live
from clipvil.data.around import Around
from clipvil.data.sight import Blind, Shuffled, Sight, Statistics, Stored
from clipvil.encoders import _tuning
from clipvil.encoders.base import Encoder, device
from clipvil.evaluate import probe, splits
from clipvil.evaluate.run import Plan, read_statistics, write_statistics
from clipvil.features.lookup import Lookup
from clipvil.models._seeing import Seeing
from clipvil.train import keep
from clipvil.train.fit import processes

STATISTICS = "statistics.safetensors"


def encoder_of(plan: Plan) -> Encoder:
    """The encoder that a run begins with.

    Raises
        ValueError: under that name there is another one now
    """
    assert plan.arm.encoder is not None
    encoder = encoders.load(plan.arm.encoder).to(device())
    if encoder.card.fingerprint != plan.arm.fingerprint:
        raise ValueError(
            f"{plan.arm.encoder} is not what {plan.folder} was trained on: its weights or its "
            "preprocessing have changed"
        )
    return encoder


def looks(plan: Plan) -> bool:
    """Whether pictures are encoded as they are needed, and not out of stores."""
    return plan.arm.encoder is not None and plan.recipe.sight != "stored"


def reads_only(plan: Plan) -> bool:
    """Whether features stand in the place of an encoder, so that no other picture has any."""
    return plan.arm.encoder is None and bool(plan.arm.stores)


def features_of(plan: Plan) -> Lookup:
    """A run's stores; names in features that no encoder of ours made are not ours."""
    return Lookup(plan.arm.stores, loosely=plan.arm.encoder is None)


def walks(plan: Plan) -> bool:
    """Whether what is answered is a walk, on which one looks around."""
    return isinstance(plan.source.load().answer, Moves)


def views(plan: Plan) -> Path:
    """Where the views of all viewpoints are put together: beside stores, or in the run."""
    first = plan.arm.stores[0]
    return first.parent / "views" if first.is_dir() else plan.folder / "views"


def shown(plan: Plan, files: Mapping[str, Path]) -> Collection[str] | None:
    """The pictures that walkers see; None where features are given, which name viewpoints."""
    return None if reads_only(plan) else files.keys()


def statistics_of(plan: Plan, part: splits.Part, encoder: Encoder | None) -> Statistics | None:
    """Feature statistics of a cell's fitting pictures, written into its folder; none for the blind.

    What was encoded for them is not encoded again, by a later run or another process.

    Raises
        UsageError, ValueError: the model reads pooled vectors, and there are none
    """
    path, pooled = plan.folder / STATISTICS, getattr(plan.recipe.config, "pooled", False)
    if encoder is not None:
        if pooled:
            raise UsageError("pooled vectors come out of stores: leave sight as it is, stored")
        with processes().main_process_first():
            if not path.is_file():
                write_statistics(path, live.statistics(encoder, part.files, part.pictures))
        return read_statistics(path)
    if not plan.arm.stores:
        return None
    if walks(plan):
        atlas = atlas_of(part.examples)
        found = around.statistics(plan.arm.stores, views(plan), atlas, shown(plan, part.files))
    else:
        found = Statistics.of(features_of(plan), part.pictures, pooled=pooled)
    write_statistics(path, found)
    return found


def sight(
    plan: Plan,
    statistics: Statistics | None,
    files: Mapping[str, Path],
    encoder: Encoder | None,
    *,
    pixels: bool = False,
) -> Sight:
    """What the arm's model gets to see of `files`; they may be swapped.

    Args
        encoder: what encodes as pictures are needed; none for stores
        pixels: leave that to the model
    """
    seen: Sight
    if walks(plan) and plan.arm.stores and statistics is not None:
        mixed = plan.repetition if plan.arm.control == "shuffled" else None
        return Around(plan.arm.stores, views(plan), statistics, mixed, shown(plan, files))
    if encoder is not None and pixels:
        seen = live.Shown(encoder.preprocessing, files)
    elif encoder is not None and statistics is not None:
        seen = live.Live(encoder, files, statistics)
    elif plan.arm.stores and statistics is not None:
        lookup = features_of(plan)
        lookup.expect(plan.arm.fingerprint)
        seen = Stored(lookup, statistics)
    else:
        return Blind()
    match plan.arm.control:
        case "shuffled":
            return Shuffled(seen, sorted(files), seed=plan.repetition)
        case "probe":
            return probe.Averaged(seen)
        case _:
            return seen


# ---------------------------------------------------------------------------- encoders that learn


def way_of(plan: Plan) -> _tuning.Way | None:
    """How the encoder learns; none where it does not. A probe is of the encoder as it was."""
    way = plan.recipe.sight
    if way == "stored" or way == "live" or plan.arm.control == "probe":
        return None
    return way


def seeing(
    plan: Plan, model: nn.Module, encoder: Encoder | None, statistics: Statistics | None
) -> nn.Module:
    """The model with the encoder that learns with it, where the recipe says so.

    Raises
        UsageError: that encoder cannot be trained so
    """
    way = way_of(plan)
    if encoder is None or statistics is None or way is None:
        return model
    return Seeing(model, encoder, statistics, way=way, rank=plan.recipe.rank)


def best(plan: Plan) -> tuple[dict[str, Tensor], Encoder | None]:
    """The best weights of a fitted run's model, and the encoder with what it learnt.

    No encoder where the run reads stores.

    Raises
        ValueError: as `encoder_of`, or the trained weights are not of that encoder
    """
    weights = keep.best(plan.folder)
    if not looks(plan):
        return weights, None
    encoder, way = encoder_of(plan), way_of(plan)
    if way is None:
        return weights, encoder.freeze()
    _tuning.tune(encoder, way, plan.recipe.rank)
    return (
        keep.part(weights, "model."),
        _tuning.restore(encoder, keep.part(weights, "encoder.")),
    )
