"""Books by a ledger: random ones leave nothing unexplained, and one planted error of each kind is named."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.model import (
    FillUpdate,
)
from recorder.read.books.books import NamedTransfers
from recorder.read.books.differences import APART_NS
from recorder.read.records import Filter, Transfer
from recorder.venues import VENUES
from tests.depth import examples
from tests.made import NOON_NS
from tests.unit.read.ledger_writer import Writer
from tests.unit.read.recordings import Recording
from tests.unit.read.stories import Story

D = Decimal
NOON_MS = NOON_NS // NS_PER_MS

#: Kinds of errors, and at which venue each can be planted.
ERRORS = {
    "missing transaction": "bybit hyperliquid",
    "wrong amount": "bybit hyperliquid",
    "listed twice": "bybit hyperliquid",
    "missing fill": "bybit hyperliquid",
    "wrong balance after": "bybit",
    "wrong balance": "bybit hyperliquid",
}
PLANTED = [(venue, error) for error, venues in ERRORS.items() for venue in venues.split()]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VENUES, "bybit", "recorder.venues.bybit:Bybit")
        patch.setitem(VENUES, "hyperliquid", "recorder.venues.hyperliquid:Hyperliquid")
        yield Writer(tmp_path_factory.mktemp("ledger") / "record.db")


seeds = st.integers(0, 10**9)


LEDGERS = ["binance", "bitget", "bybit", "deribit", "hyperliquid", "kraken", "okx"]


@pytest.mark.parametrize("venue", LEDGERS)
def test_an_account_that_trades_for_long_leaves_nothing_unexplained(writer: Writer, venue: str) -> None:
    recording = Recording(venue, 5, pushes=2_000)
    # For much longer than a fill and its transactions may be apart.
    assert recording.pushed[-1][0] - recording.pushed[0][0] > 4 * APART_NS
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    assert sum(book.fills for book in books) > 200


@pytest.mark.parametrize("venue", ["binance", "bybit", "deribit", "kraken", "okx"])
@pytest.mark.parametrize("opens", [True, False])
def test_a_fill_that_the_record_lost_is_named(writer: Writer, venue: str, opens: bool) -> None:
    """On Binance, one that opens a position has nothing but its fee in the ledger."""
    recording = Recording(venue, 5, pushes=2_000)
    every = [one for _, _, push in recording.pushed for one in push.updates if isinstance(one, FillUpdate)]
    fills = [one for one in every if one.trade_id and D(one.fee or 0)]
    wanted = [one for one in fills if bool(D(one.realized_pnl or 0)) != opens]
    lost = (wanted or fills)[len(wanted or fills) // 2].trade_id
    recording.lose_fill(lost)
    changes = [change for book in writer.books(writer.write_recording(recording)) for change in book.changes]
    assert changes and {change.trade_id for change in changes} == {lost}
    assert all(change.cause.endswith("has no fill") for change in changes)


def test_an_account_in_the_european_union_gains_and_loses_in_its_own_asset(writer: Writer) -> None:
    """Everything of it is in one asset, whatever a contract is settled in."""
    recording = Recording("binance", 7)
    recording.pay_everything_in("BNFCR")
    name = writer.write_recording(recording)
    books = writer.books(name)
    assert {book.currency for book in books} == {"BNFCR"}
    assert [change for book in books for change in book.changes] == []
    with writer.desk.open() as record:
        assert {one.currency for one in record.pnl(wanted=Filter(name))} == {"BNFCR"}


@settings(max_examples=examples(20))
@given(seed=seeds, venue=st.sampled_from(["bybit", "hyperliquid"]))
def test_a_ledger_leaves_nothing_unexplained(writer: Writer, seed: int, venue: str) -> None:
    story = Story(seed, venue)
    books = writer.books(writer.write(story))
    assert [change for book in books for change in book.changes] == []
    assert {(book.wallet, book.currency) for book in books} == set(story.owned)
    for book in books:
        assert book.unexplained == book.unsettled == book.found == 0
        explained = book.realized_pnl - book.fees + book.funding + book.transfers + book.other
        assert book.change == book.end_balance - book.begin_balance == explained
    for field, kinds in (
        ("realized_pnl", ["trade"]),
        ("fees", ["fees"]),
        ("funding", ["funding"]),
        ("transfers", ["transfer"]),
        ("other", ["interest", "rebate"]),
    ):
        assert sum(getattr(book, field) for book in books) == sum(story.sums[kind] for kind in kinds)


@pytest.mark.parametrize(
    ("venue", "seed"), [("bybit", 5), ("hyperliquid", 5), ("bitget", 5), ("okx", 7), ("deribit", 5), ("binance", 7)]
)
def test_a_liquidation_leaves_nothing_unexplained_and_names_what_the_ledger_left_out(
    writer: Writer, venue: str, seed: int
) -> None:
    recording = Recording(venue, seed)
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    assert len(books) == len(recording.venue.stand_in.funds(recording.terms))
    lost = recording.liquidated[0]
    recording.forget(lost)
    books = [book for book in writer.books(writer.write_recording(recording)) if book.changes]
    assert [(book.wallet, book.currency) for book in books] == [(lost.wallet or "", lost.currency)]
    gone = [
        one.amount for one in recording.liquidated if one.amount == lost.amount and one.occurred_ms == lost.occurred_ms
    ]
    assert books[0].unexplained == sum(gone)
    # Where several things happen in the millisecond of a liquidation, its neighbors are named, too.
    if len(gone) == 1:
        assert [one.amount for one in books[0].changes] == gone


#: Of each venue where something expires a seed with which each kind of it is settled, worth something and worthless.
EXPIRING = {"binance": 3, "bybit": 5, "deribit": 2, "okx": 8}


@pytest.mark.parametrize(("venue", "seed"), EXPIRING.items())
def test_an_expiry_leaves_nothing_unexplained_and_a_wrong_settlement_is_named(
    writer: Writer, venue: str, seed: int
) -> None:
    recording = Recording(venue, seed, expires=True)
    kinds = {one.kind for one in recording.terms if one.expires_ms}
    assert kinds == {one.terms.kind for one in recording.settled if one.terms}
    options = [one for one in recording.settled if one.terms and one.terms.kind == "option"]
    assert not options or {bool(one.amount) for one in options} == {True, False}
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    wrong = next(one for one in options or recording.settled if one.amount)
    ids = recording.misstate(wrong, D("0.0001"))
    found = [one for book in writer.books(writer.write_recording(recording)) for one in book.changes]
    assert {(one.wallet, one.currency) for one in found} == {(wrong.wallet or "", wrong.currency)}
    assert ids & {one.transaction_id for one in found}
    assert -D("0.0001") in [one.amount for one in found] or D("0.0001") in [one.amount for one in found]


OWNER = "0x5e11aa00000000000000000000000000000000a1"


def margins(at_ms: int, **raw: str) -> tuple[int, object]:
    """A push of Hyperliquid's perpetual exchanges without a position; `main` is the one without a name."""
    empty = {"assetPositions": [], "time": at_ms}
    states = [
        ["" if dex == "main" else dex, empty | {"marginSummary": {"accountValue": usd, "totalRawUsd": usd}}]
        for dex, usd in raw.items()
    ]
    return at_ms, {"channel": "allDexsClearinghouseState", "data": {"user": OWNER, "clearinghouseStates": states}}


