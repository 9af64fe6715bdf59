"""What the tests of whole processes share."""

from pathlib import Path

import pytest

from tests.integration.process import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A user's empty folder."""
    return Folder(tmp_path)
