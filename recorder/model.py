"""The plain records that travel from the socket to the tables. Standard library only.

They are named tuples because a tuple is immutable and *is* the row that the database driver takes: nothing is copied
between decoding and writing. The order of a record's fields is therefore the order of its table's columns.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

#: A number exactly as its digits were sent ("9.747280117178e-06"); never a float.
Digits = str

PUSH = "push"
REST = "rest"
SENT = "sent"
#: A REST answer that was asked for to compare with the pushes: kept as evidence, but no typed row follows from it. It
#: may tell of a moment before pushes that stand before it, and would then pass for the latest state for ever.
SNAPSHOT = "snapshot"

DECODED = "decoded"  # its updates are in the typed tables
CONTROL = "control"  # hello, acknowledgement, refusal, an HTTP error, our own commands
REDACTED = "redacted"  # its payload was taken away on purpose; `redactions` says why
UNDECODED = "undecoded"  # kept verbatim; `error` says why it could not be read


#: Who of the two sides of an execution had stood in the order book, and who came and took; or nobody told.
MAKER = "maker"
TAKER = "taker"
UNKNOWN = "unknown"


class AccountUpdate(NamedTuple):
    """The balance of one currency. Source: topic `account`."""

    ts: int | None
    currency: str
    available: Digits | None
    frozen: Digits | None
    position_margin: Digits | None
    updated_at: int | None
    extra: str | None


class OrderUpdate(NamedTuple):
    """The state of one order. Source: topic `order.<symbol>`."""

    ts: int | None
    order_id: int
    quantity: Digits | None
    direction: str | None
    features: int | None
    price: Digits | None
    fill_price: Digits | None
    unfilled_quantity: Digits | None
    symbol: str | None
    margin_currency: str | None
    fee: Digits | None
    order_type: str | None
    status: str | None
    trigger_direction: str | None
    trigger_on: Digits | None
    trailing_base_price: Digits | None
    trailing_distance: Digits | None
    created_at: int | None
    extra: str | None


class PositionUpdate(NamedTuple):
    """The state of one position. Source: topic `position.<symbol>`."""

    ts: int | None
    symbol: str
    quantity: Digits | None
    direction: str | None
    leverage: Digits | None
    risk_level: int | None
    margin: Digits | None
    taker_fee_rate: Digits | None
    realized_pnl: Digits | None
    entry_price: Digits | None
    liquidation_price: Digits | None
    bankruptcy_price: Digits | None
    minimum_maintenance_margin_rate: Digits | None
    updated_at: int | None
    extra: str | None


class Heartbeat(NamedTuple):
    """The exchange's answer to a ping: its clock, and how far ours was from it when the ping arrived there."""

    ts: int | None
    gap_ms: int | None


class FillUpdate(NamedTuple):
    """One execution of an order, as the exchange matched it. Source: REST; nothing of it is pushed.

    A field that the exchange left out is None, the quantity too: the frame counts as decoded, and no other execution
    of its answer is lost.
    """

    order_id: int
    taker: int | None
    price: Digits | None
    quantity: Digits | None
    fee: Digits | None
    created_at: int | None


Update = AccountUpdate | OrderUpdate | PositionUpdate | Heartbeat | FillUpdate

#: An update that tells the whole state of something: of the balance of a currency, an order, a position.
State = AccountUpdate | OrderUpdate | PositionUpdate


class Thing(NamedTuple):
    """What a state is of."""

    kind: type[State]
    #: The currency, the order's number, the position's symbol.
    name: str | int


def thing_of(state: State) -> Thing:
    """What a state is of."""
    if isinstance(state, AccountUpdate):
        return Thing(AccountUpdate, state.currency)
    if isinstance(state, OrderUpdate):
        return Thing(OrderUpdate, state.order_id)
    return Thing(PositionUpdate, state.symbol)


class Hello(NamedTuple):
    """The exchange greets a new connection."""

    ts: int | None


class Acknowledged(NamedTuple):
    """Topics that are being pushed from now on."""

    topics: tuple[str, ...]


class RefusedCommand(NamedTuple):
    """A command that was not accepted."""

    command_id: str | None
    code: int
    message: str


Control = Hello | Acknowledged | RefusedCommand


class Decoded(NamedTuple):
    """What a frame says: the one result of the one parse. An answer that lists nothing is decoded, without updates."""

    topic: str | None
    status: str
    error: str | None
    updates: tuple[Update, ...]
    control: Control | None
    #: Of a page of a REST answer: where the next page begins, empty if the exchange does not say; None: the last page.
    next_page: str | None = None


class Frame(NamedTuple):
    """One row of `frames`."""

    account_id: int
    session_id: int
    seq: int
    received_ns: int
    source: str
    topic: str | None
    status: str
    error: str | None
    payload: bytes


def account_id(venue: str, name: str) -> int:
    """The 63-bit key of an account: the same in every database, so that databases can be merged."""
    digest = hashlib.sha256(f"account\0{venue}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def account_labels(accounts: Iterable[tuple[int, str, str]]) -> dict[int, str]:
    """Account key → the name that users see: `name`, or `venue/name` if several accounts have that name.

    Args:
        accounts: key, name and venue of every account of a record.
    """
    known = list(accounts)
    times = Counter(name for _, name, _ in known)
    return {key: name if times[name] == 1 else f"{venue}/{name}" for key, name, venue in known}


def time_ordered_id(now_ns: int) -> int:
    """A 63-bit key made without the database: 43 bits of milliseconds since 1970 (good until 2248), 20 random bits."""
    return (now_ns // 1_000_000 & (1 << 43) - 1) << 20 | secrets.randbits(20)


def host_port(host: str, port: int | None) -> str:
    """A host and its port as in a URL: an IPv6 address stands in brackets (RFC 3986, section 3.2.2)."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"
