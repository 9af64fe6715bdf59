"""Whether a record whose gaps have been reconciled has every fill of the exchange, each once."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import recorder
from recorder.clock import NS_PER_MS
from recorder.model import FillUpdate
from recorder.read.records import Fill
from recorder.simulator import Simulator
from recorder.venues import venue_named
from tests.faults.oracle import Verdict
from tests.waiting import wait_until

#: Most seconds for asking an exchange about all gaps, at the pace that its limits allow.
RECONCILED_S = 300.0


def rows_of(database: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a fresh reader finds."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, parameters).fetchall()


def wait_reconciled(database: Path) -> None:
    """Wait until the exchange has been asked about every gap that began before now.

    It is silent now: later gaps hide nothing, and there may be ever more of them.
    """
    now_ns = time.time_ns()
    waits = (
        "SELECT 1 FROM gaps WHERE state = 'open' AND (ends_ns IS NOT NULL OR topic IS NULL)"
        " AND coalesce(begins_ns, 0) < ?"
    )
    wait_until(
        lambda: not rows_of(database, waits, now_ns),
        patience_s=RECONCILED_S,
        failed=lambda: rows_of(database, "SELECT * FROM reconciliations"),
    )


def judge_fills(verdict: Verdict, exchange: Simulator, url: str) -> None:
    """Compare the fills of a record with those of the exchange; the verdict takes the findings."""
    with recorder.open(url) as record:
        fills = list(record.fills())
        begins_ns = min(gap.ends_ns for gap in record.gaps() if gap.begins_ns is None and gap.ends_ns is not None)
    truth = [execution.fill for execution in exchange.executions()]
    # REST may be behind the pushes: what it did not tell yet may be in the record, and need not.
    exchange.change(rest_lag_s=0.0)
    pushed = [execution.fill for execution in exchange.executions()]
    # What happened before all topics were acknowledged for the first time is not part of the record.
    begins_ms = begins_ns // NS_PER_MS + exchange.options.clock_offset_ms + 1
    if venue_named(verdict.venue).pushes_fills:
        known, expected = Counter(map(_key, fills)), Counter(map(_key, pushed))
        required = Counter(_key(fill) for fill in truth if (fill.executed_ms or 0) > begins_ms)
        missing, wrong = required - known, known - expected
    else:
        # Derived fills of an order need not be its executions one by one, but they add up to the same.
        earlier = {fill.order_id for fill in truth if (fill.executed_ms or 0) <= begins_ms}
        known, expected = _sums(fills, earlier), _sums(truth, earlier)
        missing, wrong = expected - known, known - expected
        required = expected
    verdict.fills = sum(required.values())
    verdict.fills_missing = sum(missing.values())
    verdict.findings += [f"this fill is not in the record: {key}" for key in missing]
    verdict.findings += [f"this fill of the record is none of the exchange's, or there twice: {key}" for key in wrong]


def _key(fill: Fill | FillUpdate) -> tuple[Any, ...]:
    amounts = [None if one is None else Decimal(one) for one in (fill.price, fill.quantity, fill.fee)]
    return (fill.market, fill.symbol, fill.trade_id, fill.order_id, fill.side, fill.executed_ms, *amounts)


def _sums(fills: Iterable[Fill | FillUpdate], earlier: set[str | None]) -> Counter[tuple[Any, ...]]:
    """Quantity and fee of each order, but for those that filled earlier."""
    sums: dict[str | None, tuple[Decimal, Decimal]] = {}
    for fill in fills:
        if fill.order_id not in earlier:
            quantity, fee = sums.get(fill.order_id, (Decimal(0), Decimal(0)))
            sums[fill.order_id] = quantity + Decimal(fill.quantity or 0), fee + Decimal(fill.fee or 0)
    return Counter((order_id, *amounts) for order_id, amounts in sums.items())
