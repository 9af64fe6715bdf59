"""Books by a venue's ledger: its transactions explain every change of a balance, and its trades are the fills."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter

from recorder.clock import NS_PER_MS
from recorder.read.books.entries import Asked, Event, Trade
from recorder.read.books.sums import Entry
from recorder.read.books.wallet import APART_MS, WalletBooks
from recorder.read.intervals import Interval
from recorder.read.records import Book
from recorder.venues.accounting import EXACT, Ledger, Move

_ZERO, _ONE = Decimal(0), Decimal(1)
#: Market, symbol and trade id; the first two are None where the ledger does not name them.
_TradeKey = tuple[str | None, str | None, str]
#: Types of transactions that a fill has. One that opens a position may have paid its fee and nothing else.
_OF_FILLS = ("trade", "fee")
_EVER_MS, _FOR_EVER_MS = -(2**63), 2**63
#: Says whether a transfer that somebody noted explains a change: of an account and a currency, by an amount, at ns.
Explains = Callable[[str, str, Decimal, int], bool]


class LedgerBooks:
    """Keeps an account's books.

    Args:
        account: its name.
        ledger: its venue's.
        intervals: of full coverage, oldest first.
        asked: the times for which the ledger was asked.
        since_ns: the books of an interval that began before begin then.
        explains: whether a transfer that somebody noted explains a change.
    """

    def __init__(
        self,
        account: str,
        ledger: Ledger,
        intervals: Sequence[Interval],
        asked: Asked,
        since_ns: int,
        explains: Explains,
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._intervals = intervals
        self._begins = [begin for begin, _ in intervals]
        self._asked = asked
        self._since_ns = since_ns
        self._explains = explains
        self._books: dict[tuple[str | None, str], WalletBooks] = {}
        #: Trades that may still be completed, the oldest first.
        self._trades: dict[_TradeKey, list[Trade]] = {}
        #: Currency → the least unit in which the ledger has listed an amount of it, if it rounds trades.
        self._units: dict[str, Decimal] = {}

    def keep(self, events: Iterable[Event]) -> Iterator[Book]:
        """Process events; yields the books of each balance and interval.

        Args:
            events: in the order in which they happened.
        """
        for event in events:
            yield from self._advance(event.at_ms)
            if isinstance(event, Trade):
                of = (event.market, event.symbol) if self._ledger.names_symbols else (None, None)
                self._trades.setdefault((*of, event.trade_id), []).append(event)
            elif isinstance(event, Entry):
                self._of(event.wallet, event.currency).add(event, self._interval(event.at_ms * NS_PER_MS))
                if self._ledger.rounds_trades:
                    units = (_unit(one) for one in (event.amount, event.balance_after) if one is not None)
                    self._units[event.currency] = min(*units, self._units.get(event.currency, _ONE))
            elif (interval := self._interval(event.key.received_ns)) is not None:
                self._of(event.wallet, event.currency).see(event, interval)
        yield from self._advance(_FOR_EVER_MS)
        for _, books in sorted(self._books.items(), key=lambda one: (one[0][0] or "", one[0][1])):
            yield from books.close()

    def _advance(self, at_ms: int) -> Iterator[Book]:
        while self._trades:
            first = next(iter(self._trades))
            if self._trades[first][0].at_ms + APART_MS >= at_ms:
                break
            self._match(self._trades.pop(first))
        for books in self._books.values():
            yield from books.advance(at_ms)

    def _of(self, wallet: str | None, currency: str) -> WalletBooks:
        of = wallet, currency
        if of not in self._books:
            asked_ms = self._asked_within(wallet, currency)[1] if self._ledger.has_trades else None
            names = self._account, wallet, currency, self._ledger.decimals(wallet)
            self._books[of] = WalletBooks(*names, asked_ms, self._intervals, self._since_ns, self._explains)
        return self._books[of]

    def _asked_within(self, wallet: str | None, currency: str) -> tuple[int, int]:
        return self._asked.within(wallet, currency) or (_FOR_EVER_MS, _EVER_MS)

    def _was_asked(self, move: Move, at_ms: int) -> bool:
        """Whether the ledger was asked for what a trade at a time did to a balance."""
        first_ms, last_ms = self._asked_within(move.wallet, move.currency)
        return first_ms <= at_ms and at_ms + APART_MS <= last_ms

    def _interval(self, at_ns: int) -> int | None:
        """The number of the interval that an instant is in; None: it was not covered."""
        number = bisect_right(self._begins, at_ns) - 1
        return number if number >= 0 and at_ns <= self._intervals[number][1] else None

    def _match(self, trades: Sequence[Trade]) -> None:
        """Compare the transactions of a trade with its fill."""
        fills = [one for one in trades if one.is_fill]
        listed = [one for one in trades if not one.is_fill]
        if any(one.moves is None for one in listed):
            return
        if not listed:
            self._report_fill(fills[0])
        elif fills:
            self._compare(fills[0], listed)
        elif any(one.type in _OF_FILLS for one in listed) and self._is_covered(listed[0].at_ms):
            for one in listed:
                self._report(one, {move.currency: move.amount for move in one.moves or ()}, "has no fill")

    def _report_fill(self, fill: Trade) -> None:
        """Report a fill without a transaction, if the ledger was asked about that time."""
        if self._is_covered(fill.at_ms):
            for wallet in {move.wallet for move in fill.moves or ()}:
                moves = (move for move in fill.moves or () if move.wallet == wallet)
                amounts = {move.currency: move.amount for move in moves if self._was_asked(move, fill.at_ms)}
                self._report(fill, amounts, "has no transaction")

    def _compare(self, fill: Trade, listed: Sequence[Trade]) -> None:
        """Compare a fill with its transactions. The list that another one is in may not have been asked for yet.

        Only currencies that the fill is known to have moved are compared.
        If the ledger rounds trades, each amount and each fee other than 0 may be wrong by one unit.
        """
        if fill.moves is None or not self._is_covered(fill.at_ms):
            return
        differences: dict[str, Decimal] = {}
        lists: set[tuple[str | None, str | None]] = set()
        #: Currency → how many of its numbers are rounded.
        rounded: Counter[str] = Counter()
        moved = {move.currency for move in fill.moves}
        for move in (move for one in listed for move in one.moves or () if move.currency in moved):
            lists.add(self._asked.list_of(move.wallet, move.currency))
            differences[move.currency] = EXACT.add(differences.get(move.currency, _ZERO), move.amount)
            rounded[move.currency] += 1 + bool(move.fee)
        for move in fill.moves:
            rounded[move.currency] = max(rounded[move.currency], 1 + bool(move.fee))
            if self._asked.list_of(move.wallet, move.currency) in lists or self._was_asked(move, fill.at_ms):
                differences[move.currency] = EXACT.subtract(differences.get(move.currency, _ZERO), move.amount)
        for currency, amount in differences.items():
            if amount.copy_abs() <= EXACT.multiply(self._units.get(currency, _ZERO), Decimal(rounded[currency])):
                differences[currency] = _ZERO
        self._report(listed[0], differences, f"differs from {fill.subject}")

    def _report(self, trade: Trade, amounts: Mapping[str, Decimal], how: str) -> None:
        wallet = next((move.wallet for move in trade.moves or ()), None)
        for currency, amount in sorted(amounts.items(), key=itemgetter(0)):
            at_ns = trade.at_ms * NS_PER_MS
            interval = self._interval(at_ns)
            if amount and interval is not None and at_ns >= self._since_ns:
                books = self._of(wallet, currency)
                found = books.unexplained(trade.key, amount, f"{trade.subject} {how}")
                books.note(found._replace(transaction_id=trade.transaction_id, trade_id=trade.trade_id), interval)

    def _is_covered(self, at_ms: int) -> bool:
        """Whether an instant is covered, whatever the difference between two clocks."""
        numbers = {self._interval((at_ms + apart) * NS_PER_MS) for apart in (-APART_MS, APART_MS)}
        return len(numbers) == 1 and None not in numbers


def _unit(amount: Decimal) -> Decimal:
    """The unit of the last digit of an amount."""
    return _ONE.scaleb(int(amount.as_tuple().exponent))
