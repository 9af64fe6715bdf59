"""Numbers and times in words: nothing is rounded away."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.report.activity import BARS_MAX, bar_width
from recorder.report.coverage import AccountCoverage, Lane
from recorder.report.draw.svg import element
from recorder.report.summary import completeness, share
from recorder.report.words import duration, later, plain, words

S = 1_000_000_000


@pytest.mark.parametrize(
    ("ns", "result"),
    [
        (0, "0 ms"),
        (999_999, "under 1 ms"),
        (1_000_000, "1 ms"),
        (S - 1, "999 ms"),
        (S, "1.0 s"),
        (12_390_000_000, "12.3 s"),
        (60 * S, "1 min"),
        (65 * S, "1 min 5 s"),
        (3600 * S, "1 h"),
        (3660 * S, "1 h 1 min"),
        (90_000 * S, "1 d 1 h"),
        (86_400 * S + 59 * S, "1 d"),
    ],
)
def test_durations(ns: int, result: str) -> None:
    assert duration(ns).replace("\u00a0", " ") == result


def covered(part: int, whole: int, **changes: object) -> AccountCoverage:
    lane = Lane("main", ())
    gaps = {"reconciled": 1} if part < whole else {}
    result = AccountCoverage(
        "main", "fmex", 0, whole, part, gaps, dict.fromkeys(gaps, whole - part), None, lane, (), ()
    )
    return result._replace(**changes)  # type: ignore[arg-type]


@given(st.integers(1, 10**18), st.data())
def test_a_share_is_never_rounded_up(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    result = share(covered(part, whole))
    if part == whole:
        assert result == "all covered"
        return
    percent = Decimal(result.removesuffix("\u00a0% covered"))
    assert percent < 100
    assert percent <= Decimal(part) * 100 / whole < percent + Decimal("0.001000001")


def test_the_sentence_on_completeness() -> None:
    all_of_it = completeness(covered(S, S), several=False)
    assert (
        all_of_it.replace("\u00a0", " ")
        == "The record covers all of the 1.0 s: no push can have been missed unnoticed."
    )
    part = completeness(covered(S - 1, S), several=True).replace("\u00a0", " ")
    assert part == (
        "The record of main covers 999 ms of 1.0 s, 99.999 %. Pushes may have been missed in 1 gap, under 1 ms: it is "
        "reconciled with the exchange's REST interface."
    )
    several = {"reconciled": 2, "open": 1, "unrecoverable": 1}
    result = completeness(covered(6 * S, 10 * S, gaps=several, gaps_ns=dict.fromkeys(several, S)), several=False)
    assert "4 gaps, 3.0 s in total: 2 reconciled" in result.replace("\u00a0", " ")
    assert "1 not recoverable and 1 not reconciled yet." in result
    assert "covers nothing" in completeness(covered(0, S, begins_ns=None), several=False)


def test_exact_digits() -> None:
    assert plain(Decimal("1.500")) == "1.5"
    assert plain(Decimal("9.747280117178E-8")) == "0.00000009747280117178"
    assert plain(Decimal("100")) == "100"
    assert plain(Decimal("-0.10")) == "-0.1"
    assert plain(Decimal("1E+98")) == "1E+98"
    digits = "1234567890" * 5
    assert plain(Decimal(f"{digits}.5")) == f"{digits}.5"


def test_a_repeated_day_is_left_out() -> None:
    assert later(1_580_802_053 * S, 1_580_802_000 * S) == "07:40:53"
    assert later(1_580_802_053 * S, 0) == "2020-02-04 07:40:53"
    assert later(None, 0) == ""


def test_other_peoples_words_are_cut_and_cleaned() -> None:
    assert words("a\u202eb\x00c") == "a b c"
    assert words("x" * 301) == "x" * 300 + "…"


def test_svg_is_escaped() -> None:
    made = element("text", "</text><script>", class_="t", aria_label='"><b>')
    assert made == '<text class="t" aria-label="&#34;&gt;&lt;b&gt;">&lt;/text&gt;&lt;script&gt;</text>'


@given(st.integers(1, 10**12))
def test_bars_are_neither_too_many_nor_too_few(range_ms: int) -> None:
    width = bar_width(range_ms)
    assert range_ms <= width * BARS_MAX
    assert width == 1 or range_ms > width * BARS_MAX / 2.51
