"""The books of one currency in one wallet of a venue with a ledger: every state of the balance has to follow.

A *point* is the sum of all entries up to one. A state agrees if its balance is the first one plus the sum at a point
within `APART_MS` of its time: nothing says in which order an entry and a state of nearly the same time belong. A
balance that an entry has after it (`balance_after`) is a state of exactly that point.

A state that does not agree is in doubt until the next one. If that agrees again, the doubtful balance alone is wrong.
If not, what is between the last state that agreed and the doubtful one does not add up. Then the difference takes a
place of its own among the entries, so that it counts once.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_MS
from recorder.read.books.differences import APART_NS, FOUND_MAX, UpdateKey
from recorder.read.books.sums import Entry, State, Sums
from recorder.read.intervals import Interval
from recorder.read.records import Book, Unexplained
from recorder.venues.accounting import EXACT

APART_MS = APART_NS // NS_PER_MS
#: Points held in memory before those that can no longer be needed are dropped.
_POINTS_MAX = 2_000
_ZERO = Decimal(0)
_ROUNDING = Context(prec=500, rounding=ROUND_HALF_EVEN)


class _Point:
    """The sum of all entries up to one."""

    __slots__ = ("at_ms", "entry", "sums", "total")

    def __init__(self, at_ms: int, total: Decimal, sums: Sums, entry: Entry | None) -> None:
        self.at_ms = at_ms
        self.total = total
        self.sums = sums
        self.entry = entry


class _Seen(NamedTuple):
    """A balance to be compared."""

    at_ms: int
    balance: Decimal
    key: UpdateKey
    #: The number of its interval of full coverage.
    interval: int
    #: When it counts for the wanted time, ns since 1970.
    at_ns: int
    #: Of a `balance_after`: its entry's.
    point: _Point | None


class _Doubt(NamedTuple):
    """A balance that does not agree: by how much, at each point where it may belong; the likeliest first."""

    seen: _Seen
    differences: dict[Decimal, _Point]

    @property
    def amount(self) -> Decimal:
        """By how much, most likely."""
        return next(iter(self.differences))


class _Findings:
    """What contradicts the ledger: how much of it, and the first."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Unexplained] = []

    def add(self, found: Unexplained) -> None:
        self.count += 1
        if len(self.first) < FOUND_MAX:
            self.first.append(found)


