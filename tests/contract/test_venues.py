"""One contract for every venue: what its stand-in says of a simulated account is decoded, and says what happened."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

import recorder
from recorder.live.channel import Recorded
from recorder.model import (
    DECODED,
    MAKER,
    NEW,
    PENDING,
    PUSH,
    REST,
    TAKER,
    AccountUpdate,
    Decoded,
    Digits,
    FillUpdate,
    Frame,
    OrderUpdate,
    PositionUpdate,
    Transaction,
    Update,
)
from recorder.read.projector import project_all
from recorder.read.sums import BY_ALL, Calendar
from recorder.simulator.exchange import Exchange
from recorder.simulator.options import START_MS
from recorder.store.entries import RunStarted
from recorder.store.journal import Batch
from recorder.store.seals import BEGINNING
from recorder.venues import VENUES, venue_named
from recorder.venues.face import Face, Push
from recorder.venues.reading import read_answer, read_frame, read_plain
from recorder.venues.rest import Credentials, Forgotten, Known, Login, Purpose, Question
from recorder.venues.simulated import (
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
)
from recorder.venues.stand_in import Backend, Reply, Request
from recorder.venues.view import SentState, Span
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, new_database
from tests.steps import steps

PUSHES = 3_000


class Case(NamedTuple):
    """An account at a venue."""

    venue: str
    #: What it trades; none: what the stand-in chooses.
    symbols: tuple[str, ...] = ()
    environment: str = ""
    #: Whether fills say what they earned, the ledger what each entry was for, and REST what is pushed.
    is_documented: bool = True
    #: Currency → to how many decimals the venue rounds its balances; of others it has all digits.
    decimals: Mapping[str, int] = {}

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.venue} {self.environment}".rstrip()

    def kept(self, balance: Decimal, currency: str) -> Decimal:
        """A balance as the venue rounds it."""
        return round(balance, self.decimals[currency]) if currency in self.decimals else balance


_SPOT = Case("kraken", decimals={"EUR": 4, "USD": 4})
_SYMBOLS = ("BTC/USD", "PF_XBTUSD", "PF_ETHUSD")
_KRAKEN = _SPOT._replace(symbols=_SYMBOLS, environment="derivatives", is_documented=False)
CASES = {one.name: one for one in (*map(Case, VENUES), _SPOT, _KRAKEN)}


@pytest.fixture(params=list(CASES), scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


class Watched:
    """A face that keeps what it has rendered."""

    def __init__(self, face: Face) -> None:
        self.pushed: list[Push] = []
        self.moments: list[Moment] = []
        self._face = face

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        self.moments.append(moment)
        for push in self._face.pushes(moment, now_ms):
            self.pushed.append(push)
            yield push

    def __getattr__(self, name: str) -> object:
        return getattr(self._face, name)


class Traded:
    """A simulated account, and everything that was pushed of it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.venue = venue = venue_named(case.venue)
        self.exchange = Exchange(11, case.symbols, venue=venue.name, funding_interval_ms=60_000, expiry_ms=60_000)
        self.terms = self.exchange.terms
        self.face = Watched(self.exchange.face)
        self.exchange.face = self.face  # type: ignore[assignment]
        for _ in islice(self.exchange, PUSHES):
            pass
        self.decoded = [read_frame(venue, push.payload) for push in self.face.pushed]


@pytest.fixture(scope="module")
def traded(case: Case) -> Traded:
    return Traded(case)


def same(digits: Digits | None, value: Decimal) -> bool:
    return digits is not None and Decimal(digits) == value


def test_every_frame_is_decoded_and_every_field_is_known(traded: Traded) -> None:
    for push, decoded in zip(traded.face.pushed, traded.decoded, strict=True):
        assert (decoded.status, decoded.topic) == (DECODED, push.topic), decoded.error
        assert not [update for update in decoded.updates if getattr(update, "extra", None)]


def test_many_frames_are_decoded_as_each_of_them(traded: Traded) -> None:
    payloads = [push.payload for push in traded.face.pushed[:500]]
    plain = read_plain(traded.venue, payloads)
    if plain is not None:
        assert list(zip(*plain, strict=True)) == [(one.topic, one.updates) for one in traded.decoded[:500]]


