"""What the forms that are text have in common."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from recorder.export.columns import Column, Kind, Row, instant_text, instants_us
from recorder.export.style import FLOAT, Style

#: After the name of a column of bytes: where bytes that are no text stand, as Base64.
BASE64 = "_base64"


class Field(NamedTuple):
    """A column as text: one column of bytes becomes two."""

    name: str
    kind: Kind
    #: The values of some rows: text, an integer, a float, a boolean, or None.
    values: Callable[[Sequence[Any]], Sequence[Any]]
    at: int


def fields_of(columns: Sequence[Column], style: Style) -> list[Field]:
    """The fields that columns become."""
    return [field for column in columns for field in _fields(column, style)]


def type_name(column: Column, style: Style) -> str:
    """What a column's text says."""
    return style.decimals if column.kind is Kind.DECIMAL else column.kind.value


def records(fields: Sequence[Field], rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    """The rows of the fields."""
    values = list(zip(*rows, strict=True))
    return zip(*(field.values(values[field.at]) for field in fields), strict=True) if rows else iter(())


def _fields(column: Column, style: Style) -> list[Field]:
    def field(values: Callable[[Sequence[Any]], Sequence[Any]], after: str = "") -> Field:
        return Field(column.name + after, column.kind, values, column.at)

    match column.kind:
        case Kind.BYTES:
            return [field(_as_text), field(_as_base64, BASE64)]
        case Kind.HASH:
            return [field(lambda values: [None if value is None else bytes(value).hex() for value in values])]
        case Kind.TIME:
            return [field(lambda values: _as_time(values, column.unit_ns))]
        case Kind.DECIMAL:
            number = float if style.decimals == FLOAT else str
            return [field(lambda values: [None if value is None else number(value) for value in values])]
        case _:
            return [field(lambda values: values)]


def _as_time(values: Sequence[int | None], unit_ns: int) -> list[str | None]:
    return [None if at_us is None else instant_text(at_us) for at_us in instants_us(values, unit_ns)]


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _as_text(values: Sequence[bytes]) -> list[str | None]:
    return [_text(value) for value in values]


def _as_base64(values: Sequence[bytes]) -> list[str | None]:
    return [None if _text(value) is not None else b64encode(value).decode() for value in values]
