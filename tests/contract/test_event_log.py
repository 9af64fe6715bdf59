"""The rules of the event log, one by one, and what must hold of it whatever happens."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from recorder.model import SENT
from recorder.store.engine import open_engine
from recorder.store.entries import LostSubject, ReconciliationBegan, ReconciliationEnded
from recorder.store.gaps import PARTIAL, RECONCILED, UNRECOVERABLE, Gaps
from tests.contract.book import Book, Gap, Session
from tests.contract.conftest import NewUrl
from tests.made import ACCOUNT, NOON_NS, RECORDER

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_what_holds_whatever_happens",
    "test_a_crash_begins_a_gap_at_the_last_durable_frame",
    "test_a_gap_is_settled_again_by_hand",
)

OTHER = 8


@pytest.fixture(scope="module")
def engine(new_url: NewUrl) -> Engine:
    """A database whose every transaction is rolled back."""
    return open_engine(new_url())


@pytest.fixture
def book(engine: Engine) -> Iterator[Book]:
    with engine.connect() as connection, connection.begin() as transaction:
        book = Book(connection)
        book.add()
        yield book
        transaction.rollback()


def test_a_record_has_a_beginning(book: Book) -> None:
    assert book.gaps() == [Gap(None, None, None, "beginning")]
    book.add()
    assert len(book.gaps()) == 1, "only one"
    assert [row.created_ns for row in book.rows("accounts")] == [NOON_NS + 4]


def test_coverage_ends_the_beginning(book: Book) -> None:
    session = book.open()
    session.frame()
    assert book.gaps() == [Gap(None, None, None, "beginning")]
    covered = session.cover()
    session.frame()
    assert book.gaps() == [Gap(None, None, covered, "beginning")]
    (row,) = book.rows("gaps")
    assert (row.begin_session_id, row.begin_seq) == (None, None)
    assert (row.end_session_id, row.end_seq, row.state) == (session.session_id, 1, "open")


def test_the_end_of_a_covered_session_begins_a_gap_at_the_last_frame(book: Book) -> None:
    session = book.open()
    covered = session.cover()
    last = session.frame()
    session.frame(SENT)
    ended = session.end("silent")
    assert ended == last
    assert book.gaps() == [Gap(None, None, covered, "beginning"), Gap(None, last, None, "silent")]
    row = book.rows("gaps")[1]
    assert (row.begin_session_id, row.begin_seq, row.detail) == (session.session_id, 1, "its detail")
    (of_session,) = book.rows("sessions")
    assert of_session.covered_ns == NOON_NS + covered
    assert of_session.ended_ns > NOON_NS + last
    assert (of_session.end_reason, of_session.end_detail) == ("silent", "its detail")


def test_the_end_of_a_session_that_never_was_covered_begins_none(book: Book) -> None:
    for _ in range(3):
        session = book.open()
        session.frame()
        session.end("not subscribed")
    assert book.gaps() == [Gap(None, None, None, "beginning")]
    first = book.open()
    covered = first.cover()
    last = first.end()
    for _ in range(3):
        book.open().end("lost")
    assert book.gaps() == [Gap(None, None, covered, "beginning"), Gap(None, last, None, "lost")]
    again = book.open().cover()
    assert book.gaps()[1:] == [Gap(None, last, again, "lost")]


def test_a_crash_begins_a_gap_at_the_last_durable_frame(book: Book) -> None:
    session = book.open()
    covered = session.cover()
    last = session.frame()
    session.frame(SENT)
    told = book.crash()
    assert book.gaps() == [Gap(None, None, covered, "beginning"), Gap(None, last, None, "crashed")]
    assert [entry.session_id for entry in told] == [session.session_id]
    (row,) = book.rows("sessions")
    assert (row.ended_ns, row.end_reason) == (NOON_NS + last, "crashed")
    assert [run.end_reason for run in book.rows("runs")] == ["crashed", None]
    assert book.rows("gaps")[1].begin_seq == 1, "an answered heartbeat counts, a command of ours does not"


def test_a_crash_of_a_session_that_was_not_covered_begins_none(book: Book) -> None:
    session = book.open()
    opened = session.opened
    assert len(book.crash()) == 1
    assert book.gaps() == [Gap(None, None, None, "beginning")]
    (row,) = book.rows("sessions")
    assert row.ended_ns == NOON_NS + opened, "its opening is all that is known of it"


def test_a_crash_with_nothing_open_changes_nothing(book: Book) -> None:
    session = book.open()
    session.cover()
    session.end("stopped")
    book.end_run()
    before = [book.rows(table) for table in ("gaps", "sessions")]
    assert book.crash() == []
    assert [book.rows(table) for table in ("gaps", "sessions")] == before
    assert book.rows("runs")[0].end_reason == "stopped"
    assert book.crash() == []
    assert book.rows("runs")[0].end_reason == "stopped"


def test_a_refused_topic_has_a_gap_of_its_own_until_it_is_acknowledged(book: Book) -> None:
    first = book.open("account", "order.a")
    covered = first.cover("order.a")
    assert book.gaps() == [Gap(None, None, covered, "beginning"), Gap("order.a", None, None, "refused")]
    assert book.rows("gaps")[1].detail == "41002 invalid sub topic"
    last = first.end()
    again = book.open("account", "order.a")
    second = again.cover("order.a")
    # Still the same one: nothing of it has ever been covered.
    assert book.gaps()[1:] == [Gap("order.a", None, None, "refused"), Gap(None, last, second, "lost")]
    again.end()
    third = book.open("account", "order.a").cover()
    assert book.gaps()[1] == Gap("order.a", None, third, "refused")
    assert Gaps(book.connection, RECORDER, ACCOUNT).ongoing() == {}


def test_a_topic_refused_after_it_was_covered_has_a_gap_from_then_on(book: Book) -> None:
    last = book.open("account", "order.a").cover()
    book.crash()
    covered = book.open("account", "order.a").cover("order.a")
    assert book.gaps()[1:] == [Gap(None, last, covered, "crashed"), Gap("order.a", covered, None, "refused")]


def test_a_topic_that_is_asked_for_no_longer(book: Book) -> None:
    first = book.open("account", "order.a", "order.b")
    first.cover()
    first.end()
    second = book.open("account", "order.a")
    covered = second.cover()
    assert book.gaps()[2:] == [Gap("order.b", covered, None, "unsubscribed")]
    second.end()
    third = book.open("account", "order.a")
    third.cover()
    third.end()
    assert len([gap for gap in book.gaps() if gap.topic == "order.b"]) == 1, "noted once"
    back = book.open("account", "order.a", "order.b").cover()
    assert Gap("order.b", covered, back, "unsubscribed") in book.gaps()
    assert Gaps(book.connection, RECORDER, ACCOUNT).ongoing() == {}


def test_a_topic_that_is_asked_for_for_the_first_time_later(book: Book) -> None:
    first = book.open("account")
    first.cover()
    first.end()
    covered = book.open("account", "order.a").cover()
    assert book.gaps()[2:] == [Gap("order.a", None, covered, "beginning")]


def test_a_topic_that_is_new_and_refused(book: Book) -> None:
    first = book.open("account")
    first.cover()
    first.end()
    second = book.open("account", "order.a")
    second.cover("order.a")
    assert book.gaps()[2:] == [Gap("order.a", None, None, "refused")]
    second.end()
    covered = book.open("account", "order.a").cover()
    assert book.gaps()[2] == Gap("order.a", None, covered, "refused")


def test_a_topic_dropped_and_refused_when_it_comes_back(book: Book) -> None:
    for topics, refused in ((("account", "order.a"), ()), (("account",), ()), (("account", "order.a"), ("order.a",))):
        session = book.open(*topics)
        covered = session.cover(*refused)
        session.end()
    assert [gap for gap in book.gaps() if gap.topic] == [Gap("order.a", book.gaps()[2].begins, None, "unsubscribed")], (
        "one gap all along"
    )
    assert (book.gaps()[2].begins or 0) < covered


def test_accounts_do_not_meet(book: Book) -> None:
    book.add(OTHER, "other")
    mine, theirs = book.open(), book.open(account_id=OTHER)
    covered = mine.cover()
    assert book.gaps(OTHER) == [Gap(None, None, None, "beginning")]
    also = theirs.cover("order.a")
    last = mine.end()
    assert book.gaps() == [Gap(None, None, covered, "beginning"), Gap(None, last, None, "lost")]
    assert book.gaps(OTHER) == [Gap(None, None, also, "beginning"), Gap("order.a", None, None, "refused")]
    assert len(book.crash()) == 1


def test_gaps_are_counted_in_their_order(book: Book) -> None:
    first = book.open("account", "order.a", "order.b", "order.c")
    first.cover("order.a", "order.b", "order.c")
    assert [row.gap_id for row in book.rows("gaps")] == [1, 2, 3, 4]
    assert [gap.topic for gap in book.gaps()] == [None, "order.a", "order.b", "order.c"]


TOPICS = ("account", "order.a", "order.b")
actions = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sets(st.sampled_from(TOPICS[1:])).map(lambda more: ("account", *sorted(more)))),
        st.tuples(st.just("cover"), st.sets(st.sampled_from(TOPICS))),
        st.tuples(st.sampled_from(["frame", "sent", "end", "crash", "restart"]), st.none()),
    ),
    max_size=40,
)


@given(actions)
def test_what_holds_whatever_happens(engine: Engine, history: list[tuple[str, object]]) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        book = Book(connection)
        book.add()
        assert_holds(book, play(book, history))
        transaction.rollback()


def play(book: Book, history: list[tuple[str, object]]) -> list[Session]:
    """Do what can be done of a history; returns the sessions there were."""
    there: list[Session] = []
    now: Session | None = None
    for what, detail in history:
        if what == "open" and now is None:
            assert isinstance(detail, tuple)
            now = book.open(*detail)
            there.append(now)
        elif what == "crash":
            book.crash()
            now = None
        elif what == "restart":
            if now is not None:
                now.end("stopped")
            book.end_run()
            book.crash()
            now = None
        elif now is None:
            continue
        elif what == "cover" and now.covered is None:
            assert isinstance(detail, set)
            refused = detail & set(now.topics)
            if len(refused) < len(now.topics):
                now.cover(*sorted(refused))
        elif what == "end":
            now.end()
            now = None
        elif what in ("frame", "sent"):
            now.frame(SENT if what == "sent" else "push")
        assert_one_ongoing_gap_a_topic(book)
    return there


def assert_one_ongoing_gap_a_topic(book: Book) -> None:
    ongoing = [gap.topic for gap in book.gaps() if gap.ends is None]
    assert len(ongoing) == len(set(ongoing))


def assert_holds(book: Book, there: list[Session]) -> None:
    covered = [session for session in there if session.covered is not None]
    whole = [gap for gap in book.gaps() if gap.topic is None]
    # Gaps and covered sessions take turns, without a hole and without overlapping, from before the record to now.
    begins: int | None = None
    turns: list[int] = []
    for gap, session in zip(whole, covered, strict=False):
        assert (gap.begins, gap.ends) == (begins, session.covered)
        assert session.covered is not None
        begins = session.last[1]
        turns += [session.covered, begins]
    assert turns == sorted(turns)
    ended = {row.session_id for row in book.rows("sessions") if row.ended_ns is not None}
    open_still = [session for session in covered if session.session_id not in ended]
    assert len(open_still) <= 1
    assert len(whole) == len(covered) + 1 - len(open_still)
    if not open_still:
        assert (whole[-1].begins, whole[-1].ends) == (begins, None)
    for topic in TOPICS:
        assert_topic(book, topic, covered)


def assert_topic(book: Book, topic: str, covered: list[Session]) -> None:
    """While all topics together are covered, a topic is in a gap of its own exactly where it is not pushed."""
    own = [(gap.begins or 0, gap.ends or 10**9) for gap in book.gaps() if gap.topic == topic]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(own)), "they do not overlap"
    if not any(topic in session.topics for session in covered):
        assert own == [], "nobody ever asked for it"
        return
    for session in covered:
        assert session.covered is not None
        begins, ends = session.covered, session.last[1]
        pushed = topic in session.topics and topic not in session.refused
        inside = [(begin, end) for begin, end in own if begin <= begins and end >= ends]
        touching = [(begin, end) for begin, end in own if begin < ends and end > begins]
        assert len(inside) >= 1 if not pushed else touching == []


def _settle(book: Book, after: Session, result: str = RECONCILED, *lost: LostSubject, **more: Any) -> None:
    """A round ends that was begun after a session's coverage."""
    at = book.tick()
    key = ACCOUNT, after.session_id + at
    book.apply(ReconciliationBegan(*key, book.run_id, NOON_NS + at))
    book.apply(ReconciliationEnded(*key, after.session_id, NOON_NS + at, result, "restored: it", lost, **more))


