"""Types that lose nothing, on a real file."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, Table, insert, make_url, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from recorder.store.columns import Bytes, ExactDecimal, Int64, Words
from recorder.store.dialects import ROWS_A_STATEMENT, insert_rows
from recorder.store.engine import open_engine
from tests.unit.fmex.pushes import numbers

THINGS = Table(
    "things",
    MetaData(),
    Column("key", Int64, primary_key=True),
    Column("number", ExactDecimal()),
    Column("words", Words),
    Column("bytes", Bytes),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path: Path = tmp_path_factory.mktemp("types") / "types.db"
    with open_engine(f"sqlite:///{path}").connect() as connection:
        THINGS.create(connection)
        yield connection


def through(connection: Connection, **values: object) -> tuple[object, ...]:
    """What comes back of a row, and what lies on the disk."""
    with connection.begin_nested() as nested:
        connection.execute(insert(THINGS).values(key=1, **values))
        row = connection.execute(select(*(THINGS.c[name] for name in values))).one()
        nested.rollback()
    return tuple(row)


@given(digits=numbers)
def test_digits_in_are_digits_out(connection: Connection, digits: str) -> None:
    (number,) = through(connection, number=digits)
    assert isinstance(number, Decimal)
    assert number.as_tuple() == Decimal(digits).as_tuple()


@given(number=st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_come_back_with_every_digit(connection: Connection, number: Decimal) -> None:
    (out,) = through(connection, number=number)
    assert isinstance(out, Decimal)
    assert out.as_tuple() == number.as_tuple()


@pytest.mark.parametrize("value", [None, b"payload"])
def test_the_driver_finds_an_adapter_for_null_and_bytes(value: object) -> None:
    """Without one, its search costs more than the rest of a wide row."""
    assert sqlite3.adapt(value, sqlite3.PrepareProtocol) is value


@pytest.mark.parametrize("size", [1, ROWS_A_STATEMENT - 1, ROWS_A_STATEMENT, 2 * ROWS_A_STATEMENT + 1])
def test_every_row_is_inserted_once_whatever_their_number(connection: Connection, size: int) -> None:
    rows = [(key, f"{key}.50", None, bytes([key])) for key in range(size)]
    with connection.begin_nested() as nested:
        insert_rows(connection, THINGS, rows)
        stored = connection.execute(select(THINGS).order_by(THINGS.c.key)).all()
        nested.rollback()
    assert [(key, str(number), words, content) for key, number, words, content in stored] == rows


@pytest.mark.parametrize("digits", ["9.747280117178e-06", "2.796888254907565438", "0E-18", "-0", "0.10", "1E+99"])
def test_the_disk_holds_the_digits_as_sent(connection: Connection, digits: str) -> None:
    with connection.begin_nested() as nested:
        connection.execute(insert(THINGS).values(key=1, number=digits))
        assert connection.execute(text("SELECT number, typeof(number) FROM things")).one() == (digits, "text")
        nested.rollback()


def test_missing_is_null(connection: Connection) -> None:
    assert through(connection, number=None, words=None, bytes=None) == (None, None, None)


@given(key=st.integers(-(2**63), 2**63 - 1), words=st.text(st.characters(exclude_categories=["Cs"])), raw=st.binary())
def test_integers_texts_and_bytes_come_back_as_they_were(
    connection: Connection, key: int, words: str, raw: bytes
) -> None:
    with connection.begin_nested() as nested:
        connection.execute(insert(THINGS).values(key=key, words=words, bytes=raw))
        assert connection.execute(select(THINGS.c.key, THINGS.c.words, THINGS.c.bytes)).one() == (key, words, raw)
        nested.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO things (key, words) VALUES (1, x'00')",
        "INSERT INTO things (key, number) VALUES (1, x'00')",
        "INSERT INTO things (key, bytes) VALUES (1, 'text')",
        "INSERT INTO things (key) VALUES ('one')",
        "INSERT INTO things (key) VALUES (1.5)",
    ],
)
def test_a_value_of_another_type_is_refused_by_the_table(connection: Connection, statement: str) -> None:
    with connection.begin_nested() as nested:
        with pytest.raises(IntegrityError, match="cannot store"):
            connection.execute(text(statement))
        nested.rollback()


def test_a_float_is_refused_before_it_gets_there(connection: Connection) -> None:
    # STRICT would take it: as the text of a double.
    with connection.begin_nested() as nested:
        with pytest.raises(StatementError, match=r"1\.5 is a float and may have lost digits"):
            connection.execute(insert(THINGS).values(key=1, number=1.5))
        nested.rollback()


def test_digits_that_are_none_are_named(connection: Connection) -> None:
    with connection.begin_nested() as nested:
        connection.execute(text("INSERT INTO things (key, number) VALUES (1, 'abc')"))
        with pytest.raises(ValueError, match="'abc' in a decimal column was not written by this program"):
            connection.execute(select(THINGS.c.number)).all()
        nested.rollback()


def test_on_postgresql_it_is_numeric_and_no_float() -> None:
    dialect = make_url("postgresql://").get_dialect()()
    kind = ExactDecimal()
    assert str(kind.dialect_impl(dialect).compile(dialect)) == "NUMERIC"
    assert kind.process_bind_param("2.796888254907565438", dialect) == Decimal("2.796888254907565438")
