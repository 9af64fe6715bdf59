"""Books by a ledger: random ones leave nothing unexplained, and one planted error of each kind is named."""

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.live.channel import Recorded
from recorder.model import (
    BUY,
    DECODED,
    PUSH,
    REST,
    SELL,
    AccountUpdate,
    Decoded,
    FillUpdate,
    Frame,
    Transaction,
    Update,
)
from recorder.read.books.books import NamedTransfers
from recorder.read.books.differences import APART_NS
from recorder.read.projector import project_all
from recorder.read.records import Book, Filter, Transfer
from recorder.simulator import market
from recorder.simulator.exchange import Exchange
from recorder.store.entries import (
    AccountAdded,
    Covered,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    SessionOpened,
)
from recorder.venues import VENUES, venue_named
from recorder.venues.face import Push
from recorder.venues.reading import read_answer, read_frame
from recorder.venues.rest import Credentials, Known, Purpose, Question, Traded, target_of
from recorder.venues.simulated import Moment, SimulatedTransaction
from recorder.venues.stand_in import Backend, Request
from recorder.venues.view import SentState, Span
from tests.depth import examples
from tests.made import NOON_NS, RUN
from tests.unit.read.desk import Desk

D = Decimal
NOON_MS = NOON_NS // NS_PER_MS
STEPS = 30
NONE = D(0)
_accounts = count(1_000)

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


def nothing(record: type[Any]) -> Any:
    """A record without anything."""
    return record(**dict.fromkeys(record._fields))._replace(is_snapshot=0)


