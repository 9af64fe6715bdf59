"""Faults of the simulated exchange, and how it starts and stops."""

import json
import urllib.error
import urllib.request

import pytest
import websocket

from recorder.simulator import BooksError, Simulator, SimulatorOptions
from recorder.simulator.exchange import Exchange
from recorder.simulator.faults import deaf, invalid_topics, refusing, silent, stalled_mid_frame
from recorder.venues.fmex import rest
from recorder.venues.fmex.portal import ping, subscribe
from recorder.venues.rest import Credentials, RestRequest
from tests.client import PATIENCE_S, fetch, http_error, now_ms
from tests.integration.simulated import Client, refused


@pytest.mark.parametrize(("status", "retry_after"), [(503, "3"), (429, "3"), (401, None)])
def test_refusing(simulator: Simulator, status: int, retry_after: str | None) -> None:
    who = Credentials(key=simulator.key, secret=simulator.secret)
    with Client(simulator) as client:
        client.answer()
        with refusing(simulator, status, retry_after_s=3):
            assert refused(simulator=simulator)[0] == status
            with http_error(status) as found:
                fetch(rest.accounts(simulator.url, who, now_ms()))
            assert found["headers"].get("Retry-After") == retry_after
            assert client.say(ping(now_ms(), "1"))["type"] == "ping"
        fetch(rest.accounts(simulator.url, who, now_ms()))
        Client(simulator).close()


def test_a_refused_key_still_gets_the_time(simulator: Simulator) -> None:
    with refusing(simulator, 401):
        fetch(rest.server_time(simulator.url))
    with refusing(simulator, 503), http_error(503):
        fetch(rest.server_time(simulator.url))


def test_silent(simulator: Simulator) -> None:
    with Client(simulator) as client:
        with silent(simulator):
            client.subscribe()
            simulator.wait_subscribed(PATIENCE_S)
            before = len(simulator.sent)
            assert client.say(ping(now_ms(), "1"))["type"] == "ping"
            with pytest.raises(TimeoutError):
                simulator.wait_finished(0.2)
            assert len(simulator.sent) == before + 1
        client.take(1_000)
        simulator.wait_finished(PATIENCE_S)


def test_deaf(simulator: Simulator) -> None:
    with Client(simulator, timeout_s=2.0) as client:
        client.subscribe()
        with deaf(simulator):
            client.socket.send(ping(now_ms(), "1"))
            with pytest.raises(websocket.WebSocketTimeoutException):
                while True:
                    assert json.loads(client.receive())["type"] != "ping"
            with pytest.raises((TimeoutError, websocket.WebSocketTimeoutException)):
                Client(simulator, timeout_s=0.2)
            with pytest.raises(TimeoutError):
                fetch_within(rest.server_time(simulator.url), 0.2)
            assert simulator.connections == 1
            simulator.wait_finished(PATIENCE_S)
        with pytest.raises(ConnectionResetError):
            client.receive()
    fetch(rest.server_time(simulator.url))
    received = client.frames
    assert received == [sent.payload for sent in simulator.sent][: len(received)]


def test_deaf_outlasts_the_ping_timeout() -> None:
    options = SimulatorOptions(ping_timeout_s=1.0, pushes=0)
    with Simulator(options) as simulator, Client(simulator, timeout_s=2.0) as client, deaf(simulator):
        client.answer()
        with pytest.raises(websocket.WebSocketTimeoutException):
            client.receive()
        assert simulator.connections == 1


def test_stalled_mid_frame(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.subscribe()
        client.take(1_000)
        with stalled_mid_frame(simulator):
            raw = client.socket.sock
            assert raw
            head = raw.recv(2)
            assert head[0] == 0x81
            raw.settimeout(0.2)
            rest_of_it = raw.recv(1_000)
            assert 0 < len(rest_of_it) < head[1]
            client.socket.ping(b"anybody there?")
            with pytest.raises(TimeoutError):
                raw.recv(1)
            with Client(simulator) as other:
                other.subscribe()
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_invalid_topics(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.answer()
        with invalid_topics(simulator, ["account"]):
            assert client.say(subscribe(["account"], "1"))["status"] == 41002
            assert client.say(subscribe(["order.btcusd_p"], "2"))["type"] == "topics"
        assert client.say(subscribe(["account"], "3"))["topics"] == ["account"]


def test_faults_nest(simulator: Simulator) -> None:
    with silent(simulator):
        with silent(simulator), refusing(simulator, 503):
            pass
        assert simulator.active_faults.silent
        assert simulator.active_faults.refuse_status == 0


def fetch_within(request: RestRequest, timeout_s: float) -> None:
    with urllib.request.urlopen(request.url, timeout=timeout_s):
        pass


# Beginning and end.


def test_closing_says_goodbye(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.answer()
        simulator.close()
        with pytest.raises(websocket.WebSocketConnectionClosedException, match="1001"):
            client.receive()
    simulator.close()


def test_an_address_that_is_taken(simulator: Simulator) -> None:
    with pytest.raises(OSError, match="address already in use"):
        Simulator(SimulatorOptions(port=simulator.port)).start()


def test_a_closed_simulator_says_so(simulator: Simulator) -> None:
    simulator.close()
    with pytest.raises(RuntimeError, match="closed"):
        simulator.push(b"")
    with pytest.raises(RuntimeError, match="closed"):
        simulator.wait_subscribed(PATIENCE_S)
    with pytest.raises(RuntimeError, match="once"):
        simulator.start()


@pytest.mark.parametrize("waiting", [True, False])
def test_an_error_of_its_own_surfaces(monkeypatch: pytest.MonkeyPatch, waiting: bool) -> None:
    def fail(_: Exchange) -> None:
        raise BooksError("books do not balance")

    monkeypatch.setattr(Exchange, "__next__", fail)
    simulator = Simulator(SimulatorOptions(pushes=10, wait_for_subscriber=False))
    with pytest.raises(BooksError, match="do not balance"):
        simulator.start()
        simulator.wait_finished(PATIENCE_S) if waiting else simulator.close()
    simulator.close()


def test_an_error_in_a_conversation_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("recorder.venues.fmex.stand_in.conversation.FMexConversation.receive", fail)
    simulator = Simulator(SimulatorOptions(pushes=10))
    with pytest.raises(AssertionError, match="a bug"), simulator, Client(simulator) as client:
        client.socket.send("{}")
        simulator.wait_subscribed(PATIENCE_S)
