"""What a complete list leaves out is gone: now, at any instant, in the views, and whatever arrives in which order."""

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import count

import pytest
from sqlalchemy import text

import recorder
from recorder.audit.verify.findings import ROW_CHANGED, ROW_REMOVED
from recorder.audit.verify.rebuilding import damage, rebuild
from recorder.audit.verify.verification import Verification, Wanted
from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Frame
from recorder.read.projection_check import repair
from recorder.read.projector import project_all
from recorder.store.entries import LogEntry, ReconciliationBegan, RunStarted, SessionOpened
from recorder.store.journal import Batch
from recorder.store.projection_tables import PROJECTIONS
from recorder.store.schema import TYPED
from recorder.store.seals import BEGINNING
from recorder.store.snapshots import Snapshots, make_all
from recorder.venues import venue_named
from recorder.venues.comparable import listings_of
from recorder.venues.reading import read_answer, read_frame
from recorder.venues.rest import Credentials, Known, Purpose, Question, Step, Traded
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, new_database
from tests.steps import steps, targets

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_a_position_that_a_newer_list_does_not_have_is_gone",
    "test_a_row_of_a_list_that_is_missing_is_found",
)

S = 1_000_000_000
ROUND = SESSION + 5
VENUE = venue_named("hyperliquid")
USER = "0x5e11aa00000000000000000000000000000000a1"


def state(*held: str, size: str = "1.0") -> dict[str, object]:
    positions = [{"type": "oneWay", "position": {"coin": coin, "szi": size, "entryPx": "9.0"}} for coin in held]
    return {"time": 1, "assetPositions": positions}


def states(*held: str, **more: str) -> bytes:
    """A push of the states of all perpetual exchanges."""
    data = {"user": USER, "clearinghouseStates": [["", state(*held, **more)]]}
    return json.dumps({"channel": "allDexsClearinghouseState", "data": data}).encode()


def spot(**balances: str) -> dict[str, object]:
    return {"balances": [{"coin": coin, "total": total, "hold": "0.0"} for coin, total in balances.items()]}


def closed(coin: str) -> bytes:
    """A push of the fill that closes a position."""
    fill = {"coin": coin, "px": "9.0", "sz": "1.0", "side": "A", "time": 2, "startPosition": "1.0", "oid": 1, "tid": 2}
    return json.dumps(
        {"channel": "userFills", "data": {"user": USER, "fills": [fill | {"dir": "Close Long"}]}}
    ).encode()


