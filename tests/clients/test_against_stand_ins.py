"""Other people's clients at our stand-ins: they log in, subscribe, and understand what the recorder stores meanwhile.

A client that speaks with the exchange proves that the stand-in speaks as the exchange does, and what it understood is a
second reading of the same frames.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.live.recording import Recording
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues.binance.stand_in.face import dated_symbols
from tests.clients.listening import conversation
from tests.clients.watching import Stored, Watching, compare, same, stored
from tests.faults.live import account_at
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

PATIENCE_S = 60.0
#: Pushes of the simulated account in each test.
PUSHES = 600
STAND_IN, SERVED = "stand-in", "served record"
#: Subscriptions of the SDK of Hyperliquid.
KINDS = ("orderUpdates", "userFills", "userFundings", "userNonFundingLedgerUpdates")
#: The name of Binance's COIN-M futures in the table.
COIN_M = "binance coin-m"


@contextmanager
def exchange(venue: str) -> Iterator[Simulator]:
    """A simulated exchange that waits for `record`; by the real clock, because clients sign with it."""
    symbols = inverse_symbols() if venue == COIN_M else ()
    options = SimulatorOptions(
        venue=venue.partition(" ")[0],
        symbols=symbols,
        rate_per_s=200,
        live_clock=True,
        pushes=PUSHES,
        funding_interval_s=1,
    )
    with Simulator(options) as simulator:
        simulator.change(silent=True)
        yield simulator


def inverse_symbols() -> tuple[str, ...]:
    """Two perpetuals, and the future of this quarter."""
    (dated,) = dated_symbols(round(time.time() * 1000))
    return "BTCUSD_PERP", "ETHUSD_PERP", dated.replace("USDT", "USD")


def record(path: Path, simulator: Simulator) -> list[Stored]:
    """Record all trading of the account from the first push to the last; returns the pushes that were stored."""
    with Recording(f"sqlite:///{path / 'recorder.db'}", [account_at(simulator)]) as recording:
        wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        connections = simulator.clients
        simulator.change(silent=False)
        simulator.wait_finished(PATIENCE_S)
        expected = len(pushes(simulator, connections))
        wait_until(lambda: len(stored(path / "recorder.db")) >= expected)
    return stored(path / "recorder.db")


def pushes(simulator: Simulator, connection: int) -> list[str]:
    """The pushes that went to a connection; of the connections of a test, the client's is the first."""
    sent = [one for one in simulator.sent if one.connection == connection and one.kind == "push"]
    return [same(json.loads(one.payload)) for one in sent]


def acknowledged(simulator: Simulator, number: int) -> None:
    """Wait until this number of subscriptions was accepted."""

    def accepted() -> int:
        answers = [json.loads(one.payload) for one in simulator.sent if one.kind == "answer"]
        return sum(
            "subscribe" in {one.get("op"), one.get("event"), one.get("method")}
            or one.get("channel") == "subscriptionResponse"
            for one in answers
        )

    wait_until(lambda: accepted() >= number)


def reconcile(sent: Iterable[str], heard: Iterable[str], kept: Iterable[str], counts: Counter[str]) -> None:
    """What was sent to the client was heard by it and stored by the recorder, each frame as often."""
    all_sent, all_heard, all_kept = Counter(sent), Counter(heard), Counter(kept)
    counts["sent"] = all_sent.total()
    counts["stored"] = (all_sent & all_kept).total()
    counts["differences"] = ((all_sent - all_heard) + (all_sent - all_kept)).total()
    assert counts["sent"] > PUSHES // 10
    assert not counts["differences"]


@pytest.mark.parametrize("venue", ["bybit", "hyperliquid", "kraken", "okx"])
def test_ccxt_understands_what_is_stored(tmp_path: Path, venue: str) -> None:
    with exchange(venue) as simulator, conversation(venue, "ccxt.pro", STAND_IN) as counts:
        with Watching(venue, simulator.url, simulator.key, simulator.secret) as client:
            # Of Hyperliquid, positions and the balance are one subscription.
            acknowledged(simulator, {"bybit": 4, "hyperliquid": 3, "kraken": 2, "okx": 3}[venue])
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            client.wait(lambda: not Counter(sent) - Counter(one.frame for one in list(client.heard)))
        if venue not in {"hyperliquid", "kraken"}:
            counts["logins"] = client.logins
        compare(venue, [one for one in client.heard if one.frame in set(sent)], kept, counts)
        reconcile(sent, [one.frame for one in client.heard], [one.frame for one in kept], counts)
        # Those who wait for orders and trades were given each of them.
        rows = [row for one in kept if one.frame in set(sent) for row in one.rows]
        given = client.returned["watch_orders"], client.returned["watch_my_trades"]
        assert given[0] >= {row.order_id for table, row in rows if table == "order_updates"}
        assert given[1] >= {row.trade_id for table, row in rows if table == "fills"}


