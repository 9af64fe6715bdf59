"""The tokens of Deribit's logins, over a real socket: renewed before they end, and kept nowhere."""

import json
import logging
from pathlib import Path

import pytest

from recorder.live.recording import Recording
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues.deribit import portal
from recorder.venues.deribit.stand_in import conversation, login
from tests.faults.live import account_at
from tests.waiting import wait_until


def tokens(exchange: Simulator) -> list[str]:
    """The tokens that were sent so far."""
    answers = [json.loads(one.payload).get("result") for one in exchange.sent if one.kind == "answer"]
    logins = [one for one in answers if isinstance(one, dict) and "access_token" in one]
    return [one[name] for one in logins for name in ("access_token", "refresh_token")]


def test_tokens_are_renewed_and_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # A login that ends after six seconds, and questions of the server in its last fifth.
    monkeypatch.setattr(login, "CONNECTION_S", 6)
    monkeypatch.setattr(conversation, "INTERVAL_MIN_S", 0)
    monkeypatch.setattr(portal, "HEARTBEAT_S", 0.1)
    database = tmp_path / "recorder.db"
    with Simulator(SimulatorOptions(venue="deribit", rate_per_s=50, live_clock=True)) as exchange:
        with Recording(f"sqlite:///{database}", [account_at(exchange)]) as recording:
            wait_until(lambda: len(tokens(exchange)) >= 6)
            assert set(recording.state().sessions.values()) == {"covered"}
            assert exchange.clients == 1
        issued, secrets = tokens(exchange), (exchange.key, exchange.secret)
    assert len(set(issued)) == len(issued)
    left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"access_token" in left and b"client_signature" in left
    for secret in (*issued, *secrets):
        assert secret.encode() not in left
        assert secret not in caplog.text
