"""Books: what an account's balances changed by, and what explains it. Every sum is exact.

Each interval of full coverage has books of its own, from the first moment at which balance and positions are known;
across a gap the steps are unknown. Realized PnL follows from successive states of the positions, fees from those of the
orders; the balance shows the rest (`differences.py`).

A REST answer counts only for what no push in the interval has reported yet: it may be older than the pushes around it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.read.books.differences import BALANCE, POSITION, BalanceWatch, BooksPoint, UpdateKey
from recorder.read.books.entries import asked_within, events
from recorder.read.books.ledger import LedgerBooks
from recorder.read.books.updates import (
    BookBalance,
    BookOrder,
    BookPosition,
    BookSnapshot,
    BookUpdate,
    OrderFees,
    book_updates,
)
from recorder.read.coverage import coverage_by_recorder, full_coverage, latest_frame_ns, whole_gaps
from recorder.read.current_states import NOW_NS
from recorder.read.intervals import Interval
from recorder.read.records import Book, Filter, Transfer, Unexplained
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.store.schema import account_updates
from recorder.store.state_index import latest
from recorder.venues import venue_named
from recorder.venues.accounting import EXACT, Accounting, Holding

T = TypeVar("T")

_ZERO = Decimal(0)
_NOTHING_HELD = Holding(_ZERO, _ZERO)
#: Largest difference between the noted time of a transfer and that of the push: people note the day, and a transfer
#: takes time. The amounts must be equal to the last digit.
TRANSFER_APART_NS = 24 * 3600 * NS_PER_S
#: After every instant, ns since 1970.
_FOR_EVER = 2**63 - 1
#: Updates between two calls of `Watch`.
_WATCHED = 500

#: Called now and then with the progress, from 0 to 1.
Watch = Callable[[float], None]


class NamedTransfers:
    """Deposits and withdrawals that a person noted. Each explains at most one change of a balance.

    Args:
        transfers: in any order.
    """

    def __init__(self, transfers: Iterable[Transfer] = ()) -> None:
        #: Those that have not explained a change yet.
        self.left: list[Transfer] = list(transfers)

    def explains(self, account: str, currency: str, amount: Decimal, at_ns: int) -> bool:
        """Whether a transfer explains this change. If so, the nearest in time is used up."""
        fitting = [
            one
            for one in self.left
            if (one.account, one.currency, one.amount) == (account, currency, amount)
            and abs(one.at_ns - at_ns) <= TRANSFER_APART_NS
        ]
        if fitting:
            self.left.remove(min(fitting, key=lambda one: abs(one.at_ns - at_ns)))
        return bool(fitting)


class _CurrencyBooks:
    """The books of one currency in one interval, for each interpretation (`PnlReading`) of realized PnL."""

    def __init__(self, readings: int) -> None:
        #: Of all wallets.
        self.balance: Decimal | None = None
        self._wallets: dict[str | None, BookBalance] = {}
        self.fees = _ZERO
        self.fills = 0
        self.nets = [_ZERO] * readings
        self.watches = [BalanceWatch() for _ in range(readings)]

    def take_balance(self, update: BookBalance) -> None:
        """Set the balance of one wallet."""
        before = self._wallets.get(update.wallet)
        if update.balance is None or (before is not None and _is_old(update, before)):
            return
        self._wallets[update.wallet] = update
        self.balance = _ZERO
        for one in self._wallets.values():
            self.balance = EXACT.add(self.balance, one.balance or _ZERO)
        self.weigh(BALANCE, update)

    def weigh(self, kind: str, update: BookUpdate) -> None:
        """Compare the balance with its explanation after an update."""
        if self.balance is not None:
            key = UpdateKey(*update[:4])
            for net, watch in zip(self.nets, self.watches, strict=True):
                watch.weigh(kind, BooksPoint(key, self.balance, net, self.fees, self.fills))

    def realize(self, amounts: Sequence[Decimal]) -> None:
        """Add what a position realized, by each interpretation."""
        self.nets = [EXACT.add(net, amount) for net, amount in zip(self.nets, amounts, strict=True)]

    def take_fee(self, fee: Decimal, fills: int) -> None:
        """Add the fee of an execution."""
        self.fees = EXACT.add(self.fees, fee)
        self.fills += fills

    def has_begun(self, at_ns: int) -> bool:
        """Whether the balance that the books begin with is known by then."""
        for watch in self.watches:
            watch.wait(at_ns)
        return any(watch.begin for watch in self.watches)

    def conclude(self, until_ns: int) -> BalanceWatch:
        """End the books; returns those with the smallest unexplained sum."""
        for watch in self.watches:
            watch.conclude(until_ns)
        return min(self.watches, key=lambda watch: (watch.size, watch.unsettled.copy_abs()))


class Books:
    """Keeps an account's books.

    Args:
        account: its name.
        accounting: its venue's.
        named: known transfers.
    """

    def __init__(self, account: str, accounting: Accounting, named: NamedTransfers) -> None:
        self._account = account
        self._accounting = accounting
        self._named = named
        self._fees = OrderFees()
        #: Symbol → the currency in which its positions gain and lose, as its orders showed.
        self._settles: dict[str, str] = {}
        self._since_ns = 0
        self._begin()

    def keep(self, updates: Iterable[BookUpdate], intervals: Sequence[Interval], since_ns: int = 0) -> Iterator[Book]:
        """Process updates; yields the books of each interval when it ends, oldest first.

        Args:
            updates: in the order of receipt; of orders also those before the first interval.
            intervals: of full coverage, oldest first.
            since_ns: the books of an interval that began before begin then.
        """
        self._since_ns = since_ns
        left = deque(interval for interval in intervals if interval[1] >= since_ns)
        for update in updates:
            at_ns = update.received_ns
            while left and at_ns > left[0][1]:
                yield from self._close(left.popleft()[1])
            if left and at_ns >= left[0][0]:
                self._cut_where_due(at_ns)
                yield from self._take(update)
            elif isinstance(update, BookOrder):
                self._fees.learn(update)
        if left:
            yield from self._close(left[0][1])

    def _begin(self) -> None:
        self._fees.begin()
        self._is_cut = False
        self._currencies: dict[str, _CurrencyBooks] = {}
        #: By market, symbol, side and id.
        self._positions: dict[tuple[str | None, ...], BookPosition] = {}
        self._is_complete = False

    def _take(self, update: BookUpdate) -> Iterator[Book]:
        if isinstance(update, BookOrder):
            self._take_order(update)
        elif isinstance(update, BookBalance):
            self._currency(update.currency).take_balance(update)
        elif isinstance(update, BookSnapshot):
            self._is_complete = True
        else:
            yield from self._take_position(update)

    def _take_order(self, order: BookOrder) -> None:
        if order.symbol is not None and order.fee_currency is not None:
            self._settles[order.symbol] = order.fee_currency
        step = self._fees.step(order)
        currency = order.fee_currency or (None if order.symbol is None else self._settle(order.symbol))
        if step is not None and currency is not None:
            self._currency(currency).take_fee(*step)

    def _take_position(self, update: BookPosition) -> Iterator[Book]:
        settle = self._settle(update.symbol)
        if update.quantity is None or update.realized_pnl is None or settle is None:
            return
        key = update.market, update.symbol, update.position_side, update.position_id
        before = self._positions.get(key)
        if before is not None and _is_old(update, before):
            return
        self._positions[key] = update
        currency = self._currency(settle)
        if update.asked_ns is not None:
            return
        if before is None and not self._is_complete:
            # What it realized with this push is unknown: the books begin again.
            if currency.has_begun(update.received_ns):
                yield from self._book(update.received_ns, settle, currency)
            currency.watches = [BalanceWatch() for _ in currency.watches]
            currency.weigh(POSITION, update)
            return
        held = _NOTHING_HELD if before is None else _holding(before)
        currency.realize([reading.realized(held, _holding(update)) for reading in self._accounting.readings])
        currency.weigh(POSITION, update)

    def _cut_where_due(self, at_ns: int) -> None:
        """Drop what came before the wanted time."""
        if self._is_cut or at_ns < self._since_ns:
            return
        self._is_cut = True
        for currency in self._currencies.values():
            currency.conclude(self._since_ns)
            for watch in currency.watches:
                watch.cut()

    def _close(self, until_ns: int) -> Iterator[Book]:
        self._cut_where_due(until_ns)
        for name, currency in sorted(self._currencies.items()):
            yield from self._book(until_ns, name, currency)
        self._begin()

    def _book(self, until_ns: int, name: str, currency: _CurrencyBooks) -> Iterator[Book]:
        watch = currency.conclude(until_ns)
        begin, end = watch.begin, watch.point
        if begin is None or end is None:
            return
        transfers = _ZERO
        changes = []
        for key, amount in watch.lasting:
            if self._named.explains(self._account, name, amount, key.received_ns):
                transfers = EXACT.add(transfers, amount)
            else:
                changes.append(Unexplained(self._account, name, key.received_ns, amount, *key[1:]))
        change = EXACT.subtract(end.balance, begin.balance)
        net = EXACT.subtract(end.net, begin.net)
        fees = EXACT.subtract(end.fees, begin.fees)
        yield Book(
            self._account,
            name,
            begin.key.received_ns,
            end.key.received_ns,
            begin.balance,
            end.balance,
            change,
            EXACT.add(net, fees),
            fees,
            transfers,
            EXACT.subtract(EXACT.subtract(change, net), transfers),
            watch.unsettled,
            end.fills - begin.fills,
            watch.count - (len(watch.lasting) - len(changes)),
            tuple(changes),
        )

    def _currency(self, name: str) -> _CurrencyBooks:
        if name not in self._currencies:
            self._currencies[name] = _CurrencyBooks(len(self._accounting.readings))
        return self._currencies[name]

    def _settle(self, symbol: str) -> str | None:
        return self._settles.get(symbol) or self._accounting.instrument(symbol).settle


def _is_old(update: BookBalance | BookPosition, before: BookBalance | BookPosition) -> bool:
    """Whether an update is older than the one before it: late from another recorder, from REST, or by a clock jump."""
    if update.asked_ns is not None:
        return True
    if before.asked_ns is not None:
        return False
    if update.session_id == before.session_id:
        return (update.seq, update.item) <= (before.seq, before.item)
    if update.updated_ms is None or before.updated_ms is None:
        return False
    return update.updated_ms < before.updated_ms


def _holding(update: BookPosition) -> Holding:
    return Holding(update.quantity or _ZERO, update.realized_pnl or _ZERO)


class _CoveredAccount(NamedTuple):
    """An account, and its intervals of full coverage within the wanted time."""

    account: LabelledAccount
    intervals: list[Interval]


def keep_books(
    connection: Connection, wanted: Filter, named: NamedTransfers, watch: Watch | None = None
) -> Iterator[Book]:
    """The books of each account, one after the other.

    Args:
        connection: to the record; one consistent state of it is read.
        wanted: an account and times of receipt.
        named: known transfers.
        watch: called with the progress.
    """
    begins_ns, ends_ns = wanted.since_ns or 0, _FOR_EVER if wanted.until_ns is None else wanted.until_ns
    chosen = list(_covered_accounts(connection, wanted.account, begins_ns, ends_ns))
    for number, (account, intervals) in enumerate(chosen):
        accounting = venue_named(account.venue).accounting
        progress = None if watch is None else _Progress(watch, intervals, number, len(chosen))
        if accounting.ledger is not None:
            asked = asked_within(connection, account.account_id, accounting.ledger)
            by_ledger = LedgerBooks(account.label, accounting.ledger, intervals, asked, begins_ns, named.explains)
            happened = events(connection, account, accounting, accounting.ledger, asked)
            yield from by_ledger.keep(_watched(happened, progress, lambda event: event.at_ms * NS_PER_MS))
        else:
            books = Books(account.label, accounting, named)
            updates = book_updates(connection, account.account_id, intervals[0][0], ends_ns)
            watched = _watched(updates, progress, lambda update: update.received_ns)
            yield from books.keep(watched, intervals, begins_ns)


def wallets_without_books(connection: Connection, account: str | None) -> Iterator[tuple[str, str]]:
    """The wallets of which no books are kept (`Ledger.keeps`): the account of each, and its name.

    Args:
        connection: to the record.
        account: only of this account; None: of all.
    """
    for one in labelled_accounts(connection, account):
        ledger = venue_named(one.venue).accounting.ledger
        if ledger is not None:
            wallets = {wallet for _, wallet in latest(connection, one.account_id, account_updates, NOW_NS) if wallet}
            yield from ((one.label, wallet) for wallet in sorted(wallets) if not ledger.keeps(wallet))


def _covered_accounts(
    connection: Connection, account: str | None, since_ns: int, until_ns: int
) -> Iterator[_CoveredAccount]:
    """The accounts with full coverage in the wanted time; intervals are cut at its end."""
    for one in labelled_accounts(connection, account):
        by_recorder = coverage_by_recorder(connection, one.account_id, one.label)
        last_ns = latest_frame_ns(by_recorder)
        if last_ns is None:
            continue
        intervals = full_coverage(whole_gaps(one.label, by_recorder), last_ns)
        cut = [(begin, min(end, until_ns - 1)) for begin, end in intervals if begin < until_ns]
        if touching := [interval for interval in cut if interval[1] >= since_ns]:
            yield _CoveredAccount(one, touching)


class _Progress(NamedTuple):
    """How far the books of one of several accounts are kept."""

    watch: Watch
    intervals: Sequence[Interval]
    number: int
    of: int

    def at(self, at_ns: int) -> None:
        """Call `watch`."""
        first_ns, last_ns = self.intervals[0][0], self.intervals[-1][1]
        part = (at_ns - first_ns) / max(last_ns - first_ns, 1)
        self.watch((self.number + min(max(part, 0.0), 1.0)) / self.of)


def _watched(updates: Iterable[T], progress: _Progress | None, at_ns: Callable[[T], int]) -> Iterator[T]:
    for count, update in enumerate(updates):
        if progress is not None and count % _WATCHED == 0:
            progress.at(at_ns(update))
        yield update
