"""Books: those of a simulated account leave nothing unexplained; what is planted is found, and named to the frame.

What they should say is reckoned a second time from the pushed frames alone, in fractions.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recorder
from recorder.clock import NS_PER_S
from recorder.read.books.books import NamedTransfers
from recorder.read.record import ALL, Filter
from recorder.read.records import Book, Transfer
from recorder.simulator.books import Purse
from recorder.simulator.exchange import Exchange
from recorder.store.crosscheck import compare_sessions
from recorder.venues.fmex.stand_in.face import FIRST_DEPOSIT
from tests.contract.conftest import NewUrl
from tests.contract.scribe import MS, Deed, Heard, Scribe, Story
from tests.contract.test_mover import move
from tests.depth import examples, size
from tests.made import ACCOUNT, NOON_NS, quick_engine

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_each_account_has_books_of_its_own",
    "test_named_transfers_are_explained_and_the_rest_is_not",
)

D = Decimal
SYMBOLS = ("btcusd_p", "ethusd_p")
#: Room for a first level to be found, and for what is cut at the end.
BEGIN, END = 60, 10


class Desk:
    """Recorders with files of their own, and the database that all are merged into."""

    def __init__(self, folder: Path, template: Path, new_url: NewUrl) -> None:
        self._folder = folder
        self._template = template
        self._new_url = new_url
        self._urls: dict[tuple[tuple[int, ...], bool], str] = {}
        self.scribes: list[Scribe] = []

    def scribe(self, late_ns: int = 0) -> Scribe:
        """One more recorder."""
        number = len(self.scribes) + 1
        self.scribes.append(Scribe(self._folder / f"{number}.db", self._template, number, late_ns))
        return self.scribes[-1]

    def books(
        self,
        wanted: Filter = ALL,
        named: NamedTransfers | None = None,
        order: Sequence[int] = (),
        compare: bool = False,
    ) -> list[Book]:
        """Merge all into a database, in an order that is theirs unless given, and keep the books there."""
        with recorder.open(self._merged(tuple(order or range(len(self.scribes))), compare)) as record:
            return list(record.books(wanted, named))

    def _merged(self, order: tuple[int, ...], compare: bool) -> str:
        """One database for each order: they are dear."""
        if (order, compare) not in self._urls:
            url = self._urls[order, compare] = self._new_url()
            engine = quick_engine(url)
            for number in order:
                move(self.scribes[number].engine, engine)
            if compare:
                list(compare_sessions(engine))
            engine.dispose()
        return self._urls[order, compare]

    def close(self) -> None:
        """Let go."""
        for scribe in self.scribes:
            scribe.engine.dispose()


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path, new_url: NewUrl) -> Iterator[Desk]:
    desk = Desk(tmp_path, sqlite_template, new_url)
    yield desk
    desk.close()


class State(NamedTuple):
    """An account after a push, in units of 1E-18."""

    balance: int
    fees: int
    net: int


def units(amount: Decimal | str) -> int:
    """Whole units; there is no smaller amount."""
    scaled = D(amount).scaleb(18)
    assert scaled == int(scaled)
    return int(scaled)


@cache
def states(story: Story) -> list[State]:
    """An account before the first push, and after each, by another hand."""
    found = [State(units(FIRST_DEPOSIT), 0, 0)]
    last: dict[tuple[str, Any], int] = {}
    for payload in story.payloads:
        push = json.loads(payload, parse_float=str)
        balance, fees, net = found[-1]
        if "account" in push:
            balance = sum(units(push["account"][name]) for name in ("available", "frozen", "position"))
        elif "order" in push:
            thing, told = ("order", push["order"]["id"]), units(push["order"]["fee"])
            fees += told - last.get(thing, 0)
            last[thing] = told
        else:
            thing, told = ("position", push["position"]["symbol"]), units(push["position"]["realized_pnl"])
            net += told - last.get(thing, 0)
            last[thing] = told
        found.append(State(balance, fees, net))
    return found


def check(book: Book, story: Story, *, fees_are_known: bool = True) -> None:
    """Whether the books are what the pushes between their two ends tell."""
    begin, end = (states(story)[number + 1] for number in numbers(book, story))
    assert (units(book.begin_balance), units(book.end_balance)) == (begin.balance, end.balance)
    assert units(book.change) == end.balance - begin.balance
    assert units(book.realized_pnl) - units(book.fees) == end.net - begin.net
    if fees_are_known:
        assert units(book.fees) == end.fees - begin.fees
    assert book.change == book.realized_pnl - book.fees + book.transfers + book.unexplained


def numbers(book: Book, story: Story) -> tuple[int, int]:
    """The pushes between which books were kept."""
    return story.number_at(book.begins_ns), story.number_at(book.ends_ns)


def assert_nothing_unexplained(books: Sequence[Book]) -> None:
    assert books
    assert [book for book in books if book.unexplained or book.found or book.changes] == []


def test_tens_of_thousands_of_pushes_leave_nothing(desk: Desk) -> None:
    pushes = size(40_000)
    story = Story(11, pushes)
    desk.scribe().write(story, Heard(0, pushes, asked=0, end="stopped"))
    (book,) = desk.books()
    assert_nothing_unexplained([book])
    check(book, story)
    first, last = numbers(book, story)
    assert first < BEGIN
    assert last >= pushes - END
    assert book.fills > pushes / 8
    assert book.realized_pnl != 0 != book.fees


def test_each_stretch_between_gaps_has_its_books(desk: Desk) -> None:
    n = size(1_000)
    story = Story(12, 12 * n, SYMBOLS, asked=(3 * n, 6 * n + 40))
    # With gaps of a thousand pushes, of one, and of none; a crash; and a session that goes on.
    heard = [
        Heard(0, 2 * n),
        Heard(3 * n, 6 * n, asked=3 * n),
        Heard(6 * n + 1, 9 * n, asked=6 * n + 40, end="stopped"),
        Heard(9 * n, 12 * n, end=None),
    ]
    desk.scribe().write(story, *heard)
    books = desk.books()
    assert_nothing_unexplained(books)
    for book in books:
        check(book, story)
    for session in heard:
        # Where a symbol is told of before REST has answered, the books begin anew.
        first_ns, last_ns = story.before(session.first), story.at_ns(session.last)
        its = [book for book in books if first_ns <= book.begins_ns < last_ns]
        assert story.number_at(its[0].begins_ns) < session.first + BEGIN
        assert story.number_at(its[-1].begins_ns) < session.first + 2 * BEGIN
        assert session.last - END <= story.number_at(its[-1].ends_ns) < session.last


def test_a_session_of_a_few_frames_has_books_too(desk: Desk) -> None:
    story = Story(13, 1_000, asked=(500,))
    desk.scribe().write(story, Heard(500, 503, asked=500), Heard(600, 601))
    assert_nothing_unexplained(desk.books())


def test_what_an_account_owned_all_the_time(desk: Desk) -> None:
    # Nothing but the answers: an account that does not trade.
    story = Story(13, 501, asked=(500,), step_ns=NS_PER_S)
    desk.scribe().write(story, Heard(500, 501, asked=500))
    (book,) = desk.books()
    assert units(book.end_balance) == states(story)[500].balance
    assert book.change == book.unexplained == book.unsettled == 0


def test_each_account_has_books_of_its_own(desk: Desk) -> None:
    stories = {"main": (ACCOUNT, Story(14, 3_000)), "other": (ACCOUNT + 1, Story(15, 3_000, SYMBOLS, asked=(0,)))}
    scribe = desk.scribe()
    for name, (account_id, story) in stories.items():
        scribe.write(story, Heard(0, 3_000, asked=0), account_id=account_id, name=name)
    books = desk.books()
    assert_nothing_unexplained(books)
    assert [book.account for book in books] == ["main", "other"]
    for book in books:
        check(book, stories[book.account][1])
    assert desk.books(Filter(account="other")) == books[1:]
    assert desk.books(Filter(account="nobody")) == []


def test_months_sum_up_to_the_year(desk: Desk) -> None:
    story = Story(16, 4_500, deeds={1_500: lambda exchange: exchange.transfer(D(3))})
    desk.scribe().write(story, Heard(0, 4_500, asked=0))
    (year,) = desk.books()
    edges = [None, *(NOON_NS + number * MS for number in (1_111, 2_222, 3_333)), None]
    months = [
        book
        for since_ns, until_ns in pairwise(edges)
        for book in desk.books(Filter(since_ns=since_ns, until_ns=until_ns))
    ]
    assert len(months) == len(edges) - 1
    for month in months:
        check(month, story)
    for field in ("change", "realized_pnl", "fees", "transfers", "unexplained", "fills", "found"):
        assert sum(getattr(month, field) for month in months) == getattr(year, field)
    assert [(month.end_balance, month.ends_ns) for month in months[:-1]] == [
        (month.begin_balance, month.begins_ns) for month in months[1:]
    ]
    assert [month.unexplained for month in months] == [0, 3, 0, 0]
    assert desk.books(Filter(since_ns=story.at_ns(5_000))) == []
    assert desk.books(Filter(until_ns=story.at_ns(-10))) == []


# Several recorders.


@pytest.mark.parametrize(
    "late_ns",
    [
        0,
        7 * MS,
        pytest.param(-350 * MS, marks=pytest.mark.long),
        pytest.param(20 * NS_PER_S, marks=pytest.mark.long),
    ],
)
def test_two_recorders_are_one_record(desk: Desk, late_ns: int) -> None:
    n = size(400)
    story = Story(17, 12 * n, SYMBOLS, asked=(0, 4 * n, 7 * n))
    desk.scribe().write(
        story, Heard(0, 3 * n, asked=0), Heard(4 * n, 6 * n, asked=4 * n), Heard(6 * n + n // 8, 12 * n)
    )
    desk.scribe(late_ns).write(story, Heard(2 * n, 5 * n), Heard(7 * n, 11 * n, asked=7 * n, end="stopped"))
    books = desk.books()
    assert_nothing_unexplained(books)
    if not late_ns:
        for book in books:
            check(book, story)
        assert max(last - first for first, last in (numbers(book, story) for book in books)) > 5 * n
    assert desk.books(order=(1, 0)) == books
    assert desk.books(order=(1, 0, 1), compare=True) == books


PUSHES = 700
listened = st.tuples(st.integers(0, 650), st.integers(1, 500), st.booleans()).map(
    lambda drawn: Heard(drawn[0], min(sum(drawn[:2]), PUSHES), drawn[0] if drawn[2] else None)
)
STORY = Story(18, PUSHES, SYMBOLS, asked=range(PUSHES))


@settings(max_examples=examples(20))
@given(heard=st.lists(listened, min_size=1, max_size=3), planted=st.booleans())
def test_whatever_recorders_heard_the_order_of_merging_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    heard: list[Heard],
    planted: bool,
) -> None:
    # A file: a server's databases are dear, and that it gives the same rows is proved elsewhere.
    folder = tmp_path_factory.mktemp("desk")
    urls = (f"sqlite:///{shutil.copy(sqlite_template, folder / f'whole-{number}.db')}" for number in count())
    desk = Desk(folder, sqlite_template, lambda: next(urls))
    story = PLANTED if planted else STORY
    for session in heard:
        desk.scribe().write(story, session)
    books = desk.books()
    assert desk.books(order=range(len(heard))[::-1]) == books
    for book in books:
        check(book, story, fees_are_known=all(session.asked is not None for session in heard))
        first, last = numbers(book, story)
        paid_in = planted and first < PAID_IN - 100 and last > PAID_IN + 100
        if not planted or paid_in or last < PAID_IN - 100 or first > PAID_IN + 100:
            assert [change.amount for change in book.changes] == [D(5)] * paid_in
            assert book.unexplained == 5 * paid_in
    desk.close()


# What is planted is found.


def fees_twice(on: bool) -> Deed:
    return lambda exchange: setattr(exchange.engine.books, "fees_twice", on)


def leak(amount: str) -> Deed:
    return lambda exchange: setattr(exchange.engine.books, "leak", D(amount))


def misstatement(amount: str) -> Deed:
    return lambda exchange: setattr(exchange, "misstatement", D(amount))


def transfer(amount: str) -> Deed:
    return lambda exchange: exchange.transfer(D(amount))


PAID_IN = 350
PLANTED = Story(18, PUSHES, SYMBOLS, asked=range(PUSHES), deeds={PAID_IN: transfer("5")})


class Once:
    """Until the first execution that it applies to, and never again."""

    def __init__(self, name: str, value: bool | Decimal) -> None:
        self._name = name
        self._value = value

    def __call__(self, exchange: Exchange) -> None:
        books = exchange.engine.books
        setattr(books, self._name, self._value)
        embezzle: Callable[[Purse, Decimal], None] = books._embezzle

        def once(purse: Purse, fee: Decimal) -> None:
            embezzle(purse, fee)
            if purse.embezzled:
                setattr(books, self._name, type(self._value)(0))

        books._embezzle = once  # type: ignore[method-assign]


#: What is done → what that leaves unexplained, where it can be told beforehand.
DEEDS: dict[str, tuple[Deed, str | None]] = {
    "a deposit": (transfer("5.000000000000000001"), "5.000000000000000001"),
    "a withdrawal": (transfer("-0.000000000000000001"), "-1E-18"),
    "a fee taken twice": (Once("fees_twice", True), None),
    "the last digit lost": (Once("leak", D("1E-18")), "-1E-18"),
    "a coin lost": (Once("leak", D(1)), "-1"),
    "a gain told that was none": (misstatement("0.001"), "-0.001"),
    "a loss told that was none": (misstatement("-1E-18"), "1E-18"),
}


#: Pushes of each account that something is done to in the middle.
PLANTED_IN = size(4_000)


class Planted(NamedTuple):
    """An account that something is done to, and what it would have been pushed without."""

    story: Story
    untouched: Story


@pytest.fixture(scope="module")
def planted(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, new_url: NewUrl
) -> tuple[dict[str, Planted], list[Book]]:
    """Accounts that something was done to, each by its name, and the books of all."""
    desk = Desk(tmp_path_factory.mktemp("planted"), sqlite_template, new_url)
    scribe = desk.scribe()
    accounts = {}
    for seed, symbols in ((21, SYMBOLS[:1]), (22, SYMBOLS)):
        untouched = Story(seed, PLANTED_IN, symbols)
        for name, (do, _) in DEEDS.items():
            story = Story(seed, PLANTED_IN, symbols, deeds={PLANTED_IN // 2: do})
            accounts[f"{name}, {len(symbols)}"] = Planted(story, untouched)
    for number, (name, account) in enumerate(accounts.items()):
        scribe.write(account.story, Heard(0, PLANTED_IN, asked=0), account_id=ACCOUNT + number, name=name)
    books = desk.books()
    desk.close()
    return accounts, books


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("symbols", [1, 2])
def test_what_is_planted_is_found_and_named(
    planted: tuple[dict[str, Planted], list[Book]], deed: str, symbols: int
) -> None:
    accounts, books = planted
    story, untouched = accounts[f"{deed}, {symbols}"]
    (book,) = (book for book in books if book.account == f"{deed}, {symbols}")
    check(book, story)
    change = book.changes[0]
    # Each position tells its own gain wrong.
    assert book.found == len(book.changes) == (symbols if "told" in deed else 1)
    assert change.amount * book.found == book.unexplained != 0
    amount = DEEDS[deed][1]
    if amount is not None:
        assert change.amount == D(amount)
    # The first balance that differs from what it was without the deed; of a position, the balance that belongs to it.
    differing = (number for number in range(PLANTED_IN) if story.payloads[number] != untouched.payloads[number])
    first = next(differing)
    named = next(number for number in range(first, PLANTED_IN) if b'{"type":"account"' in story.payloads[number])
    assert (change.seq, change.received_ns) == (named + 1, story.at_ns(named))


def test_every_fee_taken_twice_is_named(desk: Desk) -> None:
    story = Story(23, 4_000, deeds={1_000: fees_twice(True), 3_000: fees_twice(False)})
    desk.scribe().write(story, Heard(0, 4_000, asked=0))
    (book,) = desk.books()
    check(book, story)
    # How much each one is can only be told where no two are alike; the sum, and where they are, can.
    executed = [number for number in range(1_000, 3_030) if b'{"type":"position' in story.payloads[number]]
    named = [change.seq - 1 for change in book.changes]
    assert {number - 1 for number in named} <= set(executed)
    assert book.found == len(named) > len(executed) * 0.9
    assert sum(change.amount for change in book.changes) == book.unexplained
    taken = book.begin_balance - book.end_balance + book.realized_pnl - book.fees
    assert -taken == book.unexplained


def test_a_leak_across_gaps_is_found_on_both_sides(desk: Desk) -> None:
    story = Story(24, 6_000, deeds={1_000: leak("1E-18"), 5_000: leak("0")}, asked=(0, 3_100))
    desk.scribe().write(story, Heard(0, 3_000, asked=0), Heard(3_100, 6_000, asked=3_100))
    one, other = desk.books()
    for book in (one, other):
        check(book, story)
        assert book.unexplained == -book.found * D("1E-18")
        assert {change.amount for change in book.changes} == {D("-1E-18")}
    assert one.found + other.found > 400


def test_a_wrong_that_is_put_right_is_two_findings(desk: Desk) -> None:
    story = Story(25, 4_000, deeds={1_000: misstatement("1E-18"), 2_000: misstatement("0")})
    desk.scribe().write(story, Heard(0, 4_000, asked=0))
    (book,) = desk.books()
    assert book.unexplained == 0
    assert (book.found, [change.amount for change in book.changes]) == (2, [D("-1E-18"), D("1E-18")])


def test_what_happens_in_a_gap_is_no_finding(desk: Desk) -> None:
    story = Story(26, 4_000, deeds={2_000: transfer("5")}, asked=(0, 2_050))
    desk.scribe().write(story, Heard(0, 1_950, asked=0), Heard(2_050, 4_000, asked=2_050))
    assert_nothing_unexplained(desk.books())


@pytest.mark.parametrize("after", [0, 8])
def test_a_deposit_in_a_quiet_account(desk: Desk, after: int) -> None:
    # Nobody trades around it, and it may be the last that is pushed.
    story = Story(27, 300, deeds={200: transfer("5")})
    at = next(
        number for number in range(200, 300) if states(story)[number + 1].balance - states(story)[number].balance > 4
    )
    story = Story(27, 300, deeds={200: transfer("5")}, pauses={at: 60 * NS_PER_S, at + 1: 60 * NS_PER_S})
    desk.scribe().write(story, Heard(0, at + 1 + after, asked=0, quiet_ns=60 * NS_PER_S))
    (book,) = desk.books()
    check(book, story)
    assert [(change.amount, change.received_ns) for change in book.changes] == [(D(5), story.at_ns(at))]


@pytest.mark.parametrize("quiet_ns", [0, NS_PER_S])
def test_a_deposit_right_before_the_end_is_unsettled(desk: Desk, quiet_ns: int) -> None:
    story = Story(27, 300, deeds={200: transfer("5")})
    at = next(
        number for number in range(200, 300) if states(story)[number + 1].balance - states(story)[number].balance > 4
    )
    desk.scribe().write(story, Heard(0, at + 1, asked=0, quiet_ns=quiet_ns))
    (book,) = desk.books()
    check(book, story)
    assert (book.unsettled, book.found) == (D(5), 0)


def test_named_transfers_are_explained_and_the_rest_is_not(desk: Desk) -> None:
    deeds = {1_000: transfer("5"), 1_001: transfer("0.25"), 2_000: transfer("-1.5"), 3_000: leak("1E-18")}
    story = Story(28, 4_000, deeds=deeds)
    desk.scribe().write(story, Heard(0, 4_000, asked=0))
    named = NamedTransfers(
        [
            Transfer("main", "BTC", NOON_NS - 3600 * NS_PER_S, D("-1.5")),
            Transfer("main", "BTC", NOON_NS, D("5.000")),
            Transfer("main", "BTC", NOON_NS, D("0.25")),
            Transfer("main", "BTC", NOON_NS, D("7")),
        ]
    )
    (book,) = desk.books(named=named)
    assert book.transfers == D("3.75")
    assert book.unexplained == -book.found * D("1E-18")
    assert book.found > 100
    assert [transfer.amount for transfer in named.left] == [D(7)]


# What the exchange leaves open.


def begun_anew(story: Story) -> Story:
    """The same pushes from an exchange where what a position realized begins anew when it is opened."""
    told = Story(0, 0)
    told.__dict__ |= story.__dict__
    payloads = []
    since: dict[str, Decimal] = {}
    held: dict[str, dict[str, Any]] = {}
    for payload in story.payloads:
        push = json.loads(payload, parse_float=Decimal)
        position = push.get("position")
        if position is not None:
            symbol, realized = position["symbol"], D(position["realized_pnl"])
            before = held.get(symbol, {"quantity": 0, "realized_pnl": D(0)})
            if before["quantity"] == 0:
                since[symbol] = D(before["realized_pnl"])
            held[symbol] = position
            told_pnl = f'"realized_pnl":{realized - since.get(symbol, D(0))},'
            payloads.append(payload.replace(f'"realized_pnl":{position["realized_pnl"]},'.encode(), told_pnl.encode()))
        else:
            payloads.append(payload)
    told.payloads = payloads
    return told


def test_both_readings_of_what_a_position_realized_leave_nothing(desk: Desk) -> None:
    pushes = size(8_000)
    story = Story(29, pushes, SYMBOLS)
    anew = begun_anew(story)
    assert sum(one != other for one, other in zip(story.payloads, anew.payloads, strict=True)) > pushes / 16
    scribe = desk.scribe()
    scribe.write(story, Heard(0, pushes, asked=0))
    scribe.write(anew, Heard(0, pushes, asked=0), account_id=ACCOUNT + 1, name="other")
    ever, opened = desk.books()
    assert_nothing_unexplained([ever, opened])
    assert ever[1:-2] == opened[1:-2]


def test_what_belongs_together_may_come_in_any_order(desk: Desk) -> None:
    pushes = size(8_000)
    story = Story(30, pushes)
    keyed = sorted(range(pushes), key=lambda number: number + (number * 7_919 % 13) / 2)
    shuffled = Story(0, 0)
    shuffled.__dict__ |= story.__dict__
    shuffled.payloads = [story.payloads[number] for number in keyed]
    assert shuffled.payloads != story.payloads
    desk.scribe().write(shuffled, Heard(0, pushes, asked=0))
    assert_nothing_unexplained(desk.books())