def test_each_stream_has_gaps_of_its_own(book: Book) -> None:
    book.add(OTHER, "other", ("a", "b"))
    both = [Gap(None, None, None, "beginning", "a"), Gap(None, None, None, "beginning", "b")]
    assert book.gaps(OTHER) == both
    one, other = book.open("orders", account_id=OTHER, stream="a"), book.open("fills", account_id=OTHER, stream="b")
    covered = one.cover()
    assert book.gaps(OTHER) == [both[0]._replace(ends=covered), both[1]], "the account is not covered yet"
    also = other.cover("fills")
    last = one.end()
    again = book.open("orders", "news", account_id=OTHER, stream="a").cover()
    assert book.gaps(OTHER)[1:] == [
        Gap(None, None, also, "beginning", "b"),
        Gap("fills", None, None, "refused", "b"),
        Gap(None, last, again, "lost", "a"),
        Gap("news", None, again, "beginning", "a"),
    ]
    # Another stream that the venue has since.
    book.open("positions", account_id=OTHER, stream="c")
    assert book.gaps(OTHER)[-1] == Gap(None, None, None, "beginning", "c")


def test_no_gap_begins_while_another_session_covers_the_stream(book: Book) -> None:
    book.add(OTHER, "other", ("a", "b"))
    book.open("fills", account_id=OTHER, stream="b").cover()
    old = book.open("orders", account_id=OTHER, stream="a")
    old.cover()
    new = book.open("orders", account_id=OTHER, stream="a")
    before = len(book.gaps(OTHER))
    new.cover()
    old.frame()
    old.end("replaced")
    assert len(book.gaps(OTHER)) == before
    last = new.end("lost")
    assert book.gaps(OTHER)[before:] == [Gap(None, last, None, "lost", "a")], "another stream covers nothing of it"


