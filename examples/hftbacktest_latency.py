"""A backtest in hftbacktest whose orders take as long as the recorded ones took.

The market here is made up, a book that never changes: the example shows how latencies get into the package.

Run:    recorder demo --folder demo
        python examples/hftbacktest_latency.py demo/recorder-*.db
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

S = 1_000_000_000


def main(path: str) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        latencies = order_latencies(record.order_history())
    print(f"{len(latencies)} orders with a latency, answered after {_median_ms(latencies):.3f} ms (median)")
    begin_ns = int(latencies["req_ts"][0])
    asset = (
        BacktestAsset()
        .data(_still_market(begin_ns, int(latencies["resp_ts"][-1]) + S))
        .linear_asset(1.0)
        .intp_order_latency(latencies)
        .no_partial_fill_exchange()
        .risk_adverse_queue_model()
        .trading_value_fee_model(-0.00025, 0.00045)
        .tick_size(0.5)
        .lot_size(1.0)
    )
    backtest = HashMapMarketDepthBacktest([asset])
    backtest.elapse(begin_ns + 2 * S)  # its clock begins at 0
    sent_ns = int(backtest.current_timestamp)
    backtest.submit_buy_order(0, 1, 9_000.0, 1.0, GTC, LIMIT, False)
    backtest.wait_order_response(0, 1, 10 * S)
    took_ns = int(backtest.current_timestamp) - sent_ns
    around = latencies[np.searchsorted(latencies["req_ts"], sent_ns) - 1 :][:2]
    recorded = [float(ms) for ms in (around["resp_ts"] - around["req_ts"]) / 1e6]
    print(f"an order of the backtest was answered after {took_ns / 1e6:.3f} ms; recorded around it: {recorded} ms")
    backtest.close()


def _median_ms(latencies: "np.ndarray[Any, Any]") -> float:
    return float(np.median(latencies["resp_ts"] - latencies["req_ts"])) / 1e6


def _still_market(begin_ns: int, end_ns: int) -> "np.ndarray[Any, Any]":
    """The same bid and ask, ten times a second."""
    times = np.arange(begin_ns, end_ns, S // 10)
    events = np.zeros(2 * len(times), dtype=event_dtype)
    for offset, (side, price) in enumerate(((BUY_EVENT, 9_000.0), (SELL_EVENT, 9_001.0))):
        rows = events[offset::2]
        rows["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | side
        rows["exch_ts"] = rows["local_ts"] = times
        rows["px"], rows["qty"] = price, 10.0
    return events


if __name__ == "__main__":
    main(sys.argv[1])
