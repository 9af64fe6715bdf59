"""What a run asks each exchange before it writes anything."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Engine

from recorder.clock import Clock
from recorder.errors import Refused
from recorder.live.account_sessions import MAY_BE_REVOKED, AccountSessions, of_record
from recorder.live.http import HttpClient
from recorder.live.rest_client import check_clock
from recorder.live.settings import Account
from recorder.live.unrecorded import check_rights
from recorder.store.engine import database_path
from recorder.store.entries import SessionEnded
from recorder.store.opening import add_entries

log = logging.getLogger(__name__)


def check_accounts(
    accounts: Sequence[Account], clients: Mapping[int, HttpClient], clock: Clock, engine: Engine, url: str
) -> None:
    """Check the clock, and what the credentials may do. A new record is not even made if that fails.

    Args:
        accounts: the accounts to record.
        clients: account → what sends its requests.
        clock: of this machine.
        engine: of the record, whose schema is current if there is one.
        url: of the record.

    Raises:
        Refused: an exchange refuses the key, or the clock.
        Unreachable: an exchange cannot be reached at its address.
    """
    for account in accounts:
        client = clients[account.account_id]
        for warning in check_clock(account, client, clock):
            log.warning("%s: %s", account.name, warning)
        try:
            warnings = check_rights(account, client, clock)
        except Refused:
            _doubt_the_last(account, clock, engine, url)
            raise
        for warning in warnings:
            log.warning("%s: %s", account.name, warning)


def _doubt_the_last(account: Account, clock: Clock, engine: Engine, url: str) -> None:
    """Let the gap of an account that was recorded before begin where it would if a login had been refused."""
    if not database_path(url).exists():
        return
    for warning in add_entries(engine, url, partial(_earlier_ends, account), clock.wall_ns(), "failed"):
        log.warning("%s", warning)
    engine.dispose()


def _earlier_ends(account: Account, connection: Connection, recorder_id: int) -> Sequence[SessionEnded]:
    recorded = {
        stream.name: partial(of_record, connection, recorder_id, account.account_id, stream.name)
        for stream in account.streams
    }
    ends = AccountSessions(recorded=recorded).refused()
    for _ in ends:
        log.error("%s: %s", account.name, MAY_BE_REVOKED)
    return ends
