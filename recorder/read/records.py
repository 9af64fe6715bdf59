"""What readers get: frozen records with exact decimals. Times in ns are this machine's, times in ms the exchange's."""

from decimal import Decimal
from typing import NamedTuple

from recorder.model import UNKNOWN


class Filter(NamedTuple):
    """What part of a record is wanted. None does not restrict anything."""

    account: str | None = None
    symbol: str | None = None
    #: Received at or after, and before, nanoseconds since 1970.
    since_ns: int | None = None
    until_ns: int | None = None
    #: Of orders and fills, only this order's.
    order_id: int | None = None


ALL = Filter()


class Order(NamedTuple):
    """The state of an order, as one frame reported it. The exchange's own field names."""

    account: str
    received_ns: int
    ts: int | None
    order_id: int
    symbol: str | None
    direction: str | None
    order_type: str | None
    status: str | None
    quantity: Decimal | None
    price: Decimal | None
    unfilled_quantity: Decimal | None
    fill_price: Decimal | None
    fee: Decimal | None
    margin_currency: str | None
    features: int | None
    trigger_direction: str | None
    trigger_on: Decimal | None
    trailing_base_price: Decimal | None
    trailing_distance: Decimal | None
    created_at: int | None
    extra: str | None
    session_id: int
    seq: int
    item: int


class Fill(NamedTuple):
    """A step in which an order filled further."""

    account: str
    received_ns: int
    ts: int | None
    order_id: int
    symbol: str | None
    direction: str | None
    order_type: str | None
    #: Of this step.
    quantity: Decimal
    #: Of this step; None if the exchange reported no average.
    price: Decimal | None
    #: Of this step; negative is a rebate.
    fee: Decimal | None
    fee_currency: str | None
    #: Whether the price was computed from two averages, which makes it an estimate.
    price_is_estimate: bool
    #: `venue`: reported by the exchange; `derived`: from successive updates of the order.
    origin: str
    session_id: int
    seq: int
    item: int
    #: `maker`, `taker`, or `unknown` if the exchange did not report it and the order's flags leave it open.
    liquidity: str = UNKNOWN
    #: When it happened, ms since 1970: by the exchange, or else the time of receipt.
    at_ms: int = 0


class Position(NamedTuple):
    """The state of a position. The exchange's own field names."""

    account: str
    received_ns: int
    ts: int | None
    symbol: str
    direction: str | None
    quantity: Decimal | None
    entry_price: Decimal | None
    leverage: Decimal | None
    margin: Decimal | None
    realized_pnl: Decimal | None
    liquidation_price: Decimal | None
    bankruptcy_price: Decimal | None
    taker_fee_rate: Decimal | None
    minimum_maintenance_margin_rate: Decimal | None
    risk_level: int | None
    updated_at: int | None
    extra: str | None
    session_id: int
    seq: int
    item: int


class Balance(NamedTuple):
    """The balance of a currency. The exchange's own field names."""

    account: str
    received_ns: int
    ts: int | None
    currency: str
    available: Decimal | None
    frozen: Decimal | None
    position_margin: Decimal | None
    updated_at: int | None
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


class RestRound(NamedTuple):
    """One round of requests to the exchange's REST interface."""

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
    #: What it is about, such as `order 849758102002`, `balance BTC`, `position BTCUSD_P`.
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
    """A lasting change of a balance that nothing explains."""

    account: str
    currency: str
    #: Of the frame with the change.
    received_ns: int
    amount: Decimal
    session_id: int
    seq: int
    item: int


class Book(NamedTuple):
    """The books of one currency over a stretch of full coverage.

    Always, exactly: ``end_balance - begin_balance == change == realized_pnl - fees + transfers + unexplained``.
    """

    account: str
    currency: str
    #: From the first moment at which balance and positions are known to the last at which they agree.
    begins_ns: int
    ends_ns: int
    #: The total: free, frozen by orders, margin of positions.
    begin_balance: Decimal
    end_balance: Decimal
    change: Decimal
    #: Before fees.
    realized_pnl: Decimal
    #: Paid; negative is a rebate.
    fees: Decimal
    #: Of the named transfers, those that were found.
    transfers: Decimal
    unexplained: Decimal
    #: By how much balance and positions differed at the end: what had not arrived completely.
    unsettled: Decimal
    #: Steps in which an order filled further.
    fills: int
    #: Number of unexplained changes, even if they cancel each other out; the first of them are `changes`.
    found: int
    changes: tuple[Unexplained, ...]


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
