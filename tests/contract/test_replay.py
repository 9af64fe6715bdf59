"""Replays of a record: its frames in order, with sessions and gaps as events among them, for any period."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, text

import recorder
from recorder.errors import ConfigurationError, Incomplete
from recorder.model import PUSH, REST, SENT, SNAPSHOT, OrderUpdate
from recorder.read.record import Record
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan, SessionClosed
from recorder.read.replay.frames import ROWS_MAX
from recorder.store.schema import frames
from recorder.venues.reading import read_frame
from tests import depth
from tests.contract.story import Heard, Told
from tests.contract.test_several_recorders import Two
from tests.made import ACCOUNT, NOON_NS, received
from tests.samples import FMEX, sample
from tests.unit.fmex.test_hostile import HOSTILE
from tests.unit.read.desk import OTHER, Desk
from tests.unit.read.diary import COVERED, Diary, S

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_every_frame_is_replayed_byte_for_byte",
    "test_accounts_are_merged_by_time_of_receipt",
    "test_frames_written_during_a_replay_are_not_included_and_writing_is_not_blocked",
)

ALL = (PUSH, REST, SENT, SNAPSHOT)


def replayed(record: Record, *arguments: Any, **options: Any) -> list[Event]:
    return list(record.replay(*arguments, **options))


def only_frames(events: list[Event]) -> list[FrameEvent]:
    return [event for event in events if isinstance(event, FrameEvent)]


def words(events: list[Event]) -> list[str]:
    """The events in short: the second of a frame; name and second of any other event."""
    return [
        f"{(event.received_ns - NOON_NS) // S}"
        if isinstance(event, FrameEvent)
        else f"{type(event).__name__} {'' if event.at_ns is None else (event.at_ns - NOON_NS) // S}".strip()
        for event in events
    ]


@pytest.fixture
def record(desk: Desk) -> Iterator[Record]:
    with desk.open() as record:
        yield record


@pytest.fixture
def diary(desk: Desk) -> Diary:
    """A record of two accounts: one with two sessions and a gap between them, one with a session that has not ended."""
    diary = Diary(desk)
    diary.session(0, [(1, None), (2, b"not JSON"), (3, sample("account")), (3, sample("ping"))], 6)
    diary.round(1, 2)
    diary.session(1, [(2, None), (5, None)], account_id=OTHER)
    diary.session(10, [(11, None), (12, None)], 13)
    diary.round(11, 12, source=SNAPSHOT)
    return diary


def test_every_frame_is_replayed_byte_for_byte(record: Record, diary: Diary) -> None:
    events = only_frames(replayed(record, sources=ALL))
    key = frames.c.account_id, frames.c.session_id, frames.c.seq
    with diary.desk.engine.connect() as connection:
        names = {ACCOUNT: "main", OTHER: "other"}
        stored = [
            (names[row.account_id], *row[1:4], row.source, row.topic, row.status, row.error, row.payload)
            for row in connection.execute(select(frames).order_by(*key))
        ]
    told = [
        (
            one.account,
            one.session_id,
            one.seq,
            one.received_ns,
            one.source,
            one.topic,
            one.status,
            one.error,
            one.payload,
        )
        for one in events
    ]
    assert sorted(told) == sorted(stored)
    assert len({one[4] for one in told}) == 4


def test_sessions_and_gaps_are_events_between_the_frames(record: Record, diary: Diary) -> None:
    events = replayed(record, accounts=["main"])
    assert words(events) == [
        "GapBegan",
        "SessionBegan 0",
        "GapEnded 0",
        *("0", "1", "2", "3", "3"),
        "GapBegan 3",
        "SessionClosed 6",
        "SessionBegan 10",
        "GapEnded 10",
        *("10", "11", "12"),
        "GapBegan 12",
        "SessionClosed 13",
    ]
    began = [event for event in events if isinstance(event, GapBegan)]
    ended = [event for event in events if isinstance(event, GapEnded)]
    assert [event.gap for event in began[:2]] == [event.gap for event in ended]
    assert [event.gap.reason for event in began] == ["beginning", "lost", "lost"]
    opened = [event for event in events if isinstance(event, SessionBegan)]
    assert [event.topics[0] for event in opened] == ["account", "account"]
    assert [event.reason for event in events if isinstance(event, SessionClosed)] == ["lost", "lost"]


def test_a_gap_begins_right_after_the_last_frame_received(record: Record, diary: Diary) -> None:
    events = replayed(record, accounts=["main"], sources=[PUSH, SENT])
    at = words(events).index("GapBegan 3")
    # Our ping was sent within the gap.
    assert words(events[at - 1 : at + 3]) == ["3", "GapBegan 3", "3", "SessionClosed 6"]
    assert [event.source for event in only_frames(events[at - 1 : at + 3])] == [PUSH, SENT]


def test_accounts_are_merged_by_time_of_receipt(record: Record, diary: Diary) -> None:
    told = [(event.account, event.received_ns) for event in only_frames(replayed(record))]
    assert [ns for _, ns in told] == sorted(ns for _, ns in told)
    assert [name for name, _ in told] == ["main", *["main", "other"] * 2, *["main"] * 2, "other", *["main"] * 3]


def test_frames_are_decoded_as_when_they_were_recorded(record: Record, diary: Diary) -> None:
    for event in only_frames(replayed(record)):
        assert event.decoded == read_frame(FMEX, event.payload)
    (balance,) = [event for event in only_frames(replayed(record)) if event.topic == "account"]
    assert balance.updates[0].position_margin == "9.747280117178e-06"  # type: ignore[union-attr]


def test_sources(record: Record, diary: Diary) -> None:
    assert {event.source for event in only_frames(replayed(record))} == {PUSH}
    rest = only_frames(replayed(record, sources=[REST]))
    assert [(event.topic, len(event.updates)) for event in rest] == [
        ("/v3/contracts/accounts", 1),
        ("/v3/contracts/orders/open", 1),
    ]
    # A snapshot for comparison may show an earlier state than pushes received before it.
    snapshot = only_frames(replayed(record, sources=[SNAPSHOT]))
    assert [(event.status, event.updates) for event in snapshot] == [("decoded", ())] * 2
    assert [event.payload for event in only_frames(replayed(record, sources=[SENT]))] == [b'{"cmd":"ping"}'] * 3
    everything = replayed(record, sources=ALL)
    assert len(only_frames(everything)) == 11 + 2 + 2 + 3


def test_topics(record: Record, diary: Diary) -> None:
    told = only_frames(replayed(record, topics=["order.btcusd_p"]))
    # A frame that cannot be decoded may be of any topic.
    assert [event.topic for event in told if event.account == "main"] == [
        "order.btcusd_p",
        None,
        *["order.btcusd_p"] * 2,
    ]
    balances = only_frames(replayed(record, topics=["account"]))
    assert [event.topic for event in balances] == [None, "account"]
    answers = only_frames(replayed(record, topics=["/v3/contracts/accounts"], sources=ALL))
    assert [event.source for event in answers] == [REST, PUSH, SNAPSHOT]


def test_sessions_and_gaps_in_progress_at_the_start_come_first(record: Record, diary: Diary) -> None:
    assert words(replayed(record, NOON_NS + 2 * S, NOON_NS + 5 * S)) == [
        *("SessionBegan 0", "SessionBegan 1"),
        *("2", "2", "3", "3", "GapBegan 3"),
    ]
    later = replayed(record, NOON_NS + 8 * S, accounts=["main"])
    assert words(later)[:3] == [
        "GapBegan 3",
        "SessionBegan 10",
        "GapEnded 10",
    ]
    # Nothing was received there, but the gap is reported.
    nothing = replayed(record, NOON_NS + 4 * S, NOON_NS + 9 * S, ["main"])
    assert words(nothing) == ["SessionBegan 0", "GapBegan 3", "SessionClosed 6"]


def test_events_in_progress_come_in_the_order_in_which_they_began(record: Record, desk: Desk) -> None:
    diary = Diary(desk)
    diary.session(0, [(1, None)], 2)
    diary.session(5, [(8, None)], account_id=OTHER)
    assert words(replayed(record, NOON_NS + 7 * S))[:3] == ["GapBegan 1", "SessionBegan 5", "8"]


def test_consecutive_periods_add_up_to_the_whole(record: Record, diary: Diary) -> None:
    whole = replayed(record, sources=ALL)
    edges = [NOON_NS - S, *(NOON_NS + at_s * S + more for at_s in range(14) for more in (0, 1))]
    for width in (1, 3, 9) if depth.ALL else (3, 9):
        cuts = [*edges[::width], None]
        pieces = [
            replayed(record, since, until, sources=ALL) for since, until in pairwise(cuts) if _overlaps(since, until)
        ]
        assert [frame for piece in pieces for frame in only_frames(piece)] == only_frames(whole)


def _overlaps(since_ns: int | None, until_ns: int | None) -> bool:
    return (since_ns or 0) <= NOON_NS + 12 * S and (until_ns is None or until_ns > NOON_NS)


def test_a_replay_continues_after_any_frame(record: Record, diary: Diary) -> None:
    for options in ({}, {"accounts": ["main"]}, {"sources": ALL}, {"topics": ["order.btcusd_p"]}):
        whole = replayed(record, **options)
        for number, event in enumerate(whole):
            if isinstance(event, FrameEvent) and (depth.ALL or number % 4 == 1):
                rest = replayed(record, after=(event.session_id, event.seq), **options)
                assert rest == whole[number + 1 :]


def test_two_replays_are_the_same(record: Record, diary: Diary) -> None:
    assert replayed(record, sources=ALL) == replayed(record, sources=ALL)


def test_many_frames_with_undecodable_ones_among_them_keep_their_order(record: Record, desk: Desk) -> None:
    hostile = [frame for frame, _ in HOSTILE.values() if len(frame) < 10_000]
    good = [sample(name) for name in ("account", "order", "position", "ping")]
    payloads = [*good * ROWS_MAX, *hostile, *good, *(good + hostile) * 3]
    session_id = Diary(desk).session(0, [(1, payload) for payload in payloads])
    told = only_frames(replayed(record))
    assert [event.payload for event in told] == [COVERED, *payloads]
    assert [event.decoded for event in told] == [read_frame(FMEX, event.payload) for event in told]
    at = len(payloads) // 2
    assert only_frames(replayed(record, after=(session_id, at))) == told[at + 1 :]


def test_frames_written_during_a_replay_are_not_included_and_writing_is_not_blocked(record: Record, desk: Desk) -> None:
    session_id = Diary(desk).session(0, [(1, None)] * 3 * ROWS_MAX, answered=False)
    events = record.replay()
    first = next(events)
    desk.write(received(10**6, session_id=session_id))
    assert len([first, *events]) == len(replayed(record)) - 1


def test_several_recorders_are_read_as_one(two: Two) -> None:
    told = [Told(at_s, at_s % 4) for at_s in range(1, 40)]
    two.tellers[0].write(told, [Heard(0, 15), Heard(30, 100)], missed=frozenset({5}))
    two.tellers[1].write(told, [Heard(10, 35)])
    two.merge()
    check_once(two)
    with recorder.open(two.url) as record:
        every = only_frames(list(record.replay(all_sightings=True)))
        assert len(every) > len(only_frames(list(record.replay())))
        gaps = [event for event in record.replay() if isinstance(event, GapBegan)]
        assert [event.gap for event in gaps] == list(record.gaps())


def check_once(two: Two) -> None:
    with two.engine.connect() as connection:
        query = "SELECT session_id, seq FROM order_updates_once ORDER BY received_ns, session_id, seq"
        view = [tuple(row) for row in connection.execute(text(query))]
    with recorder.open(two.url) as record:
        whole = list(record.replay())
        pushes = [event for event in only_frames(whole) if event.updates and isinstance(event.updates[0], OrderUpdate)]
        assert [(event.session_id, event.seq) for event in pushes] == view
        every = only_frames(list(record.replay(all_sightings=True)))
        assert len(every) == len({(event.session_id, event.seq) for event in every})
        # A replay that continues in the middle also knows what was received before.
        for number, at in enumerate(whole):
            if isinstance(at, FrameEvent) and (number % 7 == 0 or at.seq == 0):
                assert list(record.replay(after=(at.session_id, at.seq))) == whole[number + 1 :]


@pytest.fixture
def two(tmp_path: Any, sqlite_template: Any, url: str) -> Any:
    two = Two(tmp_path, sqlite_template, url)
    yield two
    two.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accounts": ["mian"]}, r"no account 'mian' in this record; there are: main, other"),
        (
            {"topics": ["order.ethusd_p"]},
            r"no topic 'order.ethusd_p'; subscribed topics: account, order.btcusd_p, p",
        ),
        ({"sources": ["pull"]}, r"no source 'pull'; it is one of: push, repeated, rest, sent, snapshot"),
        (
            {"since_ns": NOON_NS + 100 * S},
            r"since 2020-02-04 07:42:33.662 UTC; the record ends at 2020-02-04 07:41:06.66",
        ),
        ({"until_ns": NOON_NS}, r"until 2020-02-04 07:40:53.662 UTC; the record begins at 2020-02-04 07:40:53.662"),
        ({"since_ns": 5, "until_ns": 5}, r"--since must be earlier than --until"),
        ({"after": (7, 1)}, r"no session 7 here"),
    ],
)
def test_what_the_record_does_not_contain_is_refused_at_the_start(
    record: Record, diary: Diary, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        record.replay(**options)


def test_an_empty_record_has_only_gaps(record: Record) -> None:
    assert words(replayed(record)) == ["GapBegan", "GapBegan"]
    with pytest.raises(ConfigurationError, match="Nothing has been received yet"):
        record.replay(since_ns=1)


def test_a_period_with_gaps_is_refused_if_it_must_be_complete(record: Record, diary: Diary) -> None:
    def refused(*arguments: Any, **options: Any) -> list[str]:
        with pytest.raises(Incomplete) as caught:
            record.replay(*arguments, require_complete=True, **options)
        assert caught.value.exit_code == 1
        return str(caught.value).splitlines()[1:]

    lost = "  main, all topics: 2020-02-04 07:40:56.662 to 2020-02-04 07:41:03.662, lost, open"
    assert refused() == [lost]
    assert refused(accounts=["main"]) == [lost]
    assert refused(NOON_NS + 9 * S) == [lost]
    assert len(refused(NOON_NS - S)) == 3, "and the times before the record of each account"
    within = {"accounts": ["main"], "require_complete": True}
    for since_s, until_s in ((0, 3), (10, 12)):
        assert replayed(record, NOON_NS + since_s * S, NOON_NS + until_s * S, **within)
    assert replayed(record, accounts=["other"], require_complete=True)
    assert replayed(record, NOON_NS + 10 * S, **within)
