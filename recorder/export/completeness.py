"""Whether a stretch of the record is without a gap."""

from collections.abc import Iterator, Sequence

from recorder.export.scope import Scope
from recorder.read.coverage.gaps import NOT_KNOWN
from recorder.read.record import Record
from recorder.read.records import AccountStatus, Gap


def missing(record: Record, scope: Scope, accounts: Sequence[AccountStatus]) -> list[Gap]:
    """The gaps in what is asked for, oldest first, whatever became of them.

    Without a beginning it is asked from when all topics were first acknowledged, without an end until the last frame:
    that a record begins and ends somewhere is no gap in it.

    Args:
        record: which.
        scope: of it.
        accounts: those it is about, as `Record.status` tells them.
    """
    found = [gap for account in accounts for gap in _of_account(record, scope, account)]
    return sorted(found, key=lambda gap: gap.begins_ns or 0)


def _of_account(record: Record, scope: Scope, account: AccountStatus) -> Iterator[Gap]:
    wanted = scope.wanted._replace(account=account.account)
    begins_ns = account.coverage.begins_ns if wanted.since_ns is None else wanted.since_ns
    ends_ns = account.last_frame_ns if wanted.until_ns is None else wanted.until_ns
    told_until_ns = -1
    for gap in record.gaps(wanted._replace(symbol=None)):
        if _concerns(gap.topic, scope) and _overlaps(gap, begins_ns, ends_ns):
            yield gap
        if gap.topic is None:
            told_until_ns = 2**63 if gap.ends_ns is None else max(told_until_ns, gap.ends_ns)
    last_ns = account.last_frame_ns
    if ends_ns is not None and last_ns is not None and max(last_ns, told_until_ns) < ends_ns:
        # It is connected: what it will receive until then nobody knows.
        yield Gap(account.account, last_ns, None, None, NOT_KNOWN, None, "open", 0)


def _concerns(topic: str | None, scope: Scope) -> bool:
    """Whether what was pushed of a topic may be part of the export; None: of all topics."""
    if topic is None:
        return True
    if scope.topics and topic not in scope.topics:
        return False
    symbol = scope.wanted.symbol
    return symbol is None or "." not in topic or topic.endswith(f".{symbol.lower()}")


def _overlaps(gap: Gap, begins_ns: int | None, ends_ns: int | None) -> bool:
    """Whether more than an edge of a gap lies in a stretch."""
    if ends_ns is not None and gap.begins_ns is not None and gap.begins_ns >= ends_ns:
        return False
    return gap.ends_ns is None or begins_ns is None or gap.ends_ns > begins_ns
