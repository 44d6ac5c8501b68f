"""A run folder: what a cell was made from, on disk, enough to run and to score it again.

Tensors are safetensors, the rest is JSON; nothing in it is a pickle.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clipvil import answers, models
from clipvil.answers.base import Known
from clipvil.core import Data, Task
from clipvil.data.sight import Statistics
from clipvil.evaluate import splits
from clipvil.evaluate.protocol import Seeds
from clipvil.evaluate.result import Control
from clipvil.files import read_json, sha256, write_json
from clipvil.train import keep
from clipvil.train.recipe import Recipe, Stage, plain

VOCABULARY = "vocabulary.json"
# what a person calls the facts of a run, and those that are too long to be read
CALLED = {"arm": "encoder", "given": "files", "repetition": "seed", "rate": "learning rate"}
LONG = {
    "fingerprint": "the encoder's weights or preprocessing",
    "content": "what the examples say",
    "code": "the file of your model",
    "fit": "the examples to fit",
    "select": "the examples to select on",
}
NAMED = 5  # differences in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Whose pictures a model sees: an encoder's, none, or an encoder's in the wrong order."""

    name: str
    encoder: str | None = None
    fingerprint: str | None = None
    stores: tuple[Path, ...] = ()
    control: Control | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a cell is made from."""

    source: splits.Source
    recipe: Recipe[Any]
    arm: Arm
    shots: str
    repetition: int
    rate: float
    folder: Path

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The first stage with this cell's learning rate, later ones in proportion to it."""
        first, *later = self.recipe.stages
        scale = self.rate / first.learning_rate
        return replace(first, learning_rate=self.rate), *(
            replace(stage, learning_rate=scale * stage.learning_rate) for stage in later
        )


def answers_name(task: Task, shift: str | None) -> str:
    """File of the answers to the report split or a shift of it."""
    return f"answers-{task.splits.report}{f'-{shift}' if shift else ''}.json"


def source_to_json(source: splits.Source) -> dict[str, Any]:
    """Whose examples, as JSON-ready data."""
    root, given = source.data.root, sorted(source.data.given.items())
    return {
        "task": source.task,
        "data": None if root is None else str(root.resolve()),
        "given": [[*key, str(path.resolve())] for key, path in given],
        "limit": source.limit,
    }


