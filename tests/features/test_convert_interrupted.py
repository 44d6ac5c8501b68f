"""A conversion that is killed goes on to the same bytes, and memory does not grow."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from clipvil.features import convert as converting
from clipvil.features import legacy, plan, shards
from clipvil.features.convert import Given, convert
from tests.features.legacy_files import BUTD, draw, region_row, text, write_tsv


def test_an_interrupted_conversion_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [region_row(k, 5 + k % 3) for k in range(23)]
    rows[4]["num_boxes"] = rows[9]["num_boxes"] = 3
    write_tsv(tmp_path / "a.tsv", BUTD, rows)
    monkeypatch.setattr(plan, "SHARD_PICTURES", 4)
    given = Given(source=tmp_path / "a.tsv", name="b", dtype="fp16")
    convert(given, tmp_path / "whole")
    step = converting.run(given, legacy.find(given.source), tmp_path / "cut")
    (tmp_path / "cut").mkdir()
    converting.begin(given, legacy.find(given.source), tmp_path / "cut")
    for _ in range(14):
        next(step)
    (tmp_path / "cut" / ".shard-00003.safetensors.x").write_text("half")
    done = convert(given, tmp_path / "cut")
    assert done.converted == 23 - 12 and len(done.failures) == 2
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "cut" / path.name).read_bytes() == path.read_bytes()
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == sorted(
        p.name for p in (tmp_path / "whole").iterdir()
    )
    with pytest.raises(ValueError, match="another dtype"):
        convert(Given(source=given.source, name="b", dtype="fp32"), tmp_path / "cut")
    assert convert(given, tmp_path / "cut").converted == 0


IN_PARTS = """
import sys
from pathlib import Path
from clipvil.features import plan
from clipvil.features.convert import Given, convert

plan.SHARD_BYTES = 1 << 20
root = Path(sys.argv[1])
convert(Given(source=root / "a.tsv", name="b", dtype="fp16"), root / sys.argv[2])
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = region_row(0, 36) | {"features": text(draw(36, 512))}
    write_tsv(tmp_path / "a.tsv", BUTD, [row | {"image_id": k} for k in range(300)])
    monkeypatch.setattr(plan, "SHARD_BYTES", 1 << 20)
    given = Given(source=tmp_path / "a.tsv", name="b", dtype="fp16")
    convert(given, tmp_path / "whole")
    with subprocess.Popen([sys.executable, "-c", IN_PARTS, str(tmp_path), "cut"]) as running:
        while not (tmp_path / "cut" / shards.name(2)).is_file():
            assert running.poll() is None
            time.sleep(0.001)
        running.kill()
    assert not (tmp_path / "cut" / "manifest.json").is_file(), "killed too late to show anything"
    convert(given, tmp_path / "cut")
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "cut").iterdir())
    for name in names:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


GROWTH = """
import resource, sys
from pathlib import Path
from clipvil.features import plan
from clipvil.features.convert import Given, convert

plan.SHARD_BYTES = 1 << 20
peaks = []
for name in ("first", "small", "large"):
    given = Given(source=Path(sys.argv[1]) / f"{name}.tsv", name="b", dtype="fp16")
    convert(given, Path(sys.argv[1]) / name)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[2] - peaks[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    row = region_row(0, 36) | {"features": text(draw(36, 512))}
    for name, count in (("first", 40), ("small", 40), ("large", 400)):
        rows = [row | {"image_id": k} for k in range(count)]
        write_tsv(tmp_path / f"{name}.tsv", BUTD, rows)
    assert (tmp_path / "large.tsv").stat().st_size > 37e6
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 10_000, "kB; the shard in hand takes one thousand"
