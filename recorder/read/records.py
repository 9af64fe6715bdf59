"""What readers get: frozen records with exact decimals, under the names of the tables' columns.

Times in ns are this machine's, times in ms the venue's. A field that the venue did not send is None.
"""

from decimal import Decimal
from typing import NamedTuple

from recorder.model import UNKNOWN


class Filter(NamedTuple):
    """What part of a record is wanted. None does not restrict anything."""

    account: str | None = None
    #: In upper or lower case.
    symbol: str | None = None
    #: Received at or after, and before, nanoseconds since 1970.
    since_ns: int | None = None
    until_ns: int | None = None
    #: Of orders and fills, only this order's.
    order_id: str | None = None


ALL = Filter()


class Order(NamedTuple):
    """The state of an order, as one frame reported it."""

    account: str
    received_ns: int
    #: The venue's time of the update.
    event_ms: int | None
    #: 1: a full state, sent at subscription or on request; 0: an event.
    is_snapshot: int
    #: 1: only what changed is here, and None means unchanged; 0: the whole, and None means that there is none.
    is_partial: int
    #: The venue's word for one of several markets that use the same symbols, such as `spot` or `linear`; else None.
    market: str | None
    symbol: str | None
    order_id: str
    client_order_id: str | None
    #: `buy` or `sell`.
    side: str | None
    #: `long` or `short` in hedge mode.
    position_side: str | None
    #: `limit` or `market`.
    order_type: str | None
    time_in_force: str | None
    #: 1 or 0.
    post_only: int | None
    reduce_only: int | None
    price: Decimal | None
    trigger_price: Decimal | None
    #: In the venue's unit.
    quantity: Decimal | None
    #: Of a market order placed for an amount of the quote currency; then `quantity` is None.
    quote_quantity: Decimal | None
    filled_quantity: Decimal | None
    average_price: Decimal | None
    #: One of `model.OPEN_STATUSES` or `model.FINAL_STATUSES`; None if the venue's own is not known.
    status: str | None
    #: As sent.
    venue_status: str | None
    #: Why it was cancelled, rejected or changed, as sent.
    reason: str | None
    #: For the whole order so far; positive when paid, negative for a rebate.
    fee: Decimal | None
    fee_currency: str | None
    created_ms: int | None
    updated_ms: int | None
    #: Fields that the venue does not document, as a JSON object.
    extra: str | None
    session_id: int
    seq: int
    item: int


class Fill(NamedTuple):
    """One execution of an own order, or a step in which an order filled further."""

    account: str
    received_ns: int
    #: The venue's time of the update.
    event_ms: int | None
    trade_id: str | None
    order_id: str | None
    client_order_id: str | None
    #: The venue's word for one of several markets that use the same symbols, such as `spot` or `linear`; else None.
    market: str | None
    symbol: str | None
    #: `buy` or `sell`.
    side: str | None
    #: `long` or `short` in hedge mode.
    position_side: str | None
    #: Of its order: `limit` or `market`.
    order_type: str | None
    #: Of this fill; None if it is not known.
    price: Decimal | None
    #: Of this fill, in the venue's unit.
    quantity: Decimal
    #: Of this fill; positive when paid, negative for a rebate.
    fee: Decimal | None
    fee_currency: str | None
    #: As the venue reports it.
    realized_pnl: Decimal | None
    #: `trade`, `liquidation`, `adl` or `settlement`.
    kind: str | None
    #: The venue's time of the execution.
    executed_ms: int | None
    #: Whether the price was computed from two averages, which makes it an estimate.
    price_is_estimate: bool
    #: `venue`: reported by the venue; `derived`: from successive updates of the order.
    origin: str
    session_id: int
    seq: int
    item: int
    #: `maker`, `taker`, or `unknown` if the venue did not report it and the order's terms leave it open.
    liquidity: str = UNKNOWN
    #: When it happened, ms since 1970: by the venue, or else the time of receipt.
    at_ms: int = 0


