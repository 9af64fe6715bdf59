"""Batches: all of one or nothing, and exactly once."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from recorder.model import UNDECODED, Update
from recorder.store.entries import RunStarted, SessionOpened
from recorder.store.journal import Batch, typed_row
from recorder.store.schema import TYPED, TYPED_KEY, batches, frames, metadata, receipts, seals, spans
from recorder.store.seals import BEGINNING
from tests.contract.conftest import NewUrl
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, new_database, received, sent, unguard
from tests.samples import sample

STARTED = RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0")
OPENED = SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", ("account",), NOON_NS)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    _, engine = new_database(url)
    with engine.begin() as connection:
        write(connection, batch(1, entries=[STARTED, OPENED]))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def shared(new_url: NewUrl) -> Engine:
    """One database for all examples; each begins with `_clear`."""
    _, engine = new_database(new_url())
    with engine.begin() as connection:
        write(connection, batch(1, entries=[STARTED, OPENED]))
        unguard(connection)
    return engine


def batch(number: int, *recorded: Any, entries: list[Any] | None = None) -> Batch:
    made = Batch(RECORDER, RUN, number, BEGINNING)
    made.entries += entries or []
    for one in recorded:
        made.add(*one)
    return made


def write(connection: Connection, made: Batch) -> None:
    made.write(connection, NOON_NS)


def counts(engine: Engine) -> dict[str, int]:
    """Rows of each table."""
    with engine.connect() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
        }


def everything(seq: int) -> list[Any]:
    """A frame of each kind."""
    names = ("account", "order", "position", "ping", "hello")
    pushes = [received(seq + number, sample(name)) for number, name in enumerate(names)]
    return [*pushes, sent(seq + len(names)), received(seq + len(names) + 1, b"\xff not a frame")]


def test_a_record_of_the_model_is_a_row_of_its_table() -> None:
    for record, table in TYPED.items():
        assert tuple(table.c.keys()) == TYPED_KEY + record._fields
    assert tuple(frames.c.keys()) == received(0).frame._fields


def test_a_batch_is_written_with_everything_in_it(engine: Engine) -> None:
    before = counts(engine)
    with engine.begin() as connection:
        write(connection, batch(2, *everything(0)))
    after = counts(engine)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        "frames": 7,
        "account_updates": 1,
        "order_updates": 1,
        "position_updates": 1,
        "heartbeats": 1,
        "batches": 1,
        "spans": 1,
        "seals": 1,
        "receipts": 1,
    }
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(select(frames).order_by(frames.c.seq))] == [
            tuple(recorded.frame) for recorded in everything(0)
        ]
        assert connection.scalar(select(batches.c.frames).where(batches.c.batch == 2)) == 7


def _duplicate_frame() -> Batch:
    return batch(2, *everything(0), received(3, b"its number stands there already"))


def _duplicate_update() -> Batch:
    made = batch(2, *everything(0))
    rows = made.rows[type(received(1).updates[0])]
    rows.append(rows[0])
    return made


def _unknown_session() -> Batch:
    return batch(2, *everything(0), entries=[SessionOpened(999, 1, RUN, "wss://x", (), NOON_NS)])


def _used_number() -> Batch:
    return batch(1, *everything(0))


def _no_status() -> Batch:
    one = received(9)
    return batch(2, *everything(0), one._replace(frame=one.frame._replace(status=None)))  # type: ignore[arg-type]


@pytest.mark.parametrize("breaks", [_duplicate_frame, _duplicate_update, _unknown_session, _used_number, _no_status])
def test_a_batch_that_breaks_in_the_middle_leaves_nothing(engine: Engine, breaks: Any) -> None:
    before = counts(engine)
    with pytest.raises(DBAPIError), engine.begin() as connection:
        write(connection, breaks())
    assert counts(engine) == before
    # And the next one is none the worse for it.
    with engine.begin() as connection:
        write(connection, batch(2, *everything(0)))
    assert counts(engine)["frames"] == before["frames"] + 7


def test_a_batch_is_written_when_it_is_committed_and_not_before(engine: Engine) -> None:
    made = batch(2, *everything(0))
    with engine.connect() as connection:
        with connection.begin() as transaction:
            assert not made.is_written(connection)
            write(connection, made)
            transaction.rollback()
        with connection.begin():
            assert not made.is_written(connection)
            write(connection, made)
        with connection.begin():
            assert made.is_written(connection)
            assert not batch(3).is_written(connection)
            assert not Batch(RECORDER, RUN + 1, 2, BEGINNING).is_written(connection), "each run counts its own"


@pytest.mark.parametrize("committed", [True, False])
def test_a_batch_whose_outcome_was_unknown_is_there_exactly_once(engine: Engine, committed: bool) -> None:
    made = batch(2, *everything(0))
    with engine.connect() as connection, connection.begin() as first:
        write(connection, made)
        if committed:
            first.commit()
        else:
            first.rollback()
    once = counts(engine)
    for _ in range(2):  # as often as it is asked
        with engine.begin() as connection:
            if not made.is_written(connection):
                write(connection, made)
    after = counts(engine)
    assert after["frames"] == 7
    assert after["batches"] == 2
    assert committed == (after == once)


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "ts", "order", "id", "symbol", "topics"]), inner, max_size=4)
        ),
    ).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
)
def test_whatever_comes_can_be_written(shared: Engine, payload: bytes) -> None:
    """What the decoder gives for any bytes at all is what the driver and the STRICT tables take."""
    with shared.begin() as connection:
        _clear(connection)
        write(connection, batch(2, received(0, payload)))
        row = connection.execute(select(frames)).one()
    assert row.payload == payload
    assert (row.error is None) == (row.status != UNDECODED)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(-(2**64), 2**64).map(str)
            | st.floats(allow_nan=False, allow_infinity=False).map(repr)
            | st.sampled_from(
                [
                    "null",
                    "true",
                    '""',
                    '"x"',
                    '"\\u0000"',
                    '"\\ud800"',
                    "1e99",
                    "1E-99",
                    "1e100",
                    "-0",
                    "0E-18",
                    "[]",
                    "{}",
                ]
            )
            for name in ("id", "quantity", "price", "fee", "features", "symbol", "status", "created_at", "new_field")
        },
    )
)
def test_whatever_an_order_says_can_be_written(shared: Engine, fields: dict[str, str]) -> None:
    inner = ",".join(f'"{name}":{value}' for name, value in fields.items())
    payload = f'{{"type":"order.btcusd_p","ts":1,"order":{{{inner}}}}}'.encode()
    with shared.begin() as connection:
        _clear(connection)
        recorded = received(0, payload)
        write(connection, batch(2, recorded))
        found = connection.execute(select(TYPED[type(recorded.updates[0])])).all() if recorded.updates else []
        raw = connection.execute(text("SELECT quantity, price, fee FROM order_updates")).all()
    assert len(found) == len(recorded.updates)
    for row in raw:
        sent_digits = [fields.get(name, "null") for name in ("quantity", "price", "fee")]
        # The digits as they were sent, whatever they are; PostgreSQL's numbers have no spelling, but every digit.
        read: Any = str if shared.dialect.name == "sqlite" else Decimal
        assert list(row) == [None if digits == "null" else read(digits) for digits in sent_digits]


def test_a_row_begins_with_the_key_of_its_frame() -> None:
    recorded = received(5)
    update: Update = recorded.updates[0]
    assert typed_row(recorded.frame, 2, update) == (ACCOUNT, SESSION, 5, 2, NOON_NS + 5, *update)


def _clear(connection: Connection) -> None:
    for table in (frames, receipts, *TYPED.values()):
        connection.execute(table.delete())
    for table in (seals, batches, spans):
        connection.execute(table.delete().where(table.c.batch > 1))
