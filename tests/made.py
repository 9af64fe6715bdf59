"""Frames and databases made for a test."""

from pathlib import Path

from sqlalchemy import Connection, Engine, event

from recorder.live.channel import Recorded
from recorder.model import CONTROL, PUSH, REST, SENT, FillUpdate, Frame
from recorder.store import event_log, migrate
from recorder.store.engine import open_engine
from recorder.store.entries import AccountAdded, RecorderAdded
from recorder.venues.base import Venue
from recorder.venues.fmex import rest
from recorder.venues.fmex.stand_in import answers
from recorder.venues.reading import read_answer, read_frame
from recorder.venues.stand_in import Reply
from recorder.venues.view import AccountView
from tests.samples import FMEX

ACCOUNT, SESSION, RUN, RECORDER = 7, 70, 700, 7000
#: 2020-02-04 07:40:53.662, in nanoseconds.
NOON_NS = 1_580_802_053_662_000_000

ORDER = b'{"type":"order.btcusd_p","ts":1,"order":{"id":%d,"quantity":10,"unfilled_quantity":%d,"fee":0.0}}'


def received(
    seq: int, payload: bytes | None = None, *, account_id: int = ACCOUNT, session_id: int = SESSION, at_ns: int = 0
) -> Recorded:
    """A push as the collector hands it over; without a payload an order of its own."""
    payload = ORDER % (seq, 10) if payload is None else payload
    decoded = read_frame(FMEX, payload)
    frame = Frame(
        account_id,
        session_id,
        seq,
        at_ns or NOON_NS + seq,
        PUSH,
        decoded.topic,
        decoded.status,
        decoded.error,
        payload,
    )
    return Recorded(frame, decoded.rows)


def fill(order_id: str, liquidity: str | None, *digits: str | None, executed_ms: int | None) -> FillUpdate:
    """A fill as FMex's REST answers report it; digits of price, quantity and fee."""
    price, quantity, fee = digits
    nothing = FillUpdate(None, 0, *[None] * (len(FillUpdate._fields) - 2))
    return nothing._replace(
        order_id=order_id, liquidity=liquidity, price=price, quantity=quantity, fee=fee, executed_ms=executed_ms
    )


def answered(
    seq: int, target: str, payload: bytes, at_ns: int, *, account_id: int = ACCOUNT, round_id: int
) -> Recorded:
    """A REST answer as the reconciler hands it over."""
    decoded = read_answer(FMEX, target, payload)
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(account_id, round_id, seq, at_ns, REST, *state, payload), decoded.rows)


def of_venue(venue: Venue, one: Recorded) -> Recorded:
    """The same push or answer, as another venue decodes it."""
    frame = one.frame
    is_answer = frame.source == REST
    decoded = read_answer(venue, frame.topic or "", frame.payload) if is_answer else read_frame(venue, frame.payload)
    told = frame._replace(topic=decoded.topic, status=decoded.status, error=decoded.error)
    return Recorded(told, decoded.rows)


def sent(seq: int, *, account_id: int = ACCOUNT, session_id: int = SESSION, at_ns: int = 0) -> Recorded:
    """A command of ours as the collector hands it over."""
    payload = b'{"cmd":"ping"}'
    return Recorded(Frame(account_id, session_id, seq, at_ns or NOON_NS + seq, SENT, None, CONTROL, None, payload), ())


def body_of(answered: bytes | Reply) -> bytes:
    """The body of an answer."""
    return answered.body if isinstance(answered, Reply) else answered


def snapshot_of(told: AccountView) -> list[tuple[str, bytes]]:
    """What FMex answers when it is asked how things are: each request's target, and the body."""
    return [
        (rest.ACCOUNTS, answers.answer(0, answers.balances(told.balances()))),
        (rest.POSITIONS, answers.results("ok", map(answers.position, told.positions()))),
        (rest.OPEN_ORDERS, answers.results(0, map(answers.order, told.open_orders()))),
    ]


def quick_engine(url: str) -> Engine:
    """As `open_engine`, but a file is not flushed at every commit: for tests that prove nothing about power cuts."""
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return engine


def unguard(connection: Connection) -> None:
    """Take the guards of the journal away, as who owns the database can."""
    if connection.dialect.name == "sqlite":
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
        for name in names:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    else:
        connection.exec_driver_sql("DROP FUNCTION IF EXISTS refuse_change, refuse_frame_change CASCADE")


def new_database(place: str | Path, *accounts: tuple[int, str], venue: str = "fmex") -> tuple[str, Engine]:
    """A database with the current schema and these accounts (key, name), by default one; its address and an engine.

    Args:
        place: a file to be made, or the address of a database that may have its schema already.
        accounts: key and name of each.
        venue: of the accounts.
    """
    url = place if isinstance(place, str) else f"sqlite:///{place}"
    engine = quick_engine(url)
    migrate.require_usable(engine)
    with engine.begin() as connection:
        event_log.apply(connection, RECORDER, RecorderAdded(RECORDER, NOON_NS, "here"))
        for key, name in accounts or ((ACCOUNT, "main"),):
            event_log.apply(connection, RECORDER, AccountAdded(key, venue, name, NOON_NS))
    return url, engine
