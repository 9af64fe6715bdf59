"""A client of the simulated exchange."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import websocket

import tests.client
from recorder.simulator import Simulator
from recorder.venues.rest import Credentials
from tests.client import PATIENCE_S


class Client(tests.client.Client):
    """A client of a simulator's push portal, by default with its first account."""

    def __init__(
        self,
        simulator: Simulator,
        *,
        key: str = "",
        secret: str = "",
        at_ms: int | None = None,
        timeout_s: float = PATIENCE_S,
        sockopt: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        who = Credentials(key=key or simulator.key, secret=secret or simulator.secret)
        super().__init__(simulator.url, who, at_ms=at_ms, timeout_s=timeout_s, sockopt=sockopt)


def refused(**options: Any) -> tuple[int, Any]:
    """Status and body with which a new client is refused."""
    simulator = options.pop("simulator")
    with pytest.raises(websocket.WebSocketBadStatusException) as raised:
        Client(simulator, **options)
    return raised.value.status_code, json.loads(raised.value.resp_body or b"")
