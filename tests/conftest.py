"""What all tests share: one thread, quick properties, the folder of published examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported anywhere

# a loaded machine is slow, not wrong; the same cases every time
settings.register_profile("clipvil", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("clipvil")

CHECKOUT = Path(__file__).parent.parent
LONGEST = ("test_readme.py", "test_killed.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first, or one process would be at them when the others have ended."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Parts of the published data sets and what the official scorers say of them."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no published examples in {folder}")
    return folder


@pytest.fixture(scope="session")
def expected(shared: Path) -> Path:
    """What the official scorers say."""
    return shared / "expected"