@pytest.mark.parametrize(
    ("source", "destination", "main", "xyz"), [("", "xyz", "900.0", "150.0"), ("xyz", "", "1030.0", "20.0")]
)
def test_a_transfer_to_or_from_a_builder_s_exchange_is_explained(
    writer: Writer, source: str, destination: str, main: str, xyz: str
) -> None:
    """What is sent is called by its token (`USDC`), what is then owned there by the exchange's unit (`USD`)."""
    at_ms, sent = NOON_MS + 60_000, str(abs(D(main) - 1000))
    delta = {"type": "send", "user": OWNER, "destination": OWNER, "token": "USDC", "amount": sent, "fee": "0.0"}
    delta |= {"sourceDex": source, "destinationDex": destination}
    rows = [{"time": at_ms - 200, "hash": "0x9c", "delta": delta}]
    pushes = [
        *(margins(NOON_MS + 5_000 * n, main="1000.0", xyz="50.0") for n in range(6)),
        (at_ms, {"channel": "userNonFundingLedgerUpdates", "data": {"user": OWNER, "nonFundingLedgerUpdates": rows}}),
        *(margins(at_ms + 5_000 * n, main=main, xyz=xyz) for n in range(1, 13)),
    ]
    books = writer.books(writer.write_pushes("hyperliquid", pushes))
    assert [(book.wallet, book.currency) for book in books] == [("", "USDC"), ("xyz", "USD")]
    assert [change for book in books for change in book.changes] == []
    assert [book.transfers for book in books] == [book.change for book in books] == [D(main) - 1000, D(xyz) - 50]


