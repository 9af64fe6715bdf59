"""The forms in which tables are written to files: Parquet, CSV, JSON lines.

Each is a module with a class `Writer`; Parquet's needs a library that is an extra.
"""

from recorder.errors import ExportError
from recorder.export.formats.base import Writer
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
        from recorder.export.formats import delimited  # noqa: PLC0415  only what is asked for

        return delimited.Writer
    if form == JSONL:
        from recorder.export.formats import lines  # noqa: PLC0415  likewise

        return lines.Writer
    raise ExportError(f"There is no form {form!r} to export in; there are: {', '.join(FORMATS)}.")