class Story:
    """What a venue says about an account: in frames of one session, at the times of the venue's clock.

    Args:
        seed: of what happens.
        venue: `bybit` has everything in its ledger, and balances after it; `hyperliquid` has fills beside it.
    """

    def __init__(self, seed: int, venue: str) -> None:
        self.random = Random(seed)
        self.venue = venue
        self.at_ms = NOON_MS
        self._ids = count(1)
        self.owned: defaultdict[tuple[str, str], Decimal] = defaultdict(lambda: D(0))
        self.transactions: list[Transaction] = []
        self.fills: list[FillUpdate] = []
        #: Time, wallet, currency and balance.
        self.states: list[tuple[int, str, str, Decimal]] = []
        #: Of states that nothing happens near to, the place of the first of several.
        self.quiet: list[int] = []
        self.sums: defaultdict[str, Decimal] = defaultdict(lambda: D(0))
        self.money = (("UNIFIED", "USDT"), ("UNIFIED", "BTC")) if venue == "bybit" else (("", "USDC"), ("spot", "USDC"))
        for of in (*self.money, ("spot", "PURR")) if venue == "hyperliquid" else self.money:
            self.owned[of] = self.digits(9_000, 4)
            self.states.append((self.at_ms, *of, self.owned[of]))
        self.at_ms += 60_000
        for _ in range(STEPS):
            self._step()
        self._see(0)
        self.quiet.append(len(self.states))
        self._see(15_000)
        self.at_ms += 60_000
        # So that everything before is asked for, and every difference has lasted.
        for of in self.money:
            self._move(of, self.digits(5, 4), "funding")
        self.at_ms += 60_000
        for of in self.money:
            self._move(of, self.digits(5, 4), "funding")
        self.states += [(self.at_ms + 5_000 * n, *of, self.owned[of]) for n in (1, 4) for of in sorted(self.owned)]

    def digits(self, most: int, decimals: int) -> Decimal:
        """An amount."""
        return D(self.random.randint(10**decimals, most * 10**decimals)).scaleb(-decimals)

    def _step(self) -> None:
        # Some in one millisecond, some in one burst, some alone.
        pause_ms = self.random.choice((0, 0, 1, 7, 900, 30_000))
        if pause_ms and self.random.random() < 0.8:
            # Without a balance after each transaction, only the balance after a whole block can be told.
            self._see(self.random.choice((0, 1, 40)) if self.venue == "bybit" else 0)
        if pause_ms == 30_000:
            self.quiet.append(len(self.states))
            self._see(15_000)
        self.at_ms += pause_ms
        self.random.choice((self._linear, self._inverse, self._spot, self._funding, self._transfer, self._other))()

    def _see(self, late_ms: int) -> None:
        self.states += [(self.at_ms + late_ms, *of, self.owned[of]) for of in sorted(self.owned)]

    def _move(self, of: tuple[str, str], amount: Decimal, kind: str, fee: Decimal = NONE, **more: Any) -> None:
        self.owned[of] += amount
        self.sums["fees"] += fee
        self.sums[kind] += amount + fee
        after = self.owned[of] if self.venue == "bybit" else None
        self.transactions.append(
            nothing(Transaction)._replace(
                transaction_id=f"{next(self._ids)}" if self.venue == "bybit" else None,
                type=kind,
                venue_type=kind.upper(),
                wallet=of[0],
                currency=of[1],
                amount=str(amount),
                fee=str(fee),
                balance_after=None if after is None else str(after),
                occurred_ms=self.at_ms,
                **more,
            )
        )

    def _fill(
        self, market: str, symbol: str, moves: dict[tuple[str, str], tuple[Decimal, Decimal]], **more: Any
    ) -> None:
        """A fill, and what it does: an amount before fees and a fee of each balance."""
        trade_id, order_id = f"t{next(self._ids)}", f"o{next(self._ids)}"
        (fee_currency, fee) = next((of[1], fee) for of, (_, fee) in moves.items() if fee)
        is_bybit = self.venue == "bybit"
        fill = nothing(FillUpdate)._replace(
            trade_id=trade_id,
            order_id=order_id,
            market=market if is_bybit else None,
            symbol=symbol,
            fee=str(fee),
            fee_currency=fee_currency,
            kind="trade",
            executed_ms=self.at_ms,
            **more,
        )
        self.fills.append(fill)
        for of, (amount, paid) in moves.items():
            if is_bybit:
                ids = {"market": market, "symbol": symbol, "order_id": order_id, "trade_id": trade_id}
                self._move(of, amount - paid, "trade", paid, **ids)
            else:
                self.owned[of] += amount - paid
                self.sums["fees"] += paid
                self.sums["trade"] += amount

    def _linear(self) -> None:
        price, quantity, fee = self.digits(3_000, 1), self.digits(2, 2), self.digits(2, 4)
        side, pnl = self.random.choice((BUY, SELL)), self.digits(50, 4) - 25
        side_of_position = self.random.choice((None, "long", "short"))
        about = {
            "side": side,
            "position_side": side_of_position,
            "price": str(price),
            "quantity": str(quantity),
            "realized_pnl": str(pnl),
        }
        paid = price * quantity * (-1 if side == BUY else 1)
        self._fill("linear", "ETHUSDT", {self.money[0]: (pnl if self.venue == "bybit" else paid, fee)}, **about)

    def _inverse(self) -> None:
        if self.venue != "bybit":
            return self._linear()
        pnl, fee = self.digits(2, 8) - 1, self.digits(2, 8) / 1000
        about = {"side": SELL, "price": "9000", "quantity": "100", "realized_pnl": str(pnl)}
        self._fill("inverse", "BTCUSD", {self.money[1]: (pnl, fee)}, **about)
        return None

    def _spot(self) -> None:
        price, quantity, side = self.digits(90, 2), self.digits(2, 4), self.random.choice((BUY, SELL))
        sign = 1 if side == BUY else -1
        base, quote, symbol = self.money[1], self.money[0], "BTCUSDT"
        if self.venue != "bybit":
            base, quote, symbol = ("spot", "PURR"), ("spot", "USDC"), "PURR/USDC"
        fee = self.digits(2, 4) / 100
        # A buyer pays the fee in what he buys.
        moves = {
            base: (sign * quantity, fee if side == BUY else D(0)),
            quote: (-sign * quantity * price, fee if side == SELL else D(0)),
        }
        about = {"side": side, "price": str(price), "quantity": str(quantity), "realized_pnl": None}
        self._fill("spot", symbol, moves, **about)

    def _funding(self) -> None:
        of, amount = self.money[0], self.digits(3, 4) - 2
        trade_id = f"f{next(self._ids)}" if self.venue == "bybit" else None
        self._move(of, amount, "funding", symbol="ETHUSDT", trade_id=trade_id)
        if self.venue == "bybit":
            # Pushed as well, without the ledger's id.
            pushed = self.transactions[-1]._replace(transaction_id=None, balance_after=None, venue_type="Funding")
            self.transactions.append(pushed)

    def _transfer(self) -> None:
        self._move(self.random.choice(self.money), self.digits(900, 6) - 450, "transfer")

    def _other(self) -> None:
        self._move(self.random.choice(self.money), self.digits(2, 6), self.random.choice(("interest", "rebate")))

    # Errors.

    def plant(self, error: str) -> tuple[Decimal | None, str | None]:
        """Plant an error in the middle; returns an amount that must be named, and a transaction's or trade's id."""
        rows = [row for row in self.transactions if row.transaction_id or self.venue != "bybit"]
        rows = rows[len(rows) // 4 : -4]
        row = self.random.choice(rows)
        place = self.transactions.index(row)
        amount = D(row.amount or 0)
        wrong = self.digits(1, 4) + D("0.0001")
        if error == "missing transaction":
            del self.transactions[place]
            return amount, row.trade_id if row.type == "trade" else None
        if error == "wrong amount":
            self.transactions[place] = row._replace(amount=str(amount + wrong))
            return -wrong, row.transaction_id
        if error == "listed twice":
            twice_id = None if row.transaction_id is None else f"{row.transaction_id}-2"
            self.transactions.insert(place, row._replace(transaction_id=twice_id))
            return -amount, None
        if error == "missing fill":
            fill = self.fills.pop(len(self.fills) // 2)
            return None, fill.trade_id if self.venue == "bybit" else None
        if error == "wrong balance after":
            self.transactions[place] = row._replace(balance_after=str(D(row.balance_after or 0) + wrong))
            # What is in one millisecond can no longer be put in order, so the amount may be another one.
            return None, row.transaction_id
        place = self.random.choice(self.quiet)
        at_ms, wallet, currency, balance = self.states[place]
        self.states[place] = at_ms, wallet, currency, balance + wrong
        return wrong, None


class Recording:
    """What a recorder gets of a simulated account that trades and is liquidated: pushes, and answers about the ledger.

    Args:
        venue: the venue.
        seed: of the trading.
        expires: whether futures and options expire, makers are paid, and money is withdrawn meanwhile, too.
        pushes: how many.

    Attributes:
        pushed: time of receipt, frame and what it says.
        answered: answer and what it says.
        liquidated: what its liquidations left of the margin, or took beyond it.
    """

    def __init__(self, venue: str, seed: int, *, expires: bool = False, pushes: int = 400) -> None:
        self.venue = venue_named(venue)
        stand_in = self.venue.stand_in
        with pytest.MonkeyPatch.context() as patch:
            if expires:
                patch.setattr(f"recorder.venues.{venue}.stand_in.face.MAKER_RATE", D("-0.0001"))
            exchange = Exchange(
                seed,
                venue=venue,
                key=stand_in.default_account[0],
                funding_interval_ms=5_000,
                expiry_ms=18_000 if expires else 0,
            )
        self.pushed: list[tuple[int, bytes, Decoded]] = []
        render = exchange.face.pushes

        def recorded(moment: Moment, now_ms: int) -> Iterator[Push]:
            for push in render(moment, now_ms):
                at_ns = now_ms * NS_PER_MS + len(self.pushed)
                self.pushed.append((at_ns, push.payload, read_frame(self.venue, push.payload)))
                yield push

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange.face, "pushes", recorded)
            patch.setattr(market, "LEAPS", 0.1)  # so that it is liquidated soon
            deque(islice(exchange, pushes), maxlen=0)
            if expires:
                exchange.transfer(D("-1.25"), exchange.purse("USDC" if venue == "deribit" else "USDT"), fee=D("0.25"))
                deque(islice(exchange, 500), maxlen=0)
        # Where no balance is told after each, only the list says in which order those of a millisecond were.
        asked = [entry.state for entry in exchange.view().transactions(Span(oldest_first=venue == "binance"))]
        self.terms = exchange.terms
        backend = Backend(secret_of=lambda _key: "", clock_ms=lambda: 0, terms=self.terms)
        states = [*asked, *self._described(backend)]
        self.answered = [(one.payload, read_answer(self.venue, one.topic, one.payload)) for one in states]
        kinds = exchange.history.transactions
        is_spot = all(one.kind == "spot" for one in self.terms)
        assert ({"deposit"} if is_spot else {"deposit", "funding", "liquidation"}) <= {one.type for one in kinds}
        self.liquidated = [one for one in kinds if one.type == "liquidation"]
        self.settled = [one for one in kinds if "settlement" in (one.type, one.kind)]
        assert bool(self.settled) == expires
        assert not expires or {"withdrawal", "trade"} <= {one.type for one in kinds if one.fee}
        assert not expires or any(one.fee < 0 for one in kinds)

    def _described(self, backend: Backend) -> Iterator[SentState]:
        """What the venue says of its instruments."""
        handler = self.venue.stand_in.request_handler(backend)
        nothing_known = Known(
            (), {}, None, None, 0, instruments=[Traded(one.market, one.symbol) for one in backend.terms]
        )
        questions = self.venue.questions(Purpose.INSTRUMENTS, nothing_known)
        for step in questions:
            assert isinstance(step, Question)
            request = step.request("", Credentials(key="", secret="", passphrase="", address=""), 0)
            answer = handler.handle(Request(request.method, request.url, request.headers, base="", body=request.body))
            assert isinstance(answer, bytes)
            yield SentState(target_of(request, ""), answer)

    def pay_everything_in(self, currency: str) -> None:
        """Let balances of one currency, fees and transactions be in another one, and forget all other balances."""
        only = self.terms[0].settle

        def renamed(one: Decoded) -> Decoded:
            told: list[Update] = []
            for update in one.updates:
                if isinstance(update, AccountUpdate | Transaction) and update.currency == only:
                    told.append(update._replace(currency=currency))
                elif isinstance(update, FillUpdate) and update.fee_currency == only:
                    told.append(update._replace(fee_currency=currency))
                elif not isinstance(update, AccountUpdate | Transaction | FillUpdate):
                    told.append(update)
            return one._replace(updates=tuple(told))

        self.pushed = [(at_ns, payload, renamed(one)) for at_ns, payload, one in self.pushed]
        self.answered = [(payload, renamed(one)) for payload, one in self.answered]

    def lose_fill(self, trade_id: str | None) -> None:
        """Plant an error: nobody recorded a fill."""

        def without(one: Decoded) -> Decoded:
            kept = (two for two in one.updates if not (isinstance(two, FillUpdate) and two.trade_id == trade_id))
            return one._replace(updates=tuple(kept))

        self.pushed = [(at_ns, payload, without(one)) for at_ns, payload, one in self.pushed]

    def forget(self, transaction: SimulatedTransaction) -> None:
        """Plant an error: the ledger never told of a transaction."""
        self._plant(transaction, None)

    def misstate(self, transaction: SimulatedTransaction, wrong: Decimal) -> set[str | None]:
        """Plant an error: in the ledger, the amount of a transaction is wrong by this. Returns its ids there."""
        return self._plant(transaction, wrong)

    def _plant(self, transaction: SimulatedTransaction, wrong: Decimal | None) -> set[str | None]:
        ids: set[str | None] = set()
        # Some ledgers have the fee in a row of its own.
        amounts = {transaction.amount, transaction.amount + transaction.fee}

        def planted(update: Update) -> Iterator[Update]:
            is_it = isinstance(update, Transaction) and update.occurred_ms == transaction.occurred_ms
            if not is_it or D(update.amount or 0) not in amounts:  # type: ignore[union-attr]
                yield update
            elif isinstance(update, Transaction) and wrong is not None:
                ids.add(update.transaction_id)
                yield update._replace(amount=str(D(update.amount or 0) + wrong))

        def without(one: Decoded) -> Decoded:
            return one._replace(updates=tuple(changed for update in one.updates for changed in planted(update)))

        self.pushed = [(at_ns, payload, without(one)) for at_ns, payload, one in self.pushed]
        self.answered = [(payload, without(one)) for payload, one in self.answered]
        return ids


class Writer:
    """Writes stories into one database, each as an account of its own."""

    def __init__(self, path: Path) -> None:
        self.desk = Desk(path)

    def _account(self, venue: str, at_ns: int = NOON_NS - NS_PER_S) -> tuple[str, int, list[LogEntry]]:
        """A new account and its session: its name, its key, and how the event log begins."""
        account_id = next(_accounts)
        entries: list[LogEntry] = [
            AccountAdded(account_id, venue, f"a{account_id}", at_ns),
            SessionOpened(account_id, account_id, RUN, "wss://x", ("all",), at_ns),
            Covered(account_id, account_id, 0, at_ns, ("all",), {}),
        ]
        return f"a{account_id}", account_id, entries

    def write_recording(self, recording: "Recording", asked_ns: int | None = None) -> str:
        """Write what was recorded of a simulated account, its answers as a round that began then; returns its name."""
        name, account_id, entries = self._account(recording.venue.name, recording.pushed[0][0] - NS_PER_S)
        frames = [
            Recorded(Frame(account_id, account_id, seq, at_ns, PUSH, one.topic, DECODED, None, payload), one.updates)
            for seq, (at_ns, payload, one) in enumerate(recording.pushed)
        ]
        last_ns = recording.pushed[-1][0] + NS_PER_S
        frames += [
            self._frame(account_id, account_id + 10**6, seq, last_ns, payload, *one.updates)
            for seq, (payload, one) in enumerate(recording.answered)
        ]
        if asked_ns is not None:
            round_id = account_id + 10**6
            entries += [
                ReconciliationBegan(account_id, round_id, RUN, asked_ns, "regular"),
                ReconciliationEnded(account_id, round_id, account_id, last_ns, "answered", ""),
            ]
        self.desk.write(*frames, entries=entries)
        return name

    def write(self, story: Story) -> str:
        """Write a story; returns the account's name."""
        name, account_id, entries = self._account(story.venue)
        session_id, at_ns = account_id, NOON_NS - NS_PER_S
        seqs = count(1)
        frames = [self._frame(account_id, session_id, 0, at_ns, b"{}")]
        pushed: list[tuple[int, bytes, Update]] = []
        for at_ms, wallet, currency, balance in story.states:
            payload = _state(wallet, balance) if story.venue == "hyperliquid" else b"{}"
            shown = str(balance) if story.venue == "bybit" else repr(float(balance))
            update = nothing(AccountUpdate)._replace(
                is_partial=0, wallet=wallet, currency=currency, balance=shown, updated_ms=at_ms
            )
            pushed.append((at_ms, payload, update))
        pushed += [(fill.executed_ms or 0, b"{}", fill) for fill in story.fills]
        for at_ms, payload, update in sorted(pushed, key=lambda one: one[0]):
            key = account_id, session_id, next(seqs), (at_ms + 30) * NS_PER_MS
            frames.append(self._frame(*key, payload, update))
        # Asked for twice, newest first: each transaction counts once all the same.
        asked_ns = (story.at_ms + 40_000) * NS_PER_MS
        rows = tuple(reversed(story.transactions))
        frames += [self._frame(account_id, session_id + 10**6, seq, asked_ns, b"[]", *rows) for seq in range(2)]
        frames.append(self._frame(account_id, session_id, next(seqs), asked_ns, b"{}"))
        self.desk.write(*frames, entries=entries)
        return name

    def write_pushes(self, venue: str, pushes: Sequence[tuple[int, object]]) -> str:
        """Write frames, each with its time of receipt in milliseconds, as they are decoded; returns the name."""
        name, account_id, entries = self._account(venue)
        frames = []
        for seq, (at_ms, frame) in enumerate(pushes):
            payload = json.dumps(frame).encode()
            one = read_frame(venue_named(venue), payload)
            assert one.error is None
            of = account_id, account_id, seq, at_ms * NS_PER_MS
            frames.append(Recorded(Frame(*of, PUSH, one.topic, DECODED, None, payload), one.rows))
        self.desk.write(*frames, entries=entries)
        return name

    def _frame(self, account_id: int, session_id: int, seq: int, at_ns: int, payload: bytes, *rows: Update) -> Recorded:
        source = REST if session_id >= 10**6 else PUSH
        return Recorded(Frame(account_id, session_id, seq, at_ns, source, "all", DECODED, None, payload), rows)

    def books(
        self, name: str, named: NamedTransfers | None = None, since_ns: int | None = None, until_ns: int | None = None
    ) -> list[Book]:
        """Keep the books of an account."""
        with self.desk.engine.connect() as connection:
            list(project_all(connection))
        with self.desk.open() as record:
            return list(record.books(Filter(name, None, since_ns, until_ns), named))


def _state(wallet: str, raw: Decimal) -> bytes:
    """The state of a perpetual exchange; numbers are printed from binary ones."""
    state = {"marginSummary": {"totalRawUsd": repr(float(raw))}}
    return json.dumps({"channel": "clearinghouseState", "data": {"dex": wallet, "clearinghouseState": state}}).encode()


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
        story._see(0)
        story._move(of, D(1), "interest")
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