def source_from_json(told: Mapping[str, Any]) -> splits.Source:
    """What `source_to_json` told."""
    root = None if told["data"] is None else Path(told["data"])
    given = {(role, split): Path(where) for role, split, where in told["given"]}
    return splits.Source(told["task"], Data(root, given), told["limit"])


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON-ready data; stores are told from its folder, so that both can move."""
    own = plan.recipe.model.removeprefix("module:")
    code = {} if own == plan.recipe.model else {"code": sha256(Path(own))}
    return (
        code
        | source_to_json(plan.source)
        | {
            "encoder": plan.arm.encoder,
            "arm": plan.arm.name,
            "control": plan.arm.control,
            "fingerprint": plan.arm.fingerprint,
            "stores": [os.path.relpath(path, plan.folder) for path in plan.arm.stores],
            "shots": plan.shots,
            "repetition": plan.repetition,
            "rate": plan.rate,
            "recipe": plain(plan.recipe),
        }
    )


def from_json(told: Mapping[str, Any], folder: Path) -> Plan:
    """The plan that `to_json` told, in its folder."""
    made = told["recipe"]
    config = models.load(made["model"]).Config(**made["config"])
    recipe = Recipe(
        model=made["model"],
        config=config,
        stages=tuple(Stage(**tupled(stage)) for stage in made["stages"]),
        rates=tuple(made["rates"]),
        words=None if made["words"] is None else Path(made["words"]),
        sight=made["sight"],
        select=made.get("select", "apart"),
        rank=made["rank"],
    )
    return Plan(
        source=source_from_json(told),
        recipe=recipe,
        arm=Arm(
            name=told["arm"],
            encoder=told["encoder"],
            fingerprint=told["fingerprint"],
            stores=tuple(folder / store for store in told["stores"]),
            control=told["control"],
        ),
        shots=told["shots"],
        repetition=told["repetition"],
        rate=told["rate"],
        folder=folder,
    )


def tupled(told: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as a frozen dataclass has them: JSON knows no tuples."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}


def begin(plan: Plan, version: int, seeds: Seeds, subset: Mapping[str, Any], content: str) -> None:
    """Write what the run is made from, or see that the folder holds this very run.

    Raises
        ValueError: the folder holds another run; names what differs
    """
    told = to_json(plan) | {"version": version, "seeds": asdict(seeds), "content": content}
    told["stores"] = sorted(told["stores"])
    written = {"recipe.json": told, "subset.json": dict(subset), "environment.json": environment()}
    for name, facts in written.items():
        path = plan.folder / name
        if path.is_file():
            if name != "environment.json":
                refuse_another(plan.folder, read_json(path), facts)
        else:
            write_json(path, facts, indent=None if name == "subset.json" else 1)


def require_same(plan: Plan) -> None:
    """See that a folder which holds a run holds this one, before anything is encoded for it.

    Raises
        ValueError: it holds another run; says what differs
    """
    path, told = plan.folder / "recipe.json", to_json(plan)
    if plan.arm.fingerprint is None:  # weights that are not at hand yet
        del told["fingerprint"]
    if path.is_file():
        refuse_another(plan.folder, read_json(path), told)


def refuse_another(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise where the facts of a run folder are not those of a run, whose stores may have moved."""
    told = {k: plainly(v) for k, v in now.items() if k not in ("stores", "encoder")}
    if before.get("arm") != told.get("arm"):  # another encoder, of which that is no news
        told.pop("fingerprint", None)
    long = [LONG[k] for k in LONG if k in told and before.get(k) != told[k]]
    old, new = ({k: facts.get(k) for k in told if k not in LONG} for facts in (before, told))
    differ = [*differences(old, new), *long]
    if differ:
        more = f"; and {len(differ) - NAMED} more" if len(differ) > NAMED else ""
        raise ValueError(
            f"{folder} holds another run ({'; '.join(differ[:NAMED])}{more}): take another --out, "
            "or remove it"
        )


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """Where JSON-ready data differ: `stages.0.epochs 2.0, not 3.0`."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            said
            for name in dict.fromkeys([*now, *before])
            for said in differences(before.get(name), now.get(name), f"{place}.{name}")
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [said for k, pair in pairs for said in differences(*pair, f"{place}.{k}")]
    name = place.removeprefix(".").removeprefix("recipe.")
    return [f"{CALLED.get(name, name)} {before}, not {now}"]


def plainly(value: Any) -> Any:
    """A value as JSON gives it back: tuples are lists there."""
    return json.loads(json.dumps(value))


def read_plan(folder: Path) -> Plan:
    """The plan of a run folder.

    Raises
        ValueError: no run there
    """
    path = folder / "recipe.json"
    if not path.is_file():
        raise ValueError(f"{folder} is not a run: it has no recipe.json")
    return from_json(read_json(path), folder)


def environment() -> dict[str, str]:
    """What the run was made with."""
    from importlib.metadata import version

    packages = ("clipvil", "torch", "timm", "accelerate", "numpy", "safetensors", "pillow")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {"python": platform.python_version(), "device": device} | {
        p: version(p) for p in packages
    }


def read_known(plan: Plan) -> Known:
    """What a run's training subset taught before training."""
    facts = read_json(plan.folder / VOCABULARY, dict[str, Any])
    return answers.read(plan.source.load(), facts, plan.recipe.config)


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Feature statistics as a tensor file."""
    tensors = {"mean": statistics.mean, "deviation": statistics.deviation}
    if (pooled := statistics.pooled) is not None:
        tensors |= {"pooled.mean": pooled.mean, "pooled.deviation": pooled.deviation}
    keep.save(path, {name: torch.from_numpy(array) for name, array in tensors.items()}, {})


def read_statistics(path: Path) -> Statistics:
    """What `write_statistics` wrote."""
    tensors, _ = keep.load(path)
    pooled = None
    if "pooled.mean" in tensors:
        pooled = Statistics(tensors["pooled.mean"].numpy(), tensors["pooled.deviation"].numpy())
    return Statistics(tensors["mean"].numpy(), tensors["deviation"].numpy(), pooled)