def test_pybit_hears_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pybit.unified_trading as pybit

    heard: list[dict[str, Any]] = []
    with exchange("bybit") as simulator, conversation("bybit", "pybit", STAND_IN) as counts:
        monkeypatch.setattr(pybit, "PRIVATE_WSS", f"ws://127.0.0.1:{simulator.port}/v5/private")
        client = pybit_at(simulator.key, simulator.secret, heard.append)
        try:
            acknowledged(simulator, 4)
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            wait_until(lambda: len(heard) >= len(sent))
            counts["logins"] = int(client.auth)
        finally:
            client.exit()
        assert counts["logins"] == 1
        counts["understood"] = len(heard)
        reconcile(sent, map(same, heard), [one.frame for one in kept], counts)


def pybit_at(key: str, secret: str, callback: Callable[[dict[str, Any]], None]) -> Any:
    """A client of the private stream that has subscribed to everything."""
    import pybit.unified_trading as pybit

    # Its own default of one second to log in is too short for a busy machine.
    client = pybit.WebSocket(
        testnet=False, channel_type="private", api_key=key, api_secret=secret, private_auth_expire=10
    )
    for subscribe in (client.order_stream, client.execution_stream, client.position_stream, client.wallet_stream):
        subscribe(callback=callback)
    return client


def test_pybit_asks_what_is_stored(tmp_path: Path) -> None:
    import pybit.unified_trading as pybit

    with exchange("bybit") as simulator, conversation("bybit", "pybit REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        client = pybit.HTTP(testnet=False, api_key=simulator.key, api_secret=simulator.secret, recv_window=10_000)
        client.endpoint = simulator.url
        fills: dict[str, str] = {}
        for category in ("linear", "inverse", "spot", "option"):
            cursor = ""
            while True:
                page = client.get_executions(category=category, limit=100, cursor=cursor)["result"]
                fills |= {one["execId"]: one["execPrice"] for one in page["list"] if one["execType"] != "Funding"}
                cursor = page["nextPageCursor"]
                if not cursor:
                    break
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert ours == fills
        wallet = client.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["coin"]
        assert {one["coin"] for one in wallet} >= {"USDT", "BTC"}
        assert client.get_api_key_information()["result"]["readOnly"] == 1
        assert client.get_transaction_log(accountType="UNIFIED", limit=50)["result"]["list"]


def test_the_sdk_of_hyperliquid_hears_what_is_stored(tmp_path: Path) -> None:
    from hyperliquid.info import Info

    heard: list[dict[str, Any]] = []
    with exchange("hyperliquid") as simulator, conversation("hyperliquid", "SDK", STAND_IN) as counts:
        info = Info(simulator.url)
        try:
            for kind in KINDS:
                info.subscribe({"type": kind, "user": simulator.key}, heard.append)
            acknowledged(simulator, len(KINDS))
            kept = record(tmp_path, simulator)
            sent = pushes(simulator, 1)
            wait_until(lambda: not Counter(sent) - Counter(map(same, heard)))
        finally:
            info.disconnect_websocket()
        counts["understood"] = (Counter(sent) & Counter(map(same, heard))).total()
        reconcile(sent, map(same, heard), [one.frame for one in kept], counts)


def test_the_sdk_of_hyperliquid_asks_what_is_stored(tmp_path: Path) -> None:
    from hyperliquid.info import Info

    with exchange("hyperliquid") as simulator, conversation("hyperliquid", "SDK REST: fills", STAND_IN) as counts:
        kept = record(tmp_path, simulator)
        info = Info(simulator.url, skip_ws=True)
        fills = {str(one["tid"]): one["px"] for one in info.user_fills(simulator.key)}
        ours = {row.trade_id: row.price for one in kept for table, row in one.rows if table == "fills"}
        counts["sent"] = counts["understood"] = len(fills)
        counts["stored"] = len(ours)
        assert ours == fills
        state = info.user_state(simulator.key)
        assert float(state["marginSummary"]["accountValue"]) > 0
        last = [json.loads(one.frame) for one in kept if one.topic == "allDexsClearinghouseState"][-1]
        assert state["assetPositions"] == last["data"]["clearinghouseState"]["assetPositions"]
        assert {one["coin"] for one in info.spot_user_state(simulator.key)["balances"]} == {"USDC", "HYPE"}
        assert info.frontend_open_orders(simulator.key)
        assert info.user_funding_history(simulator.key, 0)
