"""Every venue through the faults that its protocol has a say in: kills, cuts, silence, refusals, logins, ages.

Afterwards each gap is reconciled, and the record has every fill of the exchange once.
"""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
import websocket

from recorder.live import collector, comparison
from recorder.live.proof import KEY_REFUSED
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import deaf, expired, invalid_topics, refusing, stalled_mid_frame
from recorder.venues import VENUES, venue_named
from recorder.venues.kraken import answers
from recorder.venues.kraken import questions as kraken_questions
from recorder.venues.kraken.stand_in import rest as kraken_rest
from recorder.venues.limits import Connections
from tests.depth import share
from tests.faults.conftest import Report
from tests.faults.live import Live
from tests.faults.proxy import Proxy
from tests.faults.scene import COVERED, Scene
from tests.integration.process import Folder
from tests.waiting import wait_until

#: Kraken allows few requests, so that a reconciliation after several gaps may take a minute.
pytestmark = pytest.mark.timeout(600)

WITH_KEYS = [name for name in VENUES if any(field.is_secret for field in venue_named(name).credential_fields)]

PACED = [name for name in VENUES if venue_named(name).connections.opened_max]

REFUSING_TOPICS = [name for name in VENUES if venue_named(name).stand_in.refuses_topics]


def options_of(venue: str, *, clock_offset_ms: int = 0) -> SimulatorOptions:
    return SimulatorOptions(
        venue=venue, rate_per_s=100, live_clock=True, funding_interval_s=1, expiry_s=4, clock_offset_ms=clock_offset_ms
    )


@pytest.fixture(params=VENUES)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """An exchange that trades on and on, by the real clock."""
    with Simulator(options_of(request.param)) as simulator:
        yield simulator


@pytest.fixture
def scene(tmp_path: Path, exchange: Simulator, report: Report) -> Scene:
    return Scene(Folder(tmp_path), exchange, report)


@contextmanager
def expired_later(exchange: Simulator) -> Iterator[Callable[[], None]]:
    """Gives what lets the key expire; it is restored at the end."""
    with ExitStack() as until:
        yield lambda: until.enter_context(expired(exchange))


