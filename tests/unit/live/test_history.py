"""A backfill over real HTTP: complete, once, within the venue's limits, and resumable."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import ColumnElement, distinct, func, select

import recorder
from recorder.cli.backfill import backfill as command
from recorder.clock import NS_PER_MS, Clock, utc_text
from recorder.errors import ConfigurationError, DatabaseBusy
from recorder.live import recording
from recorder.live.history import Backfill
from recorder.live.reconciler import Retry
from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.live.writer import Writer
from recorder.read.backfilled import completed_subjects, history_since
from recorder.read.projector import FRAMES_MAX, Projector
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import swallowing
from recorder.store.engine import open_engine
from recorder.store.event_log import INSTRUMENTS, REGULAR
from recorder.store.schema import fills, gaps, instruments, reconciliations, runs, transactions
from recorder.venues import VENUES, venue_named
from recorder.venues.hyperliquid import Hyperliquid, questions
from recorder.venues.hyperliquid import rest as answers
from recorder.venues.hyperliquid.stand_in import rest as server
from recorder.venues.rest import Credentials, RestLimit
from recorder.venues.stand_in import Request
from tests.client import fetch
from tests.depth import size
from tests.unit.live.archive import PAGE_ROWS, RETENTION_MS, Archive, ArchiveVenue, begin_record
from tests.unit.live.peer import PATIENCE_S
from tests.waiting import wait_until

QUICK = Limits(reconnect_first_s=0.001, reconnect_last_s=0.002, stop_s=60.0, reconcile_settle_s=0.001)
FILLS, TRANSACTIONS = size(40_000), 1_000
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, ArchiveVenue.name, f"{ArchiveVenue.__module__}:{ArchiveVenue.__name__}")


@dataclass
class StandInArchive:
    """An exchange's stand-in, as much as `Record` needs to know of it."""

    account: Account
    now_ms: int
    requests: int = 0
    after: Callable[[int], None] = lambda _number: None


class Record:
    """A record that began when the archive was made."""

    def __init__(self, path: Path, archive: Archive | StandInArchive) -> None:
        self.url = f"sqlite:///{path}"
        self.archive = archive
        self.account = archive.account
        begin_record(self.url, self.account, archive.now_ms)

    def backfill(self, since_ms: int | None = None, stop_at: int = 0, limits: Limits = QUICK) -> str:
        """Backfill, until this request arrives; return what is missing."""
        recording = Recording(self.url, [self.account], limits, by_hand=Backfill(since_ms))

        def stop(number: int) -> None:
            if number == stop_at:
                recording.wake.set()

        self.archive.after = stop
        with recording:
            assert recording.wait(90 * PATIENCE_S)
        (one,) = recording.asking
        return one.history.incomplete


def test_history_is_complete_and_counts_once_although_it_was_interrupted_twice(tmp_path: Path) -> None:
    limits = RestLimit(300, 0.5), RestLimit(2_000, 5.0)
    with Archive(*limits, fills=FILLS, transactions=TRANSACTIONS, now_ms=Clock().wall_ms()) as archive:
        record = Record(tmp_path / "recorder.db", archive)
        record.backfill(stop_at=60)
        record.backfill(stop_at=180)
        assert record.backfill() == ""
        asked = archive.requests
        account_id = record.account.account_id
        assert archive.violations == 0
        # A period that was interrupted is asked for again, and nothing else is.
        assert sum(times - 1 for times in archive.asked.values()) <= 2 * 2
        assert record.backfill() == ""
        assert archive.requests == asked
    engine = open_engine(record.url, read_only=True)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count(fills.c.trade_id.distinct()))) == FILLS
        assert connection.scalar(select(func.count(transactions.c.transaction_id.distinct()))) == TRANSACTIONS
        since = history_since(connection, account_id)
        results = connection.execute(select(reconciliations.c.purpose, reconciliations.c.result)).all()
        assert len(completed_subjects(connection, account_id)) >= 2 * RETENTION_MS // (7 * DAY_MS)
    assert [tuple(row) for row in results] == [("backfill", "interrupted")] * 2 + [("backfill", "answered")]
    assert set(since) == {"fills", "transactions"}
    assert all(0 <= at_ms - (archive.now_ms - RETENTION_MS) < 60_000 for at_ms in since.values())
    with recorder.open(record.url) as reading:
        assert sum(1 for _ in reading.fills()) == FILLS
        (account,) = reading.status().accounts
        assert account.history_since_ms == since