def test_funding_that_a_snapshot_sums_up_by_day_counts_once(writer: Writer) -> None:
    """The payments of the same day were pushed hour by hour before."""
    hour_ms = 3_600_000

    def paid(at_ms: int, usdc: str, hours: int | None = None) -> dict[str, object]:
        return {"time": at_ms, "coin": "ETH", "usdc": usdc, "szi": "1.0", "fundingRate": "0.01", "nSamples": hours}

    def told(at_ms: int, *rows: dict[str, object], **more: bool) -> tuple[int, object]:
        return at_ms, {"channel": "userFundings", "data": {"user": OWNER, "fundings": rows} | more}

    times = [NOON_MS + n * hour_ms for n in range(1, 49)]
    recent = [paid(at_ms, "-0.1") for at_ms in times[36:]]
    pushes = [margins(NOON_MS, main="1000.0")]
    for number, at_ms in enumerate(times, 1):
        left = str(1000 - number * D("0.1"))
        pushes += [told(at_ms + 50, paid(at_ms, "-0.1", 1)), margins(at_ms + 3_000, main=left)]
    pushes.append(told(times[-1] + 60_000, paid(times[11], "-2.4", 24), *recent, isSnapshot=True))
    pushes += [margins(times[-1] + 60_000 + 5_000 * n, main=left) for n in range(1, 13)]
    name = writer.write_pushes("hyperliquid", pushes)
    (book,) = writer.books(name)
    assert (book.change, book.funding, book.unexplained, book.changes) == (D("-4.8"), D("-4.8"), D(0), ())
    with writer.desk.open() as record:
        listed = [one.amount for one in record.transactions(Filter(name))]
    assert listed == [D("-0.1")] * 48


def test_months_add_up_to_the_year_and_known_transfers_are_explained(writer: Writer) -> None:
    story = Story(5, "bybit")
    amount, _ = story.plant("missing transaction")
    name = writer.write(story)
    year = writer.books(name)
    (change,) = [change for book in year for change in book.changes if "is missing" in change.cause]
    assert change.amount == amount
    middle_ns = (NOON_MS + story.at_ms) // 2 * NS_PER_MS
    months = writer.books(name, until_ns=middle_ns) + writer.books(name, since_ns=middle_ns)
    for book in year:
        parts = [one for one in months if one.currency == book.currency]
        for field in ("change", "realized_pnl", "fees", "funding", "transfers", "other", "unexplained", "fills"):
            assert sum(getattr(one, field) for one in parts) == getattr(book, field)
    named = NamedTransfers([Transfer(name, change.currency, NOON_NS, change.amount)])
    left = [one for book in writer.books(name, named) for one in book.changes]
    assert [one for one in left if "is missing" in one.cause] == []
    assert named.left == []