def test_every_order_push_says_the_orders_state(traded: Traded) -> None:
    checked = 0
    for event, update in pushed(traded, SimulatedOrder, OrderUpdate):
        order_id = update.order_id
        assert traded.exchange.face.order_number(order_id) == event.id
        if not update.is_partial or update.symbol is not None:
            assert (update.side, update.symbol) == (event.side, event.terms.symbol)
            assert same(update.quantity, event.quantity)
            checked += 1
        # A change leaves out what is as before.
        assert {update.side, update.symbol} <= {None, event.side, event.terms.symbol}
        assert update.quantity is None or same(update.quantity, event.quantity)
        # Of a rejected order a venue may say nothing.
        assert update.filled_quantity is None or same(update.filled_quantity, event.filled_quantity)
        if update.price is not None and event.type == "limit":
            assert same(update.price, event.price)
        # A venue may not tell an order that waits for its trigger from one that rests in the book.
        said = {update.status, PENDING} | ({NEW} if update.is_partial and update.status is None else set())
        assert event.status in said or event.reason is not None
    assert checked > 100


def test_every_fill_that_is_pushed_says_what_was_exchanged(traded: Traded) -> None:
    found = list(pushed(traded, SimulatedFill, FillUpdate))
    if not traded.venue.pushes_fills:
        assert not found
        return
    assert len(found) == sum(isinstance(one, SimulatedFill) for moment in traded.face.moments for one in moment) > 100
    for event, update in found:
        assert (update.side, update.symbol) == (event.side, event.terms.symbol)
        assert (update.fee_currency, update.executed_ms) == (event.fee_currency, event.executed_ms)
        other = traded.exchange.face.execution(event).fill
        assert (update.trade_id, update.order_id, update.market) == (other.trade_id, other.order_id, other.market)
        assert same(update.price, Decimal(other.price or 0)) and same(update.fee, Decimal(other.fee or 0))
        assert update.liquidity == (TAKER if event.is_taker else MAKER)
        assert same(update.price, event.price)
        assert same(update.quantity, event.quantity)
        assert same(update.fee, event.fee)
        if traded.case.is_documented:
            assert event.terms.kind == "spot" or same(update.realized_pnl, event.realized_pnl)
        else:
            assert update.realized_pnl is None
        assert update.kind == event.kind


def test_positions_and_balances_are_what_they_were_when_they_were_pushed(traded: Traded) -> None:
    positions: dict[tuple[str | None, str, str | None], SimulatedPosition] = {}
    balances: dict[tuple[str | None, str], SimulatedBalance] = {}
    checked: Counter[type[Update]] = Counter()
    for moment, decoded in by_moment(traded):
        for event in moment:
            if isinstance(event, SimulatedPosition):
                positions[event.terms.market, event.terms.symbol, event.position_side] = event
            elif isinstance(event, SimulatedBalance):
                balances[event.wallet, event.currency] = event
        # The last row of a moment about a thing is its state after it.
        last: dict[object, Update] = {}
        for update in (update for one in decoded for update in one.updates):
            if isinstance(update, PositionUpdate):
                last[update.market, update.symbol, update.position_side] = update
            elif isinstance(update, AccountUpdate):
                last[update.wallet, update.currency] = update
        for key, update in last.items():
            checked[type(update)] += 1
            if isinstance(update, PositionUpdate):
                assert same(update.quantity, positions[key].signed)  # type: ignore[index]
            elif isinstance(update, AccountUpdate):
                held = balances[key].total  # type: ignore[index]
                assert same(update.balance, traded.case.kept(held, update.currency))
    assert checked[AccountUpdate] > 50 and (checked[PositionUpdate] > 50) == has_contracts(traded)