@pytest.mark.long
@pytest.mark.parametrize("frames", [1, 150])
def test_killed_in_the_thick_of_it(scene: Scene, frames: int) -> None:
    with scene.run() as process:
        process.wait_for(COVERED)
        scene.wait_more(process, frames)
        process.send(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with scene.restarted() as process:
        scene.reconcile(process)
    scene.finish("kill -9")


@pytest.mark.long
def test_connections_that_are_reset(scene: Scene) -> None:
    with Proxy(scene.exchange.port) as proxy:
        scene.configure(proxy)
        with scene.running() as process:
            for _ in range(3):
                scene.wait_more(process, 30)
                with scene.recovery(process):
                    proxy.reset()
            scene.wait_more(process, 30)
            scene.reconcile(process)
    scene.finish("reset")


@pytest.mark.long
def test_an_exchange_that_hangs(scene: Scene) -> None:
    with scene.running() as process:
        scene.wait_more(process, 30)
        with scene.recovery(process), deaf(scene.exchange):
            process.wait_for("nothing came for 2 s")
        scene.reconcile(process)
    scene.finish("hung exchange")


@pytest.mark.long
def test_a_frame_that_stops_in_its_middle(scene: Scene) -> None:
    with scene.running() as process:
        scene.wait_more(process, 30)
        with scene.outage(process), stalled_mid_frame(scene.exchange):
            process.wait_for("nothing came for 2 s")
        scene.reconcile(process)
    scene.finish("stall in the middle of a frame")


@pytest.mark.long
@pytest.mark.parametrize("status", [429, 503])
def test_an_exchange_that_refuses_for_a_while(scene: Scene, status: int) -> None:
    with scene.running() as process:
        scene.wait_more(process, 30)
        with scene.recovery(process), refusing(scene.exchange, status):
            scene.exchange.drop_connections()
            process.wait_for("Trying again in")
        scene.reconcile(process)
    scene.finish(f"refused: {status}")


#: Venue → the HTTP status of an address that was banned for asking too often. Not Bybit: its ban lasts ten minutes, and
#: so the recorder waits for as long.
BANS = {"binance": 418, "binance_spot": 418, "bitget": 403}


@pytest.mark.long
@pytest.mark.parametrize("exchange", BANS, indirect=True)
def test_an_address_that_is_banned_for_a_while(scene: Scene) -> None:
    status = BANS[scene.exchange.options.venue]
    with scene.running() as process:
        scene.wait_more(process, 30)
        with scene.recovery(process), refusing(scene.exchange, status):
            scene.exchange.drop_connections()
            process.wait_for("Trying again in")
        scene.reconcile(process)
    scene.finish("banned")


def misuse(exchange: Simulator) -> bytes:
    """Another program sends a request with the account's key and a wrong signature. Returns the answer."""
    headers = {"API-Key": exchange.key, "API-Sign": "d3Jvbmc="}
    answer = urllib3.request("POST", f"{exchange.url}{answers.BALANCES}", headers=headers, body=b"nonce=1")
    return answer.data


@pytest.mark.parametrize("is_running", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_key_that_is_locked_out_for_a_while(
    tmp_path: Path,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_running: bool,
) -> None:
    """Kraken locks a key out that is refused too often, and longer if it is asked meanwhile."""
    monkeypatch.setattr(kraken_rest, "LOCKED_MS", 5_000)
    monkeypatch.setattr(kraken_questions, "LOCKED_S", 6.0)
    with Simulator(options_of("kraken")) as exchange:
        live = Live(tmp_path, exchange)
        if not is_running:
            while b"lockout" not in misuse(exchange):
                pass
        with live.recording():
            if is_running:
                live.wait_more(30)
                while b"lockout" not in misuse(exchange):
                    pass
                exchange.drop_connections()
            wait_until(lambda: "Temporary lockout" in caplog.text)
            already = len(live.acked)
            live.wait_more(30)
            assert len(live.acked) > already
            live.reconcile()
        live.finish("locked out", report)
    (said,) = {one.getMessage() for one in caplog.records if "Trying again in 6.0 s" in one.getMessage()}
    assert said.startswith(f"main: {exchange.url}{answers.TOKEN} asks to be left alone for now: HTTP 200")
    assert caplog.text.count("Temporary lockout") <= 3, "once for each thread that asks, and for the rights of the key"


def test_an_address_that_is_banned_for_too_many_connections(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other programs of the same address have connected to Kraken too often."""
    monkeypatch.setattr(venue_named("kraken"), "connections", Connections(opened_max=10, window_s=1.0, ban_s=1.0))
    monkeypatch.setattr(kraken_questions, "BANNED_S", 2.0)
    with Simulator(options_of("kraken")) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(30)
            before = live.sessions()
            with ExitStack() as others:
                with pytest.raises(websocket.WebSocketBadStatusException, match="429"):
                    while True:
                        address = f"ws{exchange.url.removeprefix('http')}/v2"
                        others.enter_context(closing(websocket.create_connection(address)))
                exchange.drop_connections()
            live.wait_new_session(before)
            live.reconcile()
        live.finish("banned for connections", report)
    assert exchange.refused == 2, "the other program, and the recorder once"
    assert "asks to be left alone for now: HTTP 429 too many connections. Trying again in 2.0 s." in caplog.text


@pytest.mark.parametrize("venue", share(PACED, "okx"))
def test_drops_without_end_never_lead_to_too_many_connections(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, venue: str
) -> None:
    """The limit is smaller than the exchange's, and one connection too many ends the test."""
    monkeypatch.setattr(venue_named(venue), "connections", Connections(opened_max=6, window_s=4.0, ban_s=600.0))
    caplog.set_level(logging.INFO)
    with Simulator(options_of(venue)) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            for _ in range(4):
                live.wait_more(10)
                before = live.sessions()
                exchange.drop_connections()
                live.wait_new_session(before)
        live.finish("drops without end", report)
    assert exchange.refused == 0
    assert "because the exchange limits new connections" in caplog.text


#: Venue → what it pushes before it ends connections for maintenance.
NOTICES = {
    "binance": b'{"e":"serverShutdown","E":1795800000000}',
    "bitget": b'{"event":"error","code":30033,"msg":"upgrade"}',
    "okx": b'{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
    b'Please reconnect.","connId":"a4d3ae55"}',
}


@pytest.mark.long
@pytest.mark.parametrize("venue", NOTICES)
def test_maintenance_that_is_announced(tmp_path: Path, report: Report, venue: str) -> None:
    with Simulator(options_of(venue)) as exchange:
        live = Live(tmp_path, exchange, heartbeat_s=0.3)
        with live.recording():
            live.wait_more(30)
            before = live.sessions()
            exchange.push(NOTICES[venue])
            live.wait_new_session(before)
            live.wait_more(30)
            live.reconcile()
        verdict = live.finish("maintenance announced", report)
    assert verdict.lost == 0, "the next connection is there before the old one is left"


#: Venue → what it pushes about its own state, which ends no connection.
STATES = {
    "deribit": b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"platform_state","data":'
    b'{"maintenance":true}}}',
    "kraken": b'{"channel":"status","type":"update","data":[{"api_version":"v2","connection_id":1,'
    b'"system":"maintenance","version":"2.0.0"}]}',
}


@pytest.mark.long
@pytest.mark.parametrize("venue", STATES)
def test_a_state_of_maintenance_is_logged_and_recorded(
    tmp_path: Path, report: Report, caplog: pytest.LogCaptureFixture, venue: str
) -> None:
    with Simulator(options_of(venue)) as exchange:
        live = Live(tmp_path, exchange, heartbeat_s=0.3)
        with live.recording():
            live.wait_more(30)
            exchange.push(STATES[venue])
            wait_until(lambda: "maintenance" in caplog.text)
            live.wait_more(30)
            live.reconcile()
        live.finish("maintenance announced", report)
    assert [frame for (frame,) in live.rows("SELECT payload FROM frames") if frame == STATES[venue]]


@pytest.mark.long
@pytest.mark.parametrize("exchange", REFUSING_TOPICS, indirect=True)
def test_a_topic_that_is_refused_is_a_gap_of_its_own(scene: Scene) -> None:
    topics = sorted(scene.exchange.topics())
    # Three or four of them: each asks the exchange again, which limits how often it is asked.
    topics = topics[:: max(len(topics) // 3, 1)]
    with scene.running() as process:
        for number, topic in enumerate(topics, 1):
            with scene.recovery(process), invalid_topics(scene.exchange, [topic]):
                scene.exchange.drop_connections()
                process.wait_for("refused topic", number)
            scene.wait_more(process, 20)
        with scene.recovery(process):
            scene.exchange.drop_connections()
        scene.reconcile(process)
    gaps = "SELECT topic, ends_ns IS NOT NULL FROM gaps WHERE reason = 'refused' ORDER BY topic"
    assert scene.folder.rows(gaps) == [(topic, 1) for topic in topics]
    scene.finish("refused topic")


@pytest.mark.parametrize("stays_open", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize("venue", share(WITH_KEYS, "fmex", "bybit"))
def test_a_key_that_is_revoked_and_restored(
    tmp_path: Path,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    venue: str,
    stays_open: bool,
) -> None:
    monkeypatch.setattr(collector, "REFUSED_S", 0.5)
    monkeypatch.setattr(comparison, "PUSHED_WITHIN_S", 0.5)
    with Simulator(options_of(venue)) as exchange:
        live = Live(tmp_path, exchange, heartbeat_s=0.5, ask_every_s=0.5 if stays_open else None)
        with live.recording():
            live.wait_more(30)
            with expired(exchange):
                if not stays_open:
                    # Its heartbeats are answered, and nothing is pushed to it, until the connection is lost.
                    made = len(exchange.history) + 100
                    wait_until(lambda: len(exchange.history) >= made)
                    exchange.drop_connections()
                wait_until(lambda: "refused the" in caplog.text)
                wait_until(lambda: not stays_open or live.rows(f"SELECT 1 FROM gaps WHERE reason = '{KEY_REFUSED}'"))
            live.wait_more(30)
            live.reconcile()
        live.finish(f"key revoked{', socket left open,' if stays_open else ''} and restored", report)


@pytest.mark.parametrize("is_killed", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize("exchange", share(WITH_KEYS, "fmex", "bybit"), indirect=True)
def test_a_key_that_is_revoked_before_a_run_ends_and_refused_when_the_next_one_begins(
    scene: Scene, is_killed: bool
) -> None:
    """The exchange goes on answering heartbeats, pushes nothing, and nobody asks over REST before the end."""
    scene.configure(limits={"transactions_every_s": 0, "reconcile_every_s": 0})
    with expired_later(scene.exchange) as expire:
        with scene.run() as process:
            process.wait_for(COVERED)
            wait_until(lambda: not scene.folder.rows("SELECT 1 FROM gaps WHERE state = 'open'"))
            scene.wait_more(process, 30)
            expire()
            made = len(scene.exchange.history) + 250
            wait_until(lambda: len(scene.exchange.history) >= made)
            if is_killed:
                process.send(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
            else:
                scene.stop(process)
        with scene.run() as process:
            assert process.wait() == 2, process.errors
    with scene.restarted() as process:
        scene.reconcile(process)
    verdict = scene.finish(f"key revoked, then {'kill -9' if is_killed else 'stop'}")
    assert verdict.lost


@pytest.mark.long
@pytest.mark.parametrize("clock_offset_ms", [-800, 800])
@pytest.mark.parametrize("venue", VENUES)
def test_a_clock_that_is_off(tmp_path: Path, report: Report, venue: str, clock_offset_ms: int) -> None:
    with Simulator(options_of(venue, clock_offset_ms=clock_offset_ms)) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            for _ in range(2):
                live.wait_more(30)
                before = live.sessions()
                exchange.drop_connections()
                live.wait_new_session(before)
            live.reconcile()
        live.finish("clock off", report)


@pytest.mark.long
@pytest.mark.parametrize("venue", VENUES)
def test_a_connection_is_replaced_before_the_exchange_ends_it_for_its_age(
    tmp_path: Path, report: Report, venue: str
) -> None:
    with Simulator(options_of(venue)) as exchange:
        live = Live(tmp_path, exchange, heartbeat_s=0.3, connection_max_s=1.0)
        with live.recording():
            while live.sessions() < 4:
                live.wait_more(10)
            live.reconcile()
        verdict = live.finish("planned reconnect", report)
    assert verdict.lost == 0
    streams = live.rows("SELECT DISTINCT stream FROM sessions ORDER BY stream")
    reasons = live.rows("SELECT stream, reason FROM gaps ORDER BY stream, reason")
    assert reasons == [(stream, reason) for (stream,) in streams for reason in ("beginning", "stopped")]


#: Exchanges that end a connection at an age.
AGING = [name for name in VENUES if venue_named(name).connection_max_s]


@pytest.mark.long
@pytest.mark.parametrize("venue", AGING)
def test_an_exchange_that_ends_connections_at_an_age_never_ends_one_of_ours(
    tmp_path: Path, report: Report, venue: str
) -> None:
    with Simulator(replace(options_of(venue), connection_max_s=4.0)) as exchange:
        live = Live(tmp_path, exchange, heartbeat_s=0.3, connection_max_s=2.0)
        with live.recording():
            while live.sessions() < 4:
                live.wait_more(10)
            live.reconcile()
        verdict = live.finish("age limit", report)
    assert verdict.lost == 0
