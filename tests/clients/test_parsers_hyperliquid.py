"""ccxt as an independent decoder of Hyperliquid's frames and answers: it must understand what our rows say.

Where the two differ on purpose, the test says how. ccxt is told to keep numbers as texts, so digits are compared, not
floats. It reads neither streams of the ledger nor of fundings; of these, answers are compared.
"""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from recorder.model import Notice, RefusedCommand
from recorder.venues.reading import read_answer, read_frame
from tests.clients.listening import Line, counted, number
from tests.samples import HYPERLIQUID, sample, sample_lines
from tests.unit.hyperliquid.test_rest import target

pytestmark = pytest.mark.clients

FRAMES = 300
ME, OTHER = "0x5e11aa00000000000000000000000000000000a1", "0x7e57bb00000000000000000000000000000000b2"
STATUSES = {
    **{"pending": "open", "new": "open", "partially_filled": "open"},
    **{"filled": "closed", "canceled": "canceled", "rejected": "rejected"},
}
WORDS = (
    *("open", "triggered", "filled", "canceled", "marginCanceled", "scheduledCancel", "internalCancel", "rejected"),
    *("reduceOnlyCanceled", "iocCancelRejected", "badAloPxRejected", "lunarHold"),
)
COINS = ("ETH", "@107", "PURR/USDC", "xyz:TSLA", "kPEPE")


@pytest.fixture(scope="module")
def markets() -> list[dict[str, Any]]:
    """The sample instruments as ccxt understands them."""
    import ccxt

    perpetuals, spot = answer_of("meta"), answer_of("spotMeta")
    prices = [{"markPx": "3.1", "midPx": "3.1"}] * 200
    answers = {"metaAndAssetCtxs": [perpetuals, prices], "spotMetaAndAssetCtxs": [spot, prices]}
    # ccxt takes a token's place in the list for its index.
    places = {token["index"]: place for place, token in enumerate(spot["tokens"])}
    for pair in spot["universe"]:
        pair["tokens"] = [places[token] for token in pair["tokens"]]
    exchange = ccxt.hyperliquid({"number": str})
    exchange.publicPostInfo = lambda request: answers[request["type"]]
    found: list[dict[str, Any]] = exchange.fetch_swap_markets() + exchange.fetch_spot_markets()
    return found


@pytest.fixture
def client(markets: list[dict[str, Any]]) -> Any:
    """A client that has received nothing yet."""
    import ccxt.pro

    client = ccxt.pro.hyperliquid({"number": str})
    client.set_markets(markets)
    return client


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    with counted("hyperliquid", "ccxt", request.node.name) as counts:
        yield counts


def answer_of(kind: str) -> Any:
    return json.loads(sample(f"answers/{kind}", "hyperliquid"))


def read(channel: str, data: object) -> tuple[bytes, tuple[Any, ...]]:
    """A frame, and what it says."""
    frame = json.dumps({"channel": channel, "data": data}, separators=(",", ":")).encode()
    decoded = read_frame(HYPERLIQUID, frame)
    assert decoded.error is None
    return frame, decoded.updates


def asked(kind: str, body: object) -> tuple[Any, ...]:
    decoded = read_answer(HYPERLIQUID, target(kind), json.dumps(body).encode())
    assert decoded.error is None
    return decoded.updates


def line() -> Line:
    return Line("wss://api.hyperliquid.xyz/ws")


def digits(random: Random) -> str:
    return f"{random.randint(0, 10**8)}.{random.randint(0, 10**8)}"


def orders(random: Random) -> Iterator[dict[str, Any]]:
    """Orders with every field, of every kind, with random digits."""
    for _ in range(FRAMES):
        quantity = random.randint(1, 10**9)
        trigger = random.choice(["", "Stop Market", "Stop Limit", "Take Profit Market", "Take Profit Limit"])
        yield {
            "coin": random.choice(COINS),
            "side": random.choice("AB"),
            "limitPx": digits(random),
            "sz": f"{random.randint(0, quantity)}e-3" if random.random() < 0.1 else f"{quantity // 2}.0",
            "origSz": f"{quantity}.0",
            "oid": random.getrandbits(63),
            "timestamp": random.randint(10**12, 2 * 10**12),
            "cloid": random.choice([None, f"0x{random.getrandbits(128):032x}"]),
            "orderType": trigger or random.choice(["Limit", "Market"]),
            "tif": None if trigger else random.choice(["Gtc", "Ioc", "Alo", "FrontendMarket"]),
            "isTrigger": bool(trigger),
            "triggerPx": "2950.5" if trigger else "0.0",
            "triggerCondition": "Price below 2950.5" if trigger else "N/A",
            "reduceOnly": random.choice([True, False]),
            "isPositionTpsl": False,
            "children": [],
        }


