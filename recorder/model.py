"""The plain records that travel from the socket to the tables. Standard library only.

They are named tuples because a tuple is immutable and *is* the row that the database driver takes: nothing is copied
between decoding and writing. The order of a record's fields is therefore the order of its table's columns.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

#: Makes a named tuple from its fields without its own constructor, a Python function that takes several times as long.
new = tuple.__new__

#: A number exactly as its digits were sent ("9.747280117178e-06"); never a float.
Digits = str

PUSH, REST, SENT = "push", "rest", "sent"
#: A REST answer that was asked for to compare with the pushes: kept as evidence, but no typed row follows from it. It
#: may tell of a moment before pushes that stand before it, and would then pass for the latest state for ever.
SNAPSHOT = "snapshot"
#: A push of a full state that only says again what the push before it said: kept, but no typed row follows from it.
REPEATED = "repeated"
#: What a venue sent over a stream.
PUSHES = frozenset([PUSH, REPEATED])
#: Sources of frames from which no typed row follows, whatever they say.
WITHOUT_ROWS = frozenset([SENT, SNAPSHOT, REPEATED])

DECODED = "decoded"  # its updates are in the typed tables
CONTROL = "control"  # hello, acknowledgement, refusal, an HTTP error, our own commands
REDACTED = "redacted"  # its payload was taken away on purpose; `redactions` says why
UNDECODED = "undecoded"  # kept verbatim; `error` says why it could not be read

#: Sides of an order and of a fill; of a position in hedge mode.
BUY, SELL = "buy", "sell"
LONG, SHORT = "long", "short"

#: Statuses of an order, the same for every venue. `PENDING`: its trigger has not been reached yet.
PENDING, NEW, PARTIALLY_FILLED = "pending", "new", "partially_filled"
FILLED, CANCELED, REJECTED, EXPIRED = "filled", "canceled", "rejected", "expired"
#: The venue no longer knows the order: it has ended, but nobody says how.
ENDED = "ended"
OPEN_STATUSES = frozenset([PENDING, NEW, PARTIALLY_FILLED])
#: Those in which an order can no longer change.
FINAL_STATUSES = frozenset([FILLED, CANCELED, REJECTED, EXPIRED, ENDED])

#: Order types: how it is executed, once it was triggered if it has a trigger.
LIMIT, MARKET = "limit", "market"
#: Times in force: good till cancelled, immediate or cancel, fill or kill, good till a date.
GTC, IOC, FOK, GTD = "gtc", "ioc", "fok", "gtd"

#: Which side of a fill an order was: resting in the order book, or taking from it; or nobody said.
MAKER, TAKER, UNKNOWN = "maker", "taker", "unknown"

#: A kind of instrument.
INVERSE = "inverse"


class OrderUpdate(NamedTuple):
    """The state of one order, or a change of it."""

    #: The venue's time of the update, ms since 1970.
    event_ms: int | None
    #: 1: a full state, sent at subscription or on request; 0: an event.
    is_snapshot: int
    #: 1: only what changed is here, and None means unchanged; 0: the whole, and None means that there is none.
    is_partial: int
    #: The venue's word for one of several markets that use the same symbols, such as `spot` or `linear`; else None.
    market: str | None
    symbol: str | None
    order_id: str
    client_order_id: str | None = None
    #: `buy` or `sell`.
    side: str | None = None
    #: `long` or `short` in hedge mode; None in one-way mode.
    position_side: str | None = None
    #: `limit` or `market`.
    order_type: str | None = None
    time_in_force: str | None = None
    #: 1, 0, or None if the venue does not say.
    post_only: int | None = None
    reduce_only: int | None = None
    price: Digits | None = None
    trigger_price: Digits | None = None
    #: In the venue's unit; `Instrument.contract_size` converts it.
    quantity: Digits | None = None
    #: Of a market order placed for an amount of the quote currency; then `quantity` is None.
    quote_quantity: Digits | None = None
    filled_quantity: Digits | None = None
    average_price: Digits | None = None
    #: One of `OPEN_STATUSES` or `FINAL_STATUSES`; None if the venue's own is not known.
    status: str | None = None
    #: As sent.
    venue_status: str | None = None
    #: Why it was cancelled, rejected or changed, as sent.
    reason: str | None = None
    #: Positive when paid, negative for a rebate; for the whole order so far.
    fee: Digits | None = None
    fee_currency: str | None = None
    created_ms: int | None = None
    updated_ms: int | None = None
    #: Fields that the venue does not document, as a JSON object.
    extra: str | None = None


def unknown_order(
    order_id: str, symbol: str | None = None, market: str | None = None, event_ms: int | None = None
) -> OrderUpdate:
    """The last state of an order that the venue no longer knows: it has ended."""
    return OrderUpdate(event_ms, 0, 1, market, symbol, order_id, status=ENDED)


class FillUpdate(NamedTuple):
    """One execution of an own order, as the venue reported it. What it left out is None, the quantity too."""

    event_ms: int | None = None
    is_snapshot: int = 0
    trade_id: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    market: str | None = None
    symbol: str | None = None
    side: str | None = None
    position_side: str | None = None
    price: Digits | None = None
    quantity: Digits | None = None
    fee: Digits | None = None
    fee_currency: str | None = None
    #: `maker` or `taker`.
    liquidity: str | None = None
    realized_pnl: Digits | None = None
    #: `trade`, `liquidation`, `adl` or `settlement`.
    kind: str | None = None
    executed_ms: int | None = None
    extra: str | None = None


class PositionUpdate(NamedTuple):
    """The state of one position, or a change of it."""

    event_ms: int | None
    is_snapshot: int
    is_partial: int
    market: str | None
    symbol: str
    #: `long` or `short` in hedge mode; None in one-way mode.
    position_side: str | None = None
    #: The venue's own id, where one symbol and side can have several positions.
    position_id: str | None = None
    #: `cross` or `isolated`.
    margin_mode: str | None = None
    #: Signed: negative if short.
    quantity: Digits | None = None
    entry_price: Digits | None = None
    mark_price: Digits | None = None
    liquidation_price: Digits | None = None
    leverage: Digits | None = None
    margin: Digits | None = None
    unrealized_pnl: Digits | None = None
    realized_pnl: Digits | None = None
    updated_ms: int | None = None
    extra: str | None = None


class AccountUpdate(NamedTuple):
    """The balance of one currency in one wallet, or a change of it."""

    event_ms: int | None
    is_snapshot: int
    is_partial: int
    #: The venue's name of the wallet; None if it has only one.
    wallet: str | None
    currency: str
    #: What is owned, without unrealized PnL.
    balance: Digits | None = None
    available: Digits | None = None
    #: Locked by open orders.
    locked: Digits | None = None
    position_margin: Digits | None = None
    equity: Digits | None = None
    unrealized_pnl: Digits | None = None
    updated_ms: int | None = None
    extra: str | None = None


class Transaction(NamedTuple):
    """One money movement from the venue's own ledger."""

    event_ms: int | None
    is_snapshot: int
    transaction_id: str | None
    #: `trade`, `fee`, `funding`, `transfer`, `deposit`, `withdrawal`, `liquidation`, `settlement`, `interest`,
    #: `rebate`, `conversion` or `other`.
    type: str
    #: As sent.
    venue_type: str | None = None
    wallet: str | None = None
    currency: str | None = None
    #: The signed change of the balance, fee included.
    amount: Digits | None = None
    #: Positive when paid.
    fee: Digits | None = None
    balance_after: Digits | None = None
    market: str | None = None
    symbol: str | None = None
    order_id: str | None = None
    trade_id: str | None = None
    occurred_ms: int | None = None
    extra: str | None = None


