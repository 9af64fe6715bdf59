"""How the numbers of an export are written: the user's choice."""

from typing import NamedTuple

from recorder.errors import ExportError

#: A number of 38 digits at most, so many of them after the point: what Parquet, Arrow and the engines can reckon with.
DECIMAL128 = "decimal128"
#: The digits as they are in the record: all of them, whatever their number.
STRING = "string"
#: Only when asked for: digits beyond the 16th or so are lost.
FLOAT = "float"
DECIMALS = (DECIMAL128, STRING, FLOAT)
#: Text knows no types: there it is the digits as they are.
TEXT_DECIMALS = (STRING, FLOAT)

#: Digits of a `decimal128`.
PRECISION = 38
#: The exchange sends 18 digits after the point.
SCALE = 18


class Style(NamedTuple):
    """How decimals are written."""

    decimals: str = DECIMAL128
    #: Digits after the point of a `decimal128`.
    scale: int = SCALE


def checked(style: Style) -> Style:
    """A style that there is.

    Raises:
        ExportError: there is no such way to write decimals.
    """
    if style.decimals not in DECIMALS:
        raise ExportError(f"Decimals are written as {', '.join(DECIMALS)}, not as {style.decimals!r}.")
    if not 0 <= style.scale <= PRECISION:
        raise ExportError(f"A scale is from 0 to {PRECISION} digits after the point, not {style.scale}.")
    return style
