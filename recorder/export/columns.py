"""What the columns of an export hold, and how they follow from the rows that a read gives. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from sqlalchemy import BigInteger, LargeBinary, Table

from recorder.clock import NS_PER_MS
from recorder.store.types import ExactDecimal

Row = tuple[Any, ...]

#: The first and the last microsecond, since 1970, that the calendars of all readers have: the years 1 to 9999.
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_NS_PER_US = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(Enum):
    """What a column holds."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    #: Exact; how it is written, the user chooses.
    DECIMAL = "decimal"
    #: Bytes as they came: nearly always text, but nobody promises it.
    BYTES = "bytes"
    #: Bytes that are no text: seals and digests.
    HASH = "hash"
    #: Microseconds since 1970, UTC; made of an integer column that stands beside it.
    TIME = "time"


class Column(NamedTuple):
    """A column."""

    name: str
    kind: Kind
    #: Where in a row its value stands.
    at: int
    nullable: bool
    #: Of a time: how many nanoseconds its integer counts in.
    unit_ns: int = 1


#: A column to be: name, kind, whether it may be null.
Part = tuple[str, Kind, bool]

_KINDS: dict[type, Kind] = {
    int: Kind.INTEGER,
    str: Kind.TEXT,
    bool: Kind.BOOLEAN,
    Decimal: Kind.DECIMAL,
    bytes: Kind.BYTES,
}
_HASHES = frozenset({"seal", "frames_root", "entries_root", "digests", "before"})


def columns_of_record(record: Any) -> tuple[Column, ...]:
    """The columns of a named tuple, a readable time after each integer that counts time."""
    hints = get_type_hints(record)
    return _numbered((name, *_kind_of(name, hints[name])) for name in record._fields)


def columns_of_table(table: Table, *before: Part) -> tuple[Column, ...]:
    """The columns of a table, likewise, and others before them."""
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


def _numbered(parts: Iterable[Part]) -> tuple[Column, ...]:
    columns = []
    for at, (name, kind, nullable) in enumerate(parts):
        columns.append(Column(name, kind, at, nullable))
        unit_ns = _unit_ns(name)
        if kind is Kind.INTEGER and unit_ns is not None:
            # Of the exchange's times some may be out of every calendar.
            columns.append(Column(_time_name(name), Kind.TIME, at, nullable or unit_ns != 1, unit_ns))
    return tuple(columns)


def _unit_ns(name: str) -> int | None:
    """What an integer of this name counts, if it counts time: ours nanoseconds, the exchange's milliseconds."""
    if name.endswith("_ns"):
        return 1
    return NS_PER_MS if name in {"ts", "at_ms"} or name.endswith("_at") else None


def _time_name(name: str) -> str:
    if name == "ts":
        return "time_utc"
    return f"{name.removesuffix('_ns').removesuffix('_ms').removesuffix('_at')}_utc"


def instants_us(values: Sequence[int | None], unit_ns: int) -> list[int | None]:
    """Microseconds since 1970 of some integers; none where it is out of the calendar, or no time at all."""
    return list(map(partial(_instant_us, unit_ns=unit_ns), values))


def _instant_us(value: int | None, unit_ns: int) -> int | None:
    if value is None:
        return None
    at_us = value * unit_ns // _NS_PER_US
    return at_us if FIRST_US <= at_us <= LAST_US else None


def instant_text(at_us: int) -> str:
    """An instant as ISO 8601 has it, `2020-02-04T07:40:53.662000Z`."""
    return f"{(_EPOCH + timedelta(microseconds=at_us)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