class Position(NamedTuple):
    """The state of a position, as one frame reported it."""

    account: str
    received_ns: int
    #: The venue's time of the update.
    event_ms: int | None
    #: 1: a full state, sent at subscription or on request; 0: an event.
    is_snapshot: int
    #: 1: only what changed is here, and None means unchanged; 0: the whole, and None means that there is none.
    is_partial: int
    #: The venue's word for one of several markets that use the same symbols, such as `spot` or `linear`; else None.
    market: str | None
    symbol: str
    #: `long` or `short` in hedge mode.
    position_side: str | None
    #: The venue's own id, where one symbol and side can have several positions.
    position_id: str | None
    #: `cross` or `isolated`.
    margin_mode: str | None
    #: In the venue's unit; negative if short.
    quantity: Decimal | None
    entry_price: Decimal | None
    mark_price: Decimal | None
    liquidation_price: Decimal | None
    leverage: Decimal | None
    margin: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    updated_ms: int | None
    #: Fields that the venue does not document, as a JSON object.
    extra: str | None
    session_id: int
    seq: int
    item: int


class Balance(NamedTuple):
    """The balance of a currency in a wallet, as one frame reported it."""

    account: str
    received_ns: int
    #: The venue's time of the update.
    event_ms: int | None
    #: 1: a full state, sent at subscription or on request; 0: an event.
    is_snapshot: int
    #: 1: only what changed is here, and None means unchanged; 0: the whole, and None means that there is none.
    is_partial: int
    #: The venue's name of the wallet; None if it has only one.
    wallet: str | None
    currency: str
    #: What is owned, without unrealized PnL.
    balance: Decimal | None
    available: Decimal | None
    #: Locked by open orders.
    locked: Decimal | None
    position_margin: Decimal | None
    equity: Decimal | None
    unrealized_pnl: Decimal | None
    updated_ms: int | None
    #: Fields that the venue does not document, as a JSON object.
    extra: str | None
    session_id: int
    seq: int
    item: int


class Instrument(NamedTuple):
    """What a symbol means, as one frame said."""

    account: str
    received_ns: int
    #: The venue's word for one of several markets that use the same symbols, such as `spot` or `linear`; else None.
    market: str | None
    symbol: str
    #: `spot`, `linear`, `inverse`, `quanto` or `option`.
    kind: str | None
    base: str | None
    quote: str | None
    #: The currency in which it gains and loses.
    settle: str | None
    #: What one unit of quantity is: of the base currency if linear, of the quote currency if inverse.
    contract_size: Decimal | None
    price_tick: Decimal | None
    quantity_step: Decimal | None
    #: Fields that the venue does not document, as a JSON object.
    extra: str | None
    session_id: int
    seq: int
    item: int


class Gap(NamedTuple):
    """A stretch in which pushes may have been missed."""

    account: str
    #: None: since before the record began.
    begins_ns: int | None
    #: None: it has not ended.
    ends_ns: int | None
    #: None: all topics.
    topic: str | None
    reason: str
    detail: str | None
    #: `open`, `reconciled`, `unrecoverable`.
    state: str
    gap_id: int
    #: What was restored and what was not; None while it is open.
    resolution: str | None = None
    #: The account's stream that it is of; empty where the venue has one.
    stream: str = ""

    @property
    def subject(self) -> str:
        """What was not covered: a topic, or all topics, or all those of a stream."""
        return self.topic or (f"all topics of {self.stream}" if self.stream else "all topics")


class RestRound(NamedTuple):
    """One round of requests to the venue's REST interface."""

    account: str
    #: Its answers are frames of this session.
    reconciliation_id: int
    began_ns: int
    #: None: it has not ended.
    ended_ns: int | None
    #: `reconciled`, `unrecoverable`, `failed`, `compared`, `interrupted`.
    result: str | None
    detail: str | None


