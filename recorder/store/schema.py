"""The declared schema. The migrations create it; a test compares the two.

Keys are made before the write and are unique across databases. Every key starts with `account_id`, so that a
distributed PostgreSQL can take it as distribution key, and `session_id` is time-ordered: PostgreSQL keeps the tables
that grow in a partition a year, so that years of history can be detached. Frames and typed tables have no foreign keys:
a look-up for every pushed frame is dear, and the one writer that makes the rows writes their session first.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, MetaData, PrimaryKeyConstraint, Table
from sqlalchemy import UniqueConstraint as Unique

from recorder import model
from recorder.store.types import Bytes, ExactDecimal, Int64, Words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _table(
    name: str, *parts: Column[object] | PrimaryKeyConstraint | ForeignKeyConstraint | Unique | CheckConstraint
) -> Table:
    # STRICT: SQLite then refuses a value of another type. WITHOUT ROWID: the key is the order on disk, once.
    # PostgreSQL's partitions and its partial index are in the migrations only: one option of its dialect here would
    # import that dialect for every command.
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _int(name: str, *, null: bool = False) -> Column[object]:
    return Column(name, Int64, nullable=null)


def _text(name: str, *, null: bool = True) -> Column[object]:
    return Column(name, Words, nullable=null)


def _ints(*names: str, null: bool = False) -> list[Column[object]]:
    return [_int(name, null=null) for name in names]


def _texts(*names: str, null: bool = True) -> list[Column[object]]:
    return [_text(name, null=null) for name in names]


def _decimals(*names: str) -> list[Column[object]]:
    return [_decimal(name) for name in names]


def _bytes(name: str) -> Column[object]:
    return Column(name, Bytes, nullable=False)


def _decimal(name: str) -> Column[object]:
    return Column(name, ExactDecimal(), nullable=True)


def _of_account() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["account_id"], ["accounts.account_id"])


accounts = _table(
    "accounts",
    _int("account_id"),
    *_texts("venue", "name", null=False),
    _int("created_ns"),
    PrimaryKeyConstraint("account_id"),
)

#: Who records into a database: one a local file, some where several were merged or send to one server.
recorders = _table(
    "recorders",
    *_ints("recorder_id", "created_ns"),
    _text("host", null=False),
    PrimaryKeyConstraint("recorder_id"),
)

#: The credentials of an account, as fingerprints (`recorder.store.credentials`): never a key itself. No foreign key: a
#: credential may be accepted in a file that has not recorded the account yet.
credentials = _table(
    "credentials",
    _int("account_id"),
    _text("fingerprint", null=False),
    *_ints("added_ns", "accepted"),
    PrimaryKeyConstraint("account_id", "fingerprint"),
)

#: Recorders retired with `recorder db retire`. No foreign key: a retirement may arrive here before the recorder does.
retirements = _table(
    "retirements",
    *_ints("recorder_id", "retired_ns"),
    *_texts("who", "why", null=False),
    PrimaryKeyConstraint("recorder_id", "retired_ns"),
)

#: Which of them this file is, and where it was when it was last recorded into; one row, which never leaves the file.
identity = _table(
    "identity",
    *_ints("recorder_id"),
    *_texts("host", "path", "device", null=False),
    *_texts("inode"),
    *_ints("copy_of", null=True),
    *_texts("copy_of_host", "copy_of_path"),
    *_ints("adopted_ns", null=True),
    PrimaryKeyConstraint("recorder_id"),
)

runs = _table(
    "runs",
    *_ints("run_id", "recorder_id", "started_ns"),
    _text("host", null=False),
    _int("pid"),
    _text("version", null=False),
    _int("ended_ns", null=True),
    _text("end_reason"),
    PrimaryKeyConstraint("run_id"),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
)

sessions = _table(
    "sessions",
    *_ints("account_id", "session_id", "run_id"),
    *_texts("url", "topics", null=False),
    _int("opened_ns"),
    *_ints("covered_ns", "ended_ns", null=True),
    *_texts("end_reason", "end_detail"),
    PrimaryKeyConstraint("account_id", "session_id"),
    _of_account(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

frames = _table(
    "frames",
    *_ints("account_id", "session_id", "seq", "received_ns"),
    _text("source", null=False),
    _text("topic"),
    _text("status", null=False),
    _text("error"),
    _bytes("payload"),
    PrimaryKeyConstraint("account_id", "session_id", "seq"),
)

#: Frames that could not be decoded are few and looked for among many. For all others it costs one comparison.
Index("ix_frames_undecoded", frames.c.account_id, frames.c.status, sqlite_where=frames.c.status == model.UNDECODED)


def _typed(name: str, *columns: Column[object]) -> Table:
    return _table(
        name,
        _int("account_id"),
        _int("session_id"),
        _int("seq"),
        _int("item"),
        _int("received_ns"),
        *columns,
        PrimaryKeyConstraint("account_id", "session_id", "seq", "item"),
    )


account_updates = _typed(
    "account_updates",
    _int("ts", null=True),
    _text("currency", null=False),
    *_decimals("available", "frozen", "position_margin"),
    _int("updated_at", null=True),
    _text("extra"),
)

order_updates = _typed(
    "order_updates",
    _int("ts", null=True),
    _int("order_id"),
    _decimal("quantity"),
    _text("direction"),
    _int("features", null=True),
    *_decimals("price", "fill_price", "unfilled_quantity"),
    *_texts("symbol", "margin_currency"),
    _decimal("fee"),
    *_texts("order_type", "status", "trigger_direction"),
    *_decimals("trigger_on", "trailing_base_price", "trailing_distance"),
    _int("created_at", null=True),
    _text("extra"),
)

position_updates = _typed(
    "position_updates",
    _int("ts", null=True),
    _text("symbol", null=False),
    _decimal("quantity"),
    _text("direction"),
    _decimal("leverage"),
    _int("risk_level", null=True),
    *_decimals(
        "margin",
        "taker_fee_rate",
        "realized_pnl",
        "entry_price",
        "liquidation_price",
        "bankruptcy_price",
        "minimum_maintenance_margin_rate",
    ),
    _int("updated_at", null=True),
    _text("extra"),
)

heartbeats = _typed("heartbeats", _int("ts", null=True), _int("gap_ms", null=True))

fills = _typed(
    "fills",
    _int("order_id"),
    _int("taker", null=True),
    *_decimals("price", "quantity", "fee"),
    _int("created_at", null=True),
)

#: A record of the model → the table that holds it: its columns are those of `TYPED_KEY`, then the record's fields.
TYPED: dict[type[model.Update], Table] = {
    model.AccountUpdate: account_updates,
    model.OrderUpdate: order_updates,
    model.PositionUpdate: position_updates,
    model.Heartbeat: heartbeats,
    model.FillUpdate: fills,
}

#: A typed table → the view of it in which each push stands once, also where several recorders saw it.
ONCE: dict[Table, Table] = {
    table: Table(f"{table.name}_once", MetaData(), *(Column(column.name, column.type) for column in table.c))
    for table in (account_updates, order_updates, position_updates)
}

TYPED_KEY = ("account_id", "session_id", "seq", "item", "received_ns")

gaps = _table(
    "gaps",
    *_ints("account_id", "recorder_id", "gap_id"),
    _text("topic"),
    *_ints("begins_ns", "begin_session_id", "begin_seq", "ends_ns", "end_session_id", "end_seq", null=True),
    _text("reason", null=False),
    _text("detail"),
    _text("state", null=False),
    PrimaryKeyConstraint("account_id", "recorder_id", "gap_id"),
    _of_account(),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
    # What became of it: the reconciliation that is its evidence, and what that could restore and what not.
    _int("reconciliation_id", null=True),
    _text("resolution"),
    CheckConstraint("state IN ('open', 'reconciled', 'unrecoverable')", name="state"),
)

#: One round of REST questions. Its answers are frames of `session_id` = `reconciliation_id`.
reconciliations = _table(
    "reconciliations",
    *_ints("account_id", "reconciliation_id", "run_id", "began_ns"),
    _int("ended_ns", null=True),
    *_texts("result", "detail"),
    PrimaryKeyConstraint("account_id", "reconciliation_id"),
    _of_account(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: Contradictions outside any known gap: between a REST snapshot and what the pushes had left, or between two recorders.
discrepancies = _table(
    "discrepancies",
    *_ints("account_id", "session_id", "seq"),
    *_texts("subject", "field", null=False),
    *_texts("told", "held"),
    *_ints("other_session_id", "found_ns"),
    PrimaryKeyConstraint("account_id", "session_id", "seq", "subject", "field", "other_session_id"),
    _of_account(),
)

#: Two overlapping sessions of different recorders, the older first: pushes that both saw, and that one alone did.
comparisons = _table(
    "comparisons",
    *_ints("account_id", "session_id", "other_session_id", "same", "unseen"),
    PrimaryKeyConstraint("account_id", "session_id", "other_session_id"),
    _of_account(),
)

batches = _table(
    "batches",
    *_ints("run_id", "batch", "frames", "written_ns"),
    PrimaryKeyConstraint("run_id", "batch"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: Which frames a batch holds: of each session in it, from the first to the last.
spans = _table(
    "spans",
    *_ints("run_id", "batch", "account_id", "session_id", "first_seq", "last_seq"),
    PrimaryKeyConstraint("run_id", "batch", "account_id", "session_id"),
)

#: A batch's seal, the roots it is made of, and the digest of each frame; `recorder.store.seals` says of what.
seals = _table(
    "seals",
    *_ints("run_id", "batch"),
    *map(_bytes, ("seal", "frames_root", "entries_root", "digests")),
    PrimaryKeyConstraint("run_id", "batch"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: What was signed of a recorder's seals, as signed notes.
checkpoints = _table(
    "checkpoints",
    *_ints("recorder_id", "size", "made_ns"),
    _text("note", null=False),
    _text("token"),
    PrimaryKeyConstraint("recorder_id", "size"),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
)

#: Frames whose payload was taken away on purpose: which, when, by whom and why. Their digests stay.
redactions = _table(
    "redactions",
    *_ints("account_id", "session_id", "first_seq", "last_seq", "redacted_ns"),
    *_texts("who", "why", null=False),
    PrimaryKeyConstraint("account_id", "session_id", "first_seq"),
    _of_account(),
)

#: What the event log was told with a batch, as JSON; `recorder.store.entries` says what each means.
event_log = _table(
    "event_log",
    *_ints("run_id", "batch", "item"),
    _text("body", null=False),
    PrimaryKeyConstraint("run_id", "batch", "item"),
)

#: When the frames of a batch were received, by session and ten seconds of the clock; it follows from `frames`.
receipts = _table(
    "receipts",
    *_ints("account_id", "session_id", "first_seq", "last_seq", "first_ns", "last_ns"),
    PrimaryKeyConstraint("account_id", "session_id", "first_seq"),
)

Index("ix_receipts_first_ns", receipts.c.account_id, receipts.c.first_ns)

#: Instants at which it is noted where the latest state of each thing stands. They only spare reading, and never travel.
snapshots = _table(
    "snapshots",
    *_ints("account_id", "at_ns"),
    PrimaryKeyConstraint("account_id", "at_ns"),
)

#: Of a snapshot, the rows of a typed table that hold the latest states; `kind` is the table's name.
snapshot_rows = _table(
    "snapshot_rows",
    *_ints("account_id", "at_ns"),
    _text("kind", null=False),
    *_ints("session_id", "seq", "item"),
    PrimaryKeyConstraint("account_id", "at_ns", "kind", "session_id", "seq", "item"),
)
