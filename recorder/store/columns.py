"""The kinds of columns and tables that the declared schema is made of: integers, texts, exact decimals."""

from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import sqlite

#: 64-bit integer; STRICT tables of SQLite call it INTEGER.
Int64 = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Bytes = LargeBinary()
Words = Text()


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that never passes through a float.

    TEXT on SQLite, whose NUMERIC affinity drops digits; NUMERIC elsewhere. Accepts the digits as sent (`str`) or a
    `Decimal`; returns a `Decimal`.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """TEXT on SQLite, NUMERIC elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | str | None, dialect: Dialect) -> Any:
        """Convert a value for the driver."""
        if isinstance(value, float):
            raise TypeError(f"{value!r} is a float and may have lost digits: give the digits as sent, or a Decimal")
        if value is None or dialect.name == "sqlite":
            return None if value is None else str(value)
        return Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Convert a value from the driver."""
        try:
            return None if value is None else Decimal(value)
        except InvalidOperation:
            raise ValueError(f"{value!r} in a decimal column was not written by this program") from None


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def table(name: str, *parts: Column[object] | PrimaryKeyConstraint | ForeignKeyConstraint | CheckConstraint) -> Table:
    """A table of this schema."""
    # STRICT: SQLite then refuses a value of another type. WITHOUT ROWID: the key is the order on disk, once. Rows of
    # `frames` are too long for that: such a table moves what exceeds about 1,000 bytes to a page that holds nothing
    # else.
    # PostgreSQL's partitions and its partial index are in the migrations only: one option of its dialect here would
    # import that dialect for every command.
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=name == "frames")


def ints(*names: str, null: bool = False) -> list[Column[object]]:
    """Columns of 64-bit integers."""
    return [Column(name, Int64, nullable=null) for name in names]


def texts(*names: str, null: bool = True) -> list[Column[object]]:
    """Columns of text."""
    return [Column(name, Words, nullable=null) for name in names]


def decimals(*names: str) -> list[Column[object]]:
    """Columns of exact decimals."""
    return [Column(name, ExactDecimal(), nullable=True) for name in names]
