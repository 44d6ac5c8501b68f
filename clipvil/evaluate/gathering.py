"""The features that a comparison reads: every encoder's, over as many processes as it may have."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from clipvil import encoders
from clipvil import pictures as opening
from clipvil.evaluate.compare import Comparison
from clipvil.evaluate.estimate import encode_second
from clipvil.evaluate.seen import Seen, given, is_given
from clipvil.evaluate.workers import Workers, encode_job
from clipvil.features.lookup import Gathered, gather, missing
from clipvil.features.workers import Team
from clipvil.progress import track

SHARED = 60.0  # seconds of work for one process from which all of them share an encoder's pictures


def gather_all(
    comparison: Comparison, pictures: Mapping[str, Path], workers: Workers
) -> dict[str, Seen]:
    """Encode what no store has yet, by encoder name.

    Quick encoders are handed out whole, one a process; the shards of a slow one go to all
    processes, or the slowest would be waited for. Who encodes a shard changes no byte of it. Where
    the recipe wants pictures encoded as they are needed, they are only tried here. Features that
    were given are seen to be there for all pictures before anything is encoded.
    """
    names, source = comparison.encoders, comparison.source
    seen = {name: given(name, source) for name in names if is_given(name)}
    loaded = {name: encoders.load(name) for name in names if not is_given(name)}
    if comparison.recipe.sight != "stored":
        failures = unreadable(pictures, comparison.jobs)
        nothing = Gathered(stores=(), failures=failures, seconds=None, bytes=None)
        return {name: Seen.by(name, encoder, nothing) for name, encoder in loaded.items()}
    files = list(pictures.values())
    for name, encoder in loaded.items():
        todo = missing(encoder.card.fingerprint, pictures, comparison.store)
        alone = comparison.jobs == 1 or torch.accelerator.is_available()
        if todo and not alone and len(todo) * encode_second(encoder, files) > SHARED:
            team = Team(encoder=name, devices=("cpu",) * comparison.jobs)
            threads = torch.get_num_threads()
            torch.set_num_threads(comparison.jobs)  # of which each process gets an even share
            gather(encoder, pictures, comparison.store, team)
            torch.set_num_threads(threads)
    jobs = [encode_job(name, source, comparison.store) for name in loaded]
    workers.run(jobs, "encoders at work")
    for name, encoder in loaded.items():
        seen[name] = Seen.by(name, encoder, gather(encoder, pictures, comparison.store))
    return {name: seen[name] for name in names}


def unreadable(pictures: Mapping[str, Path], threads: int) -> dict[str, str]:
    """Pictures that will be shown as empty, with the reason, as encoding them would tell."""

    def reason(path: Path) -> str | None:
        try:
            opening.read(path)
        except opening.BrokenPictureError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(threads) as pool:  # Pillow lets others run
        reasons = track(pool.map(reason, pictures.values()), "pictures", total=len(pictures))
        found = dict(zip(pictures, reasons, strict=True))
    return {name: said for name, said in found.items() if said is not None}
