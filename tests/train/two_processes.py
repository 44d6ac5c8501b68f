"""Loss and gradients of one batch, by however many processes run this; the first writes them."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from clipvil.train import keep
from clipvil.train.fit import Objective, joined
from tests.models.tiny import rows, small, some


def main(out: Path) -> None:
    accelerator = Accelerator(cpu=True)
    model = small()
    objective = accelerator.prepare(Objective(model))
    batch, share = some(8), slice(accelerator.process_index, None, accelerator.num_processes)
    loss = joined(objective(rows(batch, share)), accelerator)
    accelerator.backward(loss)
    value = accelerator.reduce(loss.detach(), "mean")
    if accelerator.is_main_process:
        found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        keep.save(out, found | {"loss": value}, {"processes": accelerator.num_processes})
    accelerator.end_training()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
