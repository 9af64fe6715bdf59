"""Recorded order latencies for hftbacktest, whose `IntpOrderLatency` uses them instead of a constant.

`pip install 'exchange-recorder[hftbacktest]'`. Source: hftbacktest's documentation, "Order Latency Data".
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from recorder.backtest import needed
from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.model import NEW, PENDING
from recorder.read.records import Order

EXTRA = "hftbacktest"

#: An update that came later than this after the order was created is no answer to its request, nanoseconds.
LATENCY_MAX_NS = 60 * NS_PER_S

#: A row: when the request was sent, when the venue processed it, when its answer came; nanoseconds since 1970.
ROW = [("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")]


def order_latencies(
    updates: Iterable[Order], *, sent_ns: Mapping[str, int] | None = None, clock_offset_ns: int = 0
) -> Any:
    """One row for each order whose first update was recorded.

    The record knows when the venue created an order (`created_ms`, by its clock) and when the first update came. Only
    the program that sent the request knows when: give that as `sent_ns`. Without it, the request is assumed to have
    taken as long as the answer, and no less than nothing.

    Args:
        updates: `Record.order_history()`, in the order of receipt.
        sent_ns: order id → when its request was sent, nanoseconds since 1970. Other orders are left out.
        clock_offset_ns: how far the venue's clock is ahead of this machine's; see table `heartbeats`.

    Returns:
        In the order of requests, which is also that of the venue, because hftbacktest searches by both times: a
        request counts as sent no earlier than one that the venue processed before. It may be empty.

    Raises:
        ConfigurationError: numpy is not installed.
    """
    numpy: Any = needed("numpy", EXTRA)
    #: When the venue processed a request, when that was sent, when its answer came.
    rows: list[tuple[int, int, int]] = []
    seen: set[tuple[str, str]] = set()
    for update in updates:
        key = update.account, update.order_id
        if key in seen:
            continue
        seen.add(key)
        # A snapshot or a REST answer is no answer to the request that placed the order; nor is a late first update.
        if update.is_snapshot or update.created_ms is None or update.event_ms is None:
            continue
        if update.status not in {None, NEW, PENDING}:
            continue
        made_ns = update.created_ms * NS_PER_MS - clock_offset_ns
        answered_ns = max(update.received_ns, made_ns)
        if answered_ns - made_ns > LATENCY_MAX_NS:
            continue
        if sent_ns is None:
            rows.append((made_ns, 2 * made_ns - answered_ns, answered_ns))
        elif update.order_id in sent_ns:
            rows.append((made_ns, min(sent_ns[update.order_id], made_ns), answered_ns))
    rows.sort()
    requested = accumulate((request_ns for _, request_ns, _ in rows), max)
    return numpy.array([(req, made, answer, 0) for req, (made, _, answer) in zip(requested, rows, strict=True)], ROW)