def test_a_stop_while_the_projections_follow_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is durable: that the writer is still busy when time is up loses nothing."""
    is_late = Event()

    def slow_step(writer: Writer) -> bool:
        if writer.run_is_durable and not is_late.is_set():
            assert writer._give_up.wait(PATIENCE_S)
            is_late.wait(0.2)  # longer than a writer may take to give up
            is_late.set()
        return False

    with Archive(fills=1_000, now_ms=Clock().wall_ms()) as archive:
        record = Record(tmp_path / "recorder.db", archive)
        monkeypatch.setattr(Writer, "_project_some", slow_step)
        monkeypatch.setattr(recording, "GIVE_UP_S", 0.01)
        assert record.backfill(stop_at=20, limits=replace(QUICK, stop_s=0.5)) == ""
        assert is_late.is_set()
    with open_engine(record.url).connect() as connection:
        *_, last = connection.execute(select(runs.c.end_reason).order_by(runs.c.run_id)).scalars()
        assert completed_subjects(connection, record.account.account_id)
    assert last == "stopped"


def test_answers_of_many_rows_are_projected_a_few_at_a_time() -> None:
    projector = Projector()
    projector.add(1, 10, 2_000)
    projector.add(1, 500, 500)
    assert projector.frames_a_step == 10
    projector.add(1, 1, 10_000)
    assert projector.frames_a_step == 1
    assert Projector().frames_a_step == FRAMES_MAX


def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the stand-in remember and show less, and measure its limit within a shorter time."""
    for module in (questions, server):
        monkeypatch.setattr(module, "FILLS_MAX", 100)
    monkeypatch.setattr(server, "FILLS_PER_PAGE", 40)
    monkeypatch.setattr(server, "LEDGER_PER_PAGE", 8)
    pages = {"userFillsByTime": 40, "userFunding": 8, "userNonFundingLedgerUpdates": 8}
    monkeypatch.setattr(answers, "_PAGE_ROWS", pages)
    # Our half of 160, and what two starts ask besides, 82 each: in so short a window, one may follow the other.
    monkeypatch.setattr(server, "WEIGHT_MAX", 250)
    monkeypatch.setattr(server, "WINDOW_MS", 500)
    monkeypatch.setattr(Hyperliquid, "rest_limits", (RestLimit(160, 0.5),))


def past_of(venue_name: str, now_ms: int, pushes: int, days: int = 70) -> SimulatorOptions:
    """An account that traded and received funding some days ago."""
    return SimulatorOptions(
        venue=venue_name,
        pushes=pushes,
        start_ms=now_ms - days * DAY_MS,
        wait_for_subscriber=False,
        keep_sent=False,
        funding_interval_s=1,
    )


def archive_of(exchange: Simulator, now_ms: int, monkeypatch: pytest.MonkeyPatch) -> StandInArchive:
    """A stand-in as an archive that counts the requests it gets."""
    venue = venue_named(exchange.options.venue)
    symbols = venue.stand_in.default_symbols if venue.needs_symbols else ()
    account = Account(name="main", venue=venue, url=exchange.url, credentials=exchange.credentials, symbols=symbols)
    archive = StandInArchive(account, now_ms - 600_000)
    handler: Any = venue.stand_in.request_handler
    handle = handler.handle

    def counting(self: Any, request: Request) -> Any:
        archive.requests += 1
        archive.after(archive.requests)
        return handle(self, request)

    monkeypatch.setattr(handler, "handle", counting)
    return archive


