"""The tables at the end of `make clients`, and what other people's clients need to be tested."""

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from tests.clients import listening

pytest.register_assert_rewrite("tests.clients.checks_okx")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what other people's clients understood, beside what was stored."""
    tables = (
        ("what other clients understood", ("venue", "client", "against", *listening.COLUMNS, "explained")),
        ("what ccxt decodes", ("venue", "client", "frames", "agree or differ")),
    )
    for (title, head), lines in zip(tables, (listening.CONVERSATIONS, listening.DECODED), strict=True):
        if lines:
            terminalreporter.section(title)
            for line in listening.table(head, lines):
                terminalreporter.line(line)


@pytest.fixture(autouse=True)
def closed_sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the HTTP connections that pybit and the SDK of Hyperliquid leave open, in the test that opened them."""
    import requests

    opened: list[requests.Session] = []
    make = requests.Session.__init__

    def noted(session: requests.Session) -> None:
        make(session)
        opened.append(session)

    monkeypatch.setattr(requests.Session, "__init__", noted)
    yield
    for session in opened:
        session.close()
    # What a client left open otherwise is reported by this test, not by a later one.
    gc.collect()


@pytest.fixture(autouse=True, scope="session")
def closed_sockets() -> Iterator[None]:
    """Close the sockets of each `WebSocketApp` when it has ended; pybit and the SDK of Hyperliquid use it.

    It closes none that is not connected by its own account: neither after the server's Close frame, nor if it is
    closed by another thread while it connects. For the whole session, because its thread may outlive its test.
    """
    from websocket import WebSocket, WebSocketApp, _app

    mine = threading.local()
    run_forever = WebSocketApp.run_forever

    def noted(*arguments: Any, **named: Any) -> WebSocket:
        mine.opened.append(WebSocket(*arguments, **named))
        return cast("WebSocket", mine.opened[-1])

    def run(app: WebSocketApp, *arguments: Any, **named: Any) -> bool:
        mine.opened = []
        try:
            return run_forever(app, *arguments, **named)
        finally:
            for socket in mine.opened:
                socket.shutdown()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_app, "WebSocket", noted)
        patch.setattr(WebSocketApp, "run_forever", run)
        yield


@pytest.fixture(autouse=True)
def pybit_notes_subscriptions_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """pybit notes a subscription only after it was sent, and hangs for good if the answer is faster: let it finish."""
    from pybit import _websocket_stream

    manager: Any = _websocket_stream._V5WebSocketManager
    lock = threading.RLock()

    def one_at_a_time(method: Callable[..., None]) -> Callable[..., None]:
        def locked(*arguments: Any, **named: Any) -> None:
            with lock:
                method(*arguments, **named)

        return locked

    for name in ("subscribe", "_process_subscription_message"):
        monkeypatch.setattr(manager, name, one_at_a_time(getattr(manager, name)))