def check_order(ours: Any, theirs: dict[str, Any], counts: Counter[str]) -> None:
    before = counts.total()
    assert (theirs["id"], theirs["clientOrderId"]) == (ours.order_id, ours.client_order_id)
    assert theirs["side"] == ours.side
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    assert (theirs["timestamp"], theirs["lastUpdateTimestamp"]) == (ours.created_ms, ours.updated_ms)
    assert number(theirs["triggerPrice"]) == number(ours.trigger_price)
    if ours.filled_quantity is None:
        # What is left of an order that was rejected, or whose status is new, says nothing about what was filled.
        counts["differ: filled quantity of rejected and unknown"] += 1
    else:
        assert number(theirs["filled"]) == number(ours.filled_quantity)
    if ours.venue_status in {"scheduledCancel", "internalCancel", "lunarHold"}:
        # ccxt passes words on that it does not know; two of these are documented cancellations.
        assert theirs["status"] == ours.venue_status
        assert ours.status == (None if ours.venue_status == "lunarHold" else "canceled")
        counts["differ: statuses that ccxt does not know"] += 1
    elif ours.venue_status is not None:
        assert theirs["status"] == STATUSES[ours.status]
    counts["agree"] += counts.total() == before


def test_order_updates(client: Any, counts: Counter[str]) -> None:
    random = Random(7)
    pushed = ("coin", "side", "limitPx", "sz", "origSz", "oid", "timestamp", "cloid")
    for one in orders(random):
        order = {name: one[name] for name in pushed if one[name] is not None}
        stated = {"order": order, "status": random.choice(WORDS), "statusTimestamp": order["timestamp"] + 5}
        frame, (ours,) = read("orderUpdates", [stated])
        client.orders = None
        client.handle_order(line(), json.loads(frame))
        (theirs,) = client.orders
        check_order(ours, theirs, counts)


def test_open_orders_and_their_history(client: Any, counts: Counter[str]) -> None:
    random = Random(8)
    types: dict[str, str] = {}
    for one in orders(random):
        (ours,) = asked("frontendOpenOrders", [one])
        theirs = client.parse_order(one)
        check_order(ours, theirs, counts)
        types[theirs["type"]] = ours.order_type
        assert theirs["reduceOnly"] == bool(ours.reduce_only)
        assert theirs["postOnly"] == (None if ours.post_only is None else bool(ours.post_only))
        stated = {"order": one, "status": random.choice(WORDS), "statusTimestamp": one["timestamp"] + 5}
        (ours,) = asked("historicalOrders", [stated])
        check_order(ours, client.parse_order(stated), counts)
    # ccxt knows stops, and passes the other types on.
    assert types == {
        **{"limit": "limit", "market": "market"},
        **{"take profit limit": "limit", "take profit market": "market"},
    }


def fills(random: Random) -> Iterator[dict[str, Any]]:
    """Fills of every kind, with random digits."""
    for _ in range(FRAMES):
        liquidated = random.choice([None, None, ME, OTHER])
        fill: dict[str, Any] = {
            "coin": random.choice(COINS),
            "px": digits(random),
            "sz": digits(random),
            "side": random.choice("AB"),
            "time": random.randint(10**12, 2 * 10**12),
            "startPosition": "1.25",
            "dir": "Liquidated Cross Long" if liquidated == ME else "Close Long",
            "closedPnl": f"-{digits(random)}",
            "hash": "0x0",
            "oid": random.getrandbits(63),
            "crossed": random.choice([True, False]),
            "fee": random.choice(["0.093612", "-0.0312", "0.0"]),
            "tid": random.randint(1, 2**50),
            "feeToken": random.choice(["USDC", "HYPE"]),
            "twapId": None,
        }
        if liquidated:
            fill["liquidation"] = {"liquidatedUser": liquidated, "markPx": "2812.04", "method": "market"}
        if random.random() < 0.3:
            fill["builderFee"] = "0.0062"
        yield fill