class Discrepancy(NamedTuple):
    """Two sources contradict each other outside any known gap: a snapshot and the pushes, or two recorders."""

    account: str
    found_ns: int
    #: What it is about, such as `order 849758102002`, `balance BTC`, `position BTC-USDT-SWAP`.
    subject: str
    field: str
    #: The value in the frame below, digits as sent, and the value in the record; None: there is none.
    told: str | None
    held: str | None
    session_id: int
    seq: int
    #: Session of the frame with the value in the record; if there is none, the session that should have had it.
    other_session_id: int


class Transfer(NamedTuple):
    """A deposit or withdrawal, as a person noted it."""

    account: str
    currency: str
    #: Its approximate time.
    at_ns: int
    #: Negative for a withdrawal.
    amount: Decimal


class Unexplained(NamedTuple):
    """A lasting change of a balance that nothing explains, or a transaction and a fill that contradict each other."""

    account: str
    currency: str
    #: Of the frame with the change.
    received_ns: int
    amount: Decimal
    session_id: int
    seq: int
    item: int
    #: Empty if the venue has only one, or if all count together.
    wallet: str = ""
    #: What contradicts what, where the venue has a ledger.
    cause: str = ""
    #: Of the transaction or the fill that it is about.
    transaction_id: str | None = None
    trade_id: str | None = None


class Book(NamedTuple):
    """The books of one currency over a stretch of full coverage.

    Always, exactly: ``end_balance - begin_balance == change == realized_pnl - fees + funding + transfers + other +
    unexplained``.
    """

    account: str
    currency: str
    #: From the first moment at which balance and positions are known to the last at which they agree.
    begins_ns: int
    ends_ns: int
    #: What is owned.
    begin_balance: Decimal
    end_balance: Decimal
    change: Decimal
    #: What trades changed the balance by, before fees: realized PnL, or what was paid and received for something.
    realized_pnl: Decimal
    #: Paid; negative is a rebate.
    fees: Decimal
    #: Deposits, withdrawals and transfers: those in the venue's ledger, and of the named ones those that were found.
    transfers: Decimal
    unexplained: Decimal
    #: By how much balance and positions differed at the end: what had not arrived completely.
    unsettled: Decimal
    #: Trades: steps in which an order filled further, or those in the ledger.
    fills: int
    #: Number of unexplained changes, even if they cancel each other out; the first of them are `changes`.
    found: int
    changes: tuple[Unexplained, ...]
    #: Empty if the venue has only one, or if all count together.
    wallet: str = ""
    #: Received; negative is paid. Of a venue without a ledger, 0.
    funding: Decimal = Decimal(0)
    #: Interest, rebates, conversions and whatever else is in the ledger.
    other: Decimal = Decimal(0)


class Coverage(NamedTuple):
    """How much of an account's time the record covers, all topics together."""

    account: str
    #: When all topics were first acknowledged; None: not yet.
    begins_ns: int | None
    #: The last frame received.
    until_ns: int | None
    covered_ns: int
    gaps: int
    #: Whether the account is in a gap now.
    in_gap: bool


class AccountStatus(NamedTuple):
    """An account at a glance."""

    account: str
    venue: str
    #: How many recorders wrote it.
    recorders: int
    sessions: int
    #: Of the latest session: `connected`, or why it ended.
    session: str
    last_frame_ns: int | None
    undecoded: int
    coverage: Coverage
    discrepancies: int = 0
    #: Kind of history from before the record, such as `fills` → since when it is complete, ms since 1970.
    history_since_ms: dict[str, int] = {}  # noqa: RUF012  never changed
    #: Of the newest orders, those whose id an earlier order of the symbol had: readers may take the two for one.
    reused_order_ids: tuple[str, ...] = ()


class RecorderRun(NamedTuple):
    """The life of one recorder process."""

    run_id: int
    started_ns: int
    ended_ns: int | None
    end_reason: str | None
    host: str
    pid: int
    version: str


class Status(NamedTuple):
    """The record at a glance."""

    database: str
    size_bytes: int
    frames: int
    last_run: RecorderRun | None
    accounts: tuple[AccountStatus, ...]
