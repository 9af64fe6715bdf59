"""What HTTP answers mean, for every venue: what stands in front of an exchange never speaks for it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import SessionOver, Unavailable, Unreachable
from recorder.live.http import HttpAnswer, venue_error
from recorder.live.recording import Recording
from recorder.live.settings import Limits
from recorder.model import RefusedCommand
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES, venue_named
from recorder.venues.base import Venue
from recorder.venues.reading import error_topic, read_answer
from recorder.venues.rest import Credentials, Login, Token, Verdict
from tests.depth import share
from tests.faults.live import account_at
from tests.waiting import wait_until

PAGE = b"\r\n<html><head><title>nginx</title></head><body>nginx</body></html>"
#: What gateways say.
GATEWAY = b'{"message":"no Route matched with those values"}'
#: Errors of a proxy, a firewall or a CDN.
PAGES = (301, 302, 400, 401, 403, 404, 405, 408, 410, 418, 422, 425, 429, 451, 500, 502, 503, 504, 520, 521, 530)
#: Those that pass by themselves.
AWAY = (403, 408, 418, 425, 429, 500, 502, 503, 504, 520, 521, 530)

#: Venue → how it says in its own words that it cannot answer now.
MAINTENANCE = {
    "binance": (503, b'{"code":-1016,"msg":"This service is no longer available."}'),
    "binance_spot": (503, b'{"code":-1008,"msg":"Server is currently overloaded."}'),
    "bitget": (200, b'{"code":"40725","msg":"service return an error","data":null}'),
    "bybit": (200, b'{"retCode":10016,"retMsg":"Service is restarting","result":{}}'),
    "deribit": (400, b'{"jsonrpc":"2.0","error":{"code":11051,"message":"system_maintenance"}}'),
    "fmex": (503, b'{"status":503,"msg":"maintenance"}'),
    "hyperliquid": (500, b"null"),
    "kraken": (200, b'{"error":["EService:Unavailable"]}'),
    "okx": (503, b'{"code":"50001","msg":"Service temporarily unavailable","data":[]}'),
}


@pytest.fixture(params=list(VENUES))
def venue(request: pytest.FixtureRequest) -> Venue:
    return venue_named(request.param)


@pytest.mark.parametrize("status", PAGES)
def test_a_page_is_not_the_exchanges_word(venue: Venue, status: int) -> None:
    passing = {Verdict.TRANSIENT, Verdict.WAIT} if status in AWAY else {Verdict.FOREIGN}
    assert venue.classify(status, PAGE) in passing
    if status != 401:  # some exchanges refuse a key without a word
        assert venue.classify(status, b"") in passing
        assert venue.classify(status, GATEWAY) in passing


def test_a_page_instead_of_an_answer_is_none(venue: Venue) -> None:
    assert venue.classify(200, PAGE) is Verdict.FOREIGN
    assert venue.classify(200, b"") is Verdict.FOREIGN


@pytest.mark.parametrize("status", [*AWAY, None])
def test_an_exchange_that_cannot_answer_now_is_unavailable(venue: Venue, status: int | None) -> None:
    answer = HttpAnswer(status, {}, PAGE) if status else HttpAnswer(MAINTENANCE[venue.name][0], {}, b"")
    if not status:
        answer = answer._replace(body=MAINTENANCE[venue.name][1])
    error = venue_error(venue, "https://exchange.example/x", answer, (), 0)
    assert type(error) is Unavailable
    assert "check the address" not in str(error)


def test_a_page_that_is_missing_may_be_at_a_wrong_address(venue: Venue) -> None:
    error = venue_error(venue, "https://exchange.example/x", HttpAnswer(404, {}, PAGE), (), 0)
    assert type(error) is Unreachable
    assert "check the address" in str(error)


def test_a_page_instead_of_an_order_ends_no_order() -> None:
    of_one = error_topic(404, "/v3/contracts/orders/5")
    assert read_answer(venue_named("fmex"), of_one, b'{"status":404,"msg":"no"}').updates
    assert not read_answer(venue_named("fmex"), of_one, PAGE).updates


#: Venue that logs in, or sends a token, on its socket → a refusal that says nothing about the login.
BUSY = {
    "bitget": RefusedCommand(None, 30006, "too many requests"),
    "bybit": RefusedCommand("login", 10016, "server error"),
    "deribit": RefusedCommand("login", 11051, "system_maintenance"),
    "kraken": RefusedCommand("1", None, "EService:Unavailable"),
    "okx": RefusedCommand(None, 50013, "Systems are busy. Please try again later."),
}


@pytest.mark.parametrize("name", BUSY)
def test_a_login_in_maintenance_is_not_refused_for_good(name: str) -> None:
    venue = venue_named(name)
    secret = {field.name: "c2VjcmV0" for field in venue.credential_fields}
    login = Login("https://x", "wss://x", Credentials(**secret), ())
    session = venue.push_session(venue.streams(login)[0], login, Token("token", 60.0))
    session.opening(1_795_000_000_000)
    with pytest.raises(SessionOver):
        session.receive(BUSY[name], 1_795_000_000_000)


class Away:
    """An exchange in maintenance: every request gets a page."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers.get("Upgrade", ""))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(503)
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)

            do_POST = do_PUT = do_GET  # noqa: N815  what the server calls

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def away() -> Iterator[Away]:
    away = Away()
    away.thread.start()
    yield away
    away.server.shutdown()
    away.thread.join()
    away.server.server_close()


@pytest.mark.parametrize("name", share(VENUES, "binance", "kraken"))
def test_maintenance_at_the_start_does_not_end_the_run_of_others(name: str, away: Away, tmp_path: Path) -> None:
    with Simulator(SimulatorOptions(venue=name, pushes=0)) as open_one:
        waiting = replace(account_at(open_one), name="waiting", url=away.url)
    limits = Limits(reconnect_first_s=0.02, reconnect_last_s=0.05)
    with Simulator(SimulatorOptions(pushes=20)) as exchange:
        accounts = [waiting, replace(account_at(exchange), name="well")]
        with Recording(f"sqlite:///{tmp_path / 'recorder.db'}", accounts, limits) as recording:
            before = len(away.asked)
            wait_until(lambda: len(away.asked) > before + 3)
            wait_until(lambda: recording.state().sessions["well"] == "covered" and recording.state().frames >= 20)
            assert not recording.wait(0)
            assert {one.state for one in recording._collectors if one.account is waiting} == {"connecting"}