def test_what_an_old_session_missed_before_the_new_one_was_covered_is_a_gap(book: Book) -> None:
    book.add()
    old = book.open()
    old.cover()
    last = old.frame()
    new = book.open()
    covered = new.cover()
    old.end("silent")
    assert book.gaps()[1:] == [Gap(None, last, covered, "silent")]
    (row,) = book.rows("gaps")[1:]
    assert (row.end_session_id, row.end_seq, row.state) == (new.session_id, None, "open")
    _settle(book, new)
    assert [one.state for one in book.rows("gaps")] == ["reconciled", "reconciled"]


def test_a_session_that_proved_less_than_was_known_at_its_end_lets_the_gap_begin_earlier(book: Book) -> None:
    book.add()
    session = book.open()
    session.cover()
    pushed, push = session.frame(), session.seq
    session.frame()
    session.end("lost")
    session.last = push, pushed
    session.end("key refused")
    assert book.gaps()[1:] == [Gap(None, pushed, None, "key refused")]
    (row,) = book.rows("gaps")[1:]
    assert (row.begin_session_id, row.begin_seq) == (session.session_id, push)
    # A backup that was restored reports a later end again, and a session before it an earlier one.
    session.last = push + 1, pushed + 1
    session.end("lost")
    assert book.gaps()[1:] == [Gap(None, pushed, None, "key refused")]
    again = book.open()
    covered = again.cover()
    assert book.gaps()[1:] == [Gap(None, pushed, covered, "key refused")]


