"""The declared schema. The migrations create it; a test compares the two.

Keys are made before the write and are unique across databases. Every key starts with `account_id`, which a distributed
PostgreSQL can take as the distribution column. `session_id` follows the time, so PostgreSQL keeps growing tables in one
partition a year, which can be detached. Frames and typed tables have no foreign keys: a look-up for each pushed frame
is expensive, and the one writer that makes the rows writes their session first.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    literal_column,
)

from recorder import model
from recorder.store import columns
from recorder.store.columns import Bytes, decimals, ints, table, texts

#: With all tables of this schema once this module is imported.
metadata = columns.metadata


def _octets(name: str) -> Column[object]:
    return Column(name, Bytes, nullable=False)


def _of_account() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["account_id"], ["accounts.account_id"])


accounts = table(
    "accounts",
    *ints("account_id"),
    *texts("venue", "name", null=False),
    *ints("created_ns"),
    PrimaryKeyConstraint("account_id"),
)

#: A local file has one recorder; a database that several were merged or sent to has several.
recorders = table(
    "recorders",
    *ints("recorder_id", "created_ns"),
    *texts("host", null=False),
    PrimaryKeyConstraint("recorder_id"),
)

#: The credentials of an account, as fingerprints (`recorder.store.credentials`): never a key itself. No foreign key: a
#: credential may be accepted in a file that has not recorded the account yet.
credentials = table(
    "credentials",
    *ints("account_id"),
    *texts("fingerprint", null=False),
    *ints("added_ns", "accepted"),
    PrimaryKeyConstraint("account_id", "fingerprint"),
)

#: Recorders retired with `recorder db retire`. No foreign key: a retirement may arrive here before the recorder does.
retirements = table(
    "retirements",
    *ints("recorder_id", "retired_ns"),
    *texts("who", "why", null=False),
    PrimaryKeyConstraint("recorder_id", "retired_ns"),
)

#: Which recorder this file is, and where it was when it was last recorded into: one row, which never leaves the file.
identity = table(
    "identity",
    *ints("recorder_id"),
    *texts("host", "path", "device", null=False),
    *texts("inode"),
    *ints("copy_of", null=True),
    *texts("copy_of_host", "copy_of_path"),
    *ints("adopted_ns", null=True),
    PrimaryKeyConstraint("recorder_id"),
)

runs = table(
    "runs",
    *ints("run_id", "recorder_id", "started_ns"),
    *texts("host", null=False),
    *ints("pid"),
    *texts("version", null=False),
    *ints("ended_ns", null=True),
    *texts("end_reason"),
    PrimaryKeyConstraint("run_id"),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
)

sessions = table(
    "sessions",
    *ints("account_id", "session_id", "run_id"),
    *texts("stream", "url", "topics", null=False),
    *ints("opened_ns"),
    *ints("covered_ns", "ended_ns", null=True),
    *texts("end_reason", "end_detail"),
    PrimaryKeyConstraint("account_id", "session_id"),
    _of_account(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

frames = table(
    "frames",
    *ints("account_id", "session_id", "seq", "received_ns"),
    *texts("source", null=False),
    *texts("topic"),
    *texts("status", null=False),
    *texts("error"),
    _octets("payload"),
    PrimaryKeyConstraint("account_id", "session_id", "seq"),
)

#: Frames that could not be decoded are few and are searched for among many. All others cost one comparison.
Index("ix_frames_undecoded", frames.c.account_id, frames.c.status, sqlite_where=frames.c.status == model.UNDECODED)


def _typed(name: str, *columns: Column[object]) -> Table:
    return table(
        name,
        *ints("account_id", "session_id", "seq", "item", "received_ns"),
        *ints("event_ms", null=True),
        *ints("is_snapshot"),
        *columns,
        PrimaryKeyConstraint("account_id", "session_id", "seq", "item"),
    )


order_updates = _typed(
    "order_updates",
    *ints("is_partial"),
    *texts("market", "symbol"),
    *texts("order_id", null=False),
    *texts("client_order_id", "side", "position_side", "order_type", "time_in_force"),
    *ints("post_only", "reduce_only", null=True),
    *decimals("price", "trigger_price", "quantity", "quote_quantity", "filled_quantity", "average_price"),
    *texts("status", "venue_status", "reason"),
    *decimals("fee"),
    *texts("fee_currency"),
    *ints("created_ms", "updated_ms", null=True),
    *texts("extra"),
)

#: All updates of one order are found without reading those of others.
Index("ix_order_updates_order_id", order_updates.c.account_id, order_updates.c.order_id)

fills = _typed(
    "fills",
    *texts("trade_id", "order_id", "client_order_id", "market", "symbol", "side", "position_side"),
    *decimals("price", "quantity", "fee"),
    *texts("fee_currency", "liquidity"),
    *decimals("realized_pnl"),
    *texts("kind"),
    *ints("executed_ms", null=True),
    *texts("extra"),
)

#: Fills without an order are found by their trade id.
Index("ix_fills_order_id", fills.c.account_id, fills.c.order_id, fills.c.trade_id)

position_updates = _typed(
    "position_updates",
    *ints("is_partial"),
    *texts("market"),
    *texts("symbol", null=False),
    *texts("position_side", "position_id", "margin_mode"),
    *decimals(
        "quantity",
        "entry_price",
        "mark_price",
        "liquidation_price",
        "leverage",
        "margin",
        "unrealized_pnl",
        "realized_pnl",
    ),
    *ints("updated_ms", null=True),
    *texts("extra"),
)

#: The time of a position's state, ms: by the venue, or else of receipt.
POSITION_MS = "coalesce(updated_ms, event_ms, received_ns / 1000000)"

#: The last state of a position before an instant is found without reading the others.
Index(
    "ix_position_updates_at_ms",
    *(position_updates.c[name] for name in ("account_id", "symbol", "market", "position_side")),
    literal_column(POSITION_MS),
)

account_updates = _typed(
    "account_updates",
    *ints("is_partial"),
    *texts("wallet"),
    *texts("currency", null=False),
    *decimals("balance", "available", "locked", "position_margin", "equity", "unrealized_pnl"),
    *ints("updated_ms", null=True),
    *texts("extra"),
)

transactions = _typed(
    "transactions",
    *texts("transaction_id"),
    *texts("type", null=False),
    *texts("venue_type", "wallet", "currency"),
    *decimals("amount", "fee", "balance_after"),
    *texts("market", "symbol", "order_id", "trade_id"),
    *ints("occurred_ms", null=True),
    *texts("extra"),
)

#: Movements of one type in a period, such as payments of funding, are found without reading the others.
Index(
    "ix_transactions_type",
    *(transactions.c[name] for name in ("account_id", "type", "occurred_ms")),
)
#: Whether the ledger covers a time.
Index(
    "ix_transactions_ledger",
    transactions.c.account_id,
    literal_column("coalesce(wallet, '')"),
    transactions.c.currency,
    transactions.c.occurred_ms,
    sqlite_where=transactions.c.balance_after.is_not(None),
)

instruments = _typed(
    "instruments",
    *texts("market"),
    *texts("symbol", null=False),
    *texts("kind", "base", "quote", "settle"),
    *decimals("contract_size", "price_tick", "quantity_step"),
    *texts("extra"),
)

heartbeats = _typed("heartbeats", *ints("gap_ms", null=True))

#: Frames that list all balances or positions (`kind`) of a part of an account: what they leave out is zero.
listings = _typed("listings", *texts("kind", "topic", null=False))

#: Update class → its table, whose columns are those of `TYPED_KEY` followed by the update's fields.
TYPED: dict[type[model.Update], Table] = {
    model.AccountUpdate: account_updates,
    model.OrderUpdate: order_updates,
    model.PositionUpdate: position_updates,
    model.FillUpdate: fills,
    model.Transaction: transactions,
    model.Instrument: instruments,
    model.Heartbeat: heartbeats,
    model.Listing: listings,
}

#: Typed table → the view of it that shows each push once, whoever of several recorders received it; of transactions,
#: each movement once, however often it was pushed and listed.
ONCE: dict[Table, Table] = {
    table: Table(f"{table.name}_once", MetaData(), *(Column(column.name, column.type) for column in table.c))
    for table in (account_updates, order_updates, position_updates, transactions)
}

TYPED_KEY = ("account_id", "session_id", "seq", "item", "received_ns")

#: Why typed rows have to be made again from the frames before anything may be read or recorded: after an upgrade.
rebuild_needed = table(
    "rebuild_needed",
    *texts("reason", null=False),
    PrimaryKeyConstraint("reason"),
)

gaps = table(
    "gaps",
    *ints("account_id", "recorder_id", "gap_id"),
    *texts("stream", null=False),
    *texts("topic"),
    *ints("begins_ns", "begin_session_id", "begin_seq", "ends_ns", "end_session_id", "end_seq", null=True),
    *texts("reason", null=False),
    *texts("detail"),
    *texts("state", null=False),
    PrimaryKeyConstraint("account_id", "recorder_id", "gap_id"),
    _of_account(),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
    # The reconciliation that settled it, and what that could and could not restore.
    *ints("reconciliation_id", null=True),
    *texts("resolution"),
    CheckConstraint("state IN ('open', 'reconciled', 'unrecoverable')", name="state"),
)

#: One round of REST requests. Its answers are the frames whose `session_id` is its `reconciliation_id`.
reconciliations = table(
    "reconciliations",
    *ints("account_id", "reconciliation_id", "run_id", "began_ns"),
    *ints("ended_ns", null=True),
    *texts("result", "detail", "purpose"),
    PrimaryKeyConstraint("account_id", "reconciliation_id"),
    _of_account(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: What backfills have completed: an exchange is asked for each subject once.
backfilled = table(
    "backfilled",
    *ints("account_id", "reconciliation_id"),
    *texts("subject", "history", null=False),
    *ints("since_ms", "until_ms", null=True),
    *ints("completed_ns"),
    PrimaryKeyConstraint("account_id", "reconciliation_id", "subject"),
    _of_account(),
)

#: Contradictions outside known gaps: between a REST snapshot and the pushes before it, or between two recorders.
discrepancies = table(
    "discrepancies",
    *ints("account_id", "session_id", "seq"),
    *texts("subject", "field", null=False),
    *texts("told", "held"),
    *ints("other_session_id", "found_ns"),
    PrimaryKeyConstraint("account_id", "session_id", "seq", "subject", "field", "other_session_id"),
    _of_account(),
)

#: Two overlapping sessions of different recorders, the older first: pushes that both received, and that only one did.
comparisons = table(
    "comparisons",
    *ints("account_id", "session_id", "other_session_id", "same", "unseen"),
    PrimaryKeyConstraint("account_id", "session_id", "other_session_id"),
    _of_account(),
)

batches = table(
    "batches",
    *ints("run_id", "batch", "frames", "written_ns"),
    PrimaryKeyConstraint("run_id", "batch"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: The frames of a batch: for each session in it, the first and the last.
spans = table(
    "spans",
    *ints("run_id", "batch", "account_id", "session_id", "first_seq", "last_seq"),
    PrimaryKeyConstraint("run_id", "batch", "account_id", "session_id"),
)

#: A batch's seal, the roots it is made of, and the digest of each frame: see `recorder.store.seals`.
seals = table(
    "seals",
    *ints("run_id", "batch"),
    *map(_octets, ("seal", "frames_root", "entries_root", "digests")),
    PrimaryKeyConstraint("run_id", "batch"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: Signed notes over a recorder's seals.
checkpoints = table(
    "checkpoints",
    *ints("recorder_id", "size", "made_ns"),
    *texts("note", null=False),
    *texts("token"),
    PrimaryKeyConstraint("recorder_id", "size"),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
)

#: Frames whose payload was removed on purpose: which, when, by whom and why. Their digests stay.
redactions = table(
    "redactions",
    *ints("account_id", "session_id", "first_seq", "last_seq", "redacted_ns"),
    *texts("who", "why", null=False),
    PrimaryKeyConstraint("account_id", "session_id", "first_seq"),
    _of_account(),
)

#: The entries of a batch as JSON: see `recorder.store.entries`.
event_log = table(
    "event_log",
    *ints("run_id", "batch", "item"),
    *texts("body", null=False),
    PrimaryKeyConstraint("run_id", "batch", "item"),
)

#: When the frames of a batch were received, by session and ten seconds of the clock. Derived from `frames`.
receipts = table(
    "receipts",
    *ints("account_id", "session_id", "first_seq", "last_seq", "first_ns", "last_ns"),
    PrimaryKeyConstraint("account_id", "session_id", "first_seq"),
)

Index("ix_receipts_first_ns", receipts.c.account_id, receipts.c.first_ns)

#: Instants for which `snapshot_rows` lists the latest states. They only save reading, and are not moved with a record.
snapshots = table("snapshots", *ints("account_id", "at_ns"), PrimaryKeyConstraint("account_id", "at_ns"))

#: The rows of a typed table (`kind`) that hold the latest states at a snapshot's instant.
snapshot_rows = table(
    "snapshot_rows",
    *ints("account_id", "at_ns"),
    *texts("kind", null=False),
    *ints("session_id", "seq", "item"),
    PrimaryKeyConstraint("account_id", "at_ns", "kind", "session_id", "seq", "item"),
)
