"""Balances, positions and the clocks' difference over the period, reduced while they are read."""

from decimal import Decimal

from sqlalchemy import Select, Table, func, select

from recorder.read.record import Filter
from recorder.report.facts import Line, Listed
from recorder.report.reading import Reading
from recorder.report.reducing import Lines
from recorder.store.schema import (
    ONCE,
    account_updates,
    heartbeats,
    position_updates,
    reconciliations,
    runs,
    sessions,
)
from recorder.venues.base import EXACT

#: The values of so many names an account are kept while reading, and so many pictures drawn.
KEPT_MAX = 64
SHOWN_MAX = 12

_ZERO = Decimal(0)
#: A position in the other direction counts as less than nothing.
_SHORT = "SHORT"


def balances(reading: Reading) -> Listed[Line]:
    """Of each currency what is available, frozen and position margin, together."""
    lines = Lines(reading.period, KEPT_MAX)
    if reading.period.since_asked:
        for balance in reading.record.balances(_before(reading)):
            total = _sum(balance.available, balance.frozen, balance.position_margin)
            if balance.account in reading.names.values() and total is not None:
                lines.begin(balance.account, balance.currency, total)
    query = _updates(reading, account_updates, "currency", "available", "frozen", "position_margin")
    for account_id, at_ns, currency, *amounts in reading.rows("balances", query):
        total = _sum(*amounts)
        if total is not None:
            lines.add(reading.names[account_id], currency, at_ns, total)
    return _busiest(lines)


def positions(reading: Reading) -> Listed[Line]:
    """Of each contract the position's quantity, below zero where it is short."""
    lines = Lines(reading.period, KEPT_MAX)
    if reading.period.since_asked:
        for position in reading.record.positions(_before(reading)):
            if position.account in reading.names.values() and position.quantity is not None:
                lines.begin(position.account, position.symbol, _signed(position.quantity, position.direction))
    query = _updates(reading, position_updates, "symbol", "quantity", "direction")
    for account_id, at_ns, symbol, quantity, direction in reading.rows("positions", query):
        if quantity is not None:
            lines.add(reading.names[account_id], symbol, at_ns, _signed(quantity, direction))
    return _busiest(lines)


def clocks(reading: Reading) -> list[Line]:
    """How far the exchange's clock was ahead of ours when a ping arrived there, milliseconds, by recorder."""
    h, s = heartbeats.c, sessions.c
    query = (
        select(h.account_id, runs.c.recorder_id, h.received_ns, h.gap_ms)
        .join(sessions, (s.account_id == h.account_id) & (s.session_id == h.session_id))
        .join(runs, runs.c.run_id == s.run_id)
        .where(reading.these(h.account_id), reading.received(h.received_ns), h.gap_ms.is_not(None))
        .order_by(h.received_ns)
    )
    lines = Lines(reading.period, KEPT_MAX)
    for account_id, recorder_id, at_ns, gap_ms in reading.rows("answers to pings", query):
        lines.add(reading.names[account_id], reading.hosts[recorder_id], at_ns, Decimal(gap_ms))
    return lines.lines()


def _before(reading: Reading) -> Filter:
    return Filter(until_ns=reading.period.since_ns)


def _updates(reading: Reading, table: Table, *names: str) -> Select[tuple[object, ...]]:
    """Updates in the order in which they count, as for the latest state: an answer from when it was asked for."""
    once, asked = ONCE[table], reconciliations.c
    of_answer = (asked.account_id == once.c.account_id) & (asked.reconciliation_id == once.c.session_id)
    counts_ns = func.coalesce(asked.began_ns, once.c.received_ns)
    return (
        select(once.c.account_id, counts_ns, *[once.c[name] for name in names])
        .join_from(once, reconciliations, of_answer, isouter=True)
        .where(reading.these(once.c.account_id), reading.received(once.c.received_ns))
        .order_by(counts_ns, once.c.received_ns, once.c.session_id, once.c.seq, once.c.item)
    )


def _sum(*amounts: Decimal | None) -> Decimal | None:
    told = [amount for amount in amounts if amount is not None]
    total = _ZERO
    for amount in told:
        total = EXACT.add(total, amount)
    return total if told else None


def _signed(quantity: Decimal, direction: str | None) -> Decimal:
    return quantity.copy_negate() if direction is not None and direction.upper() == _SHORT else quantity


def _busiest(lines: Lines) -> Listed[Line]:
    """Those with most updates, by account and name."""
    found = lines.lines()
    busiest = sorted(range(len(found)), key=lambda number: -found[number].updates)[:SHOWN_MAX]
    return Listed([found[number] for number in sorted(busiest)], lines.total)
