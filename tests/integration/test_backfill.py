"""A backfill of a long past of each exchange: complete, once, within its limits, although it is interrupted twice.

The recorder is a process; the exchange's stand-in is a server with the exchange's own limits, pages and memory. What
the recorder has to wait passes in no time, on both sides (`hurried`).
"""

import json
import re
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import recorder
from recorder.clock import NS_PER_MS, utc_text
from recorder.live.http import HttpClient
from recorder.live.settings import Account
from recorder.simulator import Simulator, SimulatorOptions, portal
from recorder.store.engine import open_engine
from recorder.store.schema import order_updates, reconciliations
from recorder.venues import VENUES, venue_named
from recorder.venues.rest import Known, Purpose, Question, Verdict
from recorder.venues.simulated import SimulatedOrder, Terms
from recorder.venues.stand_in import Request, StandIn
from tests.depth import share
from tests.integration import hurried
from tests.integration.hurried import HurriedClock
from tests.integration.past import DAY_MS, Past
from tests.integration.process import Folder, Process
from tests.unit.live.archive import begin_record

#: How long one run may take, seconds of the real clock.
RUN_S = 1_500.0
#: What a backfill may hold at most, however long the past is, bytes.
MEMORY_MAX = 200 * 2**20
#: A backfill of so many requests lasts long enough for a line of progress.
PROGRESS_REQUESTS = 100
#: The share of the requests that a run asks again which has only periods left that have not ended, and some besides.
NOTHING_LEFT_SHARE, NOTHING_LEFT = 0.05, 50


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What an exchange remembers, and when a backfill is interrupted."""

    #: Of the past, days; of it, those that the exchange remembers, if not all.
    days: int
    kept_days: int | None = None
    #: How many of the newest fills and ended orders it remembers, if not all.
    kept_fills: int | None = None
    kept_orders: int | None = None
    #: Whether it remembers orders that were cancelled long ago without a fill.
    keeps_cancelled: bool = False
    #: Whether an order that had a trigger is also listed as the conditional order that it was, under another id.
    lists_triggers: bool = False
    #: The kinds of history in `status` that reach back over all of the past, or all that is remembered.
    histories: tuple[str, ...] = ("fills", "orders with fills", "transactions")
    #: The type of a fill's entries in its ledger; None: fills are not in it.
    fills_as: str | None = "trade"
    #: Of each of the first two runs, the request during which it is stopped.
    stops: tuple[int, int]
    long_stops: tuple[int, int]


#: Where orders that were cancelled without a fill are remembered, too.
WHOLE = ("fills", "orders", "transactions")

EXCHANGES = {
    "hyperliquid": Exchange(
        days=365,
        kept_fills=10_000,
        kept_orders=2_000,
        histories=("fills", "TWAP fills", "fundings"),
        fills_as=None,
        stops=(4, 40),
        long_stops=(4, 40),
    ),
    "bybit": Exchange(
        days=750,
        kept_days=730,
        histories=("fills of linear", "orders with fills of spot", "transactions"),
        stops=(300, 300),
        long_stops=(2_500, 2_500),
    ),
    "okx": Exchange(days=100, kept_days=90, stops=(60, 60), long_stops=(1_500, 1_500)),
    "binance": Exchange(
        days=100, kept_days=90, lists_triggers=True, fills_as="fee", stops=(30, 30), long_stops=(200, 200)
    ),
    "binance_spot": Exchange(
        days=750,
        histories=("fills of BTCUSDT", "orders with fills of ETHUSDT"),
        fills_as=None,
        stops=(4, 4),
        long_stops=(80, 80),
    ),
    "deribit": Exchange(days=1_000, stops=(80, 80), long_stops=(350, 300)),
    "bitget": Exchange(
        days=100, kept_days=90, keeps_cancelled=True, histories=WHOLE, stops=(70, 70), long_stops=(1_500, 1_500)
    ),
    "kraken": Exchange(days=700, keeps_cancelled=True, histories=WHOLE, stops=(60, 60), long_stops=(3_000, 3_000)),
}


class Scene:
    """A simulated exchange, a record that has just begun, and a clock for both.

    Args:
        path: of the user's folder.
        exchange: the exchange.
        clock: the clock.
    """

    def __init__(self, path: Path, exchange: Simulator, clock: HurriedClock) -> None:
        venue = venue_named(exchange.options.venue)
        symbols = venue.stand_in.default_symbols
        self.account = Account(
            name="main",
            venue=venue,
            url=exchange.url,
            credentials=exchange.credentials,
            symbols=symbols if venue.needs_symbols else (),
        )
        self.folder = Folder(path)
        # Nothing slows the recorder down but its own limits on what waits to be written; a busy machine writes slowly.
        self.folder.configure(exchange, symbols=symbols, limits={"stop_s": RUN_S})
        self.url = f"sqlite:///{self.folder.database}"
        self.clock = clock
        self.requests = 0
        #: The most memory that a run has held, bytes, and the processor time of all that were not killed, seconds.
        self.peak_bytes = 0
        self.cpu_s = 0.0
        self._process: Process | None = None
        self._stop_at, self._stop_by = 0, signal.SIGTERM

    def note_request(self) -> None:
        """Count a request, and stop the recorder if this was the one."""
        self.requests += 1
        if self._process is not None and self.requests == self._stop_at:
            self._process.send(self._stop_by)

    def backfill(self, stop_after: int = 0, by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Run the command, until its request of this number, if one is given.

        Returns:
            Its exit code, and what it printed.
        """
        self._stop_at, self._stop_by = self.requests + stop_after if stop_after else 0, by
        program = partial(hurried.main, self.clock.path)
        with Process(self.folder, "backfill", show=True, program=program) as process:
            self._process = process
            code = process.wait(RUN_S)
            self._process = None
        for peak_kib, cpu_s in re.findall(r"^peak (\d+) KiB, (\S+) s$", process.errors, re.MULTILINE):
            self.peak_bytes = max(self.peak_bytes, int(peak_kib) * 1024)
            self.cpu_s += float(cpu_s)
        return code, process.errors

    def refused_after(self) -> int:
        """How many requests the exchange answers a client that does not wait before it refuses one."""
        account = self.account
        known = Known(account.symbols, {}, None, None, self.clock.wall_ms())
        steps = account.venue.questions(Purpose.BACKFILL, known)
        question = next(step for step in steps if isinstance(step, Question))
        client = HttpClient(account.url, 10.0, 10.0)
        try:
            for number in range(3_000):
                got = client.fetch(question.request(account.url, account.credentials, self.clock.wall_ms()))
                if account.venue.classify(got.status, got.body) is Verdict.WAIT:
                    return number
        finally:
            client.close()
        raise AssertionError("the exchange has no limit")


