"""A backfill of a long past of each exchange: complete, once, within its limits, although it is interrupted twice.

The recorder is a process, the exchange's stand-in a real server with the exchange's own limits, pages and memory. What
they wait for passes in no time (`hurried`).
"""

import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

import recorder
from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Unreachable
from recorder.live.http import HttpClient
from recorder.live.reconciler import Retry
from recorder.live.recording import Recording
from recorder.live.settings import Account
from recorder.simulator import Simulator, SimulatorOptions, portal
from recorder.store import event_log
from recorder.store.engine import open_engine
from recorder.store.entries import Covered, SessionOpened
from recorder.store.schema import fills, order_updates, reconciliations, runs, transactions
from recorder.venues import venue_named
from recorder.venues.limits import DecayingLimit, RateLimit
from recorder.venues.rest import Known, Purpose, Question, Traded, Verdict
from recorder.venues.simulated import SimulatedFill
from recorder.venues.stand_in import Request
from tests.integration import hurried
from tests.integration.hurried import HurriedClock
from tests.integration.past import DAY_MS, Past
from tests.integration.process import Folder, Process

#: How long one run may take, seconds of the real clock.
RUN_S = 600.0
#: What a backfill may hold at most, however long the past is.
MEMORY_BYTES = 300 * 2**20
#: A run of a recorder asks the clock, and what the credentials may do.
MIB = 2**20


@dataclass(frozen=True)
class Exchange:
    """What an exchange remembers, and about how many requests a backfill takes."""

    venue: str
    #: Of the past, days; and what the exchange remembers of it, if not all.
    days: int
    kept_days: int | None = None
    #: Whether it remembers orders that were cancelled long ago without a fill.
    keeps_cancelled: bool = False
    #: How many of the newest fills it remembers, if not all.
    kept_fills: int | None = None
    #: How many of the newest orders.
    kept_orders: int | None = None


EXCHANGES = [
    Exchange("hyperliquid", 365, kept_fills=10_000, kept_orders=2_000),
    Exchange("bybit", 750, 730),
    Exchange("okx", 100, 90),
    Exchange("binance", 100, 90),
    Exchange("binance_spot", 750),
    Exchange("deribit", 1_000),
    Exchange("bitget", 100, 90, keeps_cancelled=True),
    Exchange("kraken", 700, keeps_cancelled=True),
]


