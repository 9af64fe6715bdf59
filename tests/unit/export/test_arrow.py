"""Numbers in Arrow are exact, or refused by an error that names them."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.errors import ExportError
from recorder.export.arrow import batch_of, schema_of
from recorder.export.columns import ExportColumn, Kind
from recorder.export.formats import PRECISION, Style, style_for

AMOUNT = ExportColumn("amount", Kind.DECIMAL, 0, True)
WHEN = ExportColumn("when_utc", Kind.TIME, 0, True, 1_000_000)

DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


def fits(text: str, scale: int) -> bool:
    """Whether a number fits 38 digits with this scale."""
    units = Fraction(text) * 10**scale
    return bool(units.denominator == 1 and abs(units) < 10**PRECISION)


@given(DIGITS, st.integers(0, PRECISION))
@example("11", 38)  # pyarrow reads such text as another number
@example("123456789012345678901234567890", 18)
@example("0.1E-39", 1)  # and such a `Decimal`
@example("0E8", 31)
def test_decimals_are_exact_or_refused(text: str, scale: int) -> None:
    style = Style(scale=scale)
    try:
        (value,) = batch_of("t", [AMOUNT], style, [(text,)])["amount"].to_pylist()
    except ExportError as error:
        assert not fits(text, scale)
        assert str(error).startswith(f"{text} in t.amount does not fit")
    else:
        assert fits(text, scale)
        assert value == Decimal(text)


@given(st.lists(st.one_of(st.none(), DIGITS), max_size=20))
def test_strings_keep_the_digits(texts: list[str | None]) -> None:
    rows = [(text,) for text in texts]
    assert batch_of("t", [AMOUNT], Style("string"), rows)["amount"].to_pylist() == texts
    floats = batch_of("t", [AMOUNT], Style("float"), rows)["amount"].to_pylist()
    assert floats == [None if text is None else float(text) for text in texts]


def test_a_number_that_does_not_fit_is_named() -> None:
    rows = [("1.5",), (None,), ("1e-19",), ("2",)]
    with pytest.raises(ExportError, match=r"^1e-19 in fills\.amount does not fit a decimal128 of 38 digits, 18"):
        batch_of("fills", [AMOUNT], Style(), rows)


@pytest.mark.parametrize(
    ("how", "words"),
    [({"decimals": "double"}, "not as 'double'"), ({"scale": 39}, "not 39"), ({"scale": -1}, "not -1")],
)
def test_unknown_styles_are_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        style_for("parquet", **how)


def test_times_outside_the_calendar_are_null() -> None:
    values = [None, 0, -1, 1_580_802_053_662, -62_135_596_800_000, -62_135_596_800_001, 253_402_300_800_000, 2**63 - 1]
    batch = batch_of("t", [WHEN], Style(), [(value,) for value in values])
    texts = [None if value is None else value.isoformat() for value in batch["when_utc"].to_pylist()]
    assert texts == [
        None,
        "1970-01-01T00:00:00+00:00",
        "1969-12-31T23:59:59.999000+00:00",
        "2020-02-04T07:40:53.662000+00:00",
        "0001-01-01T00:00:00+00:00",
        None,
        None,
        None,
    ]


def test_an_empty_batch_has_the_schema() -> None:
    assert batch_of("t", [AMOUNT, WHEN], Style(), []).schema == schema_of([AMOUNT, WHEN], Style())
