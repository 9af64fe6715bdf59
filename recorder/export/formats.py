"""The formats of exported files, how they write decimals, and the libraries that some of them need."""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from recorder.errors import ConfigurationError, ExportError

PARQUET, CSV, JSONL = "parquet", "csv", "jsonl"
#: The names of the formats; they are also the suffixes of their files.
FORMATS = (PARQUET, CSV, JSONL)

#: 38 digits at most, a fixed number of them after the point: exact, and Parquet, Arrow and SQL engines compute with it.
DECIMAL128 = "decimal128"
#: The digits as recorded, however many there are.
STRING = "string"
#: Only on request: digits beyond the 16th or so are lost.
FLOAT = "float"
DECIMALS = (DECIMAL128, STRING, FLOAT)

#: Digits of a `decimal128`, and by default how many of them are after the point.
PRECISION, SCALE = 38, 18

#: The column of bytes that are not UTF-8 is named like the column, with this suffix.
BASE64 = "_base64"


class Style(NamedTuple):
    """How decimals are written."""

    decimals: str = DECIMAL128
    #: Digits after the point of a `decimal128`.
    scale: int = SCALE


def style_for(form: str, decimals: str | None = None, scale: int = SCALE) -> Style:
    """How decimals are written in a format.

    Args:
        form: one of `FORMATS`.
        decimals: one of `DECIMALS`; None: exact, as suits the format.
        scale: digits after the point of a `decimal128`.

    Raises:
        ExportError: the format cannot write decimals in this way.
    """
    there = DECIMALS if form == PARQUET else (STRING, FLOAT)
    if decimals is not None and decimals not in there:
        raise ExportError(f"Decimals are written to {form} as {' or '.join(there)}, not as {decimals!r}.")
    if not 0 <= scale <= PRECISION:
        raise ExportError(f"A scale is from 0 to {PRECISION} digits after the point, not {scale}.")
    return Style(decimals or there[0], scale)


def library(name: str, extra: str, purpose: str) -> ModuleType:
    """A library that not every installation has.

    Args:
        name: of its module.
        extra: the extra of this package that installs it.
        purpose: what needs it, as the beginning of a sentence.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == name.partition(".")[0]:
            raise ConfigurationError(f"{purpose} {name}; type: pip install 'exchange-recorder[{extra}]'") from None
        raise
