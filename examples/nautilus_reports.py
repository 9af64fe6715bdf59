"""Recorded orders and fills as nautilus_trader's reports, and whether their quantities agree.

Run:    recorder demo --venue bybit --folder demo
        python examples/nautilus_reports.py demo/recorder-*.db
Needs:  pip install 'exchange-recorder[nautilus]'
"""

import sys
from collections import defaultdict
from decimal import Decimal

import recorder
from recorder.backtest.nautilus import fill_reports, order_status_reports


def main(path: str) -> None:
    with recorder.open(f"sqlite:///{path}") as record:
        orders = list(order_status_reports(record))
        fills = list(fill_reports(record))
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        filled[fill.venue_order_id.value] += fill.last_qty.as_decimal()
    agree = sum(order.filled_qty.as_decimal() == filled[order.venue_order_id.value] for order in orders)
    print(f"{len(orders)} order reports, {len(fills)} fill reports; filled quantities agree for {agree} orders")
    print(f"instruments: {', '.join(sorted({order.instrument_id.value for order in orders}))}")
    print(orders[-1])
    print(fills[-1])


if __name__ == "__main__":
    main(sys.argv[1])