def past_of(stand_in: StandIn, exchange: Exchange, end_ms: int, orders: int) -> tuple[Past, int]:
    """A past until this time, and since when the exchange remembers it, milliseconds since 1970."""
    kept_ms = 0 if exchange.kept_days is None else end_ms - exchange.kept_days * DAY_MS
    terms = stand_in.terms(stand_in.default_symbols)
    past = Past(
        terms,
        stand_in.funds(terms),
        begin_ms=end_ms - exchange.days * DAY_MS,
        end_ms=end_ms,
        orders=orders,
        # While the test lasts, by its own clock, the exchange forgets nothing more.
        silent_ms=(kept_ms - DAY_MS, kept_ms + 2 * DAY_MS),
    )
    return past, kept_ms


@pytest.mark.timeout(600)
@pytest.mark.parametrize("venue_name", share(EXCHANGES, "hyperliquid", "binance_spot"))
def test_a_past_is_backfilled_whole_although_it_was_interrupted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exceeded: list[int], venue_name: str
) -> None:
    """Of 1,000 orders and as many fills."""
    exchange = EXCHANGES[venue_name]
    check_backfill(tmp_path, monkeypatch, exceeded, venue_name, 1_000, exchange.stops)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("venue_name", EXCHANGES)
def test_a_long_past_is_backfilled_whole_although_it_was_interrupted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exceeded: list[int], venue_name: str
) -> None:
    """Of 100,000 orders and as many fills, 200,000 together."""
    exchange = EXCHANGES[venue_name]
    check_backfill(tmp_path, monkeypatch, exceeded, venue_name, 100_000, exchange.long_stops)


#: When an account was upgraded, and how long ago what was before is forgotten of USDC contracts and options, days.
UPGRADED_DAYS, OLD_USDC_DAYS = 100, 183