def test_the_ledger_adds_up_to_the_balances(traded: Traded) -> None:
    """Δbalance = Σ transactions, by what the venue's answers say, or its pushes if it lists none."""
    rows: list[Transaction] = []
    if not traded.venue.pushes_fills:
        return  # it keeps books by its own means
    for state in asked_for(traded, Span(oldest_first=True)):
        decoded = read_answer(traded.venue, state.topic, state.payload)
        assert decoded.error is None
        rows += [update for update in decoded.updates if isinstance(update, Transaction)]
    events = traded.exchange.history.transactions if rows else [one for moment in traded.face.moments for one in moment]
    told_by = rows or (update for decoded in traded.decoded for update in decoded.updates)
    rows = [update for update in told_by if isinstance(update, Transaction)]
    types = {row.type if traded.case.is_documented else row.venue_type for row in rows}
    assert types & {"deposit", "transfer"} and ("funding" in types) == has_contracts(traded)
    assert "settlement" in types or not any(isinstance(one, SimulatedTransaction) and is_expiry(one) for one in events)
    simulated = [one for one in events if isinstance(one, SimulatedTransaction)]
    trades = {row.type for row in rows} >= {"trade"}
    for wallet, currency in traded.exchange.history.balances:
        mine = [one for one in simulated if (one.wallet, one.currency) == (wallet, currency)]
        expected = sum((one.amount for one in mine if trades or one.type != "trade"), Decimal(0))
        told = [Decimal(row.amount) for row in rows if (row.wallet, row.currency) == (wallet, currency) and row.amount]
        assert sum(told, Decimal(0)) == traded.case.kept(expected, currency)


def test_what_rest_shows_is_decoded_to_the_same_states(traded: Traded) -> None:
    view, venue = traded.exchange.view(), traded.venue
    pushed_only = [] if traded.case.is_documented else traded.exchange.face.topics()
    orders = [one for one in view.open_orders() if one.topic not in pushed_only]
    for state in (*view.balances(), *view.positions(), *orders):
        decoded = read_answer(venue, state.topic, state.payload)
        assert decoded.error is None
        assert state.item < max(len(decoded.updates), 1)
    listed = [read_answer(venue, one.topic, one.payload).updates[one.item] for one in orders]
    ids = {traded.exchange.face.order_number(one.order_id) for one in listed if isinstance(one, OrderUpdate)}
    every = traded.exchange.history.open_orders()
    assert ids == {one.id for one in every if one.terms.kind == "spot" or traded.case.is_documented}


