"""Recorded order latencies for hftbacktest: its `IntpOrderLatency` takes them as they were, instead of a constant.

`pip install 'exchange-recorder[hftbacktest]'`. Source: hftbacktest's documentation, "Order Latency Data".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from recorder.backtest.needs import needed
from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.read.records import Order

EXTRA = "hftbacktest"

#: What we were told of later than this after it was made was no answer to a request, nanoseconds.
LATENCY_MAX_NS = 60 * NS_PER_S

#: A row: when the request left us, when the exchange had it, when we had its answer; nanoseconds since 1970.
ROW = [("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")]


def order_latencies(
    updates: Iterable[Order], *, sent_ns: Mapping[int, int] | None = None, clock_offset_ns: int = 0
) -> Any:
    """One row for each order that the record saw come into being.

    The record knows when the exchange made an order (`created_at`, whole milliseconds of its clock) and when we were
    told. When the request was sent only the program that sent it knows: give that as `sent_ns`. Where it is not given,
    the way there is taken to have been as long as the way back, and no shorter than nothing.

    Args:
        updates: `Record.order_history()`, in the order of receipt.
        sent_ns: order → when its request was sent, nanoseconds since 1970. Orders that are not in it are left out.
        clock_offset_ns: how far the exchange's clock is ahead of ours; `heartbeats` tells.

    Returns:
        In the order of requests, as hftbacktest wants it; empty where there is nothing to be told.

    Raises:
        ConfigurationError: numpy is not installed.
    """
    numpy: Any = needed("numpy", EXTRA)
    rows: list[tuple[int, int, int, int]] = []
    seen: set[tuple[str, int]] = set()
    for update in updates:
        key = update.account, update.order_id
        if key in seen:
            continue
        seen.add(key)
        # An answer over REST has no time of push: that is no latency. A first update that is late is none either.
        if update.created_at is None or update.ts is None or update.status not in {None, "PENDING", "STOP_PENDING"}:
            continue
        made_ns = update.created_at * NS_PER_MS - clock_offset_ns
        told_ns = max(update.received_ns, made_ns)
        if told_ns - made_ns > LATENCY_MAX_NS:
            continue
        if sent_ns is None:
            rows.append((2 * made_ns - told_ns, made_ns, told_ns, 0))
        elif update.order_id in sent_ns:
            rows.append((min(sent_ns[update.order_id], made_ns), made_ns, told_ns, 0))
    return numpy.array(sorted(rows), dtype=ROW)