class Scene:
    """A simulated exchange with a past, a record that has just begun, and a clock for both.

    Args:
        path: of the user's folder.
        exchange: the exchange.
        kind: what it remembers.
        clock: the clock.
    """

    def __init__(self, path: Path, exchange: Simulator, clock: HurriedClock) -> None:
        self.exchange = exchange
        self.clock = clock
        self.requests = 0
        self.asked: Counter[str] = Counter()
        self.peak_bytes = 0
        self.cpu_s = 0.0
        self._process: Process | None = None
        self._stop_at = (0, signal.SIGTERM)
        venue = venue_named(exchange.options.venue)
        symbols = venue.stand_in.default_symbols
        self.folder = Folder(path)
        self.folder.configure(exchange, symbols=symbols)
        self.account = Account(
            name="main",
            venue=venue,
            url=exchange.url,
            credentials=exchange.credentials,
            symbols=symbols if venue.needs_symbols else (),
        )
        self.url = f"sqlite:///{self.folder.database}"

    def begin(self, at_ms: int) -> None:
        """Let the record begin."""
        with Recording(self.url, [self.account], clock=self.clock.clock, by_hand=Retry()):
            pass
        account_id, at_ns = self.account.account_id, at_ms * NS_PER_MS
        with open_engine(self.url).begin() as connection:
            run = connection.execute(select(runs.c.run_id, runs.c.recorder_id)).one()
            opened = SessionOpened(account_id, 10, run.run_id, "ws://exchange", ("account",), at_ns)
            event_log.apply(connection, run.recorder_id, opened)
            event_log.apply(connection, run.recorder_id, Covered(account_id, 10, 0, at_ns, ("account",), {}))

    def note(self, _request: Request) -> None:
        """Take note of a request, and stop the recorder if that was the one."""
        self.requests += 1
        at, number = self._stop_at
        if self._process is not None and self.requests == at:
            self._process.send(number)

    def backfill(self, *, stop_after: int = 0, by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Run the command, until so many requests have arrived. Returns its exit code, and what it printed."""
        self._stop_at = self.requests + stop_after, by
        if not stop_after:
            self._stop_at = 0, by
        program = partial(hurried.main, self.folder.path / "clock")
        with Process(self.folder, "backfill", show=True, program=program) as process:
            self._process = process
            code = process.wait(RUN_S)
            self._process = None
        peak = re.search(r"^peak (\d+) KiB, (.*) s$", process.errors, re.MULTILINE)
        if peak is not None:
            self.peak_bytes = max(self.peak_bytes, int(peak[1]) * 1024)
            self.cpu_s += float(peak[2])
        return code, process.errors


@pytest.fixture
def exceeded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long a stand-in told clients to wait, each time that a rate limit was exceeded, milliseconds."""
    waits: list[int] = []

    def counting(spend: Callable[..., int]) -> Callable[..., int]:
        def counted(self: object, who: str, now_ms: int, weight: int = 1) -> int:
            wait_ms = spend(self, who, now_ms, weight)
            waits.extend([wait_ms] * bool(wait_ms))
            return wait_ms

        return counted

    for limit in (RateLimit, DecayingLimit):
        monkeypatch.setattr(limit, "spend", counting(limit.spend))
    return waits


def refused_after(scene: Scene) -> int:
    """How many requests one after the other the stand-in answers before it refuses a client that does not wait."""
    account = scene.account
    traded = [Traded(None, symbol) for symbol in account.symbols]
    known = Known(account.symbols, {}, None, None, scene.clock.wall_ms(), instruments=traded)
    steps = account.venue.questions(Purpose.BACKFILL, known)
    question = next(step for step in steps if isinstance(step, Question))
    client = HttpClient(account.url, 10.0, 10.0)
    for number in range(3_000):
        got = client.fetch(question.request(account.url, account.credentials, scene.clock.wall_ms()))
        if account.venue.classify(got.status, got.body) is Verdict.WAIT:
            client.close()
            return number
    raise AssertionError("it has no limit")


@pytest.mark.parametrize("orders", [500])
@pytest.mark.parametrize("kind", EXCHANGES, ids=lambda kind: kind.venue)
def test_a_long_past_is_backfilled_whole_although_it_was_interrupted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exceeded: list[int], kind: Exchange, orders: int
) -> None:
    import time, os
    orders = int(os.environ.get("ORDERS", orders))
    t0 = time.monotonic()
    clock = HurriedClock(tmp_path / "clock")
    monkeypatch.setattr(portal, "wall_clock_ms", clock.wall_ms)
    venue = venue_named(kind.venue)
    now_ms = clock.wall_ms()
    end_ms = now_ms - 600_000
    begin_ms = end_ms - kind.days * DAY_MS
    kept_ms = 0 if kind.kept_days is None else end_ms - kind.kept_days * DAY_MS
    terms = venue.stand_in.terms(venue.stand_in.default_symbols)
    past = Past(
        terms,
        venue.stand_in.funds(terms),
        begin_ms=begin_ms,
        end_ms=end_ms,
        orders=orders,
        # In the time that the test takes by its own clock, the exchange forgets nothing more.
        silent_ms=(kept_ms - DAY_MS, kept_ms + 2 * DAY_MS),
    )
    options = SimulatorOptions(venue=kind.venue, start_ms=begin_ms - 1_000, pushes=0, keep_sent=False)
    handler: Any = venue.stand_in.request_handler
    handle = handler.handle

    def counting(self: Any, request: Request) -> Any:
        scene.note(request)
        return handle(self, request)

    with Simulator(options) as exchange:
        exchange.remember(past.moments())
        print("past", time.monotonic() - t0); t0 = time.monotonic()
        scene = Scene(tmp_path, exchange, clock)
        scene.begin(end_ms)
        monkeypatch.setattr(handler, "handle", counting)
        began_s = clock.ahead_s
        third = int(os.environ.get("THIRD", 60))
        print(scene.backfill(stop_after=third)[0], time.monotonic() - t0)
        print(scene.backfill(stop_after=third, by=signal.SIGKILL)[0], time.monotonic() - t0)
        code, printed = scene.backfill()
        print(code, time.monotonic() - t0)
        print(printed[-1500:])
        asked = scene.requests
        code, again = scene.backfill()
        print(code, time.monotonic() - t0)
        print(again[-1000:])
        print("requests", asked, scene.requests - asked, "simulated", clock.ahead_s - began_s, "peak", scene.peak_bytes / MIB, "cpu", scene.cpu_s, "own cpu", time.process_time())
        print("exceeded", exceeded[:3], len(exceeded))
        print("refused after", refused_after(scene))
        execution = exchange._portal._feeds[exchange.key].exchange.face.execution
    remembered = [one for one in past.fills if one.executed_ms >= kept_ms][-(kind.kept_fills or len(past.fills)) :]
    truth = Counter((told.symbol, told.trade_id) for told in (execution(one).fill for one in remembered))
    with open_engine(scene.url, read_only=True).connect() as connection:
        for table in (fills, order_updates, transactions):
            print(table.name, connection.scalar(select(func.count()).select_from(table)))
        found = Counter(map(tuple, connection.execute(select(fills.c.symbol, fills.c.trade_id).distinct())))
        print("truth", len(truth), "found", len(found), (truth - found).total(), (found - truth).total())
        print(connection.execute(select(reconciliations.c.purpose, reconciliations.c.result, reconciliations.c.detail)).all())
    t0 = time.monotonic()
    with recorder.open(scene.url) as record:
        n = sum(1 for _ in record.fills())
        print("fills()", n, time.monotonic() - t0)
        (account,) = record.status().accounts
        print({k: utc_text(v * NS_PER_MS) for k, v in account.history_since_ms.items()}, utc_text(kept_ms * NS_PER_MS))
