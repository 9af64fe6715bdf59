"""A file for a configuration, and the secrets that it names."""

from pathlib import Path

import pytest

from tests.unit.toml.example import KEY, SECRET


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMEX_KEY", KEY)
    monkeypatch.setenv("FMEX_SECRET", SECRET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recorder.toml"
