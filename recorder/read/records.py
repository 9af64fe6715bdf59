"""What a reader gets: frozen records with exact decimals. Times in ns are ours, in ms the exchange's."""

from decimal import Decimal
from typing import NamedTuple

from recorder.model import UNKNOWN


class Filter(NamedTuple):
    """What of a record is wanted. None wants all."""

    account: str | None = None
    symbol: str | None = None
    #: Received at or after, and before, nanoseconds since 1970.
    since_ns: int | None = None
    until_ns: int | None = None
    #: Of orders and fills, this one.
    order_id: int | None = None


ALL = Filter()


class Order(NamedTuple):
    """The state of an order, as one push told it. The exchange's own field names."""

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
    #: Of this step; None where the exchange told no average.
    price: Decimal | None
    #: Of this step; negative is a rebate.
    fee: Decimal | None
    fee_currency: str | None
    #: Whether the price was reckoned from two averages: an estimate.
    price_is_estimate: bool
    #: `venue`: told by the exchange; `derived`: from successive updates of the order.
    origin: str
    session_id: int
    seq: int
    item: int
    #: `maker`, `taker`, or `unknown` where the exchange did not tell and the order's flags leave it open.
    liquidity: str = UNKNOWN
    #: When it happened, ms since 1970: what the exchange says of it, or else the receipt.
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
    #: None: it lasts.
    ends_ns: int | None
    #: None: all topics.
    topic: str | None
    reason: str
    detail: str | None
    #: `open`, `reconciled`, `unrecoverable`.
    state: str
    gap_id: int
    #: What could be restored and what not; None while it is open.
    resolution: str | None = None


class Round(NamedTuple):
    """One round of questions to the exchange's REST interface."""

    account: str
    #: Its answers are frames of this session.
    reconciliation_id: int
    began_ns: int
    #: None while it goes on.
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
    #: What the frame below tells, digits as sent, and what was held before; None: nothing.
    told: str | None
    held: str | None
    session_id: int
    seq: int
    #: Session of the frame that was held; where nothing was, the one that should have had it.
    other_session_id: int


class Transfer(NamedTuple):
    """Money that came to an account or left it, as a person names it."""

    account: str
    currency: str
    #: About when.
    at_ns: int
    #: Negative where it left.
    amount: Decimal


class Unexplained(NamedTuple):
    """A balance changed for good, and nothing says why."""

    account: str
    currency: str
    #: Of the frame in which it did.
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
    #: From the first moment at which all is told to the last at which account and positions tell the same.
    begins_ns: int
    ends_ns: int
    #: All that is owned: free, frozen by orders, margin of positions.
    begin_balance: Decimal
    end_balance: Decimal
    change: Decimal
    #: Before fees.
    realized_pnl: Decimal
    #: Taken; negative is a rebate.
    fees: Decimal
    #: Those that were named, and found.
    transfers: Decimal
    unexplained: Decimal
    #: What account and positions differed by when the stretch ended: the rest of what was on its way.
    unsettled: Decimal
    #: Steps in which an order filled further.
    fills: int
    #: Changes that nothing explains, also where they cancel each other out; the first of them are `changes`.
    found: int
    changes: tuple[Unexplained, ...]


class Coverage(NamedTuple):
    """How much of an account's time the record covers, all topics together."""

    account: str
    #: When all topics were first acknowledged; None: never yet.
    begins_ns: int | None
    #: The last frame received.
    until_ns: int | None
    covered_ns: int
    gaps: int
    #: Whether a gap is going on.
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


class Run(NamedTuple):
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
    last_run: Run | None
    accounts: tuple[AccountStatus, ...]