class Instrument(NamedTuple):
    """What a symbol means."""

    event_ms: int | None
    is_snapshot: int
    market: str | None
    symbol: str
    #: `spot`, `linear`, `inverse`, `quanto` or `option`.
    kind: str | None = None
    base: str | None = None
    quote: str | None = None
    #: The currency in which it gains and loses.
    settle: str | None = None
    #: What one unit of quantity is: of the base currency if linear, of the quote currency if inverse.
    contract_size: Digits | None = None
    price_tick: Digits | None = None
    quantity_step: Digits | None = None
    extra: str | None = None


class Heartbeat(NamedTuple):
    """The venue's answer to a ping: its clock, and how far ours was from it when the ping arrived there."""

    event_ms: int | None = None
    is_snapshot: int = 0
    gap_ms: int | None = None


#: What a complete list lists.
BALANCES, POSITIONS = "balances", "positions"


class Listing(NamedTuple):
    """A frame lists all of an account's balances or positions, or of a part of them: what it leaves out is zero."""

    event_ms: int | None
    is_snapshot: int
    kind: str
    #: The topic of the frame, by which the venue knows what the list covers (`Venue.lists`).
    topic: str


Update = AccountUpdate | OrderUpdate | PositionUpdate | FillUpdate | Transaction | Instrument | Heartbeat | Listing