def check_fill(ours: Any, theirs: dict[str, Any]) -> None:
    assert (theirs["id"], theirs["order"], theirs["side"]) == (ours.trade_id, ours.order_id, ours.side)
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    assert theirs["timestamp"] == ours.executed_ms


def test_fills(client: Any, counts: Counter[str]) -> None:
    for one in fills(Random(7)):
        frame, (ours,) = read("userFills", {"user": ME, "fills": [one]})
        client.myTrades = client.myLiquidations = None
        client.handle_my_trades(line(), json.loads(frame))
        (pushed,) = client.myTrades
        check_pushed_fill(ours, pushed, Counter())
        client.handle_my_liquidations(line(), json.loads(frame))
        assert bool(client.myLiquidations) == (ours.kind == "liquidation")
        (ours,) = asked("userFillsByTime", [one])
        answered = client.parse_trade(one)
        check_fill(ours, answered)
        assert (answered["takerOrMaker"], answered["fee"]["currency"]) == (ours.liquidity, ours.fee_currency)
        if "builderFee" in one:
            # ccxt adds the builder's fee, which `fee` already includes.
            assert number(str(answered["fee"]["cost"])) == Decimal(ours.fee) + Decimal(one["builderFee"])
            counts["differ: builder fees, which ccxt adds"] += 1
        else:
            assert number(str(answered["fee"]["cost"])) == number(ours.fee)
            counts["agree"] += 1


def positions(random: Random) -> Iterator[dict[str, Any]]:
    """Positions long and short, cross and isolated, with random digits."""
    for _ in range(FRAMES):
        mode = random.choice(["cross", "isolated"])
        leverage: dict[str, object] = {"type": mode, "value": random.randint(1, 50)}
        if mode == "isolated":
            leverage["rawUsd"] = "-68.126246"
        position = {
            "coin": random.choice(["BTC", "kPEPE"]),
            "szi": f"{random.choice(['', '-'])}{random.randint(1, 10**6)}.5",
            "leverage": leverage,
            "entryPx": digits(random),
            "positionValue": digits(random),
            "unrealizedPnl": f"{random.choice(['', '-'])}{digits(random)}",
            "returnOnEquity": "0.1",
            "liquidationPx": random.choice([None, digits(random)]),
            "marginUsed": f"{random.randint(1, 10**6)}.25",
            "maxLeverage": 50,
            "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
        }
        yield {"type": "oneWay", "position": position}


