"""Other people's clients at our stand-ins: they log in, subscribe, and understand what the recorder stores.

A client that speaks with the exchange proves that the stand-in speaks as the exchange does, and its callbacks are a
second reading of the same frames.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.live.recording import Recording
from recorder.model import CONTROL, PUSH
from recorder.simulator import Simulator, SimulatorOptions
from tests.clients.listening import counted
from tests.faults.live import account_at

pytestmark = pytest.mark.clients

PATIENCE_S = 60.0
#: Pushes of the simulated account in each test.
PUSHES = 600


@contextmanager
def exchange(venue: str) -> Iterator[Simulator]:
    """A simulated exchange by the real clock, because clients sign with it."""
    options = SimulatorOptions(venue=venue, rate_per_s=150, live_clock=True, pushes=PUSHES, funding_interval_s=1)
    with Simulator(options) as simulator:
        yield simulator


def recorded(path: Path, simulator: Simulator) -> list[bytes]:
    """Record until the account has stopped trading; returns the pushes that were stored."""
    url = f"sqlite:///{path / 'recorder.db'}"
    with Recording(url, [account_at(simulator)]) as recording:
        simulator.wait_finished(PATIENCE_S)
        recording.wait(1.0)
    with closing(sqlite3.connect(path / "recorder.db")) as database:
        sql = "SELECT payload FROM frames WHERE source = ? AND status <> ? ORDER BY seq"
        return [payload for (payload,) in database.execute(sql, (PUSH, CONTROL))]


def compare(
    heard: list[dict[str, Any]], stored: list[bytes], counts: Counter[str], key: Callable[[dict[str, Any]], Any]
) -> None:
    """Everything that was stored was understood by the client, and everything since then that it heard was stored."""
    ours = [json.loads(payload) for payload in stored]
    ours = [one for one in ours if key(one) is not None]
    told = Counter(json.dumps(one, sort_keys=True) for one in heard)
    kept = Counter(json.dumps(one, sort_keys=True) for one in ours)
    counts["sent"] = counts["stored"] = sum(kept.values())
    counts["understood"] = sum((told & kept).values())
    counts["differences"] = sum((kept - told).values())
    assert sum(kept.values()) > PUSHES // 10
    assert not kept - told, "stored, but not understood by the client"
    first = next(place for place, one in enumerate(heard) if json.dumps(one, sort_keys=True) in kept)
    later = Counter(json.dumps(one, sort_keys=True) for one in heard[first:])
    assert not later - kept, "heard by the client, but not stored"


def test_pybit_hears_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pybit.unified_trading as pybit

    heard: list[dict[str, Any]] = []
    with exchange("bybit") as simulator, counted("bybit", "pybit", "private stream") as counts:
        monkeypatch.setattr(pybit, "PRIVATE_WSS", f"ws://127.0.0.1:{simulator.port}/v5/private")
        # Its own default of one second is too short for a busy machine.
        client = pybit.WebSocket(
            testnet=False,
            channel_type="private",
            api_key=simulator.key,
            api_secret=simulator.secret,
            private_auth_expire=10,
        )
        try:
            for subscribe in (
                client.order_stream,
                client.execution_stream,
                client.position_stream,
                client.wallet_stream,
            ):
                subscribe(callback=heard.append)
            stored = recorded(tmp_path, simulator)
            counts["logins"] = int(client.auth)
        finally:
            client.exit()
        assert counts["logins"] == 1
        compare(heard, stored, counts, lambda frame: frame.get("topic"))


def test_pybit_asks_what_is_stored(tmp_path: Path) -> None:
    import pybit.unified_trading as pybit

    with exchange("bybit") as simulator, counted("bybit", "pybit", "REST") as counts:
        stored = recorded(tmp_path, simulator)
        client = pybit.HTTP(testnet=False, api_key=simulator.key, api_secret=simulator.secret, recv_window=10_000)
        client.endpoint = simulator.url
        fills: dict[str, str] = {}
        for category in ("linear", "inverse", "spot"):
            cursor = ""
            while True:
                page = client.get_executions(category=category, limit=100, cursor=cursor)["result"]
                fills |= {one["execId"]: one["execPrice"] for one in page["list"]}
                cursor = page["nextPageCursor"]
                if not cursor:
                    break
        ours = {
            row["execId"]: row["execPrice"]
            for frame in map(json.loads, stored)
            if frame.get("topic") == "execution"
            for row in frame["data"]
            if row["execType"] == "Trade"
        }
        counts["fills stored"], counts["fills of REST"] = len(ours), len(fills)
        assert ours.items() <= fills.items()
        wallet = client.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["coin"]
        assert {one["coin"] for one in wallet} >= {"USDT", "BTC"}
        assert client.get_api_key_information()["result"]["readOnly"] == 1
        log = client.get_transaction_log(accountType="UNIFIED", limit=50)["result"]["list"]
        counts["ledger rows"] = len(log)
        assert log


def test_the_sdk_of_hyperliquid_hears_what_is_stored(tmp_path: Path) -> None:
    from hyperliquid.info import Info

    heard: list[dict[str, Any]] = []
    with exchange("hyperliquid") as simulator, counted("hyperliquid", "SDK", "streams") as counts:
        info = Info(simulator.url)
        try:
            for kind in ("orderUpdates", "userFills", "userFundings", "userNonFundingLedgerUpdates"):
                info.subscribe({"type": kind, "user": simulator.key}, heard.append)
            stored = recorded(tmp_path, simulator)
        finally:
            info.disconnect_websocket()
        known = {"orderUpdates", "userFills", "userFundings", "userNonFundingLedgerUpdates"}

        def event(frame: dict[str, Any]) -> Any:
            is_event = frame["channel"] in known and not (
                isinstance(frame["data"], dict) and frame["data"].get("isSnapshot")
            )
            return frame["channel"] if is_event else None

        compare([one for one in heard if event(one)], stored, counts, event)


def test_the_sdk_of_hyperliquid_asks_what_is_stored(tmp_path: Path) -> None:
    from hyperliquid.info import Info

    with exchange("hyperliquid") as simulator, counted("hyperliquid", "SDK", "REST") as counts:
        stored = [json.loads(payload) for payload in recorded(tmp_path, simulator)]
        info = Info(simulator.url, skip_ws=True)
        fills = {one["tid"]: one["px"] for one in info.user_fills(simulator.key)}
        pushed = [one["data"] for one in stored if one["channel"] == "userFills"]
        ours = {fill["tid"]: fill["px"] for data in pushed for fill in data["fills"]}
        counts["fills stored"], counts["fills of REST"] = len(ours), len(fills)
        assert ours.items() <= fills.items()
        state = info.user_state(simulator.key)
        assert float(state["marginSummary"]["accountValue"]) > 0
        last = [one["data"]["clearinghouseStates"][0][1] for one in stored if "allDexs" in one["channel"]][-1]
        assert state["assetPositions"] == last["assetPositions"]
        assert {one["coin"] for one in info.spot_user_state(simulator.key)["balances"]} == {"USDC", "HYPE"}
        counts["open orders"] = len(info.frontend_open_orders(simulator.key))
        assert info.user_funding_history(simulator.key, 0)