def test_a_session_that_ends_uncovered_beside_a_covered_one_is_no_gap(book: Book) -> None:
    book.add()
    book.open().cover()
    book.open().end("refused")
    assert len(book.gaps()) == 1


def test_after_a_crash_in_the_overlap_the_gap_begins_where_the_newer_session_ended(book: Book) -> None:
    book.add()
    old, new = book.open(), book.open()
    old.cover()
    known = old.frame()
    covered = new.cover()
    old.frame()
    last = new.frame()
    assert [entry.session_id for entry in book.crash()] == [old.session_id, new.session_id]
    # Whether the older one was still well when the newer one was covered is not known.
    assert sorted(book.gaps()[1:]) == sorted([Gap(None, known, covered, "crashed"), Gap(None, last, None, "crashed")])


def test_a_round_settles_only_gaps_that_ended_before_it_began(book: Book) -> None:
    """While it asks, the connection is lost and comes again: of what that gap hid it was told nothing."""
    book.add()
    first = book.open()
    first.cover()
    first.end()
    second = book.open()
    second.cover()
    second.end()
    third = book.open()
    third.cover()
    third.end()
    assert [row.state for row in book.rows("gaps")] == ["open"] * 4
    _settle(book, second)
    assert [row.state for row in book.rows("gaps")] == ["reconciled", "reconciled", "open", "open"]
    # Nor when it names them.
    _settle(book, second, gaps=(3, 4))
    assert [row.state for row in book.rows("gaps")] == ["reconciled", "reconciled", "open", "open"]
    _settle(book, third)
    assert [row.state for row in book.rows("gaps")] == ["reconciled"] * 3 + ["open"], "the last has not ended"