class WalletBooks:
    """Keeps the books of one currency in one wallet.

    Args:
        account: its name.
        wallet: its name; None if the venue has only one.
        currency: of the balance.
        decimals: to which amounts are rounded; None: they are exact.
        asked_ms: until when the ledger was asked; a later balance cannot be explained yet. None: it is pushed.
        intervals: of full coverage, oldest first.
        since_ns: the books of an interval that began before begin then.
        explains: whether a transfer that somebody noted explains a change.
    """

    def __init__(
        self,
        account: str,
        wallet: str | None,
        currency: str,
        decimals: int | None,
        asked_ms: int | None,
        intervals: Sequence[Interval],
        since_ns: int,
        explains: Callable[[str, str, Decimal, int], bool],
    ) -> None:
        self._names = account, wallet or "", currency
        self._unit = None if decimals is None else Decimal(1).scaleb(-decimals)
        self._asked_ms = asked_ms
        self._intervals = intervals
        self._since_ns = since_ns
        self._explains = explains
        self._points = [_Point(-(2**63), _ZERO, Sums(), None)]
        self._waiting: deque[_Seen] = deque()
        self._interval = -1
        #: By interval, what contradicts the ledger beside the balance. It may be found before the first balance is
        #: compared, and counts even if there is none.
        self._noted: dict[int, _Findings] = {}
        self._forget()

    def _forget(self) -> None:
        #: Balance less the sum at its point → the sums there: several, while the first state may belong to several.
        self._bases: dict[Decimal, Sums] = {}
        self._begin: _Seen | None = None
        self._end: tuple[_Seen, _Point] | None = None
        self._doubt: _Doubt | None = None
        self._unsettled = _ZERO
        self._transfers = _ZERO
        self._is_cut = False
        self._changes = _Findings()

    def add(self, entry: Entry, interval: int | None) -> None:
        """Add an entry, in the order of time.

        Args:
            entry: whose wallet and currency these are.
            interval: the one it happened in; None: it was not covered.
        """
        entry = entry._replace(amount=self._rounded(entry.amount), fee=self._rounded(entry.fee))
        last = self._points[-1]
        point = _Point(entry.at_ms, EXACT.add(last.total, entry.amount), last.sums.plus(entry), entry)
        self._points.append(point)
        if not self._waiting:
            self._drop(entry.at_ms)
        if entry.balance_after is not None and interval is not None:
            balance, at_ns = self._rounded(entry.balance_after), entry.at_ms * NS_PER_MS
            self._waiting.append(_Seen(entry.at_ms, balance, entry.key, interval, at_ns, point))

    def see(self, state: State, interval: int) -> None:
        """Add a state, in the order of time."""
        balance = self._rounded(state.balance)
        self._waiting.append(_Seen(state.at_ms, balance, state.key, interval, state.key.received_ns, None))

    def advance(self, at_ms: int) -> Iterator[Book]:
        """Compare what no later entry can concern; yields the books of an interval that is over.

        Args:
            at_ms: the time of what comes next.
        """
        while self._waiting and self._waiting[0].at_ms + APART_MS < at_ms:
            seen = self._waiting.popleft()
            if seen.interval > self._interval:
                yield from self.close(seen.interval)
                self._interval = seen.interval
            if seen.interval == self._interval:
                self._cut_where_due(seen)
                self._compare(seen)
            self._drop(seen.at_ms)

    def close(self, until: int | None = None) -> Iterator[Book]:
        """End the books of the present interval.

        Args:
            until: the number of the next interval with a balance; None: there is none.
        """
        if self._interval >= 0:
            self._conclude(self._intervals[self._interval][1])
        if self._doubt is not None:
            self._unsettled = self._doubt.amount
        if self._begin is not None and self._end is not None:
            yield self._book(self._begin, *self._end)
        for interval in sorted(self._noted):
            if until is None or interval < until:
                yield self._without_balance(interval)
        self._forget()

    def note(self, found: Unexplained, interval: int) -> None:
        """Add something within an interval that contradicts the ledger, beside the balance."""
        self._noted.setdefault(interval, _Findings()).add(found)

    def unexplained(self, key: UpdateKey, amount: Decimal, cause: str, of: Entry | None = None) -> Unexplained:
        """A change of this balance that nothing explains."""
        account, wallet, currency = self._names
        ids = (None, None) if of is None else (of.transaction_id, of.trade_id)
        return Unexplained(account, currency, key.received_ns, amount, *key[1:], wallet, cause, *ids)

    def _rounded(self, amount: Decimal) -> Decimal:
        return amount if self._unit is None else amount.quantize(self._unit, context=_ROUNDING)

    def _cut_where_due(self, seen: _Seen) -> None:
        """Begin anew with the last balance before the wanted time that agreed, so that months add up to the year."""
        if self._is_cut or seen.at_ns < self._since_ns:
            return
        self._is_cut = True
        self._conclude(self._since_ns)
        if self._end is not None:
            self._begin, point = self._end
            self._bases = {next(iter(self._bases)): point.sums}
            self._changes, self._transfers = _Findings(), _ZERO

    def _conclude(self, until_ns: int) -> None:
        """Settle a doubt that lasted: right before an end, what explains a balance may not have arrived."""
        doubt = self._doubt
        if doubt is not None and (doubt.seen.point or (doubt.seen.at_ms + APART_MS) * NS_PER_MS <= until_ns):
            self._settle(doubt, doubt.amount)
            self._compare(doubt.seen)

    def _places(self, seen: _Seen) -> Iterator[_Point]:
        """The points at which a balance may belong, the nearest first."""
        if seen.point is not None:
            yield seen.point
            return
        points = self._points
        low = bisect_right(points, seen.at_ms, key=lambda point: point.at_ms) - 1
        high = low + 1
        while True:
            goes_down = low >= 0 and (low + 1 == high or points[low + 1].at_ms >= seen.at_ms - APART_MS)
            if goes_down:
                yield points[low]
                low -= 1
            goes_up = high < len(points) and points[high].at_ms <= seen.at_ms + APART_MS
            if goes_up:
                yield points[high]
                high += 1
            if not goes_down and not goes_up:
                return

    def _compare(self, seen: _Seen) -> None:
        if not self._bases:
            for point in self._places(seen):
                self._bases.setdefault(EXACT.subtract(seen.balance, point.total), point.sums)
            self._begin = seen
            self._end = seen, next(self._places(seen))
        elif (agreed := self._agreed(seen)) is not None:
            if self._doubt is not None:
                self._report_alone(self._doubt)
            self._doubt, self._unsettled, self._end = None, _ZERO, (seen, agreed)
        elif self._doubt is not None:
            here, doubt = self._differences(seen), self._doubt
            self._settle(doubt, next((amount for amount in doubt.differences if amount in here), doubt.amount))
            self._compare(doubt.seen)
            self._compare(seen)
        elif seen.point is None and self._asked_ms is not None and seen.at_ms + APART_MS > self._asked_ms:
            self._unsettled = next(iter(self._differences(seen)))
        else:
            self._doubt = _Doubt(seen, self._differences(seen))

    def _agreed(self, seen: _Seen) -> _Point | None:
        """The point at which a balance agrees; None: at none."""
        if len(self._bases) == 1:
            (base,) = self._bases
            return next((p for p in self._places(seen) if EXACT.subtract(seen.balance, p.total) == base), None)
        found: dict[Decimal, _Point] = {}
        for point in self._places(seen):
            found.setdefault(EXACT.subtract(seen.balance, point.total), point)
        left = {base: sums for base, sums in self._bases.items() if base in found}
        self._bases = left or self._bases
        return found[next(iter(left))] if left else None

    def _differences(self, seen: _Seen) -> dict[Decimal, _Point]:
        expected = next(iter(self._bases))
        found: dict[Decimal, _Point] = {}
        for point in self._places(seen):
            found.setdefault(EXACT.subtract(EXACT.subtract(seen.balance, point.total), expected), point)
        return found

    def _settle(self, doubt: _Doubt, amount: Decimal) -> None:
        """Take a difference for a change of the balance, right before the doubtful state."""
        self._doubt = None
        self._bases = dict([next(iter(self._bases.items()))])
        seen, after = doubt.seen, doubt.differences[amount]
        self._report(seen, after, amount)
        index = self._points.index(after) + (seen.point is None)
        before = self._points[index - 1]
        self._points.insert(index, _Point(before.at_ms, before.total, before.sums, None))
        for point in self._points[index:]:
            point.total = EXACT.add(point.total, amount)

    def _report(self, seen: _Seen, place: _Point, amount: Decimal) -> None:
        account, _, currency = self._names
        if self._explains(account, currency, amount, seen.at_ns):
            self._transfers = EXACT.add(self._transfers, amount)
            return
        entry = place.entry if seen.point is not None else None
        if entry is not None:
            cause = (
                f"the balance did not change by {entry.subject}"
                if entry.amount == EXACT.minus(amount)
                else f"a transaction before {entry.subject} is missing, or its amount is wrong"
            )
        else:
            entry, cause = self._suspect(seen, place, amount)
        self._changes.add(self.unexplained(seen.key, amount, cause, entry))

    def _suspect(self, seen: _Seen, place: _Point, amount: Decimal) -> tuple[Entry | None, str]:
        """The entry that may have caused a difference, and how."""
        begins_ms = seen.at_ms if self._end is None else self._end[0].at_ms
        near = [
            point.entry
            for point in self._points
            if point.entry and begins_ms - APART_MS <= point.at_ms <= seen.at_ms + APART_MS
        ]
        surplus = next((entry for entry in near if entry.amount == EXACT.minus(amount)), None)
        if surplus is not None:
            return surplus, f"the balance did not change by {surplus.subject}"
        since = [point for point in self._points[: self._points.index(place) + 1] if point.at_ms > begins_ms]
        if len(since) == 1 and since[0].entry is not None:
            return since[0].entry, f"something is missing, or the amount of {since[0].entry.subject} is wrong"
        return None, "no transaction or fill explains it"

    def _report_alone(self, doubt: _Doubt) -> None:
        entry = None if doubt.seen.point is None else doubt.seen.point.entry
        cause = "this balance alone differs; the next one agrees"
        if entry is not None:
            cause = f"balance_after of {entry.subject} alone differs; the next one agrees"
        self._changes.add(self.unexplained(doubt.seen.key, doubt.amount, cause, entry))

    def _drop(self, at_ms: int) -> None:
        """Drop the points to which no later balance can belong."""
        if self._doubt is None and len(self._points) > _POINTS_MAX:
            first = bisect_right(self._points, at_ms - 2 * APART_MS, key=lambda point: point.at_ms) - 1
            del self._points[: max(first, 0)]

    def _book(self, begin: _Seen, end: _Seen, point: _Point) -> Book:
        account, wallet, currency = self._names
        noted = self._noted.pop(self._interval, _Findings())
        changes = sorted((*self._changes.first, *noted.first), key=lambda one: one.received_ns)
        sums = point.sums.since(next(iter(self._bases.values())))
        change = EXACT.subtract(end.balance, begin.balance)
        transfers = EXACT.add(sums.transfers, self._transfers)
        left = EXACT.subtract(EXACT.add(change, sums.fees), sums.trades)
        for amount in (sums.funding, transfers, sums.other):
            left = EXACT.subtract(left, amount)
        return Book(
            account,
            currency,
            begin.at_ns,
            end.at_ns,
            begin.balance,
            end.balance,
            change,
            sums.trades,
            sums.fees,
            transfers,
            left,
            self._unsettled,
            sums.fills,
            self._changes.count + noted.count,
            tuple(changes[:FOUND_MAX]),
            wallet,
            sums.funding,
            sums.other,
        )

    def _without_balance(self, interval: int) -> Book:
        """What was found in an interval in which no balance was seen: it counts as 0."""
        account, wallet, currency = self._names
        noted, (begins_ns, ends_ns) = self._noted.pop(interval), self._intervals[interval]
        return Book(
            account,
            currency,
            begins_ns,
            ends_ns,
            begin_balance=_ZERO,
            end_balance=_ZERO,
            change=_ZERO,
            realized_pnl=_ZERO,
            fees=_ZERO,
            transfers=_ZERO,
            unexplained=_ZERO,
            unsettled=_ZERO,
            fills=0,
            found=noted.count,
            changes=tuple(noted.first),
            wallet=wallet,
        )
