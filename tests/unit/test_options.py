"""Options that several commands share."""

from pathlib import Path

import click
import pytest

from recorder.cli import options
from recorder.cli.options import Duration, Instant, Names, RecordAddress
from recorder.cli.output import Layout
from recorder.config_file import EXAMPLE
from recorder.errors import ConfigurationError
from recorder.read.records import Filter


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_which_record(folder: Path) -> None:
    assert RecordAddress(None, None).url == "sqlite:///recorder.db"
    (folder / "recorder.toml").write_text(EXAMPLE.replace("recorder.db", "default.db"))
    (folder / "other.toml").write_text(EXAMPLE.replace("recorder.db", "other.db"))
    assert RecordAddress(None, None).url == f"sqlite:///{folder}/default.db"
    assert RecordAddress(None, Path("other.toml")).url == f"sqlite:///{folder}/other.db"
    assert RecordAddress("sqlite:///named.db", Path("other.toml")).url == "sqlite:///named.db"
    with pytest.raises(ConfigurationError, match=r"There is no configuration nowhere\.toml"):
        _ = RecordAddress(None, Path("nowhere.toml")).url


def test_options_become_arguments() -> None:
    found: dict[str, object] = {}

    @click.command()
    @options.filters()
    @options.layout
    def command(**arguments: object) -> None:
        found.update(arguments)

    arguments = [
        "--account",
        "main",
        "--since",
        "1970-01-01T00:00:01Z",
        "--format",
        "csv",
        "--columns",
        "price,fee",
        "--limit",
        "5",
    ]
    command.main(arguments, standalone_mode=False)
    assert found == {"wanted": Filter("main", None, 10**9, None), "layout": Layout("csv", ("price", "fee"), 5)}
    for wrong in (["--columns", "price,"], ["--limit", "0"]):
        with pytest.raises(click.BadParameter):
            command.main(wrong, standalone_mode=False)
    assert Names().convert(" a , b", None, None) == ("a", "b")


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
