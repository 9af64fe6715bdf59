"""Recorder keeps a trader's own record of what an exchange pushed about their account.

import recorder

with recorder.open("sqlite:///recorder.db") as record:
    for fill in record.fills():
        print(fill.symbol, fill.direction, fill.quantity, fill.price, fill.fee)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recorder.read.record import Record

__version__ = "0.1.0"


def open(url: str) -> "Record":
    """Open a record for reading.

    Args:
        url: of the database, such as `sqlite:///recorder.db`.

    Raises:
        recorder.errors.DatabaseError: there is none, or it is not at this version's schema.
    """
    from recorder.read.record import Record  # noqa: PLC0415  who only asks for the version waits for no database driver

    return Record(url)
