"""What only Binance spot does to a connection: it ends subscriptions, announces shutdowns, and knows private keys."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recorder.simulator import Simulator, SimulatorOptions
from tests.faults.conftest import Report
from tests.faults.live import Live
from tests.unit.binance_spot.frames import sample

PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def simulator(**more: object) -> Simulator:
    options: dict[str, object] = {"venue": "binance_spot", "rate_per_s": 100, "live_clock": True}
    return Simulator(SimulatorOptions(**options | more))  # type: ignore[arg-type]


def gaps(live: Live) -> list[tuple[str, str]]:
    rows = live.rows("SELECT reason, coalesce(detail, '') FROM gaps ORDER BY gap_id")
    return [(reason, detail) for reason, detail in rows]


def test_a_subscription_that_the_exchange_ends_is_a_gap_until_the_next_one(tmp_path: Path, report: Report) -> None:
    with simulator() as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(30)
            before = live.sessions()
            exchange.push(sample("eventStreamTerminated"))
            live.wait_new_session(before)
            live.wait_more(30)
            live.reconcile()
        live.finish("subscription ended", report)
    (_, ended, _) = gaps(live)
    assert ended == ("closed", "the subscription has ended (eventStreamTerminated)")


def test_a_shutdown_that_is_announced_loses_nothing(tmp_path: Path, report: Report) -> None:
    with simulator() as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(30)
            before = live.sessions()
            exchange.push(sample("serverShutdown"))
            live.wait_new_session(before)
            live.wait_more(30)
            live.reconcile()
        verdict = live.finish("shutdown announced", report)
    assert verdict.lost == 0
    assert [reason for reason, _ in gaps(live)] == ["beginning", "stopped"]


def test_a_key_of_ed25519_records_and_reconciles_and_is_nowhere_in_the_record(
    tmp_path: Path, report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    with simulator(accounts={"modern-key-of-mine": PEM}) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(30)
            before = live.sessions()
            exchange.drop_connections()
            live.wait_new_session(before)
            live.wait_more(30)
            live.reconcile()
        live.finish("private key", report)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    lines = [line for line in PEM.splitlines() if "PRIVATE KEY" not in line]
    for secret in (*lines, "modern-key-of-mine"):
        assert secret.encode() not in stored and secret not in caplog.text
