"""What captions of the embedded world say of their picture, and what training on CIDEr-D adds.

    python examples/captions_tabletop.py DIR [SEED] [PICTURES] [STEPS]

Draws a world of PICTURES (4,000) and a tenth as many to report on, and compares `tiny:clip` with
what sees nothing, over three seeds of cross-entropy for STEPS (600) steps. Captioners that learnt
for two thirds as many steps more, on CIDEr-D or on words again, are then compared with those.
Printed are CIDEr and paired differences, their 95 % intervals over pictures and seeds, and the
figure of each seed. What is finished is not done again.
"""

import sys
from dataclasses import replace
from pathlib import Path

from clipvil import api, recipes, tasks
from clipvil.core import Data, Measured
from clipvil.evaluate.result import Difference, Mean
from clipvil.evaluate.statistics import Estimate, difference
from clipvil.worlds import tabletop

SEEDS, SPLIT = 3, "val"


def told(what: str, found: Mean | Difference | Estimate) -> None:
    """A figure, its interval, and the seeds behind it."""
    each = ", ".join(f"{value:.3f}" for value in found.seeds)
    print(f"{what}: CIDEr {found.value:.3f} ({found.low:.3f} to {found.high:.3f}); {each}")


def measured(run: Path, moved: int = 0) -> Measured:
    """A run's captions, each given to the picture that stands so many places before its own."""
    said = dict(task.read(run / f"answers-{SPLIT}.json"))
    names = [example.id for example in examples]
    given = zip(names, names[moved:] + names[:moved], strict=True)
    return task.measure(examples, {name: said[other] for name, other in given})


root = Path(sys.argv[1])
seed, pictures, steps = (
    int(given) for given in (*sys.argv[2:], *("71", "4000", "600")[len(sys.argv) - 2 :])
)
data, task = root / "world", tasks.load("coco_caption")
if not (data / "captions_val2014.json").is_file():
    tabletop.write(
        data, seed=seed, train=pictures, val=pictures // 10, tasks=[task.name], shifts=False
    )
made = recipes.load("tabletop_captioner")
words, reward = (
    replace(stage, least_steps=many, most_steps=many)
    for stage, many in zip(made.stages, (steps, steps * 2 // 3), strict=True)
)
alone = replace(made, stages=(words,), rates=())
comparison = api.plan(
    task=task.name, data=data, encoders=["tiny:clip"], recipe=alone, shots=["100%"],
    seeds=SEEDS, jobs=1, out=root / "words",
)  # fmt: skip
for record in api.run(comparison, " ".join(["python", *sys.argv]), programs=False):
    if record.metric == "cider" and isinstance(record, Mean | Difference):
        beaten = f" minus {record.baseline}" if isinstance(record, Difference) else ""
        told(f"{record.encoder}{beaten}, words alone", record)
further = {"reward": reward, "more": replace(reward, objective=words.objective)}
for name, second in further.items():
    for run in range(SEEDS):
        where = root / name / f"seed-{run}"
        api.train(
            replace(made, stages=(words, second), rates=()), task=task.name, data=data,
            encoder="tiny:clip", out=where, seed=run, store=root / "words/stores",
        )  # fmt: skip
        api.evaluate(where)

examples = task.examples(Data(data), SPLIT)
places = ("words/cells/tiny_clip/*", *further)
learnt, rewarded, more = (
    [measured(run) for run in sorted(root.glob(f"{place}/seed-*"))] for place in places
)
elsewhere = [measured(run, 1) for run in sorted(root.glob(f"{places[0]}/seed-*"))]
for what, ours, theirs in (
    ("words alone, minus the same of another picture", learnt, elsewhere),
    ("CIDEr-D after words, minus words alone", rewarded, learnt),
    ("CIDEr-D after words, minus words for as many steps", rewarded, more),
):
    clusters = [example.cluster for example in examples]
    told(what, difference(ours, theirs, clusters, task.reduce, "cider"))
