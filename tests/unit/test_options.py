"""Options that several commands share."""

from pathlib import Path

import click
import pytest

from recorder.cli.options import Duration, Instant, database_url, filter_of
from recorder.config import EXAMPLE
from recorder.errors import ConfigurationError
from recorder.read.record import Filter


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_which_record(folder: Path) -> None:
    assert database_url(None, None) == "sqlite:///recorder.db"
    (folder / "recorder.toml").write_text(EXAMPLE.replace("recorder.db", "default.db"))
    (folder / "other.toml").write_text(EXAMPLE.replace("recorder.db", "other.db"))
    assert database_url(None, None) == f"sqlite:///{folder}/default.db"
    assert database_url(None, Path("other.toml")) == f"sqlite:///{folder}/other.db"
    assert database_url("sqlite:///named.db", Path("other.toml")) == "sqlite:///named.db"
    with pytest.raises(ConfigurationError, match=r"There is no configuration nowhere\.toml"):
        database_url(None, Path("nowhere.toml"))


def test_a_filter_takes_its_options_out() -> None:
    options = {"account": "main", "symbol": None, "since": 1, "until": None, "history": True}
    assert filter_of(options) == Filter("main", None, 1, None)
    assert options == {"history": True}


def test_durations_and_instants() -> None:
    assert Duration().convert("1h30m", None, None) == 5400.0
    assert Duration().convert(6.0, None, None) == 6.0
    assert Instant().convert("1970-01-01T00:00:01Z", None, None) == 10**9
    assert Instant().convert(5, None, None) == 5
    for kind, text in (
        (Duration(), "soon"),
        (Duration(above_zero=True), "0s"),
        (Instant(), "yesterday"),
        (Instant(), "2020"),
    ):
        with pytest.raises(click.BadParameter, match="write for example"):
            kind.convert(text, None, None)