def test_an_exchange_that_keeps_the_newest_fills_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    exceeded: list[int],
) -> None:
    """Hyperliquid, whose limits and pages are smaller here."""
    small_limits(monkeypatch)
    kept = questions.FILLS_MAX
    now_ms = Clock().wall_ms()
    with Simulator(past_of("hyperliquid", now_ms, 1_400)) as exchange:
        exchange.wait_finished()
        truth = [one.fill for one in exchange.executions()]
        assert len(truth) > kept
        archive = archive_of(exchange, now_ms, monkeypatch)
        record = Record(tmp_path / "recorder.db", archive)
        since_ms = now_ms - 100 * DAY_MS
        record.backfill(since_ms, stop_at=archive.requests + 5)
        record.backfill(since_ms, stop_at=archive.requests + 12)
        assert record.backfill(since_ms) == ""
        asked = archive.requests
        assert record.backfill(since_ms) == ""
        # Only the clock, the account's role and its mode are asked for again.
        assert archive.requests - asked <= 3
        assert exceeded == []
        monkeypatch.setattr(server, "LEDGER_PER_PAGE", 1_000_000)
        body = {"type": "userFunding", "user": exchange.key, "startTime": 0}
        payments = json.loads(fetch(questions.post(exchange.url, body)))
    newest = {(one.symbol, one.trade_id) for one in truth[-kept:]}
    with recorder.open(record.url) as reading:
        found = [(one.symbol, one.trade_id) for one in reading.fills()]
        assert sorted(found) == sorted(newest)
        money = [one for one in reading.transactions() if one.type == "funding"]
        assert len(money) == len(payments) > 20
        (status,) = reading.status().accounts
        oldest_ms = min(one.executed_ms or 0 for one in truth[-kept:])
        assert status.history_since_ms["fills"] == oldest_ms
        assert status.history_since_ms["fundings"] <= since_ms
    assert f"the exchange no longer has fills before {utc_text(oldest_ms * NS_PER_MS)}" in caplog.text


def test_a_period_that_cannot_be_answered_is_asked_for_again_and_ends_the_history_until_then(tmp_path: Path) -> None:
    with Archive(fills=100, now_ms=Clock().wall_ms()) as archive:
        record = Record(tmp_path / "recorder.db", archive)
        # The second period of the fills.
        archive.answers.append((200, {}, b'{"code":0,"rows":[]}'))
        archive.answers.extend([(500, {}, b"")] * 5)
        missing = record.backfill()
        assert missing.startswith("fills from ") and missing.endswith("(HTTP 500)")
        with open_engine(record.url).connect() as connection:
            found = history_since(connection, record.account.account_id)
        assert archive.now_ms - found["fills"] == 7 * DAY_MS
        assert record.backfill() == ""
        with open_engine(record.url).connect() as connection:
            found = history_since(connection, record.account.account_id)
        assert archive.now_ms - found["fills"] > 700 * DAY_MS


def test_a_backfill_goes_back_as_far_as_it_is_told(tmp_path: Path) -> None:
    with Archive(fills=1_000, now_ms=Clock().wall_ms()) as archive:
        record = Record(tmp_path / "recorder.db", archive)
        since_ms = archive.now_ms - 30 * DAY_MS
        assert record.backfill(since_ms) == ""
        expected = sum(row.at_ms >= since_ms for row in archive.lists["fills"])
        with open_engine(record.url).connect() as connection:
            assert connection.scalar(select(func.count(fills.c.trade_id.distinct()))) == expected > 0
            assert history_since(connection, record.account.account_id)["fills"] == since_ms
    assert PAGE_ROWS < 1_000


