"""What every form has: a writer of one file."""

from collections.abc import Sequence
from typing import Protocol

from recorder.export.columns import Column, Row
from recorder.export.style import Style


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
