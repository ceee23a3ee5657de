"""What all tests share: the shipped grids, and a cache of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def grids() -> Path:
    """Folder of the shipped cases."""
    return ROOT / "grids"