def test_what_was_before_an_account_was_unified_is_backfilled_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exceeded: list[int]
) -> None:
    """Of 300 days. Fills of spot are in no old list, and the old log is that of USDC alone."""
    clock = HurriedClock(tmp_path / "clock")
    monkeypatch.setattr(portal, "wall_clock_ms", clock.wall_ms)
    stand_in, end_ms = venue_named("bybit").stand_in, clock.wall_ms() - 600_000
    upgraded_ms, usdc_ms = end_ms - UPGRADED_DAYS * DAY_MS, end_ms - OLD_USDC_DAYS * DAY_MS
    # Executions of options are listed by coin, and the orders say which.
    options_of = ("BTC-26JUN30-89000-P-USDT", "ETH-26JUN30-2800-C-USDT")
    symbols = ("BTCUSDT", "ETHUSDT", "BTCPERP", "BTCUSD", "spot:BTCUSDT", *options_of)
    terms = stand_in.terms(symbols)
    begin_ms, silent_ms = end_ms - 300 * DAY_MS, (usdc_ms - 9 * DAY_MS, usdc_ms + 2 * DAY_MS)
    past = Past(terms, stand_in.funds(terms), begin_ms=begin_ms, end_ms=end_ms, orders=1_000, silent_ms=silent_ms)
    moments = list(past.moments())
    last_ms = max(one.updated_ms for moment in moments for one in moment if isinstance(one, SimulatedOrder))
    options = SimulatorOptions(
        venue="bybit",
        symbols=symbols,
        start_ms=begin_ms - DAY_MS,
        pushes=0,
        keep_sent=False,
        retention_s={"unified": (last_ms - upgraded_ms) / 1000},
    )

    def is_served(terms: Terms, at_ms: int) -> bool:
        return at_ms >= upgraded_ms or ((terms.settle != "USDC" and terms.market != "option") or at_ms >= usdc_ms)

    with Simulator(options) as exchange:
        exchange.remember(moments)
        scene = Scene(tmp_path, exchange, clock)
        begin_record(scene.url, scene.account, end_ms, clock.clock)
        code, told = scene.backfill()
        assert code == 0 and "lost" not in told, told
        # By now it is known which contracts in USDC were traded: their orders are listed by symbol only.
        code, told = scene.backfill()
        assert code == 0, told
        asked = scene.requests
        code, told = scene.backfill()
        assert code == 0 and scene.requests - asked < NOTHING_LEFT, told
        assert exceeded == []
        face = stand_in.face(terms, exchange.key)
    found_fills, found_orders, found_entries = what_is_there(scene)
    is_new = {fill.trade_id: fill.executed_ms >= upgraded_ms for fill in past.fills}
    fills = [one for one in past.fills if is_served(one.terms, one.executed_ms)]
    fills = [one for one in fills if is_new[one.trade_id] or one.terms.market != "spot"]
    assert 0 < len([one for one in fills if not is_new[one.trade_id]]) < len(fills) < len(past.fills)
    assert found_fills == Counter(face.execution(one).fill.trade_id for one in fills)
    filled = {fill.order_id for fill in past.fills}
    orders = {one.id: one for moment in moments for one in moment if isinstance(one, SimulatedOrder)}
    wanted = [one for one in orders.values() if one.id in filled and is_served(one.terms, one.created_ms)]
    ids = {fill.order_id: face.execution(fill).fill.order_id for fill in past.fills}
    assert found_orders == {ids[one.id] for one in wanted}
    entries = [one for one in past.entries if one.terms and is_served(one.terms, one.occurred_ms)]
    entries = [one for one in entries if one.occurred_ms >= upgraded_ms or one.currency == "USDC"]
    wallets = Counter("UNIFIED" if one.occurred_ms >= upgraded_ms else "OPTION" for one in entries)
    assert wallets["OPTION"] and found_entries == wallets


def what_is_there(scene: Scene) -> tuple[Counter[str | None], set[str], Counter[str | None]]:
    """The trade ids of the fills, the orders, and the entries of the log by their wallet."""
    with recorder.open(scene.url) as record:
        fills = Counter(one.trade_id for one in record.fills())
        entries = Counter(one.wallet for one in record.transactions() if one.balance_after is not None)
    with open_engine(scene.url, read_only=True).connect() as connection:
        return fills, set(connection.scalars(select(order_updates.c.order_id).distinct())), entries


def test_asked_quietly_only_the_result_is_written(folder: Folder) -> None:
    with Simulator(SimulatorOptions(venue="bybit", pushes=10, live_clock=True)) as exchange:
        folder.configure(exchange)
        assert folder.command("run", "--for", "1s", "--quiet").returncode == 0
        since = f"{datetime.now(UTC):%Y-%m-%d}"
        loud, quiet = (folder.command("backfill", "--since", since, *more) for more in ((), ("--quiet",)))
    assert " INFO main: backfill: " in loud.stderr
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, loud.stdout, "")
    assert "main: transactions since " in quiet.stdout


def test_every_exchange_with_a_history_is_here() -> None:
    assert EXCHANGES.keys() == VENUES.keys() - {"fmex"}