class Told:
    """A record to which frames are added, some seconds after noon."""

    def __init__(self, url: str) -> None:
        self.url, self.engine = new_database(url, (ACCOUNT, "main"), venue="hyperliquid")
        self._batches, self._seqs = count(), {SESSION: count(), ROUND: count()}
        self._seal = BEGINNING
        self._write([RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0")])
        self._write([SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", ("spotState",), NOON_NS)])

    def push(self, at_s: int, payload: bytes) -> None:
        decoded = read_frame(VENUE, payload)
        assert decoded.error is None
        key = ACCOUNT, SESSION, next(self._seqs[SESSION]), NOON_NS + at_s * S
        self._write([], Recorded(Frame(*key, PUSH, *decoded[:3], payload), decoded.rows))

    def ask(self, at_s: int) -> None:
        """Begin the round of questions."""
        self._write([ReconciliationBegan(ACCOUNT, ROUND, RUN, NOON_NS + at_s * S, "reconcile")])

    def answer(self, at_s: int, kind: str, body: object, **asked: str) -> None:
        target = "POST /info " + json.dumps({"type": kind, "user": USER, **asked}, separators=(",", ":"))
        payload = json.dumps(body).encode()
        decoded = read_answer(VENUE, target, payload)
        assert decoded.error is None
        key = ACCOUNT, ROUND, next(self._seqs[ROUND]), NOON_NS + at_s * S
        self._write([], Recorded(Frame(*key, REST, *decoded[:3], payload), decoded.rows))

    def project(self) -> None:
        with self.engine.connect() as connection:
            list(project_all(connection))

    def held(self) -> set[str]:
        """The open positions and owned balances, by each way to ask for them, which must agree."""
        ways = [self._read(None), self._read(NOON_NS + 1_000 * S)]
        with self.engine.connect() as connection:
            list(make_all(connection, Snapshots(1, 0)))
        ways.append(self._read(NOON_NS + 1_000 * S))
        self.project()
        ways.append(self._read(None))
        with self.engine.connect() as connection:
            named = connection.scalars(
                text(
                    "SELECT symbol FROM positions WHERE quantity <> 0 "
                    "UNION ALL SELECT currency FROM balances WHERE balance <> 0"
                )
            )
            ways.append(set(named))
        assert all(way == ways[0] for way in ways), ways
        assert self.findings() == set()
        return ways[0]

    def findings(self) -> set[tuple[str, str]]:
        """About frames, and what follows from them: its accounts are in no entry of the event log."""
        derived = {"frames", *(table.name for table in (*TYPED.values(), *PROJECTIONS))}
        found = Verification(self.url, Wanted(jobs=1))
        return {(one.kind, one.table) for one in found if one.table in derived}

    def held_at(self, at_s: int) -> set[str]:
        """The same as of an instant."""
        return self._read(NOON_NS + at_s * S)

    def _read(self, at_ns: int | None) -> set[str]:
        with recorder.open(self.url) as record:
            read = record if at_ns is None else record.as_of(at_ns)
            symbols = {one.symbol for one in read.positions() if one.quantity}
            return symbols | {one.currency for one in read.balances() if one.balance}

    def _write(self, entries: list[LogEntry], *recorded: Recorded) -> None:
        batch = Batch(RECORDER, RUN, next(self._batches), self._seal)
        batch.entries += entries
        for one in recorded:
            batch.add(*one)
        with self.engine.begin() as connection:
            batch.write(connection, NOON_NS)
        self._seal = batch.seal


@pytest.fixture
def told(url: str) -> Iterator[Told]:
    told = Told(url)
    yield told
    told.engine.dispose()


@pytest.mark.parametrize("projected", [True, False])
def test_a_position_that_a_newer_list_does_not_have_is_gone(told: Told, projected: bool) -> None:
    told.push(1, states("BTC", "ETH"))
    if projected:
        told.project()
    told.push(10, states("ETH"))
    assert told.held() == {"ETH"}
    assert told.held_at(5) == {"BTC", "ETH"}
    told.push(20, states("ETH", "BTC", size="2.0"))
    assert told.held() == {"BTC", "ETH"}
    told.push(30, states())
    assert told.held() == set()


def test_an_answer_counts_from_its_request(told: Told) -> None:
    """What was pushed meanwhile is newer."""
    told.push(1, states("BTC", "ETH"))
    told.ask(5)
    told.push(6, states("BTC", "SOL"))
    told.project()
    told.answer(7, "clearinghouseState", state("ETH"))
    assert told.held() == {"BTC", "SOL"}
    assert told.held_at(6) == {"BTC", "SOL"}


def test_a_list_covers_its_part_of_the_account(told: Told) -> None:
    told.push(1, states("BTC", "xyz:TSLA"))
    told.ask(2)
    told.answer(3, "spotClearinghouseState", spot(HYPE="1.0", PURR="2.0"))
    told.answer(4, "clearinghouseState", state(), dex="xyz")
    assert told.held() == {"BTC", "HYPE", "PURR"}
    told.answer(5, "clearinghouseState", state())
    assert told.held() == {"HYPE", "PURR"}
    payload = json.dumps({"channel": "spotState", "data": {"user": USER, "spotState": spot(PURR="2.0")}}).encode()
    told.push(6, payload)
    assert told.held() == {"PURR"}


def test_what_is_known_to_be_zero_is_shown_as_zero(told: Told) -> None:
    told.push(1, states("BTC", "ETH"))
    told.push(2, closed("BTC"))
    told.push(3, states())
    assert told.held() == set()
    with recorder.open(told.url) as record:
        assert [(one.symbol, one.quantity) for one in record.positions()] == [("BTC", Decimal(0))]


def test_what_arrives_late_is_compared_with_the_lists(told: Told) -> None:
    """An answer that was asked for before the list was pushed does not bring the position back."""
    told.ask(1)
    told.push(2, states("ETH"))
    told.project()
    told.answer(9, "clearinghouseState", state("BTC"))
    assert told.held() == {"ETH"}


def test_a_row_of_a_list_that_is_missing_is_found(told: Told) -> None:
    """And so is a position that is said to be open, although a list left it out."""
    told.push(1, states("BTC"))
    told.push(2, states())
    assert told.held() == set()
    with told.engine.begin() as connection:
        assert connection.execute(text("UPDATE current_states SET is_gone = 0 WHERE is_gone = 1")).rowcount == 1
    assert told.findings() == {(ROW_CHANGED, "current_states")}
    assert sum(repair(told.engine)) == 1
    with told.engine.begin() as connection:
        connection.execute(text("DELETE FROM listings WHERE seq = 1"))
    assert (ROW_REMOVED, "listings") in told.findings()
    assert damage(told.url) == []
    assert sum(one.rows for one in rebuild(told.url)) == 1
    assert told.held() == set()


LISTS: dict[str, dict[str, str | None]] = {
    "fmex": {
        "/v3/contracts/accounts": "balances",
        "/v3/broker/auth/contracts/positions": "positions",
        "/v3/contracts/accounts/x": None,
    },
    "hyperliquid": {'POST /info {"type":"openOrders","user":"0x"}': None},
    "bybit": {
        "/v5/account/wallet-balance?accountType=UNIFIED": "balances",
        "/v5/position/list?category=linear&settleCoin=USDT&limit=200": "positions",
        "/v5/position/list?category=linear&settleCoin=USDT&limit=200&cursor=x": None,
        "/v5/position/list?category=inverse&limit=200": "positions",
        "/v5/position/list?category=inverse&symbol=BTCUSD": None,
        "/v5/position/list?category=linear&symbol=BTCUSDT": None,
    },
    "okx": {
        "/api/v5/account/balance": "balances",
        "/api/v5/account/positions": "positions",
        "/api/v5/account/positions?instId=BTC-USDT-SWAP": None,
        "/api/v5/account/positions-history": None,
    },
    "binance": {
        "/fapi/v3/balance": "balances",
        "/fapi/v3/positionRisk": "positions",
        "/fapi/v3/positionRisk?symbol=BTCUSDT": None,
        "/dapi/v1/positionRisk": "positions",
        "/dapi/v1/positionRisk?pair=BTCUSD": None,
    },
    "binance_spot": {"/api/v3/account?omitZeroBalances=true": "balances", "/api/v3/accountx": None},
    "bitget": {
        "/api/v3/account/assets": "balances",
        "/api/v3/account/assets?coin=BTC": None,
        "/api/v3/position/current-position?category=USDT-FUTURES": "positions",
        "/api/v3/position/current-position?category=USDT-FUTURES&symbol=BTCUSDT&posSide=long": None,
    },
    "deribit": {"/api/v2/private/get_positions?currency=any": "positions"},
    "kraken": {"POST /0/private/BalanceEx": "balances", "POST /0/private/OpenPositions": None},
}


@pytest.mark.parametrize(
    ("venue", "topic", "kind"), [(venue, *one) for venue, topics in LISTS.items() for one in topics.items()]
)
def test_which_answers_are_complete_lists(venue: str, topic: str, kind: str | None) -> None:
    found = {one.kind for one in venue_named(venue).lists if one.has(topic)}
    assert found == ({kind} if kind else set())


@pytest.mark.parametrize(
    ("venue", "environment", "held"),
    [
        ("bybit", "", Traded("linear", "BTCUSDT")),
        ("okx", "", Traded(None, "BTC-USDT-SWAP")),
        ("deribit", "", Traded(None, "BTC-PERPETUAL")),
        ("bitget", "", Traded("usdt-futures", "BTCUSDT")),
        ("binance", "", Traded(None, "BTCUSDT")),
        ("binance", "coin-m", Traded(None, "BTCUSD_PERP")),
    ],
)
def test_an_answer_about_one_position_is_no_complete_list(venue: str, environment: str, held: Traded) -> None:
    """It would say that all others are gone."""
    now_ms = NOON_NS // 1_000_000
    known = Known((), {}, None, now_ms - 1000, now_ms, environment=environment, positions=[held])
    who = Credentials(**{one.name: "x" for one in venue_named(venue).credential_fields})
    taken = steps(venue_named(venue).questions(Purpose.RECONCILE, known), who, now_ms)
    about: list[Step] = [one for one in taken if isinstance(one, Question) and one.subject.startswith("position of ")]
    assert about
    assert not [one for one in targets(about, who, now_ms) if listings_of(venue_named(venue).lists, one)]
