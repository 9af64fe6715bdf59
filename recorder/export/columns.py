"""The columns of exported tables: what they hold, and how they follow from a table or a record type. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from sqlalchemy import BigInteger, LargeBinary, Table

from recorder.clock import NS_PER_MS
from recorder.store.columns import ExactDecimal

Row = tuple[Any, ...]

#: The columns that say which account a row belongs to: names are unique on one venue only.
VENUE, ACCOUNT = "venue", "account"

#: The first and last microsecond since 1970 that every reader's calendar has: years 1 to 9999.
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_NS_PER_US = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(Enum):
    """What a column holds."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    #: Exact; the user chooses how it is written.
    DECIMAL = "decimal"
    #: Bytes as received: almost always text, but not guaranteed to be.
    BYTES = "bytes"
    #: Binary bytes: seals and digests.
    HASH = "hash"
    #: Microseconds since 1970, UTC; computed from the integer column beside it.
    TIME = "time"


class ExportColumn(NamedTuple):
    """A column of an exported table."""

    name: str
    kind: Kind
    #: The index of its value in a row.
    at: int
    nullable: bool
    #: For a time: the unit of its integer, in nanoseconds.
    unit_ns: int = 1


#: Name, kind, whether it may be null.
Part = tuple[str, Kind, bool]

ACCOUNT_PARTS: tuple[Part, ...] = ((VENUE, Kind.TEXT, False), (ACCOUNT, Kind.TEXT, False))

_KINDS: dict[type, Kind] = {
    int: Kind.INTEGER,
    str: Kind.TEXT,
    bool: Kind.BOOLEAN,
    Decimal: Kind.DECIMAL,
    bytes: Kind.BYTES,
}
_HASHES = frozenset({"seal", "frames_root", "entries_root", "digests", "before"})
#: Columns in milliseconds that are no times.
_DURATIONS = frozenset({"gap_ms"})


def columns_of_record(record: Any, *after: Part) -> tuple[ExportColumn, ...]:
    """The columns of a named tuple: venue and name for its account, and a readable time after each integer time."""
    hints = get_type_hints(record)
    parts: list[Part] = []
    for name in record._fields:
        parts += ACCOUNT_PARTS if name == ACCOUNT else [(name, *_kind_of(name, hints[name]))]
    return _numbered([*parts, *after])


def columns_of_table(table: Table, *before: Part) -> tuple[ExportColumn, ...]:
    """The columns of a database table, after some others; with a readable time after each integer time."""
    own = [(column.name, _kind_in(column.name, column.type), bool(column.nullable)) for column in table.c]
    return _numbered([*before, *own])


def _kind_of(name: str, hint: Any) -> tuple[Kind, bool]:
    nullable = get_origin(hint) is UnionType
    if nullable:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    return Kind.HASH if name in _HASHES else _KINDS[hint], nullable


def _kind_in(name: str, kind: Any) -> Kind:
    if name in _HASHES:
        return Kind.HASH
    if isinstance(kind, ExactDecimal):
        return Kind.DECIMAL
    if isinstance(kind, LargeBinary):
        return Kind.BYTES
    return Kind.INTEGER if isinstance(kind, BigInteger) else Kind.TEXT


def _numbered(parts: Iterable[Part]) -> tuple[ExportColumn, ...]:
    columns = []
    for at, (name, kind, nullable) in enumerate(parts):
        columns.append(ExportColumn(name, kind, at, nullable))
        unit_ns = _unit_ns(name)
        if kind is Kind.INTEGER and unit_ns is not None:
            # Some of a venue's times are outside every calendar.
            columns.append(ExportColumn(_time_name(name), Kind.TIME, at, nullable or unit_ns != 1, unit_ns))
    return tuple(columns)


def _unit_ns(name: str) -> int | None:
    """The unit of an integer time, by its name: ours are nanoseconds, a venue's milliseconds."""
    if name.endswith("_ns"):
        return 1
    return NS_PER_MS if name.endswith("_ms") and name not in _DURATIONS else None


def _time_name(name: str) -> str:
    return f"{name.removesuffix('_ns').removesuffix('_ms')}_utc"


def instant_us(value: int | None, unit_ns: int) -> int | None:
    """An integer time as microseconds since 1970; None if null or outside the calendar."""
    at_us = None if value is None else value * unit_ns // _NS_PER_US
    return at_us if at_us is not None and FIRST_US <= at_us <= LAST_US else None


def instant_text(at_us: int) -> str:
    """A time in ISO 8601, such as `2020-02-04T07:40:53.662000Z`."""
    return f"{(_EPOCH + timedelta(microseconds=at_us)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
