"""Gathering the report: every part from the same state of the record."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

import recorder
from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.read.coverage import coverage_by_recorder
from recorder.read.record import Filter, Record
from recorder.read.records import Discrepancy, Transfer
from recorder.read.scope import find_account, labelled_accounts, require_order
from recorder.report import evidence, series, trading
from recorder.report.activity import Activity, Latency, activity, latencies
from recorder.report.coverage import AccountCoverage, NumberedGap, cover
from recorder.report.evidence import (
    RecorderRuns,
    RedactedRange,
    Rounds,
    SealSummary,
    SessionRow,
    UndecodedFrame,
    VerificationResult,
)
from recorder.report.series import PlotLine
from recorder.report.source import ROWS_SHOWN_MAX, Listed, Period, Progress, ReportedAccount, ReportSource
from recorder.report.trading import BookSum, FillSum, OrderTable
from recorder.store.engine import place, size_bytes
from recorder.store.schema import recorders, sessions


class Report(NamedTuple):
    """Everything on the page, in its order."""

    place: str
    size_bytes: int
    made_ns: int
    made_by: str
    period: Period
    #: Source or status → how many frames.
    frames: Mapping[str, int]
    runs: Sequence[RecorderRuns]
    covered: Sequence[AccountCoverage]
    sessions: Listed[SessionRow]
    endings: Mapping[str, int]
    gaps: Listed[NumberedGap]
    rounds: Sequence[Rounds]
    discrepancies: Listed[Discrepancy]
    undecoded: Listed[UndecodedFrame]
    redacted: Listed[RedactedRange]
    seals: Sequence[SealSummary]
    #: None: the record was not verified for this report.
    verification: VerificationResult | None
    balances: Listed[PlotLine]
    positions: Listed[PlotLine]
    orders: Sequence[OrderTable]
    fills: Sequence[FillSum]
    books: Sequence[BookSum]
    activity: Sequence[Activity]
    clocks: Sequence[PlotLine]
    latencies: Sequence[Latency]


def gather(
    url: str,
    wanted: Filter,
    progress: Progress = lambda _what, _rows: None,
    *,
    transfers: Sequence[Transfer] = (),
    verification: VerificationResult | None = None,
) -> Report:
    """Read everything that the report shows.

    Args:
        url: of the record.
        wanted: account and period; its symbol is ignored.
        progress: receives what is being read.
        transfers: known transfers, for the books.
        verification: the result of verifying the record, if that was done.

    Raises:
        ConfigurationError: there is no such account, or nothing in the period.
        DatabaseError: the record cannot be read.
    """
    made_ns = time.time_ns()
    with Record(url) as record, record.at_one_moment() as connection:
        accounts, period = _scope(connection, wanted, made_ns, place(url))
        of_hosts = connection.execute(select(recorders.c.recorder_id, recorders.c.host))
        source = ReportSource(record, connection, period, accounts, {row[0]: row[1] for row in of_hosts}, progress)
        covered: list[AccountCoverage] = []
        for account in accounts:
            numbers = sum(gap.number is not None for its in covered for gap in its.numbered)
            covered.append(cover(account, source.hosts, period, numbers + 1))
        frames, received = activity(source, covered)
        return Report(
            place=place(url),
            size_bytes=size_bytes(connection, url),
            made_ns=made_ns,
            made_by=recorder.__version__,
            period=period,
            frames=frames,
            runs=evidence.recorder_runs(source),
            covered=covered,
            sessions=evidence.session_rows(source),
            endings=evidence.session_endings(source),
            gaps=_gaps([gap for its in covered for gap in its.numbered]),
            rounds=evidence.rounds(source),
            discrepancies=evidence.discrepancies(source),
            undecoded=evidence.undecoded(source),
            redacted=evidence.redacted(source),
            seals=evidence.seal_summaries(connection),
            verification=verification,
            balances=series.balances(source),
            positions=series.positions(source),
            orders=trading.orders(source),
            fills=trading.fills(source),
            books=trading.books(source, transfers),
            activity=received,
            clocks=series.clocks(source),
            latencies=latencies(source),
        )


def require(url: str, wanted: Filter) -> None:
    """Refuse an account or a period that the record does not have, before anything that takes long.

    Raises:
        ConfigurationError: it says what there is.
        DatabaseError: the record cannot be read.
    """
    with Record(url) as record, record.at_one_moment() as connection:
        _scope(connection, wanted, time.time_ns(), place(url))


def _scope(
    connection: Connection, wanted: Filter, now_ns: int, where: str
) -> tuple[tuple[ReportedAccount, ...], Period]:
    known = labelled_accounts(connection)
    if not known:
        raise ConfigurationError(f"{where} holds no account yet: there is nothing to report; record first.")
    chosen_id = None if wanted.account is None else find_account(connection, wanted.account).account_id
    accounts = tuple(
        ReportedAccount(
            one.account_id, one.label, one.venue, coverage_by_recorder(connection, one.account_id, one.label)
        )
        for one in known
        if chosen_id in {None, one.account_id}
    )
    require_order(wanted.since_ns, wanted.until_ns)
    mine = sessions.c.account_id.in_([account.account_id for account in accounts])
    first_ns = connection.scalar(select(func.min(sessions.c.opened_ns)).where(mine))
    last_ns = max((one.last_frame_ns for one in accounts if one.last_frame_ns is not None), default=None)
    if first_ns is None or last_ns is None:
        raise ConfigurationError(f"{where} holds no frames yet: there is nothing to report; record first.")
    since_ns = first_ns if wanted.since_ns is None else wanted.since_ns
    until_ns = last_ns + 1 if wanted.until_ns is None else min(wanted.until_ns, now_ns)
    if since_ns >= until_ns or since_ns > last_ns or until_ns <= first_ns:
        raise ConfigurationError(
            f"The record in {where} lasts from {utc_text(first_ns)} to {utc_text(last_ns)} UTC and has nothing in the "
            "requested period; choose --since and --until within it."
        )
    return accounts, Period(since_ns, until_ns, wanted.since_ns is not None, wanted.until_ns is not None)


def _gaps(every: Sequence[NumberedGap]) -> Listed[NumberedGap]:
    """The gaps to show: of very many, first those that are not reconciled, then the latest."""
    important = sorted(every, key=lambda one: (one.gap.state == "reconciled", -(one.gap.begins_ns or 0)))
    shown = {id(one) for one in important[:ROWS_SHOWN_MAX]}
    return Listed([one for one in every if id(one) in shown], len(every))
