"""A backfill that asks for more than an earlier one leaves nothing out of what that one did not ask for."""

from collections import defaultdict

import pytest

from recorder.venues import VENUES, venue_named
from recorder.venues.rest import Completed, Credentials, Known, Purpose, Traded
from tests.steps import nothing, steps

DAY_MS = 86_400_000
#: A Thursday and other days: weeks of backfills begin on Thursdays.
NOWS_MS = [1_795_737_600_000 + day * DAY_MS + 3_600_000 for day in (0, 1, 3)]


def completed(venue_name: str, now_ms: int, days: int, done: frozenset[str] = frozenset()) -> list[Completed]:
    """What a backfill of the last days completes, at an exchange that has nothing."""
    venue = venue_named(venue_name)
    symbols = venue.stand_in.default_symbols
    traded = frozenset(Traded(None, symbol) for symbol in symbols)
    since_ms, until_ms = now_ms - days * DAY_MS, now_ms - DAY_MS
    known = Known(symbols, {}, None, since_ms, now_ms, until_ms, done, instruments=traded)
    key, secret = venue.stand_in.default_account
    given = Credentials(venue.stand_in.credentials(key, secret))
    taken = steps(venue.questions(Purpose.BACKFILL, known), given, now_ms, nothing)
    return [step for step in taken if isinstance(step, Completed)]


def since_ms(steps_taken: list[Completed]) -> dict[str, int]:
    """Kind of history → since when it is complete, without a hole until its newest period."""
    periods = defaultdict(list)
    for step in steps_taken:
        if step.since_ms is not None and step.until_ms is not None:
            periods[step.history].append((step.since_ms, step.until_ms))
    found = {}
    for history, its in periods.items():
        newest_first = sorted(its, key=lambda period: period[1], reverse=True)
        at_ms = newest_first[0][1]
        for begins_ms, ends_ms in newest_first:
            if ends_ms >= at_ms:
                at_ms = min(at_ms, begins_ms)
        found[history] = at_ms
    return found


@pytest.mark.parametrize("now_ms", NOWS_MS)
@pytest.mark.parametrize("venue", [name for name in VENUES if name != "fmex"])
def test_a_longer_backfill_asks_for_what_a_shorter_one_did_not(venue: str, now_ms: int) -> None:
    short = completed(venue, now_ms, 17)
    assert short
    longer = completed(venue, now_ms, 45, frozenset(step.subject for step in short))
    whole = since_ms(completed(venue, now_ms, 45))
    assert since_ms([*short, *longer]) == whole
    assert min(whole.values()) <= now_ms - 45 * DAY_MS


@pytest.mark.parametrize("now_ms", NOWS_MS)
@pytest.mark.parametrize("venue", [name for name in VENUES if name != "fmex"])
def test_nothing_is_complete_beyond_now(venue: str, now_ms: int) -> None:
    """A period that goes on is complete until now only."""
    ends_ms = [step.until_ms for step in completed(venue, now_ms, 17) if step.until_ms is not None]
    assert max(ends_ms) <= now_ms
