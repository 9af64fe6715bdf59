"""A backtest in hftbacktest whose orders take as long as the recorded ones took.

The market here is made up, a book that never changes: the example shows how latencies get into the package.

Run:    recorder demo --venue bybit --folder demo
        python examples/hftbacktest_latency.py demo/recorder-*.db [SYMBOL [MARKET]]
Needs:  pip install 'exchange-recorder[hftbacktest]'
"""

import sys
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype

import recorder
from recorder.backtest.hftbacktest import order_latencies
from recorder.read.records import Filter

S = 1_000_000_000


def main(path: str, symbol: str | None = None, market: str | None = None) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        wanted = Filter(symbol=symbol)
        latencies = order_latencies(one for one in record.order_history(wanted) if market in {None, one.market})
        traded = [one for one in record.fills(wanted) if one.symbol and one.price and market in {None, one.market}]
        if not len(latencies) or not traded:
            sys.exit(f"{path} holds no order with a latency, or no fill: record for longer.")
        last = traded[-1]
        instrument = record.instrument_of()(last.account, last.market, str(last.symbol))
    print(f"{len(latencies)} orders with a latency, answered after {_median_ms(latencies):.3f} ms (median)")
    price, tick = float(last.price or 0), float(instrument.price_tick or 0.01)
    bid = round(price / tick) * tick
    step = float(instrument.quantity_step or 0.001)
    begin_ns = int(latencies["req_ts"][0])
    # The package keeps no reference: its arrays must live as long as the backtest.
    market_data = _still_market(begin_ns, int(latencies["resp_ts"][-1]) + S, bid, bid + tick)
    asset = BacktestAsset().data(market_data)
    size = float(instrument.contract_size or 1)
    asset = asset.inverse_asset(size) if instrument.kind == "inverse" else asset.linear_asset(size)
    asset = (
        asset.intp_order_latency(latencies)
        .no_partial_fill_exchange()
        .risk_adverse_queue_model()
        .trading_value_fee_model(-0.00025, 0.00045)
        .tick_size(tick)
        .lot_size(step)
    )
    backtest = HashMapMarketDepthBacktest([asset])
    # Its clock begins with the data: halfway through the record, an order is sent.
    backtest.elapse((int(latencies["req_ts"][-1]) - begin_ns) // 2)
    sent_ns = int(backtest.current_timestamp)
    backtest.submit_buy_order(0, 1, bid, step, GTC, LIMIT, False)
    backtest.wait_order_response(0, 1, 10 * S)
    took_ns = int(backtest.current_timestamp) - sent_ns
    # Between two recorded orders it takes a mean of their times, weighted by how near they are.
    around = latencies[max(np.searchsorted(latencies["req_ts"], sent_ns, side="right") - 1, 0) :][:2]
    recorded = [float(ms) for ms in (around["resp_ts"] - around["req_ts"]) / 1e6]
    print(f"an order of the backtest was answered after {took_ns / 1e6:.3f} ms; recorded around it: {recorded} ms")
    backtest.close()


def _median_ms(latencies: "np.ndarray[Any, Any]") -> float:
    return float(np.median(latencies["resp_ts"] - latencies["req_ts"])) / 1e6


def _still_market(begin_ns: int, end_ns: int, bid: float, ask: float) -> "np.ndarray[Any, Any]":
    """The same bid and ask, ten times a second."""
    times = np.arange(begin_ns, end_ns, S // 10)
    events = np.zeros(2 * len(times), dtype=event_dtype)
    for offset, (side, price) in enumerate(((BUY_EVENT, bid), (SELL_EVENT, ask))):
        rows = events[offset::2]
        rows["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | side
        rows["exch_ts"] = rows["local_ts"] = times
        rows["px"], rows["qty"] = price, 10.0
    return events


if __name__ == "__main__":
    main(*sys.argv[1:])
