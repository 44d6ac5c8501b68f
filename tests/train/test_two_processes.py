"""However many processes share a batch, its loss and gradients are those of the whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clipvil.train import keep
from tests.train import two_processes

ROOT = Path(__file__).parent.parent.parent
TOLERANCE = {
    None: 1e-5,
    "lora": 1e-4,
    "full": 1e-4,
    two_processes.TRIED: 1e-4,
    two_processes.WALKED: 1e-4,
}  # an encoder's batch is another one


@pytest.mark.slow
def test_two_processes_have_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    script = str(ROOT / "tests/train/two_processes.py")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name, launcher in (("one", []), ("two", torchrun)):
        subprocess.run(
            [sys.executable, *launcher, script, str(tmp_path / name)],
            check=True,
            env=environment,
            capture_output=True,
        )
    for way in TOLERANCE:
        (one, _), (two, facts) = (keep.load(tmp_path / n / str(way)) for n in ("one", "two"))
        assert facts["processes"] == 2 and one.keys() == two.keys()
        assert any(name.startswith("encoder.") for name in one) == (way in ("lora", "full"))
        assert float(one["loss"]) != 0.0
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=TOLERANCE[way], atol=1e-5, msg=name)
