"""What the two engines spell differently in a view."""

from alembic import op

#: The times that a year of four digits can express, ms.
YEAR_0_MS, YEAR_9999_MS = -62_167_219_200_000, 253_402_300_799_999


def is_sqlite() -> bool:
    """Whether the database is a SQLite file; otherwise it is PostgreSQL."""
    return op.get_bind().dialect.name == "sqlite"


def number(expression: str) -> str:
    """A decimal as the engine's own number: exact on PostgreSQL, a float on SQLite."""
    return f"CAST({expression} AS {'REAL' if is_sqlite() else 'NUMERIC'})"


def numbers(*columns: str) -> str:
    """Columns of `u` as the engine's own numbers, under their names."""
    return ", ".join(f"{number(f'u.{column}')} AS {column}" for column in columns)


def utc(ms: str) -> str:
    """Milliseconds since 1970 as text: `2020-02-04 07:40:53.670`. NULL for a time outside the years 0 to 9999."""
    if is_sqlite():
        return f"strftime('%Y-%m-%d %H:%M:%f', {ms} / 1000.0, 'unixepoch')"
    # to_timestamp takes a float, which is exact for whole seconds only.
    instant = f"to_timestamp(div({ms}, 1000)) + mod({ms}, 1000) * interval '1 millisecond'"
    text = f"to_char(({instant}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"
    # PostgreSQL raises an error where SQLite returns NULL.
    return f"CASE WHEN {ms} BETWEEN {YEAR_0_MS} AND {YEAR_9999_MS} THEN {text} END"
