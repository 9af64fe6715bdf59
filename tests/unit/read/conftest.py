"""A record to read."""

from pathlib import Path

import pytest

from tests.unit.read.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty record with two accounts."""
    return Desk(tmp_path / "recorder.db")
