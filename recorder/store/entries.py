"""What the event log is told, one record an event. Entries are the journal: `sessions`, `gaps` and the like follow.

An entry is kept as JSON beside the frames of its batch (`event_log`), so that it can be applied again in another
database, and sealed.
"""

import msgspec


class _Entry(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    pass


class RecorderAdded(_Entry, frozen=True):
    """A database begins to be recorded into: the one place that knows which gaps are one recorder's."""

    recorder_id: int
    created_ns: int
    host: str


class RecorderAdopted(_Entry, frozen=True):
    """A copy, or a file that was restored from a backup, goes on as the recorder it was copied from, on purpose."""

    recorder_id: int
    adopted_ns: int
    #: The machine where it goes on.
    host: str


class AccountAdded(_Entry, frozen=True):
    """A recorder begins to record an account."""

    account_id: int
    venue: str
    name: str
    created_ns: int


class CredentialUsed(_Entry, frozen=True):
    """A run records an account with this credential."""

    account_id: int
    #: See `recorder.store.credentials`.
    fingerprint: str
    used_ns: int


class CredentialAccepted(_Entry, frozen=True):
    """The user says that a credential belongs to an account, whatever other credentials the account has."""

    account_id: int
    fingerprint: str
    accepted_ns: int


class RecorderRetired(_Entry, frozen=True):
    """A recorder will not record again, so its open gap is no longer reported. A later run of it ends this."""

    #: The retired recorder; the entry may be in another recorder's event log.
    recorder_id: int
    retired_ns: int
    who: str
    why: str


class RunStarted(_Entry, frozen=True):
    """A recorder process begins."""

    run_id: int
    recorder_id: int
    started_ns: int
    host: str
    pid: int
    version: str


class RunEnded(_Entry, frozen=True):
    """A recorder process has made everything durable and ends; or a later one found that it crashed."""

    run_id: int
    ended_ns: int
    reason: str


class SessionOpened(_Entry, frozen=True):
    """A connection is made."""

    account_id: int
    session_id: int
    run_id: int
    #: Without credentials.
    url: str
    #: What is asked for.
    topics: tuple[str, ...]
    opened_ns: int


class Covered(_Entry, frozen=True):
    """Every topic of a session is acknowledged or refused: from this frame on, its pushes come."""

    account_id: int
    session_id: int
    seq: int
    received_ns: int
    topics: tuple[str, ...]
    #: Topic → the exchange's words.
    refused: dict[str, str]


class SessionEnded(_Entry, frozen=True):
    """A connection is over."""

    account_id: int
    session_id: int
    ended_ns: int
    reason: str
    detail: str
    #: Whether it had been covered.
    covered: bool
    #: The last frame received, the last proof that nothing was missed.
    last_seq: int
    last_received_ns: int


class ReconciliationBegan(_Entry, frozen=True):
    """The exchange is asked what happened in the gaps that have ended."""

    account_id: int
    reconciliation_id: int
    run_id: int
    began_ns: int


class LostSubject(msgspec.Struct, frozen=True):
    """Something that the exchange could not tell about a gap, and never will."""

    #: For people: `order 849758102002`.
    name: str
    #: The exchange's words: `HTTP 404 order not found`.
    reason: str
    #: The topics it concerns: those that begin with this text; empty: all of them.
    topic: str
    #: Path and query of the request.
    target: str


class ReconciliationEnded(_Entry, frozen=True):
    """A round of questions has ended."""

    account_id: int
    reconciliation_id: int
    #: The session whose coverage it followed: only gaps that ended by its coverage, or before it, are settled.
    session_id: int
    ended_ns: int
    #: Settles gaps: `reconciled`: everything was told. `partial`: all but what `lost` names. `unrecoverable`: not even
    #: the snapshot of balances, positions and open orders is complete.
    #: Settles nothing: `failed`: it is tried again. `compared`: there was no gap.
    result: str
    detail: str
    #: What the exchange could not tell.
    lost: tuple[LostSubject, ...] = ()
    #: The gaps that are meant; None: all that are open.
    gaps: tuple[int, ...] | None = None


class DiscrepancyFound(_Entry, frozen=True):
    """Two sources contradict each other outside any known gap."""

    account_id: int
    #: The frame that says so.
    session_id: int
    seq: int
    #: What it is about, such as `order 849758102002` or `balance BTC`.
    subject: str
    field: str
    #: What that frame tells, and what was held before; None: nothing.
    told: str | None
    held: str | None
    #: The session of what was held.
    other_session_id: int
    #: When that frame was received.
    found_ns: int


class CheckpointMade(_Entry, frozen=True):
    """Size and root of the recorder's tree of seals were signed."""

    recorder_id: int
    #: How many seals, from the recorder's first.
    size: int
    made_ns: int
    #: The signed note.
    note: str
    #: A time-stamp token over it (RFC 3161, DER as Base64); None where no authority was asked, or none answered.
    token: str | None
    #: The roots of the tree's full subtrees, as Base64: with them the next run goes on without reading every seal. They
    #: prove nothing by themselves: the root over them must be the note's.
    subtrees: str = ""


class FramesRedacted(_Entry, frozen=True):
    """The payloads of some frames were taken away on purpose, and what followed from them."""

    account_id: int
    session_id: int
    first_seq: int
    last_seq: int
    redacted_ns: int
    who: str
    why: str


LogEntry = (
    RecorderAdded
    | RecorderAdopted
    | AccountAdded
    | CredentialUsed
    | CredentialAccepted
    | RecorderRetired
    | RunStarted
    | RunEnded
    | SessionOpened
    | Covered
    | SessionEnded
    | ReconciliationBegan
    | ReconciliationEnded
    | DiscrepancyFound
    | CheckpointMade
    | FramesRedacted
)

#: An entry as the text of one JSON object, its `kind` first; and back.
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(LogEntry).decode
