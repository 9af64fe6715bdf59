"""Clocks, and time as text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_MS, NS_PER_S, Clock, duration_s, instant_ns, utc_text

NOW_NS = 1_580_802_053_662_000_000


def test_the_clocks_can_be_injected() -> None:
    clock = Clock(wall_ns=lambda: NOW_NS + 999_999, monotonic_s=lambda: 7.5)
    assert clock.wall_ms() == 1580802053662
    assert clock.monotonic_s() == 7.5
    assert Clock().wall_ns() > NOW_NS


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (NOW_NS, "2020-02-04 07:40:53.662"),
        (NOW_NS + 999_999, "2020-02-04 07:40:53.662"),
        (0, "1970-01-01 00:00:00.000"),
        (-1, "1969-12-31 23:59:59.999"),
        (None, ""),
        (2**63 - 1, "2262-04-11 23:47:16.854"),
        (10**30, "1" + "0" * 30),
        (-(10**30), "-1" + "0" * 30),
    ],
)
def test_an_instant_as_people_read_it(ns: int | None, text: str) -> None:
    assert utc_text(ns) == text


@given(st.integers(-(2**80), 2**80))
def test_every_instant_has_a_text(ns: int) -> None:
    assert utc_text(ns)


@given(st.integers(0, 2**62).map(lambda ns: ns // NS_PER_MS * NS_PER_MS))
def test_an_instant_as_text_is_the_same_instant(ns: int) -> None:
    assert instant_ns(utc_text(ns), 0) == ns


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("0.5", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172_800),
        (" 1H ", 3600),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 m", "1h30", "5x", "1e3", "nan", "inf", ".5s", "5s!", "1_0s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write for example 30s"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2020-02-04", datetime(2020, 2, 4, tzinfo=UTC)),
        ("20200204", datetime(2020, 2, 4, tzinfo=UTC)),
        ("2020-02-04T07:40:53Z", datetime(2020, 2, 4, 7, 40, 53, tzinfo=UTC)),
        ("2020-02-04 07:40:53.662", datetime(2020, 2, 4, 7, 40, 53, 662_000, tzinfo=UTC)),
        ("2020-02-04T07:40:53+08:00", datetime(2020, 2, 3, 23, 40, 53, tzinfo=UTC)),
        ("1580802053", datetime(2020, 2, 4, 7, 40, 53, tzinfo=UTC)),
        ("1580802053662", datetime(2020, 2, 4, 7, 40, 53, 662_000, tzinfo=UTC)),
        ("1580802053662000", datetime(2020, 2, 4, 7, 40, 53, 662_000, tzinfo=UTC)),
        ("1580802053662000000", datetime(2020, 2, 4, 7, 40, 53, 662_000, tzinfo=UTC)),
        ("1969-12-31T23:59:59Z", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_instants(text: str, instant: datetime) -> None:
    assert instant_ns(text, NOW_NS) == int(instant.timestamp() * 1000) * NS_PER_MS


def test_an_instant_may_be_a_duration_ago() -> None:
    assert instant_ns("2h", NOW_NS) == NOW_NS - 7200 * NS_PER_S
    assert instant_ns("0s", NOW_NS) == NOW_NS


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2020-13-01", "30", "1.5", "158080205", "15808020531", "2020-02-04T25", "9" * 400 + "d"]
)
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time; write for example 2020-02-04"):
        instant_ns(text, NOW_NS)
