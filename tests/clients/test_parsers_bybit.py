"""ccxt as an independent decoder of Bybit's frames and answers: it must understand what our rows say.

Where the two differ on purpose, the test says how. ccxt is told to keep numbers as texts, so digits are compared, not
floats.
"""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from recorder.model import FillUpdate, Transaction
from recorder.venues.bybit import answers
from tests.clients.listening import Line, counted, number
from tests.unit.bybit.frames import answer, asked, push, read, row, sample

pytestmark = pytest.mark.clients

FRAMES = 300
URL = "wss://stream.bybit.com/v5/private"
#: Category → symbols that ccxt knows from the sample instruments.
SYMBOLS = {"linear": "ETHUSDT", "inverse": "ETHUSD", "spot": "BTCUSDT", "option": "BTC-26JUN26-89000-P-USDT"}
#: Our statuses of orders in ccxt's words.
STATUSES = {
    **{"pending": "open", "new": "open", "partially_filled": "open"},
    **{"filled": "closed", "canceled": "canceled", "rejected": "rejected"},
}
IN_FORCE = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK"}


def _instruments() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"linear": [], "inverse": [], "spot": [], "option": []}
    for name, category in (("rest-instrument-spot", "spot"), ("rest-instrument-option", "option")):
        found[category] += json.loads(sample(name))["result"]["list"]
    for one in json.loads(sample("rest-instrument"))["result"]["list"]:
        found["inverse" if one["contractType"] == "InversePerpetual" else "linear"].append(one)
    return found


@pytest.fixture(scope="module")
def markets() -> list[dict[str, Any]]:
    """The sample instruments as ccxt understands them."""
    import ccxt

    instruments = _instruments()

    def answered(params: dict[str, str]) -> dict[str, object]:
        listed = [] if params.get("status") == "PreLaunch" else instruments[params["category"]]
        return {"retCode": 0, "result": {"category": params["category"], "list": listed, "nextPageCursor": ""}}

    exchange = ccxt.bybit({"number": str})
    exchange.publicGetV5MarketInstrumentsInfo = answered
    found: list[dict[str, Any]] = exchange.fetch_spot_markets({})
    found += exchange.fetch_future_markets({"category": "linear"})
    found += exchange.fetch_future_markets({"category": "inverse"})
    found += exchange.fetch_option_markets({"baseCoin": "BTC"})
    return found


@pytest.fixture
def client(markets: list[dict[str, Any]]) -> Iterator[Any]:
    """A client that has received nothing yet."""
    import ccxt.pro

    client = ccxt.pro.bybit({"number": str, "options": {"watchPositions": {"fetchPositionsSnapshot": False}}})
    client.set_markets(markets)
    yield client


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    with counted("bybit", "ccxt", request.node.name) as counts:
        yield counts


def orders(random: Random) -> Iterator[dict[str, Any]]:
    """Orders of every category, status, type and time in force, with random digits."""
    for _ in range(FRAMES):
        category = random.choice(list(SYMBOLS))
        quantity, filled = random.randint(1, 10**6), random.randint(0, 10**6)
        made = row("order") | {
            "category": category,
            "symbol": SYMBOLS[category],
            "orderId": str(random.getrandbits(63)),
            "side": random.choice(["Buy", "Sell"]),
            "positionIdx": random.choice([0, 1, 2]),
            "orderStatus": random.choice(
                [
                    *("New", "PartiallyFilled", "Untriggered", "Triggered", "Filled", "Cancelled"),
                    *("PartiallyFilledCanceled", "Rejected", "Deactivated"),
                ]
            ),
            "orderType": random.choice(["Limit", "Market"]),
            "timeInForce": random.choice(["GTC", "IOC", "FOK", "PostOnly"]),
            "qty": f"{quantity / 1000:.3f}",
            "price": f"{random.randint(1, 10**8)}.{random.randint(0, 99):02d}",
            "cumExecQty": f"{filled / 1000:.3f}",
            "avgPrice": f"{random.randint(1, 10**9)}e-2" if filled else "",
            "triggerPrice": random.choice(["", "0", "88000.50"]),
            "reduceOnly": random.choice([True, False]),
            "cumFeeDetail": random.choice([{}, {"USDT": "0.0256322"}, {"MNT": "-0.001"}]),
            "marketUnit": random.choice(["", "baseCoin", "quoteCoin"]) if category == "spot" else "",
            "createdTime": str(random.randint(10**12, 2 * 10**12)),
        }
        if category == "spot":
            del made["tpslMode"]  # spot has none, and ccxt goes by that
        yield made


