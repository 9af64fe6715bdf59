"""What was known at an instant: what is told of a record that ends there, with any snapshots and with none."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

import recorder
from recorder.model import FINAL_STATUSES, PUSH, REST
from recorder.read.record import AsOf, Filter, Record
from recorder.store.mover import Mover
from recorder.store.schema import TYPED, frames, snapshots
from recorder.store.snapshots import Snapshots, make_all
from tests.contract.conftest import NewUrl
from tests.contract.lines import TIMES_MS, Line, S, Scribe, lines
from tests.depth import examples
from tests.made import ACCOUNT, NOON_NS, quick_engine, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_older_history_is_merged_and_what_was_noted_is_forgotten",
    "test_filters",
)

TOKYO = timezone(timedelta(hours=9))

READS: dict[str, tuple[Callable[[AsOf], Iterator[Any]], Callable[[Record], Iterator[Any]]]] = {
    "orders": (AsOf.orders, Record.orders),
    "order_history": (AsOf.order_history, Record.order_history),
    "fills": (AsOf.fills, Record.fills),
    "positions": (AsOf.positions, Record.positions),
    "balances": (AsOf.balances, Record.balances),
    "open orders": (AsOf.open_orders, lambda record: (one for one in record.orders() if is_open(one.status))),
}


def is_open(status: str | None) -> bool:
    return status not in FINAL_STATUSES


def merge(source: Engine, target: Engine, frames_max: int, every: int) -> None:
    """Move everything, and make snapshots after each step, one for so many frames; 0: none."""
    mover = Mover(source, target, frames_max)
    more = True
    while more:
        more = mover.step() is not None
        if every:
            with target.connect() as connection:
                list(make_all(connection, Snapshots(every, 0)))
    mover.close()


def end_at(engine: Engine, at_ns: int) -> None:
    """Take away what was received later."""
    with engine.begin() as connection:
        unguard(connection)
        for table in (frames, *TYPED.values()):
            connection.execute(text(f"DELETE FROM {table.name} WHERE received_ns > {at_ns}"))


def told_at(record: Record, at_ns: int) -> dict[str, list[Any]]:
    as_of = record.as_of(at_ns)
    return {name: list(read(as_of)) for name, (read, _) in READS.items()}


@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    told=st.lists(lines, min_size=1, max_size=3),
    order=st.permutations(range(3)),
    frames_max=st.sampled_from([1, 3, 100]),
    every=st.sampled_from([0, 1, 2, 5]),
)
def test_as_of_an_instant_a_record_tells_what_it_tells_where_it_ends_there(
    new_url: NewUrl,
    tmp_path_factory: Any,
    sqlite_template: Path,
    told: list[list[Line]],
    order: list[int],
    frames_max: int,
    every: int,
) -> None:
    folder = tmp_path_factory.mktemp("as_of")
    scribes = [Scribe(folder / f"{number}.db", sqlite_template, number) for number in range(len(told))]
    full, ended = new_url(), new_url()
    for scribe, its in zip(scribes, told, strict=True):
        scribe.write(its)
    for url, one_every in ((full, every), (ended, 0)):
        target = quick_engine(url)
        for number in order:
            if number < len(scribes):
                merge(scribes[number].engine, target, frames_max, one_every)
        target.dispose()
    instants = sorted(
        {at_ns + more for scribe in scribes for at_ns in scribe.instants for more in (-1, 0)}, reverse=True
    )
    engine = quick_engine(ended)
    with recorder.open(full) as record, recorder.open(ended) as ending:
        for at_ns in instants[:: max(len(instants) // 3, 1)]:
            end_at(engine, at_ns)
            expected = {name: list(read(ending)) for name, (_, read) in READS.items()}
            assert told_at(record, at_ns) == expected
    for used in (engine, *(scribe.engine for scribe in scribes)):
        used.dispose()


class One:
    """Records that are merged, as they grow, into the database that is asked, with a snapshot wherever one can be."""

    def __init__(self, folder: Path, template: Path, url: str) -> None:
        self._folder = folder
        self._template = template
        self.url = url
        self.engine = quick_engine(url)
        self.scribes: list[Scribe] = []

    def scribe(self) -> Scribe:
        """Another recorder."""
        number = len(self.scribes)
        self.scribes.append(Scribe(self._folder / f"{number}.db", self._template, number))
        return self.scribes[-1]

    def merge(self, scribe: Scribe, every: int = 1) -> None:
        merge(scribe.engine, self.engine, 1, every)

    def snapshots(self) -> list[int]:
        """Their instants, in ns after noon."""
        with self.engine.connect() as connection:
            made = connection.scalars(select(snapshots.c.at_ns).order_by(snapshots.c.at_ns))
            return [at_ns - NOON_NS for at_ns in made]

    def open_orders(self, at_s: float) -> list[tuple[str, str | None]]:
        with recorder.open(self.url) as record:
            then = record.as_of(NOON_NS + int(at_s * S))
            told = [(order.order_id, order.status) for order in then.open_orders()]
            assert told == [(order.order_id, order.status) for order in then.orders() if is_open(order.status)]
        return told

    def close(self) -> None:
        for engine in (self.engine, *(scribe.engine for scribe in self.scribes)):
            engine.dispose()


@pytest.fixture
def one(tmp_path: Path, sqlite_template: Path, url: str) -> Iterator[One]:
    one = One(tmp_path, sqlite_template, url)
    yield one
    one.close()


def line(what: str, thing: int = 0, value: int = 0, *, after_s: float = 1, source: str = PUSH) -> Line:
    """A line that is a batch of its own."""
    return Line(what, ACCOUNT, thing, value, source, TIMES_MS[value], after_s, True)


PENDING, FILLED = 0, 2


def test_an_order_that_ended_while_an_answer_was_on_its_way_stays_at_its_end(one: One) -> None:
    scribe = one.scribe()
    others = [line("balance", value=value) for value in range(4)]
    told = [line("order", value=PENDING), line("ask"), line("order", value=FILLED), *others]
    scribe.write([*told, line("order", value=PENDING, source=REST), line("answered"), *others])
    one.merge(scribe)
    assert [at_ns for at_ns in one.snapshots() if 3 * S <= at_ns < 8 * S], "after its end, and before the answer"
    assert one.open_orders(2) == [("0", "new")]
    assert one.open_orders(3) == one.open_orders(8) == one.open_orders(20) == []


def test_an_order_whose_end_counts_from_after_the_snapshot_stays_at_its_end(one: One) -> None:
    scribe = one.scribe()
    others = [line("balance", value=value) for value in range(4)]
    # Asked for at 100 s, then the clock is set back: what is pushed at 60 s is the older word.
    told = [line("ask", after_s=100), line("order", value=FILLED, source=REST, after_s=-50), line("answered")]
    scribe.write([*told, *others, line("order", value=PENDING, after_s=5), *others])
    one.merge(scribe)
    assert [at_ns for at_ns in one.snapshots() if 50 * S <= at_ns < 60 * S]
    assert one.open_orders(60) == one.open_orders(70) == []


def test_the_clock_is_set_back_and_what_was_noted_is_forgotten(one: One) -> None:
    scribe = one.scribe()
    scribe.write([line("order", thing) for thing in range(3)] + [line("balance", after_s=100) for _ in range(4)])
    one.merge(scribe)
    before = one.snapshots()
    assert before[-1] > 200 * S
    scribe.write([line("order", 0, FILLED, after_s=-350)])
    one.merge(scribe, 0)
    assert one.snapshots() == [at_ns for at_ns in before if at_ns < 53 * S]
    assert one.open_orders(500) == [("1", "new"), ("2", "new")]
    one.merge(scribe)
    assert len(one.snapshots()) > len(before)
    assert one.open_orders(60) == [("1", "new"), ("2", "new")]
    assert one.open_orders(500) == [("1", "new"), ("2", "new")]


def test_older_history_is_merged_and_what_was_noted_is_forgotten(one: One) -> None:
    older, newer = one.scribe(), one.scribe()
    older.write([line("order", 1), line("order", 2), line("order", 2, FILLED), line("balance")])
    newer.write([line("balance", value=value % 4, after_s=10) for value in range(9)])
    one.merge(newer)
    assert len(one.snapshots()) > 3
    assert one.open_orders(60) == []
    one.merge(older, 0)
    assert one.snapshots() == []
    assert one.open_orders(60) == [("1", "new")]
    one.merge(older)
    assert one.open_orders(60) == [("1", "new")]
    assert one.open_orders(2) == [("1", "new"), ("2", "new")]


def test_second_sightings_of_what_was_said_again_and_again_for_long(one: One) -> None:
    """As often as the recorder that saw it most often: what is counted may have begun long before the last snapshot."""
    first, second = one.scribe(), one.scribe()
    again = [line("balance", value=1, after_s=100) for _ in range(10)]
    # Only the first saw it at 1 s; only the second at 1,101 s, its eleventh time as well: so it is none that is new.
    first.write([line("balance", value=1), *again, line("balance", value=2, after_s=50)])
    second.write([line("balance", value=3), *again, line("balance", value=2, after_s=50)])
    second.write([line("balance", value=1, after_s=50), *(line("position", value=value) for value in range(4))])
    one.merge(first)
    one.merge(second)
    assert one.snapshots()[-1] > 1_050 * S
    with recorder.open(one.url) as record:
        for at_s, available in ((2, 3), (500, 1), (1_060, 2), (1_102, 2), (9_999, 2)):
            (balance,) = record.as_of(NOON_NS + at_s * S).balances()
            assert balance.available == available, at_s


def test_an_instant_is_a_number_or_has_a_time_zone(one: One) -> None:
    scribe = one.scribe()
    scribe.write([line("order")])
    one.merge(scribe)
    noon = datetime(2020, 2, 4, 7, 40, 53, 662_000, UTC)
    with recorder.open(one.url) as record:
        for t in (NOON_NS + S, noon + timedelta(seconds=1), (noon + timedelta(seconds=1)).astimezone(TOKYO)):
            assert record.as_of(t).at_ns == NOON_NS + S
            assert len(list(record.as_of(t).orders())) == len(list(record.as_of(t).open_orders())) == 1
        assert list(record.as_of(NOON_NS + S - 1).orders()) == []
        with pytest.raises(ValueError, match="has no time zone"):
            record.as_of(noon.replace(tzinfo=None))
        for far, count in ((2**80, 1), (2**63 - 1, 1), (-(2**80), 0), (0, 0)):
            as_of = record.as_of(far)
            assert len(list(as_of.orders())) == len(list(as_of.open_orders())) == count
            assert len(list(as_of.fills())) == len(list(as_of.gaps())) - 2 * count == 0


def test_filters(one: One) -> None:
    scribe = one.scribe()
    scribe.write([line("position", 0), line("position", 1), line("order", 5), line("balance", 3)])
    scribe.write([line("order", 6)._replace(account_id=8), line("order", 7, FILLED)])
    one.merge(scribe)
    with recorder.open(one.url) as record:
        then = record.as_of(NOON_NS + 100 * S)
        assert [one.symbol for one in then.positions(Filter(symbol="s1"))] == ["S1"]
        assert [one.symbol for one in then.positions(Filter(since_ns=NOON_NS + 2 * S))] == ["S1"]
        assert [one.symbol for one in then.positions(Filter(until_ns=NOON_NS + 2 * S))] == ["S0"]
        assert [one.currency for one in then.balances(Filter(symbol="s1"))] == ["C3"]
        assert list(then.balances(Filter(since_ns=NOON_NS + 5 * S))) == []
        assert [one.order_id for one in then.open_orders()] == ["5", "6"]
        assert [one.order_id for one in record.open_orders()] == ["5", "6"]
        assert [one.order_id for one in record.open_orders(Filter(until_ns=NOON_NS + 4 * S))] == ["5"]
        assert [one.order_id for one in then.open_orders(Filter(account="account 8"))] == ["6"]
        assert [one.order_id for one in then.open_orders(Filter(symbol="b"))] == []
        assert [one.order_id for one in then.open_orders(Filter(symbol="a", since_ns=NOON_NS + 4 * S))] == ["6"]


def test_statuses_count_even_if_only_a_newer_recorder_knows_the_venue(one: One) -> None:
    scribe = one.scribe()
    scribe.write([line("order", 1, FILLED), line("order", 2, PENDING), *(line("balance") for _ in range(4))])
    one.merge(scribe)
    with one.engine.begin() as connection:
        connection.execute(text("DELETE FROM snapshot_rows"))
        connection.execute(text("DELETE FROM snapshots"))
        connection.execute(text("UPDATE accounts SET venue = 'newer'"))
    with one.engine.connect() as connection:
        list(make_all(connection, Snapshots(1, 0)))
    assert one.snapshots()
    with recorder.open(one.url) as record:
        assert [order.order_id for order in record.open_orders()] == ["2"]
