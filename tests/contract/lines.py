"""A recorder whose clock, connections, rounds of questions and batches go as a test draws them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st
from sqlalchemy import Engine

from recorder.live.channel import Recorded
from recorder.model import BALANCES, POSITIONS, PUSH, REST, SNAPSHOT, Frame, Listing, OrderUpdate, Transaction, Update
from recorder.store.entries import (
    AccountAdded,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RunStarted,
    SessionOpened,
)
from recorder.store.journal import Batch
from recorder.store.opening import open_run
from recorder.venues.fmex import rest
from recorder.venues.reading import read_frame
from tests.made import NOON_NS, fill, quick_engine
from tests.samples import FMEX

S = 1_000_000_000
ACCOUNTS = (7, 8)
TOPICS = ("account", "order.a", "position.a")
#: Positions are in these contracts; the last is that of the orders.
SYMBOLS = ("S0", "S1", "A")
#: When a state was true: seconds, a quarter of an hour, midnight and a day lie in between.
TIMES_MS = (1, 9_000, 12_000, 901_000, 86_399_000, 86_401_000, 86_420_000, 180_000_000)
STATUSES = ("PENDING", "PARTIAL_FILLED", "FULLY_FILLED", "FULLY_CANCELLED")


#: What is a list where this value is told.
LISTED = 3
LISTS = {"balance": Listing(None, 1, BALANCES, rest.ACCOUNTS), "position": Listing(None, 1, POSITIONS, rest.POSITIONS)}


class Line(NamedTuple):
    """What happens next."""

    #: `order`, `balance`, `position`, `execution`, `funding`, `ledger`, `nonsense`; `ask` and `answered` begin and end
    #: a round of questions; `connect` begins a new session.
    what: str
    account_id: int
    #: Which order, currency or symbol, and what is said of it.
    thing: int
    value: int
    #: `push`, or the answer to a question where one was asked: `rest`, `snapshot`.
    source: str
    #: When that was true, milliseconds since 1970.
    at_ms: int
    #: Where the clock goes before it, seconds.
    moves_s: float
    #: Whether a batch ends with it.
    commits: bool


#: Mostly states, of few things and with few values, so that they are often told again.
STATES = ("order",) * 6 + ("balance",) * 3 + ("position",) * 2
WHATS = (*STATES, *("funding",) * 3, "ledger", "ask", "answered", "execution", "connect", "nonsense")
lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(WHATS),
        st.sampled_from(ACCOUNTS[:1] * 4 + ACCOUNTS[1:]),
        st.integers(0, 2),
        st.integers(0, 3),
        st.sampled_from([PUSH, PUSH, PUSH, REST, REST, SNAPSHOT]),
        st.sampled_from(TIMES_MS),
        st.sampled_from([0, 0.001, 0.001, 1, 7, 40, 119, 121, 1000, -0.001, -3, -60, -2000]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


class Scribe:
    """Writes one record.

    Args:
        path: its file, not there yet.
        template: a file with the current schema.
        number: which recorder.
    """

    def __init__(self, path: Path, template: Path, number: int) -> None:
        shutil.copy(template, path)
        self.url = f"sqlite:///{path}"
        self.engine: Engine = quick_engine(self.url)
        #: Every instant at which something was received.
        self.instants: list[int] = []
        self._number = number
        self._now_ns = NOON_NS + number
        self._keys = 0
        #: (account, whether a round) → its session, and the next number in it.
        self._open: dict[tuple[int, bool], list[int]] = {}
        wanted = [AccountAdded(key, "fmex", f"account {key}", self._now_ns) for key in ACCOUNTS]
        with self.engine.begin() as connection:
            started = RunStarted(self._key(), 0, self._now_ns, "host", 1, "v")
            self._run, self._seal, _ = open_run(connection, self.url, started, wanted)
        self._batches = 0
        self._batch = self._new_batch()

    def write(self, told: Sequence[Line]) -> None:
        """Record what happens, and commit all of it."""
        for line in told:
            self._now_ns += int(line.moves_s * S)
            self._take(line)
            if line.commits:
                self.commit()
        self.commit()

    def commit(self) -> None:
        """End a batch."""
        with self.engine.begin() as connection:
            self._batch.write(connection, self._now_ns)
        self._seal = self._batch.seal
        self._batch = self._new_batch()

    def _take(self, line: Line) -> None:
        in_round = (line.account_id, True)
        if line.what == "connect":
            self._connect(line.account_id)
        elif line.what == "ask":
            if in_round not in self._open:
                round_id = self._key()
                self._tell(ReconciliationBegan(line.account_id, round_id, self._run.run_id, self._now_ns))
                self._open[in_round] = [round_id, 0]
        elif line.what == "answered":
            if in_round in self._open:
                round_id, _ = self._open.pop(in_round)
                ended = ReconciliationEnded(line.account_id, round_id, 0, self._now_ns, "reconciled", "")
                self._tell(ended)
        elif line.source != PUSH and in_round in self._open:
            updates = () if line.source == SNAPSHOT else _said(line)
            self._add(self._open[in_round], line, line.source, updates)
        elif line.what != "execution":
            if (line.account_id, False) not in self._open:
                self._connect(line.account_id)
            self._add(self._open[line.account_id, False], line, PUSH, _said(line))

    def _connect(self, account_id: int) -> None:
        session_id = self._key()
        self._tell(SessionOpened(account_id, session_id, self._run.run_id, "wss://x", TOPICS, self._now_ns))
        self._open[account_id, False] = [session_id, 0]

    def _add(self, session: list[int], line: Line, source: str, updates: tuple[Update, ...]) -> None:
        session_id, seq = session
        session[1] += 1
        self.instants.append(self._now_ns)
        payload = _payload(line)
        state = read_frame(FMEX, payload)[:3]
        frame = Frame(line.account_id, session_id, seq, self._now_ns, source, *state, payload)
        self._batch.add(*Recorded(frame, updates))

    def _tell(self, entry: LogEntry) -> None:
        self._batch.entries.append(entry)

    def _key(self) -> int:
        self._keys += 1
        return self._keys * 10 + self._number

    def _new_batch(self) -> Batch:
        self._batches += 1
        return Batch(self._run.recorder_id, self._run.run_id, self._batches, self._seal)


def _payload(line: Line) -> bytes:
    thing, value, at_ms = line.thing, line.value, line.at_ms
    match line.what:
        case "order":
            direction = "SHORT" if thing == 1 else "LONG"
            said = f'"id":{thing},"symbol":"A","quantity":10,"unfilled_quantity":{10 - value},"direction":"{direction}"'
            said += f',"status":"{STATUSES[value]}","fill_price":9,"fee":0.{value}'
            return f'{{"type":"order.a","ts":{at_ms},"order":{{{said}}}}}'.encode()
        case "balance":
            return f'{{"type":"account","ts":1,"account":{{"currency":"C{thing}","available":{value}}}}}'.encode()
        case "position":
            said = f'"symbol":"{SYMBOLS[thing]}","quantity":{value},"realized_pnl":0.{value}'
            return f'{{"type":"p","ts":{at_ms},"position":{{{said}}}}}'.encode()
    return b"?"


def _said(line: Line) -> tuple[Update, ...]:
    if line.what == "execution":
        execution = fill(str(line.thing), "taker", "9", str(line.value), "0.1", executed_ms=line.at_ms)
        return (execution._replace(realized_pnl=None if line.value == 1 else f"{line.value}.50"),)
    if line.what in {"funding", "ledger"}:
        return (_movement(line),)
    updates = read_frame(FMEX, _payload(line)).updates
    if line.value == LISTED and line.what in LISTS:
        # A list of this one thing: the others are gone.
        return (*updates, LISTS[line.what])
    return tuple(_of_another_channel(one, line) if isinstance(one, OrderUpdate) else one for one in updates)


def _movement(line: Line) -> Transaction:
    """A movement of money: pushed, or as the ledger lists it, or of the ledger but no funding."""
    wallet = (None, "a", "b")[line.thing]
    one = Transaction(line.at_ms, 0, None, "funding", None, wallet, "C", f"-0.{line.value}", symbol="A")
    if line.what == "ledger":
        return one._replace(type="trade", balance_after="7", occurred_ms=line.at_ms)
    match line.value:
        case 0:
            # Nobody says how much, or when.
            return one._replace(amount=None, occurred_ms=None)
        case 1:
            return one._replace(occurred_ms=None)
        case 2:
            return one._replace(occurred_ms=line.at_ms)
    return one._replace(occurred_ms=line.at_ms, transaction_id=f"t{line.thing}", balance_after="8")


def _of_another_channel(update: OrderUpdate, line: Line) -> OrderUpdate:
    """As venues send it whose channels have more columns, or fewer, or only what changed; or no time of an open one."""
    if line.value < 2 and line.at_ms in TIMES_MS[:3]:
        update = update._replace(event_ms=None, is_snapshot=1)
    match line.value:
        case 0:
            return update._replace(order_type="limit", time_in_force="gtc")
        case 3:
            symbol = None if line.thing == 2 and line.at_ms > TIMES_MS[3] else update.symbol
            left_out = dict.fromkeys(("quantity", "filled_quantity", "average_price"))
            return update._replace(is_partial=1, symbol=symbol, **left_out)  # type: ignore[arg-type]
    return update
