"""`docs/schema.md` is current, and nothing in the schema is without words."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from recorder.store.engine import open_engine
from tests.docs import schema
from tests.docs.conftest import Recorded
from tests.docs.schema import Missing


@pytest.fixture
def connection(on_sqlite: Recorded) -> Iterator[Connection]:
    """To the documentation's record."""
    engine = open_engine(on_sqlite.url, read_only=True)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the words, to be changed."""
    copy = tmp_path / "schema.toml"
    copy.write_text(schema.WORDS.read_text())
    monkeypatch.setattr(schema, "WORDS", copy)
    return copy


def change(words: Path, old: str, new: str) -> None:
    text = words.read_text()
    assert text.count(old) == 1
    words.write_text(text.replace(old, new))


def test_the_page_is_current(connection: Connection) -> None:
    assert schema.page(connection) == schema.PAGE.read_text(), "the page is not current; type: make docs"


def test_every_table_view_and_column_is_on_the_page(connection: Connection, on_postgresql: Recorded) -> None:
    page = schema.PAGE.read_text()
    sections = {part.partition("\n")[0]: part for part in page.split("\n### ")[1:]}
    views = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'view'").scalars().all()
    assert sections.keys() == schema.TABLES.keys() | set(views)
    for name, section in sections.items():
        # In the order of the columns, in both engines alike.
        columns = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        listed = re.search(r"^Columns: (.*)\.$", section, re.MULTILINE)
        columns += re.findall(r"`(\w+)`", listed[1]) if listed else []
        assert columns == list(connection.exec_driver_sql(f"SELECT * FROM {name} LIMIT 0").keys())
        assert columns == list(on_postgresql.ask(f"SELECT * FROM {name} LIMIT 0").columns)
        for row in re.findall(r"^\| `\w+` \|.*$", section, re.MULTILINE):
            _, kind, meaning, unit, example = re.split(r" \| ?", row.removesuffix(" |"), maxsplit=4)
            assert kind and meaning and example, row
            assert unit or not re.search(r"_(ns|ms)` ", row), row


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('pid = ["Its process id."]\n', "", "tables.runs.pid has no words"),
        ('adds_up = ["1', 'adds_in = ["1', "views.round_trips.adds_up has no words"),
        ('adds_up = ["1', 'adds_in = ["1', "views.round_trips.adds_in is of no column"),
        ("[tables.spans]", "[tables.stretches]", "[tables.spans] is missing"),
        ("[tables.spans]", "[tables.stretches]", "[tables.stretches] is of nothing"),
        ("[views.timeline]", "[views.diary]", "[views.timeline] is missing"),
        (', "", "order 849758102002"', "", "no example of: The order, position or balance."),
    ],
)
def test_what_has_no_words_is_named(connection: Connection, words: Path, old: str, new: str, fault: str) -> None:
    change(words, old, new)
    with pytest.raises(Missing, match=re.escape(fault)):
        schema.page(connection)


def test_a_changed_word_changes_the_page(connection: Connection, words: Path) -> None:
    change(words, "Its process id.", "Its number.")
    assert schema.page(connection) != schema.PAGE.read_text()


def test_the_words_are_short_enough_to_be_read() -> None:
    words = tomllib.loads(schema.WORDS.read_text())
    for kind in ("tables", "views"):
        for name, said in words[kind].items():
            assert said["about"].endswith("."), name
            for column, parts in said.items():
                assert column in schema.ABOUT or (1 <= len(parts) <= 3 and parts[0].endswith((".", "..."))), column
