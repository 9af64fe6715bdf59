"""What a backfill asks for and calls complete: of all exchanges, and after an earlier one that asked for less."""

import re
from collections import defaultdict

import pytest

from recorder.venues import VENUES, venue_named
from recorder.venues.rest import Completed, Credentials, Forgotten, Known, Purpose, Step, Traded
from tests.steps import nothing, steps, targets

DAY_MS = 86_400_000
#: A Thursday and other days: weeks of backfills begin on Thursdays.
NOWS_MS = [1_795_737_600_000 + day * DAY_MS + 3_600_000 for day in (0, 1, 3)]


def given(venue_name: str) -> Credentials:
    stand_in = venue_named(venue_name).stand_in
    return Credentials(stand_in.credentials(*stand_in.default_account))


def completed(venue_name: str, now_ms: int, days: int, done: frozenset[str] = frozenset()) -> list[Completed]:
    """What a backfill of the last days completes, at an exchange that has nothing."""
    venue = venue_named(venue_name)
    symbols = venue.stand_in.default_symbols
    traded = frozenset(Traded(None, symbol) for symbol in symbols)
    since_ms, until_ms = now_ms - days * DAY_MS, now_ms - DAY_MS
    known = Known(symbols, {}, None, since_ms, now_ms, until_ms, done, instruments=traded)
    taken = steps(venue.questions(Purpose.BACKFILL, known), given(venue_name), now_ms, nothing)
    return [step for step in taken if isinstance(step, Completed)]


def asked(venue_name: str, purpose: Purpose, age_ms: int) -> list[Step]:
    """What is asked about the time since then, at an exchange that has nothing."""
    venue, now_ms = venue_named(venue_name), NOWS_MS[0]
    symbols = venue.stand_in.default_symbols
    traded = frozenset(Traded(None, symbol) for symbol in symbols)
    known = Known(symbols, {}, None, now_ms - age_ms, now_ms, instruments=traded)
    return steps(venue.questions(purpose, known), given(venue_name), now_ms, nothing)


def lists(venue_name: str, purpose: Purpose, age_ms: int) -> set[str]:
    """The lists that are asked for: paths, or the type of a request where there is only one path."""
    found = targets(asked(venue_name, purpose, age_ms), given(venue_name), NOWS_MS[0])
    named = r'"type":"([^"]+)' if venue_name == "hyperliquid" else "(/[^ ?]+)"
    return {one[1] for one in (re.search(named, target) for target in found) if one}


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


#: Lists of a state, which a snapshot does not ask for.
STATES = {"bitget": {"/api/v3/account/funding-assets"}, "kraken": {"/0/private/OpenPositions"}}


@pytest.mark.parametrize("venue", [name for name in VENUES if name != "fmex"])
def test_a_backfill_asks_for_every_history_that_a_gap_is_asked_about_with(venue: str) -> None:
    """Or `status` would call complete what lacks some."""
    age_ms = 20 * DAY_MS
    of_gaps = lists(venue, Purpose.RECONCILE, age_ms) | lists(venue, Purpose.REGULAR, age_ms)
    missing = of_gaps - lists(venue, Purpose.SNAPSHOT, age_ms) - lists(venue, Purpose.BACKFILL, age_ms)
    assert missing == STATES.get(venue, set())


@pytest.mark.parametrize("venue", [name for name in VENUES if name != "fmex"])
def test_what_the_exchange_forgets_of_a_history_is_not_called_complete(venue: str) -> None:
    """Where cancelled orders are forgotten, "orders" are never complete: "orders with fills" are."""
    lost = [one.subject for one in asked(venue, Purpose.RECONCILE, 20 * DAY_MS) if isinstance(one, Forgotten)]
    partly = {subject.partition(" cancelled before ")[0] for subject in lost if " cancelled before " in subject}
    assert not {step.history for step in completed(venue, NOWS_MS[0], 17)} & partly
