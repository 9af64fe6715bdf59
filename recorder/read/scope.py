"""Check the accounts, symbols and times that a user asks for against what the record holds."""

from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, case, func, select

from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.model import account_labels as labels_of
from recorder.read.coverage import last_frame_ns
from recorder.read.records import Filter
from recorder.store.schema import accounts, discrepancies, fills, order_updates, position_updates, recorders, sessions
from recorder.venues import find_venue

#: At most this many names are listed in an error.
NAMES_MAX = 10


class LabelledAccount(NamedTuple):
    """An account of the record."""

    account_id: int
    venue: str
    name: str
    #: What users see: its name, or `venue/name` if several accounts of the record have that name.
    label: str


def account_is(account: str) -> ColumnElement[bool]:
    """The condition on `accounts` that selects an account by `name` or `venue/name`."""
    venue, slash, name = account.partition("/")
    by_name = accounts.c.name == account
    return by_name | ((accounts.c.venue == venue) & (accounts.c.name == name)) if slash else by_name


def labelled_accounts(connection: Connection, account: str | None = None) -> list[LabelledAccount]:
    """Every account of the record, by name, then by venue.

    Args:
        connection: to the record.
        account: only those with this `name` or `venue/name`; None: all.
    """
    a = accounts.c
    rows = connection.execute(select(a.account_id, a.name, a.venue).order_by(a.name, a.venue, a.account_id)).all()
    labels = labels_of((row.account_id, row.name, row.venue) for row in rows)
    found = [LabelledAccount(row.account_id, row.venue, row.name, labels[row.account_id]) for row in rows]
    return [one for one in found if account in {None, one.name, f"{one.venue}/{one.name}"}]


def account_labels(connection: Connection) -> dict[int, str]:
    """Account key → label of every account, in the order of `labelled_accounts`."""
    return {one.account_id: one.label for one in labelled_accounts(connection)}


def account_label(connection: Connection) -> ColumnElement[str]:
    """The label as a column of `accounts`."""
    several = {one.account_id: one.label for one in labelled_accounts(connection) if one.label != one.name}
    return case(several, value=accounts.c.account_id, else_=accounts.c.name) if several else accounts.c.name


def find_account(connection: Connection, account: str) -> LabelledAccount:
    """The one account that a user means.

    Args:
        connection: to the record.
        account: its name, or `venue/name`.

    Raises:
        ConfigurationError: there is no such account, or there are several; the error lists them.
    """
    known = labelled_accounts(connection)
    found = [one for one in known if one.name == account] or labelled_accounts(connection, account)
    if not found:
        names = [one.name for one in known]
        raise ConfigurationError(f"There is no account {account!r} in this record; {listed(account, names)}.")
    if len(found) > 1:
        several = " or ".join(one.label for one in found)
        raise ConfigurationError(f"Several accounts are named {account!r}; write --account {several}.")
    return found[0]


def require(connection: Connection, wanted: Filter, now_ns: int) -> None:
    """Refuse an account, a symbol, an order or a time that cannot be in the record.

    Args:
        connection: to the record.
        wanted: what is asked for.
        now_ns: the present, ns since 1970.

    Raises:
        ConfigurationError: it lists what there is.
    """
    require_order(wanted.since_ns, wanted.until_ns)
    if wanted.account is not None:
        find_account(connection, wanted.account)
    if wanted.symbol is not None:
        require_symbol(connection, wanted.symbol, wanted.account)
    if wanted.order_id is not None:
        _require_order_id(connection, wanted.order_id, wanted.account)
    if wanted.since_ns is not None:
        require_past(connection, "--since", wanted.since_ns, now_ns)


def require_past(connection: Connection, option: str, at_ns: int, now_ns: int) -> None:
    """Refuse a time in the future.

    Args:
        connection: to the record.
        option: that gives the time.
        at_ns: the time, ns since 1970.
        now_ns: the present, ns since 1970.

    Raises:
        ConfigurationError: it is later than the present and than everything in the record.
    """
    # A record from a machine whose clock is ahead may reach into the future.
    if at_ns > now_ns and at_ns > (last_received_ns(connection) or 0):
        raise ConfigurationError(f"{option} {utc_text(at_ns)} is in the future; it is {utc_text(now_ns)} UTC now.")


