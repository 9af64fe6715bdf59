"""Gathering the report: every part from one and the same state of the record."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from operator import attrgetter

from sqlalchemy import Connection, func, select

import recorder
from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.read.books.transfers import NamedTransfers
from recorder.read.coverage.recorders import coverage_by_recorder
from recorder.read.record import Filter, Record
from recorder.read.records import Discrepancy, Transfer
from recorder.read.scope import account_labels, find_account, require_order
from recorder.report import event_log, series, trades
from recorder.report.books import sum_books
from recorder.report.covering import covered, last_frame_ns, numbered
from recorder.report.facts import BookSum, Checked, Covered, Listed, Numbered, Period, Report
from recorder.report.latency import latencies
from recorder.report.reading import ROWS_SHOWN_MAX, Account, Progress, Reading
from recorder.report.receipts import receipts
from recorder.report.sealed import sealed
from recorder.store.engine import place, size_bytes
from recorder.store.schema import accounts, recorders, sessions


def gather(
    url: str,
    wanted: Filter,
    told: Progress = lambda _what, _rows: None,
    *,
    transfers: Sequence[Transfer] = (),
    checked: Checked | None = None,
) -> Report:
    """Read what the report tells.

    Args:
        url: of the record.
        wanted: account and period; its symbol is not looked at.
        told: is told of progress.
        transfers: those that a person names.
        checked: what verifying the record gave, where it was done.

    Raises:
        ConfigurationError: there is no such account, or nothing in the period.
        DatabaseError: the record cannot be read.
    """
    made_ns = time.time_ns()
    with Record(url) as record, record.at_one_moment() as connection:
        its_accounts = _accounts(connection, wanted.account, place(url))
        period = _period(connection, its_accounts, wanted, made_ns, place(url))
        of_hosts = connection.execute(select(recorders.c.recorder_id, recorders.c.host))
        hosts = {row.recorder_id: row.host for row in of_hosts}
        reading = Reading(record, connection, period, its_accounts, hosts, told)
        covers = _covers(reading)
        came = receipts(reading, covers)
        return Report(
            place=place(url),
            size_bytes=size_bytes(connection, url),
            made_ns=made_ns,
            made_by=recorder.__version__,
            period=period,
            frames=came.frames,
            writers=event_log.writers(reading),
            covered=covers,
            sessions=event_log.session_list(reading),
            endings=event_log.endings(reading),
            gaps=_gaps(reading, covers),
            rounds=event_log.rounds(reading),
            discrepancies=_discrepancies(reading),
            undecoded=event_log.undecoded(reading),
            redacted=event_log.redacted(reading),
            sealed=sealed(connection),
            checked=checked,
            balances=series.balances(reading),
            positions=series.positions(reading),
            orders=trades.orders(reading),
            fills=trades.fills(reading),
            books=_books(reading, transfers),
            received=came.accounts,
            clocks=series.clocks(reading),
            latencies=latencies(reading),
        )


def require(url: str, wanted: Filter) -> None:
    """Refuse an account or a period that the record does not have, before anything takes long.

    Raises:
        ConfigurationError: with what there is.
        DatabaseError: the record cannot be read.
    """
    with Record(url) as record, record.at_one_moment() as connection:
        _period(connection, _accounts(connection, wanted.account, place(url)), wanted, time.time_ns(), place(url))


def _accounts(connection: Connection, wanted: str | None, where: str) -> tuple[Account, ...]:
    rows = connection.execute(select(accounts).order_by(accounts.c.name)).all()
    if not rows:
        raise ConfigurationError(f"{where} holds no account yet: there is nothing to report; record first.")
    chosen_id = None if wanted is None else find_account(connection, wanted).account_id
    labels = account_labels(connection)
    return tuple(
        Account(row.account_id, name, row.venue, coverage_by_recorder(connection, row.account_id, name))
        for row in rows
        for name in (labels[row.account_id],)
        if chosen_id in {None, row.account_id}
    )


def _period(connection: Connection, its: Sequence[Account], wanted: Filter, now_ns: int, where: str) -> Period:
    require_order(wanted.since_ns, wanted.until_ns)
    of_these = sessions.c.account_id.in_([account.account_id for account in its])
    first_ns = connection.scalar(select(func.min(sessions.c.opened_ns)).where(of_these))
    last_ns = max((ns for ns in (last_frame_ns(account.sides) for account in its) if ns is not None), default=None)
    if first_ns is None or last_ns is None:
        raise ConfigurationError(f"In {where} nothing has been recorded yet; there is nothing to report.")
    since_ns = first_ns if wanted.since_ns is None else wanted.since_ns
    until_ns = last_ns + 1 if wanted.until_ns is None else min(wanted.until_ns, now_ns)
    if since_ns >= until_ns or since_ns > last_ns or until_ns <= first_ns:
        raise ConfigurationError(
            f"The record in {where} goes from {utc_text(first_ns)} to {utc_text(last_ns)} (UTC); none of it lies in "
            "the period asked for: choose --since and --until within."
        )
    return Period(since_ns, until_ns, wanted.since_ns is not None, wanted.until_ns is not None)


def _covers(reading: Reading) -> list[Covered]:
    found: list[Covered] = []
    number = 1
    for account in reading.accounts:
        found.append(covered(account, reading.hosts, reading.period, number))
        number += sum(stretch.number is not None for stretch in found[-1].whole.stretches)
    return found


def _gaps(reading: Reading, covers: Sequence[Covered]) -> Listed[Numbered]:
    """All of them; of very many those first that are not reconciled, then the latest."""
    every = list(_every_gap(reading, covers))
    important = sorted(every, key=lambda one: (one.gap.state == "reconciled", -(one.gap.begins_ns or 0)))
    shown = {id(one) for one in important[:ROWS_SHOWN_MAX]}
    return Listed([one for one in every if id(one) in shown], len(every))


def _every_gap(reading: Reading, covers: Sequence[Covered]) -> Iterator[Numbered]:
    number = 1
    for account, its in zip(reading.accounts, covers, strict=True):
        yield from numbered(account, reading.period, number)
        number += sum(stretch.number is not None for stretch in its.whole.stretches)


def _books(reading: Reading, transfers: Sequence[Transfer]) -> list[BookSum]:
    kept = []
    for account in reading.accounts:
        of_account = reading.of(account)
        named = NamedTransfers(one for one in transfers if one.account == account.name)
        told = partial(_part_told, reading.told)
        kept += sum_books(reading.record.books(of_account, named, told))
    return kept


def _part_told(told: Progress, part: float) -> None:
    told("the books, in percent", int(100 * part))


def _discrepancies(reading: Reading) -> Listed[Discrepancy]:
    """All of them; of very many the latest."""
    latest: list[Discrepancy] = []
    total = 0
    for account in reading.accounts:
        its: deque[Discrepancy] = deque(maxlen=ROWS_SHOWN_MAX)
        for one in reading.record.discrepancies(reading.of(account)):
            total += 1
            its.append(one)
        latest = sorted((*latest, *its), key=attrgetter("found_ns"))[-ROWS_SHOWN_MAX:]
    return Listed(latest, total)
