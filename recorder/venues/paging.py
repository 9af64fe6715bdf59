"""What the questions of several venues have in common: page after page, window after window. Pure."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence

from recorder.clock import NS_PER_MS, utc_text
from recorder.model import FillUpdate, OrderUpdate, Update
from recorder.venues.rest import Answer, Completed, MakeRequest, OrderKey, Question, Step, Unanswered

#: More pages than any list has: an exchange that sends more is repeating itself.
PAGES_MAX = 10_000

#: Asks for one list; returns whether its end was reached.
Pages = Generator[Step, Answer | None, bool]


def pages(
    subject: str,
    page: Callable[[str], MakeRequest],
    *,
    topic: str = "",
    cost: int = 1,
    cost_of_rows: Callable[[int], int] | None = None,
    take: Callable[[Sequence[Update]], object] = lambda updates: None,
    is_enough: Callable[[Sequence[Update]], bool] = lambda updates: False,
    crowd: Callable[[str, Sequence[Update]], Pages] | None = None,
    end_ms: int = 0,
) -> Pages:
    """Ask for a list page after page.

    Args:
        subject: of the questions.
        page: makes the request for the page that begins there (`Answer.next_page`); empty: the first.
        topic: of the questions.
        cost: of each question, at most.
        cost_of_rows: of each question, by the number of rows in its answer; None: always `cost`.
        take: is given the updates of each answer.
        is_enough: whether nothing behind an answer with these updates is wanted, where a list has no end in time.
        crowd: asks for all rows of one millisecond, where a page begins with a time, given as text, and has rows of
            this time only, with these updates. The list goes on a millisecond later.
        end_ms: the last millisecond of a list with `crowd`, since 1970.

    Returns:
        Whether every page that is wanted was answered.
    """
    begin, known, is_whole = "", {""}, True
    while len(known) <= PAGES_MAX:
        answer = yield Question(subject, page(begin), topic, cost, cost_of_rows)
        if answer is None:
            return False
        take(answer.updates)
        if answer.next_page is None or is_enough(answer.updates):
            return is_whole
        following = answer.next_page
        if crowd is not None and following and following == begin:
            is_whole = (yield from crowd(begin, answer.updates)) and is_whole
            if int(begin) >= end_ms:
                return is_whole
            following = str(int(begin) + 1)
        if following in known:
            yield Unanswered(subject, "its pages do not say where the next one begins")
            return False
        begin = following
        known.add(begin)
    yield Unanswered(subject, f"more than {PAGES_MAX:,} pages")
    return False


def windows(begin_ms: int, end_ms: int, length_ms: int, *, aligned: bool = False) -> Iterator[tuple[int, int]]:
    """Cut a period into windows, oldest first; both ends of each are included.

    Args:
        begin_ms: of the period, milliseconds since 1970.
        end_ms: of the period, included.
        length_ms: the longest window.
        aligned: whether windows begin at whole multiples of the length, so that a later call makes the same ones.
    """
    first_ms = begin_ms - begin_ms % length_ms if aligned else begin_ms
    for at_ms in range(first_ms, end_ms + 1, length_ms):
        yield at_ms, at_ms + length_ms - 1 if aligned else min(at_ms + length_ms - 1, end_ms)


def completed(subject: str, history: str, period: tuple[int, int], now_ms: int, *, is_past: bool) -> Completed:
    """A period of a history that was answered to its end.

    Args:
        subject: of the period.
        history: of what.
        period: its first and last millisecond since 1970.
        now_ms: milliseconds since 1970.
        is_past: whether nothing can be added to it any more. If not, because it goes on or lists lag behind, it counts
            until now, and its subject is asked about again.
    """
    begin_ms, end_ms = period
    return Completed(subject if is_past else f"{subject}, so far", history, begin_ms, min(end_ms + 1, now_ms))


class Orders:
    """The orders in the answers of a round.

    Attributes:
        are_all: whether every list was answered to its end.
        filled: the ids of the orders that fills in the answers belong to.
    """

    def __init__(self) -> None:
        #: Order id → market and symbol, of several orders where ids are unique only within a symbol.
        self._found: defaultdict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
        self.are_all = True
        self.filled: set[str] = set()

    def take(self, updates: Sequence[Update]) -> None:
        """Note the orders of an answer, and those of its fills."""
        for update in updates:
            if isinstance(update, OrderUpdate):
                self._found[update.order_id].add((update.market, update.symbol))
            elif isinstance(update, FillUpdate) and update.order_id is not None:
                self.filled.add(update.order_id)

    def has(self, order: OrderKey) -> bool:
        """Whether an order is among them: with the same market and symbol, as far as both sides name them."""
        found = self._found.get(order.order_id, ())
        return any(_agree(market, order.market) and _agree(symbol, order.symbol) for market, symbol in found)

    def symbols_of(self, market: str) -> set[str]:
        """The symbols of those orders that name this market."""
        return {symbol for found in self._found.values() for its, symbol in found if its == market and symbol}


def _agree(one: str | None, other: str | None) -> bool:
    return None in {one, other} or one == other


def day(at_ms: int) -> str:
    """The day of an instant, UTC, for subjects: `2026-11-28`."""
    return utc_text(at_ms * NS_PER_MS)[:10]