def test_what_was_lost_makes_only_the_gaps_unrecoverable_that_it_concerns(book: Book) -> None:
    book.add()
    topics = "account", "order.a", "order.b"
    first = book.open(*topics)
    first.cover()
    first.end()
    refused = book.open(*topics)
    refused.cover("order.a", "order.b")
    refused.end()
    third = book.open(*topics)
    third.cover()
    lost = LostSubject("closed orders of a", "HTTP 400 invalid symbol", "order.a", "/closed?symbol=a")
    _settle(book, third, PARTIAL, lost)
    states = {(row.topic, row.begins_ns is not None): row.state for row in book.rows("gaps")}
    assert states == {
        (None, False): "reconciled",  # before the record: the snapshot is complete
        (None, True): "unrecoverable",
        ("order.a", True): "unrecoverable",
        ("order.b", True): "reconciled",
    }


def test_what_one_stream_lost_makes_no_gap_of_another_unrecoverable(book: Book) -> None:
    book.add(streams=("", "theirs"))
    sessions = [book.open("orders", stream=stream) for stream in ("", "theirs")]
    for one in sessions:
        one.cover()
    for one in sessions:
        one.end()
    last = [book.open("orders", stream=stream) for stream in ("", "theirs")]
    for one in last:
        one.cover()
    _settle(book, last[1], PARTIAL, LostSubject("their orders", "nobody lists them", "orders", "", "theirs"))
    states = {(row.stream, row.begins_ns is not None): (row.state, row.resolution) for row in book.rows("gaps")}
    assert {of: state for of, (state, _) in states.items()} == {
        ("", False): "reconciled",
        ("theirs", False): "reconciled",
        ("", True): "reconciled",
        ("theirs", True): "unrecoverable",
    }
    assert states["", True][1] == "restored: it"
    assert states["theirs", True][1] == "restored: it; unrecoverable: their orders (nobody lists them)"


def test_what_is_lost_is_of_any_stream_unless_it_names_one() -> None:
    """And an entry of an earlier version reads as it did, byte for byte."""
    told = b'{"name":"order 5","reason":"HTTP 404","topic":"orders","target":"/orders/5"}'
    lost = msgspec.json.decode(told, type=LostSubject)
    assert (lost.stream, msgspec.json.encode(lost)) == (None, told)


def test_a_gap_is_settled_again_by_hand(book: Book) -> None:
    book.add()
    first = book.open()
    first.cover()
    first.end()
    second = book.open()
    second.cover()
    lost = LostSubject("order 5", "HTTP 404 order not found", "order.", "/orders/5")
    _settle(book, second, PARTIAL, lost)
    (_, gap) = book.rows("gaps")
    assert (gap.state, gap.resolution) == (
        "unrecoverable",
        "restored: it; unrecoverable: order 5 (HTTP 404 order not found)",
    )
    _settle(book, second)
    assert book.rows("gaps")[1].state == "unrecoverable", "a round of a run is about open gaps"
    _settle(book, second, gaps=(2,))
    assert (book.rows("gaps")[1].state, book.rows("gaps")[1].resolution) == ("reconciled", "restored: it")
    _settle(book, second, UNRECOVERABLE, lost, gaps=(2,))
    assert book.rows("gaps")[1].state == "reconciled", "what was restored stays restored"


def test_a_resolution_names_no_more_than_fits(book: Book) -> None:
    book.add()
    first = book.open()
    first.cover()
    first.end()
    second = book.open()
    second.cover()
    _settle(book, second, PARTIAL, *[LostSubject(f"order {n}", "HTTP 404", "order.", f"/{n}") for n in range(25)])
    assert str(book.rows("gaps")[1].resolution).endswith("order 19 (HTTP 404), 5 more")