def check_backfill(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exceeded: list[int],
    venue_name: str,
    orders: int,
    stops: tuple[int, int],
) -> None:
    kind, stand_in = EXCHANGES[venue_name], venue_named(venue_name).stand_in
    clock = HurriedClock(path / "clock")
    monkeypatch.setattr(portal, "wall_clock_ms", clock.wall_ms)
    began_ms = clock.wall_ms()
    end_ms = began_ms - 600_000
    past, kept_ms = past_of(stand_in, kind, end_ms, orders)
    options = SimulatorOptions(venue=venue_name, start_ms=end_ms - (kind.days + 1) * DAY_MS, pushes=0, keep_sent=False)
    with Simulator(options) as exchange:
        exchange.remember(past.moments())
        scene = Scene(path, exchange, clock)
        count_requests(monkeypatch, scene)
        begin_record(scene.url, scene.account, end_ms, clock.clock)
        first, last = stops
        code, told = scene.backfill(first)
        assert code == 0 and "interrupted: type recorder backfill again to go on" in told, told
        code, told_killed = scene.backfill(last, signal.SIGKILL)
        assert code == -signal.SIGKILL
        code, told_last = scene.backfill()
        assert code == 0, told_last
        told += told_killed + told_last
        asked, took_s = scene.requests, (clock.wall_ms() - began_ms) / 1000
        code, told_nothing = scene.backfill()
        assert code == 0 and scene.requests - asked <= asked * NOTHING_LEFT_SHARE + NOTHING_LEFT, told_nothing
        assert exceeded == []
        assert scene.refused_after() and exceeded
        face = stand_in.face(stand_in.terms(stand_in.default_symbols), exchange.key)
    remembered = [fill for fill in past.fills if fill.executed_ms >= kept_ms]
    remembered = remembered[-kind.kept_fills :] if kind.kept_fills else remembered
    truth = [face.execution(fill).fill for fill in remembered]
    with recorder.open(scene.url) as record:
        assert Counter((one.symbol, one.trade_id) for one in record.fills()) == Counter(
            (one.symbol, one.trade_id) for one in truth
        )
    check_orders(scene, kind, past, kept_ms, {one.order_id or "" for one in truth})
    check_ledger(scene, kind, past, kept_ms)
    status = json.loads(scene.folder.command("status", "--format", "json").stdout)
    since_ms = status["accounts"][0]["history_since_ms"]
    oldest_ms = min(fill.executed_ms for fill in remembered)
    some_are_gone = kind.kept_fills is not None and len(past.fills) > kind.kept_fills
    begins_ms = kept_ms + DAY_MS if kept_ms else end_ms - kind.days * DAY_MS
    assert all(since_ms[history] <= begins_ms for history in kind.histories if not some_are_gone or history != "fills")
    if some_are_gone:
        assert since_ms["fills"] == oldest_ms
        assert f"the exchange no longer has fills before {utc_text(oldest_ms * NS_PER_MS)}" in told
    # A line of progress says what is asked for, which of how many subjects this is, and how long it may still take. A
    # backfill of a few requests may be over before there is one.
    assert asked < PROGRESS_REQUESTS or re.search(
        r"frames, .*/s, main: .* \([\d,]+ of [\d,]+, about \d+ min left\)", told
    ), told
    assert scene.peak_bytes < MEMORY_MAX
    with open_engine(scene.url, read_only=True).connect() as connection:
        results = connection.execute(select(reconciliations.c.result)).all()
    # Where nothing is left, there is no round; and none of a run that was killed before its first commit.
    numbers = Counter(row.result for row in results)
    assert set(numbers) == {"interrupted", "answered"} and max(numbers.values()) <= 2, results
    print(
        f"\n{venue_name}: {asked:,} requests, {took_s:,.0f} s by its own clock; {scene.peak_bytes / 2**20:.0f} MiB and "
        f"{scene.cpu_s:.0f} s of processor time of the runs that were not killed"
    )


def count_requests(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    """Let the scene take note of each request."""
    handler: Any = scene.account.venue.stand_in.request_handler
    handle = handler.handle

    def counting(self: Any, request: Request) -> Any:
        scene.note_request()
        return handle(self, request)

    monkeypatch.setattr(handler, "handle", counting)


def check_orders(scene: Scene, kind: Exchange, past: Past, kept_ms: int, filled: set[str]) -> None:
    """All orders with a fill are there, and what else the exchange remembers of orders."""
    with open_engine(scene.url, read_only=True).connect() as connection:
        found = set(connection.scalars(select(order_updates.c.order_id).distinct()))
    if kind.kept_orders is not None:
        assert len(found) == min(kind.kept_orders, len(filled) + len(past.cancelled))
        assert len(found & filled) > 0.9 * len(found)
        return
    assert filled <= found
    others = (past.cancelled if kind.keeps_cancelled else []) + (past.triggered if kind.lists_triggers else [])
    assert len(found - filled) == sum(order.created_ms >= kept_ms for order in others)


def check_ledger(scene: Scene, kind: Exchange, past: Past, kept_ms: int) -> None:
    """All entries of the ledger are there, each once, as far as the exchange has one."""
    wanted = Counter(
        kind.fills_as if one.type == "trade" else one.type for one in past.entries if one.occurred_ms >= kept_ms
    )
    with recorder.open(scene.url) as record:
        found = Counter(one.type for one in record.transactions())
    assert found["funding"] == wanted["funding"]
    if kind.fills_as is not None:
        assert found[kind.fills_as] == wanted[kind.fills_as] > 0
