"""Encoders of other libraries, held against those libraries' own forward."""

from pathlib import Path

import pytest

from clipvil import encoders
from clipvil.health import numbers, sources
from clipvil.health.examine import examine
from tests.encoders import small

pytestmark = pytest.mark.slow  # open_clip alone takes seconds to import


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write(tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit", ""),
        ("resnet", ""),
        ("vit", ",layer=0"),
        ("resnet", ",layer=0"),
    ],
)
def test_open_clips_networks_are_its_own(
    name: str, options: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "SECONDS", 0.0)
    spec = f"openclip:local-dir:{folders}/openclip/{name},weights=random{options}"
    found = {f.check: f for f in examine(encoders.load(spec), sources.of(spec), numbers.made)}
    assert not {name: f.reason for name, f in found.items() if f.state == "failed"}
    assert found["parity"].state == "passed"
    assert found["parity at a rectangle"].state == "not applicable"


def test_a_fault_of_an_open_clip_network_is_caught(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "SECONDS", 0.0)
    spec = f"openclip:local-dir:{folders}/openclip/vit,weights=random"
    encoder = encoders.load(spec)
    encoder.get_parameter("network.layers.visual.positional_embedding").data.zero_()
    found = examine(encoder, sources.of(spec), numbers.made)
    failed = {finding.check for finding in found if finding.state == "failed"}
    assert "positions" in failed and "parity" in failed


@pytest.mark.parametrize(("name", "options"), [*((n, "") for n in small.HF), ("clip", ",layer=0")])
def test_transformers_networks_are_its_own(
    name: str, options: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "SECONDS", 0.0)
    spec = f"hf:{folders}/hf/{name},weights=random{options}"
    source = sources.of(spec)
    assert source is not None and source.library.startswith("transformers ")
    found = {f.check: f for f in examine(encoders.load(spec), source, numbers.made)}
    assert not {name: f.reason for name, f in found.items() if f.state == "failed"}
    assert found["parity"].state == "passed"
    one_size = name == "swin"  # its windows fit its own
    assert found["parity at a rectangle"].state == ("not applicable" if one_size else "passed")


def test_faults_of_a_network_of_transformers_are_caught(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "SECONDS", 0.0)
    spec = f"hf:{folders}/hf/clip,weights=random"
    encoder = encoders.load(spec)
    encoder.get_parameter(
        "network.network.vision_model.embeddings.position_embedding.weight"
    ).data.zero_()
    encoder.std *= 1.1
    found = examine(encoder, sources.of(spec), numbers.made)
    failed = {finding.check for finding in found if finding.state == "failed"}
    assert {"positions", "normalisation", "parity"} <= failed
