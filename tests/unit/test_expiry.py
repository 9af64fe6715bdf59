"""The dates in names of what expires."""

from datetime import date

import pytest

from recorder.venues.expiry import (
    DAY_MS,
    EXPIRY_MS,
    at_eight_ms,
    expires_ms,
    in_words,
    last_friday,
    next_day,
    quarter_day,
)

#: 2026-03-27 08:00 UTC.
AT_MS = 1_774_598_400_000


@pytest.mark.parametrize("text", ["27MAR26", "260327"])
def test_a_date_in_a_name(text: str) -> None:
    assert expires_ms(text) == at_eight_ms(date(2026, 3, 27)) == AT_MS


@pytest.mark.parametrize(
    "text", ["", "31FEB26", "27XYZ26", "261327", "260332", "PERP", "27MAR2026", "\u0662\u0667MAR26"]
)
def test_what_is_no_date(text: str) -> None:
    assert expires_ms(text) is None


def test_the_next_day_on_which_something_expires() -> None:
    assert next_day(AT_MS - 1) == date(2026, 3, 27)
    assert next_day(AT_MS) == date(2026, 3, 28)
    assert next_day(AT_MS - EXPIRY_MS) == date(2026, 3, 27)
    assert in_words(next_day(AT_MS + DAY_MS * 4)) == "1APR26"


@pytest.mark.parametrize(
    ("day", "friday"),
    [
        (date(2026, 3, 1), date(2026, 3, 27)),
        (date(2026, 12, 31), date(2026, 12, 25)),
        (date(2020, 1, 31), date(2020, 1, 31)),
    ],
)
def test_the_last_friday_of_a_month(day: date, friday: date) -> None:
    assert last_friday(day) == friday


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (date(2026, 1, 1), date(2026, 3, 27)),
        (date(2026, 3, 27), date(2026, 3, 27)),
        (date(2026, 3, 28), date(2026, 6, 26)),
        (date(2026, 12, 31), date(2027, 3, 26)),
    ],
)
def test_the_day_on_which_a_quarters_futures_expire(day: date, due: date) -> None:
    assert quarter_day(day) == due