@pytest.mark.parametrize(("market", "currency"), [("linear", "USDT"), ("inverse", "BTC")])
def test_a_fill_without_a_transaction_is_named_in_a_quiet_account(writer: Writer, market: str, currency: str) -> None:
    """The first balance is compared with the next event, long after the fill; of BTC there is no balance at all."""
    story = Story(5, "bybit")
    fill = next(one for one in story.fills if one.market == market)._replace(executed_ms=NOON_MS + 20_000)
    story.states, story.transactions, story.fills = [], [], [fill]
    of = story.money[0]
    story.owned.clear()
    for story.at_ms in (NOON_MS + 15_000, NOON_MS + 3_600_000):
        story.see(0)
        story.move(of, D(1), "interest")
    later_ns = (NOON_MS + 30_000) * NS_PER_MS
    name = writer.write(story)
    for since_ns, found in ((None, 1), (NOON_NS, 1), (later_ns, 0)):
        books = {book.currency: book for book in writer.books(name, since_ns=since_ns)}
        assert sum(book.found for book in books.values()) == found
        assert {book.unexplained for book in books.values()} == {D(0)}
        changes = [] if currency not in books else [one.trade_id for one in books[currency].changes]
        assert changes == [fill.trade_id] * found


def test_across_a_gap_nothing_is_a_finding(writer: Writer) -> None:
    story = Story(6, "hyperliquid")
    story.plant("missing fill")
    name = writer.write(story)
    assert sum(book.found for book in writer.books(name))
    account_id = int(name[1:])
    (change, *_) = [change for book in writer.books(name) for change in book.changes]
    # A balance long before, and one long after.
    begins_ns, ends_ns = change.received_ns - 31 * NS_PER_S, change.received_ns + NS_PER_S
    writer.desk.gap({"account_id": account_id, "gap_id": 2, "begins_ns": begins_ns, "ends_ns": ends_ns})
    books = writer.books(name)
    assert [change for book in books for change in book.changes] == []
    assert len(books) > len(story.owned)


def test_each_transaction_counts_once_and_a_pushed_one_until_the_ledger_has_it(writer: Writer) -> None:
    story = Story(7, "bybit")
    name = writer.write(story)
    ledger = [row for row in story.transactions if row.transaction_id]
    assert len(ledger) < len(story.transactions)
    with writer.desk.open() as record:
        listed = list(record.transactions(Filter(name)))
        assert list(record.transactions(Filter(name), newest=3)) == listed[-3:]
        some = list(record.transactions(Filter(name, symbol="ethusdt")))
    assert [row.transaction_id for row in listed] == [row.transaction_id for row in reversed(ledger)]
    assert some == [row for row in listed if row.symbol == "ETHUSDT"]
    query = text("SELECT count(*), sum(amount) FROM transaction_history WHERE account = :name")
    with writer.desk.engine.connect() as connection:
        number, total = connection.execute(query, {"name": name}).one()
    assert number == len(ledger)
    assert total == pytest.approx(float(sum(D(row.amount or 0) for row in ledger)))


@pytest.mark.parametrize(("venue", "error"), PLANTED, ids=[" ".join(one) for one in PLANTED])
@settings(max_examples=examples(8))
@given(seed=seeds)
def test_a_planted_error_is_named(writer: Writer, venue: str, error: str, seed: int) -> None:
    story = Story(seed, venue)
    fills = {fill.trade_id for fill in story.fills}
    amount, identity = story.plant(error)
    changes = [change for book in writer.books(writer.write(story)) for change in book.changes]
    assert changes
    if amount is not None:
        assert amount in [change.amount for change in changes]
    if identity is not None:
        assert identity in [one for change in changes for one in (change.transaction_id, change.trade_id)]
    if error == "missing fill" and venue == "bybit":
        (change, *more) = changes
        assert "has no fill" in change.cause
        assert {change.trade_id, *(one.trade_id for one in more)} == fills - {one.trade_id for one in story.fills}
