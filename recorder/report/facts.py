"""What the report tells: plain records, gathered from the record, in the order of the page. Times in ns are ours."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from recorder.audit.verify.findings import Finding
from recorder.read.records import Discrepancy, Gap, Unexplained
from recorder.venues.base import EXACT

T = TypeVar("T")


class Period(NamedTuple):
    """The time that the report is of, nanoseconds since 1970."""

    since_ns: int
    #: Not in it any more.
    until_ns: int
    #: Whether the beginning was asked for; if not, it is that of the record.
    since_asked: bool
    until_asked: bool


class Listed(NamedTuple, Generic[T]):
    """The rows that are shown of all there are."""

    rows: Sequence[T]
    total: int

    @property
    def left_out(self) -> int:
        """How many are not shown."""
        return self.total - len(self.rows)


class Stretch(NamedTuple):
    """A part of the period that is not covered."""

    begins_ns: int
    ends_ns: int
    #: `open`, `reconciled`, `unrecoverable`; or `not known yet`: before the record, or what is not written yet.
    state: str
    reason: str
    #: None: all topics.
    topic: str | None
    #: Its number in the table of gaps; None where it has none.
    number: int | None


class Lane(NamedTuple):
    """How one account, or one recorder of it, covers the period."""

    name: str
    stretches: Sequence[Stretch]


class Covered(NamedTuple):
    """How much of the period an account's record covers, all topics together."""

    account: str
    venue: str
    #: From where to where it is reckoned; None where all topics were never acknowledged up to the period's end.
    begins_ns: int | None
    ends_ns: int
    covered_ns: int
    #: Gaps within, without the time before the record, by their state.
    gaps: Mapping[str, int]
    gaps_ns: Mapping[str, int]
    #: The gap that goes on at the period's end, if one does.
    lasting: Gap | None
    whole: Lane
    #: Of each recorder, where there are several.
    recorders: Sequence[Lane]


class Writer(NamedTuple):
    """A recorder, and its runs in the period."""

    recorder_id: int
    hosts: Sequence[str]
    versions: Sequence[str]
    runs: int
    crashed: int


class Session(NamedTuple):
    """A connection."""

    account: str
    host: str
    opened_ns: int
    #: None: never all topics.
    covered_ns: int | None
    #: None: it goes on.
    ended_ns: int | None
    frames: int
    end_reason: str | None
    end_detail: str | None


class Numbered(NamedTuple):
    """A gap as the table has it."""

    number: int | None
    gap: Gap
    #: Within the period.
    lasted_ns: int


class Undecoded(NamedTuple):
    """A frame that could not be read, kept verbatim."""

    account: str
    received_ns: int
    session_id: int
    seq: int
    topic: str | None
    error: str | None


class Redacted(NamedTuple):
    """Payloads that were taken away on purpose."""

    account: str
    session_id: int
    first_seq: int
    last_seq: int
    redacted_ns: int
    who: str
    why: str


class Checkpoint(NamedTuple):
    """What was signed of a recorder's seals."""

    size: int
    made_ns: int
    #: As the note says; whose it is is told by `recorder verify`.
    signer: str
    has_token: bool


class Sealed(NamedTuple):
    """The seals of one recorder, all of its record up to the period's end."""

    recorder_id: int
    host: str
    batches: int
    frames: int
    #: Batches that have no seal.
    unsealed: int
    first_ns: int | None
    last_ns: int | None
    first_seal: bytes
    last_seal: bytes
    checkpoint: Checkpoint | None
    #: Batches sealed after it.
    since_checkpoint: int


class Checked(NamedTuple):
    """What verifying the whole record gave, where it was verified for this report."""

    #: What was looked at, and held against what; and what was not.
    sentence: str
    findings: Listed[Finding]


class Point(NamedTuple):
    """A value at an instant."""

    at_ns: int
    value: Decimal


class Line(NamedTuple):
    """A value over the period, reduced to what a picture can show."""

    account: str
    name: str
    points: Sequence[Point]
    #: How many there were.
    updates: int
    first: Decimal
    last: Decimal
    low: Decimal
    high: Decimal

    @property
    def change(self) -> Decimal:
        """From the first to the last, exact."""
        return EXACT.subtract(self.last, self.first)


class OrderCount(NamedTuple):
    """How many orders stand how."""

    account: str
    symbol: str
    status: str
    orders: int


class FillSum(NamedTuple):
    """The fills of a contract, summed up exactly."""

    account: str
    symbol: str
    currency: str
    fills: int
    bought: Decimal
    sold: Decimal
    #: Negative: more rebates than fees.
    fee: Decimal
    #: Told by the exchange; the others are derived from the orders' updates.
    told: int
    #: Their price is an estimate.
    estimated: int


class BookSum(NamedTuple):
    """The books of a currency: ``change == realized_pnl - fees + transfers + unexplained``, exactly."""

    account: str
    currency: str
    #: Of full coverage; each is reckoned by itself, for across a gap nobody knows the steps.
    stretches: int
    change: Decimal
    realized_pnl: Decimal
    fees: Decimal
    transfers: Decimal
    unexplained: Decimal
    #: Changes that nothing explains, also where they cancel each other out.
    found: int
    #: The first of them.
    changes: Sequence[Unexplained]


class Silence(NamedTuple):
    """A stretch of coverage in which nothing came; nanoseconds since 1970."""

    begins_ns: int
    ends_ns: int

    @property
    def lasted_ns(self) -> int:
        """How long."""
        return self.ends_ns - self.begins_ns


class Received(NamedTuple):
    """What came in the period for an account."""

    account: str
    #: Not counted: greetings, acknowledgements and refusals.
    pushes: int
    pings: int
    #: All that came, greetings and acknowledgements too.
    frames: int
    #: Pushes in each of the equal parts of the period, the last of which may be shorter, and how long a part is.
    activity: Sequence[int]
    part_ns: int
    #: The longest without a push, and the longest without any frame.
    without_push: Silence | None
    without_frame: Silence | None


class Latency(NamedTuple):
    """From the exchange's stamp to our receipt, milliseconds, of an account's pushes."""

    account: str
    pushes: int
    #: Share of the pushes in per mille → they took so long at most.
    quantiles: Mapping[int, int]
    lowest: int
    highest: int
    #: Beginnings of the bars, all equally wide, and how many pushes each holds.
    bars: Sequence[tuple[int, int]]
    bar_width: int
    beyond: int
    #: Stamps that no clock of this era shows: left out.
    implausible: int


class Rounds(NamedTuple):
    """Rounds of questions to the exchange, by what came of them."""

    account: str
    results: Mapping[str, int]


class Report(NamedTuple):
    """All of it."""

    place: str
    size_bytes: int
    made_ns: int
    made_by: str
    period: Period
    frames: Mapping[str, int]
    writers: Sequence[Writer]
    covered: Sequence[Covered]
    sessions: Listed[Session]
    endings: Mapping[str, int]
    gaps: Listed[Numbered]
    rounds: Sequence[Rounds]
    discrepancies: Listed[Discrepancy]
    undecoded: Listed[Undecoded]
    redacted: Listed[Redacted]
    sealed: Sequence[Sealed]
    checked: Checked | None
    balances: Listed[Line]
    positions: Listed[Line]
    orders: Sequence[OrderCount]
    fills: Sequence[FillSum]
    books: Sequence[BookSum]
    received: Sequence[Received]
    clocks: Sequence[Line]
    latencies: Sequence[Latency]