def check_position(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    quantity = Decimal(ours.quantity)
    assert number(theirs["contracts"]) == abs(quantity)
    assert theirs["side"] == ("short" if quantity < 0 else "long")
    assert number(theirs["entryPrice"]) == number(ours.entry_price)
    assert number(theirs["liquidationPrice"]) == number(ours.liquidation_price)
    assert number(theirs["unrealizedPnl"]) == number(ours.unrealized_pnl)
    assert number(theirs["leverage"]) == number(ours.leverage)
    assert theirs["marginMode"] == ours.margin_mode
    assert number(theirs["collateral"]) == number(ours.margin)
    counts["agree"] += 1


def check_balance(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    if ours.wallet == "spot":
        assert number(theirs["total"]) == number(ours.balance)
        assert (number(theirs["used"]), number(theirs["free"])) == (number(ours.locked), number(ours.available))
    else:
        # What ccxt calls the total is the equity.
        assert (number(theirs["total"]), theirs["timestamp"]) == (number(ours.equity), ours.event_ms)
        assert number(theirs["used"]) == number(ours.position_margin)
        assert number(theirs["free"]) == number(ours.available)
    counts["agree"] += 1


def check_pushed_fill(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    check_fill(ours, theirs)
    # Of a push, ccxt reads no liquidity, and takes every fee for USDC.
    assert (theirs["takerOrMaker"], theirs["fee"]["currency"]) == (None, "USDC")
    assert number(str(theirs["fee"]["cost"])) == number(ours.fee)
    counts["fills whose fee ccxt takes for USDC" if ours.fee_currency != "USDC" else "agree"] += 1


#: Table → how a row is compared with what ccxt understood.
CHECKS = {
    "order_updates": check_order,
    "fills": check_pushed_fill,
    "position_updates": check_position,
    "account_updates": check_balance,
}


def test_positions_and_the_balance_of_perpetuals(client: Any, counts: Counter[str]) -> None:
    random = Random(7)
    for one in positions(random):
        summary = {name: digits(random) for name in ("accountValue", "totalNtlPos", "totalRawUsd", "totalMarginUsed")}
        state = {
            **{"marginSummary": summary, "crossMarginSummary": summary, "crossMaintenanceMarginUsed": "0.0"},
            **{"withdrawable": digits(random), "assetPositions": [one], "time": 1795800005001},
        }
        frame, (position, balance) = read("clearinghouseState", {"dex": "", "user": ME, "clearinghouseState": state})
        client.balance = client.positions = None
        client.handle_balance(line(), json.loads(frame))
        (theirs,) = client.positions
        check_position(position, theirs, counts)
        account = client.balance["swap"]
        check_balance(balance, {"timestamp": account["timestamp"], **account["USDC"]}, counts)


def test_balances_of_spot(client: Any, counts: Counter[str]) -> None:
    random = Random(7)
    for _ in range(FRAMES):
        held = random.randint(0, 10**8)
        one = {
            **{"coin": random.choice(["USDC", "HYPE", "PURR"]), "token": 0, "hold": f"{held}.5", "entryNtl": "0.0"},
            "total": f"{held + random.randint(1, 10**8)}.{random.randint(0, 10**8):08d}",
        }
        frame, (ours,) = read("spotState", {"user": ME, "spotState": {"balances": [one]}})
        client.balance = None
        client.handle_balance(line(), json.loads(frame))
        theirs = client.balance["spot"][ours.currency]
        check_balance(ours, theirs, counts)


def test_fundings(client: Any, counts: Counter[str]) -> None:
    rows = answer_of("userFunding")
    for one, ours in zip(rows, asked("userFunding", rows), strict=True):
        theirs = client.parse_income(one)
        assert number(theirs["amount"]) == number(ours.amount)
        assert theirs["timestamp"] == ours.occurred_ms
        # The frame names no collateral but that of the main exchange; ccxt supposes it to be the same.
        if ours.wallet:
            assert (theirs["code"], ours.currency) == ("USDC", "USD")
            counts["differ: collateral of a builder's exchange"] += 1
        else:
            assert theirs["code"] == ours.currency
            counts["agree"] += 1


def test_the_ledger(client: Any, counts: Counter[str]) -> None:
    for one in answer_of("userNonFundingLedgerUpdates"):
        ours = asked("userNonFundingLedgerUpdates", [one])
        theirs = client.parse_ledger_entry(one)
        assert {row.occurred_ms for row in ours} == {theirs["timestamp"]}
        assert {row.transaction_id for row in ours} <= {theirs["id"], None}
        if theirs["amount"] is None or ours[0].amount is None:
            counts["differ: rows in tokens, which ccxt leaves without an amount"] += 1
        else:
            # ccxt gives no direction; ours is the change of a wallet.
            assert {abs(Decimal(row.amount)) for row in ours} == {Decimal(theirs["amount"])}
            counts["agree"] += 1


def test_instruments(markets: list[dict[str, Any]], counts: Counter[str]) -> None:
    theirs = {(one["spot"], one["id"] if one["spot"] else one["baseName"]): one for one in markets}
    spot = answer_of("spotMeta")
    for ours in (*asked("meta", answer_of("meta")), *asked("spotMeta", spot)):
        market = theirs[ours.kind == "spot", ours.symbol]
        assert market["quote"] == ("USDC" if ours.quote == "USD" else ours.quote)
        assert market["base"] == ours.base or ours.base.startswith("k")  # ccxt writes KPEPE
        assert number(market["precision"]["amount"]) == number(ours.quantity_step)
        if ours.kind != "spot":
            assert (market["settle"], market["linear"]) == (ours.settle, True)
            assert number(market["contractSize"]) == number(ours.contract_size)
        counts["agree"] += 1


def test_controls(client: Any, counts: Counter[str]) -> None:
    for frame in sample_lines("hyperliquid/pushes.jsonl"):
        message = json.loads(frame)
        if message["channel"] != "error":
            continue
        errors: list[object] = []
        connection: Any = line()
        connection.reject = lambda error, *_, errors=errors: errors.append(error)
        client.handle_message(connection, message)
        told = read_frame(HYPERLIQUID, frame).control
        if isinstance(told, Notice):
            # ccxt takes any other words for an error; here, unknown words end nothing.
            assert errors
            counts["differ: unknown words"] += 1
        else:
            assert bool(errors) == isinstance(told, RefusedCommand)
            counts["agree"] += 1
