"""Books: what an account's balances changed by, and what explains it. Pure, over streamed updates; every sum is exact.

A stretch of full coverage is reckoned by itself, from the first moment at which balance and positions are told; across
a gap nobody knows the steps. What is realized follows from the successive states of the positions, what was taken as
fees from those of the orders; a balance tells the rest (`settling.py`).

A REST answer counts only for what no push in the stretch has told of yet: it may be older than the pushes around it.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal

from recorder.read.books.differences import BalanceWatch
from recorder.read.books.matching import BALANCE, POSITION, Point, UpdateKey
from recorder.read.books.order_fees import OrderFees
from recorder.read.books.transfers import NamedTransfers
from recorder.read.books.updates import BookBalance, BookOrder, BookPosition, BookSnapshot, BookUpdate
from recorder.read.coverage.gaps import Interval
from recorder.read.records import Book, Unexplained
from recorder.venues.base import EXACT, Accounting, Holding

_ZERO = Decimal(0)
_NOTHING_HELD = Holding(_ZERO, _ZERO)


class _Currency:
    """The books of one currency in one stretch, by each reading."""

    def __init__(self, readings: int) -> None:
        self.balance: Decimal | None = None
        self.told: BookBalance | None = None
        self.fees = _ZERO
        self.fills = 0
        self.nets = [_ZERO] * readings
        self.scales = [BalanceWatch() for _ in range(readings)]

    def weigh(self, kind: str, update: BookUpdate) -> None:
        """Look at all of it after an update."""
        if self.balance is not None:
            moment = UpdateKey(*update[:4])
            for net, scale in zip(self.nets, self.scales, strict=True):
                scale.weigh(kind, Point(moment, self.balance, net, self.fees, self.fills))

    def realize(self, amounts: Sequence[Decimal]) -> None:
        """A position has realized something."""
        self.nets = [EXACT.add(net, amount) for net, amount in zip(self.nets, amounts, strict=True)]

    def take_fee(self, fee: Decimal, fills: int) -> None:
        """An execution has cost something."""
        self.fees = EXACT.add(self.fees, fee)
        self.fills += fills

    def has_begun(self, at_ns: int) -> bool:
        """Whether it is known by then what the books begin with."""
        for scale in self.scales:
            scale.wait(at_ns)
        return any(scale.begin for scale in self.scales)

    def conclude(self, until_ns: int) -> BalanceWatch:
        """The books end; returns those that leave least unexplained."""
        for scale in self.scales:
            scale.conclude(until_ns)
        return min(self.scales, key=lambda scale: (scale.size, scale.unsettled.copy_abs()))


class Books:
    """Keeps an account's books.

    Args:
        account: its name.
        accounting: its venue's.
        final_statuses: of orders.
        named: transfers that are known.
    """

    def __init__(
        self, account: str, accounting: Accounting, final_statuses: Collection[str], named: NamedTransfers
    ) -> None:
        self._account = account
        self._accounting = accounting
        self._named = named
        self._fees = OrderFees(final_statuses)
        #: Contract → what positions in it gain and lose, as its orders told.
        self._margins: dict[str, str] = {}
        self._since_ns = 0
        self._begin()

    def keep(self, updates: Iterable[BookUpdate], stretches: Sequence[Interval], since_ns: int = 0) -> Iterator[Book]:
        """Take updates; yields books as they are closed, oldest first.

        Args:
            updates: in the order of receipt; of orders also those before the first stretch.
            stretches: of full coverage, oldest first.
            since_ns: of a stretch that began before, only what came since.
        """
        self._since_ns = since_ns
        left = deque(stretch for stretch in stretches if stretch[1] >= since_ns)
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
        self._currencies: dict[str, _Currency] = {}
        self._positions: dict[str, BookPosition] = {}
        self._all_told = False

    def _take(self, update: BookUpdate) -> Iterator[Book]:
        if isinstance(update, BookOrder):
            self._take_order(update)
        elif isinstance(update, BookBalance):
            self._take_balance(update)
        elif isinstance(update, BookSnapshot):
            self._all_told = True
        else:
            yield from self._take_position(update)

    def _take_order(self, order: BookOrder) -> None:
        if order.symbol is not None and order.margin_currency is not None:
            self._margins[order.symbol] = order.margin_currency
        step = self._fees.step(order)
        currency = order.margin_currency or (None if order.symbol is None else self._margin(order.symbol))
        if step is not None and currency is not None:
            self._currency(currency).take_fee(*step)

    def _take_balance(self, told: BookBalance) -> None:
        balance = self._accounting.balance(told.available, told.frozen, told.position_margin)
        currency = self._currency(told.currency)
        if balance is None or (currency.told is not None and _is_old(told, currency.told)):
            return
        currency.told, currency.balance = told, balance
        currency.weigh(BALANCE, told)

    def _take_position(self, told: BookPosition) -> Iterator[Book]:
        if told.quantity is None or told.realized_pnl is None:
            return
        before = self._positions.get(told.symbol)
        if before is not None and _is_old(told, before):
            return
        self._positions[told.symbol] = told
        currency = self._currency(self._margin(told.symbol))
        if told.asked_ns is not None:
            return
        if before is None and not self._all_told:
            # What it realized with this push nobody can tell: the books begin anew.
            if currency.has_begun(told.received_ns):
                yield from self._book(told.received_ns, currency)
            currency.scales = [BalanceWatch() for _ in currency.scales]
            currency.weigh(POSITION, told)
            return
        held = _NOTHING_HELD if before is None else _holding(before)
        currency.realize([reading.realized(held, _holding(told)) for reading in self._accounting.readings])
        currency.weigh(POSITION, told)

    def _cut_where_due(self, at_ns: int) -> None:
        """Leave out what came before the time that is wanted."""
        if self._is_cut or at_ns < self._since_ns:
            return
        self._is_cut = True
        for currency in self._currencies.values():
            currency.conclude(self._since_ns)
            for scale in currency.scales:
                scale.cut()

    def _close(self, until_ns: int) -> Iterator[Book]:
        self._cut_where_due(until_ns)
        for _, currency in sorted(self._currencies.items()):
            yield from self._book(until_ns, currency)
        self._begin()

    def _book(self, until_ns: int, currency: _Currency) -> Iterator[Book]:
        scale = currency.conclude(until_ns)
        begin, end = scale.begin, scale.point
        if begin is None or end is None or currency.told is None:
            return
        name = currency.told.currency
        transfers = _ZERO
        changes = []
        for moment, amount in scale.lasting:
            if self._named.explains(self._account, name, amount, moment.received_ns):
                transfers = EXACT.add(transfers, amount)
            else:
                changes.append(Unexplained(self._account, name, moment.received_ns, amount, *moment[1:]))
        change = EXACT.subtract(end.balance, begin.balance)
        net = EXACT.subtract(end.net, begin.net)
        fees = EXACT.subtract(end.fees, begin.fees)
        yield Book(
            self._account,
            name,
            begin.moment.received_ns,
            end.moment.received_ns,
            begin.balance,
            end.balance,
            change,
            EXACT.add(net, fees),
            fees,
            transfers,
            EXACT.subtract(EXACT.subtract(change, net), transfers),
            scale.unsettled,
            end.fills - begin.fills,
            scale.count - (len(scale.lasting) - len(changes)),
            tuple(changes),
        )

    def _currency(self, name: str) -> _Currency:
        if name not in self._currencies:
            self._currencies[name] = _Currency(len(self._accounting.readings))
        return self._currencies[name]

    def _margin(self, symbol: str) -> str:
        return self._margins.get(symbol) or self._accounting.currency(symbol)


def _is_old(told: BookBalance | BookPosition, before: BookBalance | BookPosition) -> bool:
    """Whether an update is older than the one before it: late from another recorder, from REST, or a clock jumped."""
    if told.asked_ns is not None:
        return True
    if before.asked_ns is not None:
        return False
    if told.session_id == before.session_id:
        return (told.seq, told.item) <= (before.seq, before.item)
    if told.updated_at is None or before.updated_at is None:
        return False
    return told.updated_at < before.updated_at


def _holding(told: BookPosition) -> Holding:
    return Holding(told.quantity or _ZERO, told.realized_pnl or _ZERO)
