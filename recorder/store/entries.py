"""The entries of the event log, one class for each kind of event. `sessions`, `gaps` and others are derived from them.

An entry is stored as JSON beside the frames of its batch (`event_log`), so that it can be sealed, and applied again in
another database. A class's name is stored as its `kind`.
"""

import msgspec


class _Entry(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    pass


class RecorderAdded(_Entry, frozen=True):
    """A database file becomes a recorder."""

    recorder_id: int
    created_ns: int
    host: str


class RecorderAdopted(_Entry, frozen=True):
    """A copy or a restored backup continues, on purpose, as the recorder it was copied from."""

    recorder_id: int
    adopted_ns: int
    #: The machine where it continues.
    host: str


class AccountAdded(_Entry, frozen=True):
    """A recorder records an account for the first time."""

    account_id: int
    venue: str
    name: str
    created_ns: int
    #: The names of its streams.
    streams: tuple[str, ...] = ("",)


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
    """A recorder process starts."""

    run_id: int
    recorder_id: int
    started_ns: int
    host: str
    pid: int
    version: str


class RunEnded(_Entry, frozen=True):
    """A recorder process ended with everything durable, or a later one found that it had crashed."""

    run_id: int
    ended_ns: int
    reason: str


class SessionOpened(_Entry, frozen=True):
    """A connection was made."""

    account_id: int
    session_id: int
    run_id: int
    #: Without credentials.
    url: str
    #: The topics to subscribe to.
    topics: tuple[str, ...]
    opened_ns: int
    #: Its stream; empty where the venue has one.
    stream: str = ""


class Covered(_Entry, frozen=True):
    """Every topic of a session was acknowledged or refused: pushes arrive from this frame on."""

    account_id: int
    session_id: int
    seq: int
    received_ns: int
    topics: tuple[str, ...]
    #: Topic → the exchange's reason.
    refused: dict[str, str]


class SessionEnded(_Entry, frozen=True):
    """A connection ended."""

    account_id: int
    session_id: int
    ended_ns: int
    reason: str
    detail: str
    #: Whether it had been covered.
    covered: bool
    #: The last frame received: up to it, nothing was missed.
    last_seq: int
    last_received_ns: int


class ReconciliationBegan(_Entry, frozen=True):
    """A round of REST requests about ended gaps begins."""

    account_id: int
    reconciliation_id: int
    run_id: int
    began_ns: int
    #: `reconcile`, `compare`, `regular`, `instruments` or `backfill`.
    purpose: str = ""


class LostSubject(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that the exchange cannot answer for good, so that it stays missing from a gap."""

    #: For people: `order 849758102002`.
    name: str
    #: The exchange's answer: `HTTP 404 order not found`.
    reason: str
    #: The topics concerned begin with this text; empty: all topics.
    topic: str
    #: Path and query of the request.
    target: str
    #: Only gaps of this stream lack it; None: those of any stream.
    stream: str | None = None


class Agreed(msgspec.Struct, frozen=True):
    """A point of a session by which its pushes had said what REST said, so that none was missing."""

    session_id: int
    #: The last frame by then; -1: none.
    seq: int
    at_ns: int


class ReconciliationEnded(_Entry, frozen=True):
    """A round of REST requests ended."""

    account_id: int
    reconciliation_id: int
    #: The session whose coverage started the round: it settles only gaps that ended with that coverage or before.
    session_id: int
    ended_ns: int
    #: Settles gaps: `reconciled`, everything was answered; `partial`, all but `lost`; `unrecoverable`, not even the
    #: snapshot of balances, positions and open orders is complete.
    #: Settles nothing: `failed`, it is tried again; `compared`, there was no gap; `answered`, it asked for history.
    result: str
    detail: str
    #: What the exchange could not answer.
    lost: tuple[LostSubject, ...] = ()
    #: The gaps to settle; None: all open ones.
    gaps: tuple[int, ...] | None = None
    #: Of a comparison that found nothing: of each stream's session, where it was when the comparison began.
    agreed: tuple[Agreed, ...] = ()


class SubjectCompleted(_Entry, frozen=True):
    """A backfill has every answer about a subject."""

    account_id: int
    reconciliation_id: int
    subject: str
    #: Of which history it is a part, such as `fills`; empty: none in particular.
    history: str
    #: The period that is complete, milliseconds since 1970, without its end; None: unknown.
    since_ms: int | None
    until_ms: int | None
    completed_ns: int


class DiscrepancyFound(_Entry, frozen=True):
    """Two sources contradict each other outside known gaps."""

    account_id: int
    #: The frame that contradicts.
    session_id: int
    seq: int
    #: What it is about, such as `order 849758102002` or `balance BTC`.
    subject: str
    field: str
    #: The value in that frame, and the value known before; None: none.
    told: str | None
    held: str | None
    #: The session of the value known before.
    other_session_id: int
    #: When that frame was received.
    found_ns: int


class CheckpointMade(_Entry, frozen=True):
    """A checkpoint was signed: size and root of the recorder's tree of seals."""

    recorder_id: int
    #: Number of seals, from the recorder's first.
    size: int
    made_ns: int
    #: The signed note.
    note: str
    #: A time-stamp token over the note (RFC 3161, DER as Base64); None if no authority was asked or none answered.
    token: str | None
    #: The roots of the tree's full subtrees, as Base64, with which the next run continues without reading every seal.
    #: They prove nothing by themselves: the root over them must be the one in the note.
    subtrees: str = ""


class FramesRedacted(_Entry, frozen=True):
    """The payloads of some frames were removed on purpose, with the rows derived from them."""

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
    | SubjectCompleted
    | DiscrepancyFound
    | CheckpointMade
    | FramesRedacted
)

#: Convert an entry to the bytes of a JSON object that begins with its `kind`, and back.
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(LogEntry).decode