def test_profit_is_that_of_the_simulated_account(traded: Traded, tmp_path: Path) -> None:
    """Realized, fees and funding of each contract, each once, though funding is pushed and listed."""
    venue = traded.venue
    if not venue.pushes_fills:
        return  # its positions have the only figure
    if not traded.case.is_documented:
        return  # nothing but its fees is known
    url, engine = new_database(tmp_path / "record.db", venue=venue.name)
    batch = Batch(RECORDER, RUN, 1, BEGINNING)
    batch.entries.append(RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0"))
    answers = [(state.topic, state.payload) for state in asked_for(traded, Span())]
    told: list[tuple[str | None, bytes, Decoded]]
    told = [(None, one.payload, decoded) for one, decoded in zip(traded.face.pushed, traded.decoded, strict=True)]
    told += [(target, payload, read_answer(venue, target, payload)) for target, payload in dict.fromkeys(answers)]
    for seq, (target, payload, decoded) in enumerate(told):
        state = decoded.topic, decoded.status, decoded.error
        source, session = (PUSH, SESSION) if target is None else (REST, SESSION + 1)
        frame = Frame(ACCOUNT, session, seq, NOON_NS + seq, source, *state, payload)
        batch.add(*Recorded(frame, decoded.rows))
    with engine.begin() as connection:
        batch.write(connection, NOON_NS)
    realized, fees, funding = defaultdict[Of, Decimal](Decimal), defaultdict[Of, Decimal](Decimal), Counter[Of]()
    for fill in (one for moment in traded.face.moments for one in moment if isinstance(one, SimulatedFill)):
        if fill.terms.kind != "spot":
            realized[fill.terms.market, fill.terms.symbol, fill.terms.settle] += fill.realized_pnl
        fees[fill.terms.market, fill.terms.symbol, fill.fee_currency] += fill.fee
    paid = [one for one in traded.exchange.history.transactions if isinstance(one, SimulatedTransaction)]
    for one in paid:
        if one.type == "funding" and one.terms is not None:
            funding[one.terms.market, one.terms.symbol, one.currency] += one.amount  # type: ignore[assignment]
    assert bool(funding) == bool(realized)
    for is_projected in (False, True):
        if is_projected:
            with engine.connect() as connection:
                list(project_all(connection))
        with recorder.open(url) as record:
            for reads in (record, record.as_of(2**62)):
                listed = {(one.market, one.symbol, one.currency): one.amount for one in reads.funding(Calendar(BY_ALL))}
                rows = {(one.market, one.symbol, one.currency): one for one in reads.pnl(Calendar(BY_ALL))}
                assert listed == funding
                assert {of: one.funding for of, one in rows.items() if one.funding} == {
                    of: amount for of, amount in funding.items() if amount
                }
                assert {of: one.fee for of, one in rows.items() if one.fee} == {
                    of: amount for of, amount in fees.items() if amount
                }
                for of, amount in realized.items():
                    assert rows[of].realized_pnl == amount
                    assert rows[of].net_pnl == amount - fees[of] + funding[of]
    engine.dispose()


def is_expiry(transaction: SimulatedTransaction) -> bool:
    """Whether it settled a position when its instrument expired."""
    return transaction.type == "settlement" or transaction.kind == "settlement"


def test_what_expires_has_traded_was_settled_and_is_flat(traded: Traded) -> None:
    dated = {one.name for one in traded.terms if one.expires_ms}
    history = traded.exchange.history
    assert {fill.terms.name for fill in history.fills} >= dated
    settled = {one.terms.name for one in history.transactions if one.terms and is_expiry(one)}
    assert settled <= dated and bool(settled) == bool(dated)
    assert not [one for one in history.positions.values() if one.quantity and one.terms.name in dated]
    kinds = {one.kind for one in traded.terms if one.expires_ms}
    assert {one.kind for one in traded.terms if one.name in settled} == kinds


@pytest.mark.parametrize("venue_name", [name for name in VENUES if venue_named(name).stand_in.dated_symbols(0)])
def test_what_expires_next_does_so_at_the_time_that_its_name_says(venue_name: str) -> None:
    eight_ms = START_MS + 20 * 60_000
    exchange = Exchange(4, venue=venue_name, start_ms=eight_ms - 20_000)
    next_ones = {one.name for one in exchange.terms if one.expires_ms == eight_ms}
    later = {one.name for one in exchange.terms if one.expires_ms > eight_ms}
    assert next_ones or later
    for _ in islice(exchange, 1_200):
        pass
    history, traded = exchange.history, exchange.engine.markets.keys()
    assert not next_ones & traded and later <= traded
    settled = {one.terms.name: one.occurred_ms for one in history.transactions if one.terms and is_expiry(one)}
    assert settled.keys() <= next_ones and bool(settled) == bool(next_ones)
    assert all(eight_ms <= at_ms < eight_ms + 400 for at_ms in settled.values())
    over_ms = [one.executed_ms for one in history.fills if one.terms.name in next_ones]
    assert all(at_ms < eight_ms + 400 for at_ms in over_ms)
    assert history.fills[-1].executed_ms > eight_ms + 400


#: Case → its topics whose frames make no typed row: they are in views only.
WITHOUT_ROWS = {
    "binance": {
        "ACCOUNT_CONFIG_UPDATE",
        "CONDITIONAL_ORDER_TRIGGER_REJECT",
        "GRID_UPDATE",
        "MARGIN_CALL",
        "STRATEGY_UPDATE",
        "TRADE_LITE",
    },
    "binance_spot": {"externalLockUpdate", "listStatus"},
    "bitget": {"adl-notification"},
    "deribit": {"platform_state", "user.lock"},
    "hyperliquid": {"userEvents"},
    "kraken derivatives": {"ledgers", "margin"},
    "okx": {"balance_and_position"},
}


def test_a_gap_of_any_topic_that_makes_rows_is_asked_about_or_named_as_lost(traded: Traded) -> None:
    """Or a gap of the topic would be `reconciled` although nobody knows what it hid."""
    venue, now_ms, symbols = traded.venue, 1_795_000_000_000, traded.venue.stand_in.default_symbols
    given = Credentials(venue.stand_in.credentials(*venue.stand_in.default_account))
    login = Login("http://h", "ws://h", given, symbols if venue.needs_symbols else (), traded.case.environment)
    streams = venue.streams(login)
    topics = {topic for stream in streams for topic in stream.topics}
    silent = WITHOUT_ROWS.get(traded.case.name, set())
    assert silent <= topics
    assert not {decoded.topic for decoded in traded.decoded if decoded.updates} & silent
    names = {stream.name for stream in streams}
    known = Known(symbols, {}, None, now_ms - 3_600_000, now_ms, environment=login.environment, streams=names)
    taken = steps(venue.questions(Purpose.RECONCILE, known), given, now_ms)
    about = tuple({step.topic for step in taken if isinstance(step, Question | Forgotten) and step.topic})
    assert {topic for topic in topics if not topic.startswith(about)} == silent


def has_contracts(traded: Traded) -> bool:
    """Whether anything else than spot markets is traded."""
    return any(one.kind != "spot" for one in traded.terms)


def asked_for(traded: Traded, span: Span) -> list[SentState]:
    """The transactions as answers; none if the venue has no such list."""
    try:
        return [entry.state for entry in traded.exchange.view().transactions(span)]
    except NotImplementedError:
        return []


#: Market, symbol and currency.
Of = tuple[str | None, str | None, str | None]
E = TypeVar("E")
U = TypeVar("U")


def pushed(traded: Traded, event: type[E], update: type[U]) -> Iterator[tuple[E, U]]:
    """Events and rows of the frames that tell of nothing else of that kind."""
    for push, decoded in zip(traded.face.pushed, traded.decoded, strict=True):
        events = [one for one in push.events if isinstance(one, event)]
        rows = [one for one in decoded.updates if isinstance(one, update)]
        if len(events) == len(rows) == 1:
            yield events[0], rows[0]


def by_moment(traded: Traded) -> Iterator[tuple[Moment, list[Decoded]]]:
    """Each moment with the frames that told of it."""
    place = 0
    for moment in traded.face.moments:
        mine = {id(event) for event in moment}
        told: list[Decoded] = []
        while place < len(traded.face.pushed):
            events = traded.face.pushed[place].events
            if events and not any(id(one) in mine for one in events):
                break
            told.append(traded.decoded[place])
            place += 1
        yield moment, told


#: Venue → requests for lists of instruments, as clients send them.
LISTS = {
    "binance": ["GET /fapi/v1/exchangeInfo"],
    "binance_spot": ["GET /api/v3/exchangeInfo"],
    "bitget": [f"GET /api/v3/market/instruments?category={one}" for one in ("USDT-FUTURES", "USDC-FUTURES", "SPOT")],
    "bybit": [f"GET /v5/market/instruments-info?category={one}" for one in ("linear", "inverse", "spot")],
    "deribit": ["GET /api/v2/public/get_instruments?currency=any", "GET /api/v2/public/get_currencies"],
    "hyperliquid": ['POST /info {"type":"meta"}', 'POST /info {"type":"spotMeta"}'],
    "kraken": ["GET /0/public/AssetPairs", "GET /0/public/Assets"],
    "okx": [f"GET /api/v5/public/instruments?instType={one}" for one in ("SWAP", "SPOT")],
}


@pytest.mark.parametrize("name", LISTS)
def test_a_served_record_lists_the_instruments_that_it_knows(name: str) -> None:
    stand_in = venue_named(name).stand_in
    now_ms = 1_795_000_000_000

    def answer(backend: Backend, target: str) -> bytes:
        method, path, *rest = target.split(" ", 2)
        body = rest[0].encode() if rest else b""
        found = stand_in.request_handler(backend).handle(Request(method, path, {}, "http://127.0.0.1", body))
        payload = found.body if isinstance(found, Reply) else found
        assert isinstance(payload, bytes)
        return payload

    terms = stand_in.terms(stand_in.default_symbols)
    simulated = Backend(secret_of=lambda _key: None, clock_ms=lambda: now_ms, terms=terms)
    answers = {target: answer(simulated, target) for target in LISTS[name]}
    recorded = [
        SentState(target.removeprefix("GET "), payload)
        for target, payload in answers.items()
        if "currencies" not in target and "Assets" not in target
    ]
    served = Backend(secret_of=lambda _key: None, clock_ms=lambda: now_ms, instruments=recorded)
    unknown = Backend(secret_of=lambda _key: None, clock_ms=lambda: now_ms)
    for target, payload in answers.items():
        assert answer(served, target) == payload
        assert answer(unknown, target) != payload, "what is not recorded is not made up"