def test_the_command_needs_a_record_and_no_other_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "key-of-mine")
    monkeypatch.setenv("A_SECRET", "secret-of-mine")
    with Archive(fills=10, now_ms=Clock().wall_ms()) as archive:
        config = tmp_path / "recorder.toml"
        config.write_text(
            f'[accounts.main]\nvenue = "archive"\nurl = "{archive.url}"\nkey = "env:A_KEY"\n'
            'secret = "env:A_SECRET"\nheartbeat_s = 10\nsymbols = ["btcusd_p"]\n'
        )
        path = tmp_path / "recorder.db"
        where = ["--config", str(config), "--database", f"sqlite:///{path}"]
        with pytest.raises(ConfigurationError, match="start recorder run first"):
            CliRunner().invoke(command, where, catch_exceptions=False)
        record = Record(path, archive)
        busy = pytest.raises(DatabaseBusy, match="stop it, type recorder backfill, and start it again")
        with Recording(record.url, [record.account], QUICK, by_hand=Retry()), busy:
            CliRunner().invoke(command, where, catch_exceptions=False)
        monkeypatch.setenv("A_KEY", record.account.credentials["key"])
        monkeypatch.setenv("A_SECRET", record.account.credentials["secret"])
        since = utc_text((archive.now_ms - 10**9) * NS_PER_MS)
        result = CliRunner().invoke(command, [*where, "--since", since], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"main: fills since {since} UTC from REST\n" in result.output


def test_what_symbols_mean_is_asked_for_when_the_account_trades_a_new_one(tmp_path: Path) -> None:
    url, limits = f"sqlite:///{tmp_path / 'recorder.db'}", replace(QUICK, transactions_every_s=0.02)
    symbols = ("BTCUSDT", "ETHUSDT", "BTCUSD", "spot:BTCUSDT")
    with Simulator(SimulatorOptions(venue="bybit", symbols=symbols, rate_per_s=100, live_clock=True)) as exchange:
        who = Credentials(key=exchange.key, secret=exchange.secret)
        account = Account(name="main", venue=venue_named("bybit"), url=exchange.url, credentials=who, symbols=())
        with Recording(url, [account], limits):

            def count(what: ColumnElement[int], *where: ColumnElement[bool]) -> int:
                with open_engine(url, read_only=True).connect() as connection:
                    return connection.scalar(select(func.count(what)).where(*where)) or 0

            def rounds(purpose: str) -> int:
                return count(reconciliations.c.reconciliation_id, reconciliations.c.purpose == purpose)

            wait_until(lambda: count(distinct(instruments.c.market + instruments.c.symbol)) == 4)
            asked, regular = rounds(INSTRUMENTS), rounds(REGULAR)
            wait_until(lambda: rounds(REGULAR) > regular + 2)
            # Nothing is new until tomorrow.
            assert rounds(INSTRUMENTS) == asked <= 4
        with recorder.open(url) as record:
            found = {(one.market, one.symbol): one for one in record.instruments()}
    assert found.keys() == {("linear", "BTCUSDT"), ("linear", "ETHUSDT"), ("inverse", "BTCUSD"), ("spot", "BTCUSDT")}
    perpetual, pair = found["linear", "ETHUSDT"], found["spot", "BTCUSDT"]
    names = perpetual.kind, perpetual.base, perpetual.quote, perpetual.settle
    assert names == ("linear", "ETH", "USDT", "USDT")
    assert (pair.kind, pair.base, pair.quote, pair.settle) == ("spot", "BTC", "USDT", None)
    sizes = perpetual.contract_size, perpetual.price_tick, perpetual.quantity_step
    assert [*map(str, sizes)] == ["1", "0.01", "0.001"]


def test_a_fill_that_the_socket_leaves_out_is_asked_for_without_a_gap(tmp_path: Path) -> None:
    url, limits = f"sqlite:///{tmp_path / 'recorder.db'}", replace(QUICK, transactions_every_s=1.0)
    with Simulator(SimulatorOptions(venue="hyperliquid", rate_per_s=100, live_clock=True)) as exchange:
        account = Account(
            name="main",
            venue=venue_named("hyperliquid"),
            url=exchange.url,
            credentials=Credentials({"address": exchange.key}),
            symbols=(),
        )

        def seen() -> set[str | None]:
            with open_engine(url, read_only=True).connect() as connection:
                return set(connection.scalars(select(fills.c.trade_id)))

        def executed() -> set[str | None]:
            return {one.fill.trade_id for one in exchange.executions()}

        with Recording(url, [account], limits):
            wait_until(lambda: bool(seen()))
            before = executed()
            with swallowing(exchange, ["userFills"]):
                wait_until(lambda: len(executed() - before) > 1)
                swallowed = executed() - before
            wait_until(lambda: swallowed <= seen())
    with recorder.open(url) as record:
        found = Counter(one.trade_id for one in record.fills())
        assert {found[one] for one in swallowed} == {1}
    with open_engine(url, read_only=True).connect() as connection:
        is_of_round = fills.c.session_id == reconciliations.c.reconciliation_id
        of_rounds = select(reconciliations.c.purpose).distinct().join(fills, is_of_round)
        assert list(connection.scalars(of_rounds.where(fills.c.trade_id.in_(swallowed)))) == [REGULAR]
        # That of the time before the record.
        assert connection.scalar(select(func.count(gaps.c.gap_id)).where(gaps.c.ends_ns.is_not(None))) == 1
