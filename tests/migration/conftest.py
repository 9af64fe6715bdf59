"""Databases at a revision, with rows in them."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from recorder.store.engine import open_engine


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'recorder.db'}"


@pytest.fixture
def engine(url: str) -> Engine:
    """An engine for it."""
    return open_engine(url)
