"""Small models of every library, and a machine without a hub."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from clipvil.encoders import _weights
from tests.encoders import small


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`openclip/NAME` and `hf/NAME`, without weights."""
    return small.write(tmp_path_factory.mktemp("small"))


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty hub cache, and no hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(_weights, "reachable", lambda endpoint: False)
    return tmp_path / "hub"
