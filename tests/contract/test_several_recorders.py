"""Two recorders of one account in one database: readers see each push once, and each recorder watches the other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, insert, select, text

import recorder
from recorder.read.record import Filter
from recorder.read.replay.events import FrameEvent
from recorder.report.gather import gather
from recorder.store import schema
from recorder.store.crosscheck import compare_sessions
from recorder.store.deduplication import APART_NS
from recorder.store.dialects import insert_rows
from recorder.store.schema import discrepancies, gaps
from tests.contract.conftest import NewUrl
from tests.contract.story import Heard, S, Teller, Told, contents
from tests.contract.test_mover import TOLD, move
from tests.contract.test_views import ask
from tests.depth import examples
from tests.made import ACCOUNT, NOON_NS, quick_engine

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_each_push_is_read_once",
    "test_sightings_are_of_one_push_within_two_minutes",
    "test_readers_are_told_what_the_rule_says",
    "test_a_push_that_one_alone_saw_is_a_finding",
    "test_the_gap_of_the_whole_is_what_both_missed",
)

ALL = [Heard(0, 100, "stopped")]
APART_S = APART_NS // S


class Two:
    """Two recorders, and the database that both are merged into."""

    def __init__(self, folder: Path, template: Path, url: str) -> None:
        self.tellers = [Teller(folder / f"{number}.db", template, number) for number in (1, 2)]
        self.url = url
        self.engine = quick_engine(url)

    def merge(self) -> None:
        """Move both."""
        for teller in self.tellers:
            move(teller.engine, self.engine)

    def read(self) -> list[int]:
        """The unfilled quantities that a reader is told, in order; views and program say the same."""
        with recorder.open(self.url) as record:
            told = [10 - int(order.filled_quantity or 0) for order in record.order_history()]
        with self.engine.connect() as connection:
            query = "SELECT 10 - filled_quantity FROM order_history ORDER BY received_ns, session_id, seq"
            assert [int(one) for one in connection.scalars(text(query))] == told
        return told

    def close(self) -> None:
        """Let go."""
        for engine in (*(teller.engine for teller in self.tellers), self.engine):
            engine.dispose()


@pytest.fixture
def two(tmp_path: Path, sqlite_template: Path, url: str) -> Iterator[Two]:
    two = Two(tmp_path, sqlite_template, url)
    yield two
    two.close()


def findings(engine: Engine) -> list[tuple[int, str, str]]:
    """Frame, subject and field of each discrepancy."""
    with engine.connect() as connection:
        query = select(discrepancies.c.seq, discrepancies.c.subject, discrepancies.c.field)
        return [tuple(row) for row in connection.execute(query.order_by(discrepancies.c.seq))]


def test_each_push_is_read_once(two: Two) -> None:
    for teller in two.tellers:
        teller.write(TOLD, ALL)
    two.merge()
    assert two.read() == [told.unfilled for told in TOLD]
    assert len(contents(two.engine)["order_updates"]) == 2 * len(TOLD), "and both are kept"


def test_the_views_for_questions_count_each_push_once(two: Two) -> None:
    for teller in two.tellers:
        teller.write(TOLD, ALL)
    two.merge()
    (life,) = ask(two.engine, "SELECT updates, filled_quantity FROM order_lives")
    (steps,) = ask(two.engine, "SELECT sum(quantity) AS filled FROM executions")
    (events,) = ask(two.engine, "SELECT count(*) AS orders FROM timeline WHERE kind = 'order'")
    assert life == {"updates": len(TOLD), "filled_quantity": 10 - TOLD[-1].unfilled}
    assert (events["orders"], steps["filled"]) == (len(TOLD), 10 - min(told.unfilled for told in TOLD))
    with recorder.open(two.url) as record:
        assert len([event for event in record.timeline() if event.kind == "order"]) == len(TOLD)


def test_what_one_alone_heard_is_read_too(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(0, 15), Heard(30, 100)])
    two.tellers[1].write(TOLD, [Heard(10, 35)])
    two.merge()
    assert two.read() == [told.unfilled for told in TOLD]


def test_a_push_counts_as_often_as_one_recorder_heard_it(two: Two) -> None:
    told = [Told(1, 5), Told(2, 5), Told(3, 4), Told(4, 5)]
    two.tellers[0].write(told, ALL)
    two.tellers[1].write(told, ALL, missed=frozenset({1}))
    two.merge()
    assert two.read() == [5, 5, 4, 5]


def test_the_same_state_long_after_is_another_push(two: Two) -> None:
    told = [Told(1, 5), Told(2, 4), Told(3 + APART_S, 5)]
    two.tellers[0].write(told, [Heard(0, 3)])
    two.tellers[1].write(told, [Heard(3, 500)])
    two.merge()
    assert two.read() == [5, 4, 5]


@pytest.mark.parametrize(("later_s", "pushes"), [(119, 1), (121, 2)])
def test_sightings_are_of_one_push_within_two_minutes(two: Two, later_s: int, pushes: int) -> None:
    two.tellers[0].write([Told(1, 5)], [Heard(0, 3)])
    two.tellers[1].write([Told(1 + later_s, 5)], [Heard(later_s, 500)])
    two.merge()
    assert two.read() == [5] * pushes
    with recorder.open(two.url) as record:
        assert len([event for event in record.replay() if isinstance(event, FrameEvent) and event.updates]) == pushes
        (order,) = record.as_of(NOON_NS + 500 * S).open_orders()
        (first, *others) = record.order_history()
        assert order == (others or [first])[-1]


def test_what_one_recorder_still_covers_is_in_no_gap_though_the_other_has_stopped(two: Two) -> None:
    two.tellers[0].write([Told(1, 5)], [Heard(0, 15, "stopped")])
    two.tellers[1].write([Told(1, 5), Told(50, 4)], [Heard(0, 100, "crashed")])  # its session goes on
    two.merge()
    with recorder.open(two.url) as record:
        (account,) = record.status().accounts
        assert (account.coverage.in_gap, account.coverage.gaps) == (False, 0)
        assert [gap.begins_ns for gap in record.gaps()] == [None]
        assert [gap.begins_ns for gap in record.as_of(NOON_NS + 60 * S).gaps()] == [None]
    told = gather(two.url, Filter())
    assert [(covered.ongoing, covered.gaps) for covered in told.covered] == [(None, {})]


class Balance(NamedTuple):
    """A push that tells of a balance, at a second after noon."""

    at_s: int
    available: int
    updated_at: int | None

    def payload(self, stamp: int = 0) -> bytes:
        """The frame."""
        updated = "" if self.updated_at is None else f',"updated_at":{self.updated_at}'
        told = f'"currency":"BTC","available":{self.available}{updated}'
        return f'{{"type":"account","ts":{self.at_s * 1000 + stamp},"account":{{{told}}}}}'.encode()


@pytest.mark.parametrize(("is_dated", "read"), [(True, [1, 2, 1]), (False, [1, 2])])
def test_a_return_to_an_old_state_is_read_where_pushes_tell_when_the_state_changed(
    two: Two, is_dated: bool, read: list[int]
) -> None:
    # Each recorder hears one of the two pushes of the same balance. The second half is the limit that is documented.
    told = [Balance(at_s, available, at_s if is_dated else None) for at_s, available in ((1, 1), (10, 2), (20, 1))]
    two.tellers[0].write(told, [Heard(0, 15)])
    two.tellers[1].write(told, [Heard(5, 100)])
    two.merge()
    with recorder.open(two.url) as record:
        assert [balance.available for balance in record.balance_history()] == read
        assert [balance.available for balance in record.balances()] == read[-1:]
        assert [balance.available for balance in record.as_of(NOON_NS + 500 * S).balances()] == read[-1:]
        frames = [event for event in record.replay() if isinstance(event, FrameEvent) and event.updates]
    assert len(frames) == len(read)
    with two.engine.connect() as connection:
        query = "SELECT available FROM balance_history ORDER BY received_ns"
        assert [int(one) for one in connection.scalars(text(query))] == read


def test_the_latest_state_is_not_what_a_slow_recorder_repeats(two: Two) -> None:
    # The second hears of the older state after the first has heard of the newer one.
    two.tellers[0].write([Told(1, 9), Told(2, 8)], ALL)
    two.tellers[1].write([Told(3, 9)], ALL)
    two.merge()
    with recorder.open(two.url) as record:
        assert [order.filled_quantity for order in record.orders()] == [2]


told_pushes = st.lists(
    st.tuples(st.integers(1, 90), st.integers(0, 2)).map(lambda drawn: Told(*drawn)), max_size=12
).map(sorted)
listened = st.tuples(st.integers(0, 80), st.integers(1, 200)).map(lambda drawn: [Heard(drawn[0], sum(drawn))])


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=told_pushes, heard=st.tuples(listened, listened))
def test_readers_are_told_what_the_rule_says(
    new_url: NewUrl,
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    told: list[Told],
    heard: tuple[list[Heard], list[Heard]],
) -> None:
    two = Two(tmp_path_factory.mktemp("two"), sqlite_template, new_url())
    for teller, sessions in zip(two.tellers, heard, strict=True):
        teller.write(told, sessions)
    two.merge()
    assert Counter(two.read()) == expected(told, heard)
    two.close()


def expected(told: Sequence[Told], heard: Sequence[Sequence[Heard]]) -> Counter[int]:
    """Of each state, in each burst, as many as the recorder that heard most of them."""
    count: Counter[int] = Counter()
    for state in {push.unfilled for push in told}:
        heard_at = [
            (push.at_s, number)
            for push in told
            if push.unfilled == state
            for number, sessions in enumerate(heard)
            if any(session.from_s <= push.at_s < session.until_s for session in sessions)
        ]
        # All of a test's pushes lie within one burst: 90 s at most.
        by_recorder = Counter(number for _, number in heard_at)
        if by_recorder:
            count[state] += max(by_recorder.values())
    return count


def test_two_that_heard_the_same_agree(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(0, 25), Heard(28, 100, "crashed"), Heard(120, 121)])
    two.tellers[1].write(TOLD, [Heard(5, 33), Heard(34, 100)])
    two.merge()
    told = list(compare_sessions(two.engine))
    assert [one.unseen for one in told] == [0] * len(told)
    assert sum(one.same for one in told) == len([push for push in TOLD if 5 <= push.at_s < 25 or push.at_s >= 28]) - 1
    assert findings(two.engine) == []
    assert list(compare_sessions(two.engine)) == [], "each pair once"


def test_a_push_that_one_alone_saw_is_a_finding(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(0, 100)])
    two.tellers[1].write(TOLD, [Heard(10, 100)], missed=frozenset({4, 20, 21, 38}))
    two.merge()
    (told,) = compare_sessions(two.engine)
    # Neither what came before the second listened, nor what came after the last that both saw.
    assert told.unseen == 2
    assert "only one of them received 2 others" in told.sentence()
    assert findings(two.engine) == [(21, "push order.a", "unseen"), (22, "push order.a", "unseen")]
    with two.engine.connect() as connection:
        (found_ns,) = connection.scalars(select(discrepancies.c.found_ns).where(discrepancies.c.seq == 21))
    assert found_ns == NOON_NS + 21 * S + 7_000_000


def test_a_state_that_came_back_before_the_other_listened_is_no_finding(two: Two) -> None:
    """Of two pushes that say the same, the other recorder heard the second: nobody can know that from what they say."""
    returned = [Told(at, 5 if at in {8, 12} else 100 + at) for at in range(1, 40)]
    two.tellers[0].write(returned, [Heard(0, 100)])
    two.tellers[1].write(returned, [Heard(10, 100)], missed=frozenset({9, 10, 20}))
    two.merge()
    (told,) = compare_sessions(two.engine)
    assert told.unseen == 1
    assert [finding[1:] for finding in findings(two.engine)] == [("push order.a", "unseen")]


def test_a_state_that_came_back_after_the_other_had_stopped_is_no_finding(two: Two) -> None:
    """Of two pushes that say the same, the other heard the first, and its clock had just been set far ahead."""
    two.tellers[0].write([Told(1, 9), Told(2, 5), Told(60, 4), Told(141, 5)], [Heard(0, 200)])
    two.tellers[1].write([Told(1, 9), Told(141, 5)], [Heard(0, 142)])
    two.merge()
    (told,) = compare_sessions(two.engine)
    assert (told.same, told.unseen) == (2, 0)
    assert findings(two.engine) == []


def test_what_one_received_later_than_the_other_ended_is_compared_too(two: Two) -> None:
    """One clock is ahead, as far as two clocks may be apart."""
    ahead_s = APART_S - 10
    two.tellers[0].write([Told(push.at_s + ahead_s, push.unfilled) for push in TOLD], [Heard(0, 300)])
    two.tellers[1].write(TOLD, [Heard(0, 40)], missed=frozenset({20}))
    two.merge()
    (told,) = compare_sessions(two.engine)
    assert (told.same, told.unseen) == (len(TOLD) - 1, 1)


def hourly_sessions(engine: Engine, count: int, recorders: int) -> None:
    """Sessions of some recorders that overlap with two of each other recorder, all of them compared already."""
    with engine.begin() as connection:
        for table in ("comparisons", "sessions", "runs", "recorders"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        accounts = "INSERT INTO accounts VALUES (1, 'fmex', 'main', 0) ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(accounts)
        for number in range(recorders):
            connection.exec_driver_sql(f"INSERT INTO recorders VALUES ({number}, 0, 'host')")
            run = f"({number}, {number}, 0, 'host', 1, 'v', NULL, NULL)"
            connection.exec_driver_sql(f"INSERT INTO runs VALUES {run}")
        sessions = [
            (
                1,
                at * recorders + number,
                number,
                "",
                "url",
                "account",
                at * 60,
                at * 60 + number,
                at * 60 + 50,
                "lost",
                None,
            )
            for number in range(recorders)
            for at in range(count // recorders)
        ]
        insert_rows(connection, schema.sessions, sessions)
        compared = [(1, at * 2, at * 2 + 1, 0, 0) for at in range(count // 2)] if recorders == 2 else []
        insert_rows(connection, schema.comparisons, compared)


def test_finding_sessions_to_compare_takes_a_time_that_grows_with_their_number(two: Two) -> None:
    took_s = {}
    for count in (600, 6_000):
        hourly_sessions(two.engine, count, 2)
        began_s = process_time()
        for _ in range(3):
            assert list(compare_sessions(two.engine)) == []
        took_s[count] = process_time() - began_s
    # Ten times as many sessions; it was a hundred times the work.
    assert took_s[6_000] < 40 * took_s[600]
    assert took_s[6_000] < 3


def test_with_one_recorder_no_session_is_read(two: Two) -> None:
    hourly_sessions(two.engine, 10, 1)
    asked: list[str] = []
    event.listen(two.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    assert list(compare_sessions(two.engine)) == []
    assert [statement for statement in asked if "sessions" in statement] == []


def test_a_session_that_goes_on_is_not_judged(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(0, 100)])
    two.tellers[1].write(TOLD, [Heard(0, 100, "crashed")], missed=frozenset({20}))
    two.merge()
    assert list(compare_sessions(two.engine)) == []


def test_a_topic_that_one_was_refused_is_not_held_against_it(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(0, 100)])
    two.tellers[1].write(TOLD, [Heard(0, 100)], missed=frozenset({20}))
    two.merge()
    with two.engine.begin() as connection:
        one = connection.execute(text("SELECT * FROM gaps WHERE topic IS NULL ORDER BY recorder_id")).mappings().first()
        assert one is not None
        connection.execute(
            insert(gaps).values(
                account_id=ACCOUNT,
                recorder_id=one["recorder_id"],
                gap_id=9,
                stream="",
                topic="order.a",
                reason="refused",
                state="open",
            )
        )
    assert [told.unseen for told in compare_sessions(two.engine)] == [0]


def test_the_gap_of_the_whole_is_what_both_missed(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(0, 10), Heard(20, 30)])
    two.tellers[1].write(TOLD, [Heard(5, 25), Heard(35, 39)])
    two.merge()

    def at_s(ns: int | None) -> float | None:
        return None if ns is None else (ns - NOON_NS) // S

    with recorder.open(two.url) as record:
        whole = [(at_s(gap.begins_ns), at_s(gap.ends_ns), gap.state) for gap in record.gaps()]
        (account,) = record.status().accounts
    assert whole == [(None, 0, "reconciled"), (29, 35, "reconciled"), (38, None, "open")]
    assert account.recorders == 2
    assert (account.coverage.gaps, account.coverage.in_gap) == (2, True)


def test_symbols_that_one_alone_records_are_not_held_against_the_other(two: Two) -> None:
    two.tellers[0].write(TOLD, ALL)
    two.tellers[1].write(TOLD, ALL, missed=frozenset({20, 21}))
    two.merge()
    with two.engine.begin() as connection:
        connection.execute(text("UPDATE sessions SET topics = 'account position.a' WHERE session_id % 256 = 2"))
    assert [told.unseen for told in compare_sessions(two.engine)] == [0]
