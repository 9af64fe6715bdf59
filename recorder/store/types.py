"""Column types that lose nothing, on every engine."""

from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, Numeric, Text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

#: 64-bit integer. STRICT tables of SQLite know it as INTEGER.
Int64 = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

#: Bytes as they came: BLOB, bytea.
Bytes = LargeBinary()

Words = Text()


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that never passes through a float.

    TEXT on SQLite, whose NUMERIC affinity drops digits; NUMERIC elsewhere. Takes the digits as sent (`str`) or a
    `Decimal`; gives a `Decimal`.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """TEXT on SQLite, NUMERIC elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | str | None, dialect: Dialect) -> Any:
        """Digits to the driver."""
        if isinstance(value, float):
            raise TypeError(f"{value!r} is a float and may have lost digits: give the digits as sent, or a Decimal")
        if value is None or dialect.name == "sqlite":
            return None if value is None else str(value)
        return Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """A `Decimal` from the driver's answer."""
        try:
            return None if value is None else Decimal(value)
        except InvalidOperation:
            raise ValueError(f"{value!r} in a decimal column was not written by this program") from None
