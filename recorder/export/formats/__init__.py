"""The forms in which tables are written to files: Parquet, CSV, JSON lines.

Each is a module with a class `Writer`; Parquet's needs a library that is an extra.
"""

from collections.abc import Sequence
from typing import Protocol

from recorder.errors import ExportError
from recorder.export.columns import Column, Row
from recorder.export.style import DECIMALS, SCALE, TEXT_DECIMALS, Style, checked

PARQUET, CSV, JSONL = "parquet", "csv", "jsonl"
#: The names of the forms; each also ends the names of its files.
FORMATS = (PARQUET, CSV, JSONL)


def style_for(form: str, decimals: str | None = None, scale: int = SCALE) -> Style:
    """How decimals are written in a form, unless the user says otherwise.

    Raises:
        ExportError: they cannot be written so.
    """
    there = DECIMALS if form == PARQUET else TEXT_DECIMALS
    if decimals is not None and decimals not in there:
        raise ExportError(f"Decimals are written into {form} as {' or '.join(there)}, not as {decimals!r}.")
    return checked(Style(decimals or there[0], scale))


class Sink(Protocol):
    """Where a writer puts its bytes."""

    def write(self, data: bytes) -> int:
        """Write all of them."""
        ...


class Writer(Protocol):
    """Writes one file of a table."""

    def __init__(self, sink: Sink, table: str, columns: Sequence[Column], style: Style) -> None: ...

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows.

        Raises:
            ExportError: a number does not fit the style.
        """
        ...

    def close(self) -> None:
        """Write the end of the file."""
        ...

    @staticmethod
    def type_name(column: Column, style: Style) -> str:
        """The type of a column in the file."""
        ...


def writer_of(form: str) -> type[Writer]:
    """What writes files of a form.

    Raises:
        ExportError: there is no such form.
        ConfigurationError: a library is missing.
    """
    if form == PARQUET:
        from recorder.export.formats import parquet  # noqa: PLC0415  its library is an extra

        return parquet.Writer
    if form == CSV:
        from recorder.export.formats import delimited  # noqa: PLC0415  it needs this module

        return delimited.Writer
    if form == JSONL:
        from recorder.export.formats import lines  # noqa: PLC0415  likewise

        return lines.Writer
    raise ExportError(f"There is no form {form!r} to export in; there are: {', '.join(FORMATS)}.")
