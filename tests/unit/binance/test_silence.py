"""A connection that lives on and brings nothing: how it is noticed, and where the gap begins."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import recorder
from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import swallowing
from recorder.venues import venue_named
from recorder.venues.binance import portal, sign
from tests.faults.complete import rows_of
from tests.unit.binance.frames import sample
from tests.waiting import wait_until


class Scene:
    """A recorder at an exchange that trades on and on.

    Args:
        folder: of the database.
        limits: of the recorder.
        symbols: that are traded; the environment is that of their product.
    """

    def __init__(self, folder: Path, limits: Limits, symbols: tuple[str, ...] = ()) -> None:
        self.database = folder / "recorder.db"
        self.exchange = Simulator(SimulatorOptions(venue="binance", rate_per_s=100, live_clock=True, symbols=symbols))
        self._limits = limits
        self._environment = "coin-m" if symbols else "production"

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A run."""
        with self.exchange:
            account = Account(
                name="main",
                venue=venue_named("binance"),
                url=self.exchange.url,
                credentials=self.exchange.credentials,
                symbols=(),
                heartbeat_s=0.2,
                environment=self._environment,
            )
            with Recording(f"sqlite:///{self.database}", [account], self._limits):
                yield

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What is in the database."""
        return rows_of(self.database, sql)

    def wait_for(self, sql: str, count: int = 1) -> None:
        """Wait for so many rows."""
        wait_until(lambda: self.database.exists() and len(self.rows(sql)) >= count)

    def finish(self) -> None:
        """Trading ends; wait for the answers about every gap, and compare the fills."""
        self.exchange.change(silent=True)
        wait_until(lambda: not self.rows("SELECT 1 FROM gaps WHERE state = 'open'"))

    def require_complete(self) -> None:
        """Every fill of the exchange is there once; the last ones may still be on their way."""
        truth = sorted((one.fill.symbol or "", one.fill.trade_id or "") for one in self.exchange.executions())
        with recorder.open(f"sqlite:///{self.database}") as record:
            wait_until(lambda: sum(1 for _ in record.fills()) >= len(truth))
            assert sorted((one.symbol or "", one.trade_id or "") for one in record.fills()) == truth
        assert truth


QUICK = Limits(reconnect_first_s=0.05, reconnect_last_s=0.2, stop_s=10.0, reconcile_settle_s=0.001)
PUSHED = "SELECT 1 FROM fills"
#: Begin of a gap, and the last push that its session brought: no later frame than this one tells of the account.
BEGINS = """
    SELECT g.begins_ns, (SELECT max(f.received_ns) FROM frames f
      WHERE f.session_id = g.begin_session_id AND f.source = 'push' AND f.status = 'decoded')
    FROM gaps g WHERE g.reason = '{}'"""


@pytest.mark.parametrize("symbols", [(), ("BTCUSD_PERP", "ETHUSD_PERP")])
def test_a_discrepancy_ends_the_session_and_the_gap_begins_at_the_last_push(
    tmp_path: Path, symbols: tuple[str, ...]
) -> None:
    scene = Scene(tmp_path, replace(QUICK, reconcile_every_s=0.5, reconcile_settle_s=0.1), symbols)
    with scene.recording():
        scene.wait_for(PUSHED, 3)
        with swallowing(scene.exchange):
            scene.wait_for("SELECT 1 FROM sessions WHERE end_reason = 'discrepancy'")
        scene.finish()
        scene.require_complete()
    told = scene.rows(BEGINS.format("discrepancy"))
    assert told
    for begins_ns, pushed_ns in told:
        assert pushed_ns in {None, begins_ns}
    assert {state for (state,) in scene.rows("SELECT state FROM gaps WHERE reason = 'discrepancy'")} == {"reconciled"}
    assert scene.rows("SELECT 1 FROM discrepancies")


def test_a_listen_key_that_another_program_ended_ends_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal, "RENEW_S", 0.3)
    scene = Scene(tmp_path, QUICK)
    with scene.recording():
        scene.wait_for(PUSHED, 3)
        request = urllib.request.Request(
            f"{scene.exchange.url}/fapi/v1/listenKey", method="DELETE", headers={sign.KEY: scene.exchange.key}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.read() == b"{}"
        scene.wait_for("SELECT 1 FROM sessions WHERE covered_ns IS NOT NULL", 2)
        scene.finish()
        scene.require_complete()
    ((begins_ns, pushed_ns),) = scene.rows(BEGINS.format("token"))
    assert begins_ns == pushed_ns
    assert "listenKey does not exist" in scene.rows("SELECT end_detail FROM sessions ORDER BY session_id")[0][0]


def test_a_listen_key_that_expires_is_renewed_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, QUICK)
    with scene.recording():
        scene.wait_for(PUSHED, 3)
        scene.exchange.push(sample("listenKeyExpired"))
        scene.wait_for("SELECT 1 FROM sessions WHERE covered_ns IS NOT NULL", 2)
        scene.finish()
        scene.require_complete()
    ended = scene.rows("SELECT end_reason, end_detail FROM sessions ORDER BY session_id")
    assert ended[0] == ("token", "the listen key has expired")


def test_the_listen_key_is_nowhere_in_the_record(tmp_path: Path) -> None:
    scene = Scene(tmp_path, QUICK)
    with scene.recording():
        scene.wait_for("SELECT 1 FROM frames WHERE source = 'rest' AND topic LIKE '%startTime%'")
        request = urllib.request.Request(
            f"{scene.exchange.url}/fapi/v1/listenKey", method="POST", headers={sign.KEY: scene.exchange.key}
        )
        with urllib.request.urlopen(request) as answer:
            listen_key = answer.read().split(b'"')[3]
    assert len(listen_key) == 64
    for secret in (listen_key, scene.exchange.credentials["secret"].encode()):
        assert secret not in scene.database.read_bytes()
    told = " ".join(topic for (topic,) in scene.rows("SELECT topic FROM frames WHERE source = 'rest'"))
    assert "startTime" in told
    assert "signature" not in told
