"""The tokens of Deribit's logins, over a real socket: renewed before they end, and kept nowhere."""

import json
import logging
from collections import Counter
from pathlib import Path

import pytest

from recorder.live.recording import Recording
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues.deribit import portal
from recorder.venues.deribit.stand_in import conversation, login
from tests.faults.live import account_at
from tests.waiting import wait_until


def logins(exchange: Simulator) -> list[tuple[int, dict[str, str]]]:
    """The answers to logins so far: the number of the connection, and what it was told."""
    answers = [(one.connection, json.loads(one.payload)) for one in exchange.sent if one.kind == "answer"]
    found = [(number, one.get("result")) for number, one in answers]
    return [(number, one) for number, one in found if isinstance(one, dict) and "access_token" in one]


def renewed(exchange: Simulator) -> int:
    """How often a connection's login was renewed, at most."""
    return max(Counter(number for number, _ in logins(exchange)).values(), default=0) - 1


def test_tokens_are_renewed_and_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # A login that ends after three seconds, and questions of the server in its last fifth.
    monkeypatch.setattr(login, "CONNECTION_S", 3)
    monkeypatch.setattr(conversation, "INTERVAL_MIN_S", 0)
    monkeypatch.setattr(portal, "HEARTBEAT_S", 0.1)
    database = tmp_path / "recorder.db"
    with Simulator(SimulatorOptions(venue="deribit", rate_per_s=50, live_clock=True)) as exchange:
        with Recording(f"sqlite:///{database}", [account_at(exchange)]) as recording:
            # Within one connection: a machine that is too busy to be in time may need several.
            wait_until(lambda: renewed(exchange) >= 2)
            wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        issued = [one[name] for _, one in logins(exchange) for name in ("access_token", "refresh_token")]
        secrets = exchange.key, exchange.secret
    assert len(set(issued)) == len(issued)
    left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"access_token" in left and b"client_signature" in left
    for secret in (*issued, *secrets):
        assert secret.encode() not in left
        assert secret not in caplog.text
