"""Other people's clients at a served record: they receive the recorded private stream again, in its order."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import recorder
from recorder.live.recording import Recording
from recorder.replay.serving import Serving, ServingOptions
from recorder.simulator import Simulator, SimulatorOptions
from tests.clients import test_ccxt_binance, test_ccxt_binance_spot, test_ccxt_bitget, test_deribit
from tests.clients.listening import conversation
from tests.clients.test_against_stand_ins import COIN_M, KINDS, SERVED, exchange, pybit_at, record
from tests.clients.watching import CcxtClient, Stored, Watching, compare, same
from tests.docs.pages import CHECKOUT, blocks
from tests.faults.live import account_at
from tests.waiting import wait_until

pytestmark = pytest.mark.clients

#: Topics that ccxt.pro watches.
CCXT = {
    "bybit": {"order", "execution", "position", "wallet"},
    "hyperliquid": {"orderUpdates", "userFills", "allDexsClearinghouseState"},
    "kraken": {"executions", "balances"},
    "okx": {"orders", "positions", "account"},
}


class Recorded(NamedTuple):
    """The record of a simulated account, and what ccxt knew of its markets: a record does not have all of them."""

    url: str
    pushes: list[Stored]
    markets: Any


@pytest.fixture(scope="module", params=list(CCXT))
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Recorded]]:
    path = tmp_path_factory.mktemp(request.param)
    with exchange(request.param) as simulator:
        with Watching(request.param, simulator.url, simulator.key, simulator.secret) as client:
            pass
        pushes = record(path, simulator)
    yield request.param, Recorded(f"sqlite:///{path / 'recorder.db'}", pushes, client.markets)


@pytest.fixture
def served(recorded: tuple[str, Recorded]) -> Iterator[Serving]:
    with Serving(recorded[1].url, ServingOptions(speed=None)) as serving:
        yield serving


def test_ccxt_understands_a_served_record(recorded: tuple[str, Recorded], served: Serving) -> None:
    venue, (_, every, markets) = recorded
    pushes = [one for one in every if one.topic in CCXT[venue]]
    with conversation(venue, "ccxt.pro", SERVED) as counts:
        with Watching(venue, served.url, served.keys[-1], served.options.secret, markets) as client:
            client.wait(lambda: len(client.heard) >= len(pushes))
            served.wait_finished(timeout_s=60)
            trades = client.ask("fetch_my_trades")
            # ccxt cannot read Kraken's answer that there are none.
            positions = [] if venue == "kraken" else client.ask("fetch_positions")
            balance = client.ask("fetch_balance")
        if venue not in {"hyperliquid", "kraken"}:
            counts["logins"] = client.logins
        counts["sent"] = counts["stored"] = len(pushes)
        assert [one.frame for one in client.heard] == [one.frame for one in pushes]
        compare(venue, client.heard, pushes, counts)
        # REST answers as of the end.
        fills = {row.trade_id for one in pushes for table, row in one.rows if table == "fills"}
        assert {one["id"] for one in trades} <= fills and trades
        latest = {
            (row.symbol, row.position_side): row.quantity
            for one in pushes
            for table, row in one.rows
            if table == "position_updates"
        }
        assert len({(one["symbol"], one["side"]) for one in positions}) == len(positions) <= len(latest)
        assert balance["total"]


@pytest.mark.parametrize("recorded", ["bybit"], indirect=True)
def test_pybit_hears_a_served_record(
    recorded: tuple[str, Recorded], served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pybit.unified_trading as pybit

    venue, (_, pushes, _) = recorded
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(pybit, "PRIVATE_WSS", f"{served.url.replace('http', 'ws')}/v5/private")
    with conversation(venue, "pybit", SERVED) as counts:
        client = pybit_at("main", served.options.secret, heard.append)
        try:
            wait_until(lambda: len(heard) >= len(pushes))
            counts["logins"] = int(client.auth)
            http = pybit.HTTP(testnet=False, api_key="main", api_secret=served.options.secret, recv_window=10_000)
            http.endpoint = served.url
            held = http.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
            ledger = http.get_transaction_log(accountType="UNIFIED")["result"]["list"]
        finally:
            client.exit()
        assert list(map(same, heard)) == [one.frame for one in pushes]
        counts["sent"] = counts["understood"] = counts["stored"] = len(heard)
        assert held and all("transactionTime" in one for one in ledger)


@pytest.mark.parametrize("recorded", ["hyperliquid"], indirect=True)
def test_the_sdk_of_hyperliquid_hears_a_served_record(recorded: tuple[str, Recorded], served: Serving) -> None:
    from hyperliquid.info import Info

    venue, (_, every, _) = recorded
    pushes = [one for one in every if one.topic in KINDS]
    heard: list[dict[str, Any]] = []
    address = served.keys[-1]
    with conversation(venue, "SDK", SERVED) as counts:
        info = Info(served.url)
        try:
            for kind in KINDS:
                info.subscribe({"type": kind, "user": address}, heard.append)
            wait_until(lambda: len(heard) >= len(pushes))
            served.wait_finished(timeout_s=60)
            fills, state = info.user_fills(address), info.user_state(address)
        finally:
            info.disconnect_websocket()
        assert list(map(same, heard)) == [one.frame for one in pushes]
        counts["sent"] = counts["understood"] = counts["stored"] = len(heard)
        ours = {row.trade_id for one in pushes for table, row in one.rows if table == "fills"}
        assert {str(one["tid"]) for one in fills} == ours
        assert len({one["position"]["coin"] for one in state["assetPositions"]}) == len(state["assetPositions"])


#: Venue → a client of ccxt.pro, which loads markets first.
CLIENTS: dict[str, Callable[..., CcxtClient]] = {
    "binance": test_ccxt_binance.Watching,
    COIN_M: test_ccxt_binance.WatchingCoinM,
    "binance_spot": test_ccxt_binance_spot.Watching,
    "bitget": test_ccxt_bitget.Watching,
    "deribit": test_deribit.Asking,
    **{name: partial(Watching, name) for name in CCXT},
}


@pytest.mark.parametrize("venue", CLIENTS)
def test_ccxt_loads_the_markets_that_a_record_knows(tmp_path: Path, venue: str) -> None:
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with exchange(venue) as simulator:
        record(tmp_path, simulator)
        simulator.change(silent=True)
        with recorder.open(url) as read:
            traded = {(one.market, one.symbol) for one in read.fills()}

            def described() -> bool:
                return traded <= {(one.market, one.symbol) for one in read.instruments()}

            # What symbols mean is asked when a run begins, and when one is new.
            with Recording(url, [account_at(simulator)]):
                # Kraken's limits make its questions take a minute and more.
                until_s = time.monotonic() + 300
                while not described():
                    assert time.monotonic() < until_s
                    time.sleep(0.1)
        with CLIENTS[venue](simulator.url, simulator.key, simulator.secret) as client:
            known = {one["id"]: one for one in client.markets}
    with Serving(url, ServingOptions(speed=None)) as serving:
        with CLIENTS[venue](serving.url, serving.keys[-1], serving.options.secret) as client:
            markets = {one["id"]: one for one in client.markets}
        for market_id, market in markets.items():
            shown = {**known[market_id]["info"], **({"markPx": None} if venue == "hyperliquid" else {})}
            assert {"markPx": None, **market["info"]} == {"markPx": None, **shown}, "prices are not recorded"
            assert market["precision"]["amount"] == known[market_id]["precision"]["amount"]
        assert len(markets) >= len({symbol for _, symbol in traded})


def snippets() -> list[str]:
    return [snippet for _, snippet in blocks(CHECKOUT / "docs/replay.md", "py")]


def run(snippet: str) -> None:
    """Run a snippet, and end the client that it leaves open."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(snippet, "docs/replay.md", "exec"), names)
    client = names.get("client")
    if client is not None:
        client.exit() if hasattr(client, "exit") else client.disconnect_websocket()


@pytest.mark.parametrize("recorded", ["bybit", "hyperliquid"], indirect=True)
def test_the_documented_clients_of_a_served_record(
    recorded: tuple[str, Recorded], served: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = [one for one in snippets() if ("hyperliquid" in one) == (recorded[0] == "hyperliquid")]
    assert len(mine) == 2
    for snippet in mine:
        run(snippet.replace("http://127.0.0.1:9020", served.url).replace("127.0.0.1:9020", served.url[7:]))
        assert capsys.readouterr().out


@pytest.mark.parametrize("venue", ["bybit", "hyperliquid"])
def test_the_documented_clients_of_the_simulated_exchange(venue: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Simulator(SimulatorOptions(venue=venue, rate_per_s=100, live_clock=True)) as simulator:
        for snippet in snippets():
            if ("hyperliquid" in snippet) == (venue == "hyperliquid"):
                text = snippet.replace("127.0.0.1:9020", f"127.0.0.1:{simulator.port}")
                run(text.replace("main", simulator.key).replace("replay-secret", simulator.secret))
                assert capsys.readouterr().out