#: An update that carries the state of something: of a balance, an order, a position.
State = AccountUpdate | OrderUpdate | PositionUpdate


class Thing(NamedTuple):
    """What a state is of: the same for all states of one order, position or balance of an account."""

    kind: type[State]
    #: Of an order: id, market, symbol. Of a position: symbol, market, side, id. Of a balance: currency, wallet.
    key: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """The order's id, the position's symbol, the balance's currency."""
        return str(self.key[0])


def thing_of(state: State) -> Thing:
    """What a state is of."""
    if isinstance(state, AccountUpdate):
        return Thing(AccountUpdate, (state.currency, state.wallet))
    if isinstance(state, OrderUpdate):
        return Thing(OrderUpdate, (state.order_id, state.market, state.symbol))
    return Thing(PositionUpdate, (state.symbol, state.market, state.position_side, state.position_id))


class Hello(NamedTuple):
    """The exchange greets a new connection."""

    ts: int | None = None


class LoggedIn(NamedTuple):
    """The exchange accepts a login."""

    command_id: str | None = None
    #: For how long, seconds; None: as long as the connection lasts.
    expires_s: int | None = None


class Acknowledged(NamedTuple):
    """Topics that are being pushed from now on."""

    #: Empty if the exchange names only the command.
    topics: tuple[str, ...]
    command_id: str | None = None


class RefusedCommand(NamedTuple):
    """A command that was not accepted."""

    command_id: str | None
    #: The venue's error code; None if it has only words.
    code: int | None
    message: str
    #: The topics that it names; empty if it names none.
    topics: tuple[str, ...] = ()


class Asked(NamedTuple):
    """The exchange asks for a sign of life, and disconnects a client that does not give it."""

    #: What the answer must repeat.
    token: str = ""


class Notice(NamedTuple):
    """Anything else that the exchange says about the connection."""

    message: str
    #: Whether it announces that it will disconnect: a new connection is opened before that.
    reconnect: bool = False


Control = Hello | LoggedIn | Acknowledged | RefusedCommand | Asked | Notice


class SequenceNumber(NamedTuple):
    """The number of a push in the exchange's own count of what it sends."""

    number: int
    #: Whether counting begins with it, as with a full state at subscription.
    is_first: bool = False


class Decoded(NamedTuple):
    """What a frame says: the one result of the one parse. An answer that lists nothing is decoded, without updates."""

    topic: str | None
    status: str
    error: str | None = None
    updates: tuple[Update, ...] = ()
    control: Control | None = None
    #: Of a page of a REST answer: where the next page begins, empty if the exchange does not say; None: the last page.
    next_page: str | None = None
    #: Secrets in the frame, such as a token: they are masked before it is stored. Only of control frames and answers.
    secrets: tuple[str, ...] = ()
    #: Of a push: its number, if the exchange counts; see `PushSession.counted`.
    sequence: SequenceNumber | None = None
    #: Which complete lists it is.
    listings: tuple[Listing, ...] = ()

    @property
    def rows(self) -> tuple[Update, ...]:
        """The typed rows that follow from the frame: what it says, and which complete lists it is."""
        return (*self.updates, *self.listings) if self.listings else self.updates


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
    """Account key → the name that users see, by key, name and venue: `venue/name` if several accounts have one name."""
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