def require_order(since_ns: int | None, until_ns: int | None) -> None:
    """Refuse a period that ends before it begins.

    Raises:
        ConfigurationError: it does.
    """
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise ConfigurationError(
            f"--since must be earlier than --until; {utc_text(since_ns)} is not earlier than {utc_text(until_ns)}."
        )


def require_symbol(connection: Connection, symbol: str, account: str | None) -> None:
    """Refuse a symbol that was neither subscribed to nor mentioned.

    Args:
        connection: to the record.
        symbol: in upper or lower case.
        account: whose subscriptions count, by `name` or `venue/name`; None: all.

    Raises:
        ConfigurationError: it lists those there are.
    """
    asked = symbol.lower()
    subscribed = _subscribed_symbols(connection, account)
    if asked in {one.lower() for one in subscribed} or _is_mentioned(connection, asked):
        return
    raise ConfigurationError(
        f"There is no symbol {symbol!r} in this record; {listed(symbol, subscribed | _mentioned_symbols(connection))}."
    )


def _require_order_id(connection: Connection, order_id: str, account: str | None) -> None:
    """Refuse an order that no update, fill or discrepancy is about."""
    mine = [one.account_id for one in labelled_accounts(connection, account)]
    about = (
        (order_updates, order_updates.c.order_id == order_id),
        (fills, fills.c.order_id == order_id),
        (discrepancies, discrepancies.c.subject == f"order {order_id}"),
    )
    queries = (select(t.c.account_id).where(t.c.account_id.in_(mine), is_it).limit(1) for t, is_it in about)
    if all(connection.execute(query).first() is None for query in queries):
        of = "" if account is None else f" of account {account}"
        raise ConfigurationError(f"There is no order {order_id!r}{of} in this record; `recorder orders` lists them.")


def listed(asked: str, known: Collection[str]) -> str:
    """A clause that lists the known names, those most similar to the one asked for first."""
    names = sorted(set(known), key=lambda name: (-SequenceMatcher(None, asked.lower(), name.lower()).ratio(), name))
    if not names:
        return "there are none yet"
    more = f" and {len(names) - NAMES_MAX:,} more" if len(names) > NAMES_MAX else ""
    return f"there {'is' if len(names) == 1 else 'are'}: {', '.join(names[:NAMES_MAX])}{more}"


def last_received_ns(connection: Connection, account: str | None = None) -> int | None:
    """When the last frame was received, ns since 1970; None: nothing has been received yet.

    Args:
        connection: to the record.
        account: only by this account, `name` or `venue/name`; None: by any.
    """
    writers = connection.scalars(select(recorders.c.recorder_id)).all()
    chosen = labelled_accounts(connection, account)
    found = (last_frame_ns(connection, one.account_id, recorder_id) for one in chosen for recorder_id in writers)
    return max((ns for ns in found if ns is not None), default=None)


def _subscribed_symbols(connection: Connection, account: str | None) -> set[str]:
    query = select(accounts.c.venue, sessions.c.topics).distinct()
    query = query.join(accounts, accounts.c.account_id == sessions.c.account_id)
    if account is not None:
        query = query.where(account_is(account))
    found: set[str | None] = set()
    for name, topics in connection.execute(query):
        if (venue := find_venue(name)) is not None:
            found.update(map(venue.symbol_of, topics.split()))
    return {symbol for symbol in found if symbol is not None}


_WITH_SYMBOLS: Sequence[ColumnElement[str]] = (order_updates.c.symbol, position_updates.c.symbol, fills.c.symbol)


def _is_mentioned(connection: Connection, symbol: str) -> bool:
    """Whether an update is about a symbol: a REST answer may mention one that was not subscribed to."""
    queries = (select(column).where(func.lower(column) == symbol).limit(1) for column in _WITH_SYMBOLS)
    return any(connection.execute(query).first() is not None for query in queries)


def _mentioned_symbols(connection: Connection) -> set[str]:
    queries = (select(column).where(column.is_not(None)).distinct() for column in _WITH_SYMBOLS)
    return {str(symbol) for query in queries for symbol in connection.scalars(query)}