def check_order(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    before = counts.total()
    assert (theirs["id"], theirs["clientOrderId"]) == (ours.order_id, ours.client_order_id)
    assert (theirs["side"], theirs["type"]) == (ours.side, ours.order_type)
    assert theirs["reduceOnly"] == bool(ours.reduce_only)
    assert theirs["postOnly"] == bool(ours.post_only)
    assert theirs["timeInForce"] == ("PO" if ours.post_only else IN_FORCE[ours.time_in_force])
    assert (theirs["timestamp"], theirs["lastUpdateTimestamp"]) == (ours.created_ms, ours.updated_ms)
    assert number(theirs["filled"]) == number(ours.filled_quantity)
    assert number(theirs["average"]) == number(ours.average_price)
    assert number(theirs["triggerPrice"]) == number(ours.trigger_price)
    assert number(theirs["price"]) == number(ours.price)
    if ours.quote_quantity is None:
        assert number(theirs["amount"]) == number(ours.quantity)
    else:
        # ccxt makes up an amount from what is filled and what is left.
        assert ours.market == "spot" and number(theirs["amount"]) != number(ours.quote_quantity)
        counts["differ: amount of orders placed for quote coins"] += 1
    if ours.venue_status == "PartiallyFilledCanceled":
        # ccxt calls it closed, like one that was filled; here it is cancelled with a filled quantity.
        assert (theirs["status"], ours.status) == ("closed", "canceled")
        counts["differ: status of spot orders cancelled when partly filled"] += 1
    else:
        assert theirs["status"] == STATUSES[ours.status]
    counts["agree"] += counts.total() == before


def test_orders(client: Any, counts: Counter[str]) -> None:
    for one in orders(Random(7)):
        frame = push("order", one)
        (ours,) = read(frame).updates
        client.orders = None
        client.handle_order(Line(URL), json.loads(frame))
        (theirs,) = client.orders
        check_order(ours, theirs, counts)
        if one["cumFeeDetail"]:
            order: Any = ours
            assert (number(theirs["fee"]["cost"]), theirs["fee"]["currency"]) == (number(order.fee), order.fee_currency)


def executions(random: Random) -> Iterator[dict[str, Any]]:
    """Executions of every category and kind, with random digits."""
    for _ in range(FRAMES):
        category = random.choice(list(SYMBOLS))
        yield row("execution") | {
            "category": category,
            "symbol": SYMBOLS[category],
            "side": random.choice(["Buy", "Sell"]),
            "execId": str(random.getrandbits(120)),
            "orderId": str(random.getrandbits(63)),
            "execType": random.choice(["Trade", "AdlTrade", "BustTrade", "Settle", "Delivery"]),
            "execPrice": f"{random.randint(1, 10**8)}.{random.randint(0, 99):02d}",
            "execQty": f"0.{random.randint(1, 10**18):018d}",
            "execFee": random.choice(["0.06229682784", "-0.0025", "0"]),
            "feeCurrency": "",
            "isMaker": random.choice([True, False]),
            "execTime": str(random.randint(10**12, 2 * 10**12)),
        }


def check_fill(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    assert (theirs["id"], theirs["order"]) == (ours.trade_id, ours.order_id)
    assert (theirs["side"], theirs["takerOrMaker"]) == (ours.side, ours.liquidity)
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    assert theirs["timestamp"] == ours.executed_ms
    assert number(theirs["fee"]["cost"]) == number(ours.fee)
    if ours.fee_currency is None:
        # ccxt knows the market's coins; a frame of spot need not say which of them a fee is in.
        assert ours.market == "spot"
        counts["differ: fees of spot without their coin"] += 1
    else:
        assert theirs["fee"]["currency"] == ours.fee_currency
        counts["agree"] += 1


def test_executions(client: Any, counts: Counter[str]) -> None:
    for one in executions(Random(7)):
        frame = push("execution", one)
        (ours,) = read(frame).updates
        assert isinstance(ours, FillUpdate)
        client.myTrades = None
        client.handle_my_trades(Line(URL), json.loads(frame))
        if one["execType"] == "Delivery":
            assert not client.myTrades
            counts["differ: deliveries, which ccxt leaves out"] += 1
            continue
        (theirs,) = client.myTrades
        check_fill(ours, theirs, counts)


def test_funding(client: Any, counts: Counter[str]) -> None:
    for category in ("linear", "inverse"):
        for fee in ("0.10232512", "-0.10232512"):
            one = row("execution") | {
                **{"execType": "Funding", "execFee": fee, "category": category, "symbol": SYMBOLS[category]},
                "feeCurrency": "",
            }
            frame = push("execution", one)
            (ours,) = read(frame).updates
            assert isinstance(ours, Transaction)
            theirs = client.parse_income(one)
            assert (theirs["id"], theirs["timestamp"]) == (ours.trade_id, ours.occurred_ms)
            # ccxt gives the fee, positive when paid; ours is the change of the balance.
            assert number(theirs["amount"]) == -Decimal(ours.amount or "")
            if category == "inverse":
                # An inverse contract pays in its base coin; ccxt says the quote currency.
                assert (theirs["code"], ours.currency) == ("USD", "ETH")
                counts["differ: currency of inverse funding"] += 1
            else:
                assert theirs["code"] == ours.currency
                counts["agree"] += 1
            # It is no fill: ccxt leaves it out of its trades.
            client.handle_my_trades(Line(URL), json.loads(frame))
            assert not client.myTrades


def positions(random: Random) -> Iterator[dict[str, Any]]:
    """Positions long, short and flat, one-way and hedged, with random digits."""
    for _ in range(FRAMES):
        category = random.choice(["linear", "inverse", "option"])
        index = random.choice([0, 1, 2]) if category == "linear" else 0
        side = {0: random.choice(["Buy", "Sell", ""]), 1: "Buy", 2: "Sell"}[index]
        is_flat = side == ""
        yield row("position") | {
            "category": category,
            "symbol": SYMBOLS[category],
            "positionIdx": index,
            "side": side,
            "size": "0" if is_flat else f"{random.randint(1, 10**6)}.{random.randint(0, 999):03d}",
            "entryPrice": "0" if is_flat else f"{random.randint(1, 10**8)}.{random.randint(0, 10**8):08d}",
            "markPrice": f"{random.randint(1, 10**8)}.5",
            "liqPrice": random.choice(["", "0", "919.10"]),
            "leverage": random.choice(["10", "4.2", ""]),
            "unrealisedPnl": random.choice(["-0.03", "1.500"]),
            "curRealisedPnl": random.choice(["-0.339125", "0"]),
        }


def check_position(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    quantity = Decimal(ours.quantity)
    assert number(theirs["contracts"]) == abs(quantity)
    side = ours.position_side or ("short" if quantity < 0 else "long" if quantity > 0 else None)
    if quantity == 0 and theirs["side"] is None:
        # ccxt gives a flat position no side, not even where there can be two.
        side = None
    assert theirs["side"] == side
    assert theirs["hedged"] == (ours.position_side is not None)
    # ccxt leaves some amounts out that are zero.
    assert (number(theirs["entryPrice"]) or 0) == (number(ours.entry_price) or 0)
    assert (number(theirs["markPrice"]) or 0) == (number(ours.mark_price) or 0)
    assert (number(theirs["unrealizedPnl"]) or 0) == (number(ours.unrealized_pnl) or 0)
    assert (number(theirs["realizedPnl"]) or 0) == (number(ours.realized_pnl) or 0)
    assert (number(theirs["initialMargin"]) or 0) == (number(ours.margin) or 0)
    assert number(theirs["liquidationPrice"]) == number(ours.liquidation_price)
    assert number(theirs["leverage"]) == number(ours.leverage)
    assert theirs["lastUpdateTimestamp"] == ours.updated_ms
    counts["agree"] += 1


def test_positions(client: Any, counts: Counter[str]) -> None:
    for one in positions(Random(7)):
        frame = push("position", one)
        ours: Any = read(frame).updates[0]
        line = Line(URL)
        client.handle_positions(line, json.loads(frame))
        (theirs,) = line.resolved["positions"]
        check_position(ours, theirs, counts)


def check_balance(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    # Of a push, ccxt's total is the equity, and what is used is what spot orders lock.
    assert number(theirs["total"]) == number(ours.equity)
    counts["agree"] += 1


def left_out(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    # A payment of funding, which ccxt does not count among trades.
    assert (ours.type, theirs) == ("funding", None)
    counts["payments of funding, which ccxt leaves out of trades"] += 1


#: Table → how a row is compared with what ccxt understood.
CHECKS = {
    "order_updates": check_order,
    "fills": check_fill,
    "position_updates": check_position,
    "account_updates": check_balance,
    "transactions": left_out,
}


def test_balances(client: Any, counts: Counter[str]) -> None:
    random = Random(7)
    for _ in range(FRAMES):
        account = row("wallet")
        amounts = {
            name: f"{random.randint(0, 10**6)}.{random.randint(0, 10**18):018d}" for name in ("a", "b", "c", "d")
        }
        coin = account["coin"][0] | {
            **{"walletBalance": amounts["a"], "equity": amounts["b"], "locked": amounts["c"]},
            **{"totalOrderIM": amounts["d"], "coin": random.choice(["BTC", "USDT", "ETH"])},
        }
        frame = push("wallet", account | {"coin": [coin]})
        ours: Any = read(frame).updates[0]
        client.balance = None
        client.handle_balance(Line(URL), json.loads(frame))
        theirs = client.balance[ours.wallet.lower()][ours.currency]
        assert number(theirs["used"]) == number(coin["locked"])
        check_balance(ours, theirs, counts)
        body = answer({"list": [account | {"coin": [coin]}]})
        told: Any = asked(answers.BALANCES, body).updates[0]
        theirs = client.parse_balance(json.loads(body))[ours.currency]
        # Of an answer, it is the balance, and used is all that orders and positions hold.
        assert number(theirs["total"]) == number(told.balance) == number(ours.balance)
        assert number(theirs["used"]) == Decimal(told.locked) + Decimal(told.position_margin)


def test_the_ledger(client: Any, counts: Counter[str]) -> None:
    for one in json.loads(sample("rest-transaction-log"))["result"]["list"]:
        ours: list[Any] = list(asked(answers.TRANSACTION_LOG, answer({"list": [one]})).updates)
        theirs = client.parse_ledger_entry(one)
        # What ccxt reads as one change can be two here, which add up to it.
        change = sum((Decimal(part.amount) for part in ours), Decimal(0))
        assert number(theirs["amount"]) == abs(change)
        assert theirs["direction"] == ("out" if change < 0 else "in")
        assert {part.transaction_id for part in ours} == {theirs["id"]}
        assert {(part.currency, part.occurred_ms) for part in ours} == {(theirs["currency"], theirs["timestamp"])}
        assert number(ours[-1].balance_after) == number(theirs["after"])
        assert number(theirs["fee"]["cost"]) == sum(Decimal(part.fee) for part in ours if part.fee)
        counts["agree"] += 1


def test_orders_and_executions_of_answers(client: Any, counts: Counter[str], markets: list[dict[str, Any]]) -> None:
    market = next(one for one in markets if one["id"] == "ETHUSDT")
    result = json.loads(sample("rest-order"))["result"]
    (ours,) = asked(f"{answers.OPEN_ORDERS}?category=linear", sample("rest-order")).updates
    theirs = client.parse_order(result["list"][0], market)
    order: Any = ours
    assert (theirs["id"], number(theirs["amount"]), number(theirs["filled"])) == (
        *(order.order_id, number(order.quantity)),
        number(order.filled_quantity),
    )
    counts["agree"] += 1
    fill, funding = asked(f"{answers.EXECUTIONS}?category=linear", sample("rest-execution")).updates
    first, second = json.loads(sample("rest-execution"))["result"]["list"]
    trade, income = client.parse_trade(first, market), client.parse_income(second, market)
    assert isinstance(fill, FillUpdate) and isinstance(funding, Transaction)
    assert (trade["id"], number(trade["price"])) == (fill.trade_id, number(fill.price))
    assert (income["id"], number(income["amount"])) == (funding.trade_id, -Decimal(funding.amount or ""))
    counts["agree"] += 1


def test_instruments(markets: list[dict[str, Any]], counts: Counter[str]) -> None:
    theirs = {(one["type"] == "spot", one["id"]): one for one in markets}
    for name in ("rest-instrument", "rest-instrument-spot", "rest-instrument-option"):
        category = json.loads(sample(name))["result"]["category"]
        for update in asked(f"{answers.INSTRUMENTS}?category={category}", sample(name)).updates:
            ours: Any = update
            market = theirs[ours.kind == "spot", ours.symbol]
            assert (market["base"], market["quote"], market["settle"]) == (ours.base, ours.quote, ours.settle)
            assert bool(market["inverse"]) == (ours.kind == "inverse")
            assert bool(market["option"]) == (ours.kind == "option")
            assert number(market["precision"]["price"]) == number(ours.price_tick)
            assert number(market["precision"]["amount"]) == number(ours.quantity_step)
            if ours.kind != "spot":
                assert number(market["contractSize"]) == number(ours.contract_size)
            counts["agree"] += 1
