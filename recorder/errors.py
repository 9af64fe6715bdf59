"""Every error of the program, and what each makes it do.

RecorderError                 one sentence on standard error, exit code 2 (NotProven: 1, for it is a finding)
├── ConfigurationError        a flag, a file or a secret is wrong: nothing was started
├── DatabaseError             the database cannot be used: nothing was written
│   ├── NotOurs               it belongs to another program
│   ├── SchemaOutdated        ours, but older: the command that upgrades it is named
│   ├── SchemaTooNew          ours, but newer: this program is too old for it
│   ├── DatabaseBusy          another recorder, or another program, holds it
│   ├── ServerAway            a database server does not answer: the local journal goes on, and it is tried again
│   ├── MergeConflict         two records hold different things under one key: nothing of it is merged
│   ├── AnotherAccount        two accounts may share a name: nothing is sent or merged until the user has decided
│   ├── DatabaseMoved         the file was moved, deleted or replaced during a run: stopped, and its content kept
│   └── NotDurable            stopped before everything received was durable: the event log says from where on
├── Incomplete                what was asked for whole has gaps in it: it is not given, exit code 1
├── VenueError                the exchange cannot be used now
│   ├── Unreachable           no answer: at the start it ends the run, later it is tried again with backoff
│   ├── Refused               key, signature or clock refused: ends the run at its start; later tried again, slowly
│   └── Unavailable           too many requests, or maintenance: tried again, no sooner than the exchange asked
├── NotProven                 a checkpoint or a time-stamp does not prove what it claims: it counts for nothing
├── NotDelivered              a checkpoint could not be sent or time-stamped: recording goes on, tried again
├── ExportError               an export cannot be made as asked: nothing of it is left
├── SessionOver               ends one session, opens a gap, and the collector connects again
└── Undecodable               one frame: it is stored verbatim, marked and counted, and recording goes on

InternalError                 a fault of our own: the gap is recorded, the run ends with exit code 70
"""

from collections.abc import Sequence
from typing import NamedTuple


class RecorderError(Exception):
    """An error with one sentence for the user that says what to do."""

    #: What the process exits with.
    exit_code = 2


class ConfigurationError(RecorderError):
    """A flag, a file or a secret is wrong."""


class DatabaseError(RecorderError):
    """The database cannot be used."""


class NotOurs(DatabaseError):
    """The database holds another program's tables."""


class SchemaOutdated(DatabaseError):
    """The database's schema is older than this program's."""


class SchemaTooNew(DatabaseError):
    """The database's schema is newer than this program's."""


class DatabaseBusy(DatabaseError):
    """Somebody else holds the database."""


class ServerAway(DatabaseError):
    """A database server does not answer."""


class MergeConflict(DatabaseError):
    """Two records contradict each other."""


class AnotherAccount(DatabaseError):
    """An account of the same name was recorded with another API key: it may be another account."""


class DatabaseMoved(DatabaseError):
    """The database file was moved, deleted or replaced while a run wrote to it."""


class NotDurable(DatabaseError):
    """The run stopped before everything it had received was durable."""


class VenueError(RecorderError):
    """The exchange cannot be used now."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        #: The exchange asked for at least so many seconds of quiet.
        self.retry_after_s = retry_after_s


class Unreachable(VenueError):
    """Nobody answers at the exchange's address."""


class Refused(VenueError):
    """The exchange refused who we are or when we are."""


class Unavailable(VenueError):
    """The exchange asked to be left alone for a while, or cannot answer now."""


class NotProven(RecorderError):
    """A checkpoint or a time-stamp does not prove what it claims."""

    exit_code = 1


class NotDelivered(RecorderError):
    """A checkpoint did not reach the place, or the authority, that was named."""


class ExportError(RecorderError):
    """An export cannot be made as asked; nothing of it is left."""


class Incomplete(RecorderError):
    """The record has gaps in a range that was to be complete."""

    exit_code = 1

    def __init__(self, message: str, gaps: Sequence[NamedTuple] = ()) -> None:
        super().__init__(message)
        #: The gaps, as `Record.gaps` tells them.
        self.gaps = gaps


class SessionOver(RecorderError):
    """One session has ended; the collector opens the next."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        #: A word of the event log: `closed`, `lost`, `silent`, `not subscribed`, `frame too large`, `protocol error`,
        #: `stalled`, `refused`, `fault`, `token`, `discrepancy`, `key refused`, `stopped`.
        self.reason = reason
        self.detail = detail


class Undecodable(RecorderError):
    """A frame that cannot be read; the message names the field."""


#: What a venue may raise at an answer that is not what it should be. Errors of msgspec and Unicode are ValueErrors.
UNREADABLE = (Undecodable, ValueError, LookupError, TypeError, RecursionError)


class InternalError(RecorderError):
    """A fault of our own code."""

    exit_code = 70
